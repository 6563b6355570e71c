//! `twinpath show`.

use std::io::Write;

use super::EQUAL;
use super::args::ShowArgs;
use super::error::CliError;
use crate::scenario::Scenario;
use crate::show;

/// Draws the network of a scenario.
pub fn show(args: &ShowArgs) -> Result<u8, CliError> {
    let plan = Scenario::read(&args.scenario)?.case()?.plan;
    match &args.svg {
        Some(file) => std::fs::write(file, show::svg(&plan)).map_err(|error| {
            CliError::Input(format!("failed to write {}: {error}", file.display()))
        })?,
        None => anstream::stdout().write_all(show::text(&plan).as_bytes())?,
    }
    Ok(EQUAL)
}
