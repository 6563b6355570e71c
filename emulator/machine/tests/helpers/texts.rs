//! Numbers and comparisons.

use crate::asm::{Width::*, alu_k, call, cond, jump_k, ldx, mov, movr, op, stx};
use crate::choose::{Choices, cases, seed};
use crate::sides::{Ours, Theirs};
use twinpath_machine::isa::Insn;

const STRTOL: i32 = 105;
const STRTOUL: i32 = 106;
const STRNCMP: i32 = 182;

/// Bytes of the text; its length and the flags follow.
const TEXT: usize = 72;
const LENGTH: i16 = TEXT as i16;
const FLAGS: i16 = LENGTH + 8;
const RESULTS: i16 = FLAGS + 8;

/// Puts the text's length, at least 1, into a register.
fn length(register: u8) -> [Insn; 5] {
    [
        ldx(D, register, 7, LENGTH),
        jump_k(true, cond::JGT, register, TEXT as i32, 2),
        jump_k(true, cond::JEQ, register, 0, 1),
        jump_k(true, cond::JNE, register, 0, 1),
        mov(register, 1),
    ]
}

/// `bpf_strtol` and `bpf_strtoul` of the text; what they return and what they found.
fn converts() -> Vec<Insn> {
    let mut body = Vec::new();
    for (index, helper) in [STRTOL, STRTOUL].into_iter().enumerate() {
        let at = RESULTS + 16 * index as i16;
        body.extend(length(2));
        body.extend([
            movr(1, 7),
            ldx(D, 3, 7, FLAGS),
            movr(4, 10),
            alu_k(true, op::ADD, 4, -8, 0),
            call(helper),
            stx(D, 7, at, 0),
            ldx(D, 1, 10, -8),
            stx(D, 7, at + 8, 1),
        ]);
    }
    body
}

/// Strings to compare with.
const STRINGS: [&str; 12] = [
    "",
    "a",
    "ab",
    "abc",
    "abcd",
    "b",
    "aa",
    "\x7f",
    "é",
    " ",
    "abcabcabc",
    "ab c",
];
const STRING: usize = 16;

fn constants() -> Vec<u8> {
    let mut bytes = vec![0; STRING * STRINGS.len()];
    for (slot, text) in bytes.chunks_mut(STRING).zip(STRINGS) {
        slot[..text.len()].copy_from_slice(text.as_bytes());
    }
    bytes
}

/// `bpf_strncmp` of the text and each string.
fn compares() -> Vec<Insn> {
    let mut body = Vec::new();
    for index in 0..STRINGS.len() {
        body.extend(length(2));
        body.extend([
            movr(1, 7),
            movr(3, 6),
            alu_k(true, op::ADD, 3, (STRING * index) as i32, 0),
            call(STRNCMP),
            stx(D, 7, RESULTS + 8 * index as i16, 0),
        ]);
    }
    body
}

fn data(text: &[u8], flags: u64, results: usize) -> Vec<u8> {
    let mut data = vec![0; RESULTS as usize + results * 8];
    let len = text.len().clamp(1, TEXT);
    data[..text.len()].copy_from_slice(text);
    data[LENGTH as usize..][..8].copy_from_slice(&(len as u64).to_le_bytes());
    data[FLAGS as usize..][..8].copy_from_slice(&flags.to_le_bytes());
    data
}

/// Runs texts on both sides.
fn hold_equal(
    name: &str,
    body: &[Insn],
    results: usize,
    mut next: impl FnMut(&mut Choices) -> (Vec<u8>, u64),
) {
    let size = RESULTS as usize + results * 8;
    let Some(theirs) = Theirs::new(body, size, &constants()) else {
        return;
    };
    let mut ours = Ours::new(body, size, &constants());
    let mut choices = Choices::new();
    let count = cases(1000);
    for case in 0..count {
        let (text, flags) = next(&mut choices);
        let input = data(&text, flags, results);
        let words = |data: &[u8]| -> Vec<i64> {
            let words = data[RESULTS as usize..].as_chunks().0.iter();
            words.map(|word| i64::from_le_bytes(*word)).collect()
        };
        let (theirs, ours) = (theirs.run(&input), ours.run(&input));
        let text = text.escape_ascii();
        assert_eq!(
            words(&ours),
            words(&theirs),
            "case {case} of seed {}: \"{text}\", flags {flags:#x}; the kernel's results are on the right",
            seed()
        );
    }
    eprintln!("{name}: {count} cases equal, seed {}", seed());
}

#[test]
fn numbers() {
    let known: [&[u8]; 18] = [
        b"0",
        b"-0",
        b"+1",
        b"0x",
        b"0x10",
        b"0X1f",
        b"08",
        b"-",
        b" \t\n\x0b\x0c\r 12",
        b"\xa042",
        b"18446744073709551615",
        b"18446744073709551616",
        b"-9223372036854775808",
        b"-9223372036854775809",
        b"9223372036854775807",
        b"9223372036854775808",
        b"000000000000000000000000000000000000000000000000000000000000000000012",
        b"12\x0034",
    ];
    let mut known = known.iter();
    hold_equal("numbers", &converts(), 4, |choices| {
        let flags = match choices.below(8) {
            0 => choices.below(40),
            1 => choices.u64(),
            _ => *choices.of(&[0, 8, 10, 16]),
        };
        if let Some(text) = known.next() {
            return (text.to_vec(), *choices.of(&[0, 10, 16]));
        }
        let mut text = Vec::new();
        for _ in 0..choices.below(4) {
            text.push(*choices.of(b" \t\n\x0b\xa0\x0e"));
        }
        for _ in 0..choices.below(3) {
            text.extend(*choices.of(&[b"-" as &[u8], b"0x", b"0", b"+", b"0X"]));
        }
        let digits: &[u8] = match choices.below(4) {
            0 => b"01234567",
            1 => b"0123456789abcdefABCDEF",
            2 => b"0123456789",
            _ => b"0123456789abcfgxXz-\x00\xff ",
        };
        let longest = TEXT as u64 - text.len() as u64;
        let len = *choices.of(&[2, 10, 20, 24, longest]);
        for _ in 0..choices.below(len + 1) {
            text.push(*choices.of(digits));
        }
        (text, flags)
    });
}

#[test]
fn comparisons() {
    hold_equal("comparisons", &compares(), STRINGS.len(), |choices| {
        let mut text = choices.of(&STRINGS).as_bytes().to_vec();
        match choices.below(4) {
            0 => text.push(*choices.of(b"\x00abz\xff ")),
            1 => drop(text.pop()),
            2 if !text.is_empty() => {
                let at = choices.below(text.len() as u64) as usize;
                text[at] = choices.u64() as u8;
            }
            _ => {}
        }
        for _ in 0..choices.below(4) {
            text.push(*choices.of(b"\x00\x00abc"));
        }
        (text, 0)
    });
}
