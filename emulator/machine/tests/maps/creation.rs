//! Random definitions of maps: what the kernel makes, the machine makes, and refuses with its error.

use proptest::prelude::*;
use twinpath_machine::{Errno, Map, MapDef, MapError, MapFlags, MapType};

use super::faces::Ours;
use super::kernel::map::KernelMap;

const TYPES: &[MapType] = &[
    MapType::Hash,
    MapType::Array,
    MapType::ProgArray,
    MapType::PerfEventArray,
    MapType::PerCpuHash,
    MapType::PerCpuArray,
    MapType::CgroupArray,
    MapType::LruHash,
    MapType::LruPerCpuHash,
    MapType::LpmTrie,
    MapType::ArrayOfMaps,
    MapType::HashOfMaps,
    MapType::DevMap,
    MapType::SockMap,
    MapType::CpuMap,
    MapType::XskMap,
    MapType::SockHash,
    MapType::CgroupStorage,
    MapType::PerCpuCgroupStorage,
    MapType::Queue,
    MapType::Stack,
    MapType::SkStorage,
    MapType::DevMapHash,
    MapType::RingBuf,
    MapType::BloomFilter,
];

fn flags() -> impl Strategy<Value = u32> {
    let known = [
        0,
        MapFlags::NO_PREALLOC,
        MapFlags::NO_COMMON_LRU,
        MapFlags::RDONLY,
        MapFlags::WRONLY,
        MapFlags::ZERO_SEED,
        MapFlags::RDONLY_PROG,
        MapFlags::WRONLY_PROG,
        MapFlags::CLONE,
        MapFlags::MMAPABLE,
        MapFlags::PRESERVE_ELEMS,
        MapFlags::INNER_MAP,
        1 << 5,
        1 << 20,
    ];
    let one = prop::sample::select(known.to_vec());
    prop_oneof![
        6 => Just(0),
        4 => Just(MapFlags::NO_PREALLOC),
        4 => one.clone(),
        2 => (one.clone(), one).prop_map(|(a, b)| a | b),
    ]
}

fn size() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => Just(4u32),
        4 => Just(8),
        3 => Just(0),
        1 => Just(1),
        1 => Just(2),
        1 => Just(5),
        1 => Just(16),
        1 => Just(260),
        1 => Just(261),
        1 => Just(512),
        1 => Just(513),
        1 => Just(4096),
        1 => Just(4097),
        1 => Just(32_768),
        1 => Just(32_769),
        1 => Just(65_407),
        1 => Just(65_408),
        1 => Just((1 << 22) - 48),
        1 => Just((1 << 22) - 300),
        1 => Just(1 << 22),
        1 => Just((1 << 22) + 1),
    ]
}

fn entries() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(0u32), 4 => Just(1), 2 => Just(3), 4 => Just(4096), 1 => Just(6144), 1 => Just(8192)]
}

pub fn def() -> impl Strategy<Value = MapDef> {
    let extra = prop_oneof![8 => Just(0u64), 1 => Just(3), 1 => Just(16)];
    let lock = prop_oneof![8 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(4))];
    let kind = prop::sample::select(TYPES.to_vec());
    let inner = prop::sample::select(TYPES.to_vec());
    (kind, size(), size(), entries(), flags(), extra, lock, inner).prop_map(
        |(kind, key, value, entries, flags, extra, lock, inner)| {
            // Large keys and values are for the limits, not to fill the machine.
            let entries = if key.max(value) > 65_536 {
                entries.min(2)
            } else {
                entries
            };
            // The kernel ends at the CPUs that it was built for.
            let entries = match kind {
                MapType::CpuMap => entries.min(3),
                _ => entries,
            };
            let mut def = MapDef::new(kind, key, value, entries);
            def.flags = MapFlags(flags);
            def.extra = extra;
            // Types describe a key of four bytes, and values of a page at most.
            def.lock = lock.filter(|lock| key == 4 && value >= lock + 4 && value < 4096);
            if matches!(kind, MapType::ArrayOfMaps | MapType::HashOfMaps) {
                def.inner = inner_def(inner).map(Box::new);
            }
            def
        },
    )
}

/// A definition of a type that is valid.
fn inner_def(kind: MapType) -> Option<MapDef> {
    let mut def = MapDef::new(kind, 4, 4, 4096);
    match kind {
        MapType::LpmTrie => def = MapDef::new(kind, 8, 4, 4),
        MapType::RingBuf => def = MapDef::new(kind, 0, 0, 4096),
        MapType::Queue | MapType::Stack | MapType::BloomFilter => def.key_size = 0,
        MapType::CgroupStorage | MapType::PerCpuCgroupStorage => def = MapDef::new(kind, 16, 4, 0),
        MapType::SkStorage => def.max_entries = 0,
        MapType::ArrayOfMaps | MapType::HashOfMaps => {
            def.inner = Some(Box::new(MapDef::new(MapType::Array, 4, 4, 1)));
        }
        // The kernel ends at NR_CPUS.
        MapType::CpuMap => def.max_entries = 2,
        _ => {}
    }
    if matches!(kind, MapType::LpmTrie | MapType::SkStorage) {
        def.flags = MapFlags(MapFlags::NO_PREALLOC);
    }
    Some(def)
}

/// The kernel's map of a definition, with its inner map.
pub fn in_kernel(def: &MapDef) -> Result<KernelMap, i32> {
    let inner = match &def.inner {
        Some(inner) => Some(in_kernel(inner)?),
        None => None,
    };
    KernelMap::new(def, inner.as_ref())
}

pub fn compare(def: &MapDef) -> Result<u64, TestCaseError> {
    let theirs = in_kernel(def).map(drop);
    let mut machine = Ours::machine();
    let cpus = machine.cpus();
    let ours = match Map::new(def.clone(), &mut machine.memory, cpus) {
        Ok(_) => Ok(()),
        Err(MapError::Invalid { errno, .. }) => Err(errno),
        // The test's machine is small.
        Err(MapError::Memory { .. }) => return Ok(0),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    prop_assert_eq!(theirs, ours.map_err(Errno::get));
    Ok(1)
}
