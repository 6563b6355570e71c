//! How far a long replay has come.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use twinpath_pcaps::Capture;

/// Nothing is shown before; most replays are over by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the bar is drawn anew.
const INTERVAL: Duration = Duration::from_millis(100);

/// A bar on standard error, if that is a terminal and the replay takes long.
pub struct Progress {
    bar: Option<ProgressBar>,
    next: Instant,
    total: Option<u64>,
}

impl Progress {
    /// A bar that does not show yet.
    pub fn new(capture: &Capture) -> Self {
        Self {
            bar: None,
            next: Instant::now() + PATIENCE,
            total: capture.progress().total,
        }
    }

    /// Shows how much of the capture was read, from time to time.
    pub fn show(&mut self, capture: &Capture) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        let total = self.total;
        let bar = self.bar.get_or_insert_with(|| bar(total));
        bar.set_position(capture.progress().read);
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:40} {bytes}/{total_bytes}, {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} read"),
    };
    // A template that does not parse leaves the bar as it is.
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
