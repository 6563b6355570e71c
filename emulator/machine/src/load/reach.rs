//! Which instructions a program can get to, given the constants that it is loaded with.
//!
//! Objects carry code for kernels and configurations other than the one at hand, behind tests of
//! read-only globals, kernel configuration and CO-RE existence checks. The verifier knows these values
//! and never looks at what they exclude; so what such code needs must not be refused here either.
//!
//! This is constant propagation over registers. Where paths meet, values that differ are forgotten, and
//! the stack is not followed, so more may be called reachable than the verifier would say, never less.

use std::collections::BTreeMap;

use super::assemble::Assembly;
use super::check::slots;
use super::constant::{self, Value};
use super::image::Images;
use crate::isa::{self, Insn, class, pseudo};
use crate::object::Reference;

/// What is known of r0 to r10.
type Registers = [Value; 11];

const NOTHING: Registers = [Value::Unknown; 11];

struct Walk<'a> {
    assembly: &'a Assembly,
    images: &'a Images<'a>,
    reached: Vec<bool>,
    /// Where paths may meet: the targets of jumps and the starts of functions.
    meets: Vec<bool>,
    /// What is known there, if anything has come there.
    known: BTreeMap<u32, Registers>,
    pending: Vec<u32>,
}

/// For each slot whether the program can get there.
pub(super) fn reachable(assembly: &Assembly, images: &Images<'_>) -> Vec<bool> {
    let len = assembly.insns.len();
    let mut walk = Walk {
        assembly,
        images,
        reached: vec![false; len],
        meets: vec![false; len],
        known: BTreeMap::new(),
        pending: Vec::new(),
    };
    for (slot, insn) in slots(&assembly.insns) {
        if let Some(meets) = target(slot, insn).and_then(|at| walk.meets.get_mut(at as usize)) {
            *meets = true;
        }
    }
    walk.arrive(0, NOTHING);
    while let Some(slot) = walk.pending.pop() {
        walk.run(slot);
    }
    walk.reached
}

/// The slot that an instruction refers to: a jump's or call's target, a function pointer.
pub(super) fn target(slot: u32, insn: Insn) -> Option<u32> {
    let relative = match (insn.class(), insn.code) {
        (_, isa::CALL) if insn.src == pseudo::CALL => insn.imm,
        (_, isa::CALL | isa::CALLX | isa::EXIT) => return None,
        (_, isa::LD_IMM64) if insn.src == pseudo::FUNC => insn.imm,
        (class::JMP32, 0x06) => insn.imm,
        (class::JMP | class::JMP32, _) => i32::from(insn.off),
        _ => return None,
    };
    u32::try_from(i64::from(slot) + 1 + i64::from(relative)).ok()
}

impl Walk<'_> {
    /// Joins what is known on one path to a meeting point with what other paths brought there.
    fn arrive(&mut self, slot: u32, registers: Registers) {
        let joined = match self.known.get(&slot) {
            None => registers,
            Some(known) => {
                std::array::from_fn(|register| known[register].join(registers[register]))
            }
        };
        if self.known.get(&slot) != Some(&joined) && (slot as usize) < self.reached.len() {
            self.known.insert(slot, joined);
            self.pending.push(slot);
        }
    }

    /// Follows a path from a meeting point to the next, or to its end.
    fn run(&mut self, from: u32) {
        let Some(mut registers) = self.known.get(&from).copied() else {
            return;
        };
        let mut slot = from;
        while let Some(&insn) = self.assembly.insns.get(slot as usize) {
            if slot != from && self.meets[slot as usize] {
                return self.arrive(slot, registers);
            }
            self.reached[slot as usize] = true;
            let goes_on = match insn.class() {
                class::JMP | class::JMP32 => self.jump(slot, insn, &mut registers),
                _ => {
                    self.compute(slot, insn, &mut registers);
                    true
                }
            };
            if !goes_on {
                return;
            }
            slot += if insn.is_wide() { 2 } else { 1 };
        }
    }

    /// Follows a jump or call; false when the next instruction is not reached from here.
    fn jump(&mut self, slot: u32, insn: Insn, registers: &mut Registers) -> bool {
        let to = target(slot, insn);
        match (insn.class(), insn.code & 0xf0) {
            (class::JMP, 0x80) => {
                if let Some(to) = to {
                    let arguments = self.arguments(to, registers);
                    self.arrive(to, arguments);
                }
                registers[..6].fill(Value::Unknown);
                true
            }
            (class::JMP, 0x90) => false,
            (_, 0x00) => {
                if let Some(to) = to {
                    self.arrive(to, *registers);
                }
                false
            }
            _ => {
                let holds = constant::condition(insn, registers);
                if let Some(to) = to
                    && holds != Some(false)
                {
                    let taken = constant::assume(insn, registers, true);
                    self.arrive(to, taken);
                }
                *registers = constant::assume(insn, registers, false);
                holds != Some(true)
            }
        }
    }

    /// What a function knows at its start: a static one its arguments, any other nothing, since the
    /// verifier looks at it by itself.
    fn arguments(&self, function: u32, registers: &Registers) -> Registers {
        let mut arguments = NOTHING;
        if self.assembly.statics.contains(&function) {
            arguments[1..6].copy_from_slice(&registers[1..6]);
        }
        arguments
    }

    fn compute(&mut self, slot: u32, insn: Insn, registers: &mut Registers) {
        let dst = usize::from(insn.dst);
        let value = match insn.class() {
            class::ALU | class::ALU64 => constant::alu(insn, registers),
            class::LD if insn.is_wide() => self.wide(slot, insn),
            // Packet loads of classic BPF are calls in disguise.
            class::LD => {
                registers[..6].fill(Value::Unknown);
                return;
            }
            class::LDX => self.load(insn, registers),
            class::STX if insn.code & 0xe0 == 0xc0 => {
                // An atomic operation may change its source, its destination and r0.
                registers[0] = Value::Unknown;
                if let Some(src) = registers.get_mut(usize::from(insn.src)) {
                    *src = Value::Unknown;
                }
                Value::Unknown
            }
            _ => return,
        };
        if let Some(register) = registers.get_mut(dst) {
            *register = value;
        }
    }

    fn wide(&mut self, slot: u32, insn: Insn) -> Value {
        match self.assembly.references.get(&slot) {
            Some(Reference::Value(map, offset)) => Value::Place(*map, u64::from(*offset)),
            Some(_) => Value::Unknown,
            None if insn.src == pseudo::FUNC => {
                if let Some(to) = target(slot, insn) {
                    self.arrive(to, NOTHING);
                }
                Value::Unknown
            }
            None if insn.src == 0 => {
                let high = self
                    .assembly
                    .insns
                    .get(slot as usize + 1)
                    .map_or(0, |insn| insn.imm);
                Value::Number(u64::from(insn.imm as u32) | u64::from(high as u32) << 32)
            }
            None => Value::Unknown,
        }
    }

    /// A load from read-only global data is a constant.
    fn load(&self, insn: Insn, registers: &Registers) -> Value {
        let Some(Value::Place(map, start)) = registers.get(usize::from(insn.src)) else {
            return Value::Unknown;
        };
        let offset = start.wrapping_add_signed(i64::from(insn.off));
        let width = match insn.code & 0x18 {
            0x10 => 1,
            0x08 => 2,
            0x00 => 4,
            _ => 8,
        };
        let bytes = self.images.constant(*map, offset, width);
        let value = bytes.map(|bytes| {
            let mut value = [0; 8];
            value[..width].copy_from_slice(bytes);
            u64::from_le_bytes(value)
        });
        let unused = 64 - width as u32 * 8;
        match (value, insn.code & 0xe0) {
            (Some(value), 0x60) => Value::Number(value),
            (Some(value), 0x80) => Value::Number(((value << unused) as i64 >> unused) as u64),
            _ => Value::Unknown,
        }
    }
}
