//! What would make two runs differ. A loader can set it; the verifier removes the other branch.
#![allow(unsafe_code, reason = "the clock is a helper")]

use aya_ebpf::helpers::bpf_ktime_get_ns;
use twinpath_abi::Seam;

use crate::maps;

/// The time in nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn now() -> u64 {
    match maps::seam(Seam::Now) {
        Some(now) => now,
        // SAFETY: the helper takes no argument and only reads the clock.
        None => unsafe { bpf_ktime_get_ns() },
    }
}

/// The same in seconds.
#[inline(always)]
pub fn seconds() -> u32 {
    (now() / 1_000_000_000) as u32
}
