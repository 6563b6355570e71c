//! A network of what was put into it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Network, Route, RouteKind, RouteQuery};
use crate::net::{DeviceId, NodeId};
use crate::types::Mac;

/// `RT_TABLE_MAIN`
const MAIN: u32 = 254;
/// `RT_TABLE_LOCAL`: the node's own addresses.
const LOCAL: u32 = 255;

/// Tables of routes and neighbours.
#[derive(Debug, Default)]
pub struct Tables {
    routes: BTreeMap<NodeId, Vec<Route>>,
    neighbours: BTreeMap<(DeviceId, IpAddr), Mac>,
    /// Devices, and whether it is IPv6 that they forward.
    forwarding: BTreeSet<(DeviceId, bool)>,
}

impl Tables {
    /// Adds a route to a node.
    pub fn add_route(&mut self, node: NodeId, route: Route) {
        self.routes.entry(node).or_default().push(route);
    }

    /// Sets a neighbour's hardware address.
    pub fn add_neighbour(&mut self, device: DeviceId, address: IpAddr, mac: Mac) {
        self.neighbours.insert((device, address), mac);
    }

    /// Says whether a device forwards IPv4.
    pub fn forward_ipv4(&mut self, device: DeviceId, on: bool) {
        self.set_forwarding((device, false), on);
    }

    /// Says whether a device forwards IPv6.
    pub fn forward_ipv6(&mut self, device: DeviceId, on: bool) {
        self.set_forwarding((device, true), on);
    }

    fn set_forwarding(&mut self, key: (DeviceId, bool), on: bool) {
        if on {
            self.forwarding.insert(key);
        } else {
            self.forwarding.remove(&key);
        }
    }
}

/// Whether a packet that takes the route leaves by a device; a route to nowhere has none.
fn leaves_by(route: &Route, device: DeviceId) -> bool {
    let nowhere = matches!(
        route.kind,
        RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit
    );
    route.device == device || nowhere
}

impl Network for Tables {
    fn forwards(&self, device: DeviceId, address: IpAddr) -> bool {
        self.forwarding.contains(&(device, address.is_ipv6()))
    }

    fn route(&self, node: NodeId, query: &RouteQuery) -> Option<Route> {
        let all = self.routes.get(&node).map_or(&[][..], Vec::as_slice);
        let ipv6 = query.destination.is_ipv6();
        let leaves = |route: &Route| query.output.is_none_or(|device| leaves_by(route, device));
        let best = |tables: &[u32]| {
            all.iter()
                .filter(|route| tables.contains(&route.table))
                .filter(|route| route.contains(query.destination))
                .filter(|route| ipv6 || leaves(route))
                // The longest prefix, then the lowest metric, then the oldest. Of IPv6 routes the
                // device is only preferred (rt6_check_dev without RT6_LOOKUP_F_IFACE).
                .min_by_key(|route| (u8::MAX - route.prefix, route.metric, !leaves(route)))
                .copied()
        };
        match query.table {
            // Without rules of its own, a node's IPv4 routes of both tables are in one trie.
            None | Some(LOCAL | MAIN) if query.destination.is_ipv4() => best(&[LOCAL, MAIN]),
            None => best(&[LOCAL]).or_else(|| best(&[MAIN])),
            Some(table) => best(&[table]),
        }
    }

    fn neighbour(&self, device: DeviceId, address: IpAddr) -> Option<Mac> {
        self.neighbours.get(&(device, address)).copied()
    }
}
