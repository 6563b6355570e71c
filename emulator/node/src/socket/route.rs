//! The ways of what sockets send: by the routes of the node's network stack, or on a node that has none, by those that
//! come with its addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use twinpath_machine::Errno;

use super::calls::SocketCalls;
use super::namespace::{AddressType, Route};
use super::socket::Socket;
use crate::net::NodeId;
use crate::network::RouteKind;
use crate::stack::Outgoing6;
use crate::types::Ifindex;

impl SocketCalls<'_> {
    /// The way from a socket to an address.
    pub(super) fn route(
        &self,
        socket: &Socket,
        destination: IpAddr,
        source: IpAddr,
    ) -> Result<Route, Errno> {
        let node = socket.node();
        let namespace = self.net.sockets.namespace(node).ok_or(Errno::EBADF)?;
        let source = Some(source).filter(|source| !source.is_unspecified());
        let device = socket.options.bound_device;
        let exists = |device: &Ifindex| self.net.find(node, device.get()).is_some();
        if destination.is_ipv4() && !device.as_ref().is_none_or(exists) {
            return Err(Errno::ENODEV);
        }
        let mark = socket.options.mark;
        let route = match (destination, source) {
            _ if !self.net.has_stack(node) || destination.is_unspecified() => None,
            (IpAddr::V4(to), Some(IpAddr::V4(_))) if to.is_multicast() || to.is_broadcast() => None,
            (IpAddr::V4(to), Some(IpAddr::V4(from))) => {
                Some(self.route4(node, Some(from), to, mark))
            }
            (IpAddr::V4(to), _) => Some(self.route4(node, None, to, mark)),
            (IpAddr::V6(to), _) if to.is_multicast() => None,
            (IpAddr::V6(_), _) if !device.as_ref().is_none_or(exists) => None,
            (IpAddr::V6(to), source) => Some(self.route6(node, source, to, (device, mark))),
        };
        let by_device = device.is_some() && destination.is_ipv4();
        let route = match route.filter(|_| !by_device) {
            Some(route) => route?,
            None => namespace.route(destination, source, device)?,
        };
        let mapped = |ip: IpAddr| matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        // ip6_dst_lookup_tail: no IPv6 packet comes from an IPv4 address.
        if source.is_some_and(mapped) && !mapped(destination) {
            return Err(Errno::EAFNOSUPPORT);
        }
        Ok(route)
    }

    /// `ip_route_output_key`
    fn route4(
        &self,
        node: NodeId,
        source: Option<Ipv4Addr>,
        destination: Ipv4Addr,
        mark: u32,
    ) -> Result<Route, Errno> {
        let (way, source) = self.net.route_output(node, source, destination, mark)?;
        Ok(Route {
            destination: destination.into(),
            source: source.into(),
            // `__mkroute_output`
            kind: match AddressType::from(way.kind) {
                _ if destination.is_broadcast() => AddressType::Broadcast,
                _ if destination.is_multicast() => AddressType::Multicast,
                kind => kind,
            },
            way: Some(way),
        })
    }

    /// `ip6_dst_lookup_flow`
    fn route6(
        &self,
        node: NodeId,
        source: Option<IpAddr>,
        destination: Ipv6Addr,
        (device, mark): (Option<Ifindex>, u32),
    ) -> Result<Route, Errno> {
        let source = match source {
            Some(IpAddr::V6(source)) => Some(source),
            _ => None,
        };
        let output = device.and_then(|device| self.net.find(node, device.get()));
        let out = Outgoing6::of_socket(source, destination, output);
        let (way, source) = self.net.route_output_ipv6(node, &out, mark)?;
        Ok(Route {
            destination: destination.into(),
            source: source.into(),
            kind: way.kind.into(),
            way: Some(way),
        })
    }

    /// What an address is to a node (`inet_addr_type_table`), or to one of its devices.
    pub(super) fn address_type(
        &self,
        node: NodeId,
        address: IpAddr,
        device: Option<Ifindex>,
    ) -> AddressType {
        match address {
            IpAddr::V4(v4) if device.is_none() && self.net.has_stack(node) => {
                self.net.address_kind(node, v4).into()
            }
            _ => {
                let namespace = self.net.sockets.namespace(node);
                namespace.map_or(AddressType::Unicast, |namespace| {
                    namespace.kind_on(address, device)
                })
            }
        }
    }
}

impl From<RouteKind> for AddressType {
    fn from(kind: RouteKind) -> Self {
        match kind {
            RouteKind::Local | RouteKind::Anycast => Self::Local,
            RouteKind::Broadcast => Self::Broadcast,
            RouteKind::Multicast => Self::Multicast,
            _ => Self::Unicast,
        }
    }
}
