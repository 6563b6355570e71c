//! What runs the programs: both engines over a machine.

use twinpath_machine::engine::{Context, Engine, Invocation};
use twinpath_machine::isa::Insn;
use twinpath_machine::memory::{Field, Layout};
use twinpath_machine::{
    Alone, Cpu, Machine, MachineOptions, Map, Placement, Program, ProgramId, ProgramType,
};

use crate::programs::Bench;

static XDP: Layout = Layout {
    name: "xdp_md",
    size: 24,
    fields: &[Field::packet("data", 0), Field::packet("data_end", 4)],
};

/// A machine with one program, its maps and a packet.
#[derive(Debug)]
pub struct Rig {
    machine: Machine,
    program: ProgramId,
    context: u32,
    packet: (u32, u32),
}

impl Rig {
    /// Sets a program up.
    ///
    /// # Panics
    /// When it does not load: the programs are this crate's own.
    #[allow(clippy::expect_used, clippy::missing_panics_doc)]
    pub fn new(bench: &Bench, placement: Placement) -> Self {
        let mut machine = Machine::new(MachineOptions {
            placement,
            ..MachineOptions::default()
        })
        .expect("guest memory");
        let cpus = machine.cpus();
        let maps: Vec<_> = bench
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
        let insns: Vec<Insn> = bench.insns.clone();
        let program = Program::bare(bench.name, ProgramType::Xdp, insns, &|_, _, _| None);
        let program = machine.add_program(program.expect("a program"));
        let len = bench.packet.len() as u32;
        let packet = machine.memory.allocate(u64::from(len)).expect("room");
        machine
            .memory
            .raw_mut(packet, len)
            .copy_from_slice(&bench.packet);
        let context = machine.memory.allocate(24).expect("room");
        machine
            .memory
            .raw_mut(context, 4)
            .copy_from_slice(&packet.to_le_bytes());
        machine
            .memory
            .raw_mut(context + 4, 4)
            .copy_from_slice(&(packet + len).to_le_bytes());
        Self {
            machine,
            program,
            context,
            packet: (packet, packet + len),
        }
    }

    /// Runs the program once.
    ///
    /// # Panics
    /// When it faults.
    #[allow(clippy::expect_used)]
    pub fn run(&mut self, engine: &mut dyn Engine) -> u64 {
        let invocation = Invocation {
            program: self.program,
            cpu: Cpu(0),
            context: Context::Struct(self.context, &XDP),
            packet: Some(self.packet),
            bound: &[],
        };
        let outcome = engine.run(&mut self.machine, &mut Alone, &invocation);
        outcome.expect("the program runs").result
    }
}
