//! A file, a folder or a process that the system did not let us use.

use std::io;
use std::path::PathBuf;

/// What was tried, on what, and what the system said.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}: {source}", path.display())]
pub struct IoError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl IoError {
    /// Says of an I/O error where it happened: `what` is a verb such as "read".
    pub fn on(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { what, path, source }
    }
}
