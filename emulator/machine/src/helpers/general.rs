//! Helpers that need neither a map nor a packet: time, randomness, the CPU.

use super::{Call, HelperId};
use crate::memory::Checked;

/// The helpers of this module.
pub(super) const HELPERS: &[HelperId] = &[
    HelperId::KTIME_GET_NS,
    HelperId::KTIME_GET_BOOT_NS,
    HelperId::KTIME_GET_COARSE_NS,
    HelperId::KTIME_GET_TAI_NS,
    HelperId::JIFFIES64,
    HelperId::GET_PRANDOM_U32,
    HelperId::GET_SMP_PROCESSOR_ID,
    HelperId::GET_NUMA_NODE_ID,
];

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    let clock = &call.machine.clock;
    Some(Ok(match call.helper {
        HelperId::KTIME_GET_NS => clock.monotonic_ns(),
        HelperId::KTIME_GET_BOOT_NS => clock.boot_ns(),
        HelperId::KTIME_GET_COARSE_NS => clock.coarse_ns(),
        HelperId::KTIME_GET_TAI_NS => clock.tai_ns(),
        HelperId::JIFFIES64 => clock.jiffies(),
        HelperId::GET_PRANDOM_U32 => u64::from(call.machine.random.next_u32()),
        HelperId::GET_SMP_PROCESSOR_ID => u64::from(call.cpu.0),
        // All CPUs are on one node.
        HelperId::GET_NUMA_NODE_ID => 0,
        _ => return None,
    }))
}
