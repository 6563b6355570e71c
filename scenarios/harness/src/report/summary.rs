//! The last line of a run.

use std::io::{self, Write};

use serde::Serialize;

use crate::describe::counted;
use crate::runner::Status;

use super::style::{BAD, GOOD, Styled};

/// How many scenarios came to what.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Summary {
    passed: usize,
    skipped: usize,
    different: usize,
    failed: usize,
}

impl Summary {
    /// Counts one scenario.
    pub fn add(&mut self, status: Status) {
        match status {
            Status::Passed => self.passed += 1,
            Status::Skipped => self.skipped += 1,
            Status::Different => self.different += 1,
            Status::Failed => self.failed += 1,
        }
    }

    /// The worst that happened.
    pub fn worst(&self) -> Status {
        match self {
            Self { failed: 1.., .. } => Status::Failed,
            Self { different: 1.., .. } => Status::Different,
            Self { skipped: 1.., .. } => Status::Skipped,
            _ => Status::Passed,
        }
    }

    /// A line for a person.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let total = self.passed + self.skipped + self.different + self.failed;
        let style = if self.worst() <= Status::Skipped {
            GOOD
        } else {
            BAD
        };
        let mut parts = vec![format!("{} as expected and equal", self.passed)];
        parts.extend((self.skipped > 0).then(|| format!("{} skipped", self.skipped)));
        parts.extend((self.different > 0).then(|| format!("{} with differences", self.different)));
        parts.extend((self.failed > 0).then(|| format!("{} could not be run", self.failed)));
        let scenarios = counted(total, "scenario", "scenarios");
        let head = Styled(style, format_args!("{scenarios}:"));
        writeln!(out, "{head} {}", parts.join(", "))
    }

    /// A JSON object on a line.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let line = std::collections::BTreeMap::from([("summary", self)]);
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)
    }
}
