//! Kubernetes manifests that a scenario names.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use twinpath_control::ClusterInfo;
use twinpath_control::abi::ClusterId;
use twinpath_control::kubernetes::{ManifestError, Objects};
use twinpath_control::population::Population;

use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::format::{ClusterEntry, ScenarioFile};
use crate::scenario::source::{Located, Source};

use super::objects::beside;

/// Clusters with their manifests.
type Mesh<'a> = Vec<(ClusterInfo, &'a [Located<PathBuf>])>;

/// Who lives in the clusters of the scenario's manifests; nobody if it has none.
pub(super) fn population(
    source: &Arc<Source>,
    file: &ScenarioFile,
) -> Result<Population, ScenarioError> {
    let clusters = clusters(source, file)?;
    let mut sources = Vec::new();
    let mut mesh = Vec::new();
    for (cluster, manifests) in clusters {
        let mut objects = Objects::default();
        for manifest in manifests {
            let manifest = read(source, manifest)?;
            sources.push(manifest.clone());
            let read = objects.read(&manifest.path, &manifest.text);
            read.map_err(|error| mistake(&sources, &error))?;
        }
        mesh.push((cluster, objects));
    }
    let mesh = mesh.iter().map(|(cluster, objects)| (cluster, objects));
    Population::mesh(mesh).map_err(|error| mistake(&sources, &error))
}

/// The clusters of the scenario with their manifests: the one that is in no mesh, or those of a mesh.
fn clusters<'a>(source: &Arc<Source>, file: &'a ScenarioFile) -> Result<Mesh<'a>, ScenarioError> {
    if file.clusters.is_empty() {
        return Ok(vec![(ClusterInfo::default(), &file.manifests)]);
    }
    if let Some(manifest) = file.manifests.first() {
        return Err(Problem::new(
            "these manifests are of no cluster",
            "expected them in a `[[cluster]]`, as there are clusters of a mesh",
        )
        .at(source, manifest.span()));
    }
    let mut mesh: Vec<ClusterInfo> = Vec::new();
    for entry in &file.clusters {
        let ClusterEntry { name, id, .. } = entry.value();
        let cluster = ClusterInfo {
            name: name.clone(),
            id: ClusterId(id.get()),
        };
        cluster.joins(&mesh).map_err(|error| {
            Problem::new(error.to_string(), "in this cluster of the mesh").at(source, entry.span())
        })?;
        mesh.push(cluster);
    }
    let manifests = file.clusters.iter();
    let manifests = manifests.map(|entry| &entry.value().manifests[..]);
    Ok(mesh.into_iter().zip(manifests).collect())
}

fn read(source: &Arc<Source>, manifest: &Located<PathBuf>) -> Result<Arc<Source>, ScenarioError> {
    let path = beside(&source.path, manifest);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Problem::new(
            format!("failed to read {}: {error}", path.display()),
            "expected a file of Kubernetes objects, relative to the scenario",
        )
        .at(source, manifest.span())
    })?;
    Ok(Arc::new(Source { path, text }))
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
