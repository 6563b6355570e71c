//! Random programs: the kernel, the checked engine and rbpf must agree.
//!
//! `TWINPATH_CASES` says how many (500 unless set), `TWINPATH_SEED` which (0 unless set). A counterexample
//! is shrunk and printed as a case; what was found this way is a test here.

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use twinpath_machine::isa::check_form;

use super::arms::Arms;
use super::generate;

fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text:?} is no number")),
        Err(_) => otherwise,
    }
}

#[test]
fn random_programs() {
    let cases = number("TWINPATH_CASES", 500);
    let seed = number("TWINPATH_SEED", 0);
    let config = Config {
        cases: cases as u32,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let arms = std::cell::RefCell::new(Arms::new());
    let skipped = std::cell::Cell::new(0);
    let jumping = std::cell::Cell::new(0);
    let result = TestRunner::new_with_rng(config, rng).run(&generate::case(), |case| {
        if let Err(errors) = check_form(&case.program(0)) {
            return Err(TestCaseError::fail(format!("refused by form: {errors:?}")));
        }
        jumping.set(jumping.get() + u64::from(case.jumps()));
        match arms.borrow_mut().run(&case) {
            Ok(_) => Ok(()),
            // Too many paths for the verifier.
            Err(problem) if problem.contains("(os error 7)") => {
                skipped.set(skipped.get() + 1);
                Ok(())
            }
            Err(problem) => Err(TestCaseError::fail(problem)),
        }
    });
    match result {
        Ok(()) => eprintln!(
            "{cases} programs of seed {seed}, {} with tail calls, {} too complex for the verifier",
            jumping.get(),
            skipped.get()
        ),
        Err(TestError::Fail(reason, case)) => panic!("seed {seed}: {reason}\n{case:?}"),
        Err(abort) => panic!("seed {seed}: {abort}"),
    }
}
