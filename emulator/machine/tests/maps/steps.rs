//! Random maps and what is done with them.

use proptest::prelude::*;
use twinpath_machine::{MapDef, MapFlags, MapType};

use super::kernel::possible_cpus;
use super::program::Action;

/// One thing to do; keys and values are chosen by number.
#[derive(Debug, Clone)]
pub enum Step {
    Lookup(u8),
    Update {
        key: u8,
        value: u8,
        flags: u64,
    },
    Delete(u8),
    Next(Option<u8>),
    Take(u8),
    Freeze,
    Run {
        action: usize,
        cpu: u32,
        other_cpu: u32,
        key: u8,
        value: u8,
        flags: u64,
    },
}

/// A map and what is done with it.
#[derive(Debug, Clone)]
pub struct Case {
    pub def: MapDef,
    pub steps: Vec<Step>,
}

/// Flags of updates, mostly legal ones.
fn update_flags() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => Just(0u64),
        3 => Just(1),
        3 => Just(2),
        1 => Just(3),
        2 => 4..8u64,
        1 => Just(1 << 32),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..8u8;
    prop_oneof![
        3 => key().prop_map(Step::Lookup),
        5 => (key(), any::<u8>(), update_flags())
            .prop_map(|(key, value, flags)| Step::Update { key, value, flags }),
        3 => key().prop_map(Step::Delete),
        2 => prop::option::of(key()).prop_map(Step::Next),
        1 => key().prop_map(Step::Take),
        8 => (any::<usize>(), 0..possible_cpus(), 0..4u32, key(), any::<u8>(), update_flags())
            .prop_map(|(action, cpu, other_cpu, key, value, flags)| Step::Run {
                action, cpu, other_cpu, key, value, flags,
            }),
    ]
}

/// Flags of creation that make a difference to what is done here.
fn creation_flags(kind: MapType) -> impl Strategy<Value = u32> {
    let own = match kind {
        MapType::Array => vec![0, MapFlags::MMAPABLE, MapFlags::INNER_MAP],
        MapType::Hash | MapType::PerCpuHash => vec![
            0,
            MapFlags::ZERO_SEED,
            MapFlags::NO_PREALLOC,
            MapFlags::NO_PREALLOC | MapFlags::ZERO_SEED,
        ],
        MapType::LruHash | MapType::LruPerCpuHash => vec![0, MapFlags::NO_COMMON_LRU],
        MapType::LpmTrie => vec![MapFlags::NO_PREALLOC],
        MapType::BloomFilter => vec![MapFlags::ZERO_SEED],
        _ => vec![0],
    };
    let access = prop_oneof![
        20 => Just(0),
        1 => Just(MapFlags::RDONLY),
        1 => Just(MapFlags::WRONLY),
        1 => Just(MapFlags::RDONLY_PROG),
        1 => Just(MapFlags::WRONLY_PROG),
    ];
    (prop::sample::select(own), access).prop_map(|(own, access)| own | access)
}

fn sizes(kind: MapType) -> (BoxedStrategy<u32>, BoxedStrategy<u32>) {
    let value = (1..=40u32).boxed();
    match kind {
        MapType::Array | MapType::PerCpuArray => (Just(4).boxed(), value),
        MapType::Hash | MapType::PerCpuHash | MapType::LruHash | MapType::LruPerCpuHash => {
            ((1..=40u32).boxed(), value)
        }
        MapType::LpmTrie => ((5..=12u32).boxed(), value),
        _ => (Just(0).boxed(), value),
    }
}

/// A map of a type; some plain ones have a spin lock in their values.
pub fn def(kind: MapType) -> impl Strategy<Value = MapDef> {
    let (key, value) = sizes(kind);
    let extra = if kind == MapType::BloomFilter {
        0..4u64
    } else {
        0..1
    };
    let may_lock = matches!(kind, MapType::Array | MapType::Hash);
    (
        key,
        value,
        1..6u32,
        creation_flags(kind),
        extra,
        any::<u8>(),
    )
        .prop_map(move |(key, value, entries, flags, extra, lock)| {
            let mut def = MapDef::new(kind, key, value, entries);
            def.flags = MapFlags(flags);
            def.extra = extra;
            let access = MapFlags::RDONLY_PROG | MapFlags::WRONLY_PROG;
            if may_lock && lock < 64 && flags & (access | MapFlags::MMAPABLE) == 0 {
                // The type of the key is a number's.
                def.key_size = 4;
                def.value_size = value.next_multiple_of(4) + 4;
                def.lock = Some(u32::from(lock) * 4 % def.value_size);
            }
            def
        })
}

/// What is done with a map, now and then freezing it.
pub fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![120 => step(), 1 => Just(Step::Freeze)];
    prop::collection::vec(step, 1..=most)
}

pub fn case(kind: MapType, most: usize) -> impl Strategy<Value = Case> {
    (def(kind), steps(most)).prop_map(|(def, steps)| Case { def, steps })
}

impl Case {
    /// The key of a number: an index, a prefix, or bytes.
    pub fn key(&self, number: u8) -> Vec<u8> {
        let size = self.def.key_size as usize;
        match self.def.kind {
            MapType::Array
            | MapType::PerCpuArray
            | MapType::ArrayOfMaps
            | MapType::ProgArray
            | MapType::CgroupArray
            | MapType::DevMap
            | MapType::DevMapHash
            | MapType::CpuMap
            | MapType::XskMap
            | MapType::SockMap => u32::from(number).to_le_bytes().to_vec(),
            MapType::LpmTrie => prefix(number, size - 4),
            _ => {
                // Keys that differ in their first byte, in their last, or in both.
                let mut key = vec![0xa5; size];
                if let [first, ..] = key.as_mut_slice() {
                    *first = number;
                }
                if let [.., last] = key.as_mut_slice() {
                    *last = if size == 1 { number } else { number / 2 };
                }
                key
            }
        }
    }

    /// The bytes of a value as user space gives them.
    pub fn user_value(&self, number: u8) -> Vec<u8> {
        let size = match self.def.kind.is_per_cpu() {
            true => self.def.value_size.next_multiple_of(8) * possible_cpus(),
            false => self.def.value_size,
        };
        self.bytes(number, size)
    }

    /// The bytes of a value as a program gives them.
    pub fn value(&self, number: u8) -> Vec<u8> {
        self.bytes(number, self.def.value_size)
    }

    fn bytes(&self, number: u8, size: u32) -> Vec<u8> {
        // A bloom filter is asked for few values.
        let number = match self.def.kind {
            MapType::BloomFilter => number % 8,
            _ => number,
        };
        (0..size)
            .map(|nth| number.wrapping_add((nth * 37) as u8))
            .collect()
    }

    pub fn action(&self, number: usize) -> Option<Action> {
        let actions = Action::of(&self.def);
        (!actions.is_empty()).then(|| actions[number % actions.len()])
    }

    /// Whether programs or user space may not do everything.
    pub fn restricted(&self) -> bool {
        const ACCESS: u32 =
            MapFlags::RDONLY | MapFlags::WRONLY | MapFlags::RDONLY_PROG | MapFlags::WRONLY_PROG;
        self.def.flags.0 & ACCESS != 0
    }

    /// Whether keys come in the order that the map's hash gives, which the kernel seeds.
    pub fn ordered(&self) -> bool {
        match self.def.kind {
            MapType::Hash | MapType::PerCpuHash => self.def.flags.has(MapFlags::ZERO_SEED),
            _ => true,
        }
    }
}

/// Eight prefixes that cover and neighbour each other.
fn prefix(number: u8, bytes: usize) -> Vec<u8> {
    let most = bytes as u32 * 8;
    let (bits, fill) = match number {
        0 => (0, 0xff),
        1 => (most, 0),
        2 => (most, 1),
        3 => (most - 1, 1),
        4 => (most / 2, 0x80),
        5 => (most / 2 + 1, 0xc0),
        6 => (7, 0x03),
        _ => (most + 1, 0),
    };
    let mut key = bits.to_le_bytes().to_vec();
    key.extend((0..bytes).map(|nth| if nth + 1 == bytes { fill } else { 0 }));
    if matches!(number, 4 | 5) {
        key[4..].fill(fill);
    }
    key
}
