//! Arithmetic, with the edges of RFC 9669 section 4.1 and 4.2 and of `Documentation/bpf/standardization`.

use super::arms::Arms;
use super::asm::{alu_k, alu_x, be, bswap, le, neg, op::*};
use super::case::Case;
use twinpath_machine::isa::Insn;

const MIN64: u64 = 1 << 63;
const MAX64: u64 = u64::MAX;
const MIN32: u64 = 1 << 31;
const MAX32: u64 = 0xffff_ffff;

/// The number as its two's complement.
const fn n(value: i64) -> u64 {
    value as u64
}

/// Operation, whether signed division, 64 bits wide, destination, source, result.
type Row = (u8, bool, bool, u64, u64, u64);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    (ADD, false, true, 1, 2, 3),
    (ADD, false, true, MAX64, 1, 0),
    (ADD, false, true, 1, n(-1), 0),
    (ADD, false, true, MAX64 >> 1, 1, MIN64),
    (ADD, false, false, MAX32, 1, 0),
    (ADD, false, false, 0xdead_beef_ffff_fffe, 1, MAX32),
    (ADD, false, false, 5, n(-6), MAX32),
    (SUB, false, true, 1, 2, MAX64),
    (SUB, false, true, 0, MIN64, MIN64),
    (SUB, false, true, 0, n(-1), 1),
    (SUB, false, false, 0, 1, MAX32),
    (SUB, false, false, 0xffff_ffff_0000_0000, n(-1), 1),
    (MUL, false, true, 0x1_0000_0001, 0x1_0000_0001, 0x2_0000_0001),
    (MUL, false, true, 3, n(-2), n(-6)),
    (MUL, false, true, MIN64, n(-1), MIN64),
    (MUL, false, false, 0x1_0001_0001, 0x1_0001, 0x0002_0001),
    (MUL, false, false, 3, n(-2), 0xffff_fffa),
    (MUL, false, false, MIN32, 2, 0),
    (DIV, false, true, 7, 2, 3),
    (DIV, false, true, n(-7), 2, 0x7fff_ffff_ffff_fffc),
    (DIV, false, true, n(-7), n(-7), 1),
    (DIV, false, true, 7, n(-1), 0),
    (DIV, false, true, 7, 0, 0),
    (DIV, false, true, MAX64, MAX64, 1),
    (DIV, false, false, 0xffff_ffff_0000_0007, 2, 3),
    (DIV, false, false, n(-7), 2, 0x7fff_fffc),
    (DIV, false, false, 7, n(-1), 0),
    (DIV, false, false, 0xffff_ffff_0000_0007, 0, 0),
    (DIV, false, false, 7, 0x1_0000_0000, 0),
    (DIV, true, true, n(-7), 2, n(-3)),
    (DIV, true, true, 7, n(-2), n(-3)),
    (DIV, true, true, n(-7), n(-2), 3),
    (DIV, true, true, MIN64, n(-1), MIN64),
    (DIV, true, true, MIN64, 1, MIN64),
    (DIV, true, true, MIN64, MIN64, 1),
    (DIV, true, true, n(-7), 0, 0),
    (DIV, true, true, 5, MIN64, 0),
    (DIV, true, false, n(-7), 2, 0xffff_fffd),
    (DIV, true, false, 0xffff_fff9, 2, 0xffff_fffd),
    (DIV, true, false, 0xffff_ffff_0000_0007, 2, 3),
    (DIV, true, false, MIN32, n(-1), MIN32),
    (DIV, true, false, MIN32, 0, 0),
    (DIV, true, false, 7, 0xffff_ffff_0000_0000, 0),
    (MOD, false, true, 7, 2, 1),
    (MOD, false, true, n(-7), 2, 1),
    (MOD, false, true, 7, n(-7), 7),
    (MOD, false, true, n(-7), 0, n(-7)),
    (MOD, false, false, 0xffff_ffff_0000_0007, 4, 3),
    (MOD, false, false, 0xffff_ffff_0000_0007, 0, 7),
    (MOD, false, false, n(-7), 0, 0xffff_fff9),
    (MOD, false, false, n(-1), n(-2), 1),
    (MOD, false, false, 7, 0x5_0000_0000, 7),
    (MOD, true, true, n(-13), 3, n(-1)),
    (MOD, true, true, 13, n(-3), 1),
    (MOD, true, true, n(-13), n(-3), n(-1)),
    (MOD, true, true, MIN64, n(-1), 0),
    (MOD, true, true, n(-13), 0, n(-13)),
    (MOD, true, true, MIN64, 10, n(-8)),
    (MOD, true, false, n(-13), 3, MAX32),
    (MOD, true, false, 13, n(-3), 1),
    (MOD, true, false, MIN32, n(-1), 0),
    (MOD, true, false, n(-13), 0, 0xffff_fff3),
    (MOD, true, false, 0xabcd_0000_0000_000d, 0, 13),
    (OR, false, true, 0xf0, 0x0f, 0xff),
    (OR, false, true, 0, n(-1), MAX64),
    (OR, false, false, 0xffff_ffff_0000_00f0, 0x0f, 0xff),
    (OR, false, false, 0, n(-1), MAX32),
    (AND, false, true, 0xff, 0x0f, 0x0f),
    (AND, false, true, MAX64, n(-16), n(-16)),
    (AND, false, false, MAX64, n(-16), 0xffff_fff0),
    (AND, false, false, MAX64, 0x7fff_ffff, 0x7fff_ffff),
    (XOR, false, true, 0xff, 0x0f, 0xf0),
    (XOR, false, true, 0, n(-1), MAX64),
    (XOR, false, false, MAX64, MAX64, 0),
    (XOR, false, false, 0, n(-1), MAX32),
    (MOV, false, true, 0, n(-1), MAX64),
    (MOV, false, true, 7, 0x7fff_ffff, 0x7fff_ffff),
    (MOV, false, false, MAX64, n(-1), MAX32),
    (MOV, false, false, MAX64, 0x1_0000_0001, 1),
    (LSH, false, true, 1, 63, MIN64),
    (LSH, false, true, 3, 0, 3),
    (LSH, false, true, MAX64, 32, 0xffff_ffff_0000_0000),
    (LSH, false, true, 1, 64, 1),
    (LSH, false, true, 1, 65, 2),
    (LSH, false, true, 1, n(-1), MIN64),
    (LSH, false, false, 1, 31, MIN32),
    (LSH, false, false, 0xffff_ffff_0000_0001, 0, 1),
    (LSH, false, false, 1, 32, 1),
    (LSH, false, false, 1, 33, 2),
    (LSH, false, false, 1, n(-1), MIN32),
    (RSH, false, true, MIN64, 63, 1),
    (RSH, false, true, MAX64, 1, MAX64 >> 1),
    (RSH, false, true, 4, 64, 4),
    (RSH, false, true, 4, 66, 1),
    (RSH, false, false, 0xffff_ffff_8000_0000, 31, 1),
    (RSH, false, false, 0xffff_ffff_0000_0004, 32, 4),
    (RSH, false, false, 4, 34, 1),
    (ARSH, false, true, MIN64, 63, MAX64),
    (ARSH, false, true, n(-16), 2, n(-4)),
    (ARSH, false, true, MAX64 >> 1, 62, 1),
    (ARSH, false, true, n(-16), 64, n(-16)),
    (ARSH, false, true, n(-16), 66, n(-4)),
    (ARSH, false, false, MIN32, 31, MAX32),
    (ARSH, false, false, 0xffff_ffff_7fff_ffff, 30, 1),
    (ARSH, false, false, 0x8000_0000, 0, MIN32),
    (ARSH, false, false, n(-16), 32, 0xffff_fff0),
    (ARSH, false, false, n(-16), 34, 0xffff_fffc),
];

#[test]
fn with_a_register() {
    let mut arms = Arms::new();
    for &(op, signed, wide, a, b, want) in ROWS {
        let body = vec![alu_x(wide, op, 1, 2, signed.into())];
        check(&mut arms, body, [a, b], want);
    }
}

#[test]
fn with_an_immediate() {
    let mut arms = Arms::new();
    let mut rows = 0;
    for &(op, signed, wide, a, b, want) in ROWS {
        let imm = b as i32;
        if imm as u64 != b {
            continue;
        }
        rows += 1;
        let width = if wide { 64 } else { 32 };
        // RFC 9669 gives these a meaning; the kernel refuses them as constants.
        let refused = match op {
            DIV | MOD => imm == 0,
            LSH | RSH | ARSH => !(0..width).contains(&imm),
            _ => false,
        };
        let kernel = arms.kernel.take_if(|_| refused);
        let body = vec![alu_k(wide, op, 1, imm, signed.into())];
        if let Some(kernel) = &kernel {
            assert!(kernel.run(&Case::new(body.clone())).is_err(), "{body:x?}");
        }
        check(&mut arms, body, [a, b], want);
        arms.kernel = arms.kernel.take().or(kernel);
    }
    assert!(rows > 60, "{rows} rows");
}

/// With the same register on both sides.
#[test]
fn with_itself() {
    let mut arms = Arms::new();
    #[rustfmt::skip]
    let rows = [
        (ADD, false, true, MIN64, 0), (SUB, false, true, 9, 0), (MUL, false, true, n(-3), 9),
        (DIV, false, true, 9, 1), (DIV, false, true, 0, 0), (MOD, false, true, 9, 0),
        (MOD, false, true, 0, 0), (DIV, true, true, n(-9), 1), (MOD, true, true, n(-9), 0),
        (DIV, true, false, n(-9), 1), (MOD, true, false, 0xffff_ffff_0000_0000, 0),
        (XOR, false, false, MAX64, 0), (LSH, false, true, 3, 24), (MOV, false, false, MAX64, MAX32),
        (ARSH, false, false, n(-1), MAX32),
    ];
    for (op, signed, wide, a, want) in rows {
        check(
            &mut arms,
            vec![alu_x(wide, op, 1, 1, signed.into())],
            [a, 0],
            want,
        );
    }
}

#[test]
fn of_one_operand() {
    let mut arms = Arms::new();
    const X: u64 = 0x1122_3344_5566_7788;
    #[rustfmt::skip]
    let rows = [
        (neg(true, 1), 1, MAX64), (neg(true, 1), MIN64, MIN64), (neg(true, 1), 0, 0),
        (neg(false, 1), 1, MAX32), (neg(false, 1), MIN32, MIN32),
        (neg(false, 1), 0xffff_ffff_0000_0000, 0),
        (le(1, 16), X, 0x7788), (le(1, 32), X, 0x5566_7788), (le(1, 64), X, X),
        (be(1, 16), X, 0x8877), (be(1, 32), X, 0x8877_6655), (be(1, 64), X, 0x8877_6655_4433_2211),
        (bswap(1, 16), X, 0x8877), (bswap(1, 32), X, 0x8877_6655),
        (bswap(1, 64), X, 0x8877_6655_4433_2211),
    ];
    for (insn, a, want) in rows {
        check(&mut arms, vec![insn], [a, 0], want);
    }
}

#[test]
fn sign_extending_moves() {
    let mut arms = Arms::new();
    const X: u64 = 0x1122_3344_8899_aabb;
    #[rustfmt::skip]
    let rows = [
        (true, 8, X, n(-0x45)), (true, 8, 0x7f, 0x7f), (true, 8, 0x180, n(-128)),
        (true, 16, X, n(-0x5545)), (true, 16, 0x8000, n(-0x8000)), (true, 16, 0x1_7fff, 0x7fff),
        (true, 32, X, 0xffff_ffff_8899_aabb), (true, 32, 0x1_7fff_ffff, 0x7fff_ffff),
        (false, 8, X, 0xffff_ffbb), (false, 8, 0x17f, 0x7f),
        (false, 16, X, 0xffff_aabb), (false, 16, 0x7fff, 0x7fff),
    ];
    for (wide, bits, source, want) in rows {
        check(
            &mut arms,
            vec![alu_x(wide, MOV, 1, 2, bits)],
            [7, source],
            want,
        );
        check(
            &mut arms,
            vec![alu_x(wide, MOV, 1, 1, bits)],
            [source, 7],
            want,
        );
    }
}

/// r1 is `want` after the body, and no other register has changed.
fn check(arms: &mut Arms, body: Vec<Insn>, [a, b]: [u64; 2], want: u64) {
    let mut case = Case::new(body);
    case.start.registers = [70, a, b, 73, 74, 75, 76, 77, 78];
    let end = arms
        .run(&case)
        .unwrap_or_else(|e| panic!("{:x?}: {e}", case.body));
    let mut registers = case.start.registers;
    registers[1] = want;
    assert_eq!(
        end.registers, registers,
        "{:x?} of {a:#x}, {b:#x}",
        case.body
    );
}
