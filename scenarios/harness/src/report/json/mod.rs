//! An outcome for a program: one JSON object, on a line of its own.

mod diff;
mod packet;

use serde::Serialize;

use crate::recording::{ProgramLoad, Recording, Warning};
use crate::runner::{Outcome, Run, Status};
use crate::scenario::Source;

use super::text::chain;
use diff::DiffPart;
pub use diff::{DifferencePart, ValuesPart};
use packet::PacketPart;
pub use packet::{CostPart, EndPart, EventPart};

/// A scenario's line.
#[derive(Debug, Serialize)]
pub struct ScenarioLine {
    scenario: String,
    file: String,
    status: &'static str,
    runs: Vec<RunPart>,
    /// Backends that lack what the scenario is about, a sentence each.
    skipped: Vec<String>,
    comparisons: Vec<ComparisonPart>,
}

#[derive(Debug, Serialize)]
struct RunPart {
    backend: &'static str,
    error: Option<String>,
    notices: Vec<String>,
    warnings: Vec<String>,
    /// As the kernel loaded them.
    programs: Vec<LoadPart>,
    packets: Vec<PacketPart>,
    unexpected: DiffPart,
}

#[derive(Debug, Serialize)]
struct ComparisonPart {
    left: &'static str,
    right: &'static str,
    #[serde(flatten)]
    diff: DiffPart,
}

/// A program that the kernel took.
#[derive(Debug, Serialize)]
pub struct LoadPart {
    node: String,
    object: String,
    program: String,
    load_nanoseconds: u128,
    verified_instructions: Option<u32>,
    machine_code_bytes: Option<u32>,
}

impl ScenarioLine {
    /// The line of an outcome.
    pub fn new(outcome: &Outcome, source: &Source) -> Self {
        Self {
            scenario: outcome.case.plan.name.clone(),
            file: source.path.display().to_string(),
            status: match outcome.status() {
                Status::Passed => "passed",
                Status::Skipped => "skipped",
                Status::Different => "different",
                Status::Failed => "failed",
            },
            runs: outcome
                .runs
                .iter()
                .map(|run| RunPart::new(outcome, run))
                .collect(),
            skipped: outcome.skipped.iter().map(ToString::to_string).collect(),
            comparisons: outcome
                .comparisons
                .iter()
                .map(|comparison| ComparisonPart {
                    left: comparison.left.name(),
                    right: comparison.right.name(),
                    diff: DiffPart::new(&comparison.diff),
                })
                .collect(),
        }
    }
}

impl RunPart {
    fn new(outcome: &Outcome, run: &Run) -> Self {
        let nothing = Recording::default();
        let recording = run.result.as_ref().unwrap_or(&nothing);
        let stimuli = outcome.case.plan.stimuli.iter();
        Self {
            backend: run.arm.name(),
            error: run.result.as_ref().err().map(|error| chain(error.as_ref())),
            notices: recording.notices.clone(),
            warnings: recording
                .warnings
                .iter()
                .map(|Warning(text)| text.clone())
                .collect(),
            programs: recording.loads.iter().map(LoadPart::new).collect(),
            packets: stimuli
                .zip(&recording.journeys)
                .zip(1..)
                .map(|((stimulus, journey), number)| {
                    PacketPart::new(number, stimulus, journey, &outcome.case.decoder)
                })
                .collect(),
            unexpected: DiffPart::new(&run.unexpected),
        }
    }
}

impl LoadPart {
    /// The part of a loaded program.
    pub fn new(load: &ProgramLoad) -> Self {
        Self {
            node: load.node.to_string(),
            object: load.object.to_string(),
            program: load.program.clone(),
            load_nanoseconds: load.time.as_nanos(),
            verified_instructions: load.verified,
            machine_code_bytes: load.machine_code,
        }
    }
}
