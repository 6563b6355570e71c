//! The scenario suite behind `cargo test`: each scenario file on each arm, and the arms against each other.
//!
//! Names come from paths alone, so that listing and `--exact` open no file:
//! `suite/service/tcp4.toml` gives `suite::service::tcp4::emulator`, `...::rbpf`, `...::kernel` and
//! `...::diff`.
//!
//! ```
//! let names: Vec<String> = twinpath_suite::trials().iter().map(|trial| trial.name().to_owned()).collect();
//! assert!(names.iter().all(|name| name.starts_with("suite::")));
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use twinpath::arm::{Arm, kernel_usable};
use twinpath::cli::scenario_files;
use twinpath::emulated::Engine;
use twinpath::report::{self, TextOptions};
use twinpath::runner::{self, Status};
use twinpath::scenario::{self, Scenario};

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

/// A test for each scenario and arm. Nothing is read but the folders' names.
pub fn trials() -> Vec<Trial> {
    let kernel = Kernel::probe();
    if let Kernel::Missing {
        what,
        required: false,
    } = &kernel
    {
        note(what);
    }
    match scenario_files(&[folder()]) {
        Ok(files) => files
            .iter()
            .flat_map(|file| Kind::ALL.map(|kind| trial(file, kind, &kernel)))
            .collect(),
        Err(error) => vec![Trial::test("suite::files", move || {
            Err(error.to_string().into())
        })],
    }
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

fn trial(file: &Path, kind: Kind, kernel: &Kernel) -> Trial {
    let name = format!("suite::{}::{}", scenario::name(file), kind.name());
    let file = file.to_owned();
    match kernel {
        Kernel::Missing { what, required } if kind.needs_kernel() => {
            let what = Arc::clone(what);
            Trial::test(name, move || {
                Err(format!("the kernel cannot be used: {what}").into())
            })
            .with_ignored_flag(!required)
        }
        _ => Trial::test(name, move || run(&file, kind)),
    }
}

fn run(file: &Path, kind: Kind) -> Result<(), Failed> {
    let scenario = Scenario::read(file)?;
    let case = scenario.case()?;
    let outcome = runner::run(&case, kind.arms());
    if outcome.status() == Status::Passed {
        return Ok(());
    }
    let options = TextOptions {
        width: WIDTH,
        packets: false,
    };
    Err(report::plain(&outcome, &scenario.source, options).into())
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
