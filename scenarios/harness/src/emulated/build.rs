//! From a plan to a world.

use std::collections::{BTreeMap, BTreeSet};

use twinpath_machine::engine::{Checked, Rbpf};
use twinpath_machine::{
    Cpu, LoadOptions, Loaded, MachineOptions, MapId, MapType, Object, Placement, running_kconfig,
};
use twinpath_node::{DeviceOptions, EngineFactory, Helpers, NodeId, World, WorldError};

use crate::plan::{
    Attachment, HookKind, Ifindex, MapWrite, NodeName, NodePlan, ObjectName, ObjectPlan, Plan,
};

use super::{EmulatedError, Emulation, Engine, map_ref, unknown};

/// Pages of the buffer of each CPU of a perf event array.
pub(crate) const EVENT_PAGES: u32 = 64;

/// Sets a plan up.
pub(super) fn emulation(engine: Engine, plan: &Plan) -> Result<Emulation, EmulatedError> {
    let options = MachineOptions {
        // rbpf works on the host's addresses.
        placement: match engine {
            Engine::Checked => Placement::Anywhere,
            Engine::Rbpf => Placement::Identity,
        },
        // The kernel backend stays on one CPU, too.
        cpus: 1,
        seed: plan.seed,
        ..MachineOptions::default()
    };
    let mut emulation = Emulation {
        world: World::new(options, engines(engine))?,
        devices: BTreeMap::new(),
        places: BTreeMap::new(),
        maps: BTreeMap::new(),
        clocks: Vec::new(),
    };
    for node in &plan.nodes {
        emulation.add_node(node)?;
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
    fn add_node(&mut self, node: &NodePlan) -> Result<(), EmulatedError> {
        let id = self.world.add_node();
        // No plan brings it up, so a packet that is sent to it is dropped.
        if let Some(loopback) = self.world.find_device(id, Ifindex::LOOPBACK.get()) {
            self.world.set_up(loopback, false);
        }
        self.add_devices(id, node)?;
        let mut objects = Objects::new();
        let mut pinned = Pinned::new();
        for object in &node.objects {
            let loaded = self.load(node, object, &mut pinned)?;
            objects.insert(object.name.clone(), loaded);
        }
        for write in &node.maps {
            self.write(&node.name, write)?;
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
            })
    }

    fn add_devices(&mut self, id: NodeId, node: &NodePlan) -> Result<(), WorldError> {
        for device in &node.devices {
            let options = DeviceOptions {
                name: device.name.to_string(),
                ifindex: device.ifindex,
                mac: device.mac,
                mtu: device.mtu,
            };
            let added = self.world.add_device(id, options)?;
            let place = (node.name.clone(), device.name.clone());
            self.devices.insert(place.clone(), added);
            self.places.insert(added, place);
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
        let attached: BTreeSet<String> = node
            .attachments
            .iter()
            .filter(|attachment| attachment.object == plan.name)
            .map(|attachment| attachment.program.clone())
            .collect();
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
            programs: Some(attached),
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

    fn write(&mut self, node: &NodeName, write: &MapWrite) -> Result<(), EmulatedError> {
        let name = map_ref(node, &write.object, &write.map);
        let id = *self.maps.get(&name).ok_or_else(|| unknown("map", &name))?;
        let machine = &mut self.world.machine;
        let map = &mut machine.maps[id];
        let mut value = write.value.clone();
        if map.def().kind.is_per_cpu() {
            // As the system call has the value of each CPU, of which there is one here.
            value.resize(value.len().next_multiple_of(8), 0);
        }
        map.user_update(&mut machine.memory, &write.key, &value, 0)
            .map_err(|errno| EmulatedError::Map { map: name, errno })
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
        let loaded = objects.get(&attachment.object);
        let loaded = loaded.ok_or_else(|| unknown("object", &attachment.object))?;
        let program = loaded.programs.get(&attachment.program);
        let program = program.ok_or_else(|| unknown("program", &attachment.program))?;
        let hook = match attachment.hook.kind {
            HookKind::Xdp => twinpath_node::HookKind::Xdp,
            HookKind::XdpGeneric => twinpath_node::HookKind::XdpGeneric,
            HookKind::TcIngress => twinpath_node::HookKind::TcIngress,
            HookKind::TcEgress => twinpath_node::HookKind::TcEgress,
        };
        self.world.attach(*id, hook, priority, *program)?;
        Ok(())
    }
}
