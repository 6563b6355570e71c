//! The scenario files that a user means.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::scenario::ScenarioError;

/// Files as they are named, and of folders all files below that end in `.toml`. Sorted, each once.
///
/// # Errors
/// When a path is not there, or a folder has no scenario in it.
pub fn scenario_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ScenarioError> {
    let mut files = BTreeSet::new();
    for path in paths {
        let before = files.len();
        collect(path, true, &mut files)?;
        if files.len() == before && path.is_dir() {
            return Err(ScenarioError::Empty { path: path.clone() });
        }
    }
    Ok(files.into_iter().collect())
}

fn collect(path: &Path, named: bool, files: &mut BTreeSet<PathBuf>) -> Result<(), ScenarioError> {
    let failed = |error| ScenarioError::Read {
        path: path.to_owned(),
        error,
    };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        if named
            || path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            files.insert(path.to_owned());
        }
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(failed)? {
        collect(&entry.map_err(failed)?.path(), false, files)?;
    }
    Ok(())
}
