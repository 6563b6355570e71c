//! What an operation works on.
#![allow(unsafe_code)] // Operands are read through the link, and the frame through a view.

use super::alu;
use super::state::{State, Stop};
use super::threaded::{Handler, Link, Operation, SIZE, run_apart};
use crate::helpers;
use crate::isa::Reg;
use crate::machine::Machine;
use crate::memory::{Checked, Pointer};

/// A link with the state that it is executed on.
///
/// It is taken apart into the four arguments of a [`Handler`] after each operation, so that it stays in registers.
pub(super) struct At<'a, const CHAINS: bool> {
    link: *const Link,
    state: &'a mut State,
    limit: isize,
    machine: &'a mut Machine,
}

/// How it goes on after an operation.
pub(super) enum Flow {
    /// With the link behind.
    Next,
    /// With another handler of the same link.
    Other(Handler),
    Stop(Stop),
}

impl<'a, const CHAINS: bool> At<'a, CHAINS> {
    /// # Safety
    /// As for [`Handler`].
    #[inline(always)]
    pub(super) unsafe fn new(
        link: *const Link,
        state: &'a mut State,
        limit: isize,
        machine: &'a mut Machine,
    ) -> Self {
        Self {
            link,
            state,
            limit,
            machine,
        }
    }

    #[inline(always)]
    pub(super) fn parts(self) -> (*const Link, &'a mut State, isize, &'a mut Machine) {
        (self.link, self.state, self.limit, self.machine)
    }

    /// On to the link behind, which is there: only the last one has none, and it stops.
    #[inline(always)]
    pub(super) fn advance(&mut self) {
        self.skip(1);
    }

    /// On by so many links, for which this one stands.
    #[inline(always)]
    pub(super) fn skip(&mut self, links: usize) {
        // SAFETY: `Joined` lets an operation stand for others only where they are in the program.
        self.link = unsafe { self.link.add(links) };
    }

    /// Back by one, for what is no operation of the program.
    #[inline(always)]
    pub(super) fn withdraw(&mut self) {
        self.link = self.link.wrapping_sub(1);
    }

    #[inline(always)]
    fn link(&self) -> &Link {
        // SAFETY: it is a link of the program, see `At::new`.
        unsafe { &*self.link }
    }

    #[inline(always)]
    pub(super) fn imm(&self) -> u64 {
        self.link().imm
    }

    #[inline(always)]
    pub(super) fn off(&self) -> u32 {
        self.link().off
    }

    #[inline(always)]
    pub(super) fn dst(&self) -> u64 {
        self.state.registers[self.link().dst]
    }

    #[inline(always)]
    pub(super) fn src(&self) -> u64 {
        self.state.registers[self.link().src]
    }

    /// Sets the destination register.
    #[inline(always)]
    pub(super) fn set(&mut self, value: u64) {
        let dst = self.link().dst;
        self.state.registers[dst] = value;
    }

    /// Sets the register of that number.
    #[inline(always)]
    pub(super) fn set_number(&mut self, number: u32, value: u64) {
        self.state.registers.set(number, value);
    }

    /// Jumps when a condition holds, unless the budget is used up.
    #[inline(always)]
    pub(super) fn jump(&mut self, holds: bool) -> Flow {
        if holds {
            if self.link.addr() as isize + SIZE > self.limit {
                return Flow::Stop(Stop::Budget);
            }
            let distance = self.off() as i32 as isize;
            // SAFETY: a jump leads to a link of the program, see `Threaded`; the link before it is only an address.
            self.link = self.link.wrapping_byte_offset(distance);
            self.limit += distance;
        }
        Flow::Next
    }

    #[inline(always)]
    fn address(&self, register: u64) -> u64 {
        register.wrapping_add(self.off() as i32 as i64 as u64)
    }

    /// The instruction's slot.
    fn slot(&self) -> u32 {
        // SAFETY: the program stands while it is executed, see `Handler`.
        unsafe { &*self.state.code }.slot(self.link)
    }
}

/// A load of `N` bytes.
pub(super) struct Load<const N: usize, const SIGNED: bool>;
/// The same of a structure's field.
struct LoadField<const N: usize, const SIGNED: bool>;
/// The same where that takes a closer look.
struct LoadSpecial<const N: usize, const SIGNED: bool>;

impl<const N: usize, const SIGNED: bool> Load<N, SIGNED> {
    #[inline(always)]
    fn extended(value: u64) -> u64 {
        match N {
            1 if SIGNED => value as i8 as u64,
            2 if SIGNED => value as i16 as u64,
            4 if SIGNED => value as i32 as u64,
            _ => value,
        }
    }
}

impl<const N: usize, const SIGNED: bool> Operation for Load<N, SIGNED> {
    #[inline(always)]
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow {
        let Some(value) = at.machine.memory.load_plain::<N>(at.address(at.src())) else {
            return Flow::Other(run_apart::<LoadField<N, SIGNED>, CHAINS>);
        };
        at.set(Self::extended(value));
        Flow::Next
    }
}

impl<const N: usize, const SIGNED: bool> Operation for LoadField<N, SIGNED> {
    #[inline(always)]
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow {
        let pointer = at.address(at.src());
        let Some(value) = at.machine.memory.load_field::<N>(pointer) else {
            return Flow::Other(run_apart::<LoadSpecial<N, SIGNED>, CHAINS>);
        };
        at.set(Load::<N, SIGNED>::extended(value));
        Flow::Next
    }
}

impl<const N: usize, const SIGNED: bool> Operation for LoadSpecial<N, SIGNED> {
    #[inline(always)]
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow {
        let (pointer, slot) = (at.address(at.src()), at.slot());
        match at.machine.memory.load_special::<N>(pointer, slot) {
            Ok(value) => at.set(Load::<N, SIGNED>::extended(value)),
            Err(kind) => return Flow::Stop(Stop::Fault(kind)),
        }
        Flow::Next
    }
}

/// A store of `N` bytes: the immediate, or of the source register.
pub(super) struct Store<const N: usize, const X: bool>;
/// The same where [`Memory::store_plain`](crate::memory::Memory::store_plain) does not allow it.
struct StoreSpecial<const N: usize, const X: bool>;

impl<const CHAINS: bool> At<'_, CHAINS> {
    #[inline(always)]
    fn operand(&self, x: bool) -> u64 {
        if x { self.src() } else { self.imm() }
    }
}

impl<const N: usize, const X: bool> Operation for Store<N, X> {
    #[inline(always)]
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow {
        let (pointer, value) = (at.address(at.dst()), at.operand(X));
        match at.machine.memory.store_plain::<N>(pointer, value) {
            Some(()) => Flow::Next,
            None => Flow::Other(run_apart::<StoreSpecial<N, X>, CHAINS>),
        }
    }
}

impl<const N: usize, const X: bool> Operation for StoreSpecial<N, X> {
    #[inline(always)]
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow {
        let (pointer, value, slot) = (at.address(at.dst()), at.operand(X), at.slot());
        match at.machine.memory.store_special::<N>(pointer, value, slot) {
            Ok(()) => Flow::Next,
            Err(kind) => Flow::Stop(Stop::Fault(kind)),
        }
    }
}

/// A load of `N` bytes from the frame.
pub(super) struct LoadFrame<const N: usize>;
/// The same where some of them were never written.
struct LoadUnwritten<const N: usize>;

impl<const N: usize> Operation for LoadFrame<N> {
    #[inline(always)]
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow {
        // SAFETY: the view is of this memory, see `Handler`, and nobody holds a reference to its bytes.
        let Some(value) = (unsafe { at.state.view.load::<N>(at.off()) }) else {
            return Flow::Other(run_apart::<LoadUnwritten<N>, CHAINS>);
        };
        at.set(value);
        Flow::Next
    }
}

impl<const N: usize> Operation for LoadUnwritten<N> {
    #[inline(always)]
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow {
        let (frame, off, slot) = (at.state.frame, at.off(), at.slot());
        match at.machine.memory.load_unwritten::<N>(frame, off, slot) {
            Ok(value) => at.set(value),
            Err(kind) => return Flow::Stop(Stop::Fault(kind)),
        }
        Flow::Next
    }
}

/// A store of `N` bytes to the frame.
pub(super) struct StoreFrame<const N: usize, const X: bool>;

impl<const N: usize, const X: bool> Operation for StoreFrame<N, X> {
    #[inline(always)]
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow {
        // SAFETY: as for loads.
        unsafe { at.state.view.store::<N>(at.off(), at.operand(X)) };
        Flow::Next
    }
}

/// An atomic operation on `N` bytes.
pub(super) struct Atomic<const N: usize>;

impl<const N: usize> Operation for Atomic<N> {
    #[inline(always)]
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow {
        match at.atomic::<N>() {
            Ok(()) => Flow::Next,
            Err(kind) => Flow::Stop(Stop::Fault(kind)),
        }
    }
}

impl<const CHAINS: bool> At<'_, CHAINS> {
    #[inline(always)]
    fn atomic<const N: usize>(&mut self) -> Checked<()> {
        let (pointer, slot, operation) = (self.address(self.dst()), self.slot(), self.imm());
        let narrow = |value: u64| match N {
            4 => u64::from(value as u32),
            _ => value,
        };
        let (operand, expected) = (narrow(self.src()), narrow(self.state.registers[Reg::R0]));
        let old = self.machine.memory.load::<N>(pointer, slot)?;
        let new = alu::atomic(operation, old, operand, expected);
        // A failed compare-and-exchange needs a writable place all the same.
        self.machine
            .memory
            .store::<N>(pointer, new.unwrap_or(old), slot)?;
        match operation {
            0xf1 => self.state.registers[Reg::R0] = old,
            operation if operation & 1 != 0 => {
                let src = self.link().src;
                self.state.registers[src] = old;
            }
            _ => {}
        }
        Ok(())
    }
}

/// `bpf_map_lookup_elem` of most maps, as the kernel's verifier puts it into the program itself.
pub(super) struct LookUp;

impl Operation for LookUp {
    #[inline(always)]
    fn execute<const CHAINS: bool>(at: &mut At<'_, CHAINS>) -> Flow {
        match at.look_up() {
            Some(value) => {
                at.state.registers[Reg::R0] = value;
                at.state.lookups += 1;
                Flow::Next
            }
            None => Flow::Stop(Stop::Leave),
        }
    }
}

impl<const CHAINS: bool> At<'_, CHAINS> {
    #[inline(always)]
    fn look_up(&mut self) -> Option<u64> {
        let registers = &self.state.registers;
        let (map, key) = (Pointer(registers[Reg::R1]), Pointer(registers[Reg::R2]));
        let (cpu, slot) = (self.state.cpu, self.imm() as u32);
        helpers::look_up(self.machine, cpu, slot, map, key)
    }
}
