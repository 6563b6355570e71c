//! Stack frames and which of their bytes were written.
#![allow(unsafe_code)] // The engine's loop holds a pointer to the current frame's bits.

use std::ptr::NonNull;

/// Bytes of stack that each function has (`MAX_BPF_STACK`).
pub const FRAME_SIZE: u32 = 512;
/// Nested calls of a program, itself included (`MAX_CALL_FRAMES`).
pub const MAX_FRAMES: usize = 8;
/// Nested calls of a run: a program that is gone to by a tail call out of a function nests as deep again, on top of
/// that function's callers.
pub(crate) const RUN_FRAMES: usize =
    MAX_FRAMES + crate::engine::MAX_TAIL_CALLS as usize * (MAX_FRAMES - 1);

/// Runs that nest: a helper that sends a packet may meet another program (`XMIT_RECURSION_LIMIT`).
pub(super) const LEVELS: usize = 10;
/// Bytes below each frame for native engines, which keep registers and their control block there.
pub(super) const GAP: u32 = 512;
const FRAMES: usize = LEVELS * RUN_FRAMES;
/// Room for the frames' bits: a power of two, so that no slot needs a bounds check.
const SLOTS: usize = FRAMES.next_power_of_two();

/// Bytes of the arena that stacks take.
pub(super) const AREA: u32 = FRAMES as u32 * (FRAME_SIZE + GAP) + GAP;

/// What reading stack that was never written does.
///
/// The kernel lets privileged programs do it and yields whatever lay there; here such bytes are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UninitializedRead {
    /// The run goes on and the place is noted.
    #[default]
    Warn,
    /// The run ends with a fault.
    Fault,
}

/// Where each frame lies and which bytes of it were written in its current life.
#[derive(Debug)]
pub(super) struct Stack {
    start: u32,
    /// A bit for each byte of each frame; owned.
    written: NonNull<[Written; SLOTS]>,
    level: usize,
    pub(super) policy: UninitializedRead,
    /// Instructions that read unwritten bytes, with the offset from the frame pointer and the size.
    pub(super) warnings: Vec<(u32, i32, u32)>,
}

/// The stack state of the run around a nested run.
#[derive(Debug)]
pub(super) struct Outer(usize);

impl Stack {
    pub(super) fn new(base: u32) -> Self {
        Self {
            start: base + GAP,
            written: NonNull::from(Box::leak(Box::new([[0; FRAME_SIZE as usize / 64]; SLOTS]))),
            level: LEVELS,
            policy: UninitializedRead::default(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self) -> Outer {
        let outer = Outer(self.level);
        self.level = if self.level == LEVELS {
            0
        } else {
            self.level + 1
        };
        // XMIT_RECURSION_LIMIT bounds nesting in the node; a machine that nests deeper has lost count.
        assert!(self.level < LEVELS, "runs nest deeper than {LEVELS}");
        outer
    }

    pub(super) fn leave(&mut self, outer: Outer) {
        self.level = outer.0;
    }

    /// How many runs are around the current one.
    #[inline]
    pub(super) fn level(&self) -> usize {
        self.level
    }

    #[inline]
    pub(super) fn slot(&self, depth: usize) -> usize {
        self.level * RUN_FRAMES + depth
    }

    /// Starts a frame's life: nothing in it is written.
    #[inline]
    pub(super) fn clear(&mut self, depth: usize) {
        let bits = self.bits(self.slot(depth)).as_ptr();
        // SAFETY: see `Stack::bits`.
        unsafe { *bits = [0; FRAME_SIZE as usize / 64] };
    }

    /// The lowest address of a frame.
    #[inline]
    pub(super) fn frame(&self, depth: usize) -> u32 {
        self.start + self.slot(depth) as u32 * (FRAME_SIZE + GAP)
    }

    /// The bits of a frame, which live as long as the stack. References to them are never kept.
    #[inline(always)]
    pub(super) fn bits(&self, slot: usize) -> NonNull<Written> {
        // SAFETY: the slot is inside the array.
        unsafe { self.written.cast::<Written>().add(slot % SLOTS) }
    }

    /// Notes that `len` bytes from `offset` were written.
    #[inline]
    pub(super) fn mark(&mut self, slot: usize, offset: u32, len: u32) {
        // SAFETY: see `Stack::bits`; nobody else has a reference now.
        let bits = unsafe { self.bits(slot).as_mut() };
        for (word, mask) in words(offset, len) {
            bits[word] |= mask;
        }
    }

    /// Whether all of `len` bytes from `offset` were written.
    #[inline]
    pub(super) fn is_written(&self, slot: usize, offset: u32, len: u32) -> bool {
        // SAFETY: as in `Stack::mark`.
        let bits = unsafe { self.bits(slot).as_ref() };
        let (word, first) = (offset as usize / 64 % bits.len(), offset % 64);
        if (1..=64 - first).contains(&len) {
            // Most ranges are short and lie in one word.
            let mask = u64::MAX >> (64 - len) << first;
            return bits[word] & mask == mask;
        }
        words(offset, len).all(|(word, mask)| bits[word] & mask == mask)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and nobody uses it any more.
        drop(unsafe { Box::from_raw(self.written.as_ptr()) });
    }
}

// SAFETY: the bits are this value's own.
unsafe impl Send for Stack {}
// SAFETY: a shared reference only reads them.
unsafe impl Sync for Stack {}

/// A bit for each byte of a frame.
pub(super) type Written = [u64; FRAME_SIZE as usize / 64];

/// The bits of `len` bytes from `offset` in a frame, by word.
#[inline]
fn words(offset: u32, len: u32) -> impl Iterator<Item = (usize, u64)> {
    let end = (offset + len).min(FRAME_SIZE);
    (offset / 64..end.div_ceil(64)).map(move |word| {
        let first = offset.saturating_sub(word * 64);
        let behind = (end - word * 64).min(64);
        let mask = u64::MAX << first & u64::MAX >> (64 - behind);
        (word as usize % 8, mask)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_marked_is_written_and_nothing_beside_it() {
        for offset in 0..FRAME_SIZE {
            for len in 1..=(FRAME_SIZE - offset).min(130) {
                let mut stack = Stack::new(0);
                stack.mark(0, offset, len);
                assert!(stack.is_written(0, offset, len), "{offset} {len}");
                let beside = [offset.checked_sub(1), Some(offset)].into_iter().flatten();
                for start in beside.filter(|start| start + len < FRAME_SIZE) {
                    assert!(!stack.is_written(0, start, len + 1), "{offset} {len}");
                }
            }
        }
    }

    #[test]
    fn words_have_a_bit_for_each_byte() {
        for offset in 0..FRAME_SIZE {
            for len in 0..=FRAME_SIZE - offset {
                let mut bits: Written = [0; 8];
                words(offset, len).for_each(|(word, mask)| bits[word] |= mask);
                for byte in 0..FRAME_SIZE {
                    let marked = bits[byte as usize / 64] >> (byte % 64) & 1 == 1;
                    assert_eq!(
                        marked,
                        (offset..offset + len).contains(&byte),
                        "{offset} {len}"
                    );
                }
            }
        }
    }
}
