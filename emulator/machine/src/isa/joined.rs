//! Operations as the loop of the checked engine takes them: those that often follow each other joined.
//!
//! The operation at each index executes what the operations from there on say, as many as its code joins, so
//! that a jump may still go to any of them, and what was executed is still counted by the index.

use super::op::{Code, Op, Reg};
use crate::helpers::HelperId;

/// A program for the loop.
///
/// The last operation is [`Code::Wild`], which ends the loop. The `off` of a jump is the distance in operations
/// from the one behind it, and leads to another operation of the program.
#[derive(Debug)]
pub(crate) struct Joined(Box<[Op]>);

/// What is executed one after another: the longer ones before those that they begin with.
const SEQUENCES: &[(Code, &[Code])] = {
    use Code::*;
    &[
        (Add32XSub32XXor32X, &[Add32X, Sub32X, Xor32X]),
        (Add64KJgt64X, &[Add64K, Jgt64X]),
        (Mov64XAdd64X, &[Mov64X, Add64X]),
        (Mov64XMov64X, &[Mov64X, Mov64X]),
        (Sub32XXor32X, &[Sub32X, Xor32X]),
        (Add32XSub32X, &[Add32X, Sub32X]),
        (And32KJeq32K, &[And32K, Jeq32K]),
        (And32KJne32K, &[And32K, Jne32K]),
        (Mov32KStoreFrame32X, &[Mov32K, StoreFrame32X]),
        (Mov64KStoreFrame64X, &[Mov64K, StoreFrame64X]),
        (Load32StoreFrame32X, &[Load32, StoreFrame32X]),
        (LoadFrame32StoreFrame32X, &[LoadFrame32, StoreFrame32X]),
        (StoreFrame32XStoreFrame32X, &[StoreFrame32X, StoreFrame32X]),
        (StoreFrame64XStoreFrame64X, &[StoreFrame64X, StoreFrame64X]),
        (StoreFrame32XLoadFrame32, &[StoreFrame32X, LoadFrame32]),
        (StoreFrame32XLoadFrame64, &[StoreFrame32X, LoadFrame64]),
        (StoreFrame32XLoad16, &[StoreFrame32X, Load16]),
        (Load16StoreFrame32X, &[Load16, StoreFrame32X]),
        (LoadFrame64StoreFrame32X, &[LoadFrame64, StoreFrame32X]),
        (LoadFrame64Add64X, &[LoadFrame64, Add64X]),
        (LoadFrame32Jeq32K, &[LoadFrame32, Jeq32K]),
        (LoadFrame32Jne32K, &[LoadFrame32, Jne32K]),
        (Load8Jeq32K, &[Load8, Jeq32K]),
        (Load8Jne32K, &[Load8, Jne32K]),
        (Load8Jeq64K, &[Load8, Jeq64K]),
        (Load8Jne64K, &[Load8, Jne64K]),
        (Load16Jeq64K, &[Load16, Jeq64K]),
        (Load16Jne64K, &[Load16, Jne64K]),
        (Load64Add64K, &[Load64, Add64K]),
        (Load16Be16, &[Load16, Be16]),
        (Load32Be32, &[Load32, Be32]),
        (Load32Load32, &[Load32, Load32]),
        (Load16Load16, &[Load16, Load16]),
        (Mov32KMov32K, &[Mov32K, Mov32K]),
        (Mov64KMov64K, &[Mov64K, Mov64K]),
    ]
};

/// What is executed at once, in one operation with operands of its own.
fn merged(ops: &[Op]) -> Option<Op> {
    use Code::*;
    let codes = |n: usize| ops.get(..n).map(|ops| ops.iter().map(|op| op.code));
    let are =
        |wanted: &[Code]| codes(wanted.len()).is_some_and(|own| own.eq(wanted.iter().copied()));
    let first = *ops.first()?;
    if are(&[Mov32X, Rsh32K, Mov32X, Lsh32K, Or32X]) {
        let (shifted, rotated, from) = (first.dst, ops[2].dst, first.src);
        let on = [shifted, shifted, rotated, rotated, rotated];
        let same = on.into_iter().eq(ops[..5].iter().map(|op| op.dst))
            && ops[2].src == from
            && ops[4].src == shifted
            && shifted != from
            && shifted != rotated;
        if same && (1..32).contains(&ops[1].imm) && ops[1].imm + ops[3].imm == 32 {
            return Some(Op {
                code: Rotate32,
                off: u32::from(rotated.number()),
                imm: ops[1].imm,
                ..first
            });
        }
    }
    let second = *ops.get(1)?;
    if first.dst != second.dst {
        return None;
    }
    let with = |code, imm| Some(Op { code, imm, ..first });
    match (first.code, second.code) {
        (Mov64X, Add64K) => with(MovAdd64, second.imm),
        (Mov64X, And64K) => with(MovAnd64, second.imm),
        (Mov64X, Lsh64K) => with(MovLsh64, second.imm & 63),
        (Mov64X, Rsh64K) => with(MovRsh64, second.imm & 63),
        (Mov32X, And32K) => with(MovAnd32, second.imm),
        (Mov32X, Lsh32K) => with(MovLsh32, second.imm & 31),
        (Mov32X, Rsh32K) => with(MovRsh32, second.imm & 31),
        (Lsh64K, Rsh64K | Arsh64K) => Some(Op {
            code: if second.code == Rsh64K {
                LshRsh64
            } else {
                LshArsh64
            },
            off: first.imm as u32 & 63,
            imm: second.imm & 63,
            ..first
        }),
        (Lsh32K, Or32X) if second.src != first.dst => Some(Op {
            code: LshOr32,
            src: second.src,
            imm: first.imm & 31,
            ..first
        }),
        _ => None,
    }
}

fn begins(ops: &[Op], codes: &[Code]) -> bool {
    let own = ops.iter().map(|op| op.code).take(codes.len());
    own.eq(codes.iter().copied())
}

impl Joined {
    /// Joins a program's operations.
    pub(crate) fn of(ops: &[Op]) -> Self {
        Self::new(ops, |ops| {
            merged(ops).or_else(|| {
                let sequence = SEQUENCES.iter().find(|(_, codes)| begins(ops, codes));
                sequence.map(|(code, _)| Op {
                    code: *code,
                    ..ops[0]
                })
            })
        })
    }

    /// The same, with each operation on its own.
    pub(crate) fn single(ops: &[Op]) -> Self {
        Self::new(ops, |_| None)
    }

    fn new(ops: &[Op], join: impl Fn(&[Op]) -> Option<Op>) -> Self {
        let wild = Op {
            code: Code::Wild,
            dst: Reg::R0,
            src: Reg::R0,
            off: 0,
            imm: 0,
        };
        let joined = ops.iter().enumerate().map(|(at, op)| {
            if op.code.is_jump() {
                let target = (op.off as usize).min(ops.len());
                return Op {
                    off: (target as u32).wrapping_sub(at as u32 + 1),
                    ..*op
                };
            }
            if op.code == Code::CallHelper && op.imm == u64::from(HelperId::MAP_LOOKUP_ELEM.0) {
                return Op {
                    code: Code::LookUp,
                    ..*op
                };
            }
            join(&ops[at..]).unwrap_or(*op)
        });
        Self(joined.chain([wild]).collect())
    }

    /// The operations, of which the last one is [`Code::Wild`].
    #[inline]
    pub(crate) fn ops(&self) -> &[Op] {
        &self.0
    }
}
