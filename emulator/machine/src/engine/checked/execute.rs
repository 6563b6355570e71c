//! The loop: what needs neither another function nor a helper.
#![allow(unsafe_code)] // Going from one operation to the next, which decoding has checked.

use super::alu;
use super::registers::Registers;
use crate::fault::FaultKind;
use crate::isa::{Code, Joined, Op, Reg};
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
    ops: &Joined,
    memory: &mut Memory,
    limits: &mut Limits,
    state: &mut State,
) -> Stop {
    /// Bytes of an operation.
    const SIZE: isize = size_of::<Op>() as isize;
    let ops = ops.ops();
    if state.pc >= ops.len() {
        return Stop::Wild;
    }
    let first = ops.as_ptr();
    let regs = &mut state.registers;
    let frame = state.frame;
    let view = memory.view(frame);
    // SAFETY: the index was just checked.
    let mut next = unsafe { first.add(state.pc) };
    // The address that the run of operations which is not counted yet may reach: every jump moves it along.
    let budget = limits.instructions.min(1 << 48) as isize;
    let mut limit = next.addr() as isize + budget * SIZE;

    // The index of the next operation.
    macro_rules! pc {
        () => {
            (next.addr() - first.addr()) / size_of::<Op>()
        };
    }
    macro_rules! stop {
        ($stop:expr) => {{
            limits.instructions +=
                ((limit - next.addr() as isize) >> SIZE.trailing_zeros()) as i64 - budget as i64;
            state.pc = pc!();
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
            if next.addr() as isize > limit {
                stop!(Stop::Budget);
            }
            let distance = $op.off as i32 as isize;
            // SAFETY: a jump leads to an operation of the program, see `Joined`.
            next = unsafe { next.byte_offset(distance) };
            limit += distance;
        }};
    }
    macro_rules! next {
        () => {{
            // SAFETY: the last operation is `Code::Wild`, which ends the loop, so that there is another one
            // behind each that was executed; jumps lead to operations too.
            let op = unsafe { &*next };
            // SAFETY: as above; behind the last one it is only an address.
            next = unsafe { next.add(1) };
            op
        }};
    }
    // Operations one after another, for which the loop would dispatch once each.
    macro_rules! sequence {
        ($op:ident, $first:ident $(, $code:ident)*) => {{
            step!($first, $op);
            $(
                let op = next!();
                step!($code, op);
            )*
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
            match memory.load_plain::<$size>(pointer) {
                Some(value) => value,
                None => check!(memory.load_special::<$size>(pointer, pc!() as u32 - 1)),
            }
        }};
    }
    macro_rules! store {
        ($op:ident, $size:literal, $value:expr) => {{
            let (pointer, value) = (address!(dst!($op), $op), $value);
            if memory.store_plain::<$size>(pointer, value).is_none() {
                check!(memory.store_special::<$size>(pointer, value, pc!() as u32 - 1));
            }
        }};
    }
    macro_rules! load_frame {
        ($op:ident, $size:literal) => {
            // SAFETY: the memory is borrowed by this function, which holds no reference to its bytes.
            dst!($op) = match unsafe { view.load::<$size>($op.off) } {
                Some(value) => value,
                None => check!(memory.load_unwritten::<$size>(frame, $op.off, pc!() as u32 - 1)),
            }
        };
    }
    macro_rules! store_frame {
        ($op:ident, $size:literal, $value:expr) => {
            // SAFETY: as for loads.
            unsafe { view.store::<$size>($op.off, $value) }
        };
    }

    // What stands for so many operations.
    macro_rules! merged {
        ($count:literal, $result:expr) => {{
            $result;
            // SAFETY: the operations that it stands for are all in the program, and another one behind them.
            next = unsafe { next.add($count - 1) };
        }};
    }
    // What may be part of a sequence.
    macro_rules! step {
        (Add64K, $op:ident) => {
            alu64!($op, $op.imm, |a, b| a.wrapping_add(b))
        };
        (Add64X, $op:ident) => {
            alu64!($op, src!($op), |a, b| a.wrapping_add(b))
        };
        (Mov64K, $op:ident) => {
            dst!($op) = $op.imm
        };
        (Mov64X, $op:ident) => {
            dst!($op) = src!($op)
        };
        (Jgt64X, $op:ident) => {
            jump!($op, dst!($op) > src!($op))
        };
        (Mov32X, $op:ident) => {
            dst!($op) = u64::from(src!($op) as u32)
        };
        (Mov32K, $op:ident) => {
            dst!($op) = u64::from($op.imm as u32)
        };
        (And32K, $op:ident) => {
            alu32!($op, $op.imm, |a, b| a & b)
        };
        (Sub32X, $op:ident) => {
            alu32!($op, src!($op), |a, b| a.wrapping_sub(b))
        };
        (Xor32X, $op:ident) => {
            alu32!($op, src!($op), |a, b| a ^ b)
        };
        (Add32X, $op:ident) => {
            alu32!($op, src!($op), |a, b| a.wrapping_add(b))
        };
        (Jeq64K, $op:ident) => {
            jump!($op, dst!($op) == $op.imm)
        };
        (Jne64K, $op:ident) => {
            jump!($op, dst!($op) != $op.imm)
        };
        (Jeq32K, $op:ident) => {
            jump!($op, dst!($op) as u32 == $op.imm as u32)
        };
        (Jne32K, $op:ident) => {
            jump!($op, dst!($op) as u32 != $op.imm as u32)
        };
        (StoreFrame32X, $op:ident) => {
            store_frame!($op, 4, src!($op))
        };
        (StoreFrame64X, $op:ident) => {
            store_frame!($op, 8, src!($op))
        };
        (Load32, $op:ident) => {
            dst!($op) = load!($op, 4)
        };
        (Load64, $op:ident) => {
            dst!($op) = load!($op, 8)
        };
        (LoadFrame32, $op:ident) => {
            load_frame!($op, 4)
        };
        (LoadFrame64, $op:ident) => {
            load_frame!($op, 8)
        };
        (Load8, $op:ident) => {
            dst!($op) = load!($op, 1)
        };
        (Load16, $op:ident) => {
            dst!($op) = load!($op, 2)
        };
        (Be16, $op:ident) => {
            dst!($op) = u64::from((dst!($op) as u16).swap_bytes())
        };
        (Be32, $op:ident) => {
            dst!($op) = u64::from((dst!($op) as u32).swap_bytes())
        };
    }

    loop {
        let op = next!();
        match op.code {
            Code::Add64K => step!(Add64K, op),
            Code::Add64X => step!(Add64X, op),
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
            Code::Mov64K => step!(Mov64K, op),
            Code::Mov64X => step!(Mov64X, op),
            Code::Neg64 => dst!(op) = dst!(op).wrapping_neg(),
            Code::MovSx8To64 => dst!(op) = src!(op) as i8 as u64,
            Code::MovSx16To64 => dst!(op) = src!(op) as i16 as u64,
            Code::MovSx32To64 => dst!(op) = src!(op) as i32 as u64,
            Code::Add32K => alu32!(op, op.imm, |a, b| a.wrapping_add(b)),
            Code::Add32X => step!(Add32X, op),
            Code::Sub32K => alu32!(op, op.imm, |a, b| a.wrapping_sub(b)),
            Code::Sub32X => step!(Sub32X, op),
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
            Code::And32K => step!(And32K, op),
            Code::And32X => alu32!(op, src!(op), |a, b| a & b),
            Code::Xor32K => alu32!(op, op.imm, |a, b| a ^ b),
            Code::Xor32X => step!(Xor32X, op),
            Code::Lsh32K => alu32!(op, op.imm, |a, b| a << (b & 31)),
            Code::Lsh32X => alu32!(op, src!(op), |a, b| a << (b & 31)),
            Code::Rsh32K => alu32!(op, op.imm, |a, b| a >> (b & 31)),
            Code::Rsh32X => alu32!(op, src!(op), |a, b| a >> (b & 31)),
            Code::Arsh32K => alu32!(op, op.imm, |a, b| ((a as i32) >> (b & 31)) as u32),
            Code::Arsh32X => alu32!(op, src!(op), |a, b| ((a as i32) >> (b & 31)) as u32),
            Code::Mov32K => step!(Mov32K, op),
            Code::Mov32X => step!(Mov32X, op),
            Code::Neg32 => dst!(op) = u64::from((dst!(op) as u32).wrapping_neg()),
            Code::MovSx8To32 => dst!(op) = u64::from(src!(op) as i8 as u32),
            Code::MovSx16To32 => dst!(op) = u64::from(src!(op) as i16 as u32),
            Code::Le16 => dst!(op) = u64::from(dst!(op) as u16),
            Code::Le32 => dst!(op) = u64::from(dst!(op) as u32),
            Code::Le64 => {}
            Code::Be16 => step!(Be16, op),
            Code::Be32 => step!(Be32, op),
            Code::Be64 => dst!(op) = dst!(op).swap_bytes(),
            Code::Imm64 => dst!(op) = op.imm,

            Code::Jump => goto!(op),
            Code::Jeq64K => step!(Jeq64K, op),
            Code::Jeq64X => jump!(op, dst!(op) == src!(op)),
            Code::Jne64K => step!(Jne64K, op),
            Code::Jne64X => jump!(op, dst!(op) != src!(op)),
            Code::Jgt64K => jump!(op, dst!(op) > op.imm),
            Code::Jgt64X => step!(Jgt64X, op),
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
            Code::Jeq32K => step!(Jeq32K, op),
            Code::Jeq32X => jump!(op, dst!(op) as u32 == src!(op) as u32),
            Code::Jne32K => step!(Jne32K, op),
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

            Code::Load8 => step!(Load8, op),
            Code::Load16 => step!(Load16, op),
            Code::Load32 => step!(Load32, op),
            Code::Load64 => step!(Load64, op),
            Code::LoadSx8 => dst!(op) = load!(op, 1) as i8 as u64,
            Code::LoadSx16 => dst!(op) = load!(op, 2) as i16 as u64,
            Code::LoadSx32 => dst!(op) = load!(op, 4) as i32 as u64,
            Code::LoadFrame8 => load_frame!(op, 1),
            Code::LoadFrame16 => load_frame!(op, 2),
            Code::LoadFrame32 => step!(LoadFrame32, op),
            Code::LoadFrame64 => step!(LoadFrame64, op),
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
            Code::StoreFrame32X => step!(StoreFrame32X, op),
            Code::StoreFrame64X => step!(StoreFrame64X, op),
            Code::Atomic32 => check!(atomic::<4>(memory, regs, op, pc!() as u32 - 1)),
            Code::Atomic64 => check!(atomic::<8>(memory, regs, op, pc!() as u32 - 1)),
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
            Code::Wild => {
                // It was no operation of the program.
                // SAFETY: `next` is behind the last operation.
                next = unsafe { next.sub(1) };
                stop!(Stop::Wild)
            }

            Code::Add32XSub32XXor32X => sequence!(op, Add32X, Sub32X, Xor32X),
            Code::Add64KJgt64X => sequence!(op, Add64K, Jgt64X),
            Code::Mov64XAdd64X => sequence!(op, Mov64X, Add64X),
            Code::Mov64XMov64X => sequence!(op, Mov64X, Mov64X),
            Code::Sub32XXor32X => sequence!(op, Sub32X, Xor32X),
            Code::Add32XSub32X => sequence!(op, Add32X, Sub32X),
            Code::And32KJeq32K => sequence!(op, And32K, Jeq32K),
            Code::And32KJne32K => sequence!(op, And32K, Jne32K),
            Code::Mov32KStoreFrame32X => sequence!(op, Mov32K, StoreFrame32X),
            Code::Mov64KStoreFrame64X => sequence!(op, Mov64K, StoreFrame64X),
            Code::Load32StoreFrame32X => sequence!(op, Load32, StoreFrame32X),
            Code::LoadFrame32StoreFrame32X => sequence!(op, LoadFrame32, StoreFrame32X),
            Code::StoreFrame32XStoreFrame32X => sequence!(op, StoreFrame32X, StoreFrame32X),
            Code::StoreFrame64XStoreFrame64X => sequence!(op, StoreFrame64X, StoreFrame64X),
            Code::StoreFrame32XLoadFrame32 => sequence!(op, StoreFrame32X, LoadFrame32),
            Code::StoreFrame32XLoadFrame64 => sequence!(op, StoreFrame32X, LoadFrame64),
            Code::StoreFrame32XLoad16 => sequence!(op, StoreFrame32X, Load16),
            Code::Load16StoreFrame32X => sequence!(op, Load16, StoreFrame32X),
            Code::LoadFrame64StoreFrame32X => sequence!(op, LoadFrame64, StoreFrame32X),
            Code::LoadFrame64Add64X => sequence!(op, LoadFrame64, Add64X),
            Code::LoadFrame32Jeq32K => sequence!(op, LoadFrame32, Jeq32K),
            Code::LoadFrame32Jne32K => sequence!(op, LoadFrame32, Jne32K),
            Code::Load8Jeq32K => sequence!(op, Load8, Jeq32K),
            Code::Load8Jne32K => sequence!(op, Load8, Jne32K),
            Code::Load8Jeq64K => sequence!(op, Load8, Jeq64K),
            Code::Load8Jne64K => sequence!(op, Load8, Jne64K),
            Code::Load16Jeq64K => sequence!(op, Load16, Jeq64K),
            Code::Load16Jne64K => sequence!(op, Load16, Jne64K),
            Code::Load64Add64K => sequence!(op, Load64, Add64K),
            Code::Load16Be16 => sequence!(op, Load16, Be16),
            Code::Load32Be32 => sequence!(op, Load32, Be32),
            Code::Load32Load32 => sequence!(op, Load32, Load32),
            Code::Load16Load16 => sequence!(op, Load16, Load16),
            Code::Mov32KMov32K => sequence!(op, Mov32K, Mov32K),
            Code::Mov64KMov64K => sequence!(op, Mov64K, Mov64K),
            Code::MovAdd64 => merged!(2, dst!(op) = src!(op).wrapping_add(op.imm)),
            Code::MovAnd64 => merged!(2, dst!(op) = src!(op) & op.imm),
            Code::MovLsh64 => merged!(2, dst!(op) = src!(op) << (op.imm & 63)),
            Code::MovRsh64 => merged!(2, dst!(op) = src!(op) >> (op.imm & 63)),
            Code::MovAnd32 => merged!(2, dst!(op) = u64::from((src!(op) & op.imm) as u32)),
            Code::MovLsh32 => merged!(2, dst!(op) = u64::from((src!(op) as u32) << (op.imm & 31))),
            Code::MovRsh32 => merged!(2, dst!(op) = u64::from(src!(op) as u32 >> (op.imm & 31))),
            Code::LshRsh64 => merged!(2, dst!(op) = dst!(op) << (op.off & 63) >> (op.imm & 63)),
            Code::LshArsh64 => merged!(2, {
                let shifted = (dst!(op) << (op.off & 63)) as i64;
                dst!(op) = (shifted >> (op.imm & 63)) as u64;
            }),
            Code::LshOr32 => merged!(2, {
                dst!(op) = u64::from((dst!(op) as u32) << (op.imm & 31) | src!(op) as u32);
            }),
            Code::Rotate32 => merged!(5, {
                let from = src!(op) as u32;
                dst!(op) = u64::from(from >> (op.imm & 31));
                regs.set(op.off, u64::from(from.rotate_right(op.imm as u32 & 31)));
            }),
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
