//! The entries of an endpoint's policy, and how a packet finds one.

use std::collections::{BTreeMap, BTreeSet};

use twinpath_abi::{Identity, Protocol};

use super::{Action, Direction, Origin};

/// Ports that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortPrefix {
    first: u16,
    bits: u8,
}

impl PortPrefix {
    /// One port.
    pub const fn exact(port: u16) -> Self {
        Self {
            first: port,
            bits: 16,
        }
    }

    /// The fewest prefixes that make up a range, in its order; both ends belong to it.
    pub fn range(first: u16, last: u16) -> Vec<Self> {
        let mut prefixes = Vec::new();
        let mut next = u32::from(first);
        let end = u32::from(last) + 1;
        while next < end {
            let aligned = if next == 0 {
                16
            } else {
                next.trailing_zeros().min(16)
            };
            let fitting = (end - next).ilog2();
            let size = aligned.min(fitting);
            prefixes.push(Self {
                first: next as u16,
                bits: 16 - size as u8,
            });
            next += 1 << size;
        }
        prefixes
    }

    /// The lowest port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// How many leading bits the ports share: 16 for one port.
    pub const fn bits(self) -> u8 {
        self.bits
    }

    /// Whether a port is among these.
    pub fn contains(self, port: u16) -> bool {
        let shift = 16 - u32::from(self.bits);
        u32::from(port) >> shift == u32::from(self.first) >> shift
    }
}

/// What an entry says of a packet's protocol and of the receiver's port; for ICMP the type stands for the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer4 {
    /// Anything.
    Any,
    /// All of a protocol.
    Protocol(Protocol),
    /// Some ports of a protocol.
    Ports(Protocol, PortPrefix),
}

impl Layer4 {
    /// How many bits of protocol and port are fixed, as the map's trie counts them.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Any => 0,
            Self::Protocol(_) => 8,
            Self::Ports(_, ports) => 8 + ports.bits(),
        }
    }

    fn matches(self, protocol: Protocol, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Protocol(own) => own == protocol,
            Self::Ports(own, ports) => own == protocol && ports.contains(port),
        }
    }

    /// What both match: the narrower one, as two of these are apart or one within the other.
    fn intersection(self, other: Self) -> Option<Self> {
        let (wide, narrow) = if self.bits() <= other.bits() {
            (self, other)
        } else {
            (other, self)
        };
        let within = match (wide, narrow) {
            (Self::Any, _) => true,
            (Self::Protocol(a), Self::Protocol(b) | Self::Ports(b, _)) => a == b,
            (Self::Ports(a, wide), Self::Ports(b, narrow)) => {
                a == b && wide.contains(narrow.first())
            }
            _ => false,
        };
        within.then_some(narrow)
    }
}

/// Which packets an entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Who is at the other end; none for anybody.
    pub identity: Option<Identity>,
    /// What is spoken.
    pub layer4: Layer4,
}

impl Key {
    /// Everything.
    pub const ALL: Self = Self {
        identity: None,
        layer4: Layer4::Any,
    };

    fn intersection(self, other: Self) -> Option<Self> {
        let identity = match (self.identity, other.identity) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.or(b),
        };
        let layer4 = self.layer4.intersection(other.layer4)?;
        Some(Self { identity, layer4 })
    }
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happens to the packet.
    pub action: Action,
    /// The policies that say so; none for what is so without any.
    pub origins: BTreeSet<Origin>,
}

/// The entries of one direction. Whatever finds none is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    entries: BTreeMap<Key, Entry>,
    default_deny: BTreeSet<Origin>,
}

impl Table {
    /// The entries, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// The policies because of which what finds no entry is denied.
    pub fn default_deny(&self) -> &BTreeSet<Origin> {
        &self.default_deny
    }

    /// Notes that a policy denies what no rule allows.
    pub(super) fn deny_by_default(&mut self, origin: &Origin) {
        self.default_deny.insert(origin.clone());
    }

    /// Adds what one rule says of a key. Deny wins over allow.
    pub(super) fn insert(&mut self, key: Key, action: Action, origin: Option<&Origin>) {
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            action,
            origins: BTreeSet::new(),
        });
        if entry.action < action {
            entry.action = action;
            entry.origins.clear();
        }
        if entry.action == action {
            entry.origins.extend(origin.cloned());
        }
    }

    /// Makes denials hold: the lookup takes the most specific entry, and deny shall win over any allow.
    ///
    /// Where a denial and an allowance overlap, an entry for just what both match is denied. An allowance that
    /// lies within a denial becomes that entry.
    pub(super) fn let_deny_win(&mut self) {
        let with = |action| {
            let entries = self
                .entries
                .iter()
                .filter(move |(_, entry)| entry.action == action);
            entries
                .map(|(key, entry)| (*key, entry.origins.clone()))
                .collect::<Vec<_>>()
        };
        let (allowed, denied) = (with(Action::Allow), with(Action::Deny));
        for (key, origins) in denied {
            for (other, _) in &allowed {
                let Some(both) = key.intersection(*other) else {
                    continue;
                };
                self.insert(both, Action::Deny, None);
                if let Some(entry) = self.entries.get_mut(&both) {
                    entry.origins.extend(origins.iter().cloned());
                }
            }
        }
    }

    /// The entry that decides on a packet, as the programs find it: of the longest matches of protocol and port
    /// for the identity and for anybody, one that denies, else the longer one, else the identity's.
    pub fn lookup(
        &self,
        identity: Identity,
        protocol: Protocol,
        port: u16,
    ) -> Option<(&Key, &Entry)> {
        let longest = |identity: Option<Identity>| {
            let entries = self
                .entries
                .iter()
                .filter(|(key, _)| key.identity == identity && key.layer4.matches(protocol, port));
            entries.max_by_key(|(key, _)| key.layer4.bits())
        };
        match (longest(Some(identity)), longest(None)) {
            (Some(own), _) if own.1.action == Action::Deny => Some(own),
            (_, Some(any)) if any.1.action == Action::Deny => Some(any),
            (Some(own), Some(any)) if any.0.layer4.bits() > own.0.layer4.bits() => Some(any),
            (own, any) => own.or(any),
        }
    }

    /// Whether a packet may pass.
    pub fn allows(&self, identity: Identity, protocol: Protocol, port: u16) -> bool {
        let entry = self.lookup(identity, protocol, port);
        entry.is_some_and(|(_, entry)| entry.action == Action::Allow)
    }
}

/// The policy of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyMap {
    /// For what comes in.
    pub ingress: Table,
    /// For what goes out.
    pub egress: Table,
}

impl PolicyMap {
    /// What holds where no policy selects an endpoint: everything is allowed in these directions.
    pub fn open(directions: impl IntoIterator<Item = Direction>) -> Self {
        let mut map = Self::default();
        for direction in directions {
            map.table_mut(direction)
                .insert(Key::ALL, Action::Allow, None);
        }
        map
    }

    /// The entries of a direction.
    pub fn table(&self, direction: Direction) -> &Table {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    pub(super) fn table_mut(&mut self, direction: Direction) -> &mut Table {
        match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_few_prefixes() {
        let prefix = |first, bits| PortPrefix { first, bits };
        let cases = [
            ((80, 80), vec![prefix(80, 16)]),
            ((0, 65535), vec![prefix(0, 0)]),
            ((1024, 2047), vec![prefix(1024, 6)]),
            ((1, 4), vec![prefix(1, 16), prefix(2, 15), prefix(4, 16)]),
            ((65535, 65535), vec![prefix(65535, 16)]),
        ];
        for ((first, last), expected) in cases {
            assert_eq!(PortPrefix::range(first, last), expected, "{first}-{last}");
        }
    }

    proptest! {
        #[test]
        fn a_range_is_its_prefixes(a: u16, b: u16, port: u16) {
            let (first, last) = (a.min(b), a.max(b));
            let prefixes = PortPrefix::range(first, last);
            prop_assert!(prefixes.len() <= 30);
            for port in [port, first, last, first.wrapping_sub(1), last.wrapping_add(1)] {
                let within = prefixes.iter().filter(|prefix| prefix.contains(port)).count();
                prop_assert_eq!(within, usize::from((first..=last).contains(&port)), "port {}", port);
            }
        }
    }
}
