//! The datapath's programs with what a scenario puts into their maps, here and in the kernel.
#![allow(clippy::expect_used, clippy::missing_panics_doc)] // The scenarios are the repository's own.

use std::path::Path;

use crate::rig;
use twinpath::kernel::test_run::{self, Program};
use twinpath::plan::{MapValue, NodePlan, StimulusKind};
use twinpath::scenario::Scenario;
use twinpath_machine::engine::{Checked, Engine, Rbpf};
use twinpath_machine::{LoadOptions, Machine, MachineOptions, Object, Placement, ProgramId};
use twinpath_node::{DeviceId, DeviceOptions, Helpers, HookKind, World};

/// A program of the datapath, the maps of a scenario, and its first packet.
#[derive(Debug)]
pub struct Datapath {
    /// The frame.
    pub packet: Vec<u8>,
    program: &'static str,
    node: NodePlan,
    device: usize,
}

impl Datapath {
    /// The program, with the maps and a packet of a scenario of the suite.
    pub fn new(program: &'static str, scenario: &str, step: usize) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/suite");
        let path = root.join(scenario);
        let text = std::fs::read_to_string(&path).expect("a scenario of the suite");
        let case = Scenario::parse(&path, text).expect("a scenario").case();
        let plan = case.expect("a scenario").plan;
        let StimulusKind::Frame { device, bytes, .. } = plan.stimuli[step].kind.clone() else {
            panic!("step {step} is no packet");
        };
        let node = plan.nodes[0].clone();
        let device = node.devices.iter().position(|it| it.name == device);
        Self {
            packet: bytes,
            program,
            device: device.expect("the frame's device"),
            node,
        }
    }

    /// Whether it is an XDP program.
    pub fn is_xdp(&self) -> bool {
        self.program == "xdp_entry"
    }

    /// The index of the device at which the packet arrives.
    pub fn ifindex(&self) -> u32 {
        self.node.devices[self.device].ifindex.get()
    }

    /// Loads the program with its maps into a machine.
    pub fn load(&self, machine: &mut Machine) -> ProgramId {
        let object = Object::parse(&self.node.objects[0].bytes).expect("the datapath's object");
        let options = LoadOptions {
            globals: self.node.objects[0].globals.clone(),
            programs: Some([self.program.to_owned()].into()),
            ..LoadOptions::default()
        };
        let loaded = machine.load(&object, &options, &Helpers).expect("it loads");
        for write in &self.node.maps {
            let map = &mut machine.maps[loaded.maps[&write.map]];
            map.user_update(&mut machine.memory, &write.key, bytes(&write.value), 0)
                .expect("an entry");
        }
        loaded.programs[self.program]
    }

    /// The whole of what a packet meets: devices, hook, record.
    pub fn world(&self, rbpf: bool) -> Way {
        let options = MachineOptions {
            placement: if rbpf {
                Placement::Identity
            } else {
                Placement::Anywhere
            },
            ..MachineOptions::default()
        };
        let mut world = World::new(options, Box::new(move || engine(rbpf))).expect("a world");
        let node = world.add_node();
        let mut devices = Vec::new();
        for device in &self.node.devices {
            let options = DeviceOptions {
                name: device.name.to_string(),
                ifindex: device.ifindex,
                mac: device.mac,
                mtu: device.mtu,
            };
            devices.push(world.add_device(node, options).expect("a device"));
        }
        let program = self.load(&mut world.machine);
        let device = devices[self.device];
        let hook = match self.is_xdp() {
            true => HookKind::Xdp,
            false => HookKind::TcIngress,
        };
        world.attach(device, hook, 0, program).expect("a free hook");
        Way { world, device }
    }

    /// The program in the kernel, with the maps filled.
    pub fn kernel(&self) -> (test_run::Object, Program) {
        let plan = &self.node.objects[0];
        let object = test_run::Object::load(&plan.path, plan.bytes.clone(), &plan.globals);
        let mut object = object.expect("the kernel takes the object");
        let program = object
            .program(self.program)
            .expect("the kernel takes the program");
        let device = self.ifindex().to_le_bytes();
        for write in &self.node.maps {
            let map = object.map(&write.map).expect("a map of the object");
            test_run::write_map(map, &write.key, bytes(&write.value)).expect("an entry");
            // The kernel runs it on the loopback device.
            if write.map == "lxc_device" && write.key == device {
                let loopback = 1u32.to_le_bytes();
                test_run::write_map(map, &loopback, bytes(&write.value)).expect("an entry");
            }
        }
        (object, program)
    }
}

/// The value of a write. The datapath fills its program array itself.
fn bytes(value: &MapValue) -> &[u8] {
    match value {
        MapValue::Bytes(bytes) => bytes,
        MapValue::Program(name) => panic!("{name} is no value"),
        MapValue::Target { program, .. } => panic!("{program} is no value"),
    }
}

/// A fresh engine.
pub fn engine(rbpf: bool) -> Box<dyn Engine> {
    if rbpf {
        Box::<Rbpf>::default()
    } else {
        Box::<Checked>::default()
    }
}

/// A world, and the device at which packets arrive.
#[derive(Debug)]
pub struct Way {
    world: World,
    device: DeviceId,
}

impl Way {
    /// Reads what is in the ring buffers, as a reader of events does now and then.
    pub fn read_events(&mut self) {
        rig::read_events(&mut self.world.machine);
    }

    /// A frame arrives; what the first program returned.
    pub fn run(&mut self, frame: &[u8]) -> u64 {
        let journey = self.world.inject(self.device, frame);
        let result = journey.hops[0].result.as_ref();
        u64::from(*result.expect("the program runs") as u32)
    }
}
