//! Which way an IPv4 packet takes (`net/ipv4/route.c`, `net/ipv4/fib_frontend.c`).

use std::net::{IpAddr, Ipv4Addr};

use twinpath_machine::Errno;

use crate::config::RpFilter;
use crate::net::{DeviceId, DropReason, Net, NodeId};
use crate::network::{Network, Route, RouteKind, RouteQuery, TABLE_LOCAL};

/// What a received packet's way is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// Up to this host.
    Local(Cast),
    /// On by another device.
    Forward {
        route: Route,
        /// The sender could have asked the next hop itself.
        redirect: bool,
    },
    /// No further, which the sender is told with this code of "destination unreachable".
    Unreachable(u8),
    /// No further.
    Drop(DropReason),
}

/// To how many hosts a packet is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cast {
    Unicast,
    Broadcast,
    Multicast,
}

/// Codes of "destination unreachable".
mod code {
    pub(super) const NETWORK: u8 = 0;
    pub(super) const HOST: u8 = 1;
    pub(super) const FILTERED: u8 = 13;
}

const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

impl Net {
    /// `ip_route_input_rcu`.
    pub(super) fn route_input(
        &self,
        device: DeviceId,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        mark: u32,
    ) -> Way {
        if destination.is_multicast() {
            return self.route_multicast(device, source, destination, mark);
        }
        if source.is_multicast() || source.is_broadcast() {
            return Way::Drop(DropReason::MartianSource);
        }
        let both_zero = source.is_unspecified() && destination.is_unspecified();
        if destination.is_broadcast() || both_zero {
            return self.route_broadcast(device, source, mark);
        }
        if source.is_unspecified() {
            return Way::Drop(DropReason::MartianSource);
        }
        if destination.is_unspecified() {
            return Way::Drop(DropReason::MartianDestination);
        }
        let settings = &self.device(device).settings;
        let lo = self.device(device).loopback;
        if destination.is_loopback() && !settings.route_localnet && !lo {
            return Way::Drop(DropReason::MartianDestination);
        }
        if source.is_loopback() && !settings.route_localnet && !lo {
            return Way::Drop(DropReason::MartianSource);
        }
        self.route_unicast(device, source, destination, mark)
    }

    /// The rest of `ip_route_input_slow`: what the tables say.
    fn route_unicast(
        &self,
        device: DeviceId,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        mark: u32,
    ) -> Way {
        let node = self.node_of(device);
        let forwards = self.network.forwards(device, destination.into());
        let query = RouteQuery {
            destination: destination.into(),
            source: source.into(),
            output: None,
            strict: false,
            input: Some(device),
            mark,
            table: None,
        };
        let unreachable = |code| match forwards {
            true => Way::Unreachable(code),
            false => Way::Drop(DropReason::NoRoute),
        };
        let Some(route) = self.network.route(node, &query) else {
            return unreachable(if forwards { code::NETWORK } else { code::HOST });
        };
        match route.kind {
            RouteKind::Blackhole => return Way::Drop(DropReason::Blackhole),
            RouteKind::Unreachable => return unreachable(code::HOST),
            RouteKind::Prohibit => return unreachable(code::FILTERED),
            RouteKind::Throw => return unreachable(code::NETWORK),
            RouteKind::Broadcast => return self.route_broadcast(device, source, mark),
            RouteKind::Local => {
                return match self.validate_source(device, source, destination, None, mark) {
                    Ok(_) => Way::Local(Cast::Unicast),
                    Err(reason) => Way::Drop(reason),
                };
            }
            RouteKind::Unicast | RouteKind::Multicast | RouteKind::Anycast => {}
        }
        if !forwards {
            return Way::Drop(DropReason::NotForwarding);
        }
        if route.kind != RouteKind::Unicast {
            return Way::Drop(DropReason::MartianDestination);
        }
        let out = Some(route.device);
        match self.validate_source(device, source, destination, out, mark) {
            Err(reason) => Way::Drop(reason),
            Ok(on_link) => Way::Forward {
                route,
                redirect: on_link && route.device == device && self.redirects(device),
            },
        }
    }

    /// The sender is told of a better gateway. Shared media are the default, on which each host can
    /// reach each other one.
    fn redirects(&self, device: DeviceId) -> bool {
        self.device(device).settings.send_redirects
    }

    fn route_broadcast(&self, device: DeviceId, source: Ipv4Addr, mark: u32) -> Way {
        if !source.is_unspecified()
            && let Err(reason) =
                self.validate_source(device, source, Ipv4Addr::UNSPECIFIED, None, mark)
        {
            return Way::Drop(reason);
        }
        Way::Local(Cast::Broadcast)
    }

    /// `ip_route_input_mc`: of the groups, each host is in that of all hosts.
    fn route_multicast(
        &self,
        device: DeviceId,
        source: Ipv4Addr,
        group: Ipv4Addr,
        mark: u32,
    ) -> Way {
        if group != ALL_HOSTS {
            return Way::Drop(DropReason::NotForUs);
        }
        let bad = source.is_multicast() || source.is_broadcast();
        if bad || (source.is_loopback() && !self.device(device).settings.route_localnet) {
            return Way::Drop(DropReason::MartianSource);
        }
        if !source.is_unspecified()
            && let Err(reason) =
                self.validate_source(device, source, Ipv4Addr::UNSPECIFIED, None, mark)
        {
            return Way::Drop(reason);
        }
        Way::Local(Cast::Multicast)
    }

    /// `fib_validate_source`: whether a packet may come from a source by a device; true when the
    /// source is a neighbour on it.
    fn validate_source(
        &self,
        device: DeviceId,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        out: Option<DeviceId>,
        mark: u32,
    ) -> Result<bool, DropReason> {
        let node = self.node_of(device);
        let settings = self.device(device).settings;
        let filter = settings.rp_filter;
        let may_redirect = settings.send_redirects && out == Some(device);
        if filter == RpFilter::Off && !may_redirect {
            if settings.accept_local {
                return Ok(false);
            }
            if !self.has_own_local_routes(node) {
                return match self.is_own(node, source.into()) {
                    true => Err(DropReason::MartianSource),
                    false => Ok(false),
                };
            }
        }
        let _ = mark; // Without `src_valid_mark` the mark does not count.
        let mut query = RouteQuery {
            destination: source.into(),
            source: destination.into(),
            output: None,
            strict: false,
            input: out,
            mark: 0,
            table: None,
        };
        let without_route = match filter {
            RpFilter::Off => Ok(false),
            _ => Err(DropReason::ReversePath),
        };
        let Some(route) = self.network.route(node, &query) else {
            return without_route;
        };
        match route.kind {
            RouteKind::Unicast => {}
            RouteKind::Local if settings.accept_local => {}
            kind if kind.leads_nowhere() => return without_route,
            _ => return Err(DropReason::MartianSource),
        }
        if route.device == device {
            return Ok(is_on_link(&route));
        }
        if !self.has_ipv4(device) {
            return without_route;
        }
        if filter == RpFilter::Strict {
            return Err(DropReason::ReversePath);
        }
        query.output = Some(device);
        let found = self.network.route(node, &query);
        let found = found.filter(|route| route.kind == RouteKind::Unicast);
        Ok(found.is_some_and(|route| is_on_link(&route)))
    }

    /// Whether a node has routes in its local table that no address brought, or rules: then its
    /// addresses alone do not say what is local.
    fn has_own_local_routes(&self, node: NodeId) -> bool {
        self.network.has_rules(node, false) || self.network.has_local_routes(node)
    }

    fn has_ipv4(&self, device: DeviceId) -> bool {
        let addresses = self.addresses(self.node_of(device));
        let mut own = addresses.iter();
        own.any(|own| own.device == device && own.address.is_ipv4())
    }

    /// `ip_route_output_key_hash`: the way of a packet of this host with a mark, and the address that it leaves
    /// with.
    ///
    /// # Errors
    /// The kernel's, where no route leads there.
    pub(crate) fn route_output(
        &self,
        node: NodeId,
        source: Option<Ipv4Addr>,
        destination: Ipv4Addr,
        mark: u32,
    ) -> Result<(Route, Ipv4Addr), Errno> {
        if let Some(source) = source {
            if source.is_multicast() || source.is_broadcast() || source.octets()[0] == 0 {
                return Err(Errno::EINVAL);
            }
            if !self.is_local(node, source) {
                return Err(Errno::ENETUNREACH);
            }
        }
        let query = RouteQuery {
            destination: destination.into(),
            source: source.unwrap_or(Ipv4Addr::UNSPECIFIED).into(),
            output: None,
            strict: false,
            input: None,
            mark,
            table: None,
        };
        let mut route = found(self.network.route(node, &query))?;
        if destination.is_unspecified() {
            return Err(Errno::EINVAL);
        }
        match route.kind {
            RouteKind::Local => {
                let source = source
                    .or_else(|| self.preferred(&route))
                    .unwrap_or(destination);
                route.device = self.loopback(node);
                return Ok((route, source));
            }
            RouteKind::Unicast | RouteKind::Broadcast => {}
            _ => return Err(Errno::ENETUNREACH),
        }
        let source = match source {
            Some(source) => source,
            None => self.source_for(node, &route).ok_or(Errno::ENETUNREACH)?,
        };
        if source.is_loopback() && !self.device(route.device).settings.route_localnet {
            return Err(Errno::EINVAL);
        }
        Ok((route, source))
    }

    /// The type of an address (`inet_addr_type`).
    pub(crate) fn address_kind(&self, node: NodeId, address: Ipv4Addr) -> RouteKind {
        if address.is_unspecified() || address.is_broadcast() {
            return RouteKind::Broadcast;
        }
        if address.is_multicast() {
            return RouteKind::Multicast;
        }
        let query = RouteQuery {
            destination: address.into(),
            source: Ipv4Addr::UNSPECIFIED.into(),
            output: None,
            strict: false,
            input: None,
            mark: 0,
            table: Some(TABLE_LOCAL),
        };
        let route = self.network.route(node, &query);
        route.map_or(RouteKind::Unicast, |route| route.kind)
    }

    /// Whether packets to an address are for this host.
    pub(super) fn is_local(&self, node: NodeId, address: Ipv4Addr) -> bool {
        self.address_kind(node, address) == RouteKind::Local
    }

    fn preferred(&self, route: &Route) -> Option<Ipv4Addr> {
        match route.source {
            Some(IpAddr::V4(source)) => Some(source),
            _ => None,
        }
    }

    /// The largest packet that may be sent to a host by a route, tunnels on the way considered.
    pub(crate) fn path_mtu(&self, route: &Route, destination: IpAddr) -> u32 {
        let stack = self.stack(self.node_of(route.device));
        let learned = stack.and_then(|stack| stack.path_mtus.get(&destination));
        let mtu = self.mtu_of(route);
        match learned {
            Some(learned) if !route.mtu_locked => mtu.min(*learned),
            _ => mtu,
        }
    }

    /// The largest packet that a route takes (`ip_dst_mtu_maybe_forward`, `ipv4_mtu`).
    pub(super) fn mtu_of(&self, route: &Route) -> u32 {
        /// `IP_MAX_MTU`, `IP6_MAX_MTU`
        const MAX: (u32, u32) = (0xffff, 0xffff + 40);
        let mtu = route.mtu.filter(|mtu| *mtu != 0);
        let max = if route.network.is_ipv4() {
            MAX.0
        } else {
            MAX.1
        };
        mtu.unwrap_or(self.device(route.device).mtu).min(max)
    }
}

/// What a socket is told of a route that leads nowhere (`fib_props`, `ip6_rt_type_to_error`), or of none.
pub(super) fn found(route: Option<Route>) -> Result<Route, Errno> {
    let route = route.ok_or(Errno::ENETUNREACH)?;
    match route.kind {
        RouteKind::Blackhole => Err(Errno::EINVAL),
        RouteKind::Unreachable => Err(Errno::EHOSTUNREACH),
        RouteKind::Prohibit => Err(Errno::EACCES),
        RouteKind::Throw => Err(Errno::ENETUNREACH),
        _ => Ok(route),
    }
}

/// `nhc_scope >= RT_SCOPE_HOST`: the next hop is the destination itself, this host.
fn is_on_link(route: &Route) -> bool {
    route.gateway.is_none()
}
