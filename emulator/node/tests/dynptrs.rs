//! Dynptrs of packets against the running kernel: random sequences of `bpf_dynptr_*` on random packets.
//!
//! `TWINPATH_CASES` sets how many programs each type gets, `TWINPATH_SEED` from which seed they are made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)] // These are tests.

#[path = "../../machine/tests/isa/asm.rs"]
#[allow(dead_code)] // Shared with the tests of the instruction set.
mod asm;
#[path = "../../machine/tests/helpers/choose.rs"]
#[allow(dead_code)] // Shared with the tests of general helpers.
mod choose;

use std::os::fd::AsRawFd;

use asm::{
    Width, Width::*, alu_k, call, cond, exit, insn, jump_k, lddw, ldx, mov, movr, op, st, stx,
};
use choose::{Choices, cases, seed};
use twinpath_bpf::{MapShape, ProgramSource, TestInput};
use twinpath_machine::engine::{Checked, Engine, Rbpf};
use twinpath_machine::isa::{Insn, encode, pseudo};
use twinpath_machine::object::btf::{Btf, Kind};
use twinpath_machine::{
    Cpu, HelperId, MachineOptions, Map, MapDef, MapId, MapType, Placement, Program, ProgramType,
};
use twinpath_node::{NodeId, TestRun, World};

/// Where things are in the shared value: numbers, bytes to write and to read into, results.
const NUMBERS: usize = 256;
const BUFFER: i16 = NUMBERS as i16;
const RESULTS: i16 = BUFFER + 64;
const STEPS: usize = 10;
const SIZE: usize = RESULTS as usize + 32 * STEPS;

/// Dynptrs are at r10 - 16 and r10 - 32, the buffer of slices at r10 - 96, the context in r6, the shared
/// value in r7.
const PLACES: [i32; 2] = [-16, -32];
const SLICE_BUFFER: i32 = -96;

/// A program whose calls of kernel functions are yet to get their numbers.
struct Draft {
    body: Vec<Insn>,
    functions: Vec<(usize, HelperId)>,
    numbers: i16,
    results: i16,
}

impl Draft {
    fn function(&mut self, function: HelperId) {
        self.functions.push((self.body.len(), function));
        self.body.push(call(0));
    }

    /// The next number of the input.
    fn number(&mut self, register: u8) {
        self.body.push(ldx(W, register, 7, self.numbers));
        self.numbers += 4;
    }

    fn place(&mut self, register: u8, choices: &mut Choices) {
        let place = *choices.of(&PLACES);
        self.at(register, place);
    }

    fn at(&mut self, register: u8, offset: i32) {
        self.body.extend([
            movr(register, 10),
            alu_k(true, op::ADD, register, offset, 0),
        ]);
    }

    /// Keeps what a call returned, an `int`.
    fn result(&mut self) {
        self.body.push(stx(W, 7, self.results, 0));
        self.results += 8;
    }

    fn step(&mut self, kind: ProgramType, choices: &mut Choices) {
        match choices.below(12) {
            0 => self.ask(HelperId::DYNPTR_SIZE, choices),
            1 => self.ask(HelperId::DYNPTR_IS_NULL, choices),
            2 => self.ask(HelperId::DYNPTR_IS_RDONLY, choices),
            3 => {
                self.place(1, choices);
                self.number(2);
                self.number(3);
                self.function(HelperId::DYNPTR_ADJUST);
                self.result();
            }
            4 => {
                let from = choices.below(2) as usize;
                self.at(1, PLACES[from]);
                self.at(2, PLACES[1 - from]);
                self.function(HelperId::DYNPTR_CLONE);
                self.result();
            }
            5 | 6 => {
                self.body
                    .extend([movr(1, 7), alu_k(true, op::ADD, 1, i32::from(BUFFER), 0)]);
                self.body.push(mov(2, *choices.of(&[1, 2, 14, 40, 64])));
                self.place(3, choices);
                self.number(4);
                self.body.push(mov(5, i32::from(choices.one_in(8))));
                self.body.push(call(HelperId::DYNPTR_READ.0 as i32));
                self.result();
            }
            7 => {
                self.place(1, choices);
                self.number(2);
                self.body
                    .extend([movr(3, 7), alu_k(true, op::ADD, 3, i32::from(BUFFER), 0)]);
                self.body.push(mov(4, *choices.of(&[1, 2, 14, 40, 64])));
                self.body.push(mov(5, *choices.of(&[0, 0, 0, 1, 2, 4])));
                self.body.push(call(HelperId::DYNPTR_WRITE.0 as i32));
                self.result();
            }
            8 | 9 => self.slice(HelperId::DYNPTR_SLICE, choices),
            10 if writes(kind) => self.slice(HelperId::DYNPTR_SLICE_RDWR, choices),
            10 => self.slice(HelperId::DYNPTR_SLICE, choices),
            _ => self.change(kind, choices),
        }
    }

    fn ask(&mut self, function: HelperId, choices: &mut Choices) {
        self.place(1, choices);
        self.function(function);
        // Of a `bool` the kernel sets the lowest byte.
        if function != HelperId::DYNPTR_SIZE {
            self.body.push(alu_k(true, op::AND, 0, 0xff, 0));
        }
        self.result();
    }

    /// Asks for a slice; keeps whether there is one and what it holds, and writes into it.
    fn slice(&mut self, function: HelperId, choices: &mut Choices) {
        let (width, len): (Width, i32) = *choices.of(&[(B, 1), (H, 2), (W, 4), (D, 8), (D, 40)]);
        self.place(1, choices);
        self.number(2);
        if choices.one_in(3) {
            self.body.push(mov(3, 0));
        } else {
            self.at(3, SLICE_BUFFER);
        }
        self.body.push(mov(4, len));
        self.function(function);
        let writes = function == HelperId::DYNPTR_SLICE_RDWR;
        self.body.extend([
            jump_k(true, cond::JEQ, 0, 0, if writes { 5 } else { 4 }),
            ldx(width, 1, 0, len as i16 - width.bytes()),
            stx(D, 7, self.results + 8, 1),
        ]);
        if writes {
            self.body.push(st(width, 0, 0, 0x5a5a_5a5a));
        }
        self.body.extend([mov(1, 1), stx(W, 7, self.results, 1)]);
        self.results += 16;
    }

    /// Moves the packet, or its end.
    fn change(&mut self, kind: ProgramType, choices: &mut Choices) {
        self.body.push(movr(1, 6));
        let helper = if kind == ProgramType::Xdp {
            self.body.push(mov(2, *choices.of(&[-8, -1, 4, 64])));
            *choices.of(&[HelperId::XDP_ADJUST_HEAD, HelperId::XDP_ADJUST_TAIL])
        } else if kind == ProgramType::SchedCls {
            self.body
                .extend([mov(2, *choices.of(&[20, 60, 90, 300])), mov(3, 0)]);
            *choices.of(&[HelperId::SKB_PULL_DATA, HelperId::SKB_CHANGE_TAIL])
        } else {
            self.body.extend([
                mov(2, 0),
                movr(3, 10),
                alu_k(true, op::ADD, 3, SLICE_BUFFER, 0),
                mov(4, 4),
            ]);
            HelperId::SKB_LOAD_BYTES
        };
        self.body.push(call(helper.0 as i32));
        self.result();
        if writes(kind) {
            // Of what was cut off the kernel copies whatever lies there.
            self.make(kind, 0);
        }
    }

    /// Makes both dynptrs anew.
    fn make(&mut self, kind: ProgramType, flags: i32) {
        for place in PLACES {
            self.body.extend([movr(1, 6), mov(2, flags)]);
            self.at(3, place);
            self.function(match kind {
                ProgramType::Xdp => HelperId::DYNPTR_FROM_XDP,
                _ => HelperId::DYNPTR_FROM_SKB,
            });
            self.body
                .push(stx(W, 7, RESULTS + 8 * i16::from(place == PLACES[0]), 0));
        }
    }

    /// A random program.
    fn new(kind: ProgramType, choices: &mut Choices) -> Self {
        let mut draft = Self {
            body: vec![
                movr(6, 1),
                st(W, 10, -4, 0),
                movr(2, 10),
                alu_k(true, op::ADD, 2, -4, 0),
            ],
            functions: Vec::new(),
            numbers: 0,
            results: RESULTS,
        };
        draft.body.extend(lddw(1, pseudo::MAP_FD, 0));
        draft.body.extend([
            call(HelperId::MAP_LOOKUP_ELEM.0 as i32),
            jump_k(true, cond::JNE, 0, 0, 2),
            mov(0, 0),
            exit(),
            movr(7, 0),
        ]);
        for at in (SLICE_BUFFER..SLICE_BUFFER + 40).step_by(8) {
            draft.body.push(st(D, 10, at as i16, at));
        }
        draft.make(kind, i32::from(choices.one_in(12)));
        draft.results += 16;
        for _ in 0..1 + choices.below(STEPS as u64 - 2) {
            draft.step(kind, choices);
        }
        draft.body.extend([mov(0, 1), exit()]);
        draft
    }

    /// The program with the map's number and those of the functions, which are `source`'s.
    fn with(&self, map: i32, source: u8, number: impl Fn(HelperId) -> i32) -> Vec<Insn> {
        let mut insns = self.body.clone();
        for load in insns.iter_mut().filter(|insn| insn.is_wide()) {
            load.imm = map;
        }
        for &(at, function) in &self.functions {
            insns[at] = insn(0x85, 0, source, 0, number(function));
        }
        insns
    }
}

/// Whether programs of a type may write packets.
fn writes(kind: ProgramType) -> bool {
    matches!(kind, ProgramType::Xdp | ProgramType::SchedCls)
}

/// The numbers of the kernel's functions.
fn functions() -> Vec<(HelperId, i32)> {
    let btf = Btf::of_running_kernel().unwrap();
    btf.types()
        .filter(|(_, of)| matches!(of.kind, Kind::Function { .. }))
        .filter_map(|(id, of)| Some((HelperId::kernel_function(of.name)?, id.0 as i32)))
        .collect()
}

/// The machine's side.
struct Ours {
    world: World,
    node: NodeId,
    map: MapId,
}

impl Ours {
    fn new<E: Engine + Default + 'static>(placement: Placement) -> Self {
        let engines = Box::new(|| Box::<E>::default() as Box<dyn Engine>);
        let options = MachineOptions {
            placement,
            memory: 64 << 20,
            ..MachineOptions::default()
        };
        let mut world = World::new(options, engines).unwrap();
        let node = world.add_node();
        let memory = &mut world.machine.memory;
        let map = Map::new(MapDef::new(MapType::Array, 4, SIZE as u32, 1), memory, 1).unwrap();
        let map = world.machine.maps.push(map);
        Self { world, node, map }
    }

    /// What the program leaves: the packet and the shared value.
    fn run(&mut self, kind: ProgramType, draft: &Draft, packet: &[u8], shared: &[u8]) -> Left {
        let insns = draft.with(self.map.0 as i32, 0, |function| function.0 as i32);
        let program = Program::bare("dynptrs", kind, insns, &|_, _, _| None).unwrap();
        let program = self.world.machine.add_program(program);
        let machine = &mut self.world.machine;
        let address = machine.maps[self.map].lookup(&[0; 4], Cpu(0)).unwrap();
        let value = machine.memory.raw_mut(address, SIZE as u32);
        value.copy_from_slice(shared);
        let run = TestRun {
            program,
            node: self.node,
            data: packet,
            context: None,
            checksum_complete: false,
        };
        let result = self.world.test_run(run).expect("the kernel runs it");
        let value = self.world.machine.memory.raw(address, SIZE as u32);
        (result.data, value.to_vec())
    }
}

type Left = (Vec<u8>, Vec<u8>);

fn packet(kind: ProgramType, choices: &mut Choices) -> Vec<u8> {
    let len = match choices.below(8) {
        // Packets of several pages.
        0 if kind == ProgramType::Xdp => 3500 + choices.below(6000),
        _ => 60 + choices.below(200),
    };
    let mut packet: Vec<u8> = (0..len).map(|_| choices.u64() as u8).collect();
    packet[12..14].copy_from_slice(&[0x88, 0xb5]);
    packet
}

fn shared(len: usize, choices: &mut Choices) -> Vec<u8> {
    let mut shared = vec![0; SIZE];
    for slot in shared[..NUMBERS].chunks_mut(4) {
        let number = match choices.below(10) {
            0 => choices.magnitude(),
            1 => (len as u64 + choices.below(5)).saturating_sub(2),
            2 => 3520 + choices.below(300),
            3 => choices.below(len as u64 + 1),
            _ => choices.below(60),
        };
        slot.copy_from_slice(&(number as u32).to_le_bytes());
    }
    for byte in &mut shared[NUMBERS..RESULTS as usize] {
        *byte = choices.u64() as u8;
    }
    shared
}

/// Shows a program and what it left on both sides.
fn explain(draft: &Draft, shared: &[u8], ours: &Left, theirs: &Left) {
    let name = |at: usize| draft.functions.iter().find(|(known, _)| *known == at);
    for (at, insn) in draft.body.iter().enumerate() {
        let function = name(at).map(|(_, function)| function.name());
        eprintln!("{at}: {insn:?} {function:?}");
    }
    eprintln!("numbers {:x?}", &shared[..NUMBERS]);
    let results = |left: &Left| left.1[BUFFER as usize..].to_vec();
    eprintln!("ours   {:x?}\ntheirs {:x?}", results(ours), results(theirs));
    eprintln!("the packets are equal: {}", ours.0 == theirs.0);
}

fn hold_equal(kind: ProgramType) {
    if let Some(reason) = twinpath_bpf::missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    twinpath_bpf::one_process_at_a_time();
    let numbers = functions();
    let number = |function| {
        let mut known = numbers.iter();
        known
            .find(|(known, _)| *known == function)
            .expect("the kernel has it")
            .1
    };
    let map = twinpath_bpf::Map::create("shared", MapShape::array(SIZE as u32, 1)).unwrap();
    let mut both = [
        ("checked", Ours::new::<Checked>(Placement::Anywhere)),
        ("rbpf", Ours::new::<Rbpf>(Placement::Identity)),
    ];
    let mut choices = Choices::new();
    let (count, mut packets) = (cases(100), 0);
    for case in 0..count {
        let draft = Draft::new(kind, &mut choices);
        let insns = draft.with(map.as_raw_fd(), pseudo::KFUNC_CALL, number);
        let code = encode(&insns);
        let program =
            twinpath_bpf::Program::load(&ProgramSource::new("dynptrs", kind as u32, &code));
        let program = program.unwrap_or_else(|refusal| panic!("{}", refusal.log));
        for _ in 0..8 {
            let packet = packet(kind, &mut choices);
            let shared = shared(packet.len(), &mut choices);
            map.update(&[0; 4], &shared, 0).unwrap();
            let output = program.test_run(TestInput::packet(&packet)).unwrap();
            let theirs = (output.packet, map.lookup(&[0; 4]).unwrap().unwrap());
            for (engine, ours) in &mut both {
                let ours = ours.run(kind, &draft, &packet, &shared);
                if ours != theirs {
                    explain(&draft, &shared, &ours, &theirs);
                    panic!(
                        "case {case} of seed {}, {kind}, {engine}, {} bytes",
                        seed(),
                        packet.len()
                    );
                }
            }
            packets += 1;
        }
    }
    eprintln!(
        "{kind}: {count} programs, {packets} packets equal, seed {}",
        seed()
    );
}

#[test]
fn xdp() {
    hold_equal(ProgramType::Xdp);
}

#[test]
fn sched_cls() {
    hold_equal(ProgramType::SchedCls);
}

#[test]
fn socket_filter() {
    hold_equal(ProgramType::SocketFilter);
}

#[test]
fn cgroup_skb() {
    hold_equal(ProgramType::CgroupSkb);
}
