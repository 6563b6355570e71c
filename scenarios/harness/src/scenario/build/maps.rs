//! Map contents and expectations of maps.

use std::sync::Arc;

use twinpath_machine::object::btf::TypeId;
use twinpath_machine::{AttachType, MapType};

use crate::check::{Claim, MapExpectation};
use crate::decode::Decoder;
use crate::object::MapShape;
use crate::plan::{MapValue, MapWrite, NodeName, NodePlan, ObjectName};
use crate::recording::MapRef;
use crate::scenario::bytes::Bytes;
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::expect::{EntryExpect, Fields, FinalExpect, MapExpect};
use crate::scenario::format::MapEntry;
use crate::scenario::place::{Encoded, Place};
use crate::scenario::source::{Located, Source};

use super::fields;
use super::network::Network;
use super::objects::Objects;

/// Turns entries of maps into bytes of the right size.
pub(super) struct Maps<'a> {
    pub source: &'a Arc<Source>,
    pub objects: &'a Objects,
    pub network: &'a Network,
    pub decoder: &'a Decoder,
}

impl Maps<'_> {
    /// The writes to a node's maps that the scenario says byte by byte.
    pub fn writes(
        &self,
        entries: &[MapEntry],
        node: &NodePlan,
    ) -> Result<Vec<MapWrite>, ScenarioError> {
        let mut writes = Vec::new();
        for entry in entries {
            let at = entry.map.span();
            let (object, _, _) = self.objects.map(&entry.map)?;
            let loaded = node.objects.iter().any(|plan| plan.name == object);
            let here = match &entry.node {
                None => loaded,
                Some(name) => *self.network.node(self.source, Some(name), at.clone())? == node.name,
            };
            if here && !loaded {
                return Err(Problem::new(
                    format!("node `{}` does not load `{object}`", node.name),
                    "expected a node that has a program of that object at a hook",
                )
                .at(self.source, at));
            }
            if here {
                writes.push(self.write(entry, &node.name)?);
            }
        }
        Ok(writes)
    }

    fn write(&self, entry: &MapEntry, node: &NodeName) -> Result<MapWrite, ScenarioError> {
        let (object, map, shape) = self.objects.map(&entry.map)?;
        let places = self.places(&object, &map, shape);
        let key = self.encode(&entry.key, &places.key, node)?.bytes;
        let value = match (&entry.value, &entry.program) {
            (Some(value), None) => MapValue::Bytes(self.encode(value, &places.value, node)?.bytes),
            (None, Some(program)) if shape.programs => {
                MapValue::Program(self.objects.program_of(&object, program)?)
            }
            (Some(value), Some(program)) if shape.targets.is_some() => {
                let bytes = self.encode(value, &places.value, node)?.bytes;
                self.target(&object, shape, &bytes, program)?
            }
            (None, Some(program)) if shape.targets.is_some() => {
                return Err(Problem::new(
                    format!("an entry of `{map}` leads somewhere"),
                    "expected `value` beside it",
                )
                .at(self.source, program.span()));
            }
            (_, Some(program)) if !shape.programs => {
                return Err(Problem::new(
                    format!("`{map}` is no array of programs"),
                    "expected `value`, and `program` beside it only in a map of devices",
                )
                .at(self.source, program.span()));
            }
            _ => {
                return Err(Problem::new(
                    "an entry of a map has one value",
                    "expected `value`, or `program` in an array of programs",
                )
                .at(self.source, entry.map.span()));
            }
        };
        Ok(MapWrite {
            object,
            key,
            value,
            map,
        })
    }

    /// An entry of a map of devices, with the program that what is redirected to it meets.
    fn target(
        &self,
        object: &ObjectName,
        shape: MapShape,
        value: &[u8],
        program: &Located<String>,
    ) -> Result<MapValue, ScenarioError> {
        let problem = |what: String, expected: &str| {
            Problem::new(what, expected).at(self.source, program.span())
        };
        let name = self.objects.program_of(object, program)?;
        let (hook, entries) = match shape.targets {
            Some(MapType::CpuMap) => {
                return Err(problem(
                    "programs in entries of a cpumap are not supported".to_owned(),
                    "expected an entry without one",
                ));
            }
            _ => (AttachType::XdpDevmap, "maps of devices"),
        };
        if self.objects.attach_type(object, &name) != Some(hook) {
            return Err(problem(
                format!("program `{name}` is not for entries of {entries}"),
                "expected one in section `xdp/devmap` or `xdp.frags/devmap`",
            ));
        }
        let value = value.try_into().map_err(|_| {
            problem(
                format!(
                    "a value of {} bytes has no place for a program",
                    value.len()
                ),
                "expected a map whose values have 8 (`struct bpf_devmap_val`)",
            )
        })?;
        Ok(MapValue::Target {
            value,
            program: name,
        })
    }

    /// What is expected at the end.
    pub fn expectations(&self, expect: &FinalExpect) -> Result<Vec<MapExpectation>, ScenarioError> {
        let maps = expect.maps.iter().map(|expect| self.raw(expect));
        let entries = expect.entries.iter().map(|expect| self.typed(expect));
        maps.chain(entries).collect()
    }

    fn raw(&self, expect: &Located<MapExpect>) -> Result<MapExpectation, ScenarioError> {
        let (object, map, shape) = self.objects.map(&expect.map)?;
        let node = self.node(expect.node.as_ref(), &expect.map)?;
        let places = self.places(&object, &map, shape);
        let key = |key| Ok(self.encode(key, &places.key, node)?.bytes);
        let claim = match (&expect.key, &expect.value, expect.absent, &expect.entries) {
            (None, None, false, Some(count)) => Claim::Entries(*count.value()),
            (Some(at), Some(value), false, None) => Claim::Value {
                key: key(at)?,
                value: self.encode(value, &places.value, node)?,
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
        Ok(self.expectation(expect, node, object, map, claim))
    }

    fn node(
        &self,
        name: Option<&Located<String>>,
        map: &Located<String>,
    ) -> Result<&NodeName, ScenarioError> {
        self.network.node(self.source, name, map.span())
    }

    fn typed(&self, expect: &Located<EntryExpect>) -> Result<MapExpectation, ScenarioError> {
        let (object, map, shape) = self.objects.map(&expect.map)?;
        let node = self.node(expect.node.as_ref(), &expect.map)?;
        if expect.absent == expect.value.is_some() {
            return Err(Problem::new(
                "an expectation of an entry says what stands in it, or that it is absent",
                "expected `value` or `absent = true`",
            )
            .at(self.source, expect.map.span()));
        }
        let value = match &expect.value {
            Some(value) => {
                let map = reference(node, &object, &map);
                Some(self.value_fields(value, &map, shape.value)?)
            }
            None => None,
        };
        let claim = Claim::Entry {
            key: expect.key.clone(),
            value,
        };
        Ok(self.expectation(expect, node, object, map, claim))
    }

    /// What an entry's value should hold, by the names that a decoded value of the map has.
    fn value_fields(
        &self,
        value: &Fields,
        map: &MapRef,
        size: usize,
    ) -> Result<Vec<(String, String)>, ScenarioError> {
        let decoded = self.decoder.value(map, &[vec![0; size]]);
        let known: Vec<&str> = decoded.iter().map(|(name, _)| name.as_str()).collect();
        fields::of_record(self.source, value, &known)
    }

    fn expectation<T>(
        &self,
        place: &Located<T>,
        node: &NodeName,
        object: ObjectName,
        map: String,
        claim: Claim,
    ) -> MapExpectation {
        MapExpectation {
            line: self.source.line(place.span().start),
            map: reference(node, &object, &map),
            claim,
        }
    }

    /// Where a map's keys and values stand.
    fn places(&self, object: &ObjectName, map: &str, shape: MapShape) -> Places<'_> {
        let btf = self.objects.types(object);
        let place = |part, size, of| Place::new(format!("a {part} of map `{map}`"), size, of);
        let of = |which: fn((TypeId, TypeId)) -> TypeId| btf.zip(shape.types.map(which));
        Places {
            key: place("key", shape.key, of(|(key, _)| key)),
            value: place("value", shape.value, of(|(_, value)| value)),
        }
    }

    fn encode(
        &self,
        bytes: &Located<Bytes>,
        place: &Place<'_>,
        node: &NodeName,
    ) -> Result<Encoded, ScenarioError> {
        let encoded = place.encode(bytes, &|name| self.network.index(node, name));
        encoded.map_err(|misfit| misfit.problem.at(self.source, misfit.span))
    }
}

struct Places<'a> {
    key: Place<'a>,
    value: Place<'a>,
}

fn reference(node: &NodeName, object: &ObjectName, map: &str) -> MapRef {
    MapRef {
        node: node.clone(),
        object: object.clone(),
        map: map.to_owned(),
    }
}
