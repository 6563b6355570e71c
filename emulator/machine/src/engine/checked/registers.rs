//! The registers of a function.

use std::ops::{Index, IndexMut};

use crate::isa::Reg;
use crate::memory::Pointer;

/// r0 to r10.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Registers([u64; 11]);

impl Registers {
    pub(super) fn all(&self) -> [u64; 11] {
        self.0
    }

    /// r1 to r5.
    #[inline]
    pub(super) fn arguments(&self) -> [u64; 5] {
        [self.0[1], self.0[2], self.0[3], self.0[4], self.0[5]]
    }

    #[inline]
    pub(super) fn set_arguments(&mut self, arguments: [u64; 5]) {
        self.0[1..6].copy_from_slice(&arguments);
    }

    /// Sets r10.
    #[inline]
    pub(super) fn set_frame_pointer(&mut self, pointer: Pointer) {
        self.0[10] = pointer.0;
    }

    /// Sets the register of that number, of which there are 11.
    #[inline(always)]
    pub(super) fn set(&mut self, number: u32, value: u64) {
        if let Some(register) = self.0.get_mut(number as usize) {
            *register = value;
        }
    }

    /// r6 to r9.
    #[inline]
    pub(super) fn callee_saved(&self) -> [u64; 4] {
        [self.0[6], self.0[7], self.0[8], self.0[9]]
    }

    #[inline]
    pub(super) fn restore(&mut self, callee_saved: [u64; 4]) {
        self.0[6..10].copy_from_slice(&callee_saved);
    }
}

impl Index<Reg> for Registers {
    type Output = u64;

    #[inline(always)]
    fn index(&self, register: Reg) -> &u64 {
        &self.0[register as usize]
    }
}

impl IndexMut<Reg> for Registers {
    #[inline(always)]
    fn index_mut(&mut self, register: Reg) -> &mut u64 {
        &mut self.0[register as usize]
    }
}
