//! Instructions by name.

use twinpath_machine::isa::{Insn, LD_IMM64};

pub const fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn {
        code,
        dst,
        src,
        off,
        imm,
    }
}

/// An arithmetic operation: the high four bits of its code.
pub mod op {
    pub const ADD: u8 = 0x00;
    pub const SUB: u8 = 0x10;
    pub const MUL: u8 = 0x20;
    pub const DIV: u8 = 0x30;
    pub const OR: u8 = 0x40;
    pub const AND: u8 = 0x50;
    pub const LSH: u8 = 0x60;
    pub const RSH: u8 = 0x70;
    pub const NEG: u8 = 0x80;
    pub const MOD: u8 = 0x90;
    pub const XOR: u8 = 0xa0;
    pub const MOV: u8 = 0xb0;
    pub const ARSH: u8 = 0xc0;
}

/// A comparison: the high four bits of its code.
pub mod cond {
    pub const JEQ: u8 = 0x10;
    pub const JGT: u8 = 0x20;
    pub const JGE: u8 = 0x30;
    pub const JSET: u8 = 0x40;
    pub const JNE: u8 = 0x50;
    pub const JSGT: u8 = 0x60;
    pub const JSGE: u8 = 0x70;
    pub const JLT: u8 = 0xa0;
    pub const JLE: u8 = 0xb0;
    pub const JSLT: u8 = 0xc0;
    pub const JSLE: u8 = 0xd0;
}

/// The width of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    B,
    H,
    W,
    D,
}

impl Width {
    pub const ALL: [Self; 4] = [Self::B, Self::H, Self::W, Self::D];

    pub const fn bytes(self) -> i16 {
        match self {
            Self::B => 1,
            Self::H => 2,
            Self::W => 4,
            Self::D => 8,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::W => 0x00,
            Self::H => 0x08,
            Self::B => 0x10,
            Self::D => 0x18,
        }
    }
}

const fn alu_class(wide: bool) -> u8 {
    if wide { 7 } else { 4 }
}

const fn jump_class(wide: bool) -> u8 {
    if wide { 5 } else { 6 }
}

/// `dst op= imm`; `off` is 1 for the signed division and modulo.
pub const fn alu_k(wide: bool, op: u8, dst: u8, imm: i32, off: i16) -> Insn {
    insn(op | alu_class(wide), dst, 0, off, imm)
}

/// `dst op= src`; `off` is 1 for the signed division and modulo, the source's bits for a sign-extending move.
pub const fn alu_x(wide: bool, op: u8, dst: u8, src: u8, off: i16) -> Insn {
    insn(op | 8 | alu_class(wide), dst, src, off, 0)
}

pub const fn mov(dst: u8, imm: i32) -> Insn {
    alu_k(true, op::MOV, dst, imm, 0)
}

pub const fn movr(dst: u8, src: u8) -> Insn {
    alu_x(true, op::MOV, dst, src, 0)
}

pub const fn neg(wide: bool, dst: u8) -> Insn {
    insn(op::NEG | alu_class(wide), dst, 0, 0, 0)
}

/// To little-endian.
pub const fn le(dst: u8, bits: i32) -> Insn {
    insn(0xd4, dst, 0, 0, bits)
}

/// To big-endian.
pub const fn be(dst: u8, bits: i32) -> Insn {
    insn(0xdc, dst, 0, 0, bits)
}

pub const fn bswap(dst: u8, bits: i32) -> Insn {
    insn(0xd7, dst, 0, 0, bits)
}

pub const fn jump_k(wide: bool, cond: u8, dst: u8, imm: i32, off: i16) -> Insn {
    insn(cond | jump_class(wide), dst, 0, off, imm)
}

pub const fn jump_x(wide: bool, cond: u8, dst: u8, src: u8, off: i16) -> Insn {
    insn(cond | 8 | jump_class(wide), dst, src, off, 0)
}

pub const fn ja(off: i16) -> Insn {
    insn(0x05, 0, 0, off, 0)
}

pub const fn gotol(off: i32) -> Insn {
    insn(0x06, 0, 0, 0, off)
}

pub const fn ldx(width: Width, dst: u8, src: u8, off: i16) -> Insn {
    insn(0x61 | width.bits(), dst, src, off, 0)
}

/// A sign-extending load.
pub const fn ldsx(width: Width, dst: u8, src: u8, off: i16) -> Insn {
    insn(0x81 | width.bits(), dst, src, off, 0)
}

pub const fn st(width: Width, dst: u8, off: i16, imm: i32) -> Insn {
    insn(0x62 | width.bits(), dst, 0, off, imm)
}

pub const fn stx(width: Width, dst: u8, off: i16, src: u8) -> Insn {
    insn(0x63 | width.bits(), dst, src, off, 0)
}

/// Immediates of atomic operations.
pub mod atomic {
    pub const ADD: i32 = 0x00;
    pub const OR: i32 = 0x40;
    pub const AND: i32 = 0x50;
    pub const XOR: i32 = 0xa0;
    pub const FETCH: i32 = 0x01;
    pub const XCHG: i32 = 0xe1;
    pub const CMPXCHG: i32 = 0xf1;
    pub const LOAD_ACQUIRE: i32 = 0x100;
    pub const STORE_RELEASE: i32 = 0x110;

    /// Those that read, change and write.
    pub const ALL: [i32; 10] = [
        ADD,
        OR,
        AND,
        XOR,
        ADD | FETCH,
        OR | FETCH,
        AND | FETCH,
        XOR | FETCH,
        XCHG,
        CMPXCHG,
    ];
}

pub const fn atomic(width: Width, operation: i32, dst: u8, off: i16, src: u8) -> Insn {
    insn(0xc3 | width.bits(), dst, src, off, operation)
}

/// A 64-bit immediate; `kind` is a pseudo source.
pub const fn lddw(dst: u8, kind: u8, value: u64) -> [Insn; 2] {
    [
        insn(LD_IMM64, dst, kind, 0, value as i32),
        insn(0, 0, 0, 0, (value >> 32) as i32),
    ]
}

/// A packet load at a constant offset.
pub const fn ld_abs(width: Width, offset: i32) -> Insn {
    insn(0x20 | width.bits(), 0, 0, 0, offset)
}

/// A packet load at an offset from a register.
pub const fn ld_ind(width: Width, src: u8, offset: i32) -> Insn {
    insn(0x40 | width.bits(), 0, src, 0, offset)
}

pub const fn call(helper: i32) -> Insn {
    insn(0x85, 0, 0, 0, helper)
}

pub const fn call_local(distance: i32) -> Insn {
    insn(0x85, 0, 1, 0, distance)
}

pub const fn callx(target: u8) -> Insn {
    insn(0x8d, target, 0, 0, 0)
}

pub const fn exit() -> Insn {
    insn(0x95, 0, 0, 0, 0)
}
