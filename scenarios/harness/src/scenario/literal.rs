//! Bytes said by what they mean: `{ be16 = 80 }`, `{ ip = "10.0.0.1" }`.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use twinpath_node::Mac;

use super::bytes::Bytes;
use super::error::Problem;
use super::place::Devices;

/// Bytes by meaning. Integers of more than one byte stand in little-endian order, as `bpfel` programs have them, unless `be` is said.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
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
    Ip(#[schemars(with = "String")] IpAddr),
    /// The key of a longest-prefix-match trie: the prefix length as `u32`, then the address.
    Cidr(#[schemars(with = "String")] IpNet),
    /// The six bytes of an Ethernet address.
    Mac(#[schemars(with = "String")] Mac),
    /// A device's interface index as `u32`.
    Device(String),
    /// The text's bytes, no terminator.
    Text(String),
    /// Bytes as hex digits.
    Hex(#[schemars(with = "String")] Vec<u8>),
    /// So many zero bytes.
    Zeros(u16),
}

impl Literal {
    /// The literals by name.
    pub const NAMES: [&str; 14] = [
        "u8", "u16", "u32", "u64", "be16", "be32", "be64", "ip", "cidr", "mac", "device", "text",
        "hex", "zeros",
    ];

    /// The literal of a name.
    ///
    /// # Errors
    /// When there is none of that name, or it has no such value.
    pub fn read(name: &str, value: &Bytes) -> Result<Self, Problem> {
        Ok(match name {
            "u8" => Self::U8(number(value)?),
            "u16" => Self::U16(number(value)?),
            "u32" => Self::U32(number(value)?),
            "u64" => Self::U64(number(value)?),
            "be16" => Self::Be16(number(value)?),
            "be32" => Self::Be32(number(value)?),
            "be64" => Self::Be64(number(value)?),
            "ip" => Self::Ip(text(value, ADDRESS)?),
            "cidr" => Self::Cidr(text(value, NETWORK)?),
            "mac" => Self::Mac(text(value, MAC)?),
            "device" => Self::Device(string(value)?.to_owned()),
            "text" => Self::Text(string(value)?.to_owned()),
            "hex" => Self::Hex(hex(string(value)?)?),
            "zeros" => Self::Zeros(number(value)?),
            _ => return Err(Problem::unknown("literal", name, Self::NAMES)),
        })
    }

    /// Adds the literal's bytes.
    ///
    /// # Errors
    /// When a device is not found.
    pub fn encode(&self, devices: Devices<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
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
                let index = devices(name).ok_or_else(|| {
                    let what = format!("no device is named `{name}`");
                    Problem::new(what, "expected the name of a device of this scenario")
                })?;
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

fn hex(text: &str) -> Result<Vec<u8>, Problem> {
    parse_hex(text).ok_or_else(|| {
        Problem::new(
            format!("`{text}` is not hex"),
            "expected two hex digits for each byte, such as `0a 00 ff`",
        )
    })
}

/// A number that the literal has room for.
fn number<T: TryFrom<i128>>(value: &Bytes) -> Result<T, Problem> {
    let expected = || {
        format!(
            "expected a number of {} bits without a sign",
            8 * size_of::<T>()
        )
    };
    match value {
        Bytes::Number(number) => T::try_from(*number)
            .map_err(|_| Problem::new(format!("{number} does not fit"), expected())),
        _ => Err(Problem::new("this is no number", expected())),
    }
}

fn string(value: &Bytes) -> Result<&str, Problem> {
    match value {
        Bytes::Text(text) => Ok(text),
        _ => Err(Problem::new(
            "this is no text",
            "expected a text in quotation marks",
        )),
    }
}

/// A kind of text, with an example.
type Texts = (&'static str, &'static str);
const ADDRESS: Texts = ("an IP address", "192.0.2.1");
const NETWORK: Texts = ("an address with a prefix length", "192.0.2.0/24");
const MAC: Texts = ("a MAC address", "02:00:00:00:00:01");

fn text<T: FromStr>(value: &Bytes, (what, example): Texts) -> Result<T, Problem> {
    let text = string(value)?;
    text.parse().map_err(|_| {
        Problem::new(
            format!("`{text}` is not {what}"),
            format!("expected one such as `{example}`"),
        )
    })
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
    parsed(deserializer, MAC)
}

/// For a field that holds an IP address and a prefix length.
pub fn net<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNet, D::Error> {
    parsed(deserializer, NETWORK)
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr>(
    deserializer: D,
    (what, example): Texts,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        de::Error::custom(format!(
            "`{text}` is not {what}; expected one such as \"{example}\""
        ))
    })
}
