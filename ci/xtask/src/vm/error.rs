//! What can go wrong with a VM; each message finishes "failed to run in a VM: ...".

use std::path::PathBuf;
use std::time::Duration;

use crate::io_error::IoError;
use crate::process;

/// A VM that could not be made, or that ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] IoError),

    #[error("{error}{}", hint(error))]
    Process {
        #[from]
        error: process::Error,
    },

    #[error(
        "there is no kernel {name} below {}; run ci/setup-vm.sh {name}, or put its boot/vmlinuz-* \
         and lib/modules/* there",
        folder.display()
    )]
    NoKernel { name: String, folder: PathBuf },

    #[error("{} line {line}: expected `module: dependencies`", path.display())]
    BadDependencies { path: PathBuf, line: usize },

    #[error(
        "kernel {kernel} ended without a result after {} s; the end of its console:\n{console}",
        after.as_secs()
    )]
    NoResult {
        kernel: String,
        after: Duration,
        console: String,
    },

    #[error("kernel {kernel} printed what is not a report, line {line}: {source}")]
    BadReport {
        kernel: String,
        line: usize,
        source: serde_json::Error,
    },
}

/// What is missing can be installed.
fn hint(error: &process::Error) -> &'static str {
    match error {
        process::Error::NotRun { .. } => "; run ci/setup-vm.sh",
        process::Error::Failed { .. } => "",
    }
}
