//! Running a property for so many cases, from a seed.

use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::case::Case;
use super::network;
use super::sides::{Against, Sides};

/// Cases of each property without `TWINPATH_CASES`.
const DEFAULT_CASES: u32 = 48;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Holds random cases in the kernel and on both engines equal. `TWINPATH_CASES` and `TWINPATH_SEED` say
/// how many and which.
pub fn hold_equal(name: &str, strategy: impl Fn() -> BoxedStrategy<Case> + Sync) {
    if let Some(reason) = twinpath_bpf::missing() {
        eprintln!("{name}: skipped, {reason}");
        return;
    }
    twinpath_bpf::one_process_at_a_time();
    // A namespace is a thread's, and gone with it.
    let result = std::thread::scope(|scope| {
        let run = || {
            network::enter().unwrap();
            run(name, strategy(), Against::Kernel);
        };
        scope.spawn(run).join()
    });
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// Holds random cases on both engines equal, which takes no kernel.
pub fn hold_engines_equal(name: &str, strategy: BoxedStrategy<Case>) {
    run(name, strategy, Against::Engines);
}

fn run(name: &str, strategy: BoxedStrategy<Case>, against: Against) {
    let cases = number("TWINPATH_CASES", u64::from(DEFAULT_CASES)) as u32;
    let seed = number("TWINPATH_SEED", 1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let sides = std::cell::RefCell::new(Sides::new(against));
    let packets = std::cell::Cell::new([0; 2]);
    let result = runner.run(&strategy, |case| {
        let engines = sides.borrow_mut().compare(&case);
        let engines = engines.map_err(proptest::test_runner::TestCaseError::fail)?;
        let mut counts = packets.get();
        for count in &mut counts[..engines] {
            *count += case.inputs.len();
        }
        packets.set(counts);
        Ok(())
    });
    let [checked, rbpf] = packets.get();
    match result {
        Ok(()) => eprintln!("{name}: {checked} packets clean, {rbpf} on rbpf, seed {seed}"),
        Err(TestError::Fail(reason, case)) => panic!("{name}, seed {seed}: {reason}\n{case:#?}"),
        Err(TestError::Abort(reason)) => panic!("{name}: aborted, {reason}"),
    }
}
