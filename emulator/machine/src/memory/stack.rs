//! Stack frames and which of their bytes were written.

/// Bytes of stack that each function has (`MAX_BPF_STACK`).
pub const FRAME_SIZE: u32 = 512;
/// Nested calls, the program itself included (`MAX_CALL_FRAMES`).
pub const MAX_FRAMES: usize = 8;

/// Runs that nest: a helper that sends a packet may meet another program (`XMIT_RECURSION_LIMIT`).
pub(super) const LEVELS: usize = 10;
/// Bytes below each frame for native engines, which keep registers and their control block there.
pub(super) const GAP: u32 = 512;
const FRAMES: usize = LEVELS * MAX_FRAMES;
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
    /// A bit for each byte of each frame.
    written: Box<[Written; SLOTS]>,
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
            written: Box::new([[0; FRAME_SIZE as usize / 64]; SLOTS]),
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

    pub(super) fn slot(&self, depth: usize) -> usize {
        self.level * MAX_FRAMES + depth
    }

    /// Starts a frame's life: nothing in it is written.
    #[inline]
    pub(super) fn clear(&mut self, depth: usize) {
        let slot = self.slot(depth) % SLOTS;
        self.written[slot] = [0; FRAME_SIZE as usize / 64];
    }

    /// The lowest address of a frame.
    #[inline]
    pub(super) fn frame(&self, depth: usize) -> u32 {
        self.start + self.slot(depth) as u32 * (FRAME_SIZE + GAP)
    }

    /// Notes that `len` bytes from `offset` were written.
    #[inline(always)]
    pub(super) fn mark(&mut self, slot: usize, offset: u32, len: u32) {
        let bits = &mut self.written[slot % SLOTS];
        let (word, bit) = (offset as usize / 64 % 8, offset % 64);
        if len <= 8 && bit + len <= 64 {
            bits[word] |= ((1u64 << len) - 1) << bit;
        } else {
            mark_bytes(bits, offset, len);
        }
    }

    /// Whether all of `len` bytes from `offset` were written.
    #[inline(always)]
    pub(super) fn is_written(&self, slot: usize, offset: u32, len: u32) -> bool {
        let bits = &self.written[slot % SLOTS];
        let (word, bit) = (offset as usize / 64 % 8, offset % 64);
        if len <= 8 && bit + len <= 64 {
            let mask = ((1u64 << len) - 1) << bit;
            bits[word] & mask == mask
        } else {
            are_marked(bits, offset, len)
        }
    }
}

/// A bit for each byte of a frame.
type Written = [u64; FRAME_SIZE as usize / 64];

#[inline(never)]
fn mark_bytes(bits: &mut Written, offset: u32, len: u32) {
    for byte in offset..offset + len {
        bits[byte as usize / 64] |= 1 << (byte % 64);
    }
}

#[inline(never)]
fn are_marked(bits: &Written, offset: u32, len: u32) -> bool {
    (offset..offset + len).all(|byte| bits[byte as usize / 64] & (1 << (byte % 64)) != 0)
}
