//! A packet's journey.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decode::{Decoder, hex};
use crate::describe;
use crate::plan::{Stimulus, StimulusKind};
use crate::recording::{Answer, Cost, End, Event, Hop, Journey, SocketHop, Verdict};

/// One packet's journey.
#[derive(Debug, Serialize)]
pub struct PacketPart {
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

impl PacketPart {
    /// The part of a stimulus and what came of it.
    pub fn new(number: usize, stimulus: &Stimulus, journey: &Journey, decoder: &Decoder) -> Self {
        let (node, what) = match &stimulus.kind {
            StimulusKind::Frame {
                node,
                device,
                bytes,
                ..
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
