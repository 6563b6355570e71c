//! What came of a replay: a line for each packet, and what they come down to.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::decode::{Decoder, hex};
use crate::describe::{self, counted};
use crate::diff::{Difference, Values};
use crate::frame;
use crate::recording::Cost;
use crate::replay::{Ran, Stop, Verdict};

use super::json::{CostPart, DifferencePart, EndPart, EventPart, ValuesPart};
use super::style::{BAD, FAINT, Styled};
use super::table::Frame;

/// A packet of a capture, and what each side made of it.
#[derive(Debug)]
pub struct Replayed<'a> {
    /// From 1.
    pub number: usize,
    /// The clock when it arrived.
    pub at: Duration,
    /// The device where it arrived, if it was one.
    pub device: Option<&'a str>,
    /// As it arrived.
    pub bytes: &'a [u8],
    /// Its length on the wire; more than there are bytes when the capture cut it.
    pub original_len: u32,
    /// What came of it.
    pub ran: &'a Ran,
    /// What came of it on the other side, when there are two.
    pub other: Option<&'a Ran>,
}

/// A packet's JSON line.
#[derive(Debug, Serialize)]
pub struct ReplayLine {
    number: usize,
    nanoseconds: u128,
    length: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_length: Option<u32>,
    #[serde(flatten)]
    ran: RanPart,
    cost: Option<CostPart>,
    ends: Option<Vec<EndPart>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<RanPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<Vec<ValuesPart>>,
}

#[derive(Debug, Serialize)]
struct RanPart {
    verdict: Option<VerdictPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_run: Option<String>,
    bytes: Option<String>,
    events: Vec<EventPart>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
}

#[derive(Debug, Serialize)]
struct VerdictPart {
    name: String,
    code: i32,
}

/// How many packets came to what, and what they cost.
#[derive(Debug, Default)]
pub struct ReplaySummary {
    packets: usize,
    faults: usize,
    not_run: usize,
    cut: usize,
    different: Option<usize>,
    maps: Vec<Difference>,
    verdicts: BTreeMap<String, usize>,
    events: usize,
    total: Cost,
    least: Option<Cost>,
    most: Option<Cost>,
}

impl Replayed<'_> {
    /// In what the sides differ.
    fn differences(&self, decoder: &Decoder) -> Option<Vec<Values>> {
        Some(self.ran.differences(self.other?, decoder))
    }

    fn is_cut(&self) -> bool {
        self.original_len as usize > self.bytes.len()
    }

    /// The line for a program.
    pub fn line(&self, decoder: &Decoder) -> ReplayLine {
        let ran = self.ran;
        let differences = self.differences(decoder);
        ReplayLine {
            number: self.number,
            nanoseconds: self.at.as_nanos(),
            length: self.bytes.len(),
            original_length: self.is_cut().then_some(self.original_len),
            ran: RanPart::new(ran, decoder),
            cost: ran.cost.map(CostPart::new),
            ends: ran
                .ends
                .as_ref()
                .map(|ends| ends.iter().map(EndPart::new).collect()),
            kernel: self.other.map(|other| RanPart::new(other, decoder)),
            differences: differences.map(|values| values.iter().map(ValuesPart::new).collect()),
        }
    }

    /// Writes the lines for a person, in so many columns.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write(&self, out: &mut impl Write, decoder: &Decoder, width: usize) -> io::Result<()> {
        write!(out, "{:>7}  ", self.number)?;
        if let Some(device) = self.device {
            write!(out, "{device} <- ")?;
        }
        write!(out, "{}", frame::line(self.bytes))?;
        if self.is_cut() {
            let (kept, all) = (self.bytes.len(), self.original_len);
            let cut = format_args!(" [cut to {kept} of {all} bytes]");
            write!(out, "{}", Styled(FAINT, cut))?;
        }
        writeln!(out, "\n{:9}{}", "", Styled(FAINT, fate_of(self.ran)))?;
        for (side, ran) in [("", Some(self.ran)), ("kernel: ", self.other)] {
            for notice in ran.iter().flat_map(|ran| &ran.notices) {
                writeln!(out, "{:9}note: {side}{notice}", "")?;
            }
        }
        let differences = self.differences(decoder).unwrap_or_default();
        if !differences.is_empty() {
            writeln!(out, "{:9}{}", "", Styled(BAD, "emulator and kernel differ"))?;
            sides(width).write(out, &differences)?;
        }
        Ok(())
    }
}

/// How a table of differences stands below a packet.
const fn sides(width: usize) -> Frame<'static> {
    Frame {
        left: "emulator",
        right: "kernel",
        width,
        indent: 11,
    }
}

/// Verdict, ends, events and cost of a packet.
pub fn fate_of(ran: &Ran) -> String {
    let ends = ran.ends.iter().flatten().map(describe::way);
    let ends: Vec<String> = ends.collect();
    let events = describe::events(ran.events.len());
    let cost = ran.cost.map(describe::cost).unwrap_or_default();
    let mut parts = vec![ran.outcome(), ends.join(", "), events, cost];
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

impl RanPart {
    fn new(ran: &Ran, decoder: &Decoder) -> Self {
        let events = ran.events.iter();
        let verdict = |verdict: &Verdict| VerdictPart {
            name: verdict.name(),
            code: verdict.code,
        };
        let (fault, not_run) = match &ran.result {
            Ok(_) => (None, None),
            Err(Stop::Fault(fault)) => (Some(fault.clone()), None),
            Err(Stop::Refused(reason)) => (None, Some(reason.clone())),
        };
        Self {
            verdict: ran.result.as_ref().ok().map(verdict),
            fault,
            not_run,
            bytes: ran.bytes.as_deref().map(hex),
            events: events.map(|event| EventPart::new(event, decoder)).collect(),
            notices: ran.notices.clone(),
        }
    }
}

impl ReplaySummary {
    /// Counts a packet.
    pub fn add(&mut self, packet: &Replayed<'_>, decoder: &Decoder) {
        let ran = packet.ran;
        self.packets += 1;
        self.events += ran.events.len();
        self.cut += usize::from(packet.is_cut());
        let name = match &ran.result {
            Ok(verdict) => verdict.name(),
            Err(Stop::Fault(_)) => {
                self.faults += 1;
                "fault".to_owned()
            }
            Err(Stop::Refused(_)) => {
                self.not_run += 1;
                "not run".to_owned()
            }
        };
        *self.verdicts.entry(name).or_default() += 1;
        if let Some(differences) = packet.differences(decoder) {
            *self.different.get_or_insert_default() += usize::from(!differences.is_empty());
        }
        if let Some(cost) = ran.cost {
            self.total += cost;
            let all = |kept: Option<Cost>| kept.into_iter().chain([cost]);
            self.least = all(self.least).min_by_key(|cost| cost.instructions);
            self.most = all(self.most).max_by_key(|cost| cost.instructions);
        }
    }

    /// Takes in what the maps differ in at the end.
    pub fn add_maps(&mut self, differences: Vec<Difference>) {
        self.maps = differences;
    }

    /// How many packets there were so far.
    pub const fn packets(&self) -> usize {
        self.packets
    }

    /// Whether no program faulted, and both sides agree.
    pub fn is_good(&self) -> bool {
        self.faults == 0 && self.different.unwrap_or(0) == 0 && self.maps.is_empty()
    }

    /// The map differences, for a program.
    pub fn map_lines(&self) -> impl Iterator<Item = DifferencePart> {
        self.maps.iter().map(DifferencePart::new)
    }

    /// Writes a few lines for a person, in so many columns.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write(&self, out: &mut impl Write, width: usize) -> io::Result<()> {
        for difference in &self.maps {
            writeln!(out, "  at the end, {}", difference.place)?;
            sides(width).write(out, &difference.values)?;
        }
        let verdicts: Vec<String> = self
            .verdicts
            .iter()
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        let mut parts = vec![verdicts.join(", ")];
        parts.extend((self.events > 0).then(|| describe::events(self.events)));
        if self.packets == 0 {
            return writeln!(out, "no packets");
        }
        let packets = counted(self.packets, "packet", "packets");
        writeln!(out, "{packets}: {}", parts.join("; "))?;
        if self.cut > 0 {
            writeln!(out, "  {} cut by the capture's snapshot length", self.cut)?;
        }
        match self.different {
            Some(0) if self.maps.is_empty() => writeln!(out, "  emulator and kernel agree")?,
            Some(count) => {
                let packets = counted(count, "packet", "packets");
                let maps = counted(self.maps.len(), "map entry", "map entries");
                writeln!(out, "  emulator and kernel differ on {packets} and {maps}")?;
            }
            None => {}
        }
        if let (Some(least), Some(most)) = (self.least, self.most) {
            writeln!(out, "  all:      {}", describe::cost(self.total))?;
            writeln!(out, "  cheapest: {}", describe::cost(least))?;
            writeln!(out, "  dearest:  {}", describe::cost(most))?;
        }
        Ok(())
    }
}
