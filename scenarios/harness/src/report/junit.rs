//! Outcomes as a JUnit report.

use std::path::Path;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use twinpath_pcaps::{AtomicFile, WriteError};

use crate::runner::Status;

/// The scenarios of a run, a test case each; the topic is its class.
pub struct Junit {
    file: AtomicFile,
    suite: TestSuite,
}

impl Junit {
    /// A report without a scenario, which is to be in a file.
    ///
    /// # Errors
    /// When there can be no such file.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        Ok(Self {
            file: AtomicFile::create(path)?,
            suite: TestSuite::new("twinpath"),
        })
    }

    /// Adds a scenario by its name, with what was told of it below a first line that only names it.
    pub fn add(&mut self, name: &str, status: Status, took: Duration, told: &str) {
        let status = match status {
            Status::Passed => TestCaseStatus::success(),
            Status::Skipped => skipped(told),
            Status::Different => failure(NonSuccessKind::Failure, told),
            Status::Failed => failure(NonSuccessKind::Error, told),
        };
        let (class, name) = name.rsplit_once("::").unwrap_or(("", name));
        let mut case = TestCase::new(name, status);
        case.set_classname(class).set_time(took);
        self.suite.add_test_case(case);
    }

    /// Writes the report: whole, or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<(), WriteError> {
        let mut file = self.file;
        let mut report = Report::new("twinpath");
        report.add_test_suite(self.suite);
        report
            .serialize(&mut file)
            .map_err(|error| WriteError::Encode(error.to_string()))?;
        file.commit()
    }
}

fn skipped(told: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason(told));
    status
}

/// The whole text, and of it the line that says what is wrong.
fn failure(kind: NonSuccessKind, told: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(reason(told)).set_description(told);
    status
}

fn reason(told: &str) -> &str {
    told.lines().nth(1).unwrap_or_default().trim()
}
