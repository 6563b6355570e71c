//! The suite, again and again: the kernel gives the same each time, and nothing is left of it.
//!
//! Few repetitions by default; `TWINPATH_RUNS=100` makes them a hundred.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{convert::Infallible, thread};

use twinpath::arm::Arm;
use twinpath::cli::scenario_files;
use twinpath::diff::{self, Diff, Leeway};
use twinpath::emulated::Engine;
use twinpath::parallel;
use twinpath::recording::Recording;
use twinpath::runner::{self, Run, Status};
use twinpath::scenario::{Case, Scenario};

use crate::machine::{assert_gone_since, own, things};
use crate::needs_kernel;
use crate::remains::{CHILD, child};

fn suite() -> Vec<(PathBuf, Arc<Case>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../suite");
    let files = scenario_files(&[folder]).expect("the suite").into_iter();
    files
        .map(|file| {
            let scenario = Scenario::read(&file).expect("a scenario");
            (file, Arc::new(scenario.case().expect("a case")))
        })
        .collect()
}

/// What the kernel gives; nothing if it is too old for the scenario.
fn play(file: &Path, case: &Arc<Case>) -> Option<Recording> {
    let mut outcome = runner::run(Arc::clone(case), &[Arm::Kernel]);
    let status = outcome.status();
    let (file, run) = (file.display(), outcome.runs.pop());
    assert!(status <= Status::Skipped, "{file}: {status:?}, {run:?}");
    run.map(|run| run.result.as_ref().expect("it ran").clone())
}

/// What the kernel gives of each, in their order; several run at a time.
fn play_all(suite: &[(PathBuf, Arc<Case>)]) -> Vec<Option<Recording>> {
    let workers = thread::available_parallelism().expect("processors");
    let mut recordings = Vec::new();
    let play = |(file, case): &(PathBuf, Arc<Case>)| play(file, case);
    let Ok(()) = parallel::in_order(suite, workers, play, |_, recording| {
        recordings.push(recording);
        Ok::<(), Infallible>(())
    });
    recordings
}

/// Whether a run in the kernel is the emulator's but for what depends on chance.
fn is_emulated(case: &Arc<Case>, recording: &Recording) -> bool {
    let arms = [Arm::Emulator(Engine::Checked), Arm::Kernel];
    let run = |arm| {
        Arc::new(match arm {
            Arm::Kernel => Run {
                arm,
                result: Ok(recording.clone()),
                unexpected: Diff::default(),
            },
            arm => Run::of(case, arm),
        })
    };
    let outcome = runner::outcome(Arc::clone(case), &arms, &Leeway::of(&case.plan), run);
    outcome.status() == Status::Passed
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
    let suite = suite();
    assert!(suite.len() > 30, "the whole suite: {}", suite.len());
    // The first run finds out what the kernel can do, and keeps that.
    let (file, case) = suite.first().expect("a scenario");
    drop(play(file, case));
    let (before, around) = (own(), things());
    let first = play_all(&suite);
    for run in 2..=runs {
        for ((file, case), (first, again)) in suite.iter().zip(first.iter().zip(play_all(&suite))) {
            let (Some(first), Some(again)) = (first, again) else {
                continue;
            };
            let diff = diff::compare(first, &again, &case.decoder, &Leeway::of(&case.plan));
            let file = file.display();
            let same = diff.is_empty() || [first, &again].iter().all(|run| is_emulated(case, run));
            assert!(same, "run {run} of {file} is another: {diff:#?}");
        }
    }
    assert_eq!(own(), before);
    assert_gone_since(&around);
}
