//! The suite, again and again: the kernel gives the same each time, and nothing is left of it.
//!
//! Few repetitions by default; `TWINPATH_RUNS=100` makes them a hundred.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::needs_kernel;
use crate::remains::{CHILD, Surroundings, assert_gone, child, loaded, surroundings};

/// What the whole machine has, seen from outside of the command: what this process has around it, the network
/// namespaces of all processes and those with names, and what is pinned.
#[derive(Debug, PartialEq, Eq)]
struct Machine {
    surroundings: Surroundings,
    named: BTreeSet<PathBuf>,
    pinned: BTreeSet<PathBuf>,
}

fn machine() -> Machine {
    Machine {
        surroundings: surroundings(),
        named: entries("/run/netns"),
        pinned: entries("/sys/fs/bpf"),
    }
}

/// The network namespaces in which processes are.
fn inhabited() -> BTreeSet<PathBuf> {
    entries("/proc")
        .into_iter()
        .filter_map(|process| fs::read_link(process.join("ns/net")).ok())
        .collect()
}

/// What a directory contains; nothing if there is no such directory.
fn entries(directory: &str) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// What `twinpath run` says of the suite in the kernel.
fn suite() -> String {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../suite");
    let output = Command::new(env!("CARGO_BIN_EXE_twinpath"))
        .args(["run", "--backend", "kernel", "--json"])
        .arg(suite)
        .output()
        .expect("the command runs");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    assert!(
        output.status.success(),
        "{}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// The first line that two outputs do not have in common.
fn assert_same(run: u64, got: &str, first: &str) {
    let mut lines = got.lines().zip(first.lines());
    if let Some((got, first)) = lines.find(|(got, first)| got != first) {
        panic!("run {run} differs from the first:\n{got}\n{first}");
    }
    assert_eq!(got, first, "run {run} has other lines than the first");
}

#[test]
fn the_suite_gives_the_same_each_time_and_leaves_nothing() {
    needs_kernel!();
    let output = child("repetition::child_that_repeats");
    let output = output.wait_with_output().expect("output");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "is run by another test, alone in a process"]
fn child_that_repeats() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let runs = std::env::var("TWINPATH_RUNS").map_or(2, |runs| {
        runs.parse().expect("TWINPATH_RUNS is a number of runs")
    });
    let (before, known, inhabited_before) = (machine(), loaded(), inhabited());
    let first = suite();
    assert!(first.lines().count() > 30, "the whole suite:\n{first}");
    for run in 2..=runs {
        assert_same(run, &suite(), &first);
    }
    assert_gone(&loaded().difference(&known).copied().collect());
    assert_eq!(machine(), before);
    assert!(inhabited().is_subset(&inhabited_before));
}
