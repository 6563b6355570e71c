//! What a loader sets before the kernel verifies the programs.

/// Names of the global constants which a loader may override, each a `u32` in `.rodata`.
///
/// The verifier knows their values, so it removes the code that they switch off.
pub mod global {
    /// Not 0: `now()` reads [`map::SEAMS`](crate::map::SEAMS) instead of the kernel's clock.
    pub const SEAM_NOW: &str = "SEAM_NOW";
    /// The seed of the flow hash, which picks a service's backend and is shown in events.
    pub const HASH_SEED: &str = "HASH_SEED";

    /// The value of [`HASH_SEED`] in an object that no loader changed (Cilium's
    /// `HASH_INIT4_SEED`).
    pub const HASH_SEED_DEFAULT: u32 = 0xcafe;
}

/// Index of a value in [`map::SEAMS`](crate::map::SEAMS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Seam {
    /// The time that `now()` returns, in nanoseconds of `CLOCK_MONOTONIC`.
    Now = 0,
}

impl Seam {
    /// How many seams there are.
    pub const COUNT: usize = 1;
}
