//! Threaded code: a program as a row of links, each with the function that executes it and goes on with the next.
//!
//! A function that does its operation and then calls that of the next link as its last act needs no frame of its
//! own: the compiler makes the call a jump, whenever it optimises, as nothing of the caller is used after it. So
//! what all operations use stays in registers, and each operation has an indirect jump of its own, which the
//! processor predicts by what usually follows there. Rust promises none of that yet (`become`). Where the build
//! does not optimise (`build.rs`) or has assertions for debugging, and where each operation is to be seen, functions
//! return after each operation instead. `tests/host_stack.rs` holds that no operation leaves a frame behind.
#![allow(unsafe_code)] // Going from one link to the next, which decoding has checked.

use super::at::{At, Flow};
use super::operations::handler;
use super::state::{State, Stop};
use crate::isa::{Code, Decoded, Joined, Reg};
use crate::machine::Machine;

/// Executes operations from a link on until one stops.
///
/// # Safety
/// The link is one of the program that the state's `code` points to, which stands meanwhile, and the state's
/// view is one of the machine's memory.
pub(super) type Handler = unsafe fn(*const Link, &mut State, isize, &mut Machine) -> Stop;

/// Whether functions call the next one. Code that checks the pointers that it follows needs its frames.
const CHAINS: bool = cfg!(all(sibling_calls, not(debug_assertions)));

/// An operation, ready to be executed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    run: Handler,
    /// The immediate; for a lookup its slot.
    pub(super) imm: u64,
    /// For a jump the distance in bytes from the link behind.
    pub(super) off: u32,
    pub(super) dst: Reg,
    pub(super) src: Reg,
}

/// Bytes of a link.
pub(super) const SIZE: isize = size_of::<Link>() as isize;

/// A program; the last link stops the loop, and jumps lead to links of it.
#[derive(Debug)]
pub(super) struct Threaded {
    links: Box<[Link]>,
    /// The slot of each operation.
    slots: Box<[u32]>,
}

impl Threaded {
    /// A program that is executed until something stops it.
    pub(super) fn running(program: &Decoded) -> Self {
        Self::new(program, &Joined::of(&program.ops), handler::<CHAINS>)
    }

    /// A program that stops after each operation.
    pub(super) fn stepping(program: &Decoded) -> Self {
        Self::new(program, &Joined::single(&program.ops), handler::<false>)
    }

    fn new(program: &Decoded, joined: &Joined, handler: fn(Code) -> Handler) -> Self {
        let links = joined.ops().iter().enumerate().map(|(index, op)| Link {
            run: handler(op.code),
            imm: match op.code {
                Code::LookUp => u64::from(program.slots[index]),
                _ => op.imm,
            },
            off: match op.code.is_jump() {
                true => op.off.wrapping_mul(SIZE as u32),
                false => op.off,
            },
            dst: op.dst,
            src: op.src,
        });
        Self {
            links: links.collect(),
            slots: program.slots.as_slice().into(),
        }
    }

    /// The slot of an operation.
    #[cold]
    pub(super) fn slot(&self, link: *const Link) -> u32 {
        let index = (link.addr() - self.links.as_ptr().addr()) / size_of::<Link>();
        self.slots.get(index).copied().unwrap_or(0)
    }

    /// Executes operations until one stops it, or a single one of a program that steps.
    ///
    /// Instructions are counted where straight runs of them end: `instructions` is what is left of them, below
    /// zero when they are used up.
    pub(super) fn execute<const STEP: bool>(
        &self,
        machine: &mut Machine,
        instructions: &mut i64,
        state: &mut State,
    ) -> Stop {
        if state.pc >= self.links.len() {
            return Stop::Wild;
        }
        let first = self.links.as_ptr();
        // SAFETY: the index was just checked.
        state.next = unsafe { first.add(state.pc) };
        let budget = (*instructions).min(1 << 48) as isize;
        state.code = self;
        state.limit = state.next.addr() as isize + budget * SIZE;
        let stop = loop {
            let (link, limit) = (state.next, state.limit);
            // SAFETY: the link is one of this program; a state's view is one of its machine's memory.
            let stop = unsafe { ((*link).run)(link, state, limit, machine) };
            if STEP || !matches!(stop, Stop::Step) {
                break stop;
            }
        };
        let next = state.next.addr() as isize;
        *instructions += ((state.limit - next) / SIZE - budget) as i64;
        state.pc = (next as usize - first.addr()) / size_of::<Link>();
        stop
    }
}

/// What an operation does.
pub(super) trait Operation {
    /// Whether it may go on elsewhere than behind itself.
    const JUMPS: bool = false;

    /// Does it.
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow;
}

/// The [`Handler`] of an operation.
///
/// # Safety
/// As for [`Handler`].
#[inline]
pub(super) unsafe fn run<O: Operation, const CHAINS: bool>(
    link: *const Link,
    state: &mut State,
    limit: isize,
    machine: &mut Machine,
) -> Stop {
    // SAFETY: the caller's promise.
    let mut at = unsafe { At::<CHAINS>::new(link, state, limit, machine) };
    let flow = O::execute(&mut at);
    let (link, state, limit, machine) = at.parts();
    let other = match flow {
        Flow::Next if CHAINS => {
            // SAFETY: the last link stops, so that there is another one behind each that was executed.
            let next = unsafe { link.add(1) };
            // SAFETY: as above.
            return unsafe { ((*next).run)(next, state, limit, machine) };
        }
        // SAFETY: it is the same link.
        Flow::Other(handler) => return unsafe { handler(link, state, limit, machine) },
        Flow::Next => Stop::Step,
        Flow::Stop(stop) => stop,
    };
    state.next = link.wrapping_add(1);
    state.limit = limit;
    other
}

/// The same, for what happens seldom or takes long: it is not to become part of another handler, whose registers
/// it would cost.
///
/// # Safety
/// As for [`Handler`].
#[inline(never)]
pub(super) unsafe fn run_apart<O: Operation, const CHAINS: bool>(
    link: *const Link,
    state: &mut State,
    limit: isize,
    machine: &mut Machine,
) -> Stop {
    // SAFETY: the caller's promise.
    unsafe { run::<O, CHAINS>(link, state, limit, machine) }
}

/// One operation after another, for which the loop would go on once each.
impl<A: Operation, B: Operation> Operation for (A, B) {
    const JUMPS: bool = B::JUMPS;

    #[inline(always)]
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow {
        const { assert!(!A::JUMPS) };
        match A::execute(at) {
            Flow::Next => {
                at.advance();
                B::execute(at)
            }
            flow => flow,
        }
    }
}
