//! Each operation of RFC 9669 on values at the edges. What it gives is worked out here with wider integers, apart from
//! the engines.

use twinpath_machine::isa::{Insn, encode};

use super::super::asm::{
    self, Width, alu_k, alu_x, atomic, cond, exit, lddw, ldx, mov, movr, op, stx,
};
use super::outcome;

const VALUES: [u64; 17] = [
    0,
    1,
    2,
    7,
    31,
    32,
    63,
    64,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MIN as u64,
    i64::MAX as u64,
    u64::MAX,
    u64::MAX - 9,
    0xffff_ffff_8000_0000,
];
const IMMEDIATES: [i32; 11] = [0, 1, 3, 31, 33, 63, 65, -1, -10, i32::MAX, i32::MIN];

/// Instructions that leave a number in r0, and the number.
type Row = (Vec<Insn>, u64);

/// Runs rows in programs on both engines; a program exits with the place of the first row that is wrong.
fn check(name: &str, rows: &[Row]) {
    for rows in rows.chunks(100) {
        let mut insns = Vec::new();
        for (place, (row, want)) in (1..).zip(rows) {
            insns.extend(row);
            insns.extend(lddw(9, 0, *want));
            insns.push(asm::jump_x(true, cond::JEQ, 0, 9, 2));
            insns.extend([mov(0, place), exit()]);
        }
        insns.extend([mov(0, 0), exit()]);
        let bytes = encode(&insns);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for engine in ["--engine=checked", "--engine=rbpf"] {
            match outcome(&[engine], &hex) {
                Ok(0) => {}
                Ok(place) => panic!("{name}, {engine}: {:x?}", rows[place as usize - 1]),
                Err(problem) => panic!("{name}, {engine}: {problem}"),
            }
        }
    }
}

fn load(register: u8, value: u64) -> Vec<Insn> {
    lddw(register, 0, value).to_vec()
}

/// All pairs of a value and another value, or an immediate as it is extended.
fn pairs() -> impl Iterator<Item = (u64, u64)> {
    VALUES.into_iter().flat_map(|a| VALUES.map(|b| (a, b)))
}

fn immediates() -> impl Iterator<Item = (u64, i32)> {
    VALUES.into_iter().flat_map(|a| IMMEDIATES.map(|k| (a, k)))
}

/// Numbers of so many bits, in more.
#[derive(Clone, Copy)]
struct Bits(u32);

impl Bits {
    const BOTH: [Self; 2] = [Self(64), Self(32)];

    fn wide(self) -> bool {
        self.0 == 64
    }

    fn cut(self, value: u64) -> i128 {
        i128::from(value) & ((1 << self.0) - 1)
    }

    fn signed(self, value: u64) -> i128 {
        let cut = self.cut(value);
        cut - ((cut >> (self.0 - 1)) << self.0)
    }

    fn number(self, value: i128) -> u64 {
        (value & ((1 << self.0) - 1)) as u64
    }

    fn binary(self, op: u8, signed: bool, a: u64, b: u64) -> u64 {
        let number = |value| {
            if signed {
                self.signed(value)
            } else {
                self.cut(value)
            }
        };
        let (x, y, shift) = (number(a), number(b), b % u64::from(self.0));
        self.number(match op {
            op::ADD => x + y,
            op::SUB => x - y,
            // The product of two numbers without a sign may have more than 127 bits.
            op::MUL => x.wrapping_mul(y),
            op::DIV if y == 0 => 0,
            op::DIV => x / y,
            op::MOD if y == 0 => x,
            op::MOD => x % y,
            op::OR => x | y,
            op::AND => x & y,
            op::XOR => x ^ y,
            op::LSH => x << shift,
            op::RSH => x >> shift,
            op::ARSH => self.signed(a) >> shift,
            _ => y,
        })
    }

    fn holds(self, condition: u8, a: u64, b: u64) -> bool {
        let (x, y) = (self.cut(a), self.cut(b));
        let (sx, sy) = (self.signed(a), self.signed(b));
        match condition {
            cond::JEQ => x == y,
            cond::JNE => x != y,
            cond::JGT => x > y,
            cond::JGE => x >= y,
            cond::JLT => x < y,
            cond::JLE => x <= y,
            cond::JSGT => sx > sy,
            cond::JSGE => sx >= sy,
            cond::JSLT => sx < sy,
            cond::JSLE => sx <= sy,
            _ => x & y != 0,
        }
    }
}

#[test]
fn arithmetic() {
    use op::{ADD, AND, ARSH, DIV, LSH, MOD, MOV, MUL, OR, RSH, SUB, XOR};
    let plain = [ADD, SUB, MUL, DIV, MOD, OR, AND, XOR, LSH, RSH, ARSH, MOV].map(|op| (op, false));
    for (op, signed) in plain.into_iter().chain([(DIV, true), (MOD, true)]) {
        for bits in Bits::BOTH {
            let off = i16::from(signed);
            let by_register = pairs().map(|(a, b)| {
                let operation = alu_x(bits.wide(), op, 0, 1, off);
                let insns = [load(0, a), load(1, b), vec![operation]].concat();
                (insns, bits.binary(op, signed, a, b))
            });
            let by_immediate = immediates().map(|(a, k)| {
                let insns = [load(0, a), vec![alu_k(bits.wide(), op, 0, k, off)]].concat();
                (insns, bits.binary(op, signed, a, i64::from(k) as u64))
            });
            let rows: Vec<Row> = by_register.chain(by_immediate).collect();
            check(
                &format!("operation {op:#x}, signed {signed}, {} bits", bits.0),
                &rows,
            );
        }
    }
}

#[test]
fn of_one_operand() {
    let swapped = |a: u64, bits: i32| a.swap_bytes() >> (64 - bits);
    let cut = |a: u64, bits: i32| a << (64 - bits) >> (64 - bits);
    let mut rows: Vec<Row> = Vec::new();
    for a in VALUES {
        let mut row = |insn, want| rows.push(([load(0, a), vec![insn]].concat(), want));
        for bits in Bits::BOTH {
            row(asm::neg(bits.wide(), 0), bits.number(-bits.cut(a)));
        }
        for bits in [16, 32, 64] {
            row(asm::be(0, bits), swapped(a, bits));
            row(asm::bswap(0, bits), swapped(a, bits));
            row(asm::le(0, bits), cut(a, bits));
        }
        for (from, bits) in [(8, 64), (16, 64), (32, 64), (8, 32), (16, 32)] {
            let bits = Bits(bits);
            let moved = alu_x(bits.wide(), op::MOV, 0, 0, from);
            row(moved, bits.number(Bits(from as u32).signed(a)));
        }
    }
    check("operations of one operand", &rows);
}

#[test]
fn comparisons() {
    use cond::{JEQ, JGE, JGT, JLE, JLT, JNE, JSET, JSGE, JSGT, JSLE, JSLT};
    for condition in [JEQ, JNE, JGT, JGE, JLT, JLE, JSGT, JSGE, JSLT, JSLE, JSET] {
        for bits in Bits::BOTH {
            let row = |before: Vec<Insn>, jump, holds| {
                let rest = vec![mov(0, 1), jump, mov(0, 0)];
                ([before, rest].concat(), u64::from(holds))
            };
            let by_register = pairs().map(|(a, b)| {
                let jump = asm::jump_x(bits.wide(), condition, 2, 1, 1);
                row(
                    [load(2, a), load(1, b)].concat(),
                    jump,
                    bits.holds(condition, a, b),
                )
            });
            let by_immediate = immediates().map(|(a, k)| {
                let jump = asm::jump_k(bits.wide(), condition, 2, k, 1);
                row(
                    load(2, a),
                    jump,
                    bits.holds(condition, a, i64::from(k) as u64),
                )
            });
            let rows: Vec<Row> = by_register.chain(by_immediate).collect();
            check(&format!("condition {condition:#x}, {} bits", bits.0), &rows);
        }
    }
}

/// What memory holds and what the register has afterwards, with 0 in r0.
#[test]
fn atomics() {
    use asm::atomic::{ADD, AND, CMPXCHG, FETCH, OR, XOR};
    for operation in atomic::ALL {
        for bits in Bits::BOTH {
            let width = if bits.wide() { Width::D } else { Width::W };
            let rows: Vec<Row> = pairs()
                .flat_map(|(a, b)| {
                    let old = bits.cut(a);
                    let new = match operation & !FETCH {
                        ADD => bits.binary(op::ADD, false, a, b),
                        OR => bits.binary(op::OR, false, a, b),
                        AND => bits.binary(op::AND, false, a, b),
                        XOR => bits.binary(op::XOR, false, a, b),
                        _ if operation == CMPXCHG && old != 0 => bits.number(old),
                        _ => bits.number(bits.cut(b)),
                    };
                    let memory = (a >> (bits.0 - 1) >> 1 << (bits.0 - 1) << 1) | new;
                    let register = match operation {
                        CMPXCHG => b,
                        _ if operation & FETCH != 0 => bits.number(old),
                        _ => b,
                    };
                    let mut insns = load(0, a);
                    insns.push(stx(Width::D, 10, -8, 0));
                    insns.extend(load(1, b));
                    insns.extend([mov(0, 0), atomic(width, operation, 10, -8, 1)]);
                    let seen = [ldx(Width::D, 0, 10, -8), movr(0, 1), movr(0, 0)];
                    let wants = [
                        memory,
                        register,
                        if operation == CMPXCHG {
                            bits.number(old)
                        } else {
                            0
                        },
                    ];
                    let row = |(seen, want)| ([insns.clone(), vec![seen]].concat(), want);
                    seen.into_iter().zip(wants).map(row).collect::<Vec<Row>>()
                })
                .collect();
            check(&format!("atomic {operation:#x}, {} bits", bits.0), &rows);
        }
    }
}
