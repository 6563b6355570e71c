//! Ways of running a program once, for one program or another.
#![allow(clippy::expect_used)] // The programs are this crate's own.

use std::os::fd::{AsFd, AsRawFd};

use twinpath::kernel::test_run;
use twinpath_bpf::{Map, MapShape, Program, ProgramSource, Refusal};
use twinpath_machine::isa::{Insn, LD_IMM64, pseudo};
use twinpath_machine::{Placement, ProgramType};

use crate::datapath::{Datapath, engine};
use crate::kernel::TestRun;
use crate::plain::{Maps, Plain};
use crate::programs::Bench;
use crate::rig::Rig;

/// One way of running a program.
pub struct Arm {
    /// What runs it.
    pub name: &'static str,
    /// Runs it once and returns its result.
    pub run: Box<dyn FnMut() -> u64>,
    /// Nanoseconds in the program, by the kernel's own count.
    pub inside: Option<Box<dyn FnMut() -> u32>>,
}

impl std::fmt::Debug for Arm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arm")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Arm {
    fn new(name: &'static str, run: impl FnMut() -> u64 + 'static) -> Self {
        Self {
            name,
            run: Box::new(run),
            inside: None,
        }
    }
}

/// The checked engine, which the others are compared with.
pub const CHECKED: &str = "checked";
/// The same with everything around it.
pub const WORLD: &str = "checked, whole way";
/// One system call a packet.
pub const KERNEL: &str = "kernel, a call each";
/// rbpf over the standard library's maps.
pub const RBPF: &str = "rbpf alone";
/// rbpf over the emulator's maps.
pub const RBPF_MAPS: &str = "rbpf alone, our maps";

/// The ways of running a program of instructions; those of the kernel if it is there.
pub fn of(bench: &Bench, kernel: bool) -> Vec<Arm> {
    let mut arms = Vec::new();
    for (name, rbpf, placement) in [
        (CHECKED, false, Placement::Anywhere),
        ("rbpf engine", true, Placement::Identity),
    ] {
        let (mut rig, mut engine) = (Rig::new(bench, placement), engine(rbpf));
        arms.push(Arm::new(name, move || rig.run(engine.as_mut()).0));
    }
    let mut plain = Plain::new(bench, Maps::Std);
    arms.push(Arm::new(RBPF, move || plain.run()));
    if !bench.maps.is_empty() {
        let mut plain = Plain::new(bench, Maps::Emulator);
        arms.push(Arm::new(RBPF_MAPS, move || plain.run()));
    }
    if kernel {
        let (program, maps) = in_kernel(bench);
        arms.push(of_kernel(program, maps, &bench.packet));
    }
    arms
}

/// The ways of running a program of the datapath.
pub fn of_datapath(datapath: &Datapath, kernel: bool) -> Vec<Arm> {
    let mut arms = Vec::new();
    if datapath.is_xdp() {
        let (mut rig, mut engine) = (
            Rig::of_datapath(datapath, Placement::Anywhere),
            engine(false),
        );
        arms.push(Arm::new(CHECKED, move || rig.run(engine.as_mut()).0));
        let mut plain = Plain::of_datapath(datapath);
        arms.push(Arm::new(RBPF_MAPS, move || plain.run()));
    }
    for (name, rbpf) in [(WORLD, false), ("rbpf engine, whole way", true)] {
        let (mut way, frame) = (datapath.world(rbpf), datapath.packet.clone());
        arms.push(Arm::new(name, move || way.run(&frame)));
    }
    if kernel {
        let (object, program) = datapath.kernel();
        arms.push(of_kernel(program, object, &datapath.packet));
    }
    arms
}

/// `keep` is what the program needs.
fn of_kernel(program: Program, keep: impl Sized + 'static, packet: &[u8]) -> Arm {
    let program = std::rc::Rc::new(program);
    let mut calls = TestRun::new(std::rc::Rc::clone(&program), packet);
    let mut many = TestRun::new(program, packet);
    let mut arm = Arm::new(KERNEL, move || {
        let _ = &keep;
        calls.once()
    });
    arm.inside = Some(Box::new(move || many.nanoseconds()));
    arm
}

fn in_kernel(bench: &Bench) -> (Program, Vec<Map>) {
    let mut maps = Vec::new();
    for def in &bench.maps {
        let shape = MapShape {
            kind: def.kind as u32,
            key_size: def.key_size,
            value_size: def.value_size,
            max_entries: def.max_entries,
            flags: def.flags.0,
        };
        maps.push(Map::create(&def.name, shape).expect("the kernel makes the map"));
    }
    for (map, key, value) in &bench.entries {
        test_run::write_map(&maps[*map], key, value).expect("an entry");
    }
    let mut insns = bench.insns.clone();
    for insn in &mut insns {
        if insn.code == LD_IMM64 && insn.src == pseudo::MAP_FD {
            insn.imm = maps[insn.imm as usize].as_fd().as_raw_fd();
        }
    }
    let bytes: Vec<u8> = insns.into_iter().flat_map(Insn::to_bytes).collect();
    let program = load(&bytes);
    (program.expect("the kernel takes the program"), maps)
}

/// Whether programs can be loaded into the kernel.
pub fn has_kernel() -> bool {
    let exit = [
        Insn::from_bytes([0xb7, 0, 0, 0, 0, 0, 0, 0]),
        Insn::from_bytes([0x95, 0, 0, 0, 0, 0, 0, 0]),
    ];
    let bytes: Vec<u8> = exit.into_iter().flat_map(Insn::to_bytes).collect();
    load(&bytes).is_ok()
}

fn load(instructions: &[u8]) -> Result<Program, Refusal> {
    let kind = ProgramType::Xdp as u32;
    Program::load(&ProgramSource::new("bench", kind, instructions))
}
