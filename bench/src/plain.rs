//! The rbpf crate itself, without the emulator's engine around it.
//!
//! It gets the program as it is, over memory at addresses below 4 GiB, so that it follows the 32-bit packet
//! pointers of a context. Maps are not rbpf's business: its user writes a helper. Here there are two, one
//! over the emulator's maps and one over what a user of rbpf would take from the standard library.
#![allow(unsafe_code)] // rbpf's helpers are plain functions over plain addresses.
#![allow(clippy::expect_used, clippy::missing_panics_doc)] // The programs are this crate's own.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use twinpath_machine::isa::{LD_IMM64, pseudo};
use twinpath_machine::{Cpu, Machine, MapId, MapType, Placement};

use crate::datapath::{Datapath, engine};
use crate::programs::Bench;
use crate::rig::Rig;

/// Which maps the helper looks up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maps {
    /// The emulator's.
    Emulator,
    /// `std::collections::HashMap`; for prefixes one for each length.
    Std,
}

thread_local! {
    /// The machine whose maps the helper looks up in, while a program runs.
    static MACHINE: Cell<*mut Machine> = const { Cell::new(std::ptr::null_mut()) };
    static STD: RefCell<StdMap> = RefCell::default();
}

/// Eight bytes under keys of four, or under prefixes of four.
#[derive(Default)]
struct StdMap {
    prefixes: bool,
    /// By the prefix's length, which is 0 in a plain map.
    places: Vec<HashMap<u32, usize>>,
    values: Vec<u64>,
}

impl StdMap {
    fn fill(&mut self, bench: &Bench) {
        *self = Self::default();
        self.prefixes = bench.maps.iter().any(|map| map.kind == MapType::LpmTrie);
        self.places.resize_with(33, HashMap::new);
        for (_, key, _) in &bench.entries {
            let word = |at: usize| key[at..at + 4].try_into().expect("four bytes");
            let (bits, key) = match self.prefixes {
                true => (u32::from_le_bytes(word(0)), u32::from_be_bytes(word(4))),
                false => (0, u32::from_le_bytes(word(0))),
            };
            self.places[bits as usize].insert(key, self.values.len());
            self.values.push(0);
        }
    }

    fn lookup(&self, key: [u32; 2]) -> Option<usize> {
        if !self.prefixes {
            return self.places[0].get(&key[0]).copied();
        }
        let address = u32::from_be(key[1]);
        let lengths = (0..=key[0].min(32)).rev();
        let masked = |bits: u32| address & u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        lengths
            .filter(|bits| !self.places[*bits as usize].is_empty())
            .find_map(|bits| self.places[bits as usize].get(&masked(bits)).copied())
    }
}

fn lookup_std(_map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    STD.with_borrow(|maps| {
        let key = std::ptr::with_exposed_provenance::<u32>(key as usize);
        // SAFETY: the programs of this crate put a key of four bytes, or of eight for prefixes, on their stack
        // and pass its address.
        let key = unsafe {
            let second = if maps.prefixes {
                key.add(1).read_unaligned()
            } else {
                0
            };
            [key.read_unaligned(), second]
        };
        let place = maps.lookup(key);
        place.map_or(0, |at| {
            (&raw const maps.values[at]).expose_provenance() as u64
        })
    })
}

fn lookup_emulator(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    // SAFETY: `Plain::run` has put its own machine there and uses it for nothing else meanwhile.
    let machine = unsafe { &mut *MACHINE.get() };
    let map = &mut machine.maps[MapId(map as u32)];
    let len = map.def().key_size as usize;
    // SAFETY: the programs pass the address of a key of this map, which lies on their stack.
    let key =
        unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(key as usize), len) };
    map.lookup(key, Cpu(0)).map_or(0, u64::from)
}

/// A program in rbpf's interpreter.
pub struct Plain {
    vm: rbpf::EbpfVmMbuff<'static>,
    rig: Rig,
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plain")
            .field("rig", &self.rig)
            .finish_non_exhaustive()
    }
}

impl Plain {
    /// Sets a program up.
    pub fn new(bench: &Bench, maps: Maps) -> Self {
        if maps == Maps::Std {
            STD.with_borrow_mut(|std| std.fill(bench));
        }
        Self::with(Rig::new(bench, Placement::Identity), maps)
    }

    /// Sets an XDP program of the datapath up, over the emulator's maps.
    pub fn of_datapath(datapath: &Datapath) -> Self {
        let mut rig = Rig::of_datapath(datapath, Placement::Identity);
        // The first packet makes the entry that counts those which follow, by a helper that is not here.
        rig.run(engine(true).as_mut());
        Self::with(rig, Maps::Emulator)
    }

    fn with(mut rig: Rig, maps: Maps) -> Self {
        // It lives as long as the process, as rbpf wants it to be borrowed.
        let program: &'static [u8] = Vec::leak(instructions(&mut rig));
        let mut vm = rbpf::EbpfVmMbuff::new(None).expect("an empty machine");
        // rbpf's own verifier refuses more than its interpreter does.
        vm.set_verifier(|_| Ok(())).expect("no program yet");
        vm.set_program(program)
            .expect("the verifier takes everything");
        let helper = match maps {
            Maps::Emulator => lookup_emulator,
            Maps::Std => lookup_std,
        };
        vm.register_helper(1, helper).expect("a free number");
        // All memory: one range for the emulator's, one for the values in the other case.
        vm.register_allowed_memory(0..u64::MAX);
        Self { vm, rig }
    }

    /// Runs the program once.
    pub fn run(&mut self) -> u64 {
        self.rig.reset();
        MACHINE.set(&raw mut self.rig.machine);
        let (start, end) = self.rig.packet;
        let context = std::ptr::with_exposed_provenance::<u8>(self.rig.context as usize);
        let packet = std::ptr::with_exposed_provenance::<u8>(start as usize);
        // SAFETY: the machine's memory stands at its guest addresses; rbpf takes the slices for their bounds.
        let (context, packet) = unsafe {
            (
                std::slice::from_raw_parts(context, 24),
                std::slice::from_raw_parts(packet, (end - start) as usize),
            )
        };
        self.vm
            .execute_program(packet, context)
            .expect("the program runs")
    }
}

/// The program's bytes, with numbers for maps and addresses for global data.
fn instructions(rig: &mut Rig) -> Vec<u8> {
    let mut insns = rig
        .machine
        .program(rig.program)
        .expect("the program")
        .insns
        .clone();
    for at in 0..insns.len() {
        let insn = insns[at];
        if insn.code == LD_IMM64 && insn.src == pseudo::MAP_VALUE {
            let map = &mut rig.machine.maps[MapId(insn.imm as u32)];
            let start = map.lookup(&[0; 4], Cpu(0)).expect("global data");
            insns[at].imm = start as i32 + insns[at + 1].imm;
            insns[at + 1].imm = 0;
        }
        if insn.code == LD_IMM64 {
            insns[at].src = 0;
        }
    }
    insns.into_iter().flat_map(|insn| insn.to_bytes()).collect()
}
