//! From a plan to a world.

use std::collections::{BTreeMap, BTreeSet};

use twinpath_machine::engine::{Checked, Rbpf};
use twinpath_machine::maps::Target;
use twinpath_machine::{
    Cpu, Errno, LoadOptions, Loaded, MachineOptions, MapId, MapType, Object, Placement, ProgramId,
    running_kconfig,
};
use twinpath_node::{DeviceConfig, DeviceId, EngineFactory, Helpers, NodeConfig, NodeId, World};

use crate::plan::{
    Attachment, DeviceName, DevicePlan, HookKind, LOOPBACK, MapValue, MapWrite, NodeName, NodePlan,
    ObjectName, ObjectPlan, Plan, Port,
};

use super::calls::Callers;
use super::{EmulatedError, Emulation, Engine, Variant, map_ref, unknown};

/// Pages of the buffer of each CPU of a perf event array.
pub(crate) const EVENT_PAGES: u32 = 64;

/// Sets a plan up.
pub(super) fn emulation(
    engine: Engine,
    variant: Variant,
    plan: &Plan,
) -> Result<Emulation, EmulatedError> {
    // rbpf works on the host's addresses.
    let placement = match engine {
        Engine::Checked => Placement::Anywhere,
        Engine::Rbpf => Placement::Identity,
    };
    emulation_on(placement, engines(engine), variant, plan)
}

/// Sets a plan up with engines that work on guest memory anywhere.
pub(super) fn emulation_with(
    engines: EngineFactory,
    plan: &Plan,
) -> Result<Emulation, EmulatedError> {
    emulation_on(Placement::Anywhere, engines, Variant::default(), plan)
}

fn emulation_on(
    placement: Placement,
    engines: EngineFactory,
    variant: Variant,
    plan: &Plan,
) -> Result<Emulation, EmulatedError> {
    let options = MachineOptions {
        placement,
        // The kernel backend stays on one CPU, too.
        cpus: 1,
        seed: plan.seed.wrapping_add(variant.seed),
        ..MachineOptions::default()
    };
    let mut world = World::new(options, engines)?;
    world.fill_headroom(variant.headroom);
    let mut emulation = Emulation {
        world,
        variant,
        devices: BTreeMap::new(),
        places: BTreeMap::new(),
        maps: BTreeMap::new(),
        clocks: Vec::new(),
        callers: Callers::default(),
        warnings: BTreeSet::new(),
        plan: plan.clone(),
    };
    for node in &plan.nodes {
        emulation.add_node(node)?;
    }
    for [a, b] in &plan.wires {
        let (a, b) = (emulation.device(a)?, emulation.device(b)?);
        emulation.world.connect(a, b);
    }
    for segment in &plan.segments {
        let ports = segment.ports.iter();
        let devices = ports.map(|port| emulation.device(port));
        let devices: Vec<DeviceId> = devices.collect::<Result<_, _>>()?;
        emulation.world.join(&devices);
    }
    Ok(emulation)
}

/// Makes engines of a kind.
pub(crate) fn engines(engine: Engine) -> EngineFactory {
    match engine {
        Engine::Checked => Box::new(|| Box::<Checked>::default()),
        Engine::Rbpf => Box::new(|| Box::<Rbpf>::default()),
    }
}

type Objects = BTreeMap<ObjectName, Loaded>;
/// Maps that the objects of a node share, by the names under which they want to be pinned.
type Pinned = BTreeMap<String, MapId>;

impl Emulation {
    fn device(&self, port: &Port) -> Result<DeviceId, EmulatedError> {
        let place = (port.node.clone(), port.device.clone());
        let device = self.devices.get(&place).copied();
        device.ok_or_else(|| unknown("device", port))
    }

    fn add_node(&mut self, node: &NodePlan) -> Result<(), EmulatedError> {
        let id = self.world.build(&config(&self.plan, node))?;
        self.name_devices(id, node)?;
        let mut objects = Objects::new();
        let mut pinned = Pinned::new();
        for object in &node.objects {
            let loaded = self.load(node, object, &mut pinned)?;
            objects.insert(object.name.clone(), loaded);
        }
        for write in &node.maps {
            self.write(&node.name, write, &objects)?;
        }
        if let Some(clock) = &node.clock {
            let name = map_ref(&node.name, &clock.object, &clock.map);
            let map = self.maps.get(&name).ok_or_else(|| unknown("map", &name))?;
            self.clocks.push((*map, clock.key.clone()));
        }
        (1..)
            .zip(&node.attachments)
            .try_for_each(|(priority, attachment)| {
                self.attach(&node.name, attachment, priority, &objects)
            })?;
        if let Some(host) = &node.host {
            return self.callers.add_pod(&node.name, id, host);
        }
        if !self.plan.has_callers(&node.name) && node.socket_programs.is_empty() {
            return Ok(());
        }
        let caller = self.callers.add(&mut self.world, &node.name, id)?;
        for attached in &node.socket_programs {
            let program = program_of(&objects, &attached.object, &attached.program)?;
            caller.attach(&mut self.world, attached.hook, program)?;
        }
        Ok(())
    }

    fn name_devices(&mut self, id: NodeId, node: &NodePlan) -> Result<(), EmulatedError> {
        let names = node.devices.iter().map(|device| device.name.clone());
        for name in names.chain([DeviceName::new(LOOPBACK)]) {
            let loopback = name.as_str() == LOOPBACK;
            let added = self.world.device_named(id, name.as_str());
            let added = added.ok_or_else(|| unknown("device", &name))?;
            let place = (node.name.clone(), name);
            self.devices.insert(place.clone(), added);
            self.places.insert(added, place);
            // As in the kernel backend, so that frames have on the wire what they have in memory.
            if !loopback {
                self.world.send_plainly(added);
            }
        }
        Ok(())
    }

    /// Loads the programs that the node attaches, and all maps.
    fn load(
        &mut self,
        node: &NodePlan,
        plan: &ObjectPlan,
        pinned: &mut Pinned,
    ) -> Result<Loaded, EmulatedError> {
        let path = || plan.path.clone();
        let object = Object::parse(&plan.bytes).map_err(|source| EmulatedError::Object {
            path: path(),
            source,
        })?;
        let maps = object.maps().iter().enumerate();
        let wants_pin: BTreeSet<&str> = maps
            .filter(|(position, _)| object.is_pinned(*position))
            .map(|(_, def)| def.name.as_str())
            .collect();
        let shared = pinned
            .iter()
            .filter(|(name, _)| wants_pin.contains(name.as_str()));
        let options = LoadOptions {
            globals: plan.globals.clone(),
            programs: Some(node.programs_of(&plan.name)),
            kconfig: running_kconfig(&object),
            shared: shared.map(|(name, id)| (name.clone(), *id)).collect(),
            ..LoadOptions::default()
        };
        let machine = &mut self.world.machine;
        let loaded = machine
            .load(&object, &options, &Helpers)
            .map_err(|source| EmulatedError::Load {
                path: path(),
                source,
            })?;
        for (name, id) in &loaded.maps {
            if wants_pin.contains(name.as_str()) {
                pinned.insert(name.clone(), *id);
            }
            let map = &mut machine.maps[*id];
            if map.def().kind == MapType::PerfEventArray {
                // An array without room for the events of a CPU gives programs what the kernel gives them.
                let _ = map.open_events(Cpu(0), EVENT_PAGES);
            }
            self.maps.insert(map_ref(&node.name, &plan.name, name), *id);
        }
        Ok(loaded)
    }

    fn write(
        &mut self,
        node: &NodeName,
        write: &MapWrite,
        objects: &Objects,
    ) -> Result<(), EmulatedError> {
        let name = map_ref(node, &write.object, &write.map);
        let id = *self.maps.get(&name).ok_or_else(|| unknown("map", &name))?;
        let machine = &mut self.world.machine;
        let map = &mut machine.maps[id];
        let written = match &write.value {
            MapValue::Program(program) => {
                let program = program_of(objects, &write.object, program)?;
                let index = write.key.first_chunk().copied().map(u32::from_le_bytes);
                match index {
                    Some(index) => map.set_program(index, Some(program)),
                    None => Err(Errno::EINVAL),
                }
            }
            MapValue::Target { program, .. } => {
                let program = program_of(objects, &write.object, program)?;
                let key = write.key.first_chunk().copied().map(u32::from_le_bytes);
                match (key, write.value.target()) {
                    (Some(key), Some(ifindex)) => {
                        let program = Some(program);
                        let target = Target::Device { ifindex, program };
                        map.set_target(&mut machine.memory, key, Some(target), 0)
                    }
                    _ => Err(Errno::EINVAL),
                }
            }
            MapValue::Bytes(bytes) => {
                let mut value = bytes.clone();
                if map.def().kind.is_per_cpu() {
                    // As the system call has the value of each CPU, of which there is one here.
                    value.resize(value.len().next_multiple_of(8), 0);
                }
                map.user_update(&mut machine.memory, &write.key, &value, 0)
            }
        };
        written.map_err(|errno| EmulatedError::Map { map: name, errno })
    }

    fn attach(
        &mut self,
        node: &NodeName,
        attachment: &Attachment,
        priority: u16,
        objects: &Objects,
    ) -> Result<(), EmulatedError> {
        let device = &attachment.hook.device;
        let id = self.devices.get(&(node.clone(), device.clone()));
        let id = id.ok_or_else(|| unknown("device", device))?;
        let program = program_of(objects, &attachment.object, &attachment.program)?;
        let hook = match attachment.hook.kind {
            HookKind::Xdp => twinpath_node::HookKind::Xdp,
            HookKind::XdpGeneric => twinpath_node::HookKind::XdpGeneric,
            HookKind::TcxIngress => twinpath_node::HookKind::TcxIngress,
            HookKind::TcIngress => twinpath_node::HookKind::TcIngress,
            HookKind::TcxEgress => twinpath_node::HookKind::TcxEgress,
            HookKind::TcEgress => twinpath_node::HookKind::TcEgress,
            // The map holds it.
            HookKind::XdpDevmap => return Ok(()),
        };
        self.world.attach(*id, hook, priority, program)?;
        Ok(())
    }
}

fn program_of(
    objects: &Objects,
    object: &ObjectName,
    program: &str,
) -> Result<ProgramId, EmulatedError> {
    let loaded = objects.get(object);
    let loaded = loaded.ok_or_else(|| unknown("object", object))?;
    let found = loaded.programs.get(program).copied();
    found.ok_or_else(|| unknown("program", &program))
}

/// The node as the emulator has it described.
fn config(plan: &Plan, node: &NodePlan) -> NodeConfig {
    let device = |device: &DevicePlan| {
        let addresses = device.addresses.iter();
        DeviceConfig {
            name: device.name.to_string(),
            ifindex: device.ifindex,
            mac: device.mac,
            mtu: device.mtu,
            kind: device.kind.clone(),
            addresses: addresses
                .map(|address| (address.addr(), address.prefix_len()))
                .collect(),
            settings: device.settings,
        }
    };
    let devices = plan.registered(&node.name).into_iter();
    let devices = devices.map(|place| &node.devices[place]);
    NodeConfig {
        settings: node.settings,
        devices: devices.map(device).collect(),
        routes: node.routes.clone(),
        rules: node.rules.clone(),
        neighbours: node.neighbours.clone(),
    }
}
