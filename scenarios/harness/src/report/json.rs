//! An outcome for a program: one JSON object, on a line of its own.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decode::{Decoder, hex};
use crate::describe;
use crate::diff::{Diff, Difference, PacketDiff, Values};
use crate::plan::{Stimulus, StimulusKind};
use crate::recording::{
    Answer, Cost, End, Event, Hop, Journey, ProgramLoad, Recording, SocketHop, Verdict, Warning,
};
use crate::runner::{Outcome, Run, Status};
use crate::scenario::Source;

use super::inspection::SourcePart;
use super::text::chain;
use crate::trace::{HopTrace, TraceStep};

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

/// One packet's journey.
#[derive(Debug, Serialize)]
struct PacketPart {
    number: usize,
    nanoseconds: u128,
    node: String,
    #[serde(flatten)]
    what: StimulusPart,
    #[serde(flatten)]
    journey: JourneyPart,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answers: Vec<AnswerPart>,
}

/// What came of a frame.
#[derive(Debug, Serialize)]
struct JourneyPart {
    hops: Vec<HopPart>,
    /// Programs at hooks of sockets that ran.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    socket_programs: Vec<SocketHopPart>,
    ends: Vec<EndPart>,
    events: Vec<EventPart>,
    cost: Option<CostPart>,
}

/// A frame that a responder sent.
#[derive(Debug, Serialize)]
struct AnswerPart {
    node: String,
    device: String,
    bytes: String,
    #[serde(flatten)]
    journey: JourneyPart,
}

/// A frame, or a call on a socket.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum StimulusPart {
    Frame {
        device: String,
        bytes: String,
    },
    Call {
        call: String,
        gave: BTreeMap<&'static str, String>,
    },
    Change {
        /// How many map entries were written or deleted.
        changes: usize,
    },
    Collect {
        /// The datapath whose expired connections were taken away.
        collects: String,
    },
}

#[derive(Debug, Serialize)]
struct HopPart {
    node: String,
    device: String,
    hook: String,
    program: String,
    verdict: Option<VerdictPart>,
    fault: Option<String>,
    bytes: String,
    /// What is kept beside the frame, but for what is not set.
    metadata: BTreeMap<String, String>,
    cost: Option<CostPart>,
}

#[derive(Debug, Serialize)]
struct SocketHopPart {
    node: String,
    hook: String,
    program: String,
    returned: Option<i32>,
    fault: Option<String>,
    cost: Option<CostPart>,
}

/// A verdict by name and number.
#[derive(Debug, Serialize)]
pub struct VerdictPart {
    name: String,
    code: i32,
}

/// What a program run cost.
#[derive(Debug, Serialize)]
pub struct CostPart {
    instructions: u64,
    helpers: u64,
    map_operations: u64,
}

/// Where a frame ended.
#[derive(Debug, Serialize)]
pub struct EndPart {
    end: &'static str,
    node: String,
    device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// A record for user space.
#[derive(Debug, Serialize)]
pub struct EventPart {
    map: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    bytes: String,
}

#[derive(Debug, Serialize)]
struct DiffPart {
    packets: Vec<PacketDiffPart>,
    maps: Vec<DifferencePart>,
    rules: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct PacketDiffPart {
    number: usize,
    before: Vec<String>,
    differences: Vec<DifferencePart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<TracePart>,
}

/// The end of what the emulator's program executed in a hop.
#[derive(Debug, Serialize)]
struct TracePart {
    hop: usize,
    instructions: u64,
    last: Vec<StepPart>,
    writes: Vec<WritesPart>,
}

/// What wrote last to each byte of a field.
#[derive(Debug, Serialize)]
struct WritesPart {
    field: String,
    last: Vec<WritePart>,
}

#[derive(Debug, Serialize)]
struct WritePart {
    /// Which of the hop's instructions it is, counted from 1.
    instruction: u64,
    #[serde(flatten)]
    step: StepPart,
}

#[derive(Debug, Serialize)]
struct StepPart {
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    /// The source line, where it is another than that of the step before.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourcePart>,
    slot: u32,
    text: String,
    /// Those that it changed; of one that wrote, those that it used.
    registers: BTreeMap<String, String>,
}

/// A place where two sides are not the same.
#[derive(Debug, Serialize)]
pub struct DifferencePart {
    place: String,
    values: Vec<ValuesPart>,
}

/// A value that two sides do not agree on.
#[derive(Debug, Serialize)]
pub struct ValuesPart {
    name: String,
    left: Option<String>,
    right: Option<String>,
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

impl PacketPart {
    fn new(number: usize, stimulus: &Stimulus, journey: &Journey, decoder: &Decoder) -> Self {
        let (node, what) = match &stimulus.kind {
            StimulusKind::Frame {
                node,
                device,
                bytes,
            } => {
                let (device, bytes) = (device.to_string(), hex(bytes));
                (node, StimulusPart::Frame { device, bytes })
            }
            StimulusKind::Call { node, socket, call } => {
                let called = journey.called.iter();
                let gave = called.flat_map(|called| called.fields(|address| address.to_string()));
                let (call, gave) = (call.line(socket), gave.collect());
                (node, StimulusPart::Call { call, gave })
            }
            StimulusKind::Change { node, changes } => {
                let changes = changes.len();
                (node, StimulusPart::Change { changes })
            }
            StimulusKind::Collect { node, object } => {
                let collects = object.to_string();
                (node, StimulusPart::Collect { collects })
            }
        };
        Self {
            number,
            nanoseconds: stimulus.at.as_nanos(),
            node: node.to_string(),
            what,
            journey: JourneyPart::new(journey, decoder),
            answers: journey
                .answers
                .iter()
                .map(|answer| AnswerPart::new(answer, decoder))
                .collect(),
        }
    }
}

impl JourneyPart {
    fn new(journey: &Journey, decoder: &Decoder) -> Self {
        Self {
            hops: journey.hops.iter().map(HopPart::new).collect(),
            socket_programs: journey.socket_hops.iter().map(SocketHopPart::new).collect(),
            ends: journey.ends.iter().map(EndPart::new).collect(),
            events: journey
                .events
                .iter()
                .map(|event| EventPart::new(event, decoder))
                .collect(),
            cost: journey.cost().map(CostPart::new),
        }
    }
}

impl AnswerPart {
    fn new(answer: &Answer, decoder: &Decoder) -> Self {
        Self {
            node: answer.port.node.to_string(),
            device: answer.port.device.to_string(),
            bytes: hex(&answer.bytes),
            journey: JourneyPart::new(&answer.journey, decoder),
        }
    }
}

impl SocketHopPart {
    fn new(hop: &SocketHop) -> Self {
        Self {
            node: hop.node.to_string(),
            hook: hop.hook.to_string(),
            program: hop.program.clone(),
            returned: hop.returned.as_ref().ok().copied(),
            fault: hop.returned.as_ref().err().map(|fault| fault.0.clone()),
            cost: hop.cost.map(CostPart::new),
        }
    }
}

impl HopPart {
    fn new(hop: &Hop) -> Self {
        Self {
            node: hop.node.to_string(),
            device: hop.hook.device.to_string(),
            hook: hop.hook.kind.to_string(),
            program: hop.program.clone(),
            verdict: hop.verdict.as_ref().ok().map(VerdictPart::new),
            fault: hop.verdict.as_ref().err().map(|fault| fault.0.clone()),
            bytes: hex(&hop.bytes),
            metadata: describe::metadata(&hop.metadata).into_iter().collect(),
            cost: hop.cost.map(CostPart::new),
        }
    }
}

impl VerdictPart {
    /// The part of a verdict.
    pub fn new(verdict: &Verdict) -> Self {
        Self {
            name: verdict.name(),
            code: verdict.code,
        }
    }
}

impl CostPart {
    /// The part of a cost.
    pub fn new(cost: Cost) -> Self {
        Self {
            instructions: cost.instructions,
            helpers: cost.helpers,
            map_operations: cost.map_operations,
        }
    }
}

impl EndPart {
    /// The part of an end.
    pub fn new(end: &End) -> Self {
        let (node, device) = end.place();
        Self {
            end: match end {
                End::Left { .. } => "left",
                End::Stack { .. } => "stack",
                End::Dropped { .. } => "dropped",
            },
            node: node.to_string(),
            device: device.to_string(),
            bytes: end.bytes().map(hex),
            reason: match end {
                End::Dropped { reason, .. } => reason.map(|reason| reason.name()),
                _ => None,
            },
        }
    }
}

impl EventPart {
    /// The part of an event.
    pub fn new(event: &Event, decoder: &Decoder) -> Self {
        Self {
            map: event.map.to_string(),
            text: decoder.event_text(event),
            bytes: hex(&event.bytes),
        }
    }
}

impl DiffPart {
    fn new(diff: &Diff) -> Self {
        Self {
            packets: diff.packets.iter().map(PacketDiffPart::new).collect(),
            maps: diff.maps.iter().map(DifferencePart::new).collect(),
            rules: diff.rules.iter().map(|rule| rule.name()).collect(),
        }
    }
}

impl PacketDiffPart {
    fn new(packet: &PacketDiff) -> Self {
        Self {
            number: packet.stimulus + 1,
            before: packet.before.clone(),
            differences: packet.differences.iter().map(DifferencePart::new).collect(),
            trace: packet.trace.as_ref().map(TracePart::new),
        }
    }
}

impl TracePart {
    fn new(trace: &HopTrace) -> Self {
        let writes = trace.writes.iter().map(|writes| WritesPart {
            field: writes.field.clone(),
            last: writes
                .last
                .iter()
                .map(|(instruction, step)| WritePart {
                    instruction: *instruction,
                    step: StepPart::new(step),
                })
                .collect(),
        });
        Self {
            hop: trace.hop + 1,
            instructions: trace.count,
            last: trace.steps.iter().map(StepPart::new).collect(),
            writes: writes.collect(),
        }
    }
}

impl StepPart {
    fn new(step: &TraceStep) -> Self {
        Self {
            program: step.program.clone(),
            source: step.line.as_ref().map(|line| SourcePart {
                file: line.file.clone(),
                line: line.line,
                text: line.text.clone(),
            }),
            slot: step.slot,
            text: step.text.clone(),
            registers: step.registers.iter().cloned().collect(),
        }
    }
}

impl DifferencePart {
    /// The part of a difference.
    pub fn new(difference: &Difference) -> Self {
        Self {
            place: difference.place.clone(),
            values: difference.values.iter().map(ValuesPart::new).collect(),
        }
    }
}

impl ValuesPart {
    /// The part of a value.
    pub fn new(values: &Values) -> Self {
        Self {
            name: values.name.clone(),
            left: values.left.clone(),
            right: values.right.clone(),
        }
    }
}
