//! Formats: which ones the kernel takes, and what it makes of them.

use crate::asm::{Width::*, alu_k, alu_x, call, cond, jump_k, ldx, mov, movr, op, stx};
use crate::choose::{Choices, cases, seed};
use crate::sides::{Ours, Theirs};
use twinpath_machine::isa::Insn;

const TRACE_PRINTK: i32 = 6;
const SNPRINTF: i32 = 165;
const TRACE_VPRINTK: i32 = 177;

const ARGUMENTS: usize = 12;

/// Where things are in the data: strings that arguments point to, the arguments, the results.
const STRINGS: usize = 0;
const STRINGS_LEN: usize = 128;
const NUMBERS: usize = STRINGS + STRINGS_LEN;
const FORMAT: usize = NUMBERS + 8 * ARGUMENTS;
const FORMAT_LEN: usize = 96;
const LENGTH: usize = FORMAT + FORMAT_LEN;
const COUNT: usize = LENGTH + 8;
const RESULTS: usize = COUNT + 8;

/// Whether an argument of this place is a pointer to a string.
const fn points(slot: usize) -> bool {
    slot % 3 == 2
}

/// Code that puts the arguments on the stack, at r10 - 96; all of them numbers unless some are to point
/// to strings.
fn arguments(with_strings: bool) -> Vec<Insn> {
    let mut body = Vec::new();
    for slot in 0..ARGUMENTS {
        body.push(ldx(D, 8, 7, (NUMBERS + 8 * slot) as i16));
        if with_strings && points(slot) {
            body.extend([
                alu_k(true, op::AND, 8, STRINGS_LEN as i32 / 2 - 1, 0),
                alu_x(true, op::ADD, 8, 7, 0),
            ]);
        }
        body.push(stx(D, 10, -96 + 8 * slot as i16, 8));
    }
    body
}

/// Numbers that tell padding, signs and widths apart.
fn number(choices: &mut Choices) -> u64 {
    match choices.below(4) {
        0 => *choices.of(&[
            0,
            1,
            9,
            10,
            127,
            128,
            255,
            u64::MAX,
            1 << 31,
            1 << 32,
            1 << 63,
        ]),
        _ => choices.magnitude(),
    }
}

/// The strings and the arguments.
fn data(choices: &mut Choices, size: usize) -> Vec<u8> {
    let mut data = vec![0; size];
    for byte in &mut data[..STRINGS_LEN - 1] {
        *byte = match choices.below(6) {
            0 => 0,
            1 => choices.u64() as u8,
            _ => b' ' + choices.below(95) as u8,
        };
    }
    for slot in 0..ARGUMENTS {
        data[NUMBERS + 8 * slot..][..8].copy_from_slice(&number(choices).to_le_bytes());
    }
    data
}

fn layout(choices: &mut Choices, into: &mut Vec<u8>) {
    for _ in 0..choices.below(3) {
        into.push(*choices.of(b"0+- "));
    }
    if choices.one_in(2) {
        into.extend((1 + choices.below(24)).to_string().bytes());
    }
}

/// A conversion that the kernel takes, for the argument of this place.
fn conversion(choices: &mut Choices, slot: usize, into: &mut Vec<u8>) {
    into.push(b'%');
    layout(choices, into);
    let known: &[&str] = if points(slot) {
        &[
            "s", "s", "pks", "pus", "pI4", "pi4", "pI6", "pi6", "pI4h", "pI6c", "pi6",
        ]
    } else {
        &[
            "d", "i", "u", "x", "X", "ld", "li", "lu", "lx", "lX", "lld", "lli", "llu", "llx",
            "llX", "c", "px", "px", "pxyz",
        ]
    };
    let conversion = choices.of(known);
    into.extend(conversion.bytes());
    if conversion.ends_with('s') && !choices.one_in(3) {
        into.push(*choices.of(b" .:\n%"));
        if into.last() == Some(&b'%') {
            into.push(b'%');
        }
    }
}

/// A format that the kernel takes, and how many arguments it has.
fn format(choices: &mut Choices, longest: usize) -> (Vec<u8>, usize) {
    let mut format = Vec::new();
    let wanted = choices.below(ARGUMENTS as u64 + 1) as usize;
    let mut slots = 0;
    while slots < wanted {
        let before = format.len();
        if choices.one_in(2) {
            format.extend(choices.of(&["a", " ", "%%", "\n", "é", ", ", "x="]).bytes());
        }
        conversion(choices, slots, &mut format);
        // A letter behind a string's conversion is no format.
        if choices.one_in(2) || format.ends_with(b"s") {
            format.push(b' ');
        }
        if format.len() > longest {
            format.truncate(before);
            break;
        }
        slots += 1;
    }
    (format, slots)
}

const BATCH: usize = 24;
const OUT: usize = 80;

/// Writes a batch of texts: the return value and the buffer of each.
fn texts(batch: &[(usize, usize)]) -> Vec<Insn> {
    let mut body = arguments(true);
    for (index, (count, size)) in batch.iter().enumerate() {
        let at = RESULTS + index * (8 + OUT);
        body.extend([
            movr(1, 7),
            alu_k(true, op::ADD, 1, at as i32 + 8, 0),
            mov(2, *size as i32),
            movr(3, 6),
            alu_k(true, op::ADD, 3, (FORMAT_LEN * index) as i32, 0),
            movr(4, 10),
            alu_k(true, op::ADD, 4, -96, 0),
            mov(5, 8 * *count as i32),
            call(SNPRINTF),
            stx(D, 7, at as i16, 0),
        ]);
    }
    body
}

/// `bpf_snprintf`: the texts, the lengths, and what is left in buffers that are too small.
#[test]
fn snprintf() {
    let mut choices = Choices::new();
    let (count, mut done) = (cases(480), 0);
    let size = RESULTS + BATCH * (8 + OUT);
    while done < count {
        let mut constants = vec![0; BATCH * FORMAT_LEN];
        let mut batch = Vec::new();
        for slot in constants.chunks_mut(FORMAT_LEN) {
            let (format, used) = format(&mut choices, FORMAT_LEN - 1);
            slot[..format.len()].copy_from_slice(&format);
            let more = choices.below((ARGUMENTS - used) as u64 + 1) as usize;
            let short = format.len().min(OUT);
            let size = *choices.of(&[OUT, OUT, short, 0, 1]);
            let more = if choices.one_in(2) { more } else { 0 };
            batch.push((used + more, size));
        }
        let body = texts(&batch);
        let Some(theirs) = Theirs::new(&body, size, &constants) else {
            return;
        };
        let mut ours = Ours::new(&body, size, &constants);
        for _ in 0..4 {
            let mut input = data(&mut choices, size);
            input[RESULTS..].fill(0xaa);
            let (theirs, ours) = (theirs.run(&input), ours.run(&input));
            for (index, format) in constants.chunks(FORMAT_LEN).enumerate() {
                let result = RESULTS + index * (8 + OUT)..RESULTS + (index + 1) * (8 + OUT);
                let show = |data: &[u8]| {
                    let (value, text) = data[result.clone()].split_at(8);
                    let mut value = i64::from_le_bytes(value.try_into().unwrap());
                    // In a full buffer the kernel reads on where it did not write (see `convert`).
                    if value > batch[index].1 as i64 && format.contains(&b'p') {
                        value = i64::MAX;
                    }
                    format!("{value} \"{}\"", text.escape_ascii())
                };
                let text = format.escape_ascii();
                assert_eq!(
                    show(&ours),
                    show(&theirs),
                    "seed {}, \"{text}\", {:?}, {:x?}; the kernel's text is on the right",
                    seed(),
                    batch[index],
                    &input[..FORMAT]
                );
                done += 1;
            }
        }
    }
    eprintln!("snprintf: {done} texts equal, seed {}", seed());
}

/// Code that puts the format's length into r2.
fn length() -> [Insn; 5] {
    [
        ldx(D, 2, 7, LENGTH as i16),
        jump_k(true, cond::JGT, 2, FORMAT_LEN as i32, 2),
        jump_k(true, cond::JEQ, 2, 0, 1),
        jump_k(true, cond::JNE, 2, 0, 1),
        mov(2, 1),
    ]
}

/// Prints the format with all arguments, with some, and with three.
fn prints(with_strings: bool) -> Vec<Insn> {
    let mut body = arguments(with_strings);
    body.extend(length());
    body.extend([
        movr(1, 7),
        alu_k(true, op::ADD, 1, FORMAT as i32, 0),
        movr(3, 10),
        alu_k(true, op::ADD, 3, -96, 0),
        ldx(D, 4, 7, COUNT as i16),
        alu_k(true, op::AND, 4, 127, 0),
        jump_k(true, cond::JLE, 4, 96, 1),
        mov(4, 96),
        call(TRACE_VPRINTK),
        stx(D, 7, RESULTS as i16, 0),
    ]);
    body.extend(length());
    body.extend([
        movr(1, 7),
        alu_k(true, op::ADD, 1, FORMAT as i32, 0),
        ldx(D, 3, 10, -96),
        ldx(D, 4, 10, -88),
        ldx(D, 5, 10, -80),
        call(TRACE_PRINTK),
        stx(D, 7, RESULTS as i16 + 8, 0),
    ]);
    body
}

/// Any text with many beginnings of conversions.
fn scribble(choices: &mut Choices, longest: u64) -> Vec<u8> {
    let known = [
        "%", "%%", "%d", "%s", "%p", "%pI", "%pI4", "%pi6", "%pk", "%pks", "%pK", "%l", "%ll",
        "%x", "%c", "%5", "%-", "%0", "l", "d", "s", " ", "é", ".", "%pB", "%ps", "%pS", "K",
        "\x01", "\t", "%#x", "%.3s", "%*d", "%hd", "%n", "%\u{e9}", "%lc", "%pus", "\u{7f}", "%+d",
        "% d",
    ];
    let mut text = Vec::new();
    for _ in 0..1 + choices.below(5) {
        let piece = match choices.below(12) {
            0 => vec![choices.u64() as u8],
            _ => choices.of(&known).as_bytes().to_vec(),
        };
        if (text.len() + piece.len()) as u64 <= longest {
            text.extend(piece);
        }
    }
    text
}

/// `bpf_trace_printk` and `bpf_trace_vprintk`: which formats and sizes the kernel takes, and the
/// lengths of the texts.
#[test]
fn printk() {
    let size = RESULTS + 16;
    let [mut any, mut valid] = match [false, true].map(|with_strings| {
        let body = prints(with_strings);
        let theirs = Theirs::new(&body, size, &[0; 8])?;
        Some((theirs, Ours::new(&body, size, &[0; 8])))
    }) {
        [Some(any), Some(valid)] => [any, valid],
        _ => return,
    };
    let mut choices = Choices::new();
    let count = cases(2000);
    for case in 0..count {
        let ((theirs, ours), format) = match choices.below(3) {
            0 => (&mut valid, format(&mut choices, FORMAT_LEN - 1).0),
            _ => (&mut any, scribble(&mut choices, FORMAT_LEN as u64 - 1)),
        };
        let mut input = data(&mut choices, size);
        input[FORMAT..][..format.len()].copy_from_slice(&format);
        for slot in 0..ARGUMENTS {
            // What is at any other number the kernel alone knows.
            let number: u64 = *choices.of(&[0, 1, 65, 200, 1 << 40]);
            input[NUMBERS + 8 * slot..][..8].copy_from_slice(&number.to_le_bytes());
        }
        let len = match choices.below(6) {
            0 => 1 + choices.below(FORMAT_LEN as u64),
            _ => format.len() as u64 + 1,
        };
        let sizes: [u64; 7] = [96, 96, 96, 24, 0, 9, choices.below(97)];
        let arguments = *choices.of(&sizes);
        input[LENGTH..][..8].copy_from_slice(&len.to_le_bytes());
        input[COUNT..][..8].copy_from_slice(&arguments.to_le_bytes());
        let results = |data: &[u8]| {
            let words = data[RESULTS..].as_chunks().0.iter();
            words
                .map(|word| i64::from_le_bytes(*word))
                .collect::<Vec<_>>()
        };
        let (theirs, got) = (theirs.run(&input), ours.run(&input));
        assert_eq!(
            results(&got),
            results(&theirs),
            "case {case} of seed {}: \"{}\" of {len} bytes, {arguments} bytes of arguments {:x?}; the \
             kernel's results are on the right",
            seed(),
            format.escape_ascii(),
            &input[NUMBERS..FORMAT]
        );
        let printed = results(&got).iter().filter(|len| **len >= 0).count();
        let texts: Vec<_> = ours.checked.machine.trace.drain(..).collect();
        assert_eq!(texts.len(), printed);
        assert_eq!(ours.rbpf.machine.trace.drain(..).collect::<Vec<_>>(), texts);
    }
    eprintln!("printk: {count} formats equal, seed {}", seed());
}
