//! IPv4: receiving, forwarding, sending (`net/ipv4/ip_input.c`, `ip_forward.c`, `ip_output.c`).

use std::net::{IpAddr, Ipv4Addr};

use twinpath_machine::memory::Memory;
use twinpath_machine::{Errno, Machine};

use super::icmp::{self, Error, Receipt};
use super::route::{Cast, Way};
use super::wire::{self, Ipv4};
use crate::net::{DropReason, Net, NodeId, xmit};
use crate::network::Route;
use crate::packet::{EtherType, PacketType, Skb};

/// A packet of the node's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing {
    /// None for the address that the route says.
    pub(super) source: Option<Ipv4Addr>,
    pub(super) destination: Ipv4Addr,
    pub(super) protocol: u8,
    pub(super) tos: u8,
    pub(super) dont_fragment: bool,
    /// None for the node's.
    pub(super) ttl: Option<u8>,
}

/// What options a header has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Options {
    /// None that change the packet's way.
    Plain,
    /// One that ends wrongly, at this byte of the header.
    Wrong(u8),
    /// A source route, recorded route or timestamp.
    Unsupported,
}

impl Net {
    /// `ip_rcv`, `ip_rcv_finish`.
    pub(super) fn ipv4_input(&mut self, machine: &mut Machine, mut skb: Skb) {
        if skb.packet_type == PacketType::OtherHost {
            self.refuse(machine, skb, DropReason::OtherHost);
            return;
        }
        // Its way takes the place of what the tunnel said.
        skb.tunnel = None;
        let bytes = skb.frame.bytes(&machine.memory);
        let Some(header) = Ipv4::parse(bytes) else {
            self.refuse(machine, skb, DropReason::Malformed);
            return;
        };
        if !wire::sums_up(&bytes[..header.len], crate::packet::Sum(0)) {
            self.refuse(machine, skb, DropReason::Checksum);
            return;
        }
        if header.total < header.len || bytes.len() < header.total {
            self.refuse(machine, skb, DropReason::Malformed);
            return;
        }
        let options = options(&bytes[..header.len]);
        trim(&mut skb, &mut machine.memory, header.total as u32);
        skb.transport_header = Some(skb.frame.data() + header.len as u32);
        let way = match skb.routed {
            true => Way::Local(Cast::Unicast),
            false => self.route_input(skb.device, header.source, header.destination, skb.mark),
        };
        skb.routed = true;
        match (options, way) {
            (Options::Plain, _) | (_, Way::Drop(_)) => self.ipv4_go(machine, skb, &header, way),
            (Options::Unsupported, _) => self.refuse(machine, skb, DropReason::Unsupported),
            (Options::Wrong(at), way) => {
                let error = Error::with(icmp::PARAMETER_PROBLEM, 0, u32::from(at) << 24);
                let receipt = match way {
                    Way::Local(cast) => Receipt::Local(cast),
                    _ => Receipt::Transit,
                };
                self.icmp_error(machine, &skb, error, receipt);
                self.refuse(machine, skb, DropReason::Malformed);
            }
        }
    }

    fn ipv4_go(&mut self, machine: &mut Machine, skb: Skb, header: &Ipv4, way: Way) {
        match way {
            Way::Drop(reason) => self.refuse(machine, skb, reason),
            Way::Unreachable(code) => {
                let error = Error::new(icmp::UNREACHABLE, code);
                self.icmp_error(machine, &skb, error, Receipt::Transit);
                self.refuse(machine, skb, DropReason::NoRoute);
            }
            Way::Local(cast) => self.ipv4_deliver(machine, skb, header, cast),
            Way::Forward { route, redirect } => {
                self.ipv4_forward(machine, skb, header, route, redirect);
            }
        }
    }

    /// `ip_forward`.
    fn ipv4_forward(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        header: &Ipv4,
        route: Route,
        redirect: bool,
    ) {
        if skb.packet_type != PacketType::Host {
            self.refuse(machine, skb, DropReason::OtherHost);
            return;
        }
        if header.ttl <= 1 {
            let error = Error::new(icmp::TIME_EXCEEDED, 0);
            self.icmp_error(machine, &skb, error, Receipt::Transit);
            self.refuse(machine, skb, DropReason::TtlExceeded);
            return;
        }
        let mtu = self.mtu_of(&route);
        if header.dont_fragment && skb.exceeds(&machine.memory, mtu) {
            let error = Error::with(icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED, mtu);
            self.icmp_error(machine, &skb, error, Receipt::Transit);
            self.refuse(machine, skb, DropReason::TooLong);
            return;
        }
        decrease_ttl(machine.memory.raw_mut(skb.frame.data(), wire::IPV4 as u32));
        if redirect {
            let gateway = match route.gateway {
                Some(IpAddr::V4(gateway)) => gateway,
                _ => header.destination,
            };
            let error = Error::with(icmp::REDIRECT, 1, gateway.to_bits());
            self.icmp_error(machine, &skb, error, Receipt::Transit);
        }
        skb.priority = priority(header.tos);
        self.ipv4_output(machine, skb, &route, false);
    }

    /// `ip_output`: fragments what is too long, and sends it to the next hop. `own` says that
    /// this host made it. What transmitting it returns.
    pub(crate) fn ipv4_output(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        route: &Route,
        own: bool,
    ) -> i64 {
        let from = skb.device;
        skb.protocol = EtherType::IPV4;
        skb.at_ingress = false;
        skb.routed = true;
        let bytes = skb.frame.bytes(&machine.memory);
        let Some(header) = Ipv4::parse(bytes) else {
            self.refuse(machine, skb, DropReason::Malformed);
            return xmit::DROP;
        };
        let next = route.gateway.unwrap_or(IpAddr::V4(header.destination));
        let mtu = match own {
            true => self.path_mtu(route, header.destination.into()),
            false => self.mtu_of(route),
        };
        if !skb.exceeds(&machine.memory, mtu) {
            return self.neighbour_output(machine, skb, route.device, next, from);
        }
        if skb.gso.size != 0 {
            // `ip_finish_output_gso`
            for segment in self.cut(machine, skb, true) {
                self.ipv4_output(machine, segment, route, own);
            }
            return xmit::SUCCESS;
        }
        if header.dont_fragment {
            let error = Error::with(icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED, mtu);
            self.icmp_error(machine, &skb, error, Receipt::Transit);
            self.refuse(machine, skb, DropReason::TooLong);
            return xmit::error(Errno::EMSGSIZE);
        }
        self.ipv4_fragment(machine, skb, &header, route, next, mtu);
        xmit::SUCCESS
    }

    /// Sends a packet of the node's own: `payload` is what follows the IPv4 header.
    pub(super) fn ipv4_send(
        &mut self,
        machine: &mut Machine,
        node: NodeId,
        out: Outgoing,
        payload: &[u8],
    ) -> bool {
        let packet = self.ipv4_packet(machine, node, (out, 0), payload);
        let sent = packet.map(|(skb, route)| self.ipv4_output(machine, skb, &route, true));
        sent.is_some()
    }

    /// A packet of the node's own with a mark, and its way.
    pub(super) fn ipv4_packet(
        &mut self,
        machine: &mut Machine,
        node: NodeId,
        (out, mark): (Outgoing, u32),
        payload: &[u8],
    ) -> Option<(Skb, Route)> {
        let way = self.route_output(node, out.source, out.destination, mark);
        let (route, source) = way.ok()?;
        let id = if out.dont_fragment {
            0
        } else {
            self.next_ident(node)
        };
        let header = Ipv4 {
            len: wire::IPV4,
            tos: out.tos,
            total: wire::IPV4 + payload.len(),
            id,
            dont_fragment: out.dont_fragment,
            more_fragments: false,
            offset: 0,
            ttl: out.ttl.unwrap_or_else(|| self.ttl(node)),
            protocol: out.protocol,
            source,
            destination: out.destination,
        };
        let mut bytes = Vec::with_capacity(header.total);
        header.write(&mut bytes);
        bytes.extend_from_slice(payload);
        let mut skb = self.new_packet(machine, route.device, EtherType::IPV4, &bytes)?;
        skb.transport_header = Some(skb.frame.data() + wire::IPV4 as u32);
        skb.mark = mark;
        Some((skb, route))
    }

    /// `ip_local_deliver`.
    fn ipv4_deliver(&mut self, machine: &mut Machine, skb: Skb, header: &Ipv4, cast: Cast) {
        if !header.is_fragment() {
            self.ipv4_transport(machine, skb, header, cast);
        } else if let Some((whole, header)) = self.reassemble_ipv4(machine, skb, header) {
            self.ipv4_transport(machine, whole, &header, cast);
        }
    }
}

/// Removes what follows the packet.
pub(super) fn trim(skb: &mut Skb, memory: &mut Memory, len: u32) {
    if skb.frame.len() > len {
        skb.frame.resize_paged(memory, len);
        skb.reset_complete();
    }
}

/// `ip_decrease_ttl`.
fn decrease_ttl(header: &mut [u8]) {
    header[8] -= 1;
    let check = u32::from(u16::from_le_bytes([header[10], header[11]])) + 1;
    let check = (check + u32::from(check >= 0xffff)) as u16;
    header[10..12].copy_from_slice(&check.to_le_bytes());
}

/// `rt_tos2priority`: `TC_PRIO_*` of the old meaning of the type of service.
const fn priority(tos: u8) -> u32 {
    const BEST_EFFORT: u32 = 0;
    const BULK: u32 = 2;
    const INTERACTIVE_BULK: u32 = 4;
    const INTERACTIVE: u32 = 6;
    match (tos & 0x1e) >> 1 {
        0..=3 => BEST_EFFORT,
        4..=7 => BULK,
        8..=11 => INTERACTIVE,
        _ => INTERACTIVE_BULK,
    }
}

/// `__ip_options_compile`, as far as it looks at options that every router passes on.
fn options(header: &[u8]) -> Options {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const RECORD_ROUTE: u8 = 7;
    const TIMESTAMP: u8 = 68;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const SECURITY: u8 = 134;
    const STRICT_SOURCE_ROUTE: u8 = 137;
    let mut at = wire::IPV4;
    while let Some(&kind) = header.get(at) {
        match kind {
            END => break,
            NOTHING => {
                at += 1;
                continue;
            }
            RECORD_ROUTE | TIMESTAMP | LOOSE_SOURCE_ROUTE | SECURITY | STRICT_SOURCE_ROUTE => {
                return Options::Unsupported;
            }
            _ => {}
        }
        match header.get(at + 1) {
            Some(&len) if len >= 2 && at + usize::from(len) <= header.len() => {
                at += usize::from(len);
            }
            _ => return Options::Wrong(at as u8),
        }
    }
    Options::Plain
}
