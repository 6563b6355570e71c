//! The garbage collector of connections: what has expired, and translations whose connection is gone (Cilium's
//! `pkg/maps/ctmap/gc` and `PurgeOrphanNATEntries`).
//!
//! Programs take an entry past its lifetime for none, so the collector only makes room.

use std::collections::BTreeSet;

use twinpath_abi::{CtEntry, CtTuple, CtTupleFlags, FromBytes as _, SnatEntry, map};

use crate::entries::MapWriter;

/// Keys and values, as bytes.
pub type Contents = Vec<(Vec<u8>, Vec<u8>)>;

/// The maps of a loaded datapath, from which user space takes entries away.
pub trait MapCollector: MapWriter {
    /// All entries of a map, keys and values.
    ///
    /// # Errors
    /// There is no such map, or it cannot be listed.
    fn entries(&self, map: &str) -> Result<Contents, Self::Error>;

    /// Removes an entry. One that is not there any more is none to complain of.
    ///
    /// # Errors
    /// There is no such map.
    fn delete(&mut self, map: &str, key: &[u8]) -> Result<(), Self::Error>;
}

/// How many entries were taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Connections.
    pub connections: usize,
    /// Entries of translations; each translation has two.
    pub translations: usize,
}

/// Takes away the connections that have expired and the translations whose connection is gone. `now` is in seconds
/// of `CLOCK_MONOTONIC`.
///
/// # Errors
/// A map cannot be listed, or an entry not be removed.
pub fn collect<M: MapCollector>(maps: &mut M, now: u32) -> Result<Collected, M::Error> {
    let mut alive = BTreeSet::new();
    let mut expired = Vec::new();
    for (key, value) in maps.entries(map::CT)? {
        let Ok(tuple) = CtTuple::read_from_bytes(&key) else {
            continue;
        };
        match CtEntry::read_from_bytes(&value) {
            Ok(entry) if entry.lifetime < now => expired.push(key),
            _ => {
                alive.insert(flow(&tuple));
            }
        }
    }
    let translations = orphans(maps, &alive)?;
    for key in &expired {
        maps.delete(map::CT, key)?;
    }
    for key in &translations {
        maps.delete(map::SNAT, key)?;
    }
    Ok(Collected {
        connections: expired.len(),
        translations: translations.len(),
    })
}

/// Translations that belong to no connection that is alive.
fn orphans<M: MapCollector>(maps: &M, alive: &BTreeSet<CtTuple>) -> Result<Vec<Vec<u8>>, M::Error> {
    let mut orphans = Vec::new();
    for (key, value) in maps.entries(map::SNAT)? {
        let tuple = CtTuple::read_from_bytes(&key);
        let entry = SnatEntry::read_from_bytes(&value);
        let (Ok(tuple), Ok(entry)) = (tuple, entry) else {
            continue;
        };
        if !alive.contains(&flow(&original(&tuple, &entry))) {
            orphans.push(key);
        }
    }
    Ok(orphans)
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
    use std::convert::Infallible;
    use std::net::IpAddr;

    use proptest::prelude::*;
    use twinpath_abi::{Family, FlowTuple, IntoBytes as _, Port, Protocol};

    use super::*;

    #[derive(Default)]
    struct Maps(BTreeMap<(String, Vec<u8>), Vec<u8>>);

    impl MapWriter for Maps {
        type Error = Infallible;

        fn update(&mut self, map: &str, key: &[u8], value: &[u8]) -> Result<(), Infallible> {
            self.0
                .insert((map.to_owned(), key.to_vec()), value.to_vec());
            Ok(())
        }
    }

    impl MapCollector for Maps {
        fn entries(&self, map: &str) -> Result<Contents, Infallible> {
            let entries = self.0.iter().filter(|((name, _), _)| name == map);
            Ok(entries
                .map(|((_, key), value)| (key.clone(), value.clone()))
                .collect())
        }

        fn delete(&mut self, map: &str, key: &[u8]) -> Result<(), Infallible> {
            self.0.remove(&(map.to_owned(), key.to_vec()));
            Ok(())
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
        };
        CtTuple::new(&flow, Family::of(ip(from.0)), flags)
    }

    impl Maps {
        fn connection(&mut self, tuple: &CtTuple, lifetime: u32) {
            let zero = [0; size_of::<CtEntry>()];
            let entry = CtEntry {
                lifetime,
                ..CtEntry::read_from_bytes(&zero).expect("any bytes are one")
            };
            let Ok(()) = self.update(map::CT, tuple.as_bytes(), entry.as_bytes());
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
            let Ok(()) = self.update(map::SNAT, tuple.as_bytes(), forward.as_bytes());
            let Ok(()) = self.update(map::SNAT, answer.as_bytes(), back.as_bytes());
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
            let Ok(collected) = collect(&mut maps, now);
            prop_assert_eq!(&maps.0, &left.0);
            prop_assert_eq!(collected.connections + collected.translations, before - left.0.len());
            let Ok(again) = collect(&mut maps, now);
            prop_assert_eq!(again, Collected::default());
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
        let Ok(collected) = collect(&mut maps, 100);
        let expected = Collected {
            connections: 0,
            translations: 2,
        };
        assert_eq!(collected, expected);
    }
}
