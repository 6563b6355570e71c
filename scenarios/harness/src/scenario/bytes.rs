//! Keys and values of maps and values of variables, as a scenario says them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, de};

use super::literal::Literal;
use super::source::Located;

/// What stands in a key, a value or a variable. Which bytes these are, the place says that it is for:
/// [`Place::encode`](super::place::Place::encode).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// As wide as the place, in its byte order.
    Number(i128),
    /// Hex digits, an address, or an enumerator's name.
    Text(String),
    /// Elements of an array, or literals and hex digits that are put together.
    List(Vec<Located<Bytes>>),
    /// Members of a structure, or one literal.
    Table(Vec<(Located<String>, Located<Bytes>)>),
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a number, hex digits, a literal such as { be16 = 80 }, members of a structure, or a list of these",
        )
    }

    fn visit_bool<E: de::Error>(self, is: bool) -> Result<Bytes, E> {
        Ok(Bytes::Number(is.into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Bytes, E> {
        Ok(Bytes::Number(number.into()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bytes, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Bytes::Table(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bytes, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Bytes::List(list))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let literal = generator.subschema_for::<Literal>();
        let bytes = generator.subschema_for::<Self>();
        json_schema!({
            "description": "A number, as wide as its place and in its byte order (little-endian but where the object has `__be16`, `__be32` or `__be64`); hex digits, an IP or MAC address, or an enumerator's name; one literal such as { be16 = 80 }; members of a structure by name, { port = 80, flags = 1 }, of which those left out are zero, or are not looked at where they are expected; or a list: elements of an array, or literals and hex digits that are put together.",
            "anyOf": [
                { "type": "integer" },
                { "type": "boolean" },
                { "type": "string" },
                literal,
                { "type": "object", "additionalProperties": bytes.clone() },
                { "type": "array", "items": bytes },
            ],
        })
    }
}
