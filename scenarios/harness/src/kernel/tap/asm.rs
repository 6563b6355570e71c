//! An assembler for the few instructions that the taps are made of.

use std::os::fd::{AsRawFd, BorrowedFd};

/// A register: 0 to 10.
pub type Register = u8;

/// Holds results and return values.
pub const R0: Register = 0;
/// Holds the first argument.
pub const R1: Register = 1;
/// Holds the second argument.
pub const R2: Register = 2;
/// Holds the third argument.
pub const R3: Register = 3;
/// Holds the fourth argument.
pub const R4: Register = 4;
/// Holds the fifth argument.
pub const R5: Register = 5;
/// Survives calls.
pub const R6: Register = 6;
/// Survives calls.
pub const R7: Register = 7;
/// Survives calls.
pub const R8: Register = 8;
pub const R9: Register = 9;
/// Points behind the stack frame, which taps have none of.
#[cfg(test)]
pub const FP: Register = 10;

/// Width of a load or store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Two bytes.
    H = 0x08,
    /// Four bytes.
    W = 0x00,
    /// Eight bytes.
    D = 0x18,
}

/// Conditions of a jump that compares with an immediate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Equal.
    Equal = 0x10,
}

/// A jump whose target is yet to come.
#[derive(Debug)]
#[must_use = "a jump needs a target"]
pub struct Jump(usize);

/// A program in the making.
#[derive(Debug, Default)]
pub struct Assembler {
    code: Vec<Instruction>,
    /// Calls of what will stand behind the end.
    calls_behind: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u8,
    to: Register,
    from: Register,
    offset: i16,
    immediate: i32,
}

const LDX: u8 = 0x61;
const STX: u8 = 0x63;
const ST: u8 = 0x62;
const ADD_IMMEDIATE: u8 = 0x07;
const SHIFT_LEFT_IMMEDIATE: u8 = 0x67;
const SHIFT_RIGHT_IMMEDIATE: u8 = 0x77;
const SHIFT_RIGHT_SIGNED_IMMEDIATE: u8 = 0xc7;
const SUBTRACT_REGISTER: u8 = 0x1f;
const AND_REGISTER: u8 = 0x5f;
const EXCLUSIVE_OR_IMMEDIATE: u8 = 0xa7;
const OR_REGISTER: u8 = 0x4f;
const MOVE_IMMEDIATE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const MOVE_WORD_IMMEDIATE: u8 = 0xb4;
const LOAD_WIDE: u8 = 0x18;
const ATOMIC_ADD: u8 = 0xdb;
const JUMP: u8 = 0x05;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// `BPF_PSEUDO_MAP_FD`: the immediate is a map's descriptor.
const MAP: Register = 1;
/// `BPF_PSEUDO_MAP_VALUE`: ... and the address is that of its first value.
const MAP_VALUE: Register = 2;
/// `BPF_PSEUDO_CALL`: the immediate is how far away the function starts, in instructions.
const LOCAL: Register = 1;

impl Assembler {
    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, immediate: i32) {
        self.code.push(Instruction {
            code,
            to,
            from,
            offset,
            immediate,
        });
    }

    /// `to = from`
    pub fn copy(&mut self, to: Register, from: Register) {
        self.push(MOVE_REGISTER, to, from, 0, 0);
    }

    /// `to = value`, sign-extended.
    pub fn set(&mut self, to: Register, value: i32) {
        self.push(MOVE_IMMEDIATE, to, 0, 0, value);
    }

    /// `to = value`, the upper half zero.
    pub fn set_word(&mut self, to: Register, value: u32) {
        self.push(MOVE_WORD_IMMEDIATE, to, 0, 0, value as i32);
    }

    /// `to = *(from + offset)`
    pub fn load(&mut self, width: Width, to: Register, from: Register, offset: i16) {
        self.push(LDX | width as u8, to, from, offset, 0);
    }

    /// `*(to + offset) = from`
    pub fn store(&mut self, width: Width, to: Register, offset: i16, from: Register) {
        self.push(STX | width as u8, to, from, offset, 0);
    }

    /// `*(to + offset) = value`
    pub fn store_value(&mut self, width: Width, to: Register, offset: i16, value: i32) {
        self.push(ST | width as u8, to, 0, offset, value);
    }

    /// `to += value`
    pub fn add(&mut self, to: Register, value: i32) {
        self.push(ADD_IMMEDIATE, to, 0, 0, value);
    }

    /// `to |= from`
    pub fn or_register(&mut self, to: Register, from: Register) {
        self.push(OR_REGISTER, to, from, 0, 0);
    }

    /// `to -= from`
    pub fn subtract_register(&mut self, to: Register, from: Register) {
        self.push(SUBTRACT_REGISTER, to, from, 0, 0);
    }

    /// `to &= from`
    pub fn and_register(&mut self, to: Register, from: Register) {
        self.push(AND_REGISTER, to, from, 0, 0);
    }

    /// `to = !to`
    pub fn invert(&mut self, to: Register) {
        self.push(EXCLUSIVE_OR_IMMEDIATE, to, 0, 0, -1);
    }

    /// `to >>= bits`, with zeroes
    pub fn shift_right(&mut self, to: Register, bits: i32) {
        self.push(SHIFT_RIGHT_IMMEDIATE, to, 0, 0, bits);
    }

    /// `to >>= bits`, with the sign
    pub fn shift_right_signed(&mut self, to: Register, bits: i32) {
        self.push(SHIFT_RIGHT_SIGNED_IMMEDIATE, to, 0, 0, bits);
    }

    /// `to <<= bits`
    pub fn shift_left(&mut self, to: Register, bits: i32) {
        self.push(SHIFT_LEFT_IMMEDIATE, to, 0, 0, bits);
    }

    /// `to =` the map
    pub fn map(&mut self, to: Register, map: BorrowedFd<'_>) {
        self.push(LOAD_WIDE, to, MAP, 0, map.as_raw_fd());
        self.push(0, 0, 0, 0, 0);
    }

    /// `to =` the address of an array's first value
    pub fn map_value(&mut self, to: Register, map: BorrowedFd<'_>) {
        self.push(LOAD_WIDE, to, MAP_VALUE, 0, map.as_raw_fd());
        self.push(0, 0, 0, 0, 0);
    }

    /// `*to += from`, atomically, eight bytes.
    pub fn atomic_add(&mut self, to: Register, from: Register) {
        self.push(ATOMIC_ADD, to, from, 0, 0);
    }

    /// Calls a helper of the kernel by its number.
    pub fn call(&mut self, helper: i32) {
        self.push(CALL, 0, 0, 0, helper);
    }

    /// Calls a function that will stand right behind the program's end.
    pub fn call_behind(&mut self) {
        self.calls_behind.push(self.code.len());
        self.push(CALL, 0, LOCAL, 0, 0);
    }

    /// Returns `R0`.
    pub fn exit(&mut self) {
        self.push(EXIT, 0, 0, 0, 0);
    }

    /// Jumps if the register compares so with the value.
    pub fn jump_if(&mut self, register: Register, condition: Condition, value: i32) -> Jump {
        self.push(JUMP | condition as u8, register, 0, 0, value);
        Jump(self.code.len() - 1)
    }

    /// Makes the next instruction the target of a jump.
    pub fn land(&mut self, jump: Jump) {
        self.code[jump.0].offset = (self.code.len() - jump.0 - 1) as i16;
    }

    /// The instructions as the kernel takes them.
    pub fn finish(self) -> Vec<u8> {
        let end = self.code.len();
        let mut code = self.code;
        for call in self.calls_behind {
            code[call].immediate = (end - call - 1) as i32;
        }
        code.into_iter().flat_map(Instruction::bytes).collect()
    }
}

impl Instruction {
    fn bytes(self) -> [u8; 8] {
        // The registers are bit fields, and a compiler lays those out from the byte order's end.
        let registers = if cfg!(target_endian = "little") {
            self.from << 4 | self.to
        } else {
            self.to << 4 | self.from
        };
        let [o0, o1] = self.offset.to_ne_bytes();
        let [i0, i1, i2, i3] = self.immediate.to_ne_bytes();
        [self.code, registers, o0, o1, i0, i1, i2, i3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_the_instruction_set_says() {
        let mut code = Assembler::default();
        code.load(Width::D, R7, R6, 0x10);
        let jump = code.jump_if(R7, Condition::Equal, 5);
        code.store(Width::H, FP, -2, R7);
        code.land(jump);
        code.call(25);
        code.call_behind();
        code.exit();
        let expected: [[u8; 8]; 6] = [
            [0x79, 0x67, 0x10, 0, 0, 0, 0, 0],
            [0x15, 0x07, 1, 0, 5, 0, 0, 0],
            [0x6b, 0x7a, 0xfe, 0xff, 0, 0, 0, 0],
            [0x85, 0, 0, 0, 25, 0, 0, 0],
            [0x85, 0x10, 0, 0, 1, 0, 0, 0],
            [0x95, 0, 0, 0, 0, 0, 0, 0],
        ];
        if cfg!(target_endian = "little") {
            assert_eq!(code.finish(), expected.concat());
        }
    }
}
