//! The seam between a plan and what runs it.

use crate::plan::Plan;
use crate::recording::Recording;

/// Something that can run a plan.
pub trait Backend {
    /// What can go wrong apart from the outcome of the scenario itself.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Runs the plan from loading to tear-down.
    ///
    /// # Errors
    /// When the plan cannot be set up: an object does not load, a device cannot be made.
    /// A packet that is dropped, and even one that makes a program fault, is part of the recording.
    fn run(&mut self, plan: &Plan) -> Result<Recording, Self::Error>;
}
