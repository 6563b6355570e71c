//! The emulator as a backend.

use crate::backend::Backend;
use crate::plan::Plan;
use crate::recording::Recording;

/// What executes the programs' instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// Twinpath's own interpreter: checks every access and counts.
    Checked,
    /// The rbpf crate.
    Rbpf,
}

/// Runs plans in user space.
#[derive(Debug, Clone, Copy)]
pub struct EmulatedBackend {
    engine: Engine,
}

/// Why the emulator cannot run a plan.
#[derive(Debug, thiserror::Error)]
pub enum EmulatedError {
    /// Not there yet.
    #[error("no node yet for {0:?}")]
    Missing(Engine),
}

impl EmulatedBackend {
    /// A backend with an engine.
    pub const fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Backend for EmulatedBackend {
    type Error = EmulatedError;

    fn run(&mut self, _plan: &Plan) -> Result<Recording, EmulatedError> {
        Err(EmulatedError::Missing(self.engine))
    }
}
