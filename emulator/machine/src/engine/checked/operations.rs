//! What each operation does.

use super::alu;
use super::at::{At, Atomic, Flow, Load, LoadFrame, Store, StoreFrame};
use super::state::Stop;
use super::threaded::{Handler, Operation, run};
use crate::isa::Code;

/// Makes a type of each operation, and [`handler`] of all.
macro_rules! operations {
    ($($kind:ident [$($name:ident)+] $does:tt)+) => {
        $(operation!($kind [$($name)+] $does);)+

        /// What executes an operation.
        pub(super) fn handler<const CHAINS: bool>(code: Code) -> Handler {
            match code {
                $($(Code::$name => run::<$name, CHAINS>,)+)+
            }
        }
    };
}

/// The types of operations that are alike.
macro_rules! operation {
    // Of the destination register and the immediate, `K`, or the source register, `X`.
    (binary64 [$k:ident $x:ident] { |$a:ident, $b:ident| $result:expr }) => {
        operation!(one [$k] { |at| { let ($a, $b) = (at.dst(), at.imm()); at.set($result) } });
        operation!(one [$x] { |at| { let ($a, $b) = (at.dst(), at.src()); at.set($result) } });
    };
    (binary32 [$k:ident $x:ident] { |$a:ident, $b:ident| $result:expr }) => {
        operation!(one [$k] { |at| {
            let ($a, $b) = (at.dst() as u32, at.imm() as u32);
            at.set(u64::from($result));
        } });
        operation!(one [$x] { |at| {
            let ($a, $b) = (at.dst() as u32, at.src() as u32);
            at.set(u64::from($result));
        } });
    };
    (jump64 [$k:ident $x:ident] { |$a:ident, $b:ident| $holds:expr }) => {
        operation!(jump [$k] { |at| { let ($a, $b) = (at.dst(), at.imm()); $holds } });
        operation!(jump [$x] { |at| { let ($a, $b) = (at.dst(), at.src()); $holds } });
    };
    (jump32 [$k:ident $x:ident] { |$a:ident, $b:ident| $holds:expr }) => {
        operation!(jump [$k] { |at| { let ($a, $b) = (at.dst() as u32, at.imm() as u32); $holds } });
        operation!(jump [$x] { |at| { let ($a, $b) = (at.dst() as u32, at.src() as u32); $holds } });
    };
    // When something holds.
    (jump [$name:ident] { |$at:ident| $holds:expr }) => {
        pub(super) struct $name;

        impl Operation for $name {
            const JUMPS: bool = true;

            #[inline(always)]
            fn execute<const CHAINS: bool>($at: &mut At<'_, CHAINS>) -> Flow {
                let holds = $holds;
                $at.jump(holds)
            }
        }
    };
    (one [$($name:ident)+] { |$at:ident| $does:expr }) => {
        $(operation!(flow [$name] { |$at| { $does; Flow::Next } });)+
    };
    (stop [$($name:ident)+] { |$at:ident| $stop:expr }) => {
        $(operation!(flow [$name] { |$at| Flow::Stop($stop) });)+
    };
    (flow [$name:ident] { |$at:ident| $flow:expr }) => {
        pub(super) struct $name;

        impl Operation for $name {
            #[inline(always)]
            fn execute<const CHAINS: bool>($at: &mut At<'_, CHAINS>) -> Flow {
                $flow
            }
        }
    };
    // What stands for so many.
    (merged2 [$name:ident] { |$at:ident| $does:expr }) => {
        operation!(one [$name] { |$at| { $does; $at.skip(1) } });
    };
    (merged5 [$name:ident] { |$at:ident| $does:expr }) => {
        operation!(one [$name] { |$at| { $does; $at.skip(4) } });
    };
    // The same as something else.
    (same [$($name:ident)+] { $other:ty }) => {
        $(type $name = $other;)+
    };
}

operations! {
    binary64 [Add64K Add64X] { |a, b| a.wrapping_add(b) }
    binary64 [Sub64K Sub64X] { |a, b| a.wrapping_sub(b) }
    binary64 [Mul64K Mul64X] { |a, b| a.wrapping_mul(b) }
    binary64 [Div64K Div64X] { |a, b| alu::div64(a, b) }
    binary64 [SDiv64K SDiv64X] { |a, b| alu::sdiv64(a, b) }
    binary64 [Mod64K Mod64X] { |a, b| alu::mod64(a, b) }
    binary64 [SMod64K SMod64X] { |a, b| alu::smod64(a, b) }
    binary64 [Or64K Or64X] { |a, b| a | b }
    binary64 [And64K And64X] { |a, b| a & b }
    binary64 [Xor64K Xor64X] { |a, b| a ^ b }
    binary64 [Lsh64K Lsh64X] { |a, b| a << (b & 63) }
    binary64 [Rsh64K Rsh64X] { |a, b| a >> (b & 63) }
    binary64 [Arsh64K Arsh64X] { |a, b| ((a as i64) >> (b & 63)) as u64 }
    binary32 [Add32K Add32X] { |a, b| a.wrapping_add(b) }
    binary32 [Sub32K Sub32X] { |a, b| a.wrapping_sub(b) }
    binary32 [Mul32K Mul32X] { |a, b| a.wrapping_mul(b) }
    binary32 [Div32K Div32X] { |a, b| alu::div32(a, b) }
    binary32 [SDiv32K SDiv32X] { |a, b| alu::sdiv32(a, b) }
    binary32 [Mod32K Mod32X] { |a, b| alu::mod32(a, b) }
    binary32 [SMod32K SMod32X] { |a, b| alu::smod32(a, b) }
    binary32 [Or32K Or32X] { |a, b| a | b }
    binary32 [And32K And32X] { |a, b| a & b }
    binary32 [Xor32K Xor32X] { |a, b| a ^ b }
    binary32 [Lsh32K Lsh32X] { |a, b| a << (b & 31) }
    binary32 [Rsh32K Rsh32X] { |a, b| a >> (b & 31) }
    binary32 [Arsh32K Arsh32X] { |a, b| ((a as i32) >> (b & 31)) as u32 }

    one [Mov64K Imm64] { |at| at.set(at.imm()) }
    one [Mov64X] { |at| at.set(at.src()) }
    one [Mov32K] { |at| at.set(u64::from(at.imm() as u32)) }
    one [Mov32X] { |at| at.set(u64::from(at.src() as u32)) }
    one [MovSx8To64] { |at| at.set(at.src() as i8 as u64) }
    one [MovSx16To64] { |at| at.set(at.src() as i16 as u64) }
    one [MovSx32To64] { |at| at.set(at.src() as i32 as u64) }
    one [MovSx8To32] { |at| at.set(u64::from(at.src() as i8 as u32)) }
    one [MovSx16To32] { |at| at.set(u64::from(at.src() as i16 as u32)) }
    one [Neg64] { |at| at.set(at.dst().wrapping_neg()) }
    one [Neg32] { |at| at.set(u64::from((at.dst() as u32).wrapping_neg())) }
    one [Le16] { |at| at.set(u64::from(at.dst() as u16)) }
    one [Le32] { |at| at.set(u64::from(at.dst() as u32)) }
    one [Le64] { |_at| {} }
    one [Be16] { |at| at.set(u64::from((at.dst() as u16).swap_bytes())) }
    one [Be32] { |at| at.set(u64::from((at.dst() as u32).swap_bytes())) }
    one [Be64] { |at| at.set(at.dst().swap_bytes()) }

    jump [Jump] { |_at| true }
    jump64 [Jeq64K Jeq64X] { |a, b| a == b }
    jump64 [Jne64K Jne64X] { |a, b| a != b }
    jump64 [Jgt64K Jgt64X] { |a, b| a > b }
    jump64 [Jge64K Jge64X] { |a, b| a >= b }
    jump64 [Jlt64K Jlt64X] { |a, b| a < b }
    jump64 [Jle64K Jle64X] { |a, b| a <= b }
    jump64 [Jsgt64K Jsgt64X] { |a, b| (a as i64) > b as i64 }
    jump64 [Jsge64K Jsge64X] { |a, b| (a as i64) >= b as i64 }
    jump64 [Jslt64K Jslt64X] { |a, b| (a as i64) < b as i64 }
    jump64 [Jsle64K Jsle64X] { |a, b| (a as i64) <= b as i64 }
    jump64 [Jset64K Jset64X] { |a, b| a & b != 0 }
    jump32 [Jeq32K Jeq32X] { |a, b| a == b }
    jump32 [Jne32K Jne32X] { |a, b| a != b }
    jump32 [Jgt32K Jgt32X] { |a, b| a > b }
    jump32 [Jge32K Jge32X] { |a, b| a >= b }
    jump32 [Jlt32K Jlt32X] { |a, b| a < b }
    jump32 [Jle32K Jle32X] { |a, b| a <= b }
    jump32 [Jsgt32K Jsgt32X] { |a, b| (a as i32) > b as i32 }
    jump32 [Jsge32K Jsge32X] { |a, b| (a as i32) >= b as i32 }
    jump32 [Jslt32K Jslt32X] { |a, b| (a as i32) < b as i32 }
    jump32 [Jsle32K Jsle32X] { |a, b| (a as i32) <= b as i32 }
    jump32 [Jset32K Jset32X] { |a, b| a & b != 0 }

    same [Load8 LoadAcquire8] { Load<1, false> }
    same [Load16 LoadAcquire16] { Load<2, false> }
    same [Load32 LoadAcquire32] { Load<4, false> }
    same [Load64 LoadAcquire64] { Load<8, false> }
    same [LoadSx8] { Load<1, true> }
    same [LoadSx16] { Load<2, true> }
    same [LoadSx32] { Load<4, true> }
    same [LoadFrame8] { LoadFrame<1> }
    same [LoadFrame16] { LoadFrame<2> }
    same [LoadFrame32] { LoadFrame<4> }
    same [LoadFrame64] { LoadFrame<8> }
    same [Store8K] { Store<1, false> }
    same [Store8X StoreRelease8] { Store<1, true> }
    same [StoreFrame8K] { StoreFrame<1, false> }
    same [StoreFrame8X] { StoreFrame<1, true> }
    same [Store16K] { Store<2, false> }
    same [Store16X StoreRelease16] { Store<2, true> }
    same [StoreFrame16K] { StoreFrame<2, false> }
    same [StoreFrame16X] { StoreFrame<2, true> }
    same [Store32K] { Store<4, false> }
    same [Store32X StoreRelease32] { Store<4, true> }
    same [StoreFrame32K] { StoreFrame<4, false> }
    same [StoreFrame32X] { StoreFrame<4, true> }
    same [Store64K] { Store<8, false> }
    same [Store64X StoreRelease64] { Store<8, true> }
    same [StoreFrame64K] { StoreFrame<8, false> }
    same [StoreFrame64X] { StoreFrame<8, true> }
    same [Atomic32] { Atomic<4> }
    same [Atomic64] { Atomic<8> }

    stop [
        MayGoto LoadAbs8 LoadAbs16 LoadAbs32 LoadInd8 LoadInd16 LoadInd32
        CallHelper CallLocal CallRegister TailCall
    ] { |_at| Stop::Leave }
    stop [Exit] { |_at| Stop::Exit }
    same [LookUp] { super::at::LookUp }
    stop [Wild] { |at| {
        at.withdraw();
        Stop::Wild
    } }

    same [Add32XSub32XXor32X] { (Add32X, (Sub32X, Xor32X)) }
    same [Add64KJgt64X] { (Add64K, Jgt64X) }
    same [Mov64XAdd64X] { (Mov64X, Add64X) }
    same [Mov64XMov64X] { (Mov64X, Mov64X) }
    same [Sub32XXor32X] { (Sub32X, Xor32X) }
    same [Add32XSub32X] { (Add32X, Sub32X) }
    same [And32KJeq32K] { (And32K, Jeq32K) }
    same [And32KJne32K] { (And32K, Jne32K) }
    same [Mov32KStoreFrame32X] { (Mov32K, StoreFrame32X) }
    same [Mov64KStoreFrame64X] { (Mov64K, StoreFrame64X) }
    same [Load32StoreFrame32X] { (Load32, StoreFrame32X) }
    same [LoadFrame32StoreFrame32X] { (LoadFrame32, StoreFrame32X) }
    same [StoreFrame32XStoreFrame32X] { (StoreFrame32X, StoreFrame32X) }
    same [StoreFrame64XStoreFrame64X] { (StoreFrame64X, StoreFrame64X) }
    same [StoreFrame32XLoadFrame32] { (StoreFrame32X, LoadFrame32) }
    same [StoreFrame32XLoadFrame64] { (StoreFrame32X, LoadFrame64) }
    same [StoreFrame32XLoad16] { (StoreFrame32X, Load16) }
    same [Load16StoreFrame32X] { (Load16, StoreFrame32X) }
    same [LoadFrame64StoreFrame32X] { (LoadFrame64, StoreFrame32X) }
    same [LoadFrame64Add64X] { (LoadFrame64, Add64X) }
    same [LoadFrame32Jeq32K] { (LoadFrame32, Jeq32K) }
    same [LoadFrame32Jne32K] { (LoadFrame32, Jne32K) }
    same [Load8Jeq32K] { (Load8, Jeq32K) }
    same [Load8Jne32K] { (Load8, Jne32K) }
    same [Load8Jeq64K] { (Load8, Jeq64K) }
    same [Load8Jne64K] { (Load8, Jne64K) }
    same [Load16Jeq64K] { (Load16, Jeq64K) }
    same [Load16Jne64K] { (Load16, Jne64K) }
    same [Load64Add64K] { (Load64, Add64K) }
    same [Load16Be16] { (Load16, Be16) }
    same [Load32Be32] { (Load32, Be32) }
    same [Load32Load32] { (Load32, Load32) }
    same [Load16Load16] { (Load16, Load16) }
    same [Mov32KMov32K] { (Mov32K, Mov32K) }
    same [Mov64KMov64K] { (Mov64K, Mov64K) }

    merged2 [MovAdd64] { |at| at.set(at.src().wrapping_add(at.imm())) }
    merged2 [MovAnd64] { |at| at.set(at.src() & at.imm()) }
    merged2 [MovLsh64] { |at| at.set(at.src() << (at.imm() & 63)) }
    merged2 [MovRsh64] { |at| at.set(at.src() >> (at.imm() & 63)) }
    merged2 [MovAnd32] { |at| at.set(u64::from((at.src() & at.imm()) as u32)) }
    merged2 [MovLsh32] { |at| at.set(u64::from((at.src() as u32) << (at.imm() & 31))) }
    merged2 [MovRsh32] { |at| at.set(u64::from(at.src() as u32 >> (at.imm() & 31))) }
    merged2 [LshRsh64] { |at| at.set(at.dst() << (at.off() & 63) >> (at.imm() & 63)) }
    merged2 [LshArsh64] { |at| {
        let shifted = (at.dst() << (at.off() & 63)) as i64;
        at.set((shifted >> (at.imm() & 63)) as u64);
    } }
    merged2 [LshOr32] { |at| {
        at.set(u64::from((at.dst() as u32) << (at.imm() & 31) | at.src() as u32));
    } }
    merged5 [Rotate32] { |at| {
        let from = at.src() as u32;
        at.set(u64::from(from >> (at.imm() & 31)));
        at.set_number(at.off(), u64::from(from.rotate_right(at.imm() as u32 & 31)));
    } }
}
