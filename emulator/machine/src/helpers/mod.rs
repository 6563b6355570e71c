//! Helper functions: their numbers, how they are called, and those that need no network.
//!
//! A helper gets a [`Call`]: five arguments, and the machine. It reads and writes guest memory through
//! it, so that every byte is checked and a fault names the helper and the argument. Helpers that need
//! a packet, a socket or a device belong to the [`Environment`](crate::Environment).

mod call;
mod general;
mod id;
mod map;

pub use call::Call;
pub use id::HelperId;

use crate::memory::Checked;

/// Runs a helper of the machine; none when the machine has no helper of that number.
pub(crate) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    map::call(call).or_else(|| general::call(call))
}

/// Whether the machine itself has this helper.
pub fn provides(helper: HelperId) -> bool {
    map::HELPERS.contains(&helper) || general::HELPERS.contains(&helper) || ENGINE.contains(&helper)
}

/// Helpers that change the flow of control, which each engine does itself.
const ENGINE: &[HelperId] = &[HelperId::TAIL_CALL];
