//! The scenario suite behind `cargo test`: each scenario file on each arm, and the arms against each other.
//!
//! Names come from paths alone, so that listing and `--exact` open no file:
//! `suite/service/tcp4.toml` gives `suite::service::tcp4::emulator`, `...::rbpf`, `...::kernel` and
//! `...::diff`.
//!
//! ```
//! let arguments = libtest_mimic::Arguments::from_iter(["suite", "--skip", "kernel", "--skip", "diff"]);
//! let trials = twinpath_suite::trials(&arguments);
//! assert!(trials.iter().all(|trial| trial.name().starts_with("suite::")));
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use twinpath::arm::{Arm, kernel_usable};
use twinpath::cli::scenario_files;
use twinpath::diff::Leeway;
use twinpath::emulated::Engine;
use twinpath::report::{self, TextOptions};
use twinpath::runner::{self, Run, Status};
use twinpath::scenario::{self, Case, Scenario};

/// Set to `require`, a kernel that cannot be used is a failure and not a reason to ignore tests.
const KERNEL_VARIABLE: &str = "TWINPATH_KERNEL";

/// Columns of a failure's text.
const WIDTH: usize = 120;

/// What a test does with its scenario.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Single(Arm),
    Diff,
}

/// A scenario file and what to do with it.
#[derive(Debug, Clone)]
struct Test {
    file: PathBuf,
    kind: Kind,
    runs: Arc<Runs>,
}

/// The runs of a scenario, one for each arm: what a test has run is there for the others of the same process.
#[derive(Debug, Default)]
struct Runs([OnceLock<Arc<Run>>; Arm::ALL.len()]);

/// Whether tests can use the kernel.
#[derive(Debug, Clone)]
enum Kernel {
    Usable,
    /// What is missing, and whether that is a failure.
    Missing {
        what: Arc<str>,
        required: bool,
    },
}

/// A test for each scenario and arm. Nothing is read but the folders' names, and the kernel is only tried
/// out when a test that the arguments leave in needs it.
pub fn trials(arguments: &Arguments) -> Vec<Trial> {
    let files = match scenario_files(&[folder()]) {
        Ok(files) => files,
        Err(error) => {
            return vec![Trial::test("suite::files", move || {
                Err(error.to_string().into())
            })];
        }
    };
    let tests: Vec<Test> = files
        .iter()
        .flat_map(|file| {
            let runs = Arc::new(Runs::default());
            Kind::ALL.map(|kind| Test {
                file: file.clone(),
                kind,
                runs: Arc::clone(&runs),
            })
        })
        .collect();
    // Seen as ignored, so that `--ignored` does not leave it out.
    let unknown = Kernel::Missing {
        what: "".into(),
        required: false,
    };
    let left_in = |test: &Test| !arguments.is_filtered_out(&test.clone().trial(&unknown));
    let wanted = tests
        .iter()
        .any(|test| test.kind.needs_kernel() && left_in(test));
    let kernel = if wanted {
        Kernel::probe()
    } else {
        Kernel::Usable
    };
    if let Kernel::Missing {
        what,
        required: false,
    } = &kernel
    {
        note(what);
    }
    tests.into_iter().map(|test| test.trial(&kernel)).collect()
}

/// Where the scenarios are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("suite")
}

#[expect(
    clippy::print_stderr,
    reason = "libtest has no place for the reason why tests are ignored"
)]
fn note(missing: &str) {
    eprintln!("note: tests that need the kernel are ignored: {missing}");
}

impl Test {
    fn trial(self, kernel: &Kernel) -> Trial {
        let name = format!(
            "suite::{}::{}",
            scenario::name(&self.file),
            self.kind.name()
        );
        match kernel {
            Kernel::Missing { what, required } if self.kind.needs_kernel() => {
                let what = Arc::clone(what);
                let failed = move || Err(format!("the kernel cannot be used: {what}").into());
                Trial::test(name, failed).with_ignored_flag(!required)
            }
            _ => Trial::ignorable_test(name, move || self.run()),
        }
    }

    fn run(&self) -> Result<Completion, Failed> {
        let scenario = Scenario::read(&self.file)?;
        let case = Arc::new(scenario.case()?);
        let leeway = Leeway::of(&case.plan);
        let outcome = runner::outcome(Arc::clone(&case), self.kind.arms(), &leeway, |arm| {
            self.runs.get(&case, arm)
        });
        let mut recordings = outcome
            .runs
            .iter()
            .filter_map(|run| run.result.as_ref().ok());
        // A warning is nobody's expectation, and all programs of the suite are ours.
        let warns = recordings.any(|recording| !recording.warnings.is_empty());
        let skipped = outcome.skipped.first();
        match (outcome.status(), skipped) {
            (Status::Passed, _) if !warns => return Ok(Completion::Completed),
            (Status::Skipped, Some(reason)) => return Ok(Completion::ignored_with(reason)),
            _ => {}
        }
        let options = TextOptions {
            width: WIDTH,
            packets: false,
        };
        Err(report::plain(&outcome, &scenario.source, options).into())
    }
}

impl Runs {
    fn get(&self, case: &Case, arm: Arm) -> Arc<Run> {
        let place = Arm::ALL.iter().position(|other| *other == arm);
        let place = place.and_then(|place| self.0.get(place));
        let run = || Arc::new(Run::of(case, arm));
        place.map_or_else(run, |place| Arc::clone(place.get_or_init(run)))
    }
}

impl Kind {
    const ALL: [Self; 4] = [
        Self::Single(Arm::Emulator(Engine::Checked)),
        Self::Single(Arm::Emulator(Engine::Rbpf)),
        Self::Single(Arm::Kernel),
        Self::Diff,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Single(arm) => arm.name(),
            Self::Diff => "diff",
        }
    }

    fn arms(&self) -> &[Arm] {
        match self {
            Self::Single(arm) => std::slice::from_ref(arm),
            Self::Diff => &Arm::ALL,
        }
    }

    fn needs_kernel(&self) -> bool {
        self.arms().contains(&Arm::Kernel)
    }
}

impl Kernel {
    fn probe() -> Self {
        match kernel_usable() {
            Ok(()) => Self::Usable,
            Err(missing) => Self::Missing {
                what: missing.to_string().into(),
                required: std::env::var_os(KERNEL_VARIABLE).is_some_and(|value| value == "require"),
            },
        }
    }
}
