//! What native engines need to know of guest memory.

use std::ops::Range;

use super::Memory;
use super::stack::{FRAME_SIZE, GAP, RUN_FRAMES};

/// The distance between the frame pointers of native engines.
pub(crate) const NATIVE_STEP: u64 = (FRAME_SIZE + GAP) as u64;

impl Memory {
    /// Guest address of the bytes below all frames, `GAP` of them, which a native engine may use.
    pub(crate) fn control(&self) -> u32 {
        self.arena.base()
    }

    /// The addresses at which an access of up to 8 bytes may begin.
    pub(crate) fn native_range(&self) -> Range<u64> {
        let base = u64::from(self.arena.base());
        base..base + self.arena.len() as u64 - 8
    }

    /// Zeroes the highest `frames` frames of the current run and returns the first frame pointer.
    pub(crate) fn native_stack(&mut self, frames: usize) -> u64 {
        let highest = u64::from(self.stack.frame(RUN_FRAMES - 1) + FRAME_SIZE);
        self.clear_native_frames(highest, frames);
        highest
    }

    /// Zeroes `frames` frames from the one with this frame pointer on, as far as there are so many.
    ///
    /// Native frames grow downwards, one for each call, `GAP` bytes apart.
    pub(crate) fn clear_native_frames(&mut self, frame: u64, frames: usize) {
        let there = self.native_frames_below(frame) + 1;
        for depth in 0..frames.min(there) as u32 {
            let lowest = frame as u32 - FRAME_SIZE - depth * NATIVE_STEP as u32;
            self.raw_mut(lowest, FRAME_SIZE).fill(0);
        }
    }

    /// How many frames are free below the one with this frame pointer.
    pub(crate) fn native_frames_below(&self, frame: u64) -> usize {
        let lowest = u64::from(self.stack.frame(0) + FRAME_SIZE);
        (frame.saturating_sub(lowest) / NATIVE_STEP) as usize
    }

    /// The bytes at an address of an allocation, unchecked by any object.
    pub(crate) fn raw_array<const N: usize>(&self, address: u32) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(address, N as u32));
        array
    }
}
