//! A network in the emulator.

use std::collections::BTreeMap;

use twinpath_machine::engine::Checked;
use twinpath_machine::{MachineOptions, Program};
use twinpath_node::{ChecksumOffload, DeviceId, EndKind, Journey, World};

use super::net::{Network, Port, Seen, Stimulus};

pub struct Emulated {
    pub world: World,
    ports: BTreeMap<Port, DeviceId>,
    now: u64,
    /// How the last stimulus ended, for people.
    pub account: String,
}

impl Emulated {
    pub fn build(network: &Network) -> Self {
        let engines = Box::new(|| Box::<Checked>::default() as _);
        let mut world = World::new(MachineOptions::default(), engines).unwrap();
        let mut ports = BTreeMap::new();
        for (node, config) in network.nodes.iter().enumerate() {
            let id = world
                .build(config)
                .unwrap_or_else(|error| panic!("{error}"));
            for (device, config) in config.devices.iter().enumerate() {
                let found = world.device_named(id, &config.name).unwrap();
                ports.insert(Port { node, device }, found);
            }
        }
        for attachment in &network.programs {
            let insns = attachment.instructions();
            let kind = attachment.program_type();
            let program = Program::bare("case", kind, insns, &|_, _, _| None);
            let program = program.unwrap_or_else(|errors| panic!("{errors:?}"));
            let program = world.machine.add_program(program);
            let device = ports[&attachment.port];
            world.attach(device, attachment.hook, 0, program).unwrap();
        }
        for (a, b) in &network.wires {
            world.connect(ports[a], ports[b]);
        }
        for segment in &network.segments {
            let devices: Vec<DeviceId> = segment.iter().map(|port| ports[port]).collect();
            world.join(&devices);
        }
        Self {
            world,
            ports,
            now: 1_000_000_000,
            account: String::new(),
        }
    }

    pub fn step(&mut self, stimulus: &Stimulus) -> Seen {
        self.world.machine.clock.set_monotonic_ns(self.now);
        let journey = match stimulus {
            Stimulus::Frame(port, frame) => self.world.inject(self.ports[port], frame),
            Stimulus::Offloaded(port, frame, start, offset) => {
                let offload = ChecksumOffload {
                    start: *start,
                    offset: *offset,
                };
                let device = self.ports[port];
                self.world.inject_offloaded(device, frame, Some(offload))
            }
            Stimulus::Wait(milliseconds) => {
                self.now += milliseconds * 1_000_000;
                self.world.machine.clock.set_monotonic_ns(self.now);
                self.world.run_timers()
            }
        };
        let journey = std::mem::take(journey);
        self.account = self.describe(&journey);
        let back: BTreeMap<DeviceId, Port> = self.ports.iter().map(|(a, b)| (*b, *a)).collect();
        let left = journey.ends.iter().filter(|end| end.kind == EndKind::Left);
        left.map(|end| (back[&end.device], journey[&end.frame].to_vec()))
            .collect()
    }

    fn describe(&self, journey: &Journey) -> String {
        let ends = journey.ends.iter().map(|end| {
            let device = self.world.device(end.device);
            let len = journey[&end.frame].len();
            format!(
                "  node {} {}: {:?}, {len} bytes\n",
                device.node().0,
                device.name(),
                end.kind
            )
        });
        ends.collect()
    }
}
