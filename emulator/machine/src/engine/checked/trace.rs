//! What a traced run executed, and what of it wrote to the packet.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::state::State;
use crate::fault::Register;
use crate::isa::{self, Insn, class};
use crate::memory::{Memory, Pointer};
use crate::program::{Program, ProgramId};

/// The end of what a program executed.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// The last steps, in order.
    pub steps: VecDeque<Step>,
    /// How many are kept.
    most: usize,
    /// How many there were.
    pub count: u64,
    packet: Packet,
    /// By address, what wrote there last.
    writes: BTreeMap<u32, Write>,
}

/// One executed instruction of a traced run.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The program, which of a chain of tail calls is not always the same.
    pub program: ProgramId,
    /// The instruction's slot.
    pub instruction: u32,
    /// r0 to r10 before it.
    pub registers: [Register; 11],
}

/// An instruction that wrote to the packet, itself or by a helper.
#[derive(Debug, Clone, Copy)]
pub struct Write {
    /// Which of the run's instructions it was, counted from 1.
    pub number: u64,
    /// The instruction.
    pub step: Step,
}

/// A packet at some time.
#[derive(Debug, Clone, Default)]
struct Packet {
    /// The address of its metadata, or of its first byte.
    start: u32,
    bytes: Vec<u8>,
}

/// A step that has begun.
pub(super) struct Begun {
    write: Write,
    insn: Insn,
}

impl Trace {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// The address of the packet's metadata or first byte when the run ended, and the bytes from there on.
    pub fn packet(&self) -> (u32, &[u8]) {
        (self.packet.start, &self.packet.bytes)
    }

    /// What wrote last to each of these addresses of the packet, in order; nothing of what the run left alone.
    pub fn last_writes(&self, addresses: Range<u32>) -> Vec<Write> {
        let writes = self.writes.range(addresses).map(|(_, write)| write);
        let by_number: BTreeMap<u64, Write> = writes.map(|write| (write.number, *write)).collect();
        by_number.into_values().collect()
    }

    /// Adds a step that is about to be executed, with its instruction.
    pub(super) fn begin(&mut self, (step, insn): (Step, Insn), memory: &Memory) -> Begun {
        if self.count == 0 {
            self.packet.take(memory);
        }
        if self.steps.len() == self.most {
            self.steps.pop_front();
        }
        if self.most > 0 {
            self.steps.push_back(step);
        }
        self.count += 1;
        let write = Write {
            number: self.count,
            step,
        };
        Begun { write, insn }
    }

    /// Notes what a step wrote to the packet.
    pub(super) fn end(&mut self, begun: Begun, memory: &Memory) {
        let Begun { write, insn } = begun;
        // What callbacks did in a helper has been noted as theirs.
        let alone = write.number == self.count;
        if let Some(range) = stored(insn, &write.step) {
            let (start, bytes) = memory.packet();
            let end = start + bytes.len() as u32;
            let range = range.start.max(start)..range.end.min(end);
            self.packet.store(range.clone(), memory);
            self.note(range, write);
        } else if matches!(insn.code, isa::CALL | isa::CALLX) {
            let changed = self.packet.changed(memory);
            for address in changed.into_iter().filter(|_| alone) {
                self.note(address..address + 1, write);
            }
            self.packet.take(memory);
        }
    }

    fn note(&mut self, addresses: Range<u32>, write: Write) {
        self.writes
            .extend(addresses.map(|address| (address, write)));
    }
}

impl Packet {
    fn take(&mut self, memory: &Memory) {
        let (start, bytes) = memory.packet();
        self.start = start;
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
    }

    /// Follows a store, which leaves the packet where it is.
    fn store(&mut self, addresses: Range<u32>, memory: &Memory) {
        let (start, bytes) = memory.packet();
        let place = |address: u32| address.checked_sub(start).map(|place| place as usize);
        if let (Some(from), Some(to)) = (place(addresses.start), place(addresses.end))
            && let (Some(own), Some(now)) = (self.bytes.get_mut(from..to), bytes.get(from..to))
        {
            own.copy_from_slice(now);
        }
    }

    /// The addresses at which the packet of now has another byte, or this one none.
    fn changed(&self, memory: &Memory) -> Vec<u32> {
        let (start, bytes) = memory.packet();
        let before = |address: u32| self.bytes.get(address.checked_sub(self.start)? as usize);
        let now = (start..).zip(bytes);
        now.filter(|(address, byte)| before(*address) != Some(byte))
            .map(|(address, _)| address)
            .collect()
    }
}

/// The addresses that an instruction stores to.
fn stored(insn: Insn, step: &Step) -> Option<Range<u32>> {
    const LOAD_ACQUIRE: i32 = 0x100;
    const ATOMIC: u8 = 0xc0;
    let stores = match insn.class() {
        class::ST => true,
        class::STX => insn.code & 0xe0 != ATOMIC || insn.imm != LOAD_ACQUIRE,
        _ => false,
    };
    let size = match insn.code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    };
    let base = step.registers.get(usize::from(insn.dst))?.value;
    let start = Pointer(base)
        .address()
        .wrapping_add_signed(i32::from(insn.off));
    stores.then(|| start..start.saturating_add(size))
}

impl Step {
    /// The next operation of a function, and its instruction.
    pub(super) fn of(
        id: ProgramId,
        program: &Program,
        state: &State,
        memory: &Memory,
    ) -> Option<(Self, Insn)> {
        let instruction = *program.decoded.slots.get(state.pc)?;
        let step = Self {
            program: id,
            instruction,
            registers: state
                .registers
                .all()
                .map(|value| Register::new(value, memory)),
        };
        Some((step, *program.insns.get(instruction as usize)?))
    }
}
