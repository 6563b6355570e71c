//! Runs a case on some arms, checks each recording and compares them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::arm::{self, Arm, ArmError};
use crate::check;
use crate::diff::{self, Diff, Leeway, Rule};
use crate::emulated::{self, Chance};
use crate::recording::{Cost, Recording};
use crate::scenario::{Case, KernelVersion};

/// All that came of a case.
#[derive(Debug)]
pub struct Outcome {
    /// What was run.
    pub case: Arc<Case>,
    /// In the order in which they ran.
    pub runs: Vec<Arc<Run>>,
    /// Those that did not, as they lack what the case is about.
    pub skipped: Vec<Skipped>,
    /// The first arm that ran against each other one.
    pub comparisons: Vec<Comparison>,
}

/// What came of a case on one arm.
#[derive(Debug)]
pub struct Run {
    /// The arm.
    pub arm: Arm,
    /// What it saw, or why it could not run.
    pub result: Result<Recording, ArmError>,
    /// In what the recording is not as expected; empty if there is none.
    pub unexpected: Diff,
}

/// An arm that lacks what a case is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The arm.
    pub arm: Arm,
    /// What it lacks.
    pub lack: Lack,
}

/// What an arm lacks that a case is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// A later Linux.
    Release {
        /// The one that the case needs.
        needs: KernelVersion,
        /// The one that there is.
        running: KernelVersion,
    },
    /// Devices of a kind, by the kernel's name for it.
    Device(&'static str),
}

/// Two arms next to each other.
#[derive(Debug)]
pub struct Comparison {
    /// The left side.
    pub left: Arm,
    /// The right side.
    pub right: Arm,
    /// In what they differ.
    pub diff: Diff,
}

/// What an outcome comes down to, the worse the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All as expected and equal.
    Passed,
    /// The same as far as it ran: an arm lacks what the case is about.
    Skipped,
    /// Something is not as expected, or the arms differ.
    Different,
    /// An arm could not run the case.
    Failed,
}

/// Runs a case on each arm, and compares by all rules. An arm that cannot run does not keep the others from it.
pub fn run(case: impl Into<Arc<Case>>, arms: &[Arm]) -> Outcome {
    let case = case.into();
    let leeway = Leeway::of(&case.plan);
    run_with(case, arms, &leeway)
}

/// Runs a case on each arm as [`run`] does, and compares by certain rules.
pub fn run_with(case: impl Into<Arc<Case>>, arms: &[Arm], leeway: &Leeway) -> Outcome {
    let case = case.into();
    let run = |arm| Arc::new(Run::of(&case, arm));
    outcome(Arc::clone(&case), arms, leeway, run)
}

/// Does as [`run_with`] with runs of the case that `run` has, or makes, where an arm can run it.
pub fn outcome(
    case: Arc<Case>,
    arms: &[Arm],
    leeway: &Leeway,
    run: impl FnMut(Arm) -> Arc<Run>,
) -> Outcome {
    let skipped: Vec<Skipped> = arms.iter().filter_map(|arm| skip(&case, *arm)).collect();
    let able = |arm: &&Arm| skipped.iter().all(|skipped| skipped.arm != **arm);
    let able = arms.iter().filter(able).copied();
    let runs: Vec<_> = able.map(run).collect();
    let mut recordings = runs
        .iter()
        .filter_map(|run| Some((run.arm, run.result.as_ref().ok()?)));
    let comparisons = match recordings.next() {
        None => Vec::new(),
        Some((left, first)) => recordings
            .map(|(right, other)| {
                let mut diff = diff::compare(first, other, &case.decoder, leeway);
                if right == Arm::Kernel && !diff.is_empty() && !leeway.is_strict() {
                    diff = without_chance(&case, left, [first, other], leeway, diff);
                }
                let diff = traced(&case, [left, right], diff);
                Comparison { left, right, diff }
            })
            .collect(),
    };
    Outcome {
        case,
        runs,
        skipped,
        comparisons,
    }
}

/// The difference between the emulator's recording and the kernel's without what Linux leaves to chance, by one rule
/// after another that makes it smaller. What cannot be run again is left as it is.
fn without_chance(
    case: &Case,
    arm: Arm,
    [emulated, kernel]: [&Recording; 2],
    leeway: &Leeway,
    mut diff: Diff,
) -> Diff {
    let mut kernel = kernel.clone();
    let mut used = BTreeSet::new();
    for chance in Chance::ALL {
        if diff.is_empty() {
            break;
        }
        let variants = chance.variants().into_iter();
        let varied: Vec<_> = variants
            .filter_map(|variant| arm.run_varied(case, variant).ok().flatten())
            .collect();
        let mut settled = kernel.clone();
        if diff::take_over(emulated, &varied, &mut settled) {
            let less = diff::compare(emulated, &settled, &case.decoder, leeway);
            if less.count() < diff.count() {
                (diff, kernel) = (less, settled);
                used.insert(Rule::from(chance));
            }
        }
    }
    diff.rules.extend(used);
    diff
}

/// What keeps an arm from a case, if something does.
fn skip(case: &Case, arm: Arm) -> Option<Skipped> {
    let lack = match arm {
        Arm::Kernel => {
            let lack = older(case);
            lack.or_else(|| arm::missing_device(&case.plan).map(Lack::Device))?
        }
        Arm::Emulator(_) => return None,
    };
    Some(Skipped { arm, lack })
}

/// Whether the kernel is too old for a case. One whose release is unknown is tried.
fn older(case: &Case) -> Option<Lack> {
    let (needs, running) = (case.kernel?, KernelVersion::running()?);
    (running < needs).then_some(Lack::Release { needs, running })
}

impl Run {
    /// Runs a case on an arm, and holds what it saw against what is expected.
    pub fn of(case: &Case, arm: Arm) -> Self {
        let result = arm.run_case(case);
        let unexpected = match &result {
            Ok(recording) => check::check(&case.expectations, &case.plan, recording, &case.decoder),
            Err(_) => Diff::default(),
        };
        Self {
            arm,
            result,
            unexpected: traced(case, [arm, arm], unexpected),
        }
    }
}

/// Adds to the first packet that differs what the emulator's program executed in the hop in question, and what of it
/// wrote to the fields of the first difference, if one of the arms is the emulator. What cannot be run again is left out.
fn traced(case: &Case, arms: [Arm; 2], mut diff: Diff) -> Diff {
    let emulated = arms.iter().any(|arm| matches!(arm, Arm::Emulator(_)));
    if let Some(packet) = diff.packets.first_mut().filter(|_| emulated)
        && let Some(hop) = packet.hop
    {
        let first = packet.differences.iter().take(1);
        let fields = first.flat_map(|difference| &difference.values);
        let fields: Vec<&str> = fields.map(|values| values.name.as_str()).collect();
        packet.trace = emulated::trace(&case.plan, packet.stimulus, hop, &fields)
            .ok()
            .flatten();
    }
    diff
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { arm, lack } = self;
        write!(f, "{arm} skipped: {lack}")
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release { needs, running } => {
                write!(f, "it needs Linux {needs}, and this is {running}")
            }
            Self::Device(kind) => write!(f, "this kernel has no {kind} devices"),
        }
    }
}

impl Outcome {
    /// What it comes down to.
    pub fn status(&self) -> Status {
        if self.runs.iter().any(|run| run.result.is_err()) {
            return Status::Failed;
        }
        let as_expected = self.runs.iter().all(|run| run.unexpected.is_empty());
        let equal = self
            .comparisons
            .iter()
            .all(|comparison| comparison.diff.is_empty());
        match (as_expected && equal, self.skipped.is_empty()) {
            (true, true) => Status::Passed,
            (true, false) => Status::Skipped,
            (false, _) => Status::Different,
        }
    }

    /// The cost of each stimulus, by the first arm that counts.
    pub fn costs(&self) -> Option<Vec<Cost>> {
        self.runs
            .iter()
            .find_map(|run| costs(run.result.as_ref().ok()?))
    }
}

/// The cost of each journey, if the backend counted.
fn costs(recording: &Recording) -> Option<Vec<Cost>> {
    recording
        .journeys
        .iter()
        .map(|journey| journey.cost())
        .collect()
}
