//! Frames that arrive without waiting between them, for throughput.
//!
//! All frames of a step come at one time, and in the kernel one right behind another. Whose a program run was, or a frame that
//! left, is told by bytes: what a packet was like when something had it last. Identical packets are told apart by order alone,
//! so that what is compared of them is how often each thing happened to one of them. So it is with records for user space,
//! which tell nothing of a packet.

use std::ops::Range;
use std::time::Duration;

use crate::check::Expectation;
use crate::plan::{NodeName, Plan, Port, Stimulus, StimulusKind};
use crate::recording::Recording;
use crate::scenario::Case;

/// Why a case cannot be run in batches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoBatch {
    /// What a stack passes on has other bytes than what it took in.
    #[error(
        "run `{0}` in batches: it has a network stack, behind which a packet is not told by its bytes"
    )]
    Stack(NodeName),
    /// Answers come of one frame at a time.
    #[error("run in batches what answers at `{0}`")]
    Responder(Port),
    /// What is cut has other bytes afterwards.
    #[error("run packet {} in batches: it holds several segments, which are cut", .0 + 1)]
    Joined(usize),
    /// It is not known which packet a record is of.
    #[error("expect records of packet {} in batches, where nothing tells whose they are", .0 + 1)]
    Events(usize),
}

/// Has the frames of each step come at one time, the first one's.
///
/// # Errors
/// When packets could not be told by their bytes.
pub fn gather(case: &mut Case) -> Result<(), NoBatch> {
    check(&case.plan)?;
    let expectations = case.expectations.packets.iter().enumerate();
    for (number, expected) in expectations {
        if expects_events(expected) {
            return Err(NoBatch::Events(number));
        }
    }
    let stimuli = &mut case.plan.stimuli;
    let mut first: Option<(u64, Duration)> = None;
    for (stimulus, expected) in stimuli.iter_mut().zip(&case.expectations.packets) {
        let line = expected.line as u64;
        match (&stimulus.kind, first) {
            (StimulusKind::Frame { .. }, Some((step, at))) if step == line => stimulus.at = at,
            _ => first = Some((line, stimulus.at)),
        }
    }
    case.batch = true;
    Ok(())
}

fn check(plan: &Plan) -> Result<(), NoBatch> {
    if let Some(node) = plan.nodes.iter().find(|node| !node.name.is_only()) {
        return Err(NoBatch::Stack(node.name.clone()));
    }
    if let Some(port) = plan.responders.keys().next() {
        return Err(NoBatch::Responder(port.clone()));
    }
    let joined = |stimulus: &Stimulus| {
        matches!(
            stimulus.kind,
            StimulusKind::Frame {
                joined: Some(_),
                ..
            }
        )
    };
    match plan.stimuli.iter().position(joined) {
        Some(number) => Err(NoBatch::Joined(number)),
        None => Ok(()),
    }
}

/// That there are none needs no telling.
const fn expects_events(expected: &Expectation) -> bool {
    matches!(expected.events, Some(1..)) || expected.says.is_some() || expected.reason.is_some()
}

/// The frames that come at one time to one device, and each other stimulus by itself, in order.
pub fn groups(stimuli: &[Stimulus]) -> Vec<Range<usize>> {
    let same = |a: &Stimulus, b: &Stimulus| match (&a.kind, &b.kind) {
        (
            StimulusKind::Frame { node, device, .. },
            StimulusKind::Frame {
                node: other_node,
                device: other_device,
                ..
            },
        ) => a.at == b.at && (node, device) == (other_node, other_device),
        _ => false,
    };
    let mut start = 0;
    let chunks = stimuli.chunk_by(same);
    chunks
        .map(|chunk| {
            let range = start..start + chunk.len();
            start = range.end;
            range
        })
        .collect()
}

/// Puts the records of each group of frames together, in an order of their own.
pub fn gather_events(plan: &Plan, recording: &mut Recording) {
    for group in groups(&plan.stimuli) {
        let Some(journeys) = recording.journeys.get_mut(group) else {
            continue;
        };
        let mut events: Vec<_> = journeys
            .iter_mut()
            .flat_map(|journey| std::mem::take(&mut journey.events))
            .collect();
        events.sort_by(|a, b| (&a.map, &a.bytes).cmp(&(&b.map, &b.bytes)));
        if let Some(last) = journeys.last_mut() {
            last.events = events;
        }
    }
}
