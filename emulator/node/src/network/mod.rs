//! The network around a packet: routes, rules, neighbours.
//!
//! A helper that needs more than the packet asks through [`Network`]. [`Tables`] is the network of a
//! [`World`](crate::World): what was put into it, and the neighbours that its nodes have found.

mod fib;
mod prefix;
mod routes;
mod tables;

pub use prefix::Prefix;
pub use routes::{
    Route, RouteKind, RouteQuery, Rule, RuleAction, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN,
};
pub use tables::Tables;

use std::net::IpAddr;

use crate::net::{DeviceId, NodeId};
use crate::types::Mac;

/// What helpers ask of the network around a packet.
pub trait Network {
    /// Whether a device forwards packets of the family of an address
    /// (`net.ipv4.conf.DEVICE.forwarding`, `net.ipv6.conf.DEVICE.forwarding`).
    fn forwards(&self, device: DeviceId, address: IpAddr) -> bool;

    /// The way of a packet from a node; none when no route leads there.
    fn route(&self, node: NodeId, query: &RouteQuery) -> Option<Route>;

    /// The hardware address of a neighbour on a device, if it is known.
    fn neighbour(&self, device: DeviceId, address: IpAddr) -> Option<Mac>;
}
