//! Which of its addresses a host sends from (`inet_select_addr` of `net/ipv4/devinet.c`,
//! `ipv6_dev_get_saddr` of `net/ipv6/addrconf.c`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Address;
use crate::net::{DeviceId, Net, NodeId};
use crate::network::{Prefix, Route};

impl Net {
    /// `fib_result_prefsrc`: the address that packets leave with which take an IPv4 route.
    pub(super) fn source_for(&self, node: NodeId, route: &Route) -> Option<Ipv4Addr> {
        if let Some(IpAddr::V4(source)) = route.source {
            return Some(source);
        }
        let gateway = match route.gateway {
            Some(IpAddr::V4(gateway)) => Some(gateway),
            _ => None,
        };
        self.select_ipv4(node, route.device, gateway)
    }

    /// The address that packets to a destination leave with by a route; on nodes without a stack the
    /// one that the route says.
    pub(crate) fn source_of(&self, route: &Route, destination: IpAddr) -> Option<IpAddr> {
        let node = self.device(route.device).node;
        match destination {
            _ if route.source.is_some() => route.source,
            IpAddr::V4(_) => self.source_for(node, route).map(IpAddr::V4),
            IpAddr::V6(to) => self.select_ipv6(node, route.device, to).map(IpAddr::V6),
        }
    }

    /// `inet_select_addr`: the first primary address of a device in the network of `near`, or the
    /// first at all; without one, another device's.
    pub(super) fn select_ipv4(
        &self,
        node: NodeId,
        device: DeviceId,
        near: Option<Ipv4Addr>,
    ) -> Option<Ipv4Addr> {
        let addresses = self.addresses(node);
        let primary = |own: &&Address| !own.secondary && own.address.is_ipv4();
        let here = addresses.iter().filter(|own| own.device == device);
        let here = here.filter(primary);
        let found = here.clone().find(|own| shares_network(own, near));
        let found = found.or_else(|| here.clone().next());
        let lo = self.loopback(node);
        let found = found.or_else(|| {
            let elsewhere = addresses.iter().filter(|own| own.device != lo);
            elsewhere.filter(primary).min_by_key(|own| own.device)
        });
        match found?.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    /// `ipv6_dev_get_saddr`: of all addresses the one that RFC 6724 prefers.
    pub(super) fn select_ipv6(
        &self,
        node: NodeId,
        device: DeviceId,
        destination: Ipv6Addr,
    ) -> Option<Ipv6Addr> {
        let on_link = destination.is_unicast_link_local() || destination.is_multicast();
        let mut best: Option<(Ipv6Addr, DeviceId, Preference)> = None;
        for own in self.addresses(node) {
            let IpAddr::V6(address) = own.address else {
                continue;
            };
            if on_link && own.device != device {
                continue;
            }
            let preference = Preference::of(address, own, device, destination);
            // Of alike ones of a device, the last that it was given comes first (`ipv6_link_dev_addr`).
            let is_better = best.is_none_or(|(_, device, other)| {
                preference > other || preference == other && own.device == device
            });
            if is_better {
                best = Some((address, own.device, preference));
            }
        }
        best.map(|(address, _, _)| address)
    }
}

/// How well an address fits, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Preference {
    same: bool,
    /// The nearest scope that reaches the destination's.
    scope: i32,
    on_device: bool,
    label: bool,
    common: u32,
}

impl Preference {
    fn of(address: Ipv6Addr, own: &Address, device: DeviceId, destination: Ipv6Addr) -> Self {
        let (scope, wanted) = (scope(address), scope(destination));
        let common = (address.to_bits() ^ destination.to_bits()).leading_zeros();
        Self {
            same: address == destination,
            scope: if scope >= wanted { -scope } else { scope - 128 },
            on_device: own.device == device,
            label: label(address) == label(destination),
            common: common.min(u32::from(own.prefix)),
        }
    }
}

/// `ipv6_addr_scope`, as RFC 4291 numbers them.
fn scope(address: Ipv6Addr) -> i32 {
    const LINK: i32 = 2;
    const GLOBAL: i32 = 14;
    if address.is_multicast() {
        i32::from(address.octets()[1] & 0xf)
    } else if address.is_loopback() || address.is_unicast_link_local() {
        LINK
    } else {
        GLOBAL
    }
}

/// The label of RFC 6724's default policy, as `net/ipv6/addrlabel.c` has it.
fn label(address: Ipv6Addr) -> u8 {
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => 0,
        [0, 0, 0, 0, 0, 0xffff, ..] => 4,
        [0, 0, 0, 0, 0, 0, ..] => 3,
        [0x2001, 0, ..] => 6,
        [0x2001, second, ..] if second & 0xfff0 == 0x10 => 7,
        [0x2002, ..] => 2,
        [first, ..] if first & 0xfe00 == 0xfc00 => 5,
        _ => 1,
    }
}

fn shares_network(own: &Address, near: Option<Ipv4Addr>) -> bool {
    near.is_none_or(|near| {
        let network = Prefix::new(own.address, own.prefix);
        network.is_some_and(|network| network.contains(near.into()))
    })
}
