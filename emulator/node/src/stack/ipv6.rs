//! IPv6: receiving, forwarding, sending (`net/ipv6/ip6_input.c`, `ip6_output.c`, `route.c`).

use std::net::{IpAddr, Ipv6Addr};

use twinpath_machine::{Errno, Machine};

use super::icmpv6::{self, Error};
use super::ipv4::trim;
use super::local;
use super::route::found;
use super::wire::{self, Ipv6, proto};
use crate::net::{DeviceId, DropReason, Net, NodeId, xmit};
use crate::network::{Network, Route, RouteKind, RouteQuery};
use crate::packet::{ChecksumOffload, EtherType, PacketType, Skb};

/// A packet of the node's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing {
    /// None for the one that suits best.
    pub(super) source: Option<Ipv6Addr>,
    pub(super) destination: Ipv6Addr,
    pub(super) protocol: u8,
    pub(super) class: u8,
    /// The device that it must leave by.
    pub(super) output: Option<DeviceId>,
    /// Whether it goes to a neighbour on that device, whatever routes say (`icmp6_dst_alloc`).
    pub(super) on_link: bool,
    /// None for the default, 64.
    pub(super) hop_limit: Option<u8>,
}

impl Outgoing {
    /// A datagram of a socket, out of the device that it is bound to.
    pub(crate) const fn of_socket(
        source: Option<Ipv6Addr>,
        destination: Ipv6Addr,
        output: Option<DeviceId>,
    ) -> Self {
        Self {
            source,
            destination,
            protocol: proto::UDP,
            class: 0,
            output,
            on_link: false,
            hop_limit: None,
        }
    }
}

/// `IPV6_MIN_MTU`
pub(super) const MIN_MTU: u32 = 1280;

impl Net {
    /// `ip6_rcv_core`, `ip6_rcv_finish`.
    pub(super) fn ipv6_input(&mut self, machine: &mut Machine, mut skb: Skb) {
        if let Err(reason) = self.check_ipv6(machine, &mut skb) {
            self.refuse(machine, skb, reason);
            return;
        }
        // Its way takes the place of what the tunnel said.
        skb.tunnel = None;
        let Some(header) = Ipv6::parse(skb.frame.bytes(&machine.memory)) else {
            self.refuse(machine, skb, DropReason::Malformed);
            return;
        };
        if header.next == proto::HOP_BY_HOP
            && let Err(reason) = self.options(machine, &skb, wire::IPV6)
        {
            self.refuse(machine, skb, reason);
            return;
        }
        let device = skb.device;
        if skb.routed {
            // This host sent it to itself.
            self.ipv6_deliver(machine, skb, &header);
            return;
        }
        if header.destination.is_multicast() {
            match self.is_member(device, header.destination) {
                true => self.ipv6_deliver(machine, skb, &header),
                false => self.refuse(machine, skb, DropReason::NotForUs),
            }
            return;
        }
        let query = RouteQuery {
            destination: header.destination.into(),
            source: header.source.into(),
            output: needs_device(header.destination).then_some(device),
            strict: needs_device(header.destination),
            input: Some(device),
            mark: skb.mark,
            table: None,
        };
        let route = self.network.route(self.node_of(device), &query);
        match route {
            Some(route) if matches!(route.kind, RouteKind::Local | RouteKind::Anycast) => {
                self.ipv6_deliver(machine, skb, &header);
            }
            Some(route) if route.kind == RouteKind::Unicast => {
                self.ipv6_forward(machine, skb, &header, route);
            }
            Some(route) if route.kind == RouteKind::Blackhole => {
                self.refuse(machine, skb, DropReason::Blackhole);
            }
            route => {
                let prohibited = route.is_some_and(|route| route.kind == RouteKind::Prohibit);
                let code = if prohibited {
                    icmpv6::PROHIBITED
                } else {
                    icmpv6::NO_ROUTE
                };
                self.icmpv6_error(machine, &skb, Error::new(icmpv6::UNREACHABLE, code));
                self.refuse(machine, skb, DropReason::NoRoute);
            }
        }
    }

    /// The checks of `ip6_rcv_core`.
    fn check_ipv6(&self, machine: &mut Machine, skb: &mut Skb) -> Result<(), DropReason> {
        if skb.packet_type == PacketType::OtherHost {
            return Err(DropReason::OtherHost);
        }
        if !self.has_ipv6(skb.device) {
            return Err(DropReason::NoAddress);
        }
        let bytes = skb.frame.bytes(&machine.memory);
        let header = Ipv6::parse(bytes).ok_or(DropReason::Malformed)?;
        let loops = header.source.is_loopback() || header.destination.is_loopback();
        let scope = header.destination.octets()[1] & 0xf;
        let lo = self.device(skb.device).loopback;
        if header.source.is_multicast() || (loops && !lo) {
            return Err(DropReason::MartianSource);
        }
        if header.destination.is_multicast() && (scope == 0 || (scope == 1 && !lo)) {
            return Err(DropReason::MartianDestination);
        }
        skb.transport_header = Some(skb.frame.data() + wire::IPV6 as u32);
        if header.payload != 0 || header.next != proto::HOP_BY_HOP {
            let len = wire::IPV6 + header.payload;
            if bytes.len() < len {
                return Err(DropReason::Malformed);
            }
            trim(skb, &mut machine.memory, len as u32);
        }
        Ok(())
    }

    /// Whether a device takes IPv6. One without addresses has it switched off (`disable_ipv6`).
    fn has_ipv6(&self, device: DeviceId) -> bool {
        let addresses = self.addresses(self.node_of(device));
        let mut own = addresses.iter();
        own.any(|own| own.device == device && own.address.is_ipv6())
    }

    /// Whether a device belongs to a group (`ipv6_chk_mcast_addr`).
    fn is_member(&self, device: DeviceId, group: Ipv6Addr) -> bool {
        let segments = group.segments();
        match segments {
            [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1] => true,
            [0xff01 | 0xff02 | 0xff05, 0, 0, 0, 0, 0, 0, 2] => {
                self.network.forwards(device, group.into())
            }
            [0xff02, 0, 0, 0, 0, 1, last, _] if last >> 8 == 0xff => {
                let addresses = self.addresses(self.node_of(device));
                let here = addresses.iter().filter(|own| own.device == device);
                let here = here.filter_map(|own| match own.address {
                    IpAddr::V6(address) => Some(solicited_node(address)),
                    IpAddr::V4(_) => None,
                });
                let anycast = self.anycast(device).map(solicited_node);
                here.chain(anycast).any(|own| own == group)
            }
            _ => false,
        }
    }

    /// Whether an address is an anycast one of the node.
    pub(super) fn is_anycast(&self, node: NodeId, address: Ipv6Addr) -> bool {
        let mut routes = self.network.routes(node);
        let address = IpAddr::V6(address);
        routes.any(|route| route.kind == RouteKind::Anycast && route.network == address)
    }

    /// Anycast addresses on a device: that of all routers of each network.
    pub(super) fn anycast(&self, device: DeviceId) -> impl Iterator<Item = Ipv6Addr> {
        let routes = self.network.routes(self.node_of(device));
        let anycast =
            routes.filter(move |route| route.kind == RouteKind::Anycast && route.device == device);
        anycast.filter_map(|route| match route.network {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        })
    }

    /// `ip6_forward`.
    fn ipv6_forward(&mut self, machine: &mut Machine, skb: Skb, header: &Ipv6, route: Route) {
        let node = self.node_of(skb.device);
        let forwards = self
            .stack(node)
            .is_some_and(|stack| stack.settings.forward_ipv6);
        if !forwards {
            self.refuse(machine, skb, DropReason::NotForwarding);
            return;
        }
        if skb.packet_type != PacketType::Host {
            self.refuse(machine, skb, DropReason::OtherHost);
            return;
        }
        if header.hop_limit <= 1 {
            self.icmpv6_error(machine, &skb, Error::new(icmpv6::TIME_EXCEEDED, 0));
            self.refuse(machine, skb, DropReason::TtlExceeded);
            return;
        }
        if route.device == skb.device {
            self.ndp_redirect(machine, &skb, header, &route);
        } else if let Some(reason) = self.unfit_source(machine, &skb, header) {
            self.refuse(machine, skb, reason);
            return;
        }
        // A device's length and one that is locked count here, another of the route on the way out.
        let locked = route.mtu.filter(|_| route.mtu_locked);
        let mtu = locked.unwrap_or(self.device(route.device).mtu).max(MIN_MTU);
        if self.is_too_big(machine, &skb, mtu) {
            self.refuse(machine, skb, DropReason::TooLong);
            return;
        }
        machine.memory.raw_mut(skb.frame.data() + 7, 1)[0] -= 1;
        self.ipv6_pass_on(machine, skb, &route, header.destination);
    }

    /// `ip6_finish_output` for what is not the node's own. Of joined segments that are too long each goes by itself, and is
    /// told about by itself.
    fn ipv6_pass_on(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        route: &Route,
        destination: Ipv6Addr,
    ) {
        let mtu = self.path_mtu(route, destination.into());
        if skb.gso.size != 0 && skb.exceeds(&machine.memory, mtu) {
            // `ip6_finish_output_gso_slowpath_drop`
            for segment in self.cut(machine, skb, true) {
                self.ipv6_pass_on(machine, segment, route, destination);
            }
            return;
        }
        if self.is_too_big(machine, &skb, mtu) {
            self.refuse(machine, skb, DropReason::TooLong);
            return;
        }
        skb.at_ingress = false;
        skb.routed = true;
        let next = route.gateway.unwrap_or(IpAddr::V6(destination));
        let from = skb.device;
        self.neighbour_output(machine, skb, route.device, next, from);
    }

    /// Whether a packet is longer than its way takes, which its sender is told.
    pub(super) fn is_too_big(&mut self, machine: &mut Machine, skb: &Skb, mtu: u32) -> bool {
        let too_big = skb.exceeds(&machine.memory, mtu);
        if too_big {
            let error = Error::with(icmpv6::PACKET_TOO_BIG, 0, mtu);
            self.icmpv6_error(machine, skb, error);
        }
        too_big
    }

    /// Sources that stay on their link.
    fn unfit_source(
        &mut self,
        machine: &mut Machine,
        skb: &Skb,
        header: &Ipv6,
    ) -> Option<DropReason> {
        if header.source.is_unspecified() {
            return Some(DropReason::MartianSource);
        }
        if header.source.is_unicast_link_local() {
            let error = Error::new(icmpv6::UNREACHABLE, icmpv6::NOT_NEIGHBOUR);
            self.icmpv6_error(machine, skb, error);
            return Some(DropReason::MartianSource);
        }
        None
    }

    /// Sends a packet of the node's own: `payload` is what follows the IPv6 header. The checksum at
    /// `check` of it is filled in.
    pub(super) fn ipv6_send(
        &mut self,
        machine: &mut Machine,
        node: NodeId,
        out: Outgoing,
        payload: &mut [u8],
        check: usize,
    ) -> bool {
        let packet = self.ipv6_packet(machine, node, (out, 0), (payload, check));
        let sent =
            packet.map(|(skb, route)| self.ipv6_output(machine, skb, &route, out.destination));
        sent.is_some()
    }

    /// Such a packet with a mark, and its way.
    pub(super) fn ipv6_packet(
        &mut self,
        machine: &mut Machine,
        node: NodeId,
        (out, mark): (Outgoing, u32),
        (payload, check): (&mut [u8], usize),
    ) -> Option<(Skb, Route)> {
        let way = self.route_output_ipv6(node, &out, mark);
        let (route, source) = way.ok()?;
        let ends = (source.into(), out.destination.into());
        // TCP leaves it to the device (`tcp_v6_send_response`), ICMP does not.
        let offload = (out.protocol == proto::TCP).then_some(ChecksumOffload {
            start: wire::IPV6 as u16,
            offset: check as u16,
        });
        if offload.is_some() {
            let sum = wire::pseudo_header(ends.0, ends.1, out.protocol, payload.len());
            payload[check..check + 2].copy_from_slice(&sum.to_16().to_le_bytes());
        } else {
            local::fill_transport_checksum(payload, ends, out.protocol, check);
        }
        let header = Ipv6 {
            class: out.class,
            label: 0,
            payload: payload.len(),
            next: out.protocol,
            hop_limit: out.hop_limit.unwrap_or(64),
            source,
            destination: out.destination,
        };
        let mut bytes = Vec::with_capacity(wire::IPV6 + payload.len());
        header.write(&mut bytes);
        bytes.extend_from_slice(payload);
        let mut skb = self.new_packet(machine, route.device, EtherType::IPV6, &bytes)?;
        if let Some(offload) = offload {
            skb.offload_checksum(offload);
        }
        skb.mark = mark;
        Some((skb, route))
    }

    /// `ip6_output`. What transmitting it returns.
    pub(crate) fn ipv6_output(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        route: &Route,
        destination: Ipv6Addr,
    ) -> i64 {
        skb.routed = true;
        let next = route.gateway.unwrap_or(IpAddr::V6(destination));
        let mtu = self.path_mtu(route, destination.into());
        if skb.frame.len() > mtu && skb.gso.size == 0 {
            self.ipv6_fragment(machine, skb, route, next, mtu);
            return xmit::SUCCESS;
        }
        let from = skb.device;
        self.neighbour_output(machine, skb, route.device, next, from)
    }

    /// `ip6_route_output_flags`, `ip6_dst_lookup`: the way of a packet of this host with a mark, and the address
    /// that it leaves with.
    ///
    /// # Errors
    /// The kernel's, where no route leads there.
    pub(crate) fn route_output_ipv6(
        &self,
        node: NodeId,
        out: &Outgoing,
        mark: u32,
    ) -> Result<(Route, Ipv6Addr), Errno> {
        let query = RouteQuery {
            destination: out.destination.into(),
            source: out.source.unwrap_or(Ipv6Addr::UNSPECIFIED).into(),
            output: out.output,
            strict: out.source.is_none() || needs_device(out.destination),
            input: None,
            mark,
            table: None,
        };
        let direct = out.on_link || out.destination.is_multicast();
        let mut route = match (out.output, direct) {
            (Some(device), true) => Route {
                network: out.destination.into(),
                ..Route::new(out.destination.into(), 128, device)
            },
            _ => found(self.network.route(node, &query))?,
        };
        if matches!(route.kind, RouteKind::Local | RouteKind::Anycast) {
            route.device = self.loopback(node);
        }
        let preferred = match route.source {
            Some(IpAddr::V6(source)) => Some(source),
            _ => None,
        };
        let chosen = out.source.or(preferred);
        let chosen = chosen.or_else(|| self.select_ipv6(node, route.device, out.destination));
        Ok((route, chosen.ok_or(Errno::EADDRNOTAVAIL)?))
    }
}

/// Destinations that say nothing without a device (`rt6_need_strict`).
pub(super) fn needs_device(address: Ipv6Addr) -> bool {
    address.is_multicast() || address.is_unicast_link_local() || address.is_loopback()
}

/// The group that the owner of an address listens to (RFC 4291, 2.7.1).
pub(super) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (a & 0xff), b)
}
