//! Running other programs.

use std::io;
use std::process::{Command, Output};

/// A program that did not run, or did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{command} did not run: {source}")]
    NotRun { command: String, source: io::Error },

    #[error("{command} failed: {detail}")]
    Failed { command: String, detail: String },
}

/// Runs a command that prints to where this process does.
pub fn run(command: &mut Command) -> Result<(), Error> {
    let status = command.status().map_err(not_run(command))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        command: name(command),
        detail: status.to_string(),
    })
}

/// What a command writes to its standard output.
pub fn output(command: &mut Command) -> Result<Vec<u8>, Error> {
    let output = outcome(command)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::Failed {
        command: name(command),
        detail: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// What a command writes, whatever its exit code.
pub fn outcome(command: &mut Command) -> Result<Output, Error> {
    command.output().map_err(not_run(command))
}

/// Says of an I/O error which command could not be run.
pub fn not_run(command: &Command) -> impl FnOnce(io::Error) -> Error + use<> {
    let command = name(command);
    move |source| Error::NotRun { command, source }
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
