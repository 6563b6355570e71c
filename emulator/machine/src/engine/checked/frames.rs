//! Calls within a program, and the programs that tail calls put in each other's place.

use std::cell::OnceCell;
use std::sync::Arc;

use super::threaded::Threaded;
use crate::machine::Machine;
use crate::memory::MAX_FRAMES;
use crate::program::{Program, ProgramId};

/// What is restored when the frame above returns.
///
/// A tail call replaces the function that makes it and no other: the next program returns to that
/// function's caller (the kernel's JITs keep the caller's frame). So each frame has a program of its
/// own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saved {
    pub(super) program: ProgramId,
    /// The operation behind the call.
    pub(super) resume: usize,
    /// r6 to r9.
    pub(super) callee_saved: [u64; 4],
}

/// The frames below the current one; kept by the engine from run to run for its memory.
#[derive(Debug, Default)]
pub(super) struct Frames {
    below: Vec<(Saved, usize)>,
    /// The depth at which the current program began; beside each frame below stands its program's.
    base: usize,
}

impl Frames {
    pub(super) fn clear(&mut self) {
        self.below.clear();
        self.base = 0;
    }

    /// The depth of the current frame.
    #[inline]
    pub(super) fn depth(&self) -> usize {
        self.below.len()
    }

    /// Enters a function; false when the program has no more frames.
    #[inline]
    pub(super) fn push(&mut self, saved: Saved) -> bool {
        let free = self.below.len() + 1 - self.base < MAX_FRAMES;
        if free {
            self.below.push((saved, self.base));
        }
        free
    }

    /// Another program takes the place of the current function.
    pub(super) fn replace(&mut self) {
        self.base = self.below.len();
    }

    /// Leaves the current function.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Saved> {
        let (saved, base) = self.below.pop()?;
        self.base = base;
        Some(saved)
    }
}

/// The programs that the engine has met, by number, so that a run need not count references to them.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<Option<Learnt>>);

/// A program, ready to be executed.
#[derive(Debug)]
pub(super) struct Learnt {
    pub(super) program: Arc<Program>,
    pub(super) code: Threaded,
    /// Made when a run is traced.
    stepping: OnceCell<Threaded>,
}

impl Learnt {
    fn new(program: &Arc<Program>) -> Self {
        Self {
            program: Arc::clone(program),
            code: Threaded::running(&program.decoded),
            stepping: OnceCell::new(),
        }
    }

    /// The program's code that stops after each operation.
    pub(super) fn stepping(&self) -> &Threaded {
        self.stepping
            .get_or_init(|| Threaded::stepping(&self.program.decoded))
    }
}

impl Known {
    /// Makes sure that a program of this machine is known; none when the machine has no such program.
    #[inline]
    pub(super) fn learn(&mut self, machine: &Machine, id: ProgramId) -> Option<()> {
        let program = machine.program(id)?;
        match self.get(id) {
            Some(known) if Arc::ptr_eq(&known.program, program) => {}
            _ => self.add(id, program),
        }
        Some(())
    }

    #[cold]
    fn add(&mut self, id: ProgramId, program: &Arc<Program>) {
        let place = id.0 as usize;
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place] = Some(Learnt::new(program));
    }

    /// A program that was learnt.
    #[inline]
    pub(super) fn get(&self, id: ProgramId) -> Option<&Learnt> {
        self.0.get(id.0 as usize)?.as_ref()
    }

    /// The program itself.
    #[inline]
    pub(super) fn program(&self, id: ProgramId) -> Option<&Program> {
        Some(&self.get(id)?.program)
    }
}
