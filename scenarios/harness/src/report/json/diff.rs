//! What two sides do not agree on.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::diff::{Diff, Difference, PacketDiff, Values};
use crate::report::inspection::SourcePart;
use crate::trace::{HopTrace, TraceStep};

/// All that two sides do not agree on.
#[derive(Debug, Serialize)]
pub struct DiffPart {
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

impl DiffPart {
    /// The part of a diff.
    pub fn new(diff: &Diff) -> Self {
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
