//! The suite on several kernels, as a table: a line a scenario, a column a kernel.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore tells what it does"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::iter;
use std::panic;
use std::process::{Command, ExitCode};
use std::thread;

use serde::Deserialize;

use super::Machines;
use super::error::Error;
use super::image::Binaries;
use super::kernel::Kernel;
use super::machine::Streams;
use crate::complexity::Questions;
use crate::process;

/// One at a time: a VM has one processor, on which two would only make each other late.
const SUITE: [&str; 5] = ["run", "--json", "--jobs", "1", "scenarios/suite"];

/// What is read of a line of `twinpath run --json`; the last line is a summary and has no scenario.
#[derive(Deserialize)]
struct Line {
    scenario: Option<String>,
    status: Option<String>,
}

/// How each scenario went on one kernel.
struct Column {
    kernel: String,
    statuses: BTreeMap<String, String>,
    code: u8,
}

/// Runs the suite on this kernel, then on all the others at once.
pub fn run(
    machines: &Machines,
    kernels: &[Kernel],
    binaries: &Binaries,
) -> Result<ExitCode, Error> {
    let mut columns = vec![here(binaries)?];
    columns.extend(at_once(kernels, |kernel| {
        there(machines, kernel, binaries)
    })?);
    print!("{}", table(&columns));
    let worst = columns.iter().map(|column| column.code).max();
    Ok(ExitCode::from(worst.unwrap_or_default()))
}

/// A VM keeps hardly more than one processor busy.
fn at_once(
    kernels: &[Kernel],
    run: impl Fn(&Kernel) -> Result<Column, Error> + Sync,
) -> Result<Vec<Column>, Error> {
    thread::scope(|scope| {
        let kernels = kernels.iter();
        let runs: Vec<_> = kernels.map(|kernel| scope.spawn(|| run(kernel))).collect();
        let columns = runs.into_iter().map(|run| run.join());
        columns
            .map(|column| column.unwrap_or_else(|panic| panic::resume_unwind(panic)))
            .collect()
    })
}

fn here(binaries: &Binaries) -> Result<Column, Error> {
    let mut twinpath = Command::new(&binaries.twinpath);
    twinpath.current_dir(crate::paths::root()).args(SUITE);
    let output = process::outcome(&mut twinpath)?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    let code = output
        .status
        .code()
        .and_then(|code| u8::try_from(code).ok());
    column(
        super::series_here(),
        &output.stdout,
        code.unwrap_or(u8::MAX),
    )
}

fn there(machines: &Machines, kernel: &Kernel, binaries: &Binaries) -> Result<Column, Error> {
    let questions = Questions::about(&crate::paths::objects());
    let suite = SUITE.map(OsString::from).into();
    let asked = questions.iter().flat_map(Questions::commands);
    let commands: Vec<_> = iter::once(suite).chain(asked).collect();
    let mut stdout = Vec::new();
    let streams = Streams {
        stdout: &mut stdout,
        stderr: &mut io::stderr(),
    };
    let code = machines.boot(kernel, binaries, &commands, None, streams)?;
    // Whoever needs the answers asks again if there are none.
    if let Ok(questions) = questions {
        let _ = questions.keep(&kernel.name, &stdout);
    }
    column(kernel.name.clone(), &stdout, code)
}

fn column(kernel: String, report: &[u8], code: u8) -> Result<Column, Error> {
    let report = String::from_utf8_lossy(report);
    let mut statuses = BTreeMap::new();
    for (number, line) in report.lines().enumerate() {
        let line: Line = serde_json::from_str(line).map_err(|source| Error::BadReport {
            kernel: kernel.clone(),
            line: number + 1,
            source,
        })?;
        if let (Some(scenario), Some(status)) = (line.scenario, line.status) {
            statuses.insert(scenario, status);
        }
    }
    Ok(Column {
        kernel,
        statuses,
        code,
    })
}

/// A scenario that a kernel did not report is a dash.
fn table(columns: &[Column]) -> String {
    let mut scenarios: Vec<_> = columns
        .iter()
        .flat_map(|column| column.statuses.keys())
        .collect();
    scenarios.sort();
    scenarios.dedup();
    let width = scenarios
        .iter()
        .map(|name| name.len())
        .max()
        .unwrap_or_default();
    let mut text = format!("{:width$}", "");
    for column in columns {
        text += &format!("  {:<16}", column.kernel);
    }
    for scenario in scenarios {
        text += &format!("\n{scenario:width$}");
        for column in columns {
            let status = column.statuses.get(scenario).map_or("-", String::as_str);
            text += &format!("  {status:<16}");
        }
    }
    let lines = text.lines().map(str::trim_end);
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scenario_has_a_line_and_each_kernel_a_column() {
        let old = br#"{"scenario":"service::tcp4","status":"skipped"}
{"summary":{"passed":0}}"#;
        let new = br#"{"scenario":"service::tcp4","status":"passed"}
{"scenario":"service::vlan","status":"passed"}"#;
        let columns = [
            column("6.1".to_owned(), old, 0).expect("a report"),
            column("6.12".to_owned(), new, 0).expect("a report"),
        ];
        let expected = [
            "               6.1               6.12",
            "service::tcp4  skipped           passed",
            "service::vlan  -                 passed",
        ];
        assert_eq!(table(&columns).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_report_is_named() {
        let error = column("6.1".to_owned(), b"{}\nKernel panic", 0)
            .err()
            .expect("no report");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
