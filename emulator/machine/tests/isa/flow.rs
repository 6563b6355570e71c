//! Jumps, calls and 64-bit immediates (RFC 9669 sections 4.3 and 5.4).

use super::arms::{Arms, EmulatorArm};
use super::asm::{self, Width, cond::*, insn, mov, movr};
use super::case::Case;
use twinpath_machine::isa::{Insn, LD_IMM64, pseudo};
use twinpath_machine::{FaultKind, ProgramType};

const MIN64: u64 = 1 << 63;
const NEG: u64 = -1i64 as u64;

/// Left and right side, whether it jumps when 64 and when 32 bits wide.
type Row = (u8, u64, u64, bool, bool);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    (JEQ, 5, 5, true, true), (JEQ, 5, 6, false, false), (JEQ, NEG, NEG, true, true),
    (JEQ, 0xffff_ffff, NEG, false, true), (JEQ, 0x1_0000_0005, 5, false, true),
    (JEQ, 0xffff_ffff_8000_0000, i32::MIN as u64, true, true),
    (JNE, 5, 5, false, false), (JNE, 5, 6, true, true), (JNE, NEG, NEG, false, false),
    (JNE, 0xffff_ffff, NEG, true, false), (JNE, 0x1_0000_0005, 5, true, false),
    (JNE, NEG - 5, NEG, true, true), (JNE, 3, NEG, true, true),
    (JGT, 5, 5, false, false), (JGT, 6, 5, true, true), (JGT, NEG, 5, true, true),
    (JGT, 5, NEG, false, false), (JGT, NEG, NEG - 1, true, true), (JGT, NEG - 1, NEG, false, false),
    (JGT, 0xffff_ffff, NEG - 1, false, true), (JGT, 0x1_0000_0000, 5, true, false),
    (JGE, 5, 5, true, true), (JGE, 4, 5, false, false), (JGE, NEG, NEG, true, true),
    (JGE, NEG - 1, NEG, false, false), (JGE, 0xffff_ffff, NEG, false, true), (JGE, MIN64, 1, true, false),
    (JGE, 0, 0, true, true),
    (JLT, 5, 5, false, false), (JLT, 4, 5, true, true), (JLT, 5, NEG, true, true),
    (JLT, NEG, 5, false, false), (JLT, NEG - 1, NEG, true, true), (JLT, NEG, NEG - 1, false, false),
    (JLT, 0xffff_ffff, NEG, true, false), (JLT, MIN64, 1, false, true),
    (JLE, 5, 5, true, true), (JLE, 6, 5, false, false), (JLE, NEG, NEG, true, true),
    (JLE, NEG, NEG - 1, false, false), (JLE, 5, NEG, true, true), (JLE, MIN64, NEG, true, true),
    (JLE, 0x1_0000_0000, 5, false, true),
    (JSET, 4, 6, true, true), (JSET, 1, 6, false, false), (JSET, MIN64, NEG, true, false),
    (JSET, 0x1_0000_0000, 0x7fff_ffff, false, false), (JSET, MIN64, i32::MIN as u64, true, false),
    (JSGT, 5, 5, false, false), (JSGT, 5, NEG, true, true), (JSGT, NEG, 5, false, false),
    (JSGT, NEG, NEG - 1, true, true), (JSGT, 0x8000_0000, 1, true, false), (JSGT, MIN64, 0, false, false),
    (JSGE, 5, 5, true, true), (JSGE, NEG, NEG, true, true), (JSGE, NEG - 1, NEG, false, false),
    (JSGE, 0xffff_ffff, 0, true, false), (JSGE, 0, NEG, true, true),
    (JSLT, NEG, 0, true, true), (JSLT, 0, NEG, false, false), (JSLT, 0xffff_ffff, 0, false, true),
    (JSLT, MIN64, NEG, true, false), (JSLT, 3, 3, false, false),
    (JSLE, NEG, NEG, true, true), (JSLE, NEG, NEG - 1, false, false), (JSLE, 0x8000_0000, 0, false, true),
    (JSLE, MIN64, 0, true, true), (JSLE, 1, 0, false, false),
];

fn check(arms: &mut Arms, jump: Insn, [a, b]: [u64; 2], jumps: bool) {
    // r0 = 1; if the comparison holds, goto end; r0 = 2; end:
    let mut case = Case::new(vec![mov(0, 1), jump, mov(0, 2)]);
    case.start.registers[1] = a;
    case.start.registers[2] = b;
    let end = arms.run(&case).unwrap_or_else(|e| panic!("{jump:x?}: {e}"));
    let want = if jumps { 1 } else { 2 };
    assert_eq!(end.registers[0], want, "{jump:x?} of {a:#x}, {b:#x}");
    assert_eq!(end.registers[1..3], [a, b]);
}

#[test]
fn comparisons() {
    let mut arms = Arms::new();
    for &(cond, a, b, wide_jumps, narrow_jumps) in ROWS {
        for (wide, jumps) in [(true, wide_jumps), (false, narrow_jumps)] {
            check(&mut arms, asm::jump_x(wide, cond, 1, 2, 1), [a, b], jumps);
            let imm = b as i32;
            if imm as u64 == b {
                check(&mut arms, asm::jump_k(wide, cond, 1, imm, 1), [a, b], jumps);
            }
        }
    }
}

#[test]
fn unconditional_jumps() {
    let mut arms = Arms::new();
    for jump in [asm::ja(1), asm::gotol(1)] {
        for (r1, want) in [(0, 2), (5, 1)] {
            let over = asm::jump_k(true, JEQ, 1, 0, 1);
            let mut case = Case::new(vec![mov(0, 1), over, jump, mov(0, 2)]);
            case.start.registers[1] = r1;
            assert_eq!(arms.run(&case).unwrap().registers[0], want, "{jump:x?}");
        }
    }
    // Forwards, back and out again, in both forms; and a loop of five rounds.
    for (there, back) in [(asm::ja(2), asm::ja(-3)), (asm::gotol(2), asm::gotol(-3))] {
        let case = Case::new(vec![there, mov(0, 7), asm::ja(1), back]);
        assert_eq!(arms.run(&case).unwrap().registers[0], 7);
    }
    let round = asm::alu_k(true, asm::op::ADD, 1, -1, 0);
    let again = asm::jump_k(true, JNE, 1, 0, -3);
    let case = Case::new(vec![
        mov(0, 0),
        mov(1, 5),
        asm::alu_k(true, asm::op::ADD, 0, 3, 0),
        round,
        again,
    ]);
    assert_eq!(arms.run(&case).unwrap().registers[0], 15);
}

/// The count of `may_goto` is large: once it falls through.
#[test]
fn may_goto_falls_through_at_first() {
    let mut arms = Arms::new();
    let case = Case::new(vec![mov(0, 1), insn(0xe5, 0, 0, 1, 0), mov(0, 2)]);
    assert_eq!(arms.run(&case).unwrap().registers[0], 2);
}

#[test]
fn wide_immediates() {
    let mut arms = Arms::new();
    for value in [
        0,
        1,
        0x1122_3344_5566_7788,
        MIN64,
        NEG,
        0x8000_0000,
        0xffff_ffff_0000_0000,
    ] {
        let case = Case::new(asm::lddw(3, 0, value).to_vec());
        assert_eq!(arms.run(&case).unwrap().registers[3], value);
    }
    // Into the second half of the space: a map's value at an offset.
    let case = Case::new(vec![movr(0, 9), asm::st(Width::D, 0, 128, 5), mov(0, 0)]);
    assert_eq!(arms.run(&case).unwrap().memory[0], 5);
}

/// Arguments, a result, callee-saved registers, a frame for each call, a call backwards.
#[test]
fn local_calls() {
    let mut arms = Arms::new();
    let add = |dst, src| asm::alu_x(true, asm::op::ADD, dst, src, 0);
    let mut body = vec![asm::st(Width::D, 10, -8, 1000), mov(6, 60), mov(7, 70)];
    body.extend((1..=5).map(|register| mov(register, i32::from(register))));
    // Behind the call: 2 of this body, then the rest of the program.
    body.extend([asm::call_local(0), asm::ldx(Width::D, 3, 10, -8)]);
    body.extend([1, 2, 4, 5].map(|register| mov(register, 0)));
    // The first function adds 9 to its argument; the second calls it backwards.
    let mut functions = vec![asm::st(Width::D, 10, -8, 7), movr(0, 1)];
    functions.extend([asm::alu_k(true, asm::op::ADD, 0, 9, 0), asm::exit()]);
    let first = functions.len() as i32;
    let at = body.iter().position(|i| i.code == 0x85).unwrap();
    let own = 9;
    body[at].imm = (body.len() - at - 1 + own + 2) as i32 + first;
    functions.extend([
        asm::st(Width::D, 10, -8, 100),
        mov(6, 0),
        mov(7, 0),
        movr(0, 1),
    ]);
    functions.extend([add(0, 2), add(0, 3), add(0, 4), add(0, 5), movr(1, 0)]);
    functions.push(asm::call_local(-(functions.len() as i32) - 1));
    functions.extend([asm::ldx(Width::D, 1, 10, -8), add(0, 1), asm::exit()]);
    let case = Case {
        functions,
        ..Case::new(body)
    };
    let end = arms.run(&case).unwrap();
    assert_eq!(end.registers[0], 15 + 9 + 100);
    assert_eq!(end.registers[3], 1000);
    assert_eq!(end.registers[6..8], [60, 70]);
}

/// The kernel refuses `callx`: of helpers by number, and of functions by address.
#[test]
fn calls_through_a_register() {
    for mut engine in EmulatorArm::both() {
        let case = Case::new(vec![mov(3, 8), asm::callx(3)]);
        assert_eq!(
            engine.run(&case).unwrap().registers[0],
            0,
            "get_smp_processor_id"
        );
        let by_source = insn(0x8d, 0, 3, 0, 0);
        assert_eq!(
            engine
                .run(&Case::new(vec![mov(3, 8), by_source]))
                .unwrap()
                .registers[0],
            0
        );
        let unknown = Case::new(vec![mov(3, 9999), asm::callx(3)]);
        let fault = engine.run(&unknown).unwrap_err();
        assert!(
            matches!(fault.kind, FaultKind::Unsupported(_)),
            "{:?}",
            fault.kind
        );
        // A function: behind lddw, callx and the rest of the program.
        let distance = 2 + 9 + 2;
        let mut body = asm::lddw(4, pseudo::FUNC, distance).to_vec();
        body.extend([mov(1, 20), asm::callx(4)]);
        body[0].imm += 1;
        let functions = vec![
            movr(0, 1),
            asm::alu_k(true, asm::op::MUL, 0, 3, 0),
            asm::exit(),
        ];
        let case = Case {
            functions,
            ..Case::new(body)
        };
        assert_eq!(
            engine.run(&case).unwrap().registers[0],
            60,
            "{}",
            engine.name()
        );
    }
}

/// Forms that neither the kernel nor the engines take.
#[test]
fn malformed_instructions_are_refused() {
    let arms = Arms::new();
    let wrong = [
        insn(0x00, 0, 0, 0, 0),
        insn(0x07, 11, 0, 0, 1),
        insn(0x0f, 0, 12, 0, 0),
        insn(0x07, 0, 0, 4, 1),
        insn(0x0f, 0, 1, 0, 5),
        insn(0x07, 0, 3, 0, 1),
        insn(0x07, 10, 0, 0, 1),
        insn(0xbf, 0, 1, 7, 0),
        insn(0xbc, 0, 1, 32, 0),
        insn(0xd4, 0, 0, 0, 15),
        insn(0xdc, 0, 0, 1, 16),
        insn(0xdf, 0, 0, 0, 16),
        insn(0x87, 0, 1, 0, 0),
        insn(0x8f, 0, 0, 0, 0),
        insn(0xe7, 0, 0, 0, 0),
        insn(0xf7, 0, 0, 0, 0),
        insn(0x05, 0, 0, 0, 1),
        insn(0x06, 0, 0, 1, 0),
        insn(0x05, 0, 0, 9000, 0),
        insn(0x15, 0, 0, -9000, 0),
        insn(0xe6, 0, 0, 0, 0),
        insn(0x95, 1, 0, 0, 0),
        insn(0x95, 0, 0, 0, 1),
        insn(0x9d, 0, 0, 0, 0),
        insn(0x96, 0, 0, 0, 0),
        insn(0x61, 0, 9, 0, 1),
        insn(0x99, 0, 9, 0, 0),
        insn(0x63, 9, 0, 0, 1),
        insn(0x62, 9, 1, 0, 0),
        insn(0xc3, 9, 0, 0, 2),
        insn(0xd3, 9, 0, 0, 0),
        insn(0xdb, 9, 0, 0, 0xe0),
        insn(0x58, 0, 0, 0, 0),
        insn(0x38, 0, 0, 0, 0),
        insn(0x85, 0, 3, 0, 0),
        insn(0x85, 1, 0, 0, 7),
        insn(LD_IMM64, 0, 0, 0, 0),
        insn(LD_IMM64, 0, 7, 0, 0),
    ];
    for insn in wrong {
        let case = Case::new(vec![mov(0, 0), insn]);
        if let Some(kernel) = &arms.kernel {
            assert!(kernel.run(&case).is_err(), "the kernel takes {insn:x?}");
        }
        let insns = [mov(0, 0), insn, asm::exit()].to_vec();
        let program =
            twinpath_machine::Program::bare("t", ProgramType::Xdp, insns, &|_, _, _| None);
        assert!(program.is_err(), "{insn:x?} decodes");
    }
}
