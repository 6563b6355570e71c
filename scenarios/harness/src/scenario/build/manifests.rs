//! Kubernetes manifests that a scenario names.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use twinpath_control::kubernetes::{ManifestError, Objects};
use twinpath_control::population::Population;

use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::format::ScenarioFile;
use crate::scenario::source::Source;

use super::objects::beside;

/// Who lives in the cluster of the scenario's manifests; nobody if it has none.
pub(super) fn population(
    source: &Arc<Source>,
    file: &ScenarioFile,
) -> Result<Population, ScenarioError> {
    let mut objects = Objects::default();
    let mut sources = Vec::new();
    for manifest in &file.manifests {
        let path = beside(&source.path, manifest);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Problem::new(
                format!("failed to read {}: {error}", path.display()),
                "expected a file of Kubernetes objects, relative to the scenario",
            )
            .at(source, manifest.span())
        })?;
        sources.push(Arc::new(Source { path, text }));
    }
    for source in &sources {
        let read = objects.read(&source.path, &source.text);
        read.map_err(|error| mistake(&sources, &error))?;
    }
    Population::new(&objects).map_err(|error| mistake(&sources, &error))
}

/// A mistake in a manifest, at its place there.
fn mistake(sources: &[Arc<Source>], error: &ManifestError) -> ScenarioError {
    let text = error.problem.to_string();
    let problem = match text.split_once("expected ") {
        Some(("", expected)) => {
            Problem::new("something else stands here", format!("expected {expected}"))
        }
        Some((message, expected)) => Problem::new(
            message.trim_end_matches([' ', ':', ';']),
            format!("expected {expected}"),
        ),
        None => Problem::new(text, "in this place"),
    };
    let file: &Path = &error.file;
    let source = sources.iter().find(|source| source.path == file);
    let unknown = || {
        Arc::new(Source {
            path: file.to_owned(),
            text: String::new(),
        })
    };
    let source = source.cloned().unwrap_or_else(unknown);
    let place = place(&source.text, error.at.line, error.at.column);
    problem.at(&source, place)
}

/// The word that begins at a line and a column, both counted from 1.
fn place(text: &str, line: u64, column: u64) -> Range<usize> {
    let index = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    let before: usize = text
        .split_inclusive('\n')
        .take(index(line))
        .map(str::len)
        .sum();
    let rest = text.get(before..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    let column: usize = line.chars().take(index(column)).map(char::len_utf8).sum();
    let word = line.get(column..).unwrap_or_default();
    let ends = |letter: char| letter.is_whitespace() || ",]}:".contains(letter);
    let len = word.find(ends).unwrap_or(word.len());
    let start = before + column;
    start..start + len.max(usize::from(!word.is_empty()))
}
