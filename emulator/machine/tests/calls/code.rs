//! Functions under construction, and the pieces that all programs here are made of.

use twinpath_machine::HelperId;
use twinpath_machine::isa::{Insn, pseudo};

use super::asm::{
    self, Width, alu_k, alu_x, cond, exit, jump_k, lddw, ldx, mov, movr, op, st, stx,
};

/// The first map of a plan: a count of what was recorded, then the last of it.
pub const TRACE: usize = 0;
/// Bytes of the trace.
pub const TRACE_SIZE: u32 = 8 + 8 * RECORDS as u32 + 8;
/// Behind the records stands a zero, of which the verifier does not know that it is one.
const ZERO: i16 = 8 + 8 * RECORDS as i16;
/// How many records a trace holds; later ones overwrite the first.
const RECORDS: i32 = 128;

pub fn helper(helper: HelperId) -> Insn {
    asm::call(helper.0 as i32)
}

pub fn add(register: u8, value: i32) -> Insn {
    alu_k(true, op::ADD, register, value, 0)
}

/// Loads a map, by its number in the plan.
pub fn map(register: u8, number: usize) -> [Insn; 2] {
    lddw(register, pseudo::MAP_FD, number as u64)
}

/// Appends r7 to the trace. Leaves r6 to r9 alone and nothing else; uses the last four bytes of the frame.
pub fn record() -> Vec<Insn> {
    let mut insns = vec![st(Width::W, 10, -4, 0), movr(2, 10), add(2, -4)];
    insns.extend(map(1, TRACE));
    insns.extend([
        helper(HelperId::MAP_LOOKUP_ELEM),
        jump_k(true, cond::JNE, 0, 0, 1),
        exit(),
        ldx(Width::D, 1, 0, 0),
        movr(2, 1),
        add(2, 1),
        stx(Width::D, 0, 0, 2),
        alu_k(true, op::AND, 1, RECORDS - 1, 0),
        alu_k(true, op::LSH, 1, 3, 0),
        alu_x(true, op::ADD, 0, 1, 0),
        stx(Width::D, 0, 8, 7),
    ]);
    insns
}

/// Moves a number into r1 of which the verifier knows nothing.
pub fn unknown(number: u64) -> Vec<Insn> {
    let mut insns = vec![st(Width::W, 10, -4, 0), movr(2, 10), add(2, -4)];
    insns.extend(map(1, TRACE));
    insns.extend([
        helper(HelperId::MAP_LOOKUP_ELEM),
        jump_k(true, cond::JNE, 0, 0, 1),
        exit(),
        ldx(Width::D, 1, 0, ZERO),
    ]);
    insns.extend(lddw(2, 0, number));
    insns.push(alu_x(true, op::ADD, 1, 2, 0));
    insns
}

/// Appends a number to the trace, as [`record`].
pub fn record_number(number: i32) -> Vec<Insn> {
    let mut insns = vec![mov(7, number)];
    insns.extend(record());
    insns
}

/// The functions of a program, of which the first is its entry, and who calls or names whom.
#[derive(Default)]
pub struct Functions(Vec<Function>);

/// Instructions, and which of them call or name which function.
type Function = (Vec<Insn>, Vec<(usize, usize)>);

impl Functions {
    /// Keeps a place for a function and returns its number.
    pub fn reserve(&mut self) -> usize {
        self.0.push((Vec::new(), Vec::new()));
        self.0.len() - 1
    }

    /// Fills a function in; `calls` are the instructions that call or name another, with its number.
    pub fn set(&mut self, number: usize, insns: Vec<Insn>, calls: Vec<(usize, usize)>) {
        self.0[number] = (insns, calls);
    }

    /// One after the other, with the distances of calls filled in.
    pub fn link(self) -> Vec<Insn> {
        let mut starts = Vec::new();
        let mut whole = Vec::new();
        for (insns, _) in &self.0 {
            starts.push(whole.len());
            whole.extend(insns.iter().copied());
        }
        for (number, (_, calls)) in self.0.iter().enumerate() {
            for (at, callee) in calls {
                let at = starts[number] + at;
                whole[at].imm = starts[*callee] as i32 - at as i32 - 1;
            }
        }
        whole
    }
}
