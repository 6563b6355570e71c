//! The suite, again and again: the kernel gives the same each time, and nothing is left of it.
//!
//! Few repetitions by default; `TWINPATH_RUNS=100` makes them a hundred.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use twinpath::diff::Chosen;
use twinpath::scenario::Scenario;
use twinpath::socket::without_chosen_port;

use crate::machine::{assert_gone_since, own, things};
use crate::needs_kernel;
use crate::remains::{CHILD, child};

/// What `twinpath run` says of the suite in the kernel, but for how long it took to load programs, and for numbers that
/// network stacks choose at random.
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
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        forget(&mut line, "load_nanoseconds");
        if let Some(file) = line.get("file").and_then(Value::as_str) {
            let scenario = Scenario::read(Path::new(file)).expect("a scenario");
            let chosen = Chosen::of(&scenario.case().expect("a case").plan);
            blank(&mut line, &chosen);
        }
        line.to_string() + "\n"
    });
    lines.collect()
}

/// Takes out each value of that name.
fn forget(value: &mut Value, name: &str) {
    match value {
        Value::Object(members) => {
            members.remove(name);
            members.values_mut().for_each(|value| forget(value, name));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| forget(value, name)),
        _ => {}
    }
}

/// Blanks in each frame what stacks choose at random.
fn blank(value: &mut Value, chosen: &Chosen) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(bytes)) = members.get_mut("bytes") {
                let digits: Vec<u8> = bytes.bytes().collect();
                let pairs = digits.chunks(2).map(|pair| {
                    let pair = std::str::from_utf8(pair).expect("digits");
                    u8::from_str_radix(pair, 16).expect("hex digits")
                });
                let frame: Vec<u8> = pairs.collect();
                *bytes = format!("{:02x?}", chosen.blank(&frame, &mut BTreeSet::new()));
            }
            let gave = members.get_mut("gave").and_then(Value::as_object_mut);
            for text in gave.into_iter().flat_map(|gave| gave.values_mut()) {
                let address = text.as_str().and_then(|text| text.parse().ok());
                if let Some(address) = address {
                    *text = without_chosen_port(address).into();
                }
            }
            members.values_mut().for_each(|value| blank(value, chosen));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| blank(value, chosen)),
        _ => {}
    }
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
    let (before, around) = (own(), things());
    let first = suite();
    assert!(first.lines().count() > 30, "the whole suite:\n{first}");
    for run in 2..=runs {
        assert_same(run, &suite(), &first);
    }
    assert_eq!(own(), before);
    assert_gone_since(&around);
}
