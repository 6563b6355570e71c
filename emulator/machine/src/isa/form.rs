//! What the kernel refuses by a program's form, although RFC 9669 gives it a meaning.
//!
//! These are the checks of `check_alu_op`, `check_subprogs`, `check_cfg` and `check_max_stack_depth` in
//! `kernel/bpf/verifier.c` that need no knowledge of values. [`decode`](super::decode) has made the
//! others before.

use std::collections::{BTreeMap, BTreeSet};

use super::insn::{self, Insn, SOURCE_X, class, pseudo};
use crate::memory::MAX_FRAMES;

/// An instruction that the kernel refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("instruction {slot}: {problem}")]
pub struct FormError {
    /// The slot, counted from the program's start.
    pub slot: u32,
    /// Why the kernel refuses it.
    pub problem: FormProblem,
}

/// Why the kernel refuses an instruction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum FormProblem {
    #[error("division by zero")]
    DivisionByZero,
    #[error("shift by {0}, which is not below the register's width")]
    Shift(i32),
    #[error("call through a register (callx), which the kernel does not allow")]
    CallRegister,
    #[error("never reached")]
    Unreachable,
    #[error("jump to slot {0}, in another function")]
    CrossesFunctions(u32),
    #[error("the last instruction of a function is neither exit nor a jump")]
    FallsThrough,
    #[error("calls nest deeper than {} frames", MAX_FRAMES)]
    CallDepth,
}

/// Finds what the kernel refuses in a program that [decodes](super::decode).
///
/// # Errors
/// Each such instruction, in the program's order.
pub fn check_form(insns: &[Insn]) -> Result<(), Vec<FormError>> {
    let form = Form::new(insns);
    let mut errors = Vec::new();
    for &(slot, insn) in &form.slots {
        let problem = constant(insn).or_else(|| form.flow(slot, insn));
        errors.extend(problem.map(|problem| FormError { slot, problem }));
    }
    errors.extend(form.too_deep(0, 1, &mut BTreeMap::new()));
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// Finds constants that the kernel refuses, in any instructions.
pub fn check_constants(insns: &[Insn]) -> Vec<FormError> {
    let slots = slots(insns).into_iter();
    slots
        .filter_map(|(slot, insn)| Some((slot, constant(insn)?)))
        .map(|(slot, problem)| FormError { slot, problem })
        .collect()
}

/// The instructions with their slots.
fn slots(insns: &[Insn]) -> Vec<(u32, Insn)> {
    let mut slots = Vec::new();
    let mut at = 0;
    while let Some(&insn) = insns.get(at) {
        slots.push((at as u32, insn));
        at += if insn.is_wide() { 2 } else { 1 };
    }
    slots
}

/// Constants that the kernel does not take.
fn constant(insn: Insn) -> Option<FormProblem> {
    let width = match insn.class() {
        class::ALU64 => 64,
        class::ALU => 32,
        _ => return (insn.code == insn::CALLX).then_some(FormProblem::CallRegister),
    };
    if insn.code & SOURCE_X != 0 {
        return None;
    }
    match insn.code & 0xf0 {
        0x30 | 0x90 if insn.imm == 0 => Some(FormProblem::DivisionByZero),
        0x60 | 0x70 | 0xc0 if !(0..width).contains(&insn.imm) => Some(FormProblem::Shift(insn.imm)),
        _ => None,
    }
}

/// Where an instruction may go on in its function.
struct Next {
    jump: Option<u32>,
    falls_through: bool,
}

struct Form {
    /// The instructions with their slots.
    slots: Vec<(u32, Insn)>,
    /// The first slots of the functions.
    functions: BTreeSet<u32>,
    /// Slots that can be reached from the start of a function.
    reached: BTreeSet<u32>,
    len: u32,
}

impl Form {
    fn new(insns: &[Insn]) -> Self {
        let slots = slots(insns);
        let functions = slots
            .iter()
            .filter_map(|&(slot, insn)| callee(slot, insn))
            .chain([0])
            .collect();
        let mut form = Self {
            slots,
            functions,
            reached: BTreeSet::new(),
            len: insns.len() as u32,
        };
        form.reach();
        form
    }

    fn get(&self, slot: u32) -> Option<Insn> {
        let at = self.slots.binary_search_by_key(&slot, |&(slot, _)| slot);
        at.ok().map(|at| self.slots[at].1)
    }

    fn reach(&mut self) {
        let mut open: Vec<u32> = self.functions.iter().copied().collect();
        while let Some(slot) = open.pop() {
            let Some(insn) = self.get(slot) else { continue };
            if !self.reached.insert(slot) {
                continue;
            }
            let next = next(slot, insn);
            open.extend(next.jump);
            open.extend(next.falls_through.then(|| after(slot, insn)));
        }
    }

    /// The start of the function that a slot is in.
    fn function(&self, slot: u32) -> u32 {
        self.functions
            .range(..=slot)
            .next_back()
            .copied()
            .unwrap_or(0)
    }

    fn flow(&self, slot: u32, insn: Insn) -> Option<FormProblem> {
        if !self.reached.contains(&slot) {
            return Some(FormProblem::Unreachable);
        }
        let next = next(slot, insn);
        if let Some(target) = next
            .jump
            .filter(|&to| self.function(to) != self.function(slot))
        {
            return Some(FormProblem::CrossesFunctions(target));
        }
        let after = after(slot, insn);
        let last = after == self.len || self.functions.contains(&after);
        // The kernel wants exit or an unconditional jump there, whatever could follow.
        let ends = insn.code == insn::EXIT || matches!(insn.code, 0x05 | 0x06);
        (last && !ends).then_some(FormProblem::FallsThrough)
    }

    /// The first call, in the program's order, that needs more frames than there are.
    ///
    /// `seen` has the depths at which functions were looked at already.
    fn too_deep(
        &self,
        function: u32,
        depth: usize,
        seen: &mut BTreeMap<u32, usize>,
    ) -> Option<FormError> {
        if seen.get(&function).is_some_and(|&seen| seen >= depth) {
            return None;
        }
        seen.insert(function, depth);
        let end = self.functions.range(function + 1..).next().copied();
        let from = self.slots.partition_point(|&(slot, _)| slot < function);
        let own = self.slots[from..].iter();
        let own = own.take_while(|&&(slot, _)| end.is_none_or(|end| slot < end));
        for &(slot, insn) in own {
            let Some(callee) = callee(slot, insn) else {
                continue;
            };
            if depth == MAX_FRAMES {
                let problem = FormProblem::CallDepth;
                return Some(FormError { slot, problem });
            }
            if let Some(error) = self.too_deep(callee, depth + 1, seen) {
                return Some(error);
            }
        }
        None
    }
}

fn after(slot: u32, insn: Insn) -> u32 {
    slot + if insn.is_wide() { 2 } else { 1 }
}

fn target(slot: u32, distance: i32) -> u32 {
    slot.wrapping_add_signed(distance).wrapping_add(1)
}

/// The function that an instruction calls or takes the address of.
fn callee(slot: u32, insn: Insn) -> Option<u32> {
    let calls = insn.code == insn::CALL && insn.src == pseudo::CALL;
    let points = insn.is_wide() && insn.src == pseudo::FUNC;
    (calls || points).then(|| target(slot, insn.imm))
}

fn next(slot: u32, insn: Insn) -> Next {
    let jumps = matches!(insn.class(), class::JMP | class::JMP32);
    let (jump, falls_through) = match insn.code {
        insn::EXIT => (None, false),
        0x05 => (Some(i32::from(insn.off)), false),
        0x06 => (Some(insn.imm), false),
        insn::CALL | insn::CALLX => (None, true),
        _ if jumps => (Some(i32::from(insn.off)), true),
        _ => (None, true),
    };
    Next {
        jump: jump.map(|distance| target(slot, distance)),
        falls_through,
    }
}
