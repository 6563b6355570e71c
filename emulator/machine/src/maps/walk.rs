//! Walks through what a map holds, as `bpf_for_each_map_elem` goes.

use super::Map;
use super::map::Storage;
use super::pool::Slot;
use crate::machine::Cpu;

/// Where a walk is. The map may change between two steps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Walk {
    /// The next index of an array, or bucket of a hash.
    pub(super) place: u32,
    /// The next slot of the bucket before `place`, which is visited even if it is deleted meanwhile, as
    /// the kernel does.
    pub(super) slot: Option<Slot>,
}

impl Map {
    /// The next element that a program on this CPU is shown: its key, which is put into `key`, and the
    /// guest address of its value; none at the end, and for types that cannot be walked.
    pub(crate) fn step(&self, walk: &mut Walk, cpu: Cpu, key: &mut Vec<u8>) -> Option<u32> {
        key.clear();
        match &self.storage {
            Storage::Array(array) => {
                let index = walk.place.to_le_bytes();
                let value = array.lookup(&index, cpu)?;
                walk.place += 1;
                key.extend(index);
                Some(value)
            }
            Storage::Hash(hash) => {
                let slot = hash.table.step(walk)?;
                key.extend(hash.table.key(slot));
                Some(hash.shape.at(hash.block(slot), cpu))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::{MapDef, MapType};
    use crate::memory::{Memory, Placement};

    fn keys(map: &Map) -> Vec<Vec<u8>> {
        let (mut walk, mut key) = (Walk::default(), Vec::new());
        std::iter::from_fn(|| map.step(&mut walk, Cpu(0), &mut key).map(|_| key.clone())).collect()
    }

    #[test]
    fn a_walk_meets_every_element_in_the_order_of_keys() {
        let mut memory = Memory::new(Placement::Anywhere, 1 << 22).expect("memory");
        for kind in [MapType::Array, MapType::PerCpuHash, MapType::LruHash] {
            let def = MapDef::new(kind, 4, 8, 16);
            let mut map = Map::new(def, &mut memory, 2).expect("a map");
            for number in 0..10u32 {
                let value = vec![0; if kind == MapType::PerCpuHash { 16 } else { 8 }];
                map.user_update(&mut memory, &number.to_le_bytes(), &value, 0)
                    .expect("room");
            }
            let listed = map.entries(&memory).into_iter().map(|(key, _)| key);
            assert_eq!(keys(&map), listed.collect::<Vec<_>>(), "{kind}");
        }
    }

    #[test]
    fn a_walk_goes_on_when_what_it_shows_is_deleted() {
        let mut memory = Memory::new(Placement::Anywhere, 1 << 22).expect("memory");
        let mut map =
            Map::new(MapDef::new(MapType::Hash, 4, 8, 1 << 4), &mut memory, 1).expect("a map");
        for number in 0..16u32 {
            map.user_update(&mut memory, &number.to_le_bytes(), &[0; 8], 0)
                .expect("room");
        }
        let (mut walk, mut key, mut seen) = (Walk::default(), Vec::new(), 0);
        while map.step(&mut walk, Cpu(0), &mut key).is_some() {
            seen += 1;
            map.user_delete(&mut memory, &key).expect("it is there");
        }
        assert_eq!(seen, 16);
        assert!(map.entries(&memory).is_empty());
    }
}
