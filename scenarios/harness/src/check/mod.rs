//! A recording against what the scenario expects.

mod expectation;
mod map;
mod packet;

use std::sync::Arc;

pub use expectation::{Claim, Expectation, ExpectedEnd, MapExpectation};

use crate::decode::Decoder;
use crate::diff::{Diff, PacketDiff};
use crate::plan::{Plan, StimulusKind};
use crate::recording::{Journey, Recording};

/// What a scenario expects of a recording.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// One for each stimulus of the plan.
    pub packets: Vec<Arc<Expectation>>,
    /// In the order of the file.
    pub maps: Vec<MapExpectation>,
}

/// In what a recording is not as expected; the expectation is the left side.
pub fn check(
    expectations: &Expectations,
    plan: &Plan,
    recording: &Recording,
    decoder: &Decoder,
) -> Diff {
    let nothing = Journey::default();
    let packets = expectations
        .packets
        .iter()
        .zip(&plan.stimuli)
        .enumerate()
        .filter_map(|(index, (expected, stimulus))| {
            let journey = recording.journeys.get(index).unwrap_or(&nothing);
            let input: &[u8] = match &stimulus.kind {
                StimulusKind::Frame { bytes, .. } => bytes,
                StimulusKind::Call { .. }
                | StimulusKind::Change { .. }
                | StimulusKind::Collect { .. } => &[],
            };
            let differences = packet::check(expected, input, journey, decoder);
            (!differences.is_empty()).then(|| PacketDiff {
                stimulus: index,
                before: Vec::new(),
                differences,
                hop: packet::hop_in_question(expected, journey),
                trace: None,
            })
        })
        .collect();
    let maps = expectations
        .maps
        .iter()
        .filter_map(|expected| map::check(expected, recording, decoder))
        .collect();
    Diff {
        packets,
        maps,
        ..Diff::default()
    }
}
