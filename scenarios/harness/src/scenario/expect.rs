//! What a scenario expects of a packet and of the end of the run.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, de};

use super::bytes::Bytes;
use super::source::Located;

/// What is expected of a packet. What is left out is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PacketExpect {
    /// The verdict of each program that the packet meets, in order: "XDP_TX", or `["XDP_PASS", "TC_ACT_SHOT"]`.
    pub verdict: Option<Located<OneOrMore>>,
    /// Where the packet, and each copy of it, ends: "leaves eth1", "leaves a/eth1", "reaches b1" (a pod), "stack",
    /// "dropped". Of a call, where the packets end that it sends.
    pub ends: Option<Located<OneOrMore>>,
    /// Fields of the frame that leaves or reaches the stack: `{ "ip.ttl" = 63, "ip.dst" = "10.0.0.2" }`.
    pub fields: Fields,
    /// Whether the frame comes out byte by byte as it went in.
    pub unchanged: Option<bool>,
    /// Whether each checksum of the frame that comes out is right.
    pub checksums_right: Option<bool>,
    /// The most that the programs which the packet meets may cost together. Only an engine that counts is held to it.
    pub cost: Budget,
    /// How many records the programs write to user space.
    pub events: Option<usize>,
    /// What the programs' records say, in order: each text is a part of the line that a report prints.
    pub says: Option<Located<OneOrMore>>,
    /// The reason that the one drop event gives, by the name that the event's decoder prints.
    pub reason: Option<Located<String>>,
    /// What is expected of each frame that `responders` send because of the packet, in order; an empty list is that there is
    /// none.
    pub answers: Option<Vec<PacketExpect>>,
    /// How a call on a socket ends: "done", "ECONNREFUSED".
    pub result: Option<Located<String>>,
    /// The address that `getsockname` or `getpeername` tells, or where a datagram came from. Of addresses the port can be
    /// left out.
    pub address: Option<Located<String>>,
    /// What `receive` gives.
    pub received: Option<Located<String>>,
    /// Where the socket receives after the call; after `accept`, the accepted one.
    pub local: Option<Located<String>>,
    /// What the socket is connected to after the call.
    pub peer: Option<Located<String>>,
}

/// The most that something may cost; what is left out may be any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Budget {
    /// Instructions, helpers not included.
    pub instructions: Option<u64>,
    /// Helper calls.
    pub helpers: Option<u64>,
    /// Those of the helper calls that read or change a map.
    pub maps: Option<u64>,
}

/// What is expected after the last step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FinalExpect {
    /// Map contents, by the object's types or as bytes.
    #[serde(rename = "map")]
    pub maps: Vec<Located<MapExpect>>,
    /// Map entries by the names of their fields, for maps of the built-in datapath.
    #[serde(rename = "entry")]
    pub entries: Vec<Located<EntryExpect>>,
}

/// An entry of a map at the end, in the words of a report.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EntryExpect {
    /// The map's name; `object:map` when several objects have one of this name.
    pub map: Located<String>,
    /// The node whose map it is; not needed if there is only one.
    pub node: Option<Located<String>>,
    /// The key as reports print it: "egress, drop, ifindex 10, reason 132 (Invalid source ip)".
    pub key: String,
    /// Fields of the value, in a per-CPU map of the sum over the CPUs: `{ packets = 2 }`.
    pub value: Option<Fields>,
    /// Whether there is no such entry.
    #[serde(default)]
    pub absent: bool,
}

/// What a map holds at the end. With a key: what stands there. Without: how many entries it has.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MapExpect {
    /// The map's name in the object; `object:map` when several objects have one of this name.
    pub map: Located<String>,
    /// The node whose map it is; not needed if there is only one.
    pub node: Option<Located<String>>,
    /// The key.
    pub key: Option<Located<Bytes>>,
    /// The value under the key; in a per-CPU map, the one that is not all zero. Members of a structure that are left out
    /// are not looked at.
    pub value: Option<Located<Bytes>>,
    /// Whether there is nothing under the key.
    #[serde(default)]
    pub absent: bool,
    /// How many entries the map has; elements of an array that are all zero do not count.
    pub entries: Option<Located<usize>>,
}

/// Header fields by name, with the values that they should have.
pub type Fields = BTreeMap<Located<String>, Located<FieldValue>>;

/// A field's value as text; numbers and truth values are taken as their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldValue(pub String);

/// One text, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMore(pub Vec<String>);

struct FieldValueVisitor;

impl Visitor<'_> for FieldValueVisitor {
    type Value = FieldValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's value: a text, a number or a truth value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FieldValue, E> {
        Ok(FieldValue(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<FieldValue, E> {
        Ok(FieldValue(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<FieldValue, E> {
        Ok(FieldValue(number.to_string()))
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<FieldValue, E> {
        Ok(FieldValue(truth.to_string()))
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldValueVisitor)
    }
}

impl JsonSchema for FieldValue {
    fn schema_name() -> Cow<'static, str> {
        "FieldValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}

struct OneOrMoreVisitor;

impl<'de> Visitor<'de> for OneOrMoreVisitor {
    type Value = OneOrMore;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMore, E> {
        Ok(OneOrMore(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMore, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element()? {
            texts.push(text);
        }
        Ok(OneOrMore(texts))
    }
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMoreVisitor)
    }
}

impl JsonSchema for OneOrMore {
    fn schema_name() -> Cow<'static, str> {
        "OneOrMore".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}
