//! Whether the machine and the environment have what a program needs.

use super::assemble::Assembly;
use super::{Draft, Missing, Place};
use crate::helpers::{self, HelperId};
use crate::isa::{self, Insn};
use crate::machine::Environment;
use crate::program::{Function, Line};

/// Notes what a program needs and the emulator lacks, where the program can get there.
pub(super) fn program(
    draft: &Draft<'_>,
    reached: &[bool],
    environment: &dyn Environment,
    missing: &mut Vec<Missing>,
) {
    let assembly = &draft.assembly;
    let name = &draft.program.name;
    for (slot, insn) in slots(&assembly.insns) {
        if !reached[slot as usize] {
            continue;
        }
        if let Some(what) = assembly.lacking.get(&slot) {
            missing.push(lack(name, what.clone(), slot, assembly));
        } else if insn.code == isa::CALL && insn.src == 0 {
            let helper = HelperId(insn.imm as u32);
            if !helpers::provides(helper) && !environment.provides(helper, draft.kind) {
                missing.push(lack(name, named(helper), slot, assembly));
            }
        }
    }
    let decoded = isa::decode(&assembly.insns, &|_, _, _| Some(0));
    for error in decoded.err().into_iter().flatten() {
        missing.push(lack(name, error.problem.to_string(), error.slot, assembly));
    }
}

/// Something that is missing at a slot of a program.
pub(super) fn lack(program: &str, what: String, slot: u32, assembly: &Assembly) -> Missing {
    Missing {
        program: program.to_owned(),
        what,
        wanted_by: Some(place(slot, &assembly.lines, &assembly.functions)),
    }
}

fn named(helper: HelperId) -> String {
    match helper.name() {
        Some(name) => format!("helper bpf_{name}"),
        None => format!("helper number {}", helper.0),
    }
}

/// Each instruction with its slot.
pub(crate) fn slots(insns: &[Insn]) -> impl Iterator<Item = (u32, Insn)> {
    let mut slot = 0;
    std::iter::from_fn(move || {
        let insn = *insns.get(slot)?;
        let at = slot as u32;
        slot += if insn.is_wide() { 2 } else { 1 };
        Some((at, insn))
    })
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
