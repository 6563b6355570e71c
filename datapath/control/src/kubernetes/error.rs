//! What is wrong with a manifest, and where.

use std::fmt;
use std::path::PathBuf;

use super::kinds;
use super::tree::Path;

/// A line and a column, both from 1; 0 where the place is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl From<serde_saphyr::Location> for Position {
    fn from(location: serde_saphyr::Location) -> Self {
        Self {
            line: location.line(),
            column: location.column(),
        }
    }
}

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}:{}: {problem}", file.display(), at.line, at.column)]
pub struct ManifestError {
    /// The file.
    pub file: PathBuf,
    /// Where in the file.
    pub at: Position,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a place in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not YAML.
    #[error("{0}")]
    Yaml(String),
    /// A document that is no Kubernetes object.
    #[error("expected a Kubernetes object with `apiVersion` and `kind`")]
    NoObject,
    /// An object of a kind that the model does not know.
    #[error(
        "{kind} of {api_version} is not supported{}; expected {KINDS}",
        kinds::reason(kind)
    )]
    Kind {
        /// The object's `apiVersion`.
        api_version: String,
        /// The object's `kind`.
        kind: String,
    },
    /// A field that the kind does not have, or that the model does not know.
    #[error("field `{field}` is not known or not supported{expected}")]
    Field {
        /// The path of the field.
        field: String,
        /// Which there are in its place.
        expected: String,
    },
    /// A value of a field that is not as it should be.
    #[error("{}{expected}", of_field(field))]
    Value {
        /// The path of the field; nothing for the object itself.
        field: String,
        /// What was expected there.
        expected: String,
    },
}

const KINDS: &str = "Namespace, Pod, Node, EndpointSlice, NetworkPolicy, CiliumNetworkPolicy, \
                     CiliumClusterwideNetworkPolicy, or a List of them";

fn of_field(field: &str) -> String {
    match field {
        "" => String::new(),
        _ => format!("`{field}`: "),
    }
}

/// What the reader of YAML says, without the place, which stands before it, and without what only concerns programmers.
pub(super) fn of_yaml(message: &str) -> String {
    let message = message.split(", set ").next().unwrap_or(message);
    match message.rsplit_once(" at line ") {
        Some((message, place)) if place.contains(", column ") => message.to_owned(),
        _ => message.to_owned(),
    }
}

/// What a type of ours says of a value, in the words of a manifest.
pub(super) fn of_type(message: &str) -> String {
    let Some((found, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let is_type = expected
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric())
        && expected.starts_with(|letter: char| letter.is_ascii_uppercase());
    let expected = match expected {
        "IntOrString" => "a number or a text",
        "a sequence" => "a list",
        "a map" => "fields",
        _ if is_type || expected.starts_with("struct ") => "fields",
        _ => expected,
    };
    format!("{found}, expected {expected}")
}

impl Problem {
    /// A field that is none of those that there are in its place.
    pub(super) fn field(field: &Path, known: &[&str]) -> Self {
        let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        Self::Field {
            field: field.to_string(),
            expected: match known.split_last() {
                None => String::new(),
                Some((last, [])) => format!("; expected {last}"),
                Some((last, rest)) => format!("; expected {} or {last}", rest.join(", ")),
            },
        }
    }

    /// A field whose value is not as expected.
    pub(super) fn value(field: &Path, expected: impl fmt::Display) -> Self {
        Self::Value {
            field: field.to_string(),
            expected: expected.to_string(),
        }
    }
}
