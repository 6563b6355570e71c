//! Where safe code meets rbpf: programs that borrow from themselves, and helpers that are plain
//! functions and so find their run in a thread-local.
#![allow(unsafe_code)] // rbpf's helpers carry no state, and its machines borrow the program's bytes.

use std::any::Any;
use std::cell::Cell;
use std::ops::Range;

use super::emit::STUB;
use super::run::Run;
use crate::memory::NATIVE_STEP;

/// A program that rbpf has taken.
pub(super) struct Vm {
    /// Borrows from `code`, so it stands first and is dropped first.
    vm: rbpf::EbpfVmMbuff<'static>,
    _code: Box<[u8]>,
}

// SAFETY: all that keeps `EbpfVmMbuff` from being `Send` and `Sync` is the `Box<dyn Any>` for the
// stack calculator, which holds `()` here, and the memory of its JIT, which is not used.
unsafe impl Send for Vm {}
// SAFETY: as above; nothing in it changes after `Vm::new`.
unsafe impl Sync for Vm {}

impl Vm {
    /// Takes a rewritten program. Memory outside `arena` is closed to it.
    pub(super) fn new(code: Box<[u8]>, arena: Range<u64>) -> Result<Self, std::io::Error> {
        // SAFETY: the bytes are on the heap, do not move with the box, are never written, and are
        // freed after `vm`, which alone holds the borrow; `vm` is private and never moved out.
        let bytes: &'static [u8] = unsafe { std::slice::from_raw_parts(code.as_ptr(), code.len()) };
        let mut vm = rbpf::EbpfVmMbuff::new(None)?;
        // rbpf's verifier refuses writes to r10; the decoder has checked the program already.
        vm.set_verifier(|_| Ok(()))?;
        vm.set_stack_usage_calculator(frame_step, Box::new(()))?;
        vm.register_helper(STUB as u32, stub)?;
        vm.register_allowed_memory(arena);
        vm.set_program(bytes)?;
        Ok(Self { vm, _code: code })
    }

    /// Interprets the program; r1 points to `block` at the start.
    pub(super) fn execute(&self, run: &mut Run<'_>, block: &[u8]) -> Result<u64, std::io::Error> {
        let _current = Current::set(run);
        self.vm.execute_program(&[], block)
    }
}

/// The distance between two frame pointers.
fn frame_step(_program: &[u8], _function: usize, _data: &mut dyn Any) -> u16 {
    NATIVE_STEP as u16
}

thread_local! {
    /// The run whose program rbpf interprets on this thread; null between runs.
    static CURRENT: Cell<*mut Run<'static>> = const { Cell::new(std::ptr::null_mut()) };
}

/// Names the current run until it is dropped, also by a panic.
struct Current(*mut Run<'static>);

impl Current {
    fn set(run: &mut Run<'_>) -> Self {
        let run = std::ptr::from_mut(run).cast::<Run<'static>>();
        Self(CURRENT.replace(run))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// The one helper that rewritten programs call.
fn stub(r1: u64, r2: u64, r3: u64, r4: u64, r5: u64) -> u64 {
    let run = CURRENT.get();
    assert!(!run.is_null(), "rbpf calls a helper outside a run");
    // SAFETY: `Vm::execute` set the pointer from a mutable borrow that lasts until the interpreter
    // returns and that nobody uses meanwhile: the interpreter knows nothing of it, and a nested
    // `execute` reborrows from the reference that is made here and puts the pointer back.
    let run = unsafe { &mut *run };
    run.stub([r1, r2, r3, r4, r5])
}
