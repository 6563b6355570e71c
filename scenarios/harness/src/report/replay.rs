//! What came of a replay: a line for each packet, and what they come down to.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::decode::{Decoder, hex};
use crate::describe;
use crate::plan::{Stimulus, StimulusKind};
use crate::recording::{Cost, Journey};

use super::json::{CostPart, EndPart, EventPart, VerdictPart};
use super::style::{FAINT, Styled};
use super::text::{arrival, fate};

/// A packet's JSON line.
#[derive(Debug, Serialize)]
pub struct ReplayLine {
    number: usize,
    nanoseconds: u128,
    length: usize,
    verdict: Option<VerdictPart>,
    fault: Option<String>,
    bytes: Option<String>,
    cost: Option<CostPart>,
    ends: Vec<EndPart>,
    events: Vec<EventPart>,
}

/// How many packets came to what, and what they cost.
#[derive(Debug, Default)]
pub struct ReplaySummary {
    packets: usize,
    faults: usize,
    verdicts: BTreeMap<String, usize>,
    events: usize,
    total: Cost,
    least: Option<Cost>,
    most: Option<Cost>,
}

impl ReplayLine {
    /// The line of a packet; `number` counts from 1.
    pub fn new(number: usize, stimulus: &Stimulus, journey: &Journey, decoder: &Decoder) -> Self {
        let StimulusKind::Frame { bytes, .. } = &stimulus.kind;
        let hop = journey.hops.first();
        Self {
            number,
            nanoseconds: stimulus.at.as_nanos(),
            length: bytes.len(),
            verdict: hop
                .and_then(|hop| hop.verdict.as_ref().ok())
                .map(VerdictPart::new),
            fault: hop
                .and_then(|hop| hop.verdict.as_ref().err())
                .map(|fault| fault.0.clone()),
            bytes: hop.map(|hop| hex(&hop.bytes)),
            cost: hop.and_then(|hop| hop.cost).map(CostPart::new),
            ends: journey.ends.iter().map(EndPart::new).collect(),
            events: journey
                .events
                .iter()
                .map(|event| EventPart::new(event, decoder))
                .collect(),
        }
    }
}

/// Writes a packet's line for a person.
///
/// # Errors
/// When `out` does not take it.
pub fn packet(
    out: &mut impl Write,
    number: usize,
    stimulus: &Stimulus,
    journey: &Journey,
) -> io::Result<()> {
    writeln!(out, "{number:>7}  {}", arrival(stimulus))?;
    writeln!(out, "{:9}{}", "", Styled(FAINT, fate(journey)))
}

impl ReplaySummary {
    /// Counts a packet.
    pub fn add(&mut self, journey: &Journey) {
        self.packets += 1;
        self.events += journey.events.len();
        for hop in &journey.hops {
            let verdict = match &hop.verdict {
                Ok(verdict) => verdict.name(),
                Err(_) => {
                    self.faults += 1;
                    "fault".to_owned()
                }
            };
            *self.verdicts.entry(verdict).or_default() += 1;
        }
        if let Some(cost) = journey.cost() {
            self.total += cost;
            let by_instructions = |cost: &Cost| cost.instructions;
            self.least = self
                .least
                .into_iter()
                .chain([cost])
                .min_by_key(by_instructions);
            self.most = self
                .most
                .into_iter()
                .chain([cost])
                .max_by_key(by_instructions);
        }
    }

    /// How many packets there were so far.
    pub const fn packets(&self) -> usize {
        self.packets
    }

    /// How many packets made the program fault.
    pub const fn faults(&self) -> usize {
        self.faults
    }

    /// Writes a few lines for a person.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let verdicts: Vec<String> = self
            .verdicts
            .iter()
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        writeln!(
            out,
            "{} packets: {}; {} events",
            self.packets,
            verdicts.join(", "),
            self.events
        )?;
        if let (Some(least), Some(most)) = (self.least, self.most) {
            writeln!(out, "  all:      {}", describe::cost(self.total))?;
            writeln!(out, "  cheapest: {}", describe::cost(least))?;
            writeln!(out, "  dearest:  {}", describe::cost(most))?;
        }
        Ok(())
    }
}
