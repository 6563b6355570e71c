//! Packet numbers of a capture, as a person lists them: `1-3, 7, 12-`.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A set of packet numbers; the first packet of a capture has number 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers(Vec<(usize, usize)>);

/// A text that lists no packet numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no packets; expected numbers and ranges from 1 on, such as \"1-3, 7, 12-\"")]
pub struct NumbersError(String);

impl Numbers {
    /// Whether a packet is one of them.
    pub fn contains(&self, number: usize) -> bool {
        self.0
            .iter()
            .any(|&(first, last)| (first..=last).contains(&number))
    }

    /// The highest number that is named, open ends aside.
    pub fn highest(&self) -> usize {
        let named = |&(first, last): &(usize, usize)| if last == usize::MAX { first } else { last };
        self.0.iter().map(named).max().unwrap_or(0)
    }
}

impl FromStr for Numbers {
    type Err = NumbersError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',')
            .map(|part| range(part.trim()))
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| NumbersError(text.to_owned()))
    }
}

fn range(part: &str) -> Option<(usize, usize)> {
    let (first, last) = match part.split_once('-') {
        None => (part.parse().ok()?, part.parse().ok()?),
        Some((first, "")) => (first.trim().parse().ok()?, usize::MAX),
        Some((first, last)) => (first.trim().parse().ok()?, last.trim().parse().ok()?),
    };
    (1 <= first && first <= last).then_some((first, last))
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Numbers {
    fn schema_name() -> Cow<'static, str> {
        "Numbers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Packet numbers and ranges, counted from 1: \"1-3, 7, 12-\".",
            "type": "string",
            "pattern": "^ *[0-9]+ *(- *[0-9]* *)?(, *[0-9]+ *(- *[0-9]* *)?)*$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_numbers_are_contained() {
        let numbers: Numbers = "1-3, 7, 12-".parse().unwrap();
        let contained: Vec<usize> = (0..15).filter(|&n| numbers.contains(n)).collect();
        assert_eq!(contained, [1, 2, 3, 7, 12, 13, 14]);
        assert_eq!(numbers.highest(), 12);
    }

    #[test]
    fn what_names_no_packets_is_refused() {
        for text in ["", "0", "3-1", "1,,2", "one", "-3", "1--2"] {
            assert_eq!(text.parse::<Numbers>(), Err(NumbersError(text.to_owned())));
        }
    }
}
