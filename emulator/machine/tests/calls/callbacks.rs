//! Helpers that call a function of the program: `bpf_loop` and `bpf_for_each_map_elem`.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;
use twinpath_machine::engine::Checked;
use twinpath_machine::isa::{Insn, pseudo};
use twinpath_machine::{HelperId, MapDef, MapFlags, MapType, Placement};

use super::asm::{self, Width, alu_x, cond, exit, jump_k, lddw, ldx, mov, movr, op, stx};
use super::code::{Functions, TRACE_SIZE, add, helper, map, record, unknown};
use super::rig::{Plan, hold_equal};

/// The map that is walked.
const WALKED: usize = 1;
/// Where a frame keeps what its callbacks add to.
const SUM: i16 = -16;
const SPARE: i16 = -24;

const WALKABLE: [MapType; 6] = [
    MapType::Array,
    MapType::PerCpuArray,
    MapType::Hash,
    MapType::LruHash,
    MapType::PerCpuHash,
    MapType::LruPerCpuHash,
];

/// A helper call that calls back.
#[derive(Debug, Clone)]
enum Call {
    Loop {
        rounds: u64,
        /// Whether the verifier knows how many.
        known: bool,
        flags: u64,
        body: Vec<Act>,
    },
    Walk {
        flags: u64,
        body: Vec<Act>,
    },
}

/// What a callback does.
#[derive(Debug, Clone)]
enum Act {
    /// Records the index; in a walk through an array the key.
    Record,
    /// Adds the index, or key and value, to the caller's sum.
    Sum,
    /// Ends the loop, when so much was summed or, in a walk, so many elements were seen.
    StopAt(u8),
    /// In a walk: writes to the value.
    Write(u8),
    /// In a walk: deletes the element.
    Delete,
    Nested(Call),
}

/// Calls and the map that is walked, with what it holds.
#[derive(Debug, Clone)]
struct Calls {
    kind: MapType,
    contents: BTreeMap<u8, u32>,
    calls: Vec<Call>,
}

fn rounds() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0..20u64,
        1 => Just((1 << 23) + 1),
        1 => Just(0xffff_ffff),
        1 => Just(1 << 32),
        1 => Just(u64::MAX),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let leaf = prop_oneof![
        3 => Just(Act::Record),
        3 => Just(Act::Sum),
        2 => (0..30u8).prop_map(Act::StopAt),
        1 => any::<u8>().prop_map(Act::Write),
        1 => Just(Act::Delete),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| call_of(inner).prop_map(Act::Nested))
}

fn call_of(act: impl Strategy<Value = Act> + Clone) -> impl Strategy<Value = Call> {
    let flags = || prop_oneof![9 => Just(0u64), 1 => Just(1), 1 => Just(1 << 40)];
    prop_oneof![
        (rounds(), any::<bool>(), flags(), vec(act.clone(), 0..4)).prop_map(
            |(rounds, known, flags, body)| Call::Loop {
                rounds,
                known,
                flags,
                body
            }
        ),
        (flags(), vec(act, 0..4)).prop_map(|(flags, body)| Call::Walk { flags, body }),
    ]
}

fn calls() -> impl Strategy<Value = Calls> {
    let kind = prop::sample::select(WALKABLE.to_vec());
    let contents = btree_map(0..12u8, any::<u32>(), 0..10);
    let calls = vec(call_of(act().boxed()), 1..4);
    (kind, contents, calls).prop_map(|(kind, contents, calls)| Calls {
        kind,
        contents,
        calls,
    })
}

/// How a function is called back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Loop,
    Walk,
}

struct Builder {
    functions: Functions,
    kind: MapType,
    /// How many callbacks are around the function that is made.
    depth: usize,
}

impl Builder {
    fn ordered(&self) -> bool {
        matches!(self.kind, MapType::Array | MapType::PerCpuArray)
    }

    /// Calls a helper with a callback, which gets the place of this frame's sum; its result goes into r7.
    fn call(&mut self, call: &Call, insns: &mut Vec<Insn>, calls: &mut Vec<(usize, usize)>) {
        let callee = self.functions.reserve();
        let (id, flags) = match call {
            Call::Loop {
                rounds,
                known,
                flags,
                body,
            } => {
                self.callback(callee, Role::Loop, body);
                // Linux 6.18 removes a callback that is never called as dead, and then misses it ("verifier bug: No
                // program to jit").
                match *known && *rounds != 0 {
                    true => insns.extend(lddw(1, 0, *rounds)),
                    false => insns.extend(unknown(*rounds)),
                }
                (HelperId::LOOP, *flags)
            }
            Call::Walk { flags, body } => {
                self.callback(callee, Role::Walk, body);
                insns.extend(map(1, WALKED));
                (HelperId::FOR_EACH_MAP_ELEM, *flags)
            }
        };
        calls.push((insns.len(), callee));
        insns.extend(lddw(2, pseudo::FUNC, 0));
        insns.extend([movr(3, 10), add(3, i32::from(SUM))]);
        insns.extend(lddw(4, 0, flags));
        insns.extend([helper(id), movr(7, 0)]);
    }

    /// A callback: r6 is the caller's sum, r8 the index or the key's pointer, r9 the value's pointer.
    fn callback(&mut self, number: usize, role: Role, body: &[Act]) {
        let mut insns = match role {
            Role::Loop => vec![movr(6, 2), movr(8, 1)],
            Role::Walk => vec![movr(6, 4), movr(8, 2), movr(9, 3)],
        };
        insns.push(asm::st(Width::D, 10, SUM, 0));
        let mut calls = Vec::new();
        self.depth += 1;
        for act in body {
            self.act(act, role, &mut insns, &mut calls);
        }
        self.depth -= 1;
        insns.extend([mov(0, 0), exit()]);
        self.functions.set(number, insns, calls);
    }

    fn act(
        &mut self,
        act: &Act,
        role: Role,
        insns: &mut Vec<Insn>,
        calls: &mut Vec<(usize, usize)>,
    ) {
        let sum = |insns: &mut Vec<Insn>, from: u8| {
            insns.extend([
                ldx(Width::D, 1, 6, 0),
                alu_x(true, op::ADD, 1, from, 0),
                stx(Width::D, 6, 0, 1),
            ]);
        };
        match (act, role) {
            (Act::Record, Role::Loop) => {
                insns.push(movr(7, 8));
                insns.extend(record());
            }
            // The order of a hash is the kernel's own.
            (Act::Record, Role::Walk) if self.ordered() => {
                insns.push(ldx(Width::W, 7, 8, 0));
                insns.extend(record());
            }
            (Act::Sum, Role::Loop) => sum(insns, 8),
            (Act::Sum, Role::Walk) => {
                insns.push(ldx(Width::W, 2, 8, 0));
                sum(insns, 2);
                insns.push(ldx(Width::D, 2, 9, 0));
                sum(insns, 2);
            }
            (Act::StopAt(at), Role::Loop) => insns.extend([
                ldx(Width::D, 1, 6, 0),
                jump_k(true, cond::JLE, 1, i32::from(*at), 2),
                mov(0, 1),
                exit(),
            ]),
            (Act::StopAt(at), Role::Walk) if self.ordered() => insns.extend([
                ldx(Width::W, 1, 8, 0),
                jump_k(true, cond::JLE, 1, i32::from(*at), 2),
                mov(0, 1),
                exit(),
            ]),
            (Act::Write(value), Role::Walk) => insns.extend([
                ldx(Width::D, 1, 9, 0),
                add(1, i32::from(*value)),
                stx(Width::D, 9, 0, 1),
            ]),
            // Who deletes from within another walk of a hash sees its order.
            (Act::Delete, Role::Walk) if self.ordered() || self.depth == 1 => {
                insns.extend([ldx(Width::W, 1, 8, 0), stx(Width::W, 10, SPARE, 1)]);
                insns.extend(map(1, WALKED));
                insns.extend([movr(2, 10), add(2, i32::from(SPARE))]);
                insns.push(helper(HelperId::MAP_DELETE_ELEM));
                insns.push(movr(7, 0));
                if self.ordered() {
                    insns.extend(record());
                }
            }
            (Act::Nested(call), _) => {
                self.call(call, insns, calls);
                insns.extend(record());
            }
            _ => {}
        }
    }
}

fn plan(calls: &Calls) -> Plan {
    let mut builder = Builder {
        functions: Functions::default(),
        kind: calls.kind,
        depth: 0,
    };
    let entry = builder.functions.reserve();
    let mut insns = vec![asm::st(Width::D, 10, SUM, 0)];
    let mut called = Vec::new();
    for call in &calls.calls {
        builder.call(call, &mut insns, &mut called);
        insns.extend(record());
        insns.push(ldx(Width::D, 7, 10, SUM));
        insns.extend(record());
    }
    insns.extend([mov(0, 1), exit()]);
    builder.functions.set(entry, insns, called);
    let entries = if builder.ordered() { 12 } else { 64 };
    let contents = calls.contents.iter().map(|(key, value)| {
        let value = u64::from(*value).to_ne_bytes();
        let key = u32::from(*key).to_ne_bytes();
        (WALKED, key.to_vec(), value.to_vec())
    });
    Plan {
        maps: vec![
            MapDef::new(MapType::Array, 4, TRACE_SIZE, 1),
            MapDef::new(calls.kind, 4, 8, entries),
        ],
        contents: contents.collect(),
        programs: vec![builder.functions.link()],
        entries: Vec::new(),
    }
}

#[test]
fn random_callbacks() {
    hold_equal("callbacks", calls(), plan);
}

/// Maps that cannot be walked: the verifier and the engine refuse them all.
#[test]
fn maps_without_elements_to_walk() {
    if let Some(reason) = twinpath_bpf::missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    let mut trie = MapDef::new(MapType::LpmTrie, 8, 8, 4);
    trie.flags = MapFlags(MapFlags::NO_PREALLOC);
    let walk = Calls {
        kind: MapType::Hash,
        contents: BTreeMap::new(),
        calls: vec![Call::Walk {
            flags: 0,
            body: Vec::new(),
        }],
    };
    for def in [
        trie,
        MapDef::new(MapType::Queue, 0, 8, 4),
        MapDef::new(MapType::Stack, 0, 8, 4),
        MapDef::new(MapType::BloomFilter, 0, 8, 4),
        MapDef::new(MapType::ProgArray, 4, 4, 4),
        MapDef::new(MapType::PerfEventArray, 4, 4, 4),
        MapDef::new(MapType::CgroupArray, 4, 4, 4),
        MapDef::new(MapType::DevMap, 4, 4, 4),
        MapDef::new(MapType::DevMapHash, 4, 4, 4),
        MapDef::new(MapType::CpuMap, 4, 4, 2),
        MapDef::new(MapType::XskMap, 4, 4, 4),
        MapDef::new(MapType::SockMap, 4, 4, 4),
        MapDef::new(MapType::SockHash, 4, 4, 4),
        MapDef::new(MapType::RingBuf, 0, 0, 4096),
    ] {
        let kind = def.kind;
        let mut plan = plan(&walk);
        plan.maps[WALKED] = def;
        let refusal = plan.in_kernel().expect_err("the verifier refuses");
        assert!(refusal.contains("map"), "{kind}: {refusal}");
        let fault = plan.on(&mut Checked::default(), Placement::Anywhere);
        let fault = fault.expect_err("the engine refuses");
        assert!(fault.contains(kind.name()), "{kind}: {fault}");
    }
}
