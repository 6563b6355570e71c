//! What of a recording depends on chance, taken over from the emulator's into the kernel's.
//!
//! Bytes that differ between two runs of the emulator that differ in one thing alone, such as the clock, depend on that
//! thing. Nobody can say what they should be in the kernel, so there the emulator's stand for them. All others are
//! compared, and so are verdicts, ways and lengths.

use crate::recording::{End, Journey, MapContents, Recording};

/// Has `other` have the bytes of `found` where `varied` runs say that they depend on chance; whether that changed any.
pub fn take_over(found: &Recording, varied: &[Recording], other: &mut Recording) -> bool {
    let mut changed = false;
    for varied in varied {
        let journeys = found.journeys.iter().zip(&varied.journeys);
        for ((found, varied), other) in journeys.zip(&mut other.journeys) {
            changed |= journey(found, varied, other);
        }
        for (map, other) in &mut other.maps {
            if let (Some(found), Some(varied)) = (found.maps.get(map), varied.maps.get(map)) {
                changed |= contents(found, varied, other);
            }
        }
    }
    changed
}

/// Frames at hops and ends, and records, each with that of the same place.
fn journey(found: &Journey, varied: &Journey, other: &mut Journey) -> bool {
    let mut changed = false;
    let hops = found.hops.iter().zip(&varied.hops);
    for ((found, varied), other) in hops.zip(&mut other.hops) {
        changed |= bytes(&found.bytes, &varied.bytes, &mut other.bytes);
    }
    let ends = found.ends.iter().zip(&varied.ends);
    for ((found, varied), other) in ends.zip(&mut other.ends) {
        if let (Some(found), Some(varied), Some(other)) =
            (found.bytes(), varied.bytes(), frame(other))
        {
            changed |= bytes(found, varied, other);
        }
    }
    let events = found.events.iter().zip(&varied.events);
    for ((found, varied), other) in events.zip(&mut other.events) {
        changed |= bytes(&found.bytes, &varied.bytes, &mut other.bytes);
    }
    let answers = found.answers.iter().zip(&varied.answers);
    for ((found, varied), other) in answers.zip(&mut other.answers) {
        changed |= bytes(&found.bytes, &varied.bytes, &mut other.bytes);
        changed |= journey(&found.journey, &varied.journey, &mut other.journey);
    }
    changed
}

fn frame(end: &mut End) -> Option<&mut Vec<u8>> {
    match end {
        End::Left { bytes, .. } | End::Stack { bytes, .. } => Some(bytes),
        End::Dropped { .. } => None,
    }
}

/// Values under the same key.
fn contents(found: &MapContents, varied: &MapContents, other: &mut MapContents) -> bool {
    let mut changed = false;
    for (key, other) in &mut other.entries {
        if let (Some(found), Some(varied)) = (found.entries.get(key), varied.entries.get(key))
            && let ([found], [varied]) = (&used(found)[..], &used(varied)[..])
        {
            let mut used = other.iter_mut().filter(|value| is_used(value));
            if let (Some(other), None) = (used.next(), used.next()) {
                changed |= bytes(found, varied, other);
            }
        }
    }
    changed
}

/// Of the values of CPUs those that are not empty.
fn used(values: &[Vec<u8>]) -> Vec<&Vec<u8>> {
    values.iter().filter(|value| is_used(value)).collect()
}

fn is_used(value: &[u8]) -> bool {
    value.iter().any(|byte| *byte != 0)
}

fn bytes(found: &[u8], varied: &[u8], other: &mut [u8]) -> bool {
    if found.len() != varied.len() || found.len() != other.len() {
        return false;
    }
    let mut changed = false;
    for ((found, varied), other) in found.iter().zip(varied).zip(other) {
        if found != varied && found != other {
            *other = *found;
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{DeviceName, NodeName, ObjectName};
    use crate::recording::MapRef;

    fn recording(frame: &[u8], values: &[&[u8]]) -> Recording {
        let map = MapRef {
            node: NodeName::only(),
            object: ObjectName::new("object"),
            map: "map".to_owned(),
        };
        let values = values.iter().map(|value| value.to_vec()).collect();
        let contents = MapContents {
            entries: [(vec![1], values)].into(),
            per_cpu: true,
        };
        let end = End::Left {
            node: NodeName::only(),
            device: DeviceName::new("eth0"),
            bytes: frame.to_vec(),
        };
        Recording {
            journeys: vec![Journey {
                ends: vec![end],
                ..Journey::default()
            }],
            maps: [(map, contents)].into(),
            ..Recording::default()
        }
    }

    /// What becomes of the kernel's frame and values.
    fn taken(
        found: &Recording,
        varied: &Recording,
        mut other: Recording,
    ) -> (bool, Vec<u8>, Vec<Vec<u8>>) {
        let varied = std::slice::from_ref(varied);
        let changed = take_over(found, varied, &mut other);
        let frame = other.journeys[0].ends[0].bytes().unwrap().to_vec();
        let values = other.maps.into_values().next().unwrap();
        (changed, frame, values.entries[&vec![1]].clone())
    }

    /// The kernel's recording, whether it changes, and its frame and values afterwards.
    type Case<'a> = (Recording, bool, &'a [u8], &'a [&'a [u8]]);

    #[test]
    fn only_what_depends_on_chance_is_taken_over() {
        let found = recording(&[1, 2, 3], &[&[4, 5]]);
        let varied = recording(&[1, 9, 3], &[&[4, 9]]);
        let cases: [Case<'_>; 4] = [
            // What depends on it, on another CPU.
            (
                recording(&[1, 7, 3], &[&[0, 0], &[4, 7]]),
                true,
                &[1, 2, 3],
                &[&[0, 0], &[4, 5]],
            ),
            // All of it is other; the rest stays a difference.
            (
                recording(&[8, 7, 8], &[&[8, 7]]),
                true,
                &[8, 2, 8],
                &[&[8, 5]],
            ),
            // Another length, and more values than one.
            (
                recording(&[1, 7], &[&[4, 7], &[4, 8]]),
                false,
                &[1, 7],
                &[&[4, 7], &[4, 8]],
            ),
            // Nothing to do.
            (
                recording(&[1, 2, 3], &[&[4, 5]]),
                false,
                &[1, 2, 3],
                &[&[4, 5]],
            ),
        ];
        for (other, changed, frame, values) in cases {
            let taken = taken(&found, &varied, other);
            assert_eq!(
                taken,
                (
                    changed,
                    frame.to_vec(),
                    values.iter().map(|value| value.to_vec()).collect()
                )
            );
        }
    }
}
