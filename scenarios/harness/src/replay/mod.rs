//! One program of any object over packets, one after another: no scenario, no topology.
//!
//! The emulator puts an XDP or tc program on a device where the packets arrive. A program of another type
//! that takes packets runs as `BPF_PROG_TEST_RUN` runs it (`net/bpf/test_run.c`), and so does every program
//! in the kernel, or next to it.

mod emulated;
mod globals;
#[cfg(target_os = "linux")]
mod kernel;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use twinpath_machine::ProgramType;

use crate::decode::Decoder;
use crate::diff::{self, Values};
use crate::emulated::EmulatedError;
use crate::frame;
use crate::recording::{Cost, End, Event, MapContents, MapRef};

pub use emulated::{DEVICE, Emulated, EmulatedOptions};
pub use globals::{GlobalError, global};
#[cfg(target_os = "linux")]
pub use kernel::with_kernel;
pub use verdict::{Verdict, takes_packets};

/// What to run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where the object was read from, for messages.
    pub path: PathBuf,
    /// The object file.
    pub bytes: Arc<[u8]>,
    /// The program's function name.
    pub program: String,
    /// Its type, one that [takes packets](takes_packets).
    pub kind: ProgramType,
    /// Values of global variables, by symbol.
    pub globals: BTreeMap<String, Vec<u8>>,
    /// Capacities of maps in place of those that the object gives.
    pub max_entries: BTreeMap<String, u32>,
}

/// What came of a packet.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What the program returned, or why it did not.
    pub result: Result<Verdict, Stop>,
    /// The packet afterwards, from the link-layer header on; none when the program did not run.
    pub bytes: Option<Vec<u8>>,
    /// What it cost, if that was counted.
    pub cost: Option<Cost>,
    /// Where the packet and its copies ended, if the program stands on a device.
    pub ends: Option<Vec<End>>,
    /// Records for user space.
    pub events: Vec<Event>,
    /// What may be missing, a sentence each.
    pub notices: Vec<String>,
}

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The program did what no verified program does.
    Fault(String),
    /// The packet was not given to the program.
    Refused(String),
}

/// Why there is no replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The emulator cannot be set up.
    #[error(transparent)]
    Emulator(#[from] EmulatedError),
    /// The emulator cannot go on.
    #[error("failed to run program `{program}`: {problem}")]
    Run {
        /// The program.
        program: String,
        /// Why not.
        problem: String,
    },
    /// The kernel refuses.
    #[cfg(target_os = "linux")]
    #[error("failed to {0}")]
    Kernel(#[from] crate::kernel::Error),
}

/// Runs a program over packets.
pub trait Replayer {
    /// Runs it over one; `at` is the time on the clock, where that can be set.
    ///
    /// # Errors
    /// When nothing more can be run. What is wrong with one packet is in its [`Ran`].
    fn packet(&mut self, at: Duration, bytes: &[u8]) -> Result<Ran, ReplayError>;

    /// The maps as they are now; those whose elements are no plain bytes are left out.
    ///
    /// # Errors
    /// When they cannot be read.
    fn maps(&self) -> Result<BTreeMap<MapRef, MapContents>, ReplayError>;
}

impl Ran {
    fn stopped(stop: Stop) -> Self {
        Self {
            result: Err(stop),
            bytes: None,
            cost: None,
            ends: None,
            events: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// What came out: what left or went up to the stack, or the packet itself if its verdict lets it on.
    pub fn out(&self) -> Vec<&[u8]> {
        match (&self.ends, &self.result, &self.bytes) {
            (Some(ends), ..) => ends.iter().filter_map(End::bytes).collect(),
            (None, Ok(verdict), Some(bytes)) => verdict.lets_on(bytes).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// In what two runs over the same packet differ. Each side's refusal has its own words.
    pub fn differences(&self, other: &Self, decoder: &Decoder) -> Vec<Values> {
        let mut values = match (&self.result, &other.result) {
            (Err(Stop::Refused(_)), Err(Stop::Refused(_))) => Vec::new(),
            (Ok(left), Ok(right)) if left == right => match (&self.bytes, &other.bytes) {
                (Some(left), Some(right)) => frame::differences(left, right),
                _ => Vec::new(),
            },
            (left, right) => Values::unequal("verdict", outcome(left), outcome(right))
                .into_iter()
                .collect(),
        };
        for difference in diff::events(&self.events, &other.events, decoder) {
            values.extend(difference.values.into_iter().map(|value| Values {
                name: format!("{}: {}", difference.place, value.name),
                ..value
            }));
        }
        values
    }

    /// The verdict, or why there is none.
    pub fn outcome(&self) -> String {
        outcome(&self.result)
    }
}

fn outcome(result: &Result<Verdict, Stop>) -> String {
    match result {
        Ok(verdict) => verdict.to_string(),
        Err(Stop::Fault(fault)) => format!("fault: {fault}"),
        Err(Stop::Refused(reason)) => format!("not run: {reason}"),
    }
}
