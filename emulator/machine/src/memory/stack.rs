//! Stack frames and which of their bytes were written.
#![allow(unsafe_code)] // The engine's loop holds a pointer to the current frame's marks.

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
/// Room for the frames' marks: a power of two, so that no slot needs a bounds check.
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
    /// By slot; owned.
    marks: NonNull<[Marks; SLOTS]>,
    /// By slot: the mark of what was written in the frame's current life. Zero marks what never was.
    lives: Box<[u8]>,
    level: usize,
    pub(super) policy: UninitializedRead,
    /// Instructions that read unwritten bytes, with the offset from the frame pointer and the size.
    pub(super) warnings: Vec<(u32, i32, u32)>,
}

/// A mark for each byte of a frame: that of the life in which the byte was written last. A mark beside the byte, and not
/// a bit, so that a store need not wait for the one before; a life's own mark, so that a frame's next life
/// begins without all of them being cleared.
type Marks = [u8; FRAME_SIZE as usize];

/// The stack state of the run around a nested run.
#[derive(Debug)]
pub(super) struct Outer(usize);

/// The marks of a frame and the one of its current life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) marks: NonNull<u8>,
    /// The mark in each of eight bytes.
    pub(super) mark: u64,
}

impl Stack {
    pub(super) fn new(base: u32) -> Self {
        // Memory that is zero costs nothing until it is used.
        let marks = vec![[0; FRAME_SIZE as usize]; SLOTS].into_boxed_slice();
        Self {
            start: base + GAP,
            marks: NonNull::from(Box::leak(marks)).cast(),
            lives: vec![0; SLOTS].into(),
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
        let slot = self.slot(depth);
        let life = &mut self.lives[slot];
        *life = life.wrapping_add(1);
        if *life == 0 {
            *life = 1;
            self.marks(slot).fill(0);
        }
    }

    /// The lowest address of a frame.
    #[inline]
    pub(super) fn frame(&self, depth: usize) -> u32 {
        self.start + self.slot(depth) as u32 * (FRAME_SIZE + GAP)
    }

    /// The marks of a frame, which live as long as the stack. References to them are never kept.
    #[inline(always)]
    pub(super) fn life(&self, slot: usize) -> Life {
        Life {
            // SAFETY: the slot is inside the array.
            marks: unsafe { self.marks.cast::<Marks>().add(slot % SLOTS) }.cast(),
            mark: u64::from_ne_bytes([self.lives[slot]; 8]),
        }
    }

    #[inline]
    fn marks(&mut self, slot: usize) -> &mut Marks {
        // SAFETY: see `Stack::life`; nobody else has a reference now.
        unsafe { self.life(slot).marks.cast::<Marks>().as_mut() }
    }

    /// Notes that `len` bytes from `offset` were written; they are all in the frame.
    #[inline]
    pub(super) fn mark(&mut self, slot: usize, offset: u32, len: u32) {
        let mark = self.lives[slot];
        self.marks(slot)[offset as usize..(offset + len) as usize].fill(mark);
    }

    /// Whether all of `len` bytes from `offset` were written; they are all in the frame.
    #[inline(always)]
    pub(super) fn is_written(&self, slot: usize, offset: u32, len: u32) -> bool {
        let life = self.life(slot);
        // SAFETY: as in `Stack::marks`.
        let marks = unsafe { life.marks.cast::<Marks>().as_ref() };
        let marks = &marks[offset as usize..(offset + len) as usize];
        // Most keys have four bytes.
        if let Ok(marks) = <[u8; 4]>::try_from(marks) {
            return u32::from_ne_bytes(marks) == life.mark as u32;
        }
        let (words, rest) = marks.as_chunks();
        let mut words = words.iter().map(|word| u64::from_ne_bytes(*word));
        words.all(|word| word == life.mark) && rest.iter().all(|mark| *mark == life.mark as u8)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let marks = NonNull::slice_from_raw_parts(self.marks.cast::<Marks>(), SLOTS);
        // SAFETY: it came from a box, and nobody uses it any more.
        drop(unsafe { Box::from_raw(marks.as_ptr()) });
    }
}

// SAFETY: the marks are this value's own.
unsafe impl Send for Stack {}
// SAFETY: a shared reference only reads them.
unsafe impl Sync for Stack {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_marked_is_written_and_nothing_beside_it() {
        let mut stack = Stack::new(0);
        for offset in 0..FRAME_SIZE {
            for len in 1..=(FRAME_SIZE - offset).min(130) {
                stack.lives[0] = stack.lives[0] % 255 + 1;
                stack.marks(0).fill(0);
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
    fn nothing_is_written_in_a_new_life() {
        let mut stack = Stack::new(0);
        let _ = stack.enter();
        for life in 0..600 {
            stack.clear(3);
            let slot = stack.slot(3);
            let written = (0..FRAME_SIZE).any(|byte| stack.is_written(slot, byte, 1));
            assert!(!written, "life {life}");
            stack.mark(slot, life % 500, 12);
            assert!(stack.is_written(slot, life % 500, 12), "life {life}");
        }
    }
}
