//! What would make two runs differ. A loader can set it; the verifier removes the other branch.
#![allow(unsafe_code, reason = "the clock and chance are helpers")]

use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_ktime_get_ns};
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

/// A number that nobody can foresee.
#[inline(always)]
pub fn random() -> u32 {
    match maps::random_state() {
        Some(state) => {
            // SplitMix64.
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = *state;
            let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ z >> 31) >> 32) as u32
        }
        // SAFETY: the helper takes no argument.
        None => unsafe { bpf_get_prandom_u32() },
    }
}
