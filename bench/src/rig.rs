//! A program with its maps and a packet in a machine, without anything around it.

use twinpath_machine::engine::{Context, Engine, Invocation};
use twinpath_machine::memory::{Field, Layout, Widths};
use twinpath_machine::{
    Alone, Cpu, Machine, MachineOptions, Map, MapId, MapType, Placement, Program, ProgramId,
    ProgramType,
};

use crate::datapath::Datapath;
use crate::programs::Bench;

static XDP: Layout = Layout {
    name: "xdp_md",
    size: 24,
    fields: &[
        Field::packet("data", 0),
        Field::packet("data_end", 4),
        Field::packet("data_meta", 8),
        Field::plain("ingress_ifindex", 12, 4, Widths::W4, Widths::NONE),
        Field::plain("rx_queue_index", 16, 4, Widths::W4, Widths::NONE),
    ],
};

/// A machine with one program, its maps and a packet.
#[derive(Debug)]
pub struct Rig {
    pub(crate) machine: Machine,
    pub(crate) program: ProgramId,
    /// Guest address of the context, a `struct xdp_md`.
    pub(crate) context: u32,
    /// Guest addresses of the packet's first byte and of that behind its last.
    pub(crate) packet: (u32, u32),
    bytes: Vec<u8>,
}

#[allow(clippy::expect_used, clippy::missing_panics_doc)] // The programs are this crate's own.
impl Rig {
    /// Sets a program up.
    pub fn new(bench: &Bench, placement: Placement) -> Self {
        let mut machine = machine(placement);
        let cpus = machine.cpus();
        let maps: Vec<MapId> = bench
            .maps
            .iter()
            .map(|def| {
                let map = Map::new(def.clone(), &mut machine.memory, cpus).expect("a map");
                machine.maps.push(map)
            })
            .collect();
        for (map, key, value) in &bench.entries {
            let map = &mut machine.maps[maps[*map]];
            map.user_update(&mut machine.memory, key, value, 0)
                .expect("an entry");
        }
        let insns = bench.insns.clone();
        let program = Program::bare(bench.name, ProgramType::Xdp, insns, &|_, _, _| None);
        let program = machine.add_program(program.expect("a program"));
        for (def, id) in bench.maps.iter().zip(&maps) {
            if def.kind == MapType::ProgArray {
                let array = &mut machine.maps[*id];
                array.set_program(0, Some(program)).expect("a place");
            }
        }
        Self::with_packet(machine, program, &bench.packet, 1)
    }

    /// Sets an XDP program of the datapath up.
    pub fn of_datapath(datapath: &Datapath, placement: Placement) -> Self {
        let mut machine = machine(placement);
        let program = datapath.load(&mut machine);
        Self::with_packet(machine, program, &datapath.packet, datapath.ifindex())
    }

    fn with_packet(mut machine: Machine, program: ProgramId, bytes: &[u8], ifindex: u32) -> Self {
        let len = bytes.len() as u32;
        let packet = machine.memory.allocate(u64::from(len)).expect("room");
        let context = machine.memory.allocate(24).expect("room");
        let fields = [packet, packet + len, packet, ifindex];
        let bytes_of = fields.map(u32::to_le_bytes);
        machine
            .memory
            .raw_mut(context, 16)
            .copy_from_slice(bytes_of.as_flattened());
        Self {
            machine,
            program,
            context,
            packet: (packet, packet + len),
            bytes: bytes.to_vec(),
        }
    }

    /// Puts the packet back as it was; a program may have changed it.
    pub(crate) fn reset(&mut self) {
        let packet = self
            .machine
            .memory
            .raw_mut(self.packet.0, self.bytes.len() as u32);
        packet.copy_from_slice(&self.bytes);
    }

    /// Reads what is in the ring buffers, as a reader of events does now and then.
    pub fn read_events(&mut self) {
        read_events(&mut self.machine);
    }

    /// Runs the program once and returns its result and the instructions that were counted.
    pub fn run(&mut self, engine: &mut dyn Engine) -> (u64, u64) {
        self.reset();
        let invocation = Invocation {
            program: self.program,
            cpu: Cpu(0),
            context: Context::Struct(self.context, &XDP),
            packet: Some(self.packet),
            bound: &[],
        };
        let outcome = engine.run(&mut self.machine, &mut Alone, &invocation);
        let outcome = outcome.expect("the program runs");
        (outcome.result, outcome.cost.instructions)
    }
}

pub(crate) fn read_events(machine: &mut Machine) {
    let maps: Vec<MapId> = machine.maps.iter().map(|(id, _)| id).collect();
    for map in maps {
        machine.maps[map].take_records(&mut machine.memory);
    }
}

#[allow(clippy::expect_used)]
fn machine(placement: Placement) -> Machine {
    Machine::new(MachineOptions {
        placement,
        ..MachineOptions::default()
    })
    .expect("guest memory")
}
