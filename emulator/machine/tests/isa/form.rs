//! What the kernel refuses by form: it does, and [`check_form`] says so.

use super::arms::Arms;
use super::asm::{self, alu_k, callx, cond::*, exit, ja, mov, op};
use super::case::Case;
use twinpath_machine::isa::{FormProblem, Insn, check_form};

/// A body, functions behind the program, and what is wrong.
type Row = (Vec<Insn>, Vec<Insn>, FormProblem);

/// A call of the function `behind` slots after the start of the functions.
fn call_behind(body: &mut Vec<Insn>, behind: i32) {
    const REST: i32 = 9 + 2;
    body.push(asm::call_local(REST + 5 + behind));
    body.extend((1..6).map(|register| mov(register, 0)));
}

fn rows() -> Vec<Row> {
    use FormProblem::*;
    let mut rows: Vec<Row> = vec![
        (vec![alu_k(true, op::DIV, 0, 0, 0)], vec![], DivisionByZero),
        (vec![alu_k(false, op::MOD, 0, 0, 1)], vec![], DivisionByZero),
        (vec![alu_k(true, op::LSH, 0, 64, 0)], vec![], Shift(64)),
        (vec![alu_k(false, op::ARSH, 0, 32, 0)], vec![], Shift(32)),
        (vec![alu_k(true, op::RSH, 0, -1, 0)], vec![], Shift(-1)),
        (vec![mov(2, 8), callx(2)], vec![], CallRegister),
        (vec![ja(1), mov(0, 0)], vec![], Unreachable),
    ];
    let mut body = Vec::new();
    call_behind(&mut body, 0);
    let ends_with_a_call = [mov(0, 0), exit(), mov(0, 0)];
    rows.push((body.clone(), ends_with_a_call[2..].to_vec(), FallsThrough));
    rows.push((
        body.clone(),
        vec![asm::jump_k(true, JEQ, 1, 0, -14), mov(0, 0), exit()],
        CrossesFunctions(2),
    ));
    // A function that calls itself.
    let recursive = vec![asm::call_local(-1), exit()];
    rows.push((body.clone(), recursive, CallDepth));
    // Eight functions behind the program, each calling the next: nine frames.
    let mut chain = Vec::new();
    for _ in 0..7 {
        chain.extend([asm::call_local(1), exit()]);
    }
    chain.extend([mov(0, 0), exit()]);
    rows.push((body, chain, CallDepth));
    rows
}

#[test]
fn the_kernel_refuses_by_form() {
    let arms = Arms::new();
    for (body, functions, problem) in rows() {
        let case = Case {
            functions,
            ..Case::new(body)
        };
        let errors = check_form(&case.program(0)).unwrap_err();
        let found = errors.iter().any(|error| {
            std::mem::discriminant(&error.problem) == std::mem::discriminant(&problem)
        });
        assert!(found, "{problem}: {errors:?}");
        if let Some(kernel) = &arms.kernel {
            assert!(
                kernel.run(&case).is_err(),
                "the kernel takes what is {problem}"
            );
        }
    }
}

/// Eight frames are allowed.
#[test]
fn the_deepest_calls() {
    let mut arms = Arms::new();
    let mut body = Vec::new();
    call_behind(&mut body, 0);
    let mut functions = Vec::new();
    for _ in 0..6 {
        functions.extend([asm::call_local(1), exit()]);
    }
    functions.extend([mov(0, 77), exit()]);
    let case = Case {
        functions,
        ..Case::new(body)
    };
    check_form(&case.program(0)).unwrap();
    assert_eq!(arms.run(&case).unwrap().registers[0], 77);
}
