//! The maps that programs use, in the kernel and in the emulator alike.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use twinpath_bpf::{MapShape, PerfReader, PerfRecord};
use twinpath_machine::{Cpu, Machine, Map, MapDef, MapId, MapType, Target};

use super::case::SPACE;

/// A map by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// One value that programs share with the test.
    Space,
    Events,
    Devices,
    DevicesByKey,
    Cpus,
    XdpSockets,
    Cgroups,
}

/// Each map's type, value size and entries.
const MAPS: [(Name, MapType, u32, u32); 7] = [
    (Name::Space, MapType::Array, SPACE as u32, 1),
    (Name::Events, MapType::PerfEventArray, 4, 2),
    (Name::Devices, MapType::DevMap, 4, 8),
    (Name::DevicesByKey, MapType::DevMapHash, 4, 8),
    (Name::Cpus, MapType::CpuMap, 4, 2),
    (Name::XdpSockets, MapType::XskMap, 4, 4),
    (Name::Cgroups, MapType::CgroupArray, 4, 2),
];

/// Keys and devices.
const DEVICES: [(u32, u32); 4] = [(0, 1), (2, 10), (3, 14), (5, 12)];
/// The same where keys are any numbers.
const DEVICES_BY_KEY: [(u32, u32); 3] = [(0, 10), (7, 11), (0xffff_ffff, 15)];
/// Pages for events.
const PAGES: u32 = 32;

/// Numbers or descriptors of all maps.
#[derive(Debug, Clone)]
pub struct Numbers([i32; MAPS.len()]);

impl Numbers {
    pub fn of(&self, name: Name) -> i32 {
        self.0[place(name)]
    }
}

fn place(name: Name) -> usize {
    let place = MAPS.iter().position(|(other, ..)| *other == name);
    place.unwrap()
}

/// The kernel's maps, and the reader of its events. Programs run on the first CPU from here on.
pub struct KernelMaps {
    maps: Vec<twinpath_bpf::Map>,
    reader: PerfReader,
}

impl KernelMaps {
    pub fn new() -> io::Result<Self> {
        twinpath_bpf::run_on(0)?;
        let create = |(_, kind, value_size, max_entries): (_, MapType, _, _)| {
            let shape = MapShape {
                kind: kind as u32,
                key_size: 4,
                value_size,
                max_entries,
                flags: 0,
            };
            twinpath_bpf::Map::create("map", shape)
        };
        let maps: Vec<_> = MAPS.into_iter().map(create).collect::<io::Result<_>>()?;
        let set = |name, key: u32, value: u32| {
            maps[place(name)].update(&key.to_ne_bytes(), &value.to_ne_bytes(), 0)
        };
        for (key, device) in DEVICES {
            set(Name::Devices, key, device)?;
        }
        for (key, device) in DEVICES_BY_KEY {
            set(Name::DevicesByKey, key, device)?;
        }
        set(Name::Cpus, 0, 64)?;
        let reader = PerfReader::new(0, PAGES as usize)?;
        set(Name::Events, 0, reader.as_raw_fd() as u32)?;
        if let Some(root) = root_cgroup()? {
            set(Name::Cgroups, 0, root.as_raw_fd() as u32)?;
        }
        Ok(Self { maps, reader })
    }

    pub fn numbers(&self) -> Numbers {
        Numbers(std::array::from_fn(|place| self.maps[place].as_raw_fd()))
    }

    pub fn space(&self) -> &twinpath_bpf::Map {
        &self.maps[place(Name::Space)]
    }

    /// The events since the last time, each filled up to eight bytes with its length.
    pub fn events(&self) -> Vec<Vec<u8>> {
        let sample = |record| match record {
            PerfRecord::Sample(bytes) => Some(bytes),
            PerfRecord::Lost(_) => None,
        };
        self.reader.take().into_iter().filter_map(sample).collect()
    }
}

/// The cgroup above all others, where the kernel shows it.
fn root_cgroup() -> io::Result<Option<File>> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let words = |line: &'_ str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut mounts = mounts.lines().map(words);
    let mount = mounts.find(|words| words.get(2).is_some_and(|kind| kind == "cgroup2"));
    mount.map(|words| File::open(&words[1])).transpose()
}

/// The same maps in the emulator.
pub struct EmulatorMaps([MapId; MAPS.len()]);

impl EmulatorMaps {
    pub fn new(machine: &mut Machine) -> Self {
        let cpus = machine.cpus();
        let ids = MAPS.map(|(_, kind, value_size, max_entries)| {
            let def = MapDef::new(kind, 4, value_size, max_entries);
            let map = Map::new(def, &mut machine.memory, cpus).unwrap();
            machine.maps.push(map)
        });
        let Machine { maps, memory, .. } = machine;
        let mut set = |name, key, target| {
            let map = &mut maps[ids[place(name)]];
            map.set_target(memory, key, Some(target), 0).unwrap();
        };
        let device = |ifindex| Target::Device {
            ifindex,
            program: None,
        };
        for (key, ifindex) in DEVICES {
            set(Name::Devices, key, device(ifindex));
        }
        for (key, ifindex) in DEVICES_BY_KEY {
            set(Name::DevicesByKey, key, device(ifindex));
        }
        let cpu = Target::Cpu {
            cpu: 0,
            queue: 64,
            program: None,
        };
        set(Name::Cpus, 0, cpu);
        let events = &mut maps[ids[place(Name::Events)]];
        events.open_events(Cpu(0), PAGES).unwrap();
        if root_cgroup().unwrap().is_some() {
            const ROOT: u64 = 1;
            let cgroups = &mut maps[ids[place(Name::Cgroups)]];
            cgroups.set_cgroup(0, Some(ROOT)).unwrap();
        }
        Self(ids)
    }

    pub fn numbers(&self) -> Numbers {
        Numbers(self.0.map(|id| id.0 as i32))
    }

    pub fn space(&self) -> MapId {
        self.0[place(Name::Space)]
    }

    /// The events since the last time.
    pub fn events(&self, machine: &mut Machine) -> Vec<Vec<u8>> {
        let Machine { maps, memory, .. } = machine;
        let records = maps[self.0[place(Name::Events)]].take_records(memory);
        records.into_iter().map(|record| record.bytes).collect()
    }
}
