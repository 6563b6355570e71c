//! Errors that come about packets which sockets of this host have sent (`icmp_unreach` of `net/ipv4/icmp.c`,
//! `icmpv6_notify` of `net/ipv6/icmp.c`): the sockets hear of them.

use std::net::{IpAddr, SocketAddr};

use twinpath_machine::{Errno, Machine};

use super::wire::{self, Ipv4, Ipv6, proto};
use super::{icmp, icmpv6};
use crate::net::{Net, NodeId};
use crate::packet::Skb;
use crate::socket::{Flow, Protocol, Query, Report, SocketCalls};

/// What of the packet that an error is about must be there, behind its IP header (`icmp_socket_deliver`).
const QUOTED: usize = 8;
/// `net.ipv4.route.min_pmtu`
const LEAST_MTU: u32 = 552;

/// What an ICMP error says to a socket (`icmp_err_convert` and `__udp4_lib_err`); none when it says nothing.
fn report4(kind: u8, code: u8) -> Option<Report> {
    let report = match (kind, code) {
        (icmp::UNREACHABLE, 0 | 11) => Report::soft(Errno::ENETUNREACH),
        (icmp::UNREACHABLE, 1 | 12) => Report::soft(Errno::EHOSTUNREACH),
        (icmp::UNREACHABLE, icmp::PROTOCOL_UNREACHABLE) => Report::hard(Errno::ENOPROTOOPT),
        (icmp::UNREACHABLE, icmp::PORT_UNREACHABLE) => Report::REFUSED,
        (icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED) => Report::hard(Errno::EMSGSIZE),
        (icmp::UNREACHABLE, 5) => Report::soft(Errno::EOPNOTSUPP),
        (icmp::UNREACHABLE, 6 | 9) => Report::hard(Errno::ENETUNREACH),
        (icmp::UNREACHABLE, 7) => Report::hard(Errno::EHOSTDOWN),
        (icmp::UNREACHABLE, 8) => Report::hard(Errno::ENONET),
        (icmp::UNREACHABLE, 10 | 13..=15) => Report::hard(Errno::EHOSTUNREACH),
        (icmp::TIME_EXCEEDED, _) => Report::soft(Errno::EHOSTUNREACH),
        (icmp::PARAMETER_PROBLEM, _) => Report::hard(Errno::EPROTO),
        _ => return None,
    };
    Some(report)
}

/// What an ICMPv6 error says to a socket (`icmpv6_err_convert`).
fn report6(kind: u8, code: u8) -> Option<Report> {
    let report = match (kind, code) {
        (icmpv6::UNREACHABLE, icmpv6::NO_ROUTE) => Report::soft(Errno::ENETUNREACH),
        (icmpv6::UNREACHABLE, icmpv6::PROHIBITED | 5 | 6) => Report::hard(Errno::EACCES),
        (icmpv6::UNREACHABLE, icmpv6::NOT_NEIGHBOUR | icmpv6::ADDRESS_UNREACHABLE) => {
            Report::soft(Errno::EHOSTUNREACH)
        }
        (icmpv6::UNREACHABLE, icmpv6::PORT_UNREACHABLE) => Report::REFUSED,
        (icmpv6::UNREACHABLE, _) => Report::hard(Errno::EPROTO),
        (icmpv6::PACKET_TOO_BIG, _) => Report::hard(Errno::EMSGSIZE),
        (icmpv6::TIME_EXCEEDED, _) => Report::soft(Errno::EHOSTUNREACH),
        (icmpv6::PARAMETER_PROBLEM, _) => Report::hard(Errno::EPROTO),
        _ => return None,
    };
    Some(report)
}

impl Net {
    /// An ICMP message came to this host, which begins at `at`.
    pub(super) fn notify4(&mut self, machine: &mut Machine, skb: &Skb, at: usize) {
        let message = &skb.frame.bytes(&machine.memory)[at..];
        let Some((&[kind, code, _, _, _, _, high, low], quote)) = message.split_first_chunk()
        else {
            return;
        };
        let (Some(report), Some(header)) = (report4(kind, code), Ipv4::parse(quote)) else {
            return;
        };
        let mtu = u32::from(u16::from_be_bytes([high, low])).max(LEAST_MTU);
        if header.protocol == proto::IPIP && quote.len() >= header.len + QUOTED {
            let node = self.node_of(skb.device);
            self.ipip_error(node, (kind, code), mtu, &header);
            return;
        }
        let body = quote.get(header.len..).unwrap_or_default();
        let Some((flow, first)) = flow(
            header.protocol,
            (header.source.into(), header.destination.into()),
            body,
        ) else {
            return;
        };
        let too_long = (kind, code) == (icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED);
        if too_long && flow.protocol == Protocol::Tcp {
            self.tell_connection(machine, skb, (flow, first), mtu);
            return;
        }
        let told = self.tell_socket(machine, skb, flow, report);
        if told && too_long {
            self.learn_mtu(self.node_of(skb.device), flow.remote.ip(), mtu);
        }
    }

    /// An ICMPv6 message likewise.
    pub(super) fn notify6(&mut self, machine: &mut Machine, skb: &Skb, at: usize) {
        let message = &skb.frame.bytes(&machine.memory)[at..];
        let Some((&[kind, code, _, _, a, b, c, d], quote)) = message.split_first_chunk() else {
            return;
        };
        let (Some(report), Some(header)) = (report6(kind, code), Ipv6::parse(quote)) else {
            return;
        };
        let body = quote.get(wire::IPV6..).unwrap_or_default();
        let Some((flow, first)) = flow(
            header.next,
            (header.source.into(), header.destination.into()),
            body,
        ) else {
            return;
        };
        let mtu = u32::from_be_bytes([a, b, c, d]);
        let mtu = mtu.max(super::ipv6::MIN_MTU);
        let too_long = kind == icmpv6::PACKET_TOO_BIG;
        if too_long && flow.protocol == Protocol::Tcp {
            self.tell_connection(machine, skb, (flow, first), mtu);
            return;
        }
        let told = self.tell_socket(machine, skb, flow, report);
        if told && too_long {
            self.learn_mtu(self.node_of(skb.device), flow.remote.ip(), mtu);
        }
    }

    /// Whether there is a socket that sends in the flow; it hears of the error.
    fn tell_socket(
        &mut self,
        machine: &mut Machine,
        skb: &Skb,
        flow: Flow,
        report: Report,
    ) -> bool {
        let query = Query {
            node: self.node_of(skb.device),
            flow,
            // `__udp4_lib_err` looks at the device that the error itself came by.
            device: match flow.local {
                SocketAddr::V4(_) => skb.ifindex,
                SocketAddr::V6(_) => self.arrived_by(skb, flow.local.ip()),
            },
        };
        SocketCalls::new(self, machine).report(&query, report)
    }

    /// A connection that sends in the flow hears that a segment was too long whose first byte has the number `first`.
    fn tell_connection(
        &mut self,
        machine: &mut Machine,
        skb: &Skb,
        (flow, first): (Flow, u32),
        mtu: u32,
    ) {
        let query = Query {
            node: self.node_of(skb.device),
            flow,
            device: self.arrived_by(skb, flow.local.ip()),
        };
        SocketCalls::new(self, machine).hear_of_longest(&query, first, mtu);
    }

    /// `ipv4_update_pmtu`, `ip6_update_pmtu`: packets to a host may be no longer than this from now on.
    pub(crate) fn learn_mtu(&mut self, node: NodeId, host: IpAddr, mtu: u32) {
        if let Some(stack) = self.stack_mut(node) {
            let known = stack.path_mtus.entry(host).or_insert(mtu);
            *known = mtu.min(*known);
        }
    }
}

/// The flow of a packet that this host sent, as it would receive answers; `body` is what follows the IP header. Behind it,
/// the number of a segment's first byte.
fn flow(protocol: u8, ends: (IpAddr, IpAddr), body: &[u8]) -> Option<(Flow, u32)> {
    let protocol = match protocol {
        proto::UDP => Protocol::Udp,
        proto::TCP => Protocol::Tcp,
        _ => return None,
    };
    let &[a, b, c, d, e, f, g, h] = body.first_chunk::<QUOTED>()?;
    let port = |high, low| u16::from_be_bytes([high, low]);
    let local = SocketAddr::new(ends.0, port(a, b));
    let flow = Flow::new(protocol, local, SocketAddr::new(ends.1, port(c, d)));
    Some((flow, u32::from_be_bytes([e, f, g, h])))
}
