//! Where a function stands.

use super::registers::Registers;
use super::threaded::{Link, Threaded};
use crate::fault::FaultKind;
use crate::machine::Cpu;
use crate::memory::{Frame, Memory, View};

/// Where a function stands.
pub(super) struct State {
    pub(super) registers: Registers,
    /// The bytes of `frame`.
    pub(super) view: View,
    /// The CPU that the program runs on.
    pub(super) cpu: Cpu,
    /// Lookups in maps that the loop has made.
    pub(super) lookups: u64,
    /// The program that is executed.
    pub(super) code: *const Threaded,
    /// The next operation while operations are executed, and the address that the run of them which is not
    /// counted yet may reach: every jump moves it along.
    pub(super) next: *const Link,
    pub(super) limit: isize,
    /// The next operation otherwise.
    pub(super) pc: usize,
    pub(super) frame: Frame,
}

/// Why the loop ended. The operation that ended it stands before [`State::pc`].
pub(super) enum Stop {
    /// It is one of those that the loop leaves to its caller.
    Leave,
    /// The function is at its end.
    Exit,
    /// It failed.
    Fault(Box<FaultKind>),
    /// It was a jump, and the budget is used up.
    Budget,
    /// There is no such operation.
    Wild,
    /// It is done, and another handler goes on.
    Step,
}

impl State {
    /// At the start of a function with this frame.
    #[inline]
    pub(super) fn new(memory: &mut Memory, frame: Frame, entry: usize, cpu: Cpu) -> Self {
        let mut state = Self {
            cpu,
            lookups: 0,
            registers: Registers::default(),
            view: memory.view(frame),
            code: std::ptr::null(),
            next: std::ptr::null(),
            limit: 0,
            pc: entry,
            frame,
        };
        state.registers.set_frame_pointer(frame.pointer());
        state
    }

    /// Makes a frame the current one.
    pub(super) fn set_frame(&mut self, memory: &mut Memory, frame: Frame) {
        self.frame = frame;
        self.view = memory.view(frame);
        self.registers.set_frame_pointer(frame.pointer());
    }
}
