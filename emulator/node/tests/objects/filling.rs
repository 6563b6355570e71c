//! Elements for maps of objects whose user space is not here: the same on both sides, under keys that packets have.

use std::collections::BTreeSet;

use twinpath_machine::{MapDef, MapType};

use super::kernel::KernelObject;
use super::packets;
use super::world::WorldObject;

/// Where packets have addresses: of Ethernet, of IPv4, of IPv6.
const ADDRESSES: [usize; 6] = [0, 6, 26, 30, 22, 38];
/// Of how many elements of an array one is filled.
const STRIDE: u32 = 3;

/// Fills hash tables and arrays of plain bytes, other than global data.
pub fn fill(kernel: &KernelObject, world: &mut WorldObject) {
    let maps = world.maps().into_iter();
    for (name, def) in maps.filter(|(name, _)| !name.contains('.')) {
        let map = kernel
            .map(&name)
            .unwrap_or_else(|| panic!("the kernel lacks map {name}"));
        let value = vec![0xff; map.stored_size()];
        for key in keys(&def) {
            map.update(&key, &value, 0).unwrap();
            world.update(&name, &key, &value);
        }
    }
}

fn keys(def: &MapDef) -> BTreeSet<Vec<u8>> {
    let size = def.key_size as usize;
    match def.kind {
        MapType::Array | MapType::PerCpuArray => (0..def.max_entries)
            .step_by(STRIDE as usize)
            .map(|index| index.to_le_bytes().to_vec())
            .collect(),
        MapType::Hash | MapType::PerCpuHash => {
            // Of every other packet, so that some are found and some are not.
            let packets = packets::all().iter().step_by(2);
            let keys = packets.flat_map(|packet| {
                ADDRESSES
                    .iter()
                    .filter_map(move |at| packet.get(*at..at + size))
            });
            keys.take(def.max_entries as usize)
                .map(<[u8]>::to_vec)
                .collect()
        }
        _ => BTreeSet::new(),
    }
}
