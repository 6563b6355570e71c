//! `twinpath run`.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use crate::arm::{Arm, kernel_usable};
use crate::diff::Leeway;
use crate::emulated::Engine;
use crate::report::{self, Junit, ScenarioLine, Summary, TextOptions};
use crate::runner::{self, Outcome, Status};
use crate::scenario::{self, Case, Scenario, ScenarioError, Source};

use super::args::{BackendChoice, EngineChoice, RunArgs};
use super::error::CliError;
use super::files::scenario_files;
use super::progress::{Progress, Unit};
use super::screen::Screen;
use super::{DIFFERENT, EQUAL, UNUSABLE, complain, print_scenario_error, width};

/// Runs the scenarios one after the other; one that cannot be used does not keep the others from running.
pub fn run(args: &RunArgs) -> Result<u8, CliError> {
    let files = scenario_files(&args.paths)?;
    let arms = arms(args)?;
    let mut session = Session {
        args,
        arms,
        screen: Screen::new(args.out.is_some() || args.junit.is_some()),
        progress: Progress::new(Unit::Scenarios(files.len() as u64)),
        summary: Summary::default(),
        junit: args.junit.as_deref().map(Junit::create).transpose()?,
        annotates: std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
    };
    for (done, file) in (0..).zip(&files) {
        session.progress.show(done);
        session.scenario(file)?;
    }
    session.finish()
}

/// Scenarios that were run, and where what came of them goes.
struct Session<'a> {
    args: &'a RunArgs,
    arms: Vec<Arm>,
    screen: Screen,
    progress: Progress,
    summary: Summary,
    junit: Option<Junit>,
    /// Whether GitHub is told as well.
    annotates: bool,
}

impl Session<'_> {
    fn scenario(&mut self, file: &Path) -> Result<(), CliError> {
        let started = Instant::now();
        match prepare(file) {
            Ok((scenario, case)) => {
                let leeway = match self.args.strict {
                    true => Leeway::none(),
                    false => Leeway::of(&case.plan),
                };
                let outcome = runner::run_with(&case, &self.arms, &leeway);
                self.outcome(&outcome, &scenario.source, started)
            }
            Err(error) => {
                self.summary.add(Status::Failed);
                self.screen.flush(&self.progress)?;
                self.progress.aside(|| print_scenario_error(&error));
                if self.annotates {
                    self.progress
                        .aside(|| report::annotate_mistake(&mut anstream::stderr(), &error))?;
                }
                if let Some(junit) = &mut self.junit {
                    let name = scenario::name(file);
                    let told = format!("{name}\n{error}");
                    junit.add(&name, Status::Failed, started.elapsed(), &told);
                }
                Ok(())
            }
        }
    }

    fn outcome(
        &mut self,
        outcome: &Outcome<'_>,
        source: &Source,
        started: Instant,
    ) -> Result<(), CliError> {
        let options = TextOptions {
            width: width(),
            packets: self.args.packets,
        };
        let out = self.screen.writer();
        if self.args.json {
            let line = ScenarioLine::new(outcome, source);
            serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            report::write_text(out, outcome, source, options)?;
        }
        self.screen.flush(&self.progress)?;
        if self.annotates {
            self.progress
                .aside(|| report::annotate(&mut anstream::stderr(), outcome, source))?;
        }
        if let Some(folder) = &self.args.out {
            report::write_captures(outcome, folder)?;
        }
        let status = outcome.status();
        self.summary.add(status);
        if let Some(junit) = &mut self.junit {
            let told = match status {
                Status::Passed => String::new(),
                _ => report::plain(outcome, source, options),
            };
            junit.add(&outcome.case.plan.name, status, started.elapsed(), &told);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<u8, CliError> {
        let out = self.screen.writer();
        if self.args.json {
            self.summary.write_json(out)?;
        } else {
            self.summary.write_text(out)?;
        }
        self.screen.flush(&self.progress)?;
        if let Some(junit) = self.junit {
            junit.finish()?;
        }
        Ok(match self.summary.worst() {
            Status::Passed | Status::Skipped => EQUAL,
            Status::Different => DIFFERENT,
            Status::Failed => UNUSABLE,
        })
    }
}

fn prepare(file: &Path) -> Result<(Scenario, Case), ScenarioError> {
    let scenario = Scenario::read(file)?;
    let case = scenario.case()?;
    Ok((scenario, case))
}

/// The arms that the user asked for, or those that can be had.
fn arms(args: &RunArgs) -> Result<Vec<Arm>, CliError> {
    let emulator = Arm::Emulator(args.engine.unwrap_or_default().into());
    if args.backend == Some(BackendChoice::Kernel) && args.engine.is_some() {
        return Err(CliError::without_emulator("--engine"));
    }
    // Who wants no kernel gets none: it is not even asked what it can do.
    if args.backend == Some(BackendChoice::Emulator) {
        return Ok(vec![emulator]);
    }
    match (args.backend, kernel_usable()) {
        (Some(BackendChoice::Kernel), Ok(())) => Ok(vec![Arm::Kernel]),
        (_, Ok(())) => Ok(vec![emulator, Arm::Kernel]),
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
