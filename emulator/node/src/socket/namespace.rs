//! What the sockets of a network namespace know of it: its addresses, and how they reach others.
//!
//! Routes are those that come with addresses: an address is local, its prefix is on the link. That is
//! enough to choose what a socket sends from.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use twinpath_machine::{Errno, ProgramId};

use crate::net::NodeId;
use crate::types::Ifindex;

/// A network namespace as its sockets see it.
#[derive(Debug)]
pub(super) struct Namespace {
    addresses: Vec<Assigned>,
    /// Other namespaces by the numbers that this one has for them (`bpf_sk_lookup_tcp`'s `netns`).
    pub(super) others: BTreeMap<i32, NodeId>,
    /// `sk_lookup` programs in the order of attachment.
    pub(super) lookups: Vec<ProgramId>,
    /// `net.ipv4.tcp_syncookies`
    pub(super) syn_cookies: u8,
}

/// An address of a device.
#[derive(Debug, Clone, Copy)]
struct Assigned {
    device: Ifindex,
    address: IpAddr,
    prefix: u8,
}

/// What an address is to a namespace (`inet_addr_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressType {
    Local,
    Broadcast,
    Multicast,
    Unicast,
}

/// The way to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    /// Where it leads: the loopback address when none was asked for.
    pub(super) destination: IpAddr,
    /// What packets are sent from.
    pub(super) source: IpAddr,
    pub(super) kind: AddressType,
    /// The route of the node's network stack that packets take, where they can leave the node.
    pub(super) way: Option<crate::network::Route>,
}

impl Default for Namespace {
    /// With what a loopback device that is up has.
    fn default() -> Self {
        let loopback = |address, prefix| Assigned {
            device: Ifindex::LOOPBACK,
            address,
            prefix,
        };
        Self {
            addresses: vec![
                loopback(IpAddr::V4(Ipv4Addr::LOCALHOST), 8),
                loopback(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
            ],
            others: BTreeMap::new(),
            lookups: Vec::new(),
            syn_cookies: 1,
        }
    }
}

impl Assigned {
    fn prefix_has(&self, address: IpAddr) -> bool {
        common_bits(self.address, address) >= u32::from(self.prefix)
    }

    fn is_loopback(&self) -> bool {
        self.device == Ifindex::LOOPBACK
    }

    /// The address of its prefix that is a broadcast to all in it.
    fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(v4) if self.prefix < 31 => {
                let hosts = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                Some(Ipv4Addr::from(u32::from(v4) | hosts))
            }
            _ => None,
        }
    }

    fn is_local(&self, address: IpAddr) -> bool {
        self.address == address
            || self.is_loopback() && address.is_ipv4() && self.prefix_has(address)
    }
}

/// How many leading bits two addresses share; 0 when they are of two families.
fn common_bits(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b)).leading_zeros(),
        _ => 0,
    }
}

impl Namespace {
    pub(super) fn add_address(&mut self, device: Ifindex, address: IpAddr, prefix: u8) {
        self.addresses.push(Assigned {
            device,
            address,
            prefix,
        });
    }

    /// The index of the device that has an address, 0 for none.
    pub(super) fn device_of(&self, address: IpAddr) -> u32 {
        let mut addresses = self.addresses.iter();
        let found = addresses.find(|assigned| assigned.is_local(address));
        found.map_or(0, |assigned| assigned.device.get())
    }

    /// `inet_addr_type`, and for IPv6 whether an address is assigned (`ipv6_chk_addr`).
    pub(super) fn kind(&self, address: IpAddr) -> AddressType {
        self.kind_on(address, None)
    }

    /// What an address is on a device, or on any (`inet_addr_type_dev_table`). IPv6 addresses but the
    /// loopback's are what they are on all devices.
    pub(super) fn kind_on(&self, address: IpAddr, device: Option<Ifindex>) -> AddressType {
        let anywhere = matches!(address, IpAddr::V6(v6) if !v6.is_loopback());
        let on = |assigned: &&Assigned| {
            anywhere || device.is_none_or(|device| device == assigned.device)
        };
        let broadcast = match address {
            IpAddr::V4(v4) => {
                let mut addresses = self.addresses.iter().filter(on);
                v4.is_unspecified()
                    || v4.is_broadcast()
                    || addresses.any(|assigned| assigned.broadcast() == Some(v4))
            }
            IpAddr::V6(_) => false,
        };
        if address.is_multicast() {
            AddressType::Multicast
        } else if broadcast {
            AddressType::Broadcast
        } else if self
            .addresses
            .iter()
            .filter(on)
            .any(|assigned| assigned.is_local(address))
        {
            AddressType::Local
        } else {
            AddressType::Unicast
        }
    }

    /// The way to an address, from `source` if that is chosen, out of `device` if that is.
    ///
    /// # Errors
    /// `ENETUNREACH` when there is none, or when an IPv4 source is not local; `EINVAL` when the source is
    /// no address of anybody, or the loopback's and the destination is not local.
    pub(super) fn route(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        device: Option<Ifindex>,
    ) -> Result<Route, Errno> {
        if let Some(IpAddr::V4(v4)) = source {
            let nobody = v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0;
            match self.kind(v4.into()) {
                _ if nobody => return Err(Errno::EINVAL),
                AddressType::Local => {}
                _ => return Err(Errno::ENETUNREACH),
            }
        }
        let destination = if destination.is_unspecified() {
            let loopback: IpAddr = match destination {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            source.filter(|source| source.is_ipv4()).unwrap_or(loopback)
        } else {
            destination
        };
        let mut kind = self.kind(destination);
        if let (IpAddr::V4(v4), Some(source), None) = (destination, source, device)
            && (v4.is_multicast() || v4.is_broadcast())
        {
            // Out of the source's own device, whatever the routes.
            return Ok(Route {
                destination,
                source,
                kind,
                way: None,
            });
        }
        let chosen = match self.towards(destination, kind, device) {
            Some(source) => Some(source),
            // With a device, IPv4 takes what it has no route to as being on the link.
            None if device.is_some() && destination.is_ipv4() => {
                if kind == AddressType::Local {
                    kind = AddressType::Unicast;
                }
                None
            }
            None => return Err(Errno::ENETUNREACH),
        };
        // __mkroute_output: the loopback's addresses do not leave by other devices.
        let loopback = |source: IpAddr| source.is_ipv4() && source.is_loopback();
        if kind != AddressType::Local && source.is_some_and(loopback) {
            return Err(Errno::EINVAL);
        }
        let source = source
            .or(chosen)
            .or_else(|| self.any_of(destination, device))
            .unwrap_or(destination);
        Ok(Route {
            destination,
            source,
            kind,
            way: None,
        })
    }

    /// The source that the best route chooses; none when there is no route.
    fn towards(
        &self,
        destination: IpAddr,
        kind: AddressType,
        device: Option<Ifindex>,
    ) -> Option<IpAddr> {
        let through = |assigned: &&Assigned| device.is_none_or(|device| device == assigned.device);
        let mut assigned: Vec<&Assigned> = self.addresses.iter().filter(through).collect();
        if kind == AddressType::Local {
            let own = assigned
                .iter()
                .find(|assigned| assigned.address == destination);
            let prefix = assigned
                .iter()
                .find(|assigned| assigned.is_local(destination));
            return own.or(prefix).map(|own| self.first_beside(own));
        }
        assigned.retain(|assigned| !assigned.is_loopback());
        if destination.is_ipv6() && kind == AddressType::Multicast {
            // Each device leads to all groups; the first one is taken.
            let own = assigned.iter().find(|assigned| assigned.address.is_ipv6());
            return own.map(|own| own.address);
        }
        assigned.retain(|assigned| assigned.prefix_has(destination));
        let best = assigned.iter().map(|assigned| assigned.prefix).max()?;
        assigned.retain(|assigned| assigned.prefix == best);
        // Of several in one prefix the first, or for IPv6 the one most like the destination.
        let likeness = |assigned: &&Assigned| match destination {
            IpAddr::V4(_) => 0,
            IpAddr::V6(_) => u32::MAX - common_bits(assigned.address, destination),
        };
        assigned.sort_by_key(likeness);
        assigned.first().map(|assigned| assigned.address)
    }

    /// What packets to an own address come from: for IPv4 the first address of its prefix.
    fn first_beside(&self, own: &Assigned) -> IpAddr {
        let beside = |other: &&Assigned| {
            other.device == own.device
                && other.prefix == own.prefix
                && other.address.is_ipv4()
                && other.prefix_has(own.address)
        };
        let first = self.addresses.iter().find(beside);
        first.map_or(own.address, |first| first.address)
    }

    /// Any address of a device, for a destination that is taken to be on its link.
    fn any_of(&self, destination: IpAddr, device: Option<Ifindex>) -> Option<IpAddr> {
        let mut addresses = self.addresses.iter();
        let found = addresses.find(|assigned| {
            Some(assigned.device) == device && assigned.address.is_ipv4() == destination.is_ipv4()
        });
        found.map(|assigned| assigned.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace() -> Namespace {
        let mut namespace = Namespace::default();
        let device = Ifindex::new(2).unwrap();
        for (address, prefix) in [("10.1.0.1", 24), ("10.1.0.2", 24), ("fd00:1::1", 64)] {
            namespace.add_address(device, address.parse().unwrap(), prefix);
        }
        namespace
    }

    #[test]
    fn sources() {
        let namespace = namespace();
        let cases = [
            ("127.0.0.1", Ok("127.0.0.1")),
            ("127.9.9.9", Ok("127.0.0.1")),
            ("0.0.0.0", Ok("127.0.0.1")),
            ("10.1.0.2", Ok("10.1.0.1")),
            ("10.1.0.77", Ok("10.1.0.1")),
            ("10.2.0.1", Err(Errno::ENETUNREACH)),
            ("::1", Ok("::1")),
            ("::", Ok("::1")),
            ("fd00:1::1", Ok("fd00:1::1")),
            ("fd00:1::9", Ok("fd00:1::1")),
            ("fd00:2::9", Err(Errno::ENETUNREACH)),
        ];
        for (destination, source) in cases {
            let route = namespace.route(destination.parse().unwrap(), None, None);
            let found = route.map(|route| route.source);
            assert_eq!(
                found,
                source.map(|text| text.parse().unwrap()),
                "{destination}"
            );
        }
    }

    #[test]
    fn kinds() {
        let namespace = namespace();
        let cases = [
            ("127.1.2.3", AddressType::Local),
            ("10.1.0.2", AddressType::Local),
            ("10.1.0.255", AddressType::Broadcast),
            ("0.0.0.0", AddressType::Broadcast),
            ("255.255.255.255", AddressType::Broadcast),
            ("224.0.0.1", AddressType::Multicast),
            ("10.1.0.3", AddressType::Unicast),
            ("fd00:1::1", AddressType::Local),
            ("fd00:1::2", AddressType::Unicast),
            ("ff02::1", AddressType::Multicast),
        ];
        for (address, kind) in cases {
            assert_eq!(namespace.kind(address.parse().unwrap()), kind, "{address}");
        }
    }
}
