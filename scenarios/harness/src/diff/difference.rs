//! Differences as values: where, and which named values are not the same.

use std::collections::BTreeSet;

use super::rule::Rule;
use crate::trace::HopTrace;

/// All in which two sides differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// By ascending packet number, only packets that differ.
    pub packets: Vec<PacketDiff>,
    /// Maps that differ at the end, entry by entry.
    pub maps: Vec<Difference>,
    /// The canonicalisation rules that changed something.
    pub rules: BTreeSet<Rule>,
}

/// In what one packet's journeys differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketDiff {
    /// The stimulus in the plan, counted from 0.
    pub stimulus: usize,
    /// What both sides agreed on until the first difference, a line each.
    pub before: Vec<String>,
    /// At least one, in the order of the journey.
    pub differences: Vec<Difference>,
    /// The hop that the first difference is about, counted from 0, if it is about one.
    pub hop: Option<usize>,
    /// What the emulator's program executed in that hop, of the first packet that differs.
    pub trace: Option<HopTrace>,
}

/// A place where the sides are not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: "hop 2, eth0 tc-ingress", "end 1", "map lxc".
    pub place: String,
    /// At least one.
    pub values: Vec<Values>,
}

/// A named value that the sides do not agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// The name: `verdict`, `ip.ttl`.
    pub name: String,
    /// What the first side has, if it has it at all.
    pub left: Option<String>,
    /// What the second side has, if it has it at all.
    pub right: Option<String>,
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty() && self.maps.is_empty()
    }

    /// How many values differ.
    pub fn count(&self) -> usize {
        let packets = self.packets.iter().flat_map(|packet| &packet.differences);
        let differences = packets.chain(&self.maps);
        differences.map(|difference| difference.values.len()).sum()
    }
}

impl Values {
    /// The values if they differ.
    pub fn unequal(name: &str, left: impl ToString, right: impl ToString) -> Option<Self> {
        let (left, right) = (left.to_string(), right.to_string());
        (left != right).then(|| Self {
            name: name.to_owned(),
            left: Some(left),
            right: Some(right),
        })
    }

    /// Something that only the first side has.
    pub fn only_left(name: &str, left: impl ToString) -> Self {
        Self {
            name: name.to_owned(),
            left: Some(left.to_string()),
            right: None,
        }
    }

    /// Something that only the second side has.
    pub fn only_right(name: &str, right: impl ToString) -> Self {
        Self {
            name: name.to_owned(),
            left: None,
            right: Some(right.to_string()),
        }
    }
}

impl Difference {
    /// A difference, if there is any.
    pub fn of(place: impl Into<String>, values: impl IntoIterator<Item = Values>) -> Option<Self> {
        let values: Vec<Values> = values.into_iter().collect();
        (!values.is_empty()).then(|| Self {
            place: place.into(),
            values,
        })
    }
}
