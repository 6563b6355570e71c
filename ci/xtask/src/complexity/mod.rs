//! `cargo xtask complexity`: what the programs cost the kernels that load them, in `datapath/COMPLEXITY.md`.
//!
//! Kernels are asked with `twinpath inspect --kernel`, twice: with the objects as they are compiled, and with
//! everything switched on that a loader can switch on, as the verifier leaves out what is off. `cargo xtask vm` asks in
//! the VMs that it boots for the suite and keeps the answers, so that the check need not boot them again.

mod compare;
mod error;
mod measure;
mod sheet;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::io_error::IoError;
use crate::paths;
use crate::vm::{Binaries, Machines};
use compare::Figures;
pub use error::Error;
pub use measure::Questions;
use sheet::Sheet;

/// Write into datapath/COMPLEXITY.md what the programs cost the kernels that load them
#[derive(Args)]
pub struct Complexity {
    /// Change nothing: fail if a program is missing from the file, or if a figure of it other than a time has grown by
    /// more than a tenth
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    machines: Machines,
}

/// Writes the file, or checks it.
pub fn run(arguments: &Complexity) -> Result<ExitCode, Error> {
    let kernels = arguments.machines.find()?;
    let questions = Questions::about(&paths::objects())?;
    let binaries = Binaries::build()?;
    let mut answers = Vec::new();
    for kernel in &kernels {
        answers.push(questions.there(&arguments.machines, kernel, &binaries)?);
    }
    answers.push(questions.here(&binaries)?);
    answers.sort_by_key(|answer| kernel_order(&answer.kernel));
    let sheets = Sheet::all(&answers)?;
    let path = file();
    if arguments.check {
        let text = fs::read_to_string(&path).map_err(IoError::on("read", &path))?;
        let recorded = Figures::parse(&text)?;
        return compare::check(&recorded, &Figures::of(&sheets)).map(|()| ExitCode::SUCCESS);
    }
    fs::write(&path, sheet::page(&sheets)).map_err(IoError::on("write", &path))?;
    Ok(ExitCode::SUCCESS)
}

fn file() -> PathBuf {
    paths::datapath().join("COMPLEXITY.md")
}

/// Older kernels first: 6.1 comes before 6.12.
fn kernel_order(series: &str) -> Vec<u32> {
    let numbers = series.split('.');
    numbers.map(|number| number.parse().unwrap_or(0)).collect()
}
