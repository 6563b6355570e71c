//! The kernel that a scenario needs.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A release of Linux by its first two numbers: `6.6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    major: u32,
    minor: u32,
}

impl KernelVersion {
    /// That of the running kernel; none where that is not Linux.
    pub fn running() -> Option<Self> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        release.parse().ok()
    }
}

impl FromStr for KernelVersion {
    type Err = ();

    /// The first two numbers of a release such as `6.6` or `6.1.0-44-cloud-amd64`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split('.').map(|number| number.parse().map_err(drop));
        let mut next = || numbers.next().unwrap_or(Err(()));
        let (major, minor) = (next()?, next()?);
        Ok(Self { major, minor })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl<'de> Deserialize<'de> for KernelVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| {
            let expected = "expected the first that will do, such as \"6.6\"";
            de::Error::custom(format!("`{text}` is no release of Linux; {expected}"))
        })
    }
}

impl JsonSchema for KernelVersion {
    fn schema_name() -> Cow<'static, str> {
        "KernelVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A release of Linux by its first two numbers: \"6.6\".",
            "type": "string",
            "pattern": "^[0-9]+\\.[0-9]+"
        })
    }
}
