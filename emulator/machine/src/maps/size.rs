//! How much memory of the host a definition takes.

use super::{MapDef, MapType as T};

/// Bytes of the host's memory that a map takes when it is made, besides its values in guest memory: no
/// less than it does, and not much more.
pub(super) fn of_host(def: &MapDef) -> u64 {
    /// `Option` of an item with its slot.
    const ITEM: u64 = 32;
    let entries = u64::from(def.max_entries);
    match def.kind {
        T::Array | T::PerCpuArray | T::RingBuf | T::LpmTrie => 0,
        // Of tables, the heads of their buckets.
        T::Hash | T::PerCpuHash | T::LruHash | T::LruPerCpuHash => 4 * entries.next_power_of_two(),
        T::HashOfMaps | T::DevMapHash | T::SockHash => 4 * entries.next_power_of_two(),
        T::Queue | T::Stack => (entries + 1).saturating_mul(u64::from(def.value_size)),
        // As many bits as for 15 hashes, at most 2^32.
        T::BloomFilter => (4 * entries.next_power_of_two()).clamp(8, 1 << 29),
        _ => entries * ITEM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Machine, MachineOptions, Map, MapError};

    #[test]
    fn no_definition_takes_more_than_there_is() {
        let plain = |kind, value_size| MapDef::new(kind, 4, value_size, u32::MAX);
        let outer = MapDef {
            inner: Some(Box::new(MapDef::new(T::Array, 4, 4, 1))),
            ..plain(T::ArrayOfMaps, 4)
        };
        let definitions = [
            plain(T::ProgArray, 4),
            plain(T::PerfEventArray, 4),
            plain(T::CgroupArray, 4),
            plain(T::DevMap, 4),
            plain(T::SockMap, 4),
            MapDef::new(T::Queue, 0, 1 << 20, u32::MAX),
            MapDef::new(T::Stack, 0, 1 << 20, u32::MAX),
            MapDef::new(T::BloomFilter, 0, 8, u32::MAX),
            outer,
        ];
        for def in definitions {
            let options = MachineOptions {
                memory: 1 << 24,
                ..Default::default()
            };
            let mut machine = Machine::new(options).expect("there is room");
            let kind = def.kind;
            let map = Map::new(def, &mut machine.memory, 1);
            assert!(matches!(map, Err(MapError::Memory { .. })), "{kind}");
        }
    }
}
