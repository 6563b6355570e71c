//! Addition that no other CPU interrupts. The compiler offers no atomic types for this machine.
#![allow(unsafe_code, reason = "the addition is an instruction of its own")]

use core::arch::asm;

/// Adds to a counter in a map.
///
/// # Safety
///
/// `counter` is valid for writes and aligned to 8.
#[inline(always)]
pub unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "lock *(u64 *)({counter} + 0) += {amount}",
            counter = in(reg) counter,
            amount = in(reg) amount,
            options(nostack, preserves_flags),
        );
    }
}
