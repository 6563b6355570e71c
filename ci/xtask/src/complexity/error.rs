//! What can go wrong; each message finishes "failed to tell the complexity: ...".

use std::path::PathBuf;

use crate::io_error::IoError;
use crate::vm;

/// Complexity that could not be told, or that has grown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] IoError),

    #[error(transparent)]
    Vm(#[from] vm::Error),

    #[error("look into {}: {detail}", path.display())]
    Object { path: PathBuf, detail: String },

    #[error("kernel {kernel} did not answer:\n{detail}")]
    NoAnswer { kernel: String, detail: String },

    #[error("kernel {kernel} does not say how many instructions of {program} it verified")]
    NotCounted { kernel: String, program: String },

    #[error("datapath/COMPLEXITY.md line {line}: expected {expected}")]
    BadFile { line: usize, expected: &'static str },

    #[error(
        "the programs are more complex than datapath/COMPLEXITY.md says:\n{complaints}if that is as it should be, \
         run `cargo xtask complexity` and commit what it writes"
    )]
    Grown { complaints: String },
}
