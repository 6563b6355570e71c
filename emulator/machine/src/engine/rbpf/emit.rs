//! A buffer of instructions for rbpf, with jumps that are resolved at the end.

use super::{RbpfError, control};
use crate::isa::Insn;

/// What rbpf calls for everything that it cannot do itself.
pub(super) const STUB: i32 = 1;
/// Distances of the scratch slots from a frame pointer: in the gap below the frame.
pub(super) const SCRATCH: [i16; 3] = [-520, -528, -536];

const MOV64_X: u8 = 0xbf;
const MOV32_K: u8 = 0xb4;
const LOAD64: u8 = 0x79;
const LOAD32: u8 = 0x61;
const STORE64_X: u8 = 0x7b;
const STORE32_K: u8 = 0x62;
const JUMP: u8 = 0x05;
const JEQ_K: u8 = 0x15;
const JNE_K: u8 = 0x55;
const JSLT_K: u8 = 0xc5;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// A register, 0 to 10.
pub(super) type Reg = u8;

/// Where a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The first instruction of an operation.
    Op(u32),
    /// A place that [`Code::label`] made and [`Code::place`] puts.
    Label(usize),
}

/// Instructions under construction.
#[derive(Debug, Default)]
pub(super) struct Code {
    insns: Vec<Insn>,
    /// Where each operation starts.
    ops: Vec<usize>,
    labels: Vec<usize>,
    jumps: Vec<(usize, Target)>,
    /// Guest address of the control block.
    control: i32,
}

impl Code {
    pub(super) fn new(control: u32) -> Self {
        Self {
            control: control as i32,
            ..Self::default()
        }
    }

    /// The next operation starts here.
    pub(super) fn start_op(&mut self) {
        self.ops.push(self.insns.len());
    }

    /// The slot of each operation so far.
    pub(super) fn starts(&self) -> Vec<usize> {
        self.ops.clone()
    }

    pub(super) fn label(&mut self) -> Target {
        self.labels.push(usize::MAX);
        Target::Label(self.labels.len() - 1)
    }

    pub(super) fn place(&mut self, label: Target) {
        if let Target::Label(label) = label {
            self.labels[label] = self.insns.len();
        }
    }

    pub(super) fn emit(&mut self, code: u8, dst: Reg, src: Reg, off: i16, imm: i32) {
        self.insns.push(Insn {
            code,
            dst,
            src,
            off,
            imm,
        });
    }

    /// A jump, conditional or not.
    pub(super) fn jump_if(&mut self, code: u8, dst: Reg, src: Reg, imm: i32, target: Target) {
        self.jumps.push((self.insns.len(), target));
        self.emit(code, dst, src, 0, imm);
    }

    pub(super) fn jump(&mut self, target: Target) {
        self.jump_if(JUMP, 0, 0, 0, target);
    }

    pub(super) fn call_local(&mut self, target: Target) {
        self.jumps.push((self.insns.len(), target));
        self.emit(CALL, 0, 1, 0, 0);
    }

    pub(super) fn exit(&mut self) {
        self.emit(EXIT, 0, 0, 0, 0);
    }

    pub(super) fn mov(&mut self, dst: Reg, src: Reg) {
        if dst != src {
            self.emit(MOV64_X, dst, src, 0, 0);
        }
    }

    /// A 64-bit number.
    pub(super) fn imm64(&mut self, dst: Reg, value: u64) {
        self.emit(crate::isa::LD_IMM64, dst, 0, 0, value as i32);
        self.emit(0, 0, 0, 0, (value >> 32) as i32);
    }

    /// Keeps a register in a scratch slot.
    pub(super) fn spill(&mut self, reg: Reg, slot: usize) {
        self.emit(STORE64_X, 10, reg, SCRATCH[slot], 0);
    }

    /// Takes a register back from a scratch slot.
    pub(super) fn fill(&mut self, reg: Reg, slot: usize) {
        self.emit(LOAD64, reg, 10, SCRATCH[slot], 0);
    }

    /// Two's complement; rbpf's own negation panics on the lowest number when overflow is checked.
    pub(super) fn negate(&mut self, reg: Reg) {
        self.emit(0xa7, reg, 0, 0, -1);
        self.emit(0x07, reg, 0, 0, 1);
    }

    fn control(&mut self, reg: Reg) {
        self.emit(MOV32_K, reg, 0, 0, self.control);
    }

    /// Calls the stub for an operation and leaves the function when the run is over; r0 and r1 change.
    pub(super) fn stub(&mut self, op: u32) {
        self.call_stub(op);
        self.check_stop();
    }

    /// Calls the stub for an operation whatever comes of it; r0 changes.
    pub(super) fn call_stub(&mut self, op: u32) {
        self.control(0);
        self.emit(STORE64_X, 0, 10, control::FRAME, 0);
        self.emit(STORE32_K, 0, 0, control::SITE, op as i32);
        self.emit(CALL, 0, 0, 0, STUB);
    }

    /// Leaves the function when the run is over; r1 changes.
    pub(super) fn check_stop(&mut self) {
        let go_on = self.label();
        self.control(1);
        self.emit(LOAD32, 1, 1, control::STATE, 0);
        self.jump_if(JEQ_K, 1, 0, 0, go_on);
        self.exit();
        self.place(go_on);
    }

    /// As [`Code::stub`] for an operation that may end this function without ending the run;
    /// r0 to r2 change.
    pub(super) fn replace(&mut self, op: u32) {
        let (go_on, leave) = (self.label(), self.label());
        self.call_stub(op);
        self.control(2);
        self.emit(LOAD32, 1, 2, control::STATE, 0);
        self.jump_if(JEQ_K, 1, 0, control::RUNNING as i32, go_on);
        self.jump_if(JNE_K, 1, 0, control::REPLACED as i32, leave);
        self.emit(STORE32_K, 2, 0, control::STATE, control::RUNNING as i32);
        self.place(leave);
        self.exit();
        self.place(go_on);
    }

    /// Takes `amount` from a counter of the control block and goes to `empty` when it was used up;
    /// no register changes.
    pub(super) fn count_down(&mut self, counter: i16, amount: i32, empty: Target) {
        let (go_on, over) = (self.label(), self.label());
        self.spill(1, 0);
        self.spill(2, 1);
        self.control(1);
        self.emit(LOAD64, 2, 1, counter, 0);
        self.emit(0x17, 2, 0, 0, amount);
        self.jump_if(JSLT_K, 2, 0, 0, over);
        self.emit(STORE64_X, 1, 2, counter, 0);
        self.fill(1, 0);
        self.fill(2, 1);
        self.jump(go_on);
        self.place(over);
        self.fill(1, 0);
        self.fill(2, 1);
        self.jump(empty);
        self.place(go_on);
    }

    /// Resolves the jumps.
    ///
    /// # Errors
    /// When the program is longer than rbpf's 16-bit program counter reaches.
    pub(super) fn finish(mut self) -> Result<Box<[u8]>, RbpfError> {
        let len = self.insns.len();
        if len > i16::MAX as usize {
            return Err(RbpfError::Long(len));
        }
        for &(at, target) in &self.jumps {
            let place = match target {
                Target::Op(op) => self.ops[op as usize],
                Target::Label(label) => self.labels[label],
            };
            let distance = place as i64 - at as i64 - 1;
            let insn = &mut self.insns[at];
            if insn.code == CALL {
                insn.imm = distance as i32;
            } else {
                insn.off = distance as i16;
            }
        }
        Ok(self.insns.iter().flat_map(|insn| insn.to_bytes()).collect())
    }
}
