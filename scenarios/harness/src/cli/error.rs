//! Why the command stops.

use std::io;

use twinpath_pcaps::{CaptureError, WriteError};

use crate::arm::KernelMissing;
use crate::replay::ReplayError;
use crate::report::chain;
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
    Unreadable(#[from] CaptureError),
    /// A program cannot be run over it.
    #[error("{}", chain(.0))]
    Program(#[from] ReplayError),
    /// A capture cannot be written.
    #[error("{0}")]
    Capture(#[from] WriteError),
    /// Nobody takes the output.
    #[error("failed to write the output: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// For an option that says something of the emulator, which does not run.
    pub fn without_emulator(option: &str) -> Self {
        Self::Input(format!(
            "{option} is for the emulator, and only the kernel was asked for: expected --backend emulator or both"
        ))
    }

    /// Whether the reader of the output went away, which is no error to speak of.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

#[cfg(target_os = "linux")]
impl From<crate::kernel::Error> for CliError {
    fn from(error: crate::kernel::Error) -> Self {
        Self::Program(error.into())
    }
}
