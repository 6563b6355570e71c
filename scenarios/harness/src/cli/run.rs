//! `twinpath run`.

use std::io::{self, Write};
use std::path::Path;

use crate::arm::{Arm, kernel_usable};
use crate::emulated::Engine;
use crate::report::{self, ScenarioLine, Summary, TextOptions};
use crate::runner::{self, Outcome, Status};
use crate::scenario::{Case, Scenario, ScenarioError, Source};

use super::args::{BackendChoice, EngineChoice, RunArgs};
use super::error::CliError;
use super::files::scenario_files;
use super::{DIFFERENT, EQUAL, UNUSABLE, complain, print_scenario_error, width};

/// Runs the scenarios one after the other; one that cannot be used does not keep the others from running.
pub fn run(args: &RunArgs) -> Result<u8, CliError> {
    let files = scenario_files(&args.paths)?;
    let arms = arms(args)?;
    let mut summary = Summary::default();
    let mut out = io::BufWriter::new(anstream::stdout());
    for file in &files {
        match prepare(file) {
            Ok((scenario, case)) => {
                let outcome = runner::run(&case, &arms);
                print(&outcome, &scenario.source, args, &mut out)?;
                if let Some(folder) = &args.out {
                    report::write_captures(&outcome, folder)?;
                }
                summary.add(outcome.status());
            }
            Err(error) => {
                summary.add(Status::Failed);
                print_scenario_error(&error);
            }
        }
        out.flush()?;
    }
    if args.json {
        summary.write_json(&mut out)?;
    } else {
        summary.write_text(&mut out)?;
    }
    out.flush()?;
    Ok(match summary.worst() {
        Status::Passed => EQUAL,
        Status::Different => DIFFERENT,
        Status::Failed => UNUSABLE,
    })
}

fn prepare(file: &Path) -> Result<(Scenario, Case), ScenarioError> {
    let scenario = Scenario::read(file)?;
    let case = scenario.case()?;
    Ok((scenario, case))
}

fn print(
    outcome: &Outcome<'_>,
    source: &Source,
    args: &RunArgs,
    out: &mut impl Write,
) -> Result<(), CliError> {
    if args.json {
        let line = ScenarioLine::new(outcome, source);
        serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let options = TextOptions {
        width: width(),
        packets: args.packets,
    };
    report::write_text(out, outcome, source, options)?;
    Ok(())
}

/// The arms that the user asked for, or those that can be had.
fn arms(args: &RunArgs) -> Result<Vec<Arm>, CliError> {
    let emulator = Arm::Emulator(args.engine.into());
    let kernel = kernel_usable();
    match (args.backend, kernel) {
        (Some(BackendChoice::Emulator), _) => Ok(vec![emulator]),
        (Some(BackendChoice::Kernel), Ok(())) => Ok(vec![Arm::Kernel]),
        (Some(BackendChoice::Both) | None, Ok(())) => Ok(vec![emulator, Arm::Kernel]),
        (Some(_), Err(missing)) => Err(CliError::Kernel(missing)),
        (None, Err(missing)) => {
            complain(&format!("note: the kernel is left out: {missing}"));
            Ok(vec![emulator])
        }
    }
}

impl From<EngineChoice> for Engine {
    fn from(choice: EngineChoice) -> Self {
        match choice {
            EngineChoice::Checked => Self::Checked,
            EngineChoice::Rbpf => Self::Rbpf,
        }
    }
}
