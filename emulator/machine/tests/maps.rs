//! Maps by their two faces, against plain models.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use twinpath_machine::{Cpu, Errno, Map, MapDef, MapFlags, MapType, Memory, Placement};

fn memory() -> Memory {
    Memory::new(Placement::Anywhere, 64 << 20).unwrap()
}

fn map(memory: &mut Memory, kind: MapType, key: u32, value: u32, entries: u32) -> Map {
    let mut def = MapDef::new(kind, key, value, entries);
    if kind == MapType::LpmTrie {
        def.flags = MapFlags(MapFlags::NO_PREALLOC);
    }
    Map::new(def, memory, 2).unwrap()
}

fn prefix(bits: u32, bytes: [u8; 4]) -> [u8; 8] {
    let [a, b, c, d] = bytes;
    let [e, f, g, h] = bits.to_le_bytes();
    [e, f, g, h, a, b, c, d]
}

#[test]
fn a_trie_finds_the_longest_prefix_and_lists_specific_ones_first() {
    let memory = &mut memory();
    let mut trie = map(memory, MapType::LpmTrie, 8, 1, 8);
    let keys = [
        prefix(0, [9, 9, 9, 9]),
        prefix(8, [10, 1, 1, 1]),
        prefix(16, [10, 1, 1, 1]),
        prefix(24, [10, 1, 2, 7]),
        prefix(32, [10, 1, 2, 3]),
        prefix(31, [10, 1, 2, 3]),
    ];
    for (number, key) in keys.iter().enumerate() {
        trie.user_update(memory, key, &[number as u8], 0).unwrap();
    }
    for (bits, address, found) in [
        (32, [10, 1, 2, 3], 4),
        (32, [10, 1, 2, 2], 5),
        (32, [10, 1, 2, 4], 3),
        (31, [10, 1, 2, 3], 5),
        (24, [10, 1, 2, 3], 3),
        (23, [10, 1, 2, 3], 2),
        (32, [10, 2, 2, 3], 1),
        (7, [10, 2, 2, 3], 0),
        (32, [11, 2, 2, 3], 0),
    ] {
        assert_eq!(
            trie.user_lookup(memory, &prefix(bits, address)),
            Ok(vec![found])
        );
    }
    let listed: Vec<_> = trie
        .entries(memory)
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        listed,
        [4, 5, 3, 2, 1, 0].map(|number: usize| keys[number].to_vec())
    );
}

#[test]
fn an_update_leaves_the_old_value_to_those_who_hold_a_pointer() {
    let memory = &mut memory();
    let mut hash = map(memory, MapType::Hash, 4, 8, 4);
    hash.user_update(memory, &[1; 4], &[1; 8], 0).unwrap();
    let old = hash.lookup(&[1; 4], Cpu(0)).unwrap();
    hash.user_update(memory, &[1; 4], &[2; 8], 0).unwrap();
    let new = hash.lookup(&[1; 4], Cpu(0)).unwrap();
    assert_ne!(old, new);
    assert_eq!(memory.raw(old, 8), [1; 8]);
    assert_eq!(memory.raw(new, 8), [2; 8]);
}

#[test]
fn records_wrap_around_a_ring() {
    let memory = &mut memory();
    let mut events = map(memory, MapType::PerfEventArray, 4, 4, 2);
    assert_eq!(events.take_records(memory), []);
    events.open_events(Cpu(1), 1).unwrap();
    assert_eq!(events.open_events(Cpu(2), 1), Err(Errno::E2BIG));
}

/// What a trie does, by looking at every prefix.
#[derive(Default)]
struct Model(BTreeMap<(u32, [u8; 4]), u8>);

fn masked(bits: u32, bytes: [u8; 4]) -> (u32, [u8; 4]) {
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    (bits, (u32::from_be_bytes(bytes) & mask).to_be_bytes())
}

impl Model {
    fn lookup(&self, bits: u32, bytes: [u8; 4]) -> Option<u8> {
        let lengths = (0..=bits).rev();
        lengths
            .map(|bits| masked(bits, bytes))
            .find_map(|key| self.0.get(&key).copied())
    }
}

fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(1), Just(128), Just(129), Just(255)]
}

proptest! {
    #[test]
    fn a_trie_agrees_with_a_list_of_prefixes(
        steps in prop::collection::vec((0..3u8, 0..=32u32, [byte(), byte(), byte(), byte()], 0..3u64), 1..200),
    ) {
        let memory = &mut memory();
        let mut trie = map(memory, MapType::LpmTrie, 8, 1, 24);
        let mut model = Model::default();
        for (number, (action, bits, bytes, flags)) in steps.into_iter().enumerate() {
            let (key, masked) = (prefix(bits, bytes), masked(bits, bytes));
            let known = model.0.contains_key(&masked);
            match action {
                0 => {
                    let value = number as u8;
                    let done = trie.user_update(memory, &key, &[value], flags);
                    let expected = match flags {
                        1 if known => Err(Errno::EEXIST),
                        2 if !known => Err(Errno::ENOENT),
                        _ if !known && model.0.len() == 24 => Err(Errno::ENOSPC),
                        _ => Ok(()),
                    };
                    prop_assert_eq!(done, expected);
                    if done.is_ok() {
                        model.0.insert(masked, value);
                    }
                }
                1 => {
                    let done = trie.user_delete(memory, &key);
                    prop_assert_eq!(done.is_ok(), model.0.remove(&masked).is_some());
                }
                _ => {
                    let found = trie.user_lookup(memory, &key).ok();
                    prop_assert_eq!(found, model.lookup(bits, bytes).map(|value| vec![value]));
                }
            }
            let mut walked = Vec::new();
            let mut key = None;
            while let Ok(next) = trie.next_key(key.as_deref()) {
                walked.push(next.clone());
                key = Some(next);
            }
            let listed: Vec<_> = trie.entries(memory).into_iter().map(|(key, _)| key).collect();
            prop_assert_eq!(&walked, &listed);
            prop_assert_eq!(listed.len(), model.0.len());
        }
    }
}
