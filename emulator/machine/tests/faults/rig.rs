//! A program under construction, and a machine to let it fail on.

use twinpath_machine::engine::{Checked, Context, Engine, Invocation, Outcome};
use twinpath_machine::isa::{Insn, pseudo};
use twinpath_machine::memory::{Field, Layout, Widths};
use twinpath_machine::{
    Call, Cpu, Environment, Fault, Function, HelperId, Line, Machine, MachineOptions, Map, MapDef,
    MapId, Program, ProgramType, Resource,
};

use super::asm::lddw;

/// Helper numbers as immediates.
pub mod helper {
    pub const MAP_LOOKUP_ELEM: i32 = 1;
    pub const MAP_UPDATE_ELEM: i32 = 2;
    pub const KTIME_GET_NS: i32 = 5;
    pub const TAIL_CALL: i32 = 12;
    pub const XDP_ADJUST_HEAD: i32 = 44;
    pub const SK_LOOKUP_TCP: i32 = 84;
    pub const SPIN_LOCK: i32 = 93;
    pub const RINGBUF_OUTPUT: i32 = 130;
    pub const RINGBUF_RESERVE: i32 = 131;
    pub const RINGBUF_SUBMIT: i32 = 132;
    pub const PER_CPU_PTR: i32 = 153;
    pub const THIS_CPU_PTR: i32 = 154;
    pub const SNPRINTF: i32 = 165;
    pub const DYNPTR_READ: i32 = 201;
}

static XDP: Layout = Layout {
    name: "xdp_md",
    size: 24,
    fields: &[
        Field::packet("data", 0),
        Field::packet("data_end", 4),
        Field::packet("data_meta", 8),
        Field::plain("ingress_ifindex", 12, 4, Widths::W4, Widths::NONE),
        Field::plain("rx_queue_index", 16, 4, Widths::W4, Widths::NONE),
        Field::plain("egress_ifindex", 20, 4, Widths::W4, Widths::NONE),
    ],
};

const PACKET: u32 = 64;

/// A line of the made-up source.
pub fn line(slot: u32) -> Line {
    Line {
        slot,
        file: "flow.c".into(),
        line: 0,
        column: 0,
        text: "".into(),
    }
}

pub struct Rig {
    pub machine: Machine,
    maps: Vec<MapDef>,
    entries: Vec<(usize, Vec<u8>)>,
    insns: Vec<Insn>,
    lines: Vec<Line>,
    functions: Vec<Function>,
}

impl Rig {
    pub fn new(maps: &[MapDef]) -> Self {
        let options = MachineOptions {
            memory: 1 << 22,
            ..MachineOptions::default()
        };
        let mut machine = Machine::new(options).unwrap();
        for def in maps {
            let map = Map::new(def.clone(), &mut machine.memory, 1).unwrap();
            machine.maps.push(map);
        }
        Self {
            machine,
            maps: maps.to_vec(),
            entries: Vec::new(),
            insns: Vec::new(),
            lines: Vec::new(),
            functions: vec![Function {
                slot: 0,
                name: "count".into(),
            }],
        }
    }

    /// The same so far, on a machine of its own.
    pub fn clone_program(&self) -> Self {
        let mut rig = Self::new(&self.maps);
        for (map, key) in &self.entries {
            rig.entry(*map, key);
        }
        rig.insns.clone_from(&self.insns);
        rig.lines.clone_from(&self.lines);
        rig
    }

    /// Puts a value of zeros under a key.
    pub fn entry(&mut self, map: usize, key: &[u8]) {
        let value = vec![0; self.maps[map].value_size as usize];
        let map_id = MapId(map as u32);
        let machine = &mut self.machine;
        machine.maps[map_id]
            .user_update(&mut machine.memory, key, &value, 0)
            .unwrap();
        self.entries.push((map, key.to_vec()));
    }

    /// What follows comes from this line.
    pub fn line(&mut self, number: u32, text: &str) {
        self.lines.push(Line {
            line: number,
            column: 9,
            text: text.into(),
            ..line(self.insns.len() as u32)
        });
    }

    /// What follows is another function.
    pub fn function(&mut self, name: &str) {
        self.functions.push(Function {
            slot: self.insns.len() as u32,
            name: name.into(),
        });
    }

    pub fn push(&mut self, insns: &[Insn]) {
        self.insns.extend(insns);
    }

    /// A reference to a map.
    pub fn map(&mut self, register: u8, map: u64) {
        self.insns.extend(lddw(register, pseudo::MAP_FD, map));
    }

    /// The address of a variable of the kernel.
    pub fn variable(&mut self, register: u8, name: &str) {
        let reference = self.machine.variable(name).unwrap().unwrap();
        self.insns.extend(lddw(register, 0, reference.0));
    }

    fn run(&mut self) -> Result<Outcome, Box<Fault>> {
        let program = Program::bare(
            "xdp_entry",
            ProgramType::Xdp,
            self.insns.clone(),
            &|_, _, _| None,
        );
        let mut program = program.unwrap();
        program.lines.clone_from(&self.lines);
        program.functions.clone_from(&self.functions);
        let machine = &mut self.machine;
        let program = machine.add_program(program);
        let packet = machine.memory.allocate(u64::from(PACKET)).unwrap();
        let context = machine.memory.allocate(24).unwrap();
        for (field, value) in [(0, packet), (4, packet + PACKET), (8, packet)] {
            machine
                .memory
                .raw_mut(context + field, 4)
                .copy_from_slice(&value.to_le_bytes());
        }
        let invocation = Invocation {
            program,
            cpu: Cpu(0),
            context: Context::Struct(context, &XDP),
            packet: Some((packet, packet + PACKET)),
            bound: &[],
        };
        Checked::default().run(machine, &mut Surroundings, &invocation)
    }

    /// The fault that the program ends with.
    pub fn fault(&mut self) -> String {
        let fault = self.run().unwrap_err();
        fault.report(&self.machine).to_string()
    }

    /// The warning that the program ends with.
    pub fn warning(&mut self) -> String {
        let outcome = self.run().unwrap();
        outcome.warnings[0].report(&self.machine).to_string()
    }
}

/// A helper that moves the packet, and one that returns a socket.
struct Surroundings;

impl Environment for Surroundings {
    fn provides(&self, _helper: HelperId, _program: ProgramType) -> bool {
        false
    }

    fn helper(&mut self, call: &mut Call<'_>) -> twinpath_machine::Checked<u64> {
        let (helper, at) = (call.helper, call.at);
        let machine = &mut *call.machine;
        match helper {
            HelperId::XDP_ADJUST_HEAD => {
                machine
                    .memory
                    .move_packet(0x1000_0000, 0x1000_0000, helper, at);
                Ok(0)
            }
            HelperId::SK_LOOKUP_TCP => {
                let socket = machine.memory.bind(twinpath_machine::memory::Object::new(
                    twinpath_machine::memory::ObjectKind::Buffer("a socket"),
                    0x1000_0000,
                    8,
                    at,
                ));
                machine.references.acquire(Resource::Socket, socket, at);
                Ok(socket.0)
            }
            _ => Err(Box::new(twinpath_machine::FaultKind::Unsupported(format!(
                "helper bpf_{helper}"
            )))),
        }
    }
}
