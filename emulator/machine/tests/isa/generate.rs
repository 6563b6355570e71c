//! Random programs that the verifier accepts: what is drawn, and how it becomes instructions.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use twinpath_machine::ProgramType;

use super::asm::{Width, atomic, cond, op};
use super::case::{Body, Case, JUMPS, MEMORY, Needs, PACKET, SPACE, State};

/// A piece of a body. Registers are drawn from nine and taken modulo the number of free ones.
#[derive(Debug, Clone)]
pub enum Piece {
    AluX {
        op: u8,
        wide: bool,
        dst: u8,
        src: u8,
        /// 1 for signed division, the bits of a sign-extending move.
        off: i16,
    },
    AluK {
        op: u8,
        wide: bool,
        dst: u8,
        imm: i32,
        off: i16,
    },
    /// Negation or a change of byte order, by number.
    Unary {
        which: u8,
        dst: u8,
    },
    Wide {
        dst: u8,
        value: u64,
    },
    Load {
        from: Place,
        width: Width,
        kind: LoadKind,
        dst: u8,
    },
    Store {
        to: Place,
        width: Width,
        kind: StoreKind,
    },
    Atomic {
        operation: i32,
        at: Place,
        wide: bool,
        src: u8,
    },
    If {
        cond: u8,
        wide: bool,
        left: u8,
        right: Side,
        then: Vec<Piece>,
        otherwise: Vec<Piece>,
        /// Leave the second branch by the long form of the jump.
        long: bool,
    },
    Loop {
        rounds: u8,
        body: Vec<Piece>,
    },
    /// A call of a function with what is in r1 to r5 then.
    Call {
        body: Vec<Piece>,
    },
    /// A tail call of this program (0), of a further one or of none; through a register the verifier does not
    /// know which.
    Tail {
        index: Side,
    },
    /// A classic packet load.
    Classic {
        width: Width,
        register: Option<u8>,
        offset: i32,
    },
}

#[derive(Debug, Clone, Copy)]
pub enum Side {
    Register(u8),
    Immediate(i32),
}

/// Where memory is accessed: the offset is cut to what fits.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    Stack(u8),
    Map(u8),
    Packet(u8),
}

#[derive(Debug, Clone, Copy)]
pub enum LoadKind {
    Plain,
    Signed,
    Acquire,
}

#[derive(Debug, Clone, Copy)]
pub enum StoreKind {
    Register(u8),
    Immediate(i32),
    Release(u8),
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => 0u64..10,
        2 => (0u64..10).prop_map(|n| n.wrapping_neg()),
        1 => (0u32..64, 0u64..4).prop_map(|(bit, off)| (1u64 << bit).wrapping_sub(2).wrapping_add(off)),
        1 => any::<u32>().prop_map(u64::from),
        2 => any::<u64>(),
    ]
}

fn immediate() -> impl Strategy<Value = i32> {
    number().prop_map(|n| n as i32)
}

fn place() -> impl Strategy<Value = Place> {
    (0u8..3, any::<u8>()).prop_map(|(which, offset)| match which {
        0 => Place::Stack(offset),
        1 => Place::Map(offset),
        _ => Place::Packet(offset),
    })
}

fn width() -> impl Strategy<Value = Width> {
    (0usize..4).prop_map(|n| Width::ALL[n])
}

const BINARY: [u8; 11] = [
    op::ADD,
    op::SUB,
    op::MUL,
    op::DIV,
    op::MOD,
    op::OR,
    op::AND,
    op::XOR,
    op::LSH,
    op::RSH,
    op::ARSH,
];
const CONDITIONS: [u8; 11] = [
    cond::JEQ,
    cond::JNE,
    cond::JGT,
    cond::JGE,
    cond::JLT,
    cond::JLE,
    cond::JSGT,
    cond::JSGE,
    cond::JSLT,
    cond::JSLE,
    cond::JSET,
];

fn divides(op: u8) -> bool {
    matches!(op, op::DIV | op::MOD)
}

/// What the kernel refuses as a constant is moved into what it takes.
fn legal_immediate(op: u8, wide: bool, imm: i32) -> i32 {
    match op {
        op::DIV | op::MOD if imm == 0 => 1,
        op::LSH | op::RSH | op::ARSH => imm & if wide { 63 } else { 31 },
        _ => imm,
    }
}

fn reg() -> std::ops::Range<u8> {
    0..9
}

fn alu() -> impl Strategy<Value = Piece> {
    let operation = || (0usize..12).prop_map(|n| *BINARY.get(n).unwrap_or(&op::MOV));
    let off = |op: u8, signed: bool| i16::from(divides(op) && signed);
    prop_oneof![
        6 => (operation(), any::<bool>(), reg(), reg(), any::<bool>()).prop_map(move |(op, wide, dst, src, signed)| {
            Piece::AluX { op, wide, dst, src, off: off(op, signed) }
        }),
        4 => (operation(), any::<bool>(), reg(), immediate(), any::<bool>()).prop_map(move |(op, wide, dst, imm, signed)| {
            Piece::AluK { op, wide, dst, imm: legal_immediate(op, wide, imm), off: off(op, signed) }
        }),
        1 => (any::<bool>(), reg(), reg(), 0usize..3).prop_map(|(wide, dst, src, bits)| {
            let off = [8, 16, if wide { 32 } else { 16 }][bits];
            Piece::AluX { op: op::MOV, wide, dst, src, off }
        }),
        1 => (0u8..11, reg()).prop_map(|(which, dst)| Piece::Unary { which, dst }),
        1 => (reg(), number()).prop_map(|(dst, value)| Piece::Wide { dst, value }),
    ]
}

fn memory() -> impl Strategy<Value = Piece> {
    let load = (place(), width(), 0u8..4, reg()).prop_map(|(from, width, kind, dst)| {
        let kind = match kind {
            0 if width != Width::D => LoadKind::Signed,
            1 => LoadKind::Acquire,
            _ => LoadKind::Plain,
        };
        Piece::Load {
            from,
            width,
            kind,
            dst,
        }
    });
    let kind = prop_oneof![
        2 => reg().prop_map(StoreKind::Register),
        1 => immediate().prop_map(StoreKind::Immediate),
        1 => reg().prop_map(StoreKind::Release),
    ];
    let store =
        (place(), width(), kind).prop_map(|(to, width, kind)| Piece::Store { to, width, kind });
    let atomic =
        (0usize..10, place(), any::<bool>(), reg()).prop_map(|(o, at, wide, src)| Piece::Atomic {
            operation: atomic::ALL[o],
            at,
            wide,
            src,
        });
    let classic = (width(), option::of(reg()), -4i32..70).prop_map(|(width, register, offset)| {
        Piece::Classic {
            width,
            register,
            offset,
        }
    });
    prop_oneof![3 => load, 3 => store, 3 => atomic, 1 => classic]
}

fn piece() -> impl Strategy<Value = Piece> {
    let index = prop_oneof![1 => reg().prop_map(Side::Register), 2 => (0..JUMPS as i32 + 1).prop_map(Side::Immediate)];
    let tail = index.prop_map(|index| Piece::Tail { index });
    let leaf = prop_oneof![15 => alu(), 10 => memory(), 1 => tail];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let pieces = || vec(inner.clone(), 0..5);
        let side = prop_oneof![reg().prop_map(Side::Register), immediate().prop_map(Side::Immediate)];
        prop_oneof![
            4 => (0usize..11, any::<bool>(), reg(), side, pieces(), pieces(), any::<bool>()).prop_map(
                |(c, wide, left, right, then, otherwise, long)| Piece::If {
                    cond: CONDITIONS[c], wide, left, right, then, otherwise, long,
                }
            ),
            1 => (1u8..4, pieces()).prop_map(|(rounds, body)| Piece::Loop { rounds, body }),
            1 => pieces().prop_map(|body| Piece::Call { body }),
        ]
    })
}

fn situation() -> impl Strategy<Value = (ProgramType, Needs)> {
    prop_oneof![
        Just((ProgramType::SocketFilter, Needs::Registers)),
        Just((ProgramType::SocketFilter, Needs::Context)),
        Just((ProgramType::Xdp, Needs::Registers)),
        Just((ProgramType::Xdp, Needs::Packet)),
        Just((ProgramType::SchedCls, Needs::Packet)),
        Just((ProgramType::SchedCls, Needs::Context)),
    ]
}

/// A random program with random contents of registers, memory and packet.
pub fn case() -> impl Strategy<Value = Case> {
    let registers = proptest::array::uniform9(number());
    let memory = vec(any::<u8>(), SPACE - MEMORY as usize);
    let packet = vec(any::<u8>(), PACKET);
    let start = (registers, memory, packet).prop_map(|(registers, memory, packet)| State {
        registers,
        memory,
        packet,
    });
    let further = vec(vec(piece(), 1..8), 0..JUMPS - 1);
    (situation(), vec(piece(), 1..16), further, start).prop_map(
        |((kind, needs), pieces, further, start)| {
            let Body { insns, functions } = super::emit::body(needs, &pieces);
            let further = further.iter();
            Case {
                kind,
                needs,
                body: insns,
                functions,
                further: further
                    .map(|pieces| super::emit::body(needs, pieces))
                    .collect(),
                start,
            }
        },
    )
}
