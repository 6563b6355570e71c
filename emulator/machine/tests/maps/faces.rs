//! The two sides that do the same: a map of the kernel's and one of the machine's.

use twinpath_machine::engine::{self, Context, Engine, Invocation};
use twinpath_machine::memory::Layout;
use twinpath_machine::{
    Call, Checked, Cpu, Environment, Errno, FaultKind, HelperId, Machine, MachineOptions, Map,
    MapDef, MapId, Program, ProgramId, ProgramType,
};

use super::kernel::maps::{KernelMap, Raw, possible_cpus, run_on};
use super::kernel::prog::{Array, KernelProgram};
use super::program::{self, Action, CONTROL, Command};

/// A map of the kernel's, and a program that uses it.
pub struct Theirs {
    pub map: KernelMap,
    program: Option<(Array, KernelProgram)>,
}

/// The same in the machine.
pub struct Ours {
    pub machine: Machine,
    pub map: MapId,
    program: Option<(MapId, ProgramId)>,
}

const PACKET: [u8; 64] = [0; 64];

impl Theirs {
    pub fn new(def: &MapDef) -> Raw<Self> {
        let map = KernelMap::new(def, None)?;
        let program = (!Action::of(def).is_empty()).then(|| {
            let control = Array::new(CONTROL).expect("an array");
            let insns = program::build(def, control.fd(), map.fd());
            let program = KernelProgram::load(ProgramType::SchedCls, &insns);
            let program = program.unwrap_or_else(|refused| {
                panic!("{:?}: {}\n{}", def.kind, refused.error, refused.log)
            });
            (control, program)
        });
        Ok(Self { map, program })
    }

    pub fn run(&self, cpu: u32, command: &Command) -> Option<(i64, Vec<u8>)> {
        let (control, program) = self.program.as_ref()?;
        run_on(cpu);
        control.set(&command.block()).expect("set the block");
        program.run(&PACKET, 1).expect("run the program");
        Some(program::outcome(&control.get().expect("the block")))
    }
}

impl Ours {
    pub fn machine() -> Machine {
        let options = MachineOptions {
            memory: 1 << 24,
            cpus: possible_cpus(),
            ..MachineOptions::default()
        };
        Machine::new(options).expect("memory")
    }

    pub fn new(def: &MapDef) -> Result<Self, twinpath_machine::MapError> {
        let mut machine = Self::machine();
        let cpus = machine.cpus();
        let map = Map::new(def.clone(), &mut machine.memory, cpus)?;
        let map = machine.maps.push(map);
        let program = (!Action::of(def).is_empty()).then(|| {
            let kind = twinpath_machine::MapType::Array;
            let control = MapDef::new(kind, 4, CONTROL as u32, 1);
            let control = Map::new(control, &mut machine.memory, cpus).expect("an array");
            let control = machine.maps.push(control);
            let insns = program::build(def, control.0 as i32, map.0 as i32);
            let program = Program::bare("maps", ProgramType::SchedCls, insns, &|_, _, _| None);
            (control, machine.add_program(program.expect("a program")))
        });
        Ok(Self {
            machine,
            map,
            program,
        })
    }

    pub fn map(&mut self) -> &mut Map {
        &mut self.machine.maps[self.map]
    }

    pub fn lookup(&mut self, key: &[u8]) -> Raw<Vec<u8>> {
        raw(self.machine.maps[self.map].user_lookup(&self.machine.memory, key))
    }

    pub fn take(&mut self, key: &[u8]) -> Raw<Vec<u8>> {
        raw(self.machine.maps[self.map].user_take(&mut self.machine.memory, key))
    }

    pub fn update(&mut self, key: &[u8], value: &[u8], flags: u64) -> Raw<()> {
        let memory = &mut self.machine.memory;
        raw(self.machine.maps[self.map].user_update(memory, key, value, flags))
    }

    pub fn delete(&mut self, key: &[u8]) -> Raw<()> {
        raw(self.machine.maps[self.map].user_delete(&mut self.machine.memory, key))
    }

    pub fn next_key(&mut self, key: Option<&[u8]>) -> Raw<Vec<u8>> {
        raw(self.map().next_key(key))
    }

    pub fn run(&mut self, cpu: u32, command: &Command) -> Option<(i64, Vec<u8>)> {
        let (control, program) = self.program?;
        let Machine { maps, memory, .. } = &mut self.machine;
        let set = maps[control].user_update(memory, &[0; 4], &command.block(), 0);
        set.expect("set the block");
        run(&mut self.machine, cpu, program);
        let block = self.machine.maps[control].user_lookup(&self.machine.memory, &[0; 4]);
        Some(program::outcome(&block.expect("the block")))
    }
}

/// What surrounds a program: the packet.
struct Packet;

impl Environment for Packet {
    fn provides(&self, _helper: HelperId, _program: ProgramType) -> bool {
        false
    }

    fn helper(&mut self, call: &mut Call<'_>) -> Checked<u64> {
        Err(Box::new(FaultKind::Unsupported(call.helper.to_string())))
    }

    fn packet_bytes(&mut self, _machine: &Machine, len: u32, into: &mut Vec<u8>) -> bool {
        let whole = len as usize <= PACKET.len();
        if whole {
            into.resize(into.len() + len as usize, 0);
        }
        whole
    }
}

/// A context of which the programs here read nothing.
static CONTEXT: Layout = Layout {
    name: "__sk_buff",
    size: 192,
    fields: &[],
};

/// Runs a program, which must not fault.
pub fn run(machine: &mut Machine, cpu: u32, program: ProgramId) -> u64 {
    let context = machine.memory.allocate(192).expect("room");
    let invocation = Invocation {
        program,
        cpu: Cpu(cpu),
        context: Context::Struct(context, &CONTEXT),
        packet: None,
        bound: &[],
    };
    let outcome = engine::Checked::default().run(machine, &mut Packet, &invocation);
    match outcome {
        Ok(outcome) => outcome.result,
        Err(fault) => panic!("{}: {:?}", fault.kind, fault),
    }
}

pub fn raw<T>(result: Result<T, Errno>) -> Raw<T> {
    result.map_err(Errno::get)
}
