//! From a file to a [`Scenario`].

use std::path::Path;
use std::sync::Arc;

use super::error::{Problem, ScenarioError};
use super::format::ScenarioFile;
use super::source::Source;
use super::suggest;

/// A scenario file that was read and understood, its names not yet resolved.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// `topic::name`, from the file's place.
    pub name: String,
    /// The text, which errors point into.
    pub source: Arc<Source>,
    /// What it says.
    pub file: ScenarioFile,
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, or has a key or a value that a scenario cannot have.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path).map_err(|error| ScenarioError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(path, text)
    }

    /// Takes the text of a scenario file; `path` is where relative paths in it start from.
    ///
    /// # Errors
    /// When the text is no TOML, or has a key or a value that a scenario cannot have.
    pub fn parse(path: &Path, text: String) -> Result<Self, ScenarioError> {
        let source = Arc::new(Source {
            path: path.to_owned(),
            text,
        });
        let file = toml::from_str(&source.text)
            .map_err(|error| problem(error.message()).at(&source, place(&error, &source.text)))?;
        Ok(Self {
            name: name(path),
            source,
            file,
        })
    }
}

/// `topic::name` for `.../topic/name.toml`.
pub fn name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match path.parent().and_then(Path::file_name) {
        Some(topic) => format!("{}::{stem}", topic.to_string_lossy()),
        None => stem.into_owned(),
    }
}

/// The bytes that an error speaks of; an error without a place speaks of the file's first line.
fn place(error: &toml::de::Error, text: &str) -> std::ops::Range<usize> {
    let first_line = 0..text.lines().next().map_or(0, str::len);
    match error.span() {
        Some(span) if span.len() == text.len() => first_line,
        Some(span) => span,
        None => first_line,
    }
}

/// Splits a message of the TOML reader into what is wrong and what was expected.
fn problem(message: &str) -> Problem {
    let (wrong, expected) = match message.split_once(", expected ") {
        Some((wrong, expected)) => (wrong, format!("expected {}", in_numbers(expected))),
        None => match message.split_once("; ") {
            Some((wrong, expected)) => (wrong, expected.to_owned()),
            None => (message, String::new()),
        },
    };
    let wrong = wrong.lines().collect::<Vec<_>>().join(", ");
    let problem = Problem::new(wrong.as_str(), expected.replace('\n', ", "));
    let meant = wrong
        .strip_prefix("unknown field `")
        .or_else(|| wrong.strip_prefix("unknown variant `"))
        .and_then(|rest| rest.strip_suffix('`'))
        .and_then(|name| suggest::nearest(name, expected.split('`').skip(1).step_by(2)));
    match meant {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => problem,
    }
}

/// What Rust's types of numbers are to somebody who writes a scenario.
fn in_numbers(expected: &str) -> &str {
    match expected {
        "u8" => "a number from 0 to 255",
        "u16" => "a number from 0 to 65535",
        "u32" => "a number from 0 to 4294967295",
        "u64" | "u128" | "usize" => "a number from 0 on",
        "a nonzero u8" => "a number from 1 to 255",
        "a nonzero u16" => "a number from 1 to 65535",
        "a nonzero u32" => "a number from 1 to 4294967295",
        "a nonzero u64" | "a nonzero usize" => "a number from 1 on",
        other => other,
    }
}
