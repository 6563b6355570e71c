//! The command `twinpath`.

mod args;
mod clean;
mod error;
mod files;
mod inspect;
mod object;
mod progress;
mod replay;
mod run;
mod screen;
mod show;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

pub use args::Cli;
use args::Command;
pub use error::CliError;
pub use files::scenario_files;

use crate::scenario::{self, ScenarioError};

/// Exit status when all is as expected and equal.
const EQUAL: u8 = 0;
/// Exit status when something differs.
const DIFFERENT: u8 = 1;
/// Exit status when the command was used wrongly, or its input cannot be used.
const UNUSABLE: u8 = 2;

/// Columns of a line when nobody's terminal says otherwise.
const DEFAULT_WIDTH: usize = 100;

/// Does what the command line says. Errors go to standard error.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Replay(args) => replay::replay(args),
        Command::Inspect(args) => inspect::inspect(args),
        Command::Show(args) => show::show(args),
        Command::Clean => clean::clean(),
        Command::Schema => print_schema(),
    };
    ExitCode::from(match result {
        Ok(status) => status,
        Err(error) if error.is_broken_pipe() => EQUAL,
        Err(error) => {
            print_error(&error);
            UNUSABLE
        }
    })
}

fn print_schema() -> Result<u8, CliError> {
    anstream::stdout().write_all(scenario::schema().as_bytes())?;
    Ok(EQUAL)
}

fn print_error(error: &CliError) {
    match error {
        CliError::Scenario(error) => print_scenario_error(error),
        other => {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            complain(&format!("{red}error{red:#}: {other}"));
        }
    }
}

fn print_scenario_error(error: &ScenarioError) {
    complain(&error.styled(width()));
}

fn complain(text: &str) {
    // When standard error takes nothing, there is nobody left to tell.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Columns of the terminal.
fn width() -> usize {
    terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(terminal_size::Width(columns), _)| {
        columns.into()
    })
}
