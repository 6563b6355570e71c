//! Expectations with every name resolved.

use std::fmt;

use crate::plan::{NodeName, Port};
use crate::recording::MapRef;
use crate::scenario::{Budget, Encoded};

/// What is expected of one packet. What is `None` or empty is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    /// The line of the scenario file that says so.
    pub line: usize,
    /// One for each hop, in order.
    pub verdicts: Option<Vec<String>>,
    /// One for each end, in order.
    pub ends: Option<Vec<ExpectedEnd>>,
    /// Of each frame that does not end as dropped.
    pub fields: Vec<(String, String)>,
    /// Whether such a frame is the one that came in.
    pub unchanged: Option<bool>,
    /// Whether each checksum of such a frame is right.
    pub checksums_right: Option<bool>,
    /// The most that its programs may cost together.
    pub cost: Budget,
    /// How many records the programs write.
    pub events: Option<usize>,
    /// Of each record, in order, a part of the line that a report prints.
    pub says: Option<Vec<String>>,
    /// The reason in the one event that is a drop.
    pub reason: Option<String>,
    /// What a call on a socket gives, by name; of an address without a port only the IP address counts.
    pub gives: Vec<(&'static str, String)>,
    /// Of each frame that responders send, in order.
    pub answers: Option<Vec<Expectation>>,
}

impl Expectation {
    /// That a call on a socket succeeds, and nothing more.
    pub fn done(line: usize) -> Self {
        Self {
            line,
            gives: vec![("result", "done".to_owned())],
            ..Self::default()
        }
    }
}

/// Where a packet should end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedEnd {
    /// It leaves by this device.
    Leaves(Port),
    /// It goes up to the network stack.
    Stack,
    /// It goes up to that of a pod, or of another node by name.
    Namespace(NodeName),
    /// It is dropped.
    Dropped,
}

/// What is expected of a map at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapExpectation {
    /// The line of the scenario file that says so.
    pub line: usize,
    /// The map.
    pub map: MapRef,
    /// What should hold.
    pub claim: Claim,
}

/// Something that holds for a map, or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It has so many entries.
    Entries(usize),
    /// Under the key stands the value.
    Value {
        /// The key.
        key: Vec<u8>,
        /// The value, and which of its bits are looked at.
        value: Encoded,
        /// Whether an element that a recording does not have is all zero, as in an array.
        zero_if_absent: bool,
    },
    /// Nothing stands under the key.
    Absent(Vec<u8>),
    /// The entry under a key has certain fields. No fields: there is no such entry.
    Entry {
        /// The key as the decoder prints it.
        key: String,
        /// Fields of the value by decoded name.
        value: Option<Vec<(String, String)>>,
    },
}

impl fmt::Display for ExpectedEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaves(device) => write!(f, "leaves {device}"),
            Self::Stack => f.write_str("stack"),
            Self::Namespace(name) => write!(f, "reaches {name}"),
            Self::Dropped => f.write_str("dropped"),
        }
    }
}
