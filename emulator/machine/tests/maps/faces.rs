//! The two sides that do the same: a map of the kernel's and one of the machine's.

use std::os::fd::AsRawFd;

use twinpath_bpf::{Program as KernelProgram, TestInput};
use twinpath_machine::engine::{self, Context, Engine, Invocation};
use twinpath_machine::isa::Insn;
use twinpath_machine::memory::{Layout, Object, ObjectKind};
use twinpath_machine::{
    Call, Checked, Cpu, Environment, Errno, HelperId, Machine, MachineOptions, Map, MapDef,
    MapError, MapId, MapType, Pointer, Program, ProgramId, ProgramType, Resource, SocketId,
    SocketRef,
};

use super::kernel::map::{KernelMap, Raw};
use super::kernel::program::{Block, load};
use super::kernel::{possible_cpus, run_on};
use super::program::{self, Action, CONTROL, Command};

/// A map of the kernel's, and a program that uses it.
pub struct Theirs {
    pub map: KernelMap,
    program: Option<(Block, KernelProgram)>,
}

/// The same in the machine.
pub struct Ours {
    pub machine: Machine,
    pub map: MapId,
    program: Option<(MapId, ProgramId)>,
}

const PACKET: [u8; 64] = [0; 64];

/// Builds a program from the references to its control block and its map.
pub type Build<'a> = &'a dyn Fn(i32, i32) -> Option<Vec<Insn>>;

/// The program that reads and writes values, for maps that have some.
fn plain(def: &MapDef) -> impl Fn(i32, i32) -> Option<Vec<Insn>> {
    let used = !Action::of(def).is_empty();
    move |control, map| used.then(|| program::build(def, control, map))
}

impl Theirs {
    pub fn new(def: &MapDef) -> Raw<Self> {
        Ok(Self::with(KernelMap::new(def, None)?, &plain(def)))
    }

    pub fn with(map: KernelMap, build: Build<'_>) -> Self {
        let control = Block::new(CONTROL);
        let program = build(control.0.as_raw_fd(), map.fd()).map(|insns| {
            let program = load(ProgramType::SchedCls, 0, &insns);
            (
                control,
                program.unwrap_or_else(|refusal| panic!("{refusal}")),
            )
        });
        Self { map, program }
    }

    /// Runs the program and returns what it returned and left in its block.
    pub fn run(&self, cpu: u32, command: &Command) -> Option<(u32, i64, Vec<u8>)> {
        let (control, program) = self.program.as_ref()?;
        run_on(cpu);
        control.set(&command.block());
        let result = program
            .test_run(TestInput::packet(&PACKET))
            .expect("run the program");
        let (left, bytes) = program::outcome(&control.get());
        Some((result.code as u32, left, bytes))
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

    pub fn new(def: &MapDef) -> Result<Self, MapError> {
        Self::with(def, &plain(def))
    }

    pub fn with(def: &MapDef, build: Build<'_>) -> Result<Self, MapError> {
        let mut machine = Self::machine();
        let cpus = machine.cpus();
        let map = Map::new(def.clone(), &mut machine.memory, cpus)?;
        let map = machine.maps.push(map);
        let control = MapDef::new(MapType::Array, 4, CONTROL as u32, 1);
        let control = Map::new(control, &mut machine.memory, cpus)?;
        let control = machine.maps.push(control);
        let program = build(control.0 as i32, map.0 as i32).map(|insns| {
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

    pub fn run(&mut self, cpu: u32, command: &Command) -> Option<(u32, i64, Vec<u8>)> {
        let (control, program) = self.program?;
        let Machine { maps, memory, .. } = &mut self.machine;
        let set = maps[control].user_update(memory, &[0; 4], &command.block(), 0);
        set.expect("set the block");
        let result = run(&mut self.machine, cpu, program);
        let block = self.machine.maps[control].user_lookup(&self.machine.memory, &[0; 4]);
        let (left, bytes) = program::outcome(&block.expect("the block"));
        Some((result as u32, left, bytes))
    }
}

/// What surrounds a program: a packet, and the sockets that it holds.
#[derive(Default)]
struct Surroundings {
    sockets: Vec<(Pointer, SocketId)>,
}

impl Environment for Surroundings {
    fn provides(&self, helper: HelperId, _program: ProgramType) -> bool {
        helper == HelperId::SK_RELEASE
    }

    fn helper(&mut self, call: &mut Call<'_>) -> Checked<u64> {
        match call.machine.references.release(Pointer(call.arg(1))) {
            Some(_) if call.helper == HelperId::SK_RELEASE => Ok(0),
            _ => Err(call.refuse(1, "this is no socket that the program holds")),
        }
    }

    fn packet_bytes(&mut self, _machine: &Machine, len: u32, into: &mut Vec<u8>) -> bool {
        let whole = len as usize <= PACKET.len();
        if whole {
            into.resize(into.len() + len as usize, 0);
        }
        whole
    }

    fn socket(&mut self, _machine: &Machine, pointer: Pointer) -> Option<SocketRef> {
        let mut sockets = self.sockets.iter();
        let (_, id) = sockets.find(|(other, _)| *other == pointer)?;
        Some(SocketRef {
            id: *id,
            full: true,
        })
    }

    fn hold_socket(&mut self, call: &mut Call<'_>, socket: SocketId) -> Checked<u64> {
        let memory = &mut call.machine.memory;
        let address = memory.allocate(80).expect("room");
        let pointer = memory.push(Object::new(
            ObjectKind::Struct(&SOCKET),
            address,
            0,
            call.at,
        ));
        self.sockets.push((pointer, socket));
        let references = &mut call.machine.references;
        references.acquire(Resource::Socket, pointer, call.at);
        Ok(pointer.0)
    }
}

/// A context of which the programs here read nothing.
static CONTEXT: Layout = Layout {
    name: "__sk_buff",
    size: 192,
    fields: &[],
};

static SOCKET: Layout = Layout {
    name: "bpf_sock",
    size: 80,
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
    let mut surroundings = Surroundings::default();
    let outcome = engine::Checked::default().run(machine, &mut surroundings, &invocation);
    match outcome {
        Ok(outcome) => outcome.result,
        Err(fault) => panic!("{}: {:?}", fault.kind, fault),
    }
}

pub fn raw<T>(result: Result<T, Errno>) -> Raw<T> {
    result.map_err(Errno::get)
}
