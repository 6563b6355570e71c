//! The garbage collector of connections: what has expired, and translations whose connection is gone (Cilium's
//! `pkg/maps/ctmap/gc` and `PurgeOrphanNATEntries`).
//!
//! Programs take an entry past its lifetime for none, so the collector only makes room.

use std::collections::BTreeSet;
use std::time::Duration;

use twinpath_abi::{CtEntry, CtTuple, CtTupleFlags, FromBytes as _, SnatEntry, map};

/// An entry of a map as bytes: key and value.
pub type Bytes<'a> = (&'a [u8], &'a [u8]);

/// Keys of entries that are to be taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Connections, in [`map::CT`].
    pub connections: Vec<Vec<u8>>,
    /// Entries of translations, in [`map::SNAT`]; each translation has two.
    pub translations: Vec<Vec<u8>>,
}

impl Garbage {
    /// What is to be taken away, by map.
    pub fn keys(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let connections = self.connections.iter().map(|key| (map::CT, key.as_slice()));
        let translations = self.translations.iter();
        connections.chain(translations.map(|key| (map::SNAT, key.as_slice())))
    }
}

/// A time as entries have it: the whole seconds of `CLOCK_MONOTONIC`.
pub fn seconds(now: Duration) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

/// The connections that have expired and the translations whose connection is gone, of all entries of [`map::CT`] and
/// of [`map::SNAT`].
pub fn garbage<'a>(
    connections: impl IntoIterator<Item = Bytes<'a>>,
    translations: impl IntoIterator<Item = Bytes<'a>>,
    now: u32,
) -> Garbage {
    let mut alive = BTreeSet::new();
    let mut garbage = Garbage::default();
    for (key, value) in connections {
        let Ok(tuple) = CtTuple::read_from_bytes(key) else {
            continue;
        };
        match CtEntry::read_from_bytes(value) {
            Ok(entry) if entry.lifetime < now => garbage.connections.push(key.to_vec()),
            _ => {
                alive.insert(flow(&tuple));
            }
        }
    }
    for (key, value) in translations {
        let tuple = CtTuple::read_from_bytes(key);
        let entry = SnatEntry::read_from_bytes(value);
        let (Ok(tuple), Ok(entry)) = (tuple, entry) else {
            continue;
        };
        if !alive.contains(&flow(&original(&tuple, &entry))) {
            garbage.translations.push(key.to_vec());
        }
    }
    garbage
}

/// The packet that a translation is about, as it is before.
fn original(tuple: &CtTuple, entry: &SnatEntry) -> CtTuple {
    if tuple.flags.has(CtTupleFlags::IN) {
        // The answer says who was asked, the entry who asked.
        CtTuple {
            saddr: entry.to_addr,
            sport: entry.to_port,
            ..tuple.reversed()
        }
    } else {
        *tuple
    }
}

/// A connection, whoever keeps its entry.
fn flow(tuple: &CtTuple) -> CtTuple {
    CtTuple {
        flags: CtTupleFlags::OUT,
        ..*tuple
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use proptest::prelude::*;
    use twinpath_abi::{Family, FlowTuple, IntoBytes as _, Port, Protocol};

    use super::*;

    #[derive(Default)]
    struct Maps(BTreeMap<(&'static str, Vec<u8>), Vec<u8>>);

    impl Maps {
        fn update(&mut self, map: &'static str, key: &[u8], value: &[u8]) {
            self.0.insert((map, key.to_vec()), value.to_vec());
        }

        fn entries(&self, map: &'static str) -> impl Iterator<Item = Bytes<'_>> {
            let entries = self.0.iter().filter(move |((name, _), _)| *name == map);
            entries.map(|((_, key), value)| (key.as_slice(), value.as_slice()))
        }

        /// Takes the garbage away; returns it.
        fn collect(&mut self, now: u32) -> Garbage {
            let garbage = garbage(self.entries(map::CT), self.entries(map::SNAT), now);
            for (map, key) in garbage.keys() {
                self.0.remove(&(map, key.to_vec())).expect("an entry");
            }
            garbage
        }
    }

    fn tuple(from: (&str, u16), to: (&str, u16), flags: CtTupleFlags) -> CtTuple {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let flow = FlowTuple {
            saddr: ip(from.0).into(),
            daddr: ip(to.0).into(),
            sport: Port::new(from.1),
            dport: Port::new(to.1),
            proto: Protocol::TCP,
            family: Family::of(ip(from.0)),
            reserved: 0,
        };
        CtTuple::new(&flow, flags)
    }

    impl Maps {
        fn connection(&mut self, tuple: &CtTuple, lifetime: u32) {
            let zero = [0; size_of::<CtEntry>()];
            let entry = CtEntry {
                lifetime,
                ..CtEntry::read_from_bytes(&zero).expect("any bytes are one")
            };
            self.update(map::CT, tuple.as_bytes(), entry.as_bytes());
        }

        /// Both entries of a translation of `tuple` to a port of the node.
        fn translation(&mut self, tuple: &CtTuple, node: &str, port: u16) {
            let ip = node.parse::<IpAddr>().expect("an address");
            let entry = |to_addr, to_port| SnatEntry {
                created: 1,
                needs_ct: 0,
                to_addr,
                to_port,
                family: Family::of(ip),
                reserved: [0; 5],
            };
            let forward = entry(ip.into(), Port::new(port));
            let answer = CtTuple {
                daddr: ip.into(),
                dport: Port::new(port),
                flags: CtTupleFlags::IN,
                ..tuple.reversed()
            };
            let back = entry(tuple.saddr, tuple.sport);
            self.update(map::SNAT, tuple.as_bytes(), forward.as_bytes());
            self.update(map::SNAT, answer.as_bytes(), back.as_bytes());
        }
    }

    proptest! {
        /// Whatever lives at `now` is left, with both entries of its translation, and nothing else.
        #[test]
        fn what_lives_is_left(lives in prop::collection::vec((0u32..200, any::<bool>(), any::<bool>()), 0..20), now in 0u32..200) {
            let (mut maps, mut left) = (Maps::default(), Maps::default());
            for (port, (lifetime, v6, translated)) in (1..).zip(lives) {
                let (pod, world, node) = if v6 {
                    ("fd00::1", "2001:db8::1", "fd18::1")
                } else {
                    ("10.0.0.1", "192.0.2.1", "172.18.0.1")
                };
                let tuple = tuple((pod, port), (world, 80), CtTupleFlags::OUT);
                let both = [Some(&mut maps), (lifetime >= now).then_some(&mut left)];
                for maps in both.into_iter().flatten() {
                    maps.connection(&tuple, lifetime);
                    if translated {
                        maps.translation(&tuple, node, 40000 + port);
                    }
                }
            }
            let before = maps.0.len();
            let garbage = maps.collect(now);
            prop_assert_eq!(&maps.0, &left.0);
            prop_assert_eq!(garbage.keys().count(), before - left.0.len());
            prop_assert_eq!(maps.collect(now), Garbage::default());
        }
    }

    #[test]
    fn a_translation_needs_its_own_connection() {
        let mut maps = Maps::default();
        let kept = tuple(("10.0.0.1", 1), ("192.0.2.1", 80), CtTupleFlags::OUT);
        let other = tuple(("10.0.0.1", 1), ("192.0.2.1", 81), CtTupleFlags::OUT);
        maps.connection(&kept, 100);
        maps.translation(&kept, "172.18.0.1", 40001);
        maps.translation(&other, "172.18.0.1", 40002);
        let garbage = maps.collect(100);
        assert_eq!(
            (garbage.connections.len(), garbage.translations.len()),
            (0, 2)
        );
    }
}
