//! A network of what was put into it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Network, Route, RouteQuery, Routed};
use crate::net::{DeviceId, NodeId};
use crate::types::Mac;

/// The routing table that lookups begin in unless told otherwise (`RT_TABLE_MAIN`).
const MAIN: u32 = 254;

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

impl Network for Tables {
    fn forwards(&self, device: DeviceId, address: IpAddr) -> bool {
        self.forwarding.contains(&(device, address.is_ipv6()))
    }

    fn route(&self, node: NodeId, query: &RouteQuery) -> Routed {
        let routes = self.routes.get(&node).map_or(&[][..], Vec::as_slice);
        let table = query.table.unwrap_or(MAIN);
        let mut in_table = routes
            .iter()
            .filter(|route| route.table == table)
            .peekable();
        if in_table.peek().is_none() && query.table.is_some_and(|table| table != MAIN) {
            return Routed::NoTable;
        }
        let fitting = in_table
            .filter(|route| route.contains(query.destination))
            .filter(|route| query.output.is_none_or(|device| device == route.device));
        // The longest prefix, then the lowest metric, then the oldest.
        let best = fitting.min_by_key(|route| (u8::MAX - route.prefix, route.metric));
        best.map_or(Routed::Nowhere, |route| Routed::Found(route.clone()))
    }

    fn neighbour(&self, device: DeviceId, address: IpAddr) -> Option<Mac> {
        self.neighbours.get(&(device, address)).copied()
    }
}
