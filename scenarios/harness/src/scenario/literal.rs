//! Bytes of map keys, map values and global variables, said by what they mean.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, de};
use twinpath_node::{Ifindex, Mac};

/// The bytes of a key, a value or a variable: a number that takes all of it, hex text, one literal (`{ be16 = 80 }`), or
/// a list of literals and hex text that is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// As wide as the place that it is for, little-endian.
    Number(i128),
    /// One behind the other.
    Parts(Vec<Literal>),
}

/// Why there are no bytes for a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The place is too small for the number, or larger than a number.
    #[error("{number} does not fit: expected a number of {size} bytes")]
    Range {
        /// The number.
        number: i128,
        /// Bytes of the place.
        size: usize,
    },
    /// The bytes are too few or too many.
    #[error("the value has {found} bytes: expected {expected}")]
    Size {
        /// How many there are.
        found: usize,
        /// Bytes of the place.
        expected: usize,
    },
    /// There is no device of that name.
    #[error("no device is named `{0}`")]
    Device(String),
}

/// Bytes by meaning. Integers of more than one byte stand in little-endian order, as `bpfel` programs have them, unless `be` is said.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Literal {
    /// One byte.
    U8(u8),
    /// Two bytes, little-endian.
    U16(u16),
    /// Four bytes, little-endian.
    U32(u32),
    /// Eight bytes, little-endian.
    U64(u64),
    /// Two bytes, network order.
    Be16(u16),
    /// Four bytes, network order.
    Be32(u32),
    /// Eight bytes, network order.
    Be64(u64),
    /// The 4 or 16 bytes of an address.
    #[serde(deserialize_with = "ip")]
    Ip(#[schemars(with = "String")] IpAddr),
    /// The key of a longest-prefix-match trie: the prefix length as `u32`, then the address.
    #[serde(deserialize_with = "net")]
    Cidr(#[schemars(with = "String")] IpNet),
    /// The six bytes of an Ethernet address.
    #[serde(deserialize_with = "mac")]
    Mac(#[schemars(with = "String")] Mac),
    /// A device's interface index as `u32`.
    Device(String),
    /// The text's bytes, no terminator.
    Text(String),
    /// Bytes as hex digits.
    #[serde(deserialize_with = "hex_bytes")]
    Hex(#[schemars(with = "String")] Vec<u8>),
    /// So many zero bytes.
    Zeros(u16),
}

impl Bytes {
    /// The bytes for a place of `size` bytes. `device` finds the interface index of a device.
    ///
    /// # Errors
    /// When they are not as many, or a device is not found.
    pub fn encode(
        &self,
        size: usize,
        device: impl Fn(&str) -> Option<Ifindex>,
    ) -> Result<Vec<u8>, EncodeError> {
        let parts = match self {
            Self::Number(number) => return integer(*number, size),
            Self::Parts(parts) => parts,
        };
        let mut bytes = Vec::new();
        for literal in parts {
            literal.encode(&device, &mut bytes)?;
        }
        let found = bytes.len();
        (found == size).then_some(bytes).ok_or(EncodeError::Size {
            found,
            expected: size,
        })
    }
}

/// Little-endian, if it can be read back as a number with a sign or as one without.
fn integer(number: i128, size: usize) -> Result<Vec<u8>, EncodeError> {
    let bits = size * 8;
    let fits =
        (1..=64).contains(&bits) && (-(1i128 << (bits - 1))..1i128 << bits).contains(&number);
    let bytes = number.to_le_bytes().into_iter().take(size);
    fits.then(|| bytes.collect())
        .ok_or(EncodeError::Range { number, size })
}

impl Literal {
    fn encode(
        &self,
        device: &impl Fn(&str) -> Option<Ifindex>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        match self {
            Self::U8(value) => out.push(*value),
            Self::U16(value) => out.extend(value.to_le_bytes()),
            Self::U32(value) => out.extend(value.to_le_bytes()),
            Self::U64(value) => out.extend(value.to_le_bytes()),
            Self::Be16(value) => out.extend(value.to_be_bytes()),
            Self::Be32(value) => out.extend(value.to_be_bytes()),
            Self::Be64(value) => out.extend(value.to_be_bytes()),
            Self::Ip(address) => push_ip(*address, out),
            Self::Cidr(net) => {
                out.extend(u32::from(net.prefix_len()).to_le_bytes());
                push_ip(net.addr(), out);
            }
            Self::Mac(mac) => out.extend(mac.0),
            Self::Device(name) => {
                let index = device(name).ok_or_else(|| EncodeError::Device(name.clone()))?;
                out.extend(index.get().to_le_bytes());
            }
            Self::Text(text) => out.extend(text.bytes()),
            Self::Hex(bytes) => out.extend(bytes),
            Self::Zeros(count) => out.resize(out.len() + usize::from(*count), 0),
        }
        Ok(())
    }
}

fn push_ip(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => out.extend(address.octets()),
        IpAddr::V6(address) => out.extend(address.octets()),
    }
}

/// Reads hex digits; blanks and colons between bytes are allowed.
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != b':')
        .map(|byte| {
            char::from(byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// For a field that holds hex digits.
pub fn hex_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_hex(&text).ok_or_else(|| {
        de::Error::custom("not hex; expected two hex digits for each byte, such as \"0a 00 ff\"")
    })
}

/// For a field that holds an Ethernet address.
pub fn mac<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mac, D::Error> {
    parsed(deserializer, "a MAC address", "02:00:00:00:00:01")
}

/// For a field that holds an IP address.
pub fn ip<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    parsed(deserializer, "an IP address", "192.0.2.1")
}

/// For a field that holds an IP address and a prefix length.
pub fn net<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNet, D::Error> {
    parsed(
        deserializer,
        "an address with a prefix length",
        "192.0.2.0/24",
    )
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr>(
    deserializer: D,
    what: &str,
    example: &str,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        de::Error::custom(format!(
            "`{text}` is not {what}; expected one such as \"{example}\""
        ))
    })
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, hex digits, a literal such as { be16 = 80 }, or a list of these two")
    }

    fn visit_bool<E: de::Error>(self, is: bool) -> Result<Bytes, E> {
        Ok(Bytes::Number(is.into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Bytes, E> {
        Ok(Bytes::Number(number.into()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
        parse_hex(text).map(|bytes| Bytes::Parts(vec![Literal::Hex(bytes)])).ok_or_else(|| {
            E::custom("not hex; expected two hex digits for each byte, or a literal such as { be16 = 80 }")
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bytes, A::Error> {
        Literal::deserialize(MapAccessDeserializer::new(map))
            .map(|literal| Bytes::Parts(vec![literal]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Bytes, A::Error> {
        let mut literals = Vec::new();
        while let Some(part) = parts.next_element()? {
            match part {
                Bytes::Parts(mut part) => literals.append(&mut part),
                Bytes::Number(_) => {
                    return Err(de::Error::custom(
                        "a number in a list has no width; expected one such as { u32 = 5 }",
                    ));
                }
            }
        }
        Ok(Bytes::Parts(literals))
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
            "description": "A number, little-endian and as wide as its place; or hex digits, one literal such as { be16 = 80 }, or a list of these two that is put together.",
            "oneOf": [{ "type": "integer" }, { "type": "boolean" }, { "type": "string" }, literal, { "type": "array", "items": bytes }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        value: Bytes,
    }

    fn encode(text: &str, size: usize) -> Result<Vec<u8>, String> {
        let file: File = toml::from_str(&format!("value = {text}"))
            .map_err(|error| error.message().to_owned())?;
        let device = |name: &str| (name == "eth0").then(|| Ifindex::new(10)).flatten();
        let encoded = file.value.encode(size, device);
        encoded.map_err(|error| error.to_string())
    }

    #[test]
    fn each_literal_has_its_bytes() {
        for (text, hex) in [
            (r#""00ff 10""#, "00ff10"),
            ("{ u8 = 5 }", "05"),
            ("{ u16 = 5 }", "0500"),
            ("{ u32 = 5 }", "05000000"),
            ("{ u64 = 5 }", "0500000000000000"),
            ("{ be16 = 80 }", "0050"),
            ("{ be32 = 80 }", "00000050"),
            ("{ be64 = 80 }", "0000000000000050"),
            (r#"{ ip = "10.0.0.1" }"#, "0a000001"),
            (
                r#"{ ip = "2001:db8::1" }"#,
                "20010db8000000000000000000000001",
            ),
            (r#"{ cidr = "10.0.0.0/8" }"#, "080000000a000000"),
            (r#"{ mac = "02:00:00:00:00:01" }"#, "020000000001"),
            (r#"{ device = "eth0" }"#, "0a000000"),
            (r#"{ text = "ab" }"#, "6162"),
            (r#"{ hex = "ab" }"#, "ab"),
            ("{ zeros = 3 }", "000000"),
            ("7", "07000000"),
            ("0x1ff", "ff01"),
            ("-1", "ffffffffffffffff"),
            ("255", "ff"),
            ("true", "01"),
            (
                r#"[{ ip = "10.0.0.1" }, { be16 = 80 }, "ff"]"#,
                "0a0000010050ff",
            ),
        ] {
            let bytes = parse_hex(hex).unwrap();
            assert_eq!(encode(text, bytes.len()), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_wrong_literal_is_refused() {
        for (text, message) in [
            (r#"{ device = "eth1" }"#, "eth1"),
            (r#""abc""#, "not hex"),
            ("{ u16 = 70000 }", "70000"),
            ("{ u12 = 5 }", "unknown variant `u12`"),
            ("256", "256 does not fit: expected a number of 1 bytes"),
            ("-129", "-129 does not fit"),
            ("[5]", "a number in a list has no width"),
            ("{ u16 = 5 }", "the value has 2 bytes: expected 1"),
            ("5.0", "expected a number, hex digits"),
            (r#"{ mac = "02:00" }"#, "`02:00` is not a MAC address"),
        ] {
            let error = encode(text, 1).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
