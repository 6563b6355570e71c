//! Values whose origin the compiler forgets, where it knows more than the verifier believes.
#![allow(
    unsafe_code,
    reason = "a piece of assembly hides a value from the optimiser"
)]

use core::arch::asm;

/// The same value, of which the compiler knows nothing and which it keeps in a whole register.
#[inline(always)]
pub fn opaque(mut value: u64) -> u64 {
    // An instruction which does nothing, as one must stand where the line information points to.
    // SAFETY: it changes no register.
    unsafe { asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}
