//! Where a program reads behind a pointer that a helper gave it to one of the kernel's own structures.
//!
//! Such structures are not here, so that only the pointer itself can be used: tested, given to helpers.
//! This follows the pointers through registers, calls and the frame's stack. A pointer that goes another
//! way, such as through memory that a function got from its caller, is a fault when it is read through.

use std::collections::BTreeMap;

use super::check::slots;
use super::reach::target;
use crate::helpers::HelperId;
use crate::isa::{self, Insn, SOURCE_X, class, pseudo};

/// Slots of 8 bytes in a frame's stack.
const STACK: usize = 64;
const FRAME_POINTER: u8 = 10;

/// A set of helpers: those that may have given a pointer. Bit n is the n-th of [`HELPERS`].
type Givers = u8;

/// The helpers that give pointers to the kernel's own structures.
const HELPERS: [HelperId; 7] = [
    HelperId::SKC_TO_TCP6_SOCK,
    HelperId::SKC_TO_TCP_SOCK,
    HelperId::SKC_TO_TCP_TIMEWAIT_SOCK,
    HelperId::SKC_TO_TCP_REQUEST_SOCK,
    HelperId::SKC_TO_UDP6_SOCK,
    HelperId::SKC_TO_UNIX_SOCK,
    HelperId::SKC_TO_MPTCP_SOCK,
];

/// Who may have given what a frame holds.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Frame {
    registers: [Givers; 11],
    stack: [Givers; STACK],
}

impl Frame {
    const EMPTY: Self = Self {
        registers: [0; 11],
        stack: [0; STACK],
    };

    fn register(&self, number: u8) -> Givers {
        self.registers
            .get(usize::from(number))
            .copied()
            .unwrap_or(0)
    }

    fn set(&mut self, number: u8, givers: Givers) {
        if let Some(register) = self.registers.get_mut(usize::from(number)) {
            *register = givers;
        }
    }

    fn join(&mut self, other: &Self) -> bool {
        let before = *self;
        let mine = self.registers.iter_mut().chain(&mut self.stack);
        let others = other.registers.iter().chain(&other.stack);
        mine.zip(others).for_each(|(mine, other)| *mine |= other);
        before != *self
    }
}

/// The slot of the stack that an access through the frame pointer touches.
fn stack_slot(base: u8, offset: i16) -> Option<usize> {
    let place = usize::try_from(STACK as i32 * 8 + i32::from(offset)).ok()? / 8;
    (base == FRAME_POINTER && place < STACK).then_some(place)
}

struct Walk<'a> {
    insns: &'a [Insn],
    reached: &'a [bool],
    /// The function that each slot belongs to, by its first slot.
    functions: Vec<u32>,
    known: BTreeMap<u32, Frame>,
    pending: Vec<u32>,
    /// What functions return, and where they are called.
    returned: BTreeMap<u32, Givers>,
    callers: BTreeMap<u32, Vec<u32>>,
    found: BTreeMap<u32, Givers>,
}

/// Each access behind such a pointer, with the helper that gave it.
pub(super) fn accesses(insns: &[Insn], reached: &[bool]) -> Vec<(u32, HelperId)> {
    let gives = |(slot, insn): (u32, Insn)| reached[slot as usize] && giver(insn) != 0;
    if !slots(insns).any(gives) {
        return Vec::new();
    }
    let mut walk = Walk {
        insns,
        reached,
        functions: functions(insns),
        known: BTreeMap::new(),
        pending: Vec::new(),
        returned: BTreeMap::new(),
        callers: BTreeMap::new(),
        found: BTreeMap::new(),
    };
    let starts: std::collections::BTreeSet<u32> = walk.functions.iter().copied().collect();
    for start in starts {
        walk.arrive(start, &Frame::EMPTY);
    }
    while let Some(slot) = walk.pending.pop() {
        walk.step(slot);
    }
    let named = |(slot, givers): (u32, Givers)| {
        (
            slot,
            HELPERS[givers.trailing_zeros() as usize % HELPERS.len()],
        )
    };
    walk.found.into_iter().map(named).collect()
}

/// What an instruction gives if it is a call of such a helper.
fn giver(insn: Insn) -> Givers {
    if insn.code != isa::CALL || insn.src != 0 {
        return 0;
    }
    let helper = HelperId(insn.imm as u32);
    let place = HELPERS.iter().position(|known| *known == helper);
    place.map_or(0, |place| 1 << place)
}

/// The first slot of each slot's function.
fn functions(insns: &[Insn]) -> Vec<u32> {
    let mut starts = vec![false; insns.len()];
    for (slot, insn) in slots(insns) {
        let function = match insn.code {
            isa::CALL => insn.src == pseudo::CALL,
            isa::LD_IMM64 => insn.src == pseudo::FUNC,
            _ => false,
        };
        let to = target(slot, insn).filter(|_| function);
        if let Some(start) = to.and_then(|to| starts.get_mut(to as usize)) {
            *start = true;
        }
    }
    let mut current = 0;
    let all = starts.iter().zip(0..).map(|(start, slot)| {
        if *start {
            current = slot;
        }
        current
    });
    all.collect()
}

impl Walk<'_> {
    fn arrive(&mut self, slot: u32, frame: &Frame) {
        if !self
            .reached
            .get(slot as usize)
            .is_some_and(|reached| *reached)
        {
            return;
        }
        let mut fresh = false;
        let known = self.known.entry(slot).or_insert_with(|| {
            fresh = true;
            Frame::EMPTY
        });
        if known.join(frame) || fresh {
            self.pending.push(slot);
        }
    }

    fn step(&mut self, slot: u32) {
        let (Some(frame), Some(&insn)) = (self.known.get(&slot), self.insns.get(slot as usize))
        else {
            return;
        };
        let mut frame = *frame;
        let next = slot + if insn.is_wide() { 2 } else { 1 };
        match insn.class() {
            class::JMP | class::JMP32 => {
                if !self.jump(slot, insn, &mut frame) {
                    return;
                }
            }
            class::ALU | class::ALU64 => compute(insn, &mut frame),
            class::LD if insn.is_wide() => frame.set(insn.dst, 0),
            class::LD => frame.registers[..6].fill(0),
            _ => self.access(slot, insn, &mut frame),
        }
        self.arrive(next, &frame);
    }

    /// Follows a jump or call; false when the next instruction is not reached from here.
    fn jump(&mut self, slot: u32, insn: Insn, frame: &mut Frame) -> bool {
        match insn.code {
            isa::CALL => {
                let called = target(slot, insn).filter(|_| insn.src == pseudo::CALL);
                let given = match called {
                    Some(function) => self.call(slot, function, frame),
                    None => giver(insn),
                };
                frame.registers[..6].fill(0);
                frame.registers[0] = given;
                true
            }
            isa::EXIT => {
                self.leave(slot, frame.registers[0]);
                false
            }
            isa::CALLX => true,
            _ => {
                if let Some(to) = target(slot, insn) {
                    self.arrive(to, frame);
                }
                insn.code & 0xf0 != 0
            }
        }
    }

    /// Calls a function; what it is known to return.
    fn call(&mut self, slot: u32, function: u32, frame: &Frame) -> Givers {
        let callers = self.callers.entry(function).or_default();
        if !callers.contains(&slot) {
            callers.push(slot);
        }
        let mut arguments = Frame::EMPTY;
        arguments.registers[1..6].copy_from_slice(&frame.registers[1..6]);
        self.arrive(function, &arguments);
        self.returned.get(&function).copied().unwrap_or(0)
    }

    /// Returns from a function to all that call it.
    fn leave(&mut self, slot: u32, givers: Givers) {
        let function = self.functions[slot as usize];
        let returned = self.returned.entry(function).or_default();
        if *returned | givers != *returned {
            *returned |= givers;
            let callers = self.callers.get(&function);
            self.pending.extend(callers.into_iter().flatten());
        }
    }

    /// A load, a store or an atomic operation.
    fn access(&mut self, slot: u32, insn: Insn, frame: &mut Frame) {
        const WHOLE: u8 = 0x18;
        const MEM: u8 = 0x60;
        let loads = insn.class() == class::LDX;
        let base = if loads { insn.src } else { insn.dst };
        let behind = frame.register(base);
        if behind != 0 {
            self.found.insert(slot, behind);
        }
        let place = stack_slot(base, insn.off);
        let whole = insn.code & 0xf8 == MEM | WHOLE;
        if loads {
            let loaded = place
                .filter(|_| whole)
                .map_or(0, |place| frame.stack[place]);
            frame.set(insn.dst, loaded);
        } else if let Some(place) = place {
            let stores = insn.class() == class::STX && whole;
            frame.stack[place] = if stores { frame.register(insn.src) } else { 0 };
        }
    }
}

/// A pointer stays one when it is moved, and when something is added to it.
fn compute(insn: Insn, frame: &mut Frame) {
    let source = match insn.code & SOURCE_X {
        0 => 0,
        _ => frame.register(insn.src),
    };
    let wide = insn.class() == class::ALU64;
    let kept = match insn.code & 0xf0 {
        0xb0 if wide && insn.off == 0 => source,
        0x00 | 0x10 if wide => frame.register(insn.dst) | source,
        _ => 0,
    };
    frame.set(insn.dst, kept);
}
