//! An object in a world of the emulator's.

use std::path::Path;

use twinpath_machine::engine::Engine;
use twinpath_machine::{
    LoadOptions, Loaded, MachineOptions, MapDef, Object, Placement, running_kconfig,
};
use twinpath_node::{Helpers, NodeId, TestRun, TestRunError, World};

use super::kernel::holds_bytes;
use super::{Contents, Ran};

pub struct WorldObject {
    pub engine: &'static str,
    world: World,
    node: NodeId,
    loaded: Loaded,
}

impl WorldObject {
    pub fn load<E: Engine + Default + 'static>(
        path: &Path,
        placement: Placement,
    ) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        let object = Object::parse(&bytes).map_err(|error| error.to_string())?;
        let options = MachineOptions {
            cpus: twinpath_bpf::possible_cpus().unwrap(),
            placement,
            // Tests in many threads share the addresses below 4 GiB.
            memory: 64 << 20,
            ..MachineOptions::default()
        };
        let mut world = World::new(options, Box::new(|| Box::<E>::default())).unwrap();
        let node = world.add_node();
        let options = LoadOptions {
            kconfig: running_kconfig(&object),
            ..LoadOptions::default()
        };
        let loaded = world.machine.load(&object, &options, &Helpers);
        let loaded = loaded.map_err(|error| error.to_string())?;
        Ok(Self {
            engine: E::default().name(),
            world,
            node,
            loaded,
        })
    }

    pub fn programs(&self) -> impl Iterator<Item = String> + use<'_> {
        self.loaded.programs.keys().cloned()
    }

    /// Runs a program over a packet, or shows its fault.
    pub fn run(&mut self, name: &str, packet: &[u8]) -> Result<Ran, String> {
        let run = TestRun {
            program: self.loaded.programs[name],
            node: self.node,
            data: packet,
            context: None,
            checksum_complete: false,
        };
        match self.world.test_run(run) {
            Ok(result) => Ok(Ok((result.returned, result.data))),
            Err(TestRunError::Refused { errno, .. }) => Ok(Err(errno.get())),
            Err(TestRunError::Fault(fault)) => Err(format!("fault: {}", fault.kind)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// All maps of plain bytes, by name.
    pub fn maps(&self) -> Vec<(String, MapDef)> {
        let maps = self.loaded.maps.iter();
        let maps =
            maps.map(|(name, id)| (name.clone(), self.world.machine.maps[*id].def().clone()));
        maps.filter(|(_, def)| holds_bytes(def.kind)).collect()
    }

    pub fn update(&mut self, name: &str, key: &[u8], value: &[u8]) {
        let machine = &mut self.world.machine;
        let map = &mut machine.maps[self.loaded.maps[name]];
        map.user_update(&mut machine.memory, key, value, 0).unwrap();
    }

    /// What all maps of plain bytes hold. Queues and stacks are empty afterwards.
    pub fn contents(&mut self) -> Vec<(String, Contents)> {
        let maps = self.maps().into_iter();
        let maps = maps.map(|(name, _)| (self.loaded.maps[&name], name));
        let maps: Vec<_> = maps.collect();
        let machine = &mut self.world.machine;
        let mut all = Vec::new();
        for (id, name) in maps {
            let map = &mut machine.maps[id];
            let mut contents = Contents::new();
            if map.def().key_size == 0 {
                while let Ok(value) = map.user_take(&mut machine.memory, &[]) {
                    contents.insert(contents.len().to_be_bytes().to_vec(), value);
                }
            } else {
                let mut last: Option<Vec<u8>> = None;
                while let Ok(key) = map.next_key(last.as_deref()) {
                    let value = map.user_lookup(&machine.memory, &key).unwrap();
                    contents.insert(key.clone(), value);
                    last = Some(key);
                }
            }
            all.push((name, contents));
        }
        all
    }
}
