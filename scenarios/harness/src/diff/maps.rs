//! The maps at the end of two runs, entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use crate::decode::Decoder;
use crate::recording::{MapContents, MapRef};

use super::difference::{Difference, Values};
use super::record;
use super::rule::{Leeway, Rule};

/// Compares all maps that either side has.
pub(super) fn compare(
    left: &BTreeMap<MapRef, MapContents>,
    right: &BTreeMap<MapRef, MapContents>,
    decoder: &Decoder,
    leeway: &Leeway,
    rules: &mut BTreeSet<Rule>,
) -> Vec<Difference> {
    let maps: BTreeSet<&MapRef> = left.keys().chain(right.keys()).collect();
    maps.into_iter()
        .flat_map(|map| match (left.get(map), right.get(map)) {
            (Some(left), Some(right)) => contents(map, left, right, decoder, leeway, rules),
            (Some(_), None) => missing(map, Values::only_left("map", "exists")),
            _ => missing(map, Values::only_right("map", "exists")),
        })
        .collect()
}

fn missing(map: &MapRef, values: Values) -> Vec<Difference> {
    Difference::of(format!("map {map}"), [values])
        .into_iter()
        .collect()
}

fn contents(
    map: &MapRef,
    left: &MapContents,
    right: &MapContents,
    decoder: &Decoder,
    leeway: &Leeway,
    rules: &mut BTreeSet<Rule>,
) -> Vec<Difference> {
    let keys: BTreeSet<&Vec<u8>> = left.entries.keys().chain(right.entries.keys()).collect();
    keys.into_iter()
        .filter_map(|key| {
            let per_cpu = left.per_cpu || right.per_cpu;
            let pair = (
                left.entries.get(key).cloned(),
                right.entries.get(key).cloned(),
            );
            let (left, right) = leeway.apply(pair, |_, left, right| {
                (slots(left, per_cpu, rules), slots(right, per_cpu, rules))
            });
            let place = format!("map {map}, key {}", decoder.key_line(map, key));
            Difference::of(
                place,
                entry(map, left.as_deref(), right.as_deref(), decoder),
            )
        })
        .collect()
}

/// The values as they are compared; tells whether a rule changed something.
fn slots(
    values: Option<Vec<Vec<u8>>>,
    per_cpu: bool,
    rules: &mut BTreeSet<Rule>,
) -> Option<Vec<Vec<u8>>> {
    let comparable = values.as_deref().map(|values| comparable(values, per_cpu));
    if comparable != values {
        rules.insert(Rule::PerCpuSlot);
    }
    comparable
}

/// The values of a key; of a per-CPU map without empty ones, in no CPU's order.
pub fn comparable(values: &[Vec<u8>], per_cpu: bool) -> Vec<Vec<u8>> {
    let mut values = values.to_vec();
    if per_cpu {
        values.retain(|value| value.iter().any(|&byte| byte != 0));
        values.sort();
    }
    values
}

fn entry(
    map: &MapRef,
    left: Option<&[Vec<u8>]>,
    right: Option<&[Vec<u8>]>,
    decoder: &Decoder,
) -> Vec<Values> {
    match (left, right) {
        (Some(left), Some(right)) => values(map, left, right, decoder),
        (Some(left), None) => vec![Values::only_left("entry", decoder.value_line(map, left))],
        (None, Some(right)) => vec![Values::only_right("entry", decoder.value_line(map, right))],
        (None, None) => Vec::new(),
    }
}

/// In what the values of a key differ.
pub fn values(map: &MapRef, left: &[Vec<u8>], right: &[Vec<u8>], decoder: &Decoder) -> Vec<Values> {
    record::compare(
        (&decoder.value(map, left), &left.concat()),
        (&decoder.value(map, right), &right.concat()),
    )
}
