//! Instructions as the checked engine executes them: one [`Op`] each, checked and resolved.

/// An operation without its operands. `K` takes the immediate, `X` the source register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[rustfmt::skip]
#[allow(missing_docs)]
pub enum Code {
    Add64K, Add64X, Sub64K, Sub64X, Mul64K, Mul64X, Div64K, Div64X, SDiv64K, SDiv64X,
    Mod64K, Mod64X, SMod64K, SMod64X, Or64K, Or64X, And64K, And64X, Xor64K, Xor64X,
    Lsh64K, Lsh64X, Rsh64K, Rsh64X, Arsh64K, Arsh64X, Mov64K, Mov64X, Neg64,
    MovSx8To64, MovSx16To64, MovSx32To64,
    Add32K, Add32X, Sub32K, Sub32X, Mul32K, Mul32X, Div32K, Div32X, SDiv32K, SDiv32X,
    Mod32K, Mod32X, SMod32K, SMod32X, Or32K, Or32X, And32K, And32X, Xor32K, Xor32X,
    Lsh32K, Lsh32X, Rsh32K, Rsh32X, Arsh32K, Arsh32X, Mov32K, Mov32X, Neg32,
    MovSx8To32, MovSx16To32,
    /// Keep the low bits: conversion to little-endian on a little-endian machine.
    Le16, Le32, Le64,
    /// Swap the low bytes: to big-endian, and the unconditional swap.
    Be16, Be32, Be64,
    Imm64,
    Jump,
    Jeq64K, Jeq64X, Jne64K, Jne64X, Jgt64K, Jgt64X, Jge64K, Jge64X, Jlt64K, Jlt64X, Jle64K, Jle64X,
    Jsgt64K, Jsgt64X, Jsge64K, Jsge64X, Jslt64K, Jslt64X, Jsle64K, Jsle64X, Jset64K, Jset64X,
    Jeq32K, Jeq32X, Jne32K, Jne32X, Jgt32K, Jgt32X, Jge32K, Jge32X, Jlt32K, Jlt32X, Jle32K, Jle32X,
    Jsgt32K, Jsgt32X, Jsge32K, Jsge32X, Jslt32K, Jslt32X, Jsle32K, Jsle32X, Jset32K, Jset32X,
    /// Falls through until the run's allowance of iterations is used up, then jumps.
    MayGoto,
    Load8, Load16, Load32, Load64, LoadSx8, LoadSx16, LoadSx32,
    /// Loads and stores through r10: the place in the frame is known.
    LoadFrame8, LoadFrame16, LoadFrame32, LoadFrame64,
    Store8K, Store16K, Store32K, Store64K, Store8X, Store16X, Store32X, Store64X,
    StoreFrame8K, StoreFrame16K, StoreFrame32K, StoreFrame64K,
    StoreFrame8X, StoreFrame16X, StoreFrame32X, StoreFrame64X,
    Atomic32, Atomic64,
    LoadAcquire8, LoadAcquire16, LoadAcquire32, LoadAcquire64,
    StoreRelease8, StoreRelease16, StoreRelease32, StoreRelease64,
    /// Packet loads of classic BPF: r0 = the big-endian bytes at an offset, or the program ends with 0.
    LoadAbs8, LoadAbs16, LoadAbs32, LoadInd8, LoadInd16, LoadInd32,
    CallHelper, CallLocal, CallRegister, TailCall, Exit,
    /// `bpf_map_lookup_elem`.
    LookUp,
    /// Behind the last operation.
    Wild,
    /// Operations that are executed together; see `isa/joined.rs`.
    Mov64XAdd64X, Add64KJgt64X, Sub32XXor32X, Add32XSub32X, Add32XSub32XXor32X, And32KJeq32K, And32KJne32K,
    Mov32KStoreFrame32X, Mov64KStoreFrame64X, Load32StoreFrame32X, LoadFrame32StoreFrame32X,
    StoreFrame32XStoreFrame32X, StoreFrame64XStoreFrame64X, StoreFrame32XLoadFrame32,
    StoreFrame32XLoadFrame64, StoreFrame32XLoad16, Load16StoreFrame32X, LoadFrame64StoreFrame32X,
    LoadFrame64Add64X, LoadFrame32Jeq32K, LoadFrame32Jne32K, Load8Jeq32K, Load8Jne32K,
    Load8Jeq64K, Load8Jne64K, Load16Jeq64K, Load16Jne64K, Load64Add64K,
    Load16Be16, Load32Be32, Load32Load32, Load16Load16, Mov32KMov32K, Mov64KMov64K, Mov64XMov64X,
    /// `dst = src op imm`: a move and what follows on the same register.
    MovAdd64, MovAnd64, MovLsh64, MovRsh64, MovAnd32, MovLsh32, MovRsh32,
    /// `dst = (dst << off) >> imm`.
    LshRsh64, LshArsh64,
    /// `dst = dst << imm | src`, 32 bits.
    LshOr32,
    /// `dst = src >> imm`, and the register with the number `off` = `src` rotated by as much, 32 bits.
    Rotate32,
}

impl Code {
    /// Whether the operation may go on at the operation that `off` names.
    pub const fn is_jump(self) -> bool {
        let code = self as u8;
        code >= Self::Jump as u8 && code <= Self::MayGoto as u8
    }
}

/// A register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

impl Reg {
    /// The register of that number.
    pub const fn new(number: u8) -> Option<Self> {
        use Reg::*;
        const ALL: [Reg; 11] = [R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10];
        if (number as usize) < ALL.len() {
            Some(ALL[number as usize])
        } else {
            None
        }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// A decoded instruction.
#[derive(Debug, Clone, Copy)]
pub struct Op {
    /// The operation.
    pub code: Code,
    /// Destination register.
    pub dst: Reg,
    /// Source register.
    pub src: Reg,
    /// The target of a jump or call as an index of an `Op`; the offset of a load or store, sign-extended;
    /// for a place in the frame, bytes from the frame's low end.
    pub off: u32,
    /// The immediate, sign-extended; the helper's number; an atomic's operation.
    pub imm: u64,
}
