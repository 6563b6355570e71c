//! Whether the machine and the environment have what a program needs.

use super::{Draft, Missing, Place};
use crate::helpers::{self, HelperId};
use crate::isa::{self, DecodeError, Insn};
use crate::machine::Environment;
use crate::object::{Object, Reference};
use crate::program::{Function, Line};

/// Notes what a program needs and the emulator lacks.
pub(super) fn program(
    object: &Object,
    draft: &Draft<'_>,
    environment: &dyn Environment,
    missing: &mut Vec<Missing>,
) {
    let assembly = &draft.assembly;
    let mut lacks = |slot: u32, what: String| {
        missing.push(Missing {
            program: draft.program.name.clone(),
            what,
            wanted_by: Some(place(slot, &assembly.lines, &assembly.functions)),
        });
    };
    for (slot, insn) in slots(&assembly.insns) {
        if let Some(Reference::Extern(number)) = assembly.references.get(&slot) {
            let target = &object.externs()[*number];
            lacks(slot, format!("{} {}", what(target.kind), target.name));
        } else if insn.code == isa::CALL && insn.src == 0 {
            let helper = HelperId(insn.imm as u32);
            if !helpers::provides(helper) && !environment.provides(helper, draft.kind) {
                lacks(slot, name(helper));
            }
        }
    }
    let decoded = isa::decode(&assembly.insns, &|_, _, _| Some(0));
    for error in decoded.err().into_iter().flatten() {
        let error = undecodable(
            &draft.program.name,
            &error,
            &assembly.lines,
            &assembly.functions,
        );
        missing.push(error);
    }
}

fn what(kind: crate::object::ExternKind) -> &'static str {
    use crate::object::ExternKind::*;
    match kind {
        Kconfig => "kernel configuration",
        KernelFunction => "kernel function",
        KernelVariable => "kernel variable",
        Undescribed => "undefined symbol",
    }
}

fn name(helper: HelperId) -> String {
    match helper.name() {
        Some(name) => format!("helper bpf_{name}"),
        None => format!("helper number {}", helper.0),
    }
}

/// Each instruction with its slot.
pub(super) fn slots(insns: &[Insn]) -> impl Iterator<Item = (u32, Insn)> {
    let mut slot = 0;
    std::iter::from_fn(move || {
        let insn = *insns.get(slot)?;
        let at = slot as u32;
        slot += if insn.is_wide() { 2 } else { 1 };
        Some((at, insn))
    })
}

/// An instruction that cannot be decoded, as something that is missing.
pub(super) fn undecodable(
    program: &str,
    error: &DecodeError,
    lines: &[Line],
    functions: &[Function],
) -> Missing {
    Missing {
        program: program.to_owned(),
        what: error.problem.to_string(),
        wanted_by: Some(place(error.slot, lines, functions)),
    }
}

fn place(slot: u32, lines: &[Line], functions: &[Function]) -> Place {
    let function = functions.partition_point(|function| function.slot <= slot);
    let function = function
        .checked_sub(1)
        .and_then(|index| functions.get(index));
    let line = lines.partition_point(|line| line.slot <= slot);
    let line = line.checked_sub(1).and_then(|index| lines.get(index));
    Place {
        function: function
            .map(|function| function.name.clone())
            .unwrap_or_default(),
        slot,
        source: line.map(|line| (line.file.clone(), line.line)),
        text: line.map(|line| line.text.clone()).unwrap_or_default(),
    }
}
