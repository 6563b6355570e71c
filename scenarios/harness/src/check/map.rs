//! A map at the end of a run against what is expected of it.

use crate::decode::Decoder;
use crate::diff::{Difference, Values, maps};
use crate::recording::{MapContents, MapRef, Recording};

use super::expectation::{Claim, MapExpectation};

/// In what a map is not as expected.
pub(super) fn check(
    expected: &MapExpectation,
    recording: &Recording,
    decoder: &Decoder,
) -> Option<Difference> {
    let nothing = MapContents::default();
    let contents = recording.maps.get(&expected.map).unwrap_or(&nothing);
    let map = &expected.map;
    match &expected.claim {
        Claim::Entries(count) => Difference::of(
            format!("map {map}"),
            Values::unequal("entries", count, contents.entries.len()),
        ),
        Claim::Absent(key) => {
            let there = contents
                .entries
                .get(key)
                .map(|slots| line(map, slots, decoder));
            Difference::of(
                place(map, key, decoder),
                there.map(|line| Values::only_right("entry", line)),
            )
        }
        Claim::Value {
            key,
            value,
            zero_if_absent,
        } => {
            let zero = || *zero_if_absent && value.bytes.iter().all(|&byte| byte == 0);
            let whole = std::slice::from_ref(&value.bytes);
            let unequal = match contents.entries.get(key) {
                Some(slots) => {
                    let expected = maps::comparable(whole, contents.per_cpu);
                    let mut got = maps::comparable(slots, contents.per_cpu);
                    got.iter_mut().for_each(|got| value.keep_said(got));
                    maps::values(map, &expected, &got, decoder)
                }
                None if zero() => Vec::new(),
                None => vec![Values::only_left("entry", line(map, whole, decoder))],
            };
            Difference::of(place(map, key, decoder), unequal)
        }
        Claim::Entry { key, value } => check_entry(map, key, value.as_deref(), contents, decoder),
    }
}

fn place(map: &MapRef, key: &[u8], decoder: &Decoder) -> String {
    format!("map {map}, key {}", decoder.key_line(map, key))
}

fn line(map: &MapRef, slots: &[Vec<u8>], decoder: &Decoder) -> String {
    decoder.value_line(map, slots)
}

fn check_entry(
    map: &MapRef,
    key: &str,
    value: Option<&[(String, String)]>,
    contents: &MapContents,
    decoder: &Decoder,
) -> Option<Difference> {
    let place = format!("map {map}, key {key}");
    let keys = || {
        contents
            .entries
            .keys()
            .map(|bytes| decoder.key_line(map, bytes))
    };
    let found = contents
        .entries
        .iter()
        .find(|(bytes, _)| decoder.key_line(map, bytes) == key);
    match (found, value) {
        (None, None) => None,
        (None, Some(_)) => {
            let there = keys().collect::<Vec<_>>().join("; ");
            Difference::of(place, Values::unequal("keys", key, there))
        }
        (Some((_, slots)), None) => Difference::of(
            place,
            [Values::only_right("entry", line(map, slots, decoder))],
        ),
        (Some((_, slots)), Some(value)) => {
            let decoded = decoder.value(map, slots);
            let unequal = value.iter().filter_map(|(name, expected)| {
                match decoded.iter().find(|(other, _)| other == name) {
                    Some((_, got)) => Values::unequal(name, expected, got),
                    None => Some(Values::only_left(name, expected)),
                }
            });
            Difference::of(place, unequal)
        }
    }
}
