//! Loads an object into this kernel: the verifier has the last word.
#![allow(clippy::print_stdout, reason = "a chore tells what it does")]

use aya::programs::{Program, ProgramError, ProgramInfo};
use aya::{Ebpf, EbpfError};

use crate::error::Error;
use crate::smoke;

/// How much of the verifier's log is shown: the end says what it refused.
const LOG_LINES: usize = 40;

/// Loads every program of an object and runs the smoke test. Without root there is nothing to do,
/// unless `TWINPATH_KERNEL=require` says that it must be done.
pub fn check(object: &str, bytes: &[u8]) -> Result<(), Error> {
    if !nix::unistd::geteuid().is_root() {
        if std::env::var_os("TWINPATH_KERNEL").is_some_and(|value| value == "require") {
            return Err(Error::NeedsRoot);
        }
        println!("{object}: not loaded, as that needs root");
        return Ok(());
    }
    let mut ebpf = Ebpf::load(bytes).map_err(|error| refused_object(object, &error))?;
    for (name, program) in ebpf.programs_mut() {
        let info = load(program).map_err(|error| refused(object, name, &error))?;
        println!(
            "{object}: the kernel takes {name} ({} bytes translated, {} instructions verified)",
            info.size_translated().unwrap_or_default(),
            info.verified_instruction_count().unwrap_or_default(),
        );
    }
    smoke::run(&mut ebpf)?;
    println!("{object}: smoke test passed");
    Ok(())
}

fn load(program: &mut Program) -> Result<ProgramInfo, ProgramError> {
    match program {
        Program::Xdp(program) => program.load()?,
        Program::SchedClassifier(program) => program.load()?,
        _ => return Err(ProgramError::UnexpectedProgramType),
    }
    program.info()
}

fn refused(object: &str, program: &str, error: &ProgramError) -> Error {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => Error::Refused {
            object: object.to_owned(),
            program: program.to_owned(),
            errno: io_error.to_string(),
            log: end(&verifier_log.to_string()),
        },
        other => Error::Load {
            object: object.to_owned(),
            detail: format!("program {program}: {}", chain(other)),
        },
    }
}

fn refused_object(object: &str, error: &EbpfError) -> Error {
    Error::Load {
        object: object.to_owned(),
        detail: chain(error),
    }
}

/// The last lines of a log.
fn end(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    let first = lines.len().saturating_sub(LOG_LINES);
    lines.get(first..).unwrap_or_default().join("\n")
}

/// An error and what caused it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += ": ";
        text += &error.to_string();
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_kept() {
        let log: String = (0..100).map(|line| format!("{line}\n")).collect();
        assert!(end(&log).starts_with("60\n"));
        assert!(end(&log).ends_with("\n99"));
        assert_eq!(end("short"), "short");
    }
}
