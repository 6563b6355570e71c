//! Map contents and expectations of maps.

use std::sync::Arc;

use crate::check::{Claim, MapExpectation};
use crate::decode::Decoder;
use crate::plan::{Ifindex, MapWrite, NodeName, ObjectName};
use crate::recording::MapRef;
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::expect::{EntryExpect, Fields, FinalExpect, MapExpect};
use crate::scenario::format::MapEntry;
use crate::scenario::literal::Bytes;
use crate::scenario::source::{Located, Source};

use super::fields;
use super::objects::{Objects, unknown_device};

/// Turns entries of maps into bytes of the right size.
pub(super) struct Maps<'a> {
    pub source: &'a Arc<Source>,
    pub objects: &'a Objects,
    pub device: &'a dyn Fn(&str) -> Option<Ifindex>,
    pub node: &'a NodeName,
    pub decoder: &'a Decoder,
}

impl Maps<'_> {
    /// The writes that the scenario says byte by byte.
    pub fn writes(&self, entries: &[MapEntry]) -> Result<Vec<MapWrite>, ScenarioError> {
        entries
            .iter()
            .map(|entry| {
                let (object, map, shape) = self.objects.map(&entry.map)?;
                Ok(MapWrite {
                    object,
                    key: self.bytes(&entry.key, "key", &map, shape.key)?,
                    value: self.bytes(&entry.value, "value", &map, shape.value)?,
                    map,
                })
            })
            .collect()
    }

    /// What is expected at the end.
    pub fn expectations(&self, expect: &FinalExpect) -> Result<Vec<MapExpectation>, ScenarioError> {
        let maps = expect.maps.iter().map(|expect| self.raw(expect));
        let entries = expect.entries.iter().map(|expect| self.typed(expect));
        maps.chain(entries).collect()
    }

    fn raw(&self, expect: &Located<MapExpect>) -> Result<MapExpectation, ScenarioError> {
        let (object, map, shape) = self.objects.map(&expect.map)?;
        let key = |key| self.bytes(key, "key", &map, shape.key);
        let claim = match (&expect.key, &expect.value, expect.absent, &expect.entries) {
            (None, None, false, Some(count)) => Claim::Entries(*count.value()),
            (Some(at), Some(value), false, None) => Claim::Value {
                key: key(at)?,
                value: self.bytes(value, "value", &map, shape.value)?,
                zero_if_absent: shape.array,
            },
            (Some(at), None, true, None) => Claim::Absent(key(at)?),
            _ => {
                return Err(Problem::new(
                    "an expectation of a map says one thing",
                    "expected `entries`, or `key` and `value`, or `key` and `absent = true`",
                )
                .at(self.source, expect.map.span()));
            }
        };
        Ok(self.expectation(expect, object, map, claim))
    }

    fn typed(&self, expect: &Located<EntryExpect>) -> Result<MapExpectation, ScenarioError> {
        let (object, map, shape) = self.objects.map(&expect.map)?;
        if expect.absent == expect.value.is_some() {
            return Err(Problem::new(
                "an expectation of an entry says what stands in it, or that it is absent",
                "expected `value` or `absent = true`",
            )
            .at(self.source, expect.map.span()));
        }
        let value = match &expect.value {
            Some(value) => Some(self.value_fields(value, &object, &map, shape.value)?),
            None => None,
        };
        let claim = Claim::Entry {
            key: expect.key.clone(),
            value,
        };
        Ok(self.expectation(expect, object, map, claim))
    }

    /// What an entry's value should hold, by the names that a decoded value of the map has.
    fn value_fields(
        &self,
        value: &Fields,
        object: &ObjectName,
        map: &str,
        size: usize,
    ) -> Result<Vec<(String, String)>, ScenarioError> {
        let decoded = self
            .decoder
            .value(&self.reference(object, map), &[vec![0; size]]);
        let known: Vec<&str> = decoded.iter().map(|(name, _)| name.as_str()).collect();
        fields::of_record(self.source, value, &known)
    }

    fn reference(&self, object: &ObjectName, map: &str) -> MapRef {
        MapRef {
            node: self.node.clone(),
            object: object.clone(),
            map: map.to_owned(),
        }
    }

    fn expectation<T>(
        &self,
        place: &Located<T>,
        object: ObjectName,
        map: String,
        claim: Claim,
    ) -> MapExpectation {
        MapExpectation {
            line: self.source.line(place.span().start),
            map: self.reference(&object, &map),
            claim,
        }
    }

    fn bytes(
        &self,
        bytes: &Located<Bytes>,
        part: &str,
        map: &str,
        size: usize,
    ) -> Result<Vec<u8>, ScenarioError> {
        let at = |problem: Problem| problem.at(self.source, bytes.span());
        let encoded = bytes
            .encode(self.device)
            .map_err(|name| at(unknown_device(&name)))?;
        if encoded.len() == size {
            return Ok(encoded);
        }
        Err(at(Problem::new(
            format!("this {part} has {} bytes", encoded.len()),
            format!("expected {size}: the size of a {part} of map `{map}`"),
        )))
    }
}
