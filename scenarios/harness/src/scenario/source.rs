//! A scenario file's text, and values that remember where in it they stand.

use std::borrow::Cow;
use std::ops::{Deref, Range};
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use toml::Spanned;

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As the user named it.
    pub path: PathBuf,
    /// Its whole text.
    pub text: String,
}

impl Source {
    /// As much of a place as stands on its first line; of a table, that says enough.
    pub fn first_line(&self, place: Range<usize>) -> Range<usize> {
        let part = self.text.get(place.clone()).unwrap_or_default();
        let end = part.find('\n').map_or(place.end, |line| place.start + line);
        place.start..end
    }

    /// The number of the line that holds a byte, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        1 + self
            .text
            .bytes()
            .take(offset)
            .filter(|&byte| byte == b'\n')
            .count()
    }
}

/// A value with its place in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Located<T>(Spanned<T>);

impl<T> Located<T> {
    /// A value that stands at a place.
    pub fn new(value: T, place: Range<usize>) -> Self {
        Self(Spanned::new(place, value))
    }

    /// The bytes of the file that say the value.
    pub fn span(&self) -> Range<usize> {
        self.0.span()
    }

    /// The value.
    pub fn value(&self) -> &T {
        self.0.get_ref()
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value()
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
