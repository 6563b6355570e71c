//! Calls within a program, and the programs that tail calls put in each other's place.

use std::sync::Arc;

use crate::memory::MAX_FRAMES;
use crate::program::Program;

/// The call stack of one run.
///
/// A tail call replaces the function that makes it and no other: the next program returns to that
/// function's caller (`Documentation/bpf`, "tail calls in subprograms"; the JITs keep the caller's
/// frame). So each frame has a program of its own.
pub(super) struct Frames {
    /// Programs by the depth at which they were entered.
    programs: [Option<Arc<Program>>; MAX_FRAMES],
    /// Where the program of a frame stands in `programs`.
    owner: [u8; MAX_FRAMES],
    /// What is restored when the frame above returns: the next operation and r6 to r9.
    saved: [Saved; MAX_FRAMES],
    /// The depth of the frame that this stack began at.
    first: usize,
    depth: usize,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Saved {
    pub(super) resume: usize,
    pub(super) callee_saved: [u64; 4],
}

impl Frames {
    pub(super) fn new(program: Arc<Program>, depth: usize) -> Self {
        let mut programs = [const { None }; MAX_FRAMES];
        let mut owner = [0; MAX_FRAMES];
        programs[depth] = Some(program);
        owner[depth] = depth as u8;
        Self {
            programs,
            owner,
            saved: [Saved::default(); MAX_FRAMES],
            first: depth,
            depth,
        }
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The program that the current frame executes.
    pub(super) fn program(&self) -> Option<&Arc<Program>> {
        self.programs[usize::from(self.owner[self.depth])].as_ref()
    }

    /// Enters a function of the current program; false when there are no more frames.
    pub(super) fn push(&mut self, saved: Saved) -> bool {
        if self.depth + 1 == MAX_FRAMES {
            return false;
        }
        self.saved[self.depth] = saved;
        self.owner[self.depth + 1] = self.owner[self.depth];
        self.depth += 1;
        true
    }

    /// Leaves the current function; none when it was the first.
    pub(super) fn pop(&mut self) -> Option<Saved> {
        if self.depth == self.first {
            return None;
        }
        self.depth -= 1;
        Some(self.saved[self.depth])
    }

    /// Whether the frame below the current one executes another program.
    pub(super) fn caller_differs(&self) -> bool {
        self.depth > self.first && self.owner[self.depth] != self.owner[self.depth - 1]
    }

    /// Puts a program in the place of the current function.
    pub(super) fn replace(&mut self, program: Arc<Program>) {
        self.programs[self.depth] = Some(program);
        self.owner[self.depth] = self.depth as u8;
    }
}
