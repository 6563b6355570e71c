//! The loop: what needs neither another function nor a helper.

use super::alu;
use super::registers::Registers;
use crate::fault::FaultKind;
use crate::isa::{Code, Op, Reg};
use crate::memory::{Checked, Frame, Memory};

/// Where a function stands.
pub(super) struct State {
    pub(super) registers: Registers,
    /// The next operation.
    pub(super) pc: usize,
    pub(super) frame: Frame,
}

/// What a run may still do.
pub(super) struct Limits {
    /// Instructions; below zero when they are used up.
    pub(super) instructions: i64,
    /// Iterations of `may_goto`.
    pub(super) iterations: u32,
}

/// Why the loop ended. The operation that ended it stands before [`State::pc`].
pub(super) enum Stop {
    /// It is one of those that the loop leaves to its caller.
    Leave,
    /// It failed.
    Fault(Box<FaultKind>),
    /// It was a jump, and the budget is used up.
    Budget,
    /// There is no such operation.
    Wild,
    /// It is done, and the caller wants to see each.
    Step,
}

/// Executes operations until one stops it, or a single one.
///
/// Instructions are counted where straight runs of them end. The cost of an operation is that of its
/// dispatch, so the function has few variables and calls nothing on the good path but memory.
#[allow(clippy::too_many_lines)] // One arm for each operation; splitting it would cost a call each.
pub(super) fn execute<const SINGLE: bool>(
    ops: &[Op],
    memory: &mut Memory,
    limits: &mut Limits,
    state: &mut State,
) -> Stop {
    let regs = &mut state.registers;
    let frame = state.frame;
    let mut pc = state.pc;
    // Where the straight run of operations began that has not been counted yet.
    let mut start = pc;

    macro_rules! stop {
        ($stop:expr) => {{
            limits.instructions -= (pc - start) as i64;
            state.pc = pc;
            return $stop;
        }};
    }
    macro_rules! check {
        ($result:expr) => {
            match $result {
                Ok(value) => value,
                Err(kind) => stop!(Stop::Fault(kind)),
            }
        };
    }
    macro_rules! goto {
        ($op:ident) => {{
            limits.instructions -= (pc - start) as i64;
            if limits.instructions < 0 {
                state.pc = pc;
                return Stop::Budget;
            }
            pc = $op.off as usize;
            start = pc;
        }};
    }
    macro_rules! dst {
        ($op:ident) => {
            regs[$op.dst]
        };
    }
    macro_rules! src {
        ($op:ident) => {
            regs[$op.src]
        };
    }
    macro_rules! alu64 {
        ($op:ident, $rhs:expr, |$a:ident, $b:ident| $result:expr) => {{
            let ($a, $b) = (dst!($op), $rhs);
            dst!($op) = $result;
        }};
    }
    macro_rules! alu32 {
        ($op:ident, $rhs:expr, |$a:ident, $b:ident| $result:expr) => {{
            let ($a, $b) = (dst!($op) as u32, $rhs as u32);
            dst!($op) = u64::from($result);
        }};
    }
    macro_rules! jump {
        ($op:ident, $holds:expr) => {
            if $holds {
                goto!($op);
            }
        };
    }
    macro_rules! address {
        ($register:expr, $op:ident) => {
            $register.wrapping_add($op.off as i32 as i64 as u64)
        };
    }
    macro_rules! load {
        ($op:ident, $size:literal) => {{
            let pointer = address!(src!($op), $op);
            check!(memory.load::<$size>(pointer, pc as u32 - 1))
        }};
    }
    macro_rules! store {
        ($op:ident, $size:literal, $value:expr) => {{
            let (pointer, value) = (address!(dst!($op), $op), $value);
            check!(memory.store::<$size>(pointer, value, pc as u32 - 1));
        }};
    }
    macro_rules! load_frame {
        ($op:ident, $size:literal) => {
            dst!($op) = check!(memory.load_frame::<$size>(frame, $op.off, pc as u32 - 1))
        };
    }
    macro_rules! store_frame {
        ($op:ident, $size:literal, $value:expr) => {
            memory.store_frame::<$size>(frame, $op.off, $value)
        };
    }

    loop {
        let Some(op) = ops.get(pc) else {
            stop!(Stop::Wild);
        };
        pc += 1;
        match op.code {
            Code::Add64K => alu64!(op, op.imm, |a, b| a.wrapping_add(b)),
            Code::Add64X => alu64!(op, src!(op), |a, b| a.wrapping_add(b)),
            Code::Sub64K => alu64!(op, op.imm, |a, b| a.wrapping_sub(b)),
            Code::Sub64X => alu64!(op, src!(op), |a, b| a.wrapping_sub(b)),
            Code::Mul64K => alu64!(op, op.imm, |a, b| a.wrapping_mul(b)),
            Code::Mul64X => alu64!(op, src!(op), |a, b| a.wrapping_mul(b)),
            Code::Div64K => alu64!(op, op.imm, |a, b| alu::div64(a, b)),
            Code::Div64X => alu64!(op, src!(op), |a, b| alu::div64(a, b)),
            Code::SDiv64K => alu64!(op, op.imm, |a, b| alu::sdiv64(a, b)),
            Code::SDiv64X => alu64!(op, src!(op), |a, b| alu::sdiv64(a, b)),
            Code::Mod64K => alu64!(op, op.imm, |a, b| alu::mod64(a, b)),
            Code::Mod64X => alu64!(op, src!(op), |a, b| alu::mod64(a, b)),
            Code::SMod64K => alu64!(op, op.imm, |a, b| alu::smod64(a, b)),
            Code::SMod64X => alu64!(op, src!(op), |a, b| alu::smod64(a, b)),
            Code::Or64K => alu64!(op, op.imm, |a, b| a | b),
            Code::Or64X => alu64!(op, src!(op), |a, b| a | b),
            Code::And64K => alu64!(op, op.imm, |a, b| a & b),
            Code::And64X => alu64!(op, src!(op), |a, b| a & b),
            Code::Xor64K => alu64!(op, op.imm, |a, b| a ^ b),
            Code::Xor64X => alu64!(op, src!(op), |a, b| a ^ b),
            Code::Lsh64K => alu64!(op, op.imm, |a, b| a << (b & 63)),
            Code::Lsh64X => alu64!(op, src!(op), |a, b| a << (b & 63)),
            Code::Rsh64K => alu64!(op, op.imm, |a, b| a >> (b & 63)),
            Code::Rsh64X => alu64!(op, src!(op), |a, b| a >> (b & 63)),
            Code::Arsh64K => alu64!(op, op.imm, |a, b| ((a as i64) >> (b & 63)) as u64),
            Code::Arsh64X => alu64!(op, src!(op), |a, b| ((a as i64) >> (b & 63)) as u64),
            Code::Mov64K => dst!(op) = op.imm,
            Code::Mov64X => dst!(op) = src!(op),
            Code::Neg64 => dst!(op) = dst!(op).wrapping_neg(),
            Code::MovSx8To64 => dst!(op) = src!(op) as i8 as u64,
            Code::MovSx16To64 => dst!(op) = src!(op) as i16 as u64,
            Code::MovSx32To64 => dst!(op) = src!(op) as i32 as u64,
            Code::Add32K => alu32!(op, op.imm, |a, b| a.wrapping_add(b)),
            Code::Add32X => alu32!(op, src!(op), |a, b| a.wrapping_add(b)),
            Code::Sub32K => alu32!(op, op.imm, |a, b| a.wrapping_sub(b)),
            Code::Sub32X => alu32!(op, src!(op), |a, b| a.wrapping_sub(b)),
            Code::Mul32K => alu32!(op, op.imm, |a, b| a.wrapping_mul(b)),
            Code::Mul32X => alu32!(op, src!(op), |a, b| a.wrapping_mul(b)),
            Code::Div32K => alu32!(op, op.imm, |a, b| alu::div32(a, b)),
            Code::Div32X => alu32!(op, src!(op), |a, b| alu::div32(a, b)),
            Code::SDiv32K => alu32!(op, op.imm, |a, b| alu::sdiv32(a, b)),
            Code::SDiv32X => alu32!(op, src!(op), |a, b| alu::sdiv32(a, b)),
            Code::Mod32K => alu32!(op, op.imm, |a, b| alu::mod32(a, b)),
            Code::Mod32X => alu32!(op, src!(op), |a, b| alu::mod32(a, b)),
            Code::SMod32K => alu32!(op, op.imm, |a, b| alu::smod32(a, b)),
            Code::SMod32X => alu32!(op, src!(op), |a, b| alu::smod32(a, b)),
            Code::Or32K => alu32!(op, op.imm, |a, b| a | b),
            Code::Or32X => alu32!(op, src!(op), |a, b| a | b),
            Code::And32K => alu32!(op, op.imm, |a, b| a & b),
            Code::And32X => alu32!(op, src!(op), |a, b| a & b),
            Code::Xor32K => alu32!(op, op.imm, |a, b| a ^ b),
            Code::Xor32X => alu32!(op, src!(op), |a, b| a ^ b),
            Code::Lsh32K => alu32!(op, op.imm, |a, b| a << (b & 31)),
            Code::Lsh32X => alu32!(op, src!(op), |a, b| a << (b & 31)),
            Code::Rsh32K => alu32!(op, op.imm, |a, b| a >> (b & 31)),
            Code::Rsh32X => alu32!(op, src!(op), |a, b| a >> (b & 31)),
            Code::Arsh32K => alu32!(op, op.imm, |a, b| ((a as i32) >> (b & 31)) as u32),
            Code::Arsh32X => alu32!(op, src!(op), |a, b| ((a as i32) >> (b & 31)) as u32),
            Code::Mov32K => dst!(op) = u64::from(op.imm as u32),
            Code::Mov32X => dst!(op) = u64::from(src!(op) as u32),
            Code::Neg32 => dst!(op) = u64::from((dst!(op) as u32).wrapping_neg()),
            Code::MovSx8To32 => dst!(op) = u64::from(src!(op) as i8 as u32),
            Code::MovSx16To32 => dst!(op) = u64::from(src!(op) as i16 as u32),
            Code::Le16 => dst!(op) = u64::from(dst!(op) as u16),
            Code::Le32 => dst!(op) = u64::from(dst!(op) as u32),
            Code::Le64 => {}
            Code::Be16 => dst!(op) = u64::from((dst!(op) as u16).swap_bytes()),
            Code::Be32 => dst!(op) = u64::from((dst!(op) as u32).swap_bytes()),
            Code::Be64 => dst!(op) = dst!(op).swap_bytes(),
            Code::Imm64 => dst!(op) = op.imm,

            Code::Jump => goto!(op),
            Code::Jeq64K => jump!(op, dst!(op) == op.imm),
            Code::Jeq64X => jump!(op, dst!(op) == src!(op)),
            Code::Jne64K => jump!(op, dst!(op) != op.imm),
            Code::Jne64X => jump!(op, dst!(op) != src!(op)),
            Code::Jgt64K => jump!(op, dst!(op) > op.imm),
            Code::Jgt64X => jump!(op, dst!(op) > src!(op)),
            Code::Jge64K => jump!(op, dst!(op) >= op.imm),
            Code::Jge64X => jump!(op, dst!(op) >= src!(op)),
            Code::Jlt64K => jump!(op, dst!(op) < op.imm),
            Code::Jlt64X => jump!(op, dst!(op) < src!(op)),
            Code::Jle64K => jump!(op, dst!(op) <= op.imm),
            Code::Jle64X => jump!(op, dst!(op) <= src!(op)),
            Code::Jsgt64K => jump!(op, dst!(op) as i64 > op.imm as i64),
            Code::Jsgt64X => jump!(op, dst!(op) as i64 > src!(op) as i64),
            Code::Jsge64K => jump!(op, dst!(op) as i64 >= op.imm as i64),
            Code::Jsge64X => jump!(op, dst!(op) as i64 >= src!(op) as i64),
            Code::Jslt64K => jump!(op, (dst!(op) as i64) < op.imm as i64),
            Code::Jslt64X => jump!(op, (dst!(op) as i64) < src!(op) as i64),
            Code::Jsle64K => jump!(op, dst!(op) as i64 <= op.imm as i64),
            Code::Jsle64X => jump!(op, dst!(op) as i64 <= src!(op) as i64),
            Code::Jset64K => jump!(op, dst!(op) & op.imm != 0),
            Code::Jset64X => jump!(op, dst!(op) & src!(op) != 0),
            Code::Jeq32K => jump!(op, dst!(op) as u32 == op.imm as u32),
            Code::Jeq32X => jump!(op, dst!(op) as u32 == src!(op) as u32),
            Code::Jne32K => jump!(op, dst!(op) as u32 != op.imm as u32),
            Code::Jne32X => jump!(op, dst!(op) as u32 != src!(op) as u32),
            Code::Jgt32K => jump!(op, dst!(op) as u32 > op.imm as u32),
            Code::Jgt32X => jump!(op, dst!(op) as u32 > src!(op) as u32),
            Code::Jge32K => jump!(op, dst!(op) as u32 >= op.imm as u32),
            Code::Jge32X => jump!(op, dst!(op) as u32 >= src!(op) as u32),
            Code::Jlt32K => jump!(op, (dst!(op) as u32) < op.imm as u32),
            Code::Jlt32X => jump!(op, (dst!(op) as u32) < src!(op) as u32),
            Code::Jle32K => jump!(op, dst!(op) as u32 <= op.imm as u32),
            Code::Jle32X => jump!(op, dst!(op) as u32 <= src!(op) as u32),
            Code::Jsgt32K => jump!(op, dst!(op) as i32 > op.imm as i32),
            Code::Jsgt32X => jump!(op, dst!(op) as i32 > src!(op) as i32),
            Code::Jsge32K => jump!(op, dst!(op) as i32 >= op.imm as i32),
            Code::Jsge32X => jump!(op, dst!(op) as i32 >= src!(op) as i32),
            Code::Jslt32K => jump!(op, (dst!(op) as i32) < op.imm as i32),
            Code::Jslt32X => jump!(op, (dst!(op) as i32) < src!(op) as i32),
            Code::Jsle32K => jump!(op, dst!(op) as i32 <= op.imm as i32),
            Code::Jsle32X => jump!(op, dst!(op) as i32 <= src!(op) as i32),
            Code::Jset32K => jump!(op, (dst!(op) & op.imm) as u32 != 0),
            Code::Jset32X => jump!(op, (dst!(op) & src!(op)) as u32 != 0),
            Code::MayGoto => match limits.iterations.checked_sub(1) {
                Some(left) => limits.iterations = left,
                None => goto!(op),
            },

            Code::Load8 => dst!(op) = load!(op, 1),
            Code::Load16 => dst!(op) = load!(op, 2),
            Code::Load32 => dst!(op) = load!(op, 4),
            Code::Load64 => dst!(op) = load!(op, 8),
            Code::LoadSx8 => dst!(op) = load!(op, 1) as i8 as u64,
            Code::LoadSx16 => dst!(op) = load!(op, 2) as i16 as u64,
            Code::LoadSx32 => dst!(op) = load!(op, 4) as i32 as u64,
            Code::LoadFrame8 => load_frame!(op, 1),
            Code::LoadFrame16 => load_frame!(op, 2),
            Code::LoadFrame32 => load_frame!(op, 4),
            Code::LoadFrame64 => load_frame!(op, 8),
            Code::Store8K => store!(op, 1, op.imm),
            Code::Store16K => store!(op, 2, op.imm),
            Code::Store32K => store!(op, 4, op.imm),
            Code::Store64K => store!(op, 8, op.imm),
            Code::Store8X => store!(op, 1, src!(op)),
            Code::Store16X => store!(op, 2, src!(op)),
            Code::Store32X => store!(op, 4, src!(op)),
            Code::Store64X => store!(op, 8, src!(op)),
            Code::StoreFrame8K => store_frame!(op, 1, op.imm),
            Code::StoreFrame16K => store_frame!(op, 2, op.imm),
            Code::StoreFrame32K => store_frame!(op, 4, op.imm),
            Code::StoreFrame64K => store_frame!(op, 8, op.imm),
            Code::StoreFrame8X => store_frame!(op, 1, src!(op)),
            Code::StoreFrame16X => store_frame!(op, 2, src!(op)),
            Code::StoreFrame32X => store_frame!(op, 4, src!(op)),
            Code::StoreFrame64X => store_frame!(op, 8, src!(op)),
            Code::Atomic32 => check!(atomic::<4>(memory, regs, op, pc as u32 - 1)),
            Code::Atomic64 => check!(atomic::<8>(memory, regs, op, pc as u32 - 1)),
            Code::LoadAcquire8 => dst!(op) = load!(op, 1),
            Code::LoadAcquire16 => dst!(op) = load!(op, 2),
            Code::LoadAcquire32 => dst!(op) = load!(op, 4),
            Code::LoadAcquire64 => dst!(op) = load!(op, 8),
            Code::StoreRelease8 => store!(op, 1, src!(op)),
            Code::StoreRelease16 => store!(op, 2, src!(op)),
            Code::StoreRelease32 => store!(op, 4, src!(op)),
            Code::StoreRelease64 => store!(op, 8, src!(op)),
            Code::LoadAbs8
            | Code::LoadAbs16
            | Code::LoadAbs32
            | Code::LoadInd8
            | Code::LoadInd16
            | Code::LoadInd32
            | Code::CallHelper
            | Code::CallLocal
            | Code::CallRegister
            | Code::TailCall
            | Code::Exit => stop!(Stop::Leave),
        }
        if SINGLE {
            stop!(Stop::Step);
        }
    }
}

/// An atomic operation on `N` bytes.
#[inline(never)]
fn atomic<const N: usize>(
    memory: &mut Memory,
    regs: &mut Registers,
    op: &Op,
    at: u32,
) -> Checked<()> {
    let pointer = regs[op.dst].wrapping_add(op.off as i32 as i64 as u64);
    let narrow = |value: u64| {
        if N == 4 {
            u64::from(value as u32)
        } else {
            value
        }
    };
    let old = memory.load::<N>(pointer, at)?;
    let new = alu::atomic(op.imm, old, narrow(regs[op.src]), narrow(regs[Reg::R0]));
    // A failed compare-and-exchange needs a writable place all the same.
    memory.store::<N>(pointer, new.unwrap_or(old), at)?;
    match op.imm {
        0xf1 => regs[Reg::R0] = old,
        operation if operation & 1 != 0 => regs[op.src] = old,
        _ => {}
    }
    Ok(())
}

const _: () = assert!(size_of::<Op>() == 16);
