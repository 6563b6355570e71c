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
    #[error("`{field}`: {expected}")]
    Value {
        /// The path of the field.
        field: String,
        /// What was expected there.
        expected: String,
    },
}

const KINDS: &str = "Namespace, Pod, Node, EndpointSlice, NetworkPolicy, CiliumNetworkPolicy, \
                     CiliumClusterwideNetworkPolicy, or a List of them";

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
