//! Why the command stops.

use std::io;

use twinpath_pcaps::{CaptureError, WriteError};

use crate::arm::KernelMissing;
use crate::scenario::ScenarioError;

/// Anything that ends the command before its work is done. The exit status is 2.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The scenarios cannot be used.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A file cannot be read or written, or is not what it should be.
    #[error("{0}")]
    Input(String),
    /// The kernel was asked for and cannot be used.
    #[error("cannot use the kernel: {0}")]
    Kernel(#[from] KernelMissing),
    /// A capture cannot be read.
    #[error(transparent)]
    Replay(#[from] CaptureError),
    /// A capture cannot be written.
    #[error("failed to write a capture: {0}")]
    Capture(#[from] WriteError),
    /// Nobody takes the output.
    #[error("failed to write the output: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// Whether the reader of the output went away, which is no error to speak of.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
