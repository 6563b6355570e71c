//! What two recordings of one plan do not agree on.

mod chance;
mod chosen;
mod difference;
mod journey;
pub(crate) mod maps;
mod record;
mod rule;

use std::collections::BTreeSet;

pub use chance::take_over;
pub use difference::{Diff, Difference, PacketDiff, Values};
pub(crate) use journey::events;
pub use rule::{Leeway, Rule};

use crate::decode::Decoder;
use crate::recording::{Journey, Recording};

/// Compares two recordings of one plan, packet by packet, then the maps that they left behind.
pub fn compare(left: &Recording, right: &Recording, decoder: &Decoder, leeway: &Leeway) -> Diff {
    let leeway = &leeway.between(left, right);
    let mut rules = BTreeSet::new();
    let nothing = Journey::default();
    let count = left.journeys.len().max(right.journeys.len());
    let packets = (0..count)
        .filter_map(|stimulus| {
            let left = left.journeys.get(stimulus).unwrap_or(&nothing);
            let right = right.journeys.get(stimulus).unwrap_or(&nothing);
            let diff = journey::compare(left, right, decoder, leeway, &mut rules);
            (!diff.differences.is_empty()).then_some(PacketDiff {
                stimulus,
                before: diff.before,
                differences: diff.differences,
                hop: diff.hop,
                trace: None,
            })
        })
        .collect();
    let maps = maps::compare(&left.maps, &right.maps, decoder, leeway, &mut rules);
    Diff {
        packets,
        maps,
        rules,
    }
}
