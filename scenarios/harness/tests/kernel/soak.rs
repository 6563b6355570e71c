//! Run after run in one process: its memory, its descriptors and what there is on the machine stay as they were.
//!
//! A few runs by default; `TWINPATH_SOAK=600` goes on for ten minutes.

use std::fs;
use std::time::{Duration, Instant};

use crate::machine::{assert_gone_since, own, things};
use crate::needs_kernel;
use crate::networks::draw;
use crate::orders::number;
use crate::remains::{CHILD, child};
use crate::support::run;

/// Networks that take turns.
const NETWORKS: u64 = 3;
/// Runs after which a process has all that it keeps.
const WARM: u64 = 2 * NETWORKS;
/// Runs at the least, the warm ones included.
const RUNS: u64 = 3 * NETWORKS;
/// Bytes by which resident memory may grow: allocators keep what they once had.
const SLACK: u64 = 8 << 20;

/// Bytes of resident memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the status of this process");
    let mut lines = status
        .lines()
        .filter_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = lines
        .next()
        .expect("its memory")
        .trim()
        .trim_end_matches(" kB");
    1024 * kibibytes.parse::<u64>().expect("a number")
}

#[test]
fn runs_take_no_more_and_more() {
    needs_kernel!();
    let output = child("soak::child_that_soaks")
        .wait_with_output()
        .expect("output");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    eprintln!("{text}");
}

#[test]
#[ignore = "is run by another test, alone in a process"]
fn child_that_soaks() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let patience = Duration::from_secs(number("TWINPATH_SOAK", 0));
    let (start, around) = (Instant::now(), things());
    let mut runs = 0;
    let mut packets = 0;
    let mut run_one = || {
        let plan = draw(runs % NETWORKS);
        packets += run(&plan).journeys.len();
        runs += 1;
        runs
    };
    while run_one() < WARM {}
    let (before, memory) = (own(), resident());
    let mut most = memory;
    while run_one() < RUNS || start.elapsed() < patience {
        assert_eq!(own(), before);
        most = most.max(resident());
    }
    assert_gone_since(&around);
    eprintln!(
        "{runs} runs with {packets} packets in {:?}: {before:?}, memory {memory}, at most {most}, at last {}",
        start.elapsed(),
        resident(),
    );
    assert!(most < memory + SLACK, "memory grew from {memory} to {most}");
}
