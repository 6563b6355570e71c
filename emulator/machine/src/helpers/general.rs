//! Helpers that need neither a map nor a packet: time, randomness, the CPU.

use super::{Call, HelperId};
use crate::memory::Checked;

/// The helpers of this module.
pub(super) const HELPERS: &[HelperId] = &[
    HelperId::KTIME_GET_NS,
    HelperId::GET_PRANDOM_U32,
    HelperId::GET_SMP_PROCESSOR_ID,
];

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    Some(Ok(match call.helper {
        HelperId::KTIME_GET_NS => call.machine.clock.monotonic_ns(),
        HelperId::GET_PRANDOM_U32 => u64::from(call.machine.random.next_u32()),
        HelperId::GET_SMP_PROCESSOR_ID => u64::from(call.cpu.0),
        _ => return None,
    }))
}
