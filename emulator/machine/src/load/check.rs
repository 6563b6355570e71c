//! Whether the machine and the environment have what a program needs, and whether the kernel would take
//! its form and its licence.

use super::assemble::Assembly;
use super::{Draft, LoadOptions, Missing, Place, RefusedBy, core, opaque};
use crate::helpers::{self, HelperId};
use crate::isa::{self, FormProblem, Insn, Problem, class};
use crate::machine::Environment;
use crate::object::Object;
use crate::program::{Function, Line, ProgramType};

/// By what programs of an object are judged.
pub(super) struct Rules<'a> {
    license: &'a str,
    lenient: bool,
    environment: &'a dyn Environment,
}

impl<'a> Rules<'a> {
    pub(super) fn new(
        object: &'a Object,
        options: &LoadOptions,
        environment: &'a dyn Environment,
    ) -> Self {
        Self {
            license: object.license().unwrap_or_default(),
            lenient: options.lenient,
            environment,
        }
    }

    /// Notes for what a program cannot be loaded, where it can get there.
    pub(super) fn check(
        &self,
        draft: &mut Draft<'_>,
        reached: &[bool],
        missing: &mut Vec<Missing>,
    ) {
        let mut found = Vec::new();
        self.needs(draft, reached, &mut found);
        found.extend(unreadable(&draft.assembly, reached));
        forget_unseen(&mut draft.assembly, reached);
        self.form(&draft.assembly, reached, &mut found);
        found.sort();
        missing.extend(found.into_iter().map(|(slot, by, what)| Missing {
            by,
            ..lack(&draft.program.name, what, slot, &draft.assembly)
        }));
    }

    /// What the emulator lacks, and helpers that the kernel does not give to this licence.
    fn needs(&self, draft: &Draft<'_>, reached: &[bool], found: &mut Vec<Found>) {
        let assembly = &draft.assembly;
        for (slot, insn) in slots(&assembly.insns) {
            if !reached[slot as usize] {
                continue;
            }
            if let Some(what) = assembly.lacking.get(&slot) {
                found.push((slot, RefusedBy::Emulator, what.clone()));
            } else if insn.code == isa::CALL && insn.src == 0 && !core::is_poison(insn) {
                let helper = HelperId(insn.imm as u32);
                if !self.provides(helper, draft.kind) {
                    let what = self.named(helper, draft.kind);
                    found.push((slot, RefusedBy::Emulator, what));
                }
                found.extend(
                    self.licensed(helper)
                        .map(|what| (slot, RefusedBy::Kernel, what)),
                );
            }
        }
    }

    fn provides(&self, helper: HelperId, kind: ProgramType) -> bool {
        helpers::provides(helper) || self.environment.provides(helper, kind)
    }

    /// The name of a helper that programs of this type do not have.
    fn named(&self, helper: HelperId, kind: ProgramType) -> String {
        let Some(name) = helper.name() else {
            return format!("helper number {}", helper.0);
        };
        let mut others = (0..).map_while(ProgramType::from_number);
        match others.any(|other| self.environment.provides(helper, other)) {
            true => format!("helper bpf_{name} in {kind} programs"),
            false => format!("helper bpf_{name}"),
        }
    }

    /// What is wrong with calling a helper under the object's licence.
    fn licensed(&self, helper: HelperId) -> Option<String> {
        let allowed =
            self.lenient || !helper.is_gpl_only() || helpers::is_gpl_compatible(self.license);
        let kind = match helper.is_kernel_function() {
            true => "kernel function",
            false => "helper",
        };
        (!allowed).then(|| {
            let license = self.license;
            format!("{kind} bpf_{helper} needs a GPL-compatible licence, and the object's is {license:?}")
        })
    }

    /// What cannot be decoded, and what the kernel refuses of the rest.
    fn form(&self, assembly: &Assembly, reached: &[bool], found: &mut Vec<Found>) {
        let insns = &assembly.insns;
        let mut errors = Vec::new();
        match isa::decode(insns, &|_, _, _| Some(0)) {
            Ok(_) if self.lenient => {}
            Ok(_) => errors = isa::check_form(insns).err().unwrap_or_default(),
            Err(undecoded) => {
                found.extend(undecoded.into_iter().map(|error| {
                    let by = match error.problem {
                        Problem::AddressSpaceCast | Problem::Kfunc => RefusedBy::Emulator,
                        _ => RefusedBy::Kernel,
                    };
                    (error.slot, by, error.problem.to_string())
                }));
                errors = isa::check_constants(insns);
            }
        }
        errors.retain(|error| reached[error.slot as usize] || !is_seen(&error.problem));
        found.extend(
            errors
                .into_iter()
                .map(|error| (error.slot, RefusedBy::Kernel, error.problem.to_string())),
        );
    }
}

/// Accesses behind pointers to the kernel's own structures.
fn unreadable(assembly: &Assembly, reached: &[bool]) -> impl Iterator<Item = Found> {
    let accesses = opaque::accesses(&assembly.insns, reached).into_iter();
    accesses.map(|(slot, helper)| {
        let what = format!("access to what lies behind a pointer from helper bpf_{helper}");
        (slot, RefusedBy::Emulator, what)
    })
}

/// A slot, and what is not taken there.
type Found = (u32, RefusedBy, String);

/// Whether the verifier notices a problem only where it finds that a program can get to.
const fn is_seen(problem: &FormProblem) -> bool {
    matches!(
        problem,
        FormProblem::DivisionByZero | FormProblem::Shift(_) | FormProblem::CallRegister
    )
}

/// Takes instructions out of a program that it never gets to and that the verifier would not look at,
/// where they are such that nothing could execute them.
fn forget_unseen(assembly: &mut Assembly, reached: &[bool]) {
    let decoded = isa::decode(&assembly.insns, &|_, _, _| Some(0));
    for error in decoded.err().into_iter().flatten() {
        let slot = error.slot as usize;
        let unseen = matches!(
            error.problem,
            Problem::Register(_)
                | Problem::FramePointer
                | Problem::Frame(_)
                | Problem::Atomic(_)
                | Problem::Reserved(_)
                | Problem::AddressSpaceCast
                | Problem::Kfunc
        );
        let insn = assembly.insns[slot];
        let goes_on = !matches!(insn.class(), class::JMP | class::JMP32) || insn.code == isa::CALL;
        if unseen && goes_on && !insn.is_wide() && !reached[slot] {
            core::poison(&mut assembly.insns[slot..]);
        }
    }
}

/// Something that is missing at a slot of a program.
pub(super) fn lack(program: &str, what: String, slot: u32, assembly: &Assembly) -> Missing {
    Missing {
        by: RefusedBy::Emulator,
        program: program.to_owned(),
        what,
        wanted_by: Some(place(slot, &assembly.lines, &assembly.functions)),
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
