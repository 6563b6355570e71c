//! One program in the kernel and in the machine, with two maps: what it reads and writes, and constants.

use twinpath_bpf::{Program as KernelProgram, TestInput};
use twinpath_machine::engine::{Checked, Context, Engine, Invocation, Rbpf};
use twinpath_machine::isa::{Insn, pseudo};
use twinpath_machine::{
    Alone, Cpu, Machine, MachineOptions, Map, MapDef, MapFlags, MapId, MapType, Placement, Program,
    ProgramId, ProgramType,
};

use crate::asm::{Width::*, alu_k, call, cond, exit, jump_k, lddw, mov, movr, op, st};
use crate::kernel::map::KernelMap;
use crate::kernel::program::load;

const MAP_LOOKUP_ELEM: i32 = 1;

/// The maps' numbers in programs before they are loaded.
const DATA: u64 = 0;
const CONSTANTS: u64 = 1;

/// Code that leaves the value of one map in r7, that of the constants in r6.
fn prologue() -> Vec<Insn> {
    let mut insns = Vec::new();
    for (map, register) in [(CONSTANTS, 6), (DATA, 7)] {
        insns.push(st(W, 10, -4, 0));
        insns.push(movr(2, 10));
        insns.push(alu_k(true, op::ADD, 2, -4, 0));
        insns.extend(lddw(1, pseudo::MAP_FD, map));
        insns.extend([
            call(MAP_LOOKUP_ELEM),
            jump_k(true, cond::JNE, 0, 0, 2),
            mov(0, 0),
            exit(),
            movr(register, 0),
        ]);
    }
    insns
}

fn with_maps(body: &[Insn], maps: [i32; 2]) -> Vec<Insn> {
    let mut insns = prologue();
    let mut loads = insns.iter_mut().filter(|insn| insn.is_wide());
    for number in [CONSTANTS, DATA] {
        let load = loads.next().unwrap();
        load.imm = maps[number as usize];
    }
    insns.extend(body);
    insns.extend([mov(0, 0), exit()]);
    insns
}

fn definitions(data: usize, constants: &[u8]) -> [MapDef; 2] {
    let mut fixed = MapDef::new(MapType::Array, 4, constants.len() as u32, 1).named("constants");
    fixed.flags = MapFlags(MapFlags::RDONLY_PROG);
    [
        MapDef::new(MapType::Array, 4, data as u32, 1).named("data"),
        fixed,
    ]
}

/// The machine's side, on both engines.
pub struct Ours {
    pub checked: Side,
    pub rbpf: Side,
}

pub struct Side {
    pub machine: Machine,
    engine: Box<dyn Engine>,
    program: ProgramId,
}

impl Ours {
    pub fn new(body: &[Insn], data: usize, constants: &[u8]) -> Self {
        let side = |engine, placement| Side::new(engine, placement, body, data, constants);
        Self {
            checked: side(Box::<Checked>::default(), Placement::Anywhere),
            rbpf: side(Box::<Rbpf>::default(), Placement::Identity),
        }
    }

    /// Runs the program on these data and returns what it left there.
    pub fn run(&mut self, data: &[u8]) -> Vec<u8> {
        let (checked, rbpf) = (self.checked.run(data), self.rbpf.run(data));
        assert_eq!(checked, rbpf, "the engines differ");
        checked
    }
}

impl Side {
    fn new(
        engine: Box<dyn Engine>,
        placement: Placement,
        body: &[Insn],
        data: usize,
        constants: &[u8],
    ) -> Self {
        let options = MachineOptions {
            placement,
            memory: 4 << 20,
            ..MachineOptions::default()
        };
        let mut machine = Machine::new(options).unwrap();
        for def in definitions(data, constants) {
            let map = Map::new(def, &mut machine.memory, 1).unwrap();
            machine.maps.push(map);
        }
        let memory = &mut machine.memory;
        machine.maps[MapId(1)]
            .user_update(memory, &[0; 4], constants, 0)
            .unwrap();
        let insns = with_maps(body, [0, 1]);
        let program = Program::bare("test", ProgramType::SchedCls, insns, &|_, _, _| None);
        let program = machine.add_program(program.unwrap());
        Self {
            machine,
            engine,
            program,
        }
    }

    fn run(&mut self, data: &[u8]) -> Vec<u8> {
        let machine = &mut self.machine;
        machine.maps[MapId(0)]
            .user_update(&mut machine.memory, &[0; 4], data, 0)
            .unwrap();
        let invocation = Invocation {
            program: self.program,
            cpu: Cpu(0),
            context: Context::None,
            packet: None,
            bound: &[],
        };
        let outcome = self.engine.run(machine, &mut Alone, &invocation);
        outcome.expect("the kernel runs it");
        machine.maps[MapId(0)]
            .user_lookup(&machine.memory, &[0; 4])
            .unwrap()
    }
}

/// The kernel's side.
pub struct Theirs {
    data: KernelMap,
    _constants: KernelMap,
    program: KernelProgram,
}

impl Theirs {
    /// None where there is no kernel to ask.
    pub fn new(body: &[Insn], data: usize, constants: &[u8]) -> Option<Self> {
        if let Some(reason) = twinpath_bpf::missing() {
            eprintln!("skipped: {reason}");
            return None;
        }
        twinpath_bpf::one_process_at_a_time();
        let maps = definitions(data, constants).map(|def| KernelMap::new(&def, None).unwrap());
        maps[1].update(&[0; 4], constants, 0).unwrap();
        maps[1].freeze().unwrap();
        let insns = with_maps(body, [maps[0].fd(), maps[1].fd()]);
        let program = load(ProgramType::SchedCls, 0, &insns);
        let program = program.unwrap_or_else(|refused| panic!("{refused}"));
        let [data, constants] = maps;
        Some(Self {
            data,
            _constants: constants,
            program,
        })
    }

    pub fn run(&self, data: &[u8]) -> Vec<u8> {
        self.data.update(&[0; 4], data, 0).unwrap();
        self.program.test_run(TestInput::packet(&[0; 64])).unwrap();
        self.data.lookup(&[0; 4]).unwrap()
    }
}
