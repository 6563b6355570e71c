//! How far something that takes long has come.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Nothing is shown before; most commands are over by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the bar is drawn anew.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    /// Bytes of a file; of a stream, nobody knows how many there will be.
    Bytes(Option<u64>),
    /// Scenarios.
    Scenarios(u64),
}

/// A bar on standard error, if that is a terminal and the work takes long.
pub struct Progress {
    bar: Option<ProgressBar>,
    next: Instant,
    unit: Unit,
}

impl Progress {
    /// A bar that does not show yet.
    pub fn new(unit: Unit) -> Self {
        Self {
            bar: None,
            next: Instant::now() + PATIENCE,
            unit,
        }
    }

    /// Shows how much is done, from time to time; true when it did.
    pub fn show(&mut self, done: u64) -> bool {
        let now = Instant::now();
        if now < self.next {
            return false;
        }
        self.next = now + INTERVAL;
        let unit = self.unit;
        let bar = self.bar.get_or_insert_with(|| bar(unit));
        bar.set_position(done);
        bar.tick();
        true
    }

    /// Does something that may write to the terminal, with the bar out of its way.
    pub fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(act),
            None => act(),
        }
    }
}

impl Drop for Progress {
    /// Takes the bar away, so that it does not stand in front of an error.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(unit: Unit) -> ProgressBar {
    // As wide as the terminal, so that no line is longer than it.
    let (bar, template) = match unit {
        Unit::Bytes(Some(total)) => (
            ProgressBar::new(total),
            "{wide_bar} {bytes}/{total_bytes} {eta}",
        ),
        Unit::Bytes(None) => (ProgressBar::new_spinner(), "{spinner} {bytes}"),
        Unit::Scenarios(total) => (ProgressBar::new(total), "{wide_bar} {pos}/{len} {eta}"),
    };
    // A template that does not parse leaves the bar as it is.
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
