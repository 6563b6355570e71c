//! `twinpath run`.

use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::arm::{Arm, kernel_usable};
use crate::batch::{self, NoBatch};
use crate::diff::Leeway;
use crate::emulated::Engine;
use crate::parallel;
use crate::report::{self, Junit, ScenarioLine, Summary, TextOptions};
use crate::runner::{self, Outcome, Status};
use crate::scenario::{self, Scenario, ScenarioError, Source};

use super::args::{BackendChoice, EngineChoice, RunArgs};
use super::error::CliError;
use super::files::scenario_files;
use super::progress::{Progress, Unit};
use super::screen::Screen;
use super::{DIFFERENT, EQUAL, UNUSABLE, complain, print_scenario_error, width};

/// Runs the scenarios, several at a time; one that cannot be used does not keep the others from running.
pub fn run(args: &RunArgs) -> Result<u8, CliError> {
    let files = scenario_files(&args.paths)?;
    let arms = arms(args)?;
    let mut session = Session {
        args,
        screen: Screen::new(args.out.is_some() || args.junit.is_some()),
        progress: Progress::new(Unit::Scenarios(files.len() as u64)),
        summary: Summary::default(),
        junit: args.junit.as_deref().map(Junit::create).transpose()?,
        annotates: std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
    };
    let jobs = args.jobs.unwrap_or_else(jobs);
    let mut done = 0;
    parallel::in_order(
        &files,
        jobs,
        |file| Played::of(file, &arms, args),
        |file, played| {
            session.tell(file, &played)?;
            done += 1;
            session.progress.show(done);
            Ok::<(), CliError>(())
        },
    )?;
    session.finish()
}

/// The kernel lets a run wait for as long as it works, for grace periods above all.
fn jobs() -> NonZero<usize> {
    const EACH: NonZero<usize> = NonZero::new(2).expect("not zero");
    thread::available_parallelism().map_or(EACH, |processors| processors.saturating_mul(EACH))
}

/// Why a scenario was not run.
enum Unusable {
    /// There is a mistake in it.
    Mistake(ScenarioError),
    /// It cannot be run in batches.
    Batch { name: String, error: NoBatch },
}

/// A scenario that was run.
struct Played {
    result: Result<(Arc<Source>, Outcome), Unusable>,
    took: Duration,
}

impl Played {
    fn of(file: &Path, arms: &[Arm], args: &RunArgs) -> Self {
        let started = Instant::now();
        let result = play(file, arms, args);
        let took = started.elapsed();
        Self { result, took }
    }
}

fn play(file: &Path, arms: &[Arm], args: &RunArgs) -> Result<(Arc<Source>, Outcome), Unusable> {
    let scenario = Scenario::read(file).map_err(Unusable::Mistake)?;
    let mut case = scenario.case().map_err(Unusable::Mistake)?;
    if args.batch {
        batch::gather(&mut case).map_err(|error| Unusable::Batch {
            name: case.plan.name.clone(),
            error,
        })?;
    }
    let leeway = match args.strict {
        true => Leeway::none(),
        false => Leeway::of(&case.plan),
    };
    let outcome = runner::run_with(case, arms, &leeway);
    Ok((scenario.source, outcome))
}

/// Scenarios that were run, and where what came of them goes.
struct Session<'a> {
    args: &'a RunArgs,
    screen: Screen,
    progress: Progress,
    summary: Summary,
    junit: Option<Junit>,
    /// Whether GitHub is told as well.
    annotates: bool,
}

impl Session<'_> {
    fn tell(&mut self, file: &Path, played: &Played) -> Result<(), CliError> {
        match &played.result {
            Ok((source, outcome)) => self.outcome(outcome, source, played.took),
            Err(Unusable::Batch { name, error }) => {
                let told = format!("{name}: failed to {error}");
                self.summary.add(Status::Failed);
                self.screen.flush(&self.progress)?;
                self.progress.aside(|| complain(&told));
                if let Some(junit) = &mut self.junit {
                    junit.add(name, Status::Failed, played.took, &told);
                }
                Ok(())
            }
            Err(Unusable::Mistake(error)) => {
                self.summary.add(Status::Failed);
                self.screen.flush(&self.progress)?;
                self.progress.aside(|| print_scenario_error(error));
                if self.annotates {
                    self.progress
                        .aside(|| report::annotate_mistake(&mut anstream::stderr(), error))?;
                }
                if let Some(junit) = &mut self.junit {
                    let name = scenario::name(file);
                    let told = format!("{name}\n{error}");
                    junit.add(&name, Status::Failed, played.took, &told);
                }
                Ok(())
            }
        }
    }

    fn outcome(
        &mut self,
        outcome: &Outcome,
        source: &Source,
        took: Duration,
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
            junit.add(&outcome.case.plan.name, status, took, &told);
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
