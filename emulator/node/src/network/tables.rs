//! A network of what was put into it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::fib::Fib;
use super::{Network, Route, RouteQuery, Rule};
use crate::net::{DeviceId, NodeId};
use crate::types::Mac;

#[derive(Debug, Clone, Copy)]
struct Neighbour {
    mac: Mac,
    permanent: bool,
}

/// Tables of routes, rules and neighbours.
#[derive(Debug, Default)]
pub struct Tables {
    /// By number of the node.
    fibs: Vec<Fib>,
    neighbours: BTreeMap<(DeviceId, IpAddr), Neighbour>,
    /// Devices, and whether it is IPv6 that they forward.
    forwarding: BTreeSet<(DeviceId, bool)>,
    down: BTreeSet<DeviceId>,
}

impl Tables {
    /// A node came into the world.
    pub(crate) fn add_node(&mut self, loopback: DeviceId) {
        self.fibs.push(Fib::new(loopback));
    }

    /// Routes by a device that is down lead nowhere.
    pub(crate) fn set_up(&mut self, device: DeviceId, up: bool) {
        if up {
            self.down.remove(&device);
        } else {
            self.down.insert(device);
        }
    }

    /// Adds a route to a node.
    ///
    /// # Panics
    /// When the node is of another world.
    pub fn add_route(&mut self, node: NodeId, route: Route) {
        self.fibs[node.0 as usize].add_route(route);
    }

    /// Adds a route that an address of a node brings with it.
    pub(crate) fn add_brought_route(&mut self, node: NodeId, route: Route) {
        self.fibs[node.0 as usize].add_brought_route(route);
    }

    /// Whether an IPv4 address is local that is not the node's.
    pub(crate) fn has_local_routes(&self, node: NodeId) -> bool {
        self.fibs[node.0 as usize].has_own_local_routes()
    }

    /// Adds a rule to a node.
    ///
    /// # Panics
    /// When the node is of another world.
    pub fn add_rule(&mut self, node: NodeId, rule: Rule) {
        self.fibs[node.0 as usize].add_rule(rule);
    }

    /// Sets a neighbour's hardware address.
    pub fn add_neighbour(&mut self, device: DeviceId, address: IpAddr, mac: Mac) {
        let permanent = true;
        self.neighbours
            .insert((device, address), Neighbour { mac, permanent });
    }

    /// A neighbour has said what its hardware address is. One that was [added](Self::add_neighbour)
    /// stays as it is.
    pub(crate) fn learn_neighbour(&mut self, device: DeviceId, address: IpAddr, mac: Mac) {
        let entry = self.neighbours.entry((device, address));
        let neighbour = entry.or_insert(Neighbour {
            mac,
            permanent: false,
        });
        if !neighbour.permanent {
            neighbour.mac = mac;
        }
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

    /// Whether rules other than the kernel's own decide for a family.
    pub(crate) fn has_rules(&self, node: NodeId, ipv6: bool) -> bool {
        self.fibs[node.0 as usize].has_rules(ipv6)
    }

    /// All routes of a node.
    pub(crate) fn routes(&self, node: NodeId) -> impl Iterator<Item = &Route> {
        self.fibs[node.0 as usize].routes()
    }
}

impl Network for Tables {
    fn forwards(&self, device: DeviceId, address: IpAddr) -> bool {
        self.forwarding.contains(&(device, address.is_ipv6()))
    }

    fn route(&self, node: NodeId, query: &RouteQuery) -> Option<Route> {
        self.fibs.get(node.0 as usize)?.lookup(query, &self.down)
    }

    fn neighbour(&self, device: DeviceId, address: IpAddr) -> Option<Mac> {
        let neighbour = self.neighbours.get(&(device, address));
        neighbour.map(|neighbour| neighbour.mac)
    }
}
