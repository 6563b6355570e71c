//! Which instructions a program can get to, given the constants that it is loaded with.
//!
//! Objects carry code for kernels and configurations other than the one at hand, behind tests of
//! read-only globals, kernel configuration and CO-RE existence checks. The verifier knows these values
//! and never looks at what they exclude; so what such code needs must not be refused here either.
//!
//! This is constant propagation over registers and what is put aside on the stack. A static function is looked
//! at for each set of arguments by itself, as far as there are few. Where paths meet, values that differ are
//! forgotten, so more may be called reachable than the verifier would say, never less.

use std::collections::BTreeMap;

use super::assemble::Assembly;
use super::check::slots;
use super::constant::{self, Value};
use super::image::Images;
use super::state::State;
use crate::engine::calls_back;
use crate::helpers::HelperId;
use crate::isa::{self, Insn, class, pseudo};
use crate::object::Reference;

/// A slot, as part of a function that was called in a certain way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    call: usize,
    slot: u32,
}

/// A function, and what it gets in r1 to r5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Call {
    function: u32,
    arguments: [Value; 5],
}

/// Arguments of which nothing is known.
const NOTHING: [Value; 5] = [Value::Unknown; 5];

/// How many calls of a function with arguments of their own are looked at.
const MAX_CALLS: usize = 32;

struct Walk<'a> {
    assembly: &'a Assembly,
    images: &'a Images<'a>,
    reached: Vec<bool>,
    /// Where paths may meet: the targets of jumps and the starts of functions.
    meets: Vec<bool>,
    /// What is known there, if anything has come there.
    known: BTreeMap<At, State>,
    pending: Vec<At>,
    /// In what ways functions are called; the program itself first.
    calls: Vec<Call>,
    /// What calls return, once a path has come to an end of theirs.
    results: BTreeMap<usize, Value>,
    /// From where each call is made, with what is known behind it but for the result.
    callers: BTreeMap<usize, BTreeMap<At, State>>,
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
        calls: Vec::new(),
        results: BTreeMap::new(),
        callers: BTreeMap::new(),
    };
    for (slot, insn) in slots(&assembly.insns) {
        if let Some(to) = target(slot, insn)
            && let Some(meets) = walk.meets.get_mut(to as usize)
        {
            *meets = true;
        }
    }
    walk.enter(0, NOTHING);
    while let Some(at) = walk.pending.pop() {
        walk.run(at);
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
    fn arrive(&mut self, at: At, state: State) {
        let joined = match self.known.get(&at) {
            None => state,
            Some(known) => known.join(&state),
        };
        if self.known.get(&at) != Some(&joined) && (at.slot as usize) < self.reached.len() {
            self.known.insert(at, joined);
            self.pending.push(at);
        }
    }

    /// Looks at a function that gets these arguments, unless that was done; the call's number.
    fn enter(&mut self, function: u32, arguments: [Value; 5]) -> usize {
        let mut call = Call {
            function,
            arguments,
        };
        let others = self.calls.iter().filter(|other| other.function == function);
        if !self.calls.contains(&call) && others.count() >= MAX_CALLS {
            call.arguments = NOTHING;
        }
        if let Some(known) = self.calls.iter().position(|known| *known == call) {
            return known;
        }
        self.calls.push(call);
        let number = self.calls.len() - 1;
        let start = At {
            call: number,
            slot: function,
        };
        self.arrive(start, State::new(call.arguments));
        number
    }

    /// Follows a path from a meeting point to the next, or to its end.
    fn run(&mut self, from: At) {
        let Some(mut state) = self.known.get(&from).cloned() else {
            return;
        };
        let mut at = from;
        while let Some(&insn) = self.assembly.insns.get(at.slot as usize) {
            if at != from && self.meets[at.slot as usize] {
                return self.arrive(at, state);
            }
            self.reached[at.slot as usize] = true;
            let goes_on = match insn.class() {
                class::JMP | class::JMP32 => self.jump(at, insn, &mut state),
                _ => {
                    self.compute(at.slot, insn, &mut state);
                    true
                }
            };
            if !goes_on {
                return;
            }
            at.slot += if insn.is_wide() { 2 } else { 1 };
        }
    }

    /// Follows a jump or call; false when the next instruction is not reached from here.
    fn jump(&mut self, at: At, insn: Insn, state: &mut State) -> bool {
        let to = target(at.slot, insn);
        let there = to.map(|slot| At { slot, ..at });
        match (insn.class(), insn.code & 0xf0) {
            (class::JMP, 0x80) => match to {
                Some(to) => self.call(at, to, state),
                None => {
                    leave_to_helper(insn, state);
                    true
                }
            },
            (class::JMP, 0x90) => {
                self.end(at.call, state);
                false
            }
            (_, 0x00) => {
                if let Some(there) = there {
                    self.arrive(there, state.clone());
                }
                false
            }
            _ => {
                let holds = constant::condition(insn, &state.registers);
                if let Some(there) = there
                    && holds != Some(false)
                {
                    let mut taken = state.clone();
                    taken.registers = constant::assume(insn, &state.registers, true);
                    self.arrive(there, taken);
                }
                state.registers = constant::assume(insn, &state.registers, false);
                holds != Some(true)
            }
        }
    }

    /// Calls a function. A static one knows its arguments, and what it returns is known when it has come to
    /// its end. The verifier looks at any other by itself.
    fn call(&mut self, at: At, function: u32, state: &mut State) -> bool {
        let is_static = self.assembly.statics.contains(&function);
        let call = self.enter(
            function,
            if is_static {
                state.arguments()
            } else {
                NOTHING
            },
        );
        state.give_to_function();
        state.returned(Value::Unknown);
        if is_static {
            let callers = self.callers.entry(call).or_default();
            callers.insert(at, state.clone());
            if let Some(result) = self.results.get(&call).copied() {
                self.go_on(at, state.clone(), result);
            }
        }
        !is_static
    }

    /// The end of a function: its callers go on, with what it returns.
    fn end(&mut self, call: usize, state: &State) {
        let result = state.registers[0].of_another_frame();
        let before = self.results.get(&call).copied();
        let result = before.map_or(result, |before| before.join(result));
        if before != Some(result) {
            self.results.insert(call, result);
            for (at, state) in self.callers.get(&call).cloned().unwrap_or_default() {
                self.go_on(at, state, result);
            }
        }
    }

    fn go_on(&mut self, at: At, mut state: State, result: Value) {
        state.returned(result);
        let slot = at.slot + 1;
        self.arrive(At { slot, ..at }, state);
    }

    fn compute(&mut self, slot: u32, insn: Insn, state: &mut State) {
        let size = match insn.code & 0x18 {
            0x10 => 1,
            0x08 => 2,
            0x00 => 4,
            _ => 8,
        };
        match insn.class() {
            class::ALU | class::ALU64 => {
                state.set(insn.dst, constant::alu(insn, &state.registers));
            }
            class::LD if insn.is_wide() => {
                let value = self.wide(slot, insn);
                state.set(insn.dst, value);
            }
            // Packet loads of classic BPF are calls in disguise.
            class::LD => state.returned(Value::Unknown),
            class::LDX => state.set(insn.dst, self.load(insn, size, state)),
            class::STX if insn.code & 0xe0 == 0xc0 => match insn.imm {
                LOAD_ACQUIRE => state.set(insn.dst, Value::Anything),
                STORE_RELEASE => store(insn, size, state.register(insn.src), state),
                _ => state.exchange(
                    at_offset(state.register(insn.dst), insn.off),
                    insn.src,
                    size,
                ),
            },
            class::STX => store(insn, size, state.register(insn.src), state),
            class::ST => store(insn, size, Value::Number(i64::from(insn.imm) as u64), state),
            _ => {}
        }
    }

    fn wide(&mut self, slot: u32, insn: Insn) -> Value {
        match self.assembly.references.get(&slot) {
            Some(Reference::Value(map, offset)) => Value::Place(*map, u64::from(*offset)),
            Some(_) => Value::Unknown,
            None if insn.src == pseudo::FUNC => {
                if let Some(to) = target(slot, insn) {
                    self.enter(to, NOTHING);
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

    /// A load from read-only global data is a constant, and one from the stack what was put there.
    fn load(&self, insn: Insn, size: u8, state: &State) -> Value {
        let is_signed = insn.code & 0xe0 == 0x80;
        match state.register(insn.src) {
            Value::Place(map, start) => {
                let offset = start.wrapping_add_signed(i64::from(insn.off));
                let bytes = self.images.constant(map, offset, usize::from(size));
                bytes.map_or(Value::Unknown, |bytes| {
                    Value::Number(word(bytes, is_signed))
                })
            }
            from if from.may_point_into_frame() && !is_signed => {
                state.load(at_offset(from, insn.off), size)
            }
            _ => Value::Unknown,
        }
    }
}

const LOAD_ACQUIRE: i32 = 0x100;
const STORE_RELEASE: i32 = 0x110;

fn at_offset(pointer: Value, offset: i16) -> Value {
    match pointer {
        Value::Frame(at) => Value::Frame(at.saturating_add(i64::from(offset))),
        other => other,
    }
}

fn store(insn: Insn, size: u8, value: Value, state: &mut State) {
    let to = at_offset(state.register(insn.dst), insn.off);
    state.store(to, size, value);
}

/// The number in at most eight bytes.
fn word(bytes: &[u8], is_signed: bool) -> u64 {
    let mut value = [0; 8];
    value[..bytes.len()].copy_from_slice(bytes);
    let value = u64::from_le_bytes(value);
    let unused = 64 - bytes.len() as u32 * 8;
    match is_signed {
        true => ((value << unused) as i64 >> unused) as u64,
        false => value,
    }
}

/// A helper writes at most where its arguments point; a function that it calls may write anywhere in the
/// frame, and what gives slices may give a pointer that it got.
fn leave_to_helper(insn: Insn, state: &mut State) {
    let helper = HelperId(insn.imm as u32);
    let is_helper = insn.code == isa::CALL && insn.src == 0;
    let gives = state.gives_frame();
    match helper {
        _ if is_helper && only_reads(helper) => {}
        _ if is_helper && !calls_back(helper) => state.give_to_helper(),
        _ => state.give_to_function(),
    }
    let may_give_back =
        !is_helper || helper.is_kernel_function() || helper == HelperId::DYNPTR_DATA;
    state.returned(match gives && may_give_back {
        true => Value::Anything,
        false => Value::Unknown,
    });
}

/// Whether a helper writes nothing where its arguments point (no argument with `MEM_UNINIT` or `MEM_WRITE`).
const fn only_reads(helper: HelperId) -> bool {
    use HelperId as H;
    matches!(
        helper,
        H::MAP_LOOKUP_ELEM
            | H::MAP_UPDATE_ELEM
            | H::MAP_DELETE_ELEM
            | H::MAP_PUSH_ELEM
            | H::MAP_LOOKUP_PERCPU_ELEM
            | H::TRACE_PRINTK
            | H::TRACE_VPRINTK
            | H::PERF_EVENT_OUTPUT
            | H::RINGBUF_OUTPUT
            | H::STRNCMP
            | H::CSUM_DIFF
            | H::SKB_STORE_BYTES
            | H::XDP_STORE_BYTES
            | H::SKB_SET_TUNNEL_KEY
            | H::SKB_SET_TUNNEL_OPT
            | H::REDIRECT_NEIGH
            | H::SK_LOOKUP_TCP
            | H::SK_LOOKUP_UDP
            | H::SKC_LOOKUP_TCP
            | H::SK_STORAGE_GET
            | H::BIND
            | H::SETSOCKOPT
    )
}
