//! The ways to run a plan.

use std::fmt;

use crate::backend::Backend;
use crate::batch;
use crate::emulated::{EmulatedBackend, Engine, Variant};
use crate::plan::Plan;
use crate::recording::Recording;
use crate::scenario::Case;

/// A backend, and of the emulator its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arm {
    /// User space.
    Emulator(Engine),
    /// The running kernel.
    Kernel,
}

/// Why a backend could not run a plan.
pub type ArmError = Box<dyn std::error::Error + Send + Sync>;

impl Arm {
    /// Both engines and the kernel.
    pub const ALL: [Self; 3] = [
        Self::Emulator(Engine::Checked),
        Self::Emulator(Engine::Rbpf),
        Self::Kernel,
    ];

    /// `emulator`, `rbpf` or `kernel`. The checked engine is the emulator's own, so it needs no name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Emulator(Engine::Checked) => "emulator",
            Self::Emulator(Engine::Rbpf) => "rbpf",
            Self::Kernel => "kernel",
        }
    }

    /// Runs a plan from loading to tear-down.
    ///
    /// # Errors
    /// When the backend cannot set the plan up.
    pub fn run(self, plan: &Plan) -> Result<Recording, ArmError> {
        self.record(plan, false)
    }

    /// Runs the plan of a case, in batches if it says so.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn run_case(self, case: &Case) -> Result<Recording, ArmError> {
        let mut recording = self.record(&case.plan, case.batch)?;
        if case.batch {
            batch::gather_events(&case.plan, &mut recording);
        }
        Ok(recording)
    }

    /// Runs the plan of a case in the emulator, with other of what Linux leaves to chance; none for the kernel.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub(crate) fn run_varied(
        self,
        case: &Case,
        variant: Variant,
    ) -> Result<Option<Recording>, ArmError> {
        let Self::Emulator(engine) = self else {
            return Ok(None);
        };
        let mut backend = EmulatedBackend::new(engine).varied(variant);
        let mut recording = backend.run(&case.plan)?;
        recording.date(&case.plan);
        if case.batch {
            batch::gather_events(&case.plan, &mut recording);
        }
        Ok(Some(recording))
    }

    fn record(self, plan: &Plan, batch: bool) -> Result<Recording, ArmError> {
        let mut recording = match self {
            Self::Emulator(engine) => EmulatedBackend::new(engine).run(plan)?,
            Self::Kernel => run_in_kernel(plan, batch)?,
        };
        recording.date(plan);
        Ok(recording)
    }
}

/// What keeps this process from running plans in the kernel, if anything does.
///
/// # Errors
/// With all that is missing.
pub fn kernel_usable() -> Result<(), KernelMissing> {
    let missing = missing();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(KernelMissing(missing))
    }
}

/// A kind of device that a plan has and the running kernel has not, by the kernel's name for it.
#[cfg(target_os = "linux")]
pub(crate) fn missing_device(plan: &Plan) -> Option<&'static str> {
    crate::kernel::missing_device(plan)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn missing_device(_plan: &Plan) -> Option<&'static str> {
    None
}

#[cfg(target_os = "linux")]
fn run_in_kernel(plan: &Plan, batch: bool) -> Result<Recording, ArmError> {
    let mut kernel = crate::kernel::KernelBackend::default().batch(batch);
    Ok(kernel.run(plan)?)
}

#[cfg(target_os = "linux")]
fn missing() -> Vec<String> {
    let missing = crate::kernel::missing();
    missing.iter().map(ToString::to_string).collect()
}

#[cfg(not(target_os = "linux"))]
fn run_in_kernel(_plan: &Plan, _batch: bool) -> Result<Recording, ArmError> {
    Err(KernelMissing(missing()).into())
}

#[cfg(not(target_os = "linux"))]
fn missing() -> Vec<String> {
    vec!["Linux".to_owned()]
}

/// What this process lacks to run plans in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("missing {}", .0.join(", "))]
pub struct KernelMissing(Vec<String>);

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
