//! Delivery of IPv6 to this host: extension headers, which protocol and which socket a packet is for, and what the sender
//! is told when there is none (`net/ipv6/ip6_input.c`, `net/ipv6/udp.c`, `net/ipv6/tcp_ipv6.c`).

use std::net::SocketAddr;

use twinpath_machine::Machine;

use super::icmpv6::{self, Error};
use super::ipv6::{Outgoing, needs_device};
use super::local::check_udp;
use super::wire::{self, Ipv6, proto};
use crate::net::{DropReason, Net};
use crate::packet::Skb;

/// Where the upper-layer protocol of a packet is.
#[derive(Debug, Clone, Copy)]
struct Upper {
    protocol: u8,
    /// Where it begins.
    at: usize,
    /// Where the number stands that announces it.
    before: usize,
}

impl Net {
    /// `ip6_protocol_deliver_rcu`: a packet for this host, header by header.
    pub(super) fn ipv6_deliver(&mut self, machine: &mut Machine, skb: Skb, header: &Ipv6) {
        let mut upper = Upper {
            protocol: header.next,
            at: wire::IPV6,
            before: 6,
        };
        loop {
            match upper.protocol {
                proto::HOP_BY_HOP if upper.at == wire::IPV6 => {}
                proto::DESTINATION => {
                    if let Err(reason) = self.options(machine, &skb, upper.at) {
                        self.refuse(machine, skb, reason);
                        return;
                    }
                }
                proto::ROUTING => {
                    let left = skb.frame.bytes(&machine.memory).get(upper.at + 3);
                    if left != Some(&0) {
                        self.refuse(machine, skb, DropReason::Unsupported);
                        return;
                    }
                }
                proto::FRAGMENT if is_whole(skb.frame.bytes(&machine.memory), upper.at) => {}
                proto::FRAGMENT => {
                    let (at, before) = (upper.at, upper.before);
                    let whole = self.reassemble_ipv6(machine, skb, header, at, before);
                    let Some(whole) = whole else {
                        return;
                    };
                    if let Some(header) = Ipv6::parse(whole.frame.bytes(&machine.memory)) {
                        self.ipv6_deliver(machine, whole, &header);
                    }
                    return;
                }
                _ => break,
            }
            let bytes = skb.frame.bytes(&machine.memory);
            let Some(&[next, len]) = bytes.get(upper.at..upper.at + 2) else {
                self.refuse(machine, skb, DropReason::Malformed);
                return;
            };
            let fragment = upper.protocol == proto::FRAGMENT;
            let len = if fragment { 0 } else { usize::from(len) };
            let end = upper.at + (len + 1) * 8;
            if end > bytes.len() {
                self.refuse(machine, skb, DropReason::Malformed);
                return;
            }
            upper = Upper {
                protocol: next,
                at: end,
                before: upper.at,
            };
        }
        self.ipv6_transport(machine, skb, header, upper);
    }

    fn ipv6_transport(&mut self, machine: &mut Machine, skb: Skb, header: &Ipv6, upper: Upper) {
        match upper.protocol {
            proto::ICMPV6 => self.icmpv6_input(machine, skb, header, upper.at),
            proto::UDP => self.udp6_input(machine, skb, header, upper.at),
            proto::TCP => self.tcp6_input(machine, skb, header, upper.at),
            proto::NONE | proto::PIM => self.accept(machine, skb),
            proto::UDP_LITE => self.refuse(machine, skb, DropReason::Unsupported),
            _ => {
                let error = Error::with(icmpv6::PARAMETER_PROBLEM, 1, upper.before as u32);
                self.icmpv6_error(machine, &skb, error);
                self.refuse(machine, skb, DropReason::UnknownProtocol);
            }
        }
    }

    /// `__udp6_lib_rcv`.
    fn udp6_input(&mut self, machine: &mut Machine, mut skb: Skb, header: &Ipv6, at: usize) {
        let ends = (header.source.into(), header.destination.into());
        let datagram = match check_udp(&mut skb, machine, at, ends) {
            Ok(datagram) => datagram,
            Err(reason) => {
                self.refuse(machine, skb, reason);
                return;
            }
        };
        let flow = datagram.flow(ends);
        // Without a checksum it is not one (`udp6_csum_init`).
        let sums_up = datagram.has_checksum && datagram.sums_up;
        if header.destination.is_multicast() {
            self.datagram_to_all(machine, skb, flow, (at, sums_up));
            return;
        }
        let Some(skb) = self.vxlan_input(machine, skb, at, flow, &datagram) else {
            return;
        };
        let Some(skb) = self.datagram_to_socket(machine, skb, flow, (at, &datagram)) else {
            return;
        };
        if !datagram.has_checksum || !datagram.sums_up {
            self.refuse(machine, skb, DropReason::Checksum);
            return;
        }
        let error = Error::new(icmpv6::UNREACHABLE, icmpv6::PORT_UNREACHABLE);
        self.icmpv6_error(machine, &skb, error);
        self.refuse(machine, skb, DropReason::NoSocket);
    }

    /// `tcp_v6_rcv`, as far as it goes without a connection.
    fn tcp6_input(&mut self, machine: &mut Machine, skb: Skb, header: &Ipv6, at: usize) {
        let ends = (header.source.into(), header.destination.into());
        let (flow, segment) = match self.check_tcp(machine, &skb, at, ends) {
            Ok(found) => found,
            Err(reason) => {
                self.refuse(machine, skb, reason);
                return;
            }
        };
        let found = self.segment_to_socket(machine, skb, flow, (at, &segment));
        let Some((skb, refuser)) = found else {
            return;
        };
        let node = self.node_of(skb.device);
        let unicast =
            !header.destination.is_multicast() && !self.is_anycast(node, header.destination);
        if let (true, Some(mut reset)) = (unicast, segment.reset()) {
            let SocketAddr::V6(_) = flow.local else {
                return;
            };
            let out = Outgoing {
                source: Some(header.destination),
                destination: header.source,
                protocol: proto::TCP,
                class: header.class & !3,
                output: needs_device(header.source)
                    .then(|| self.arrival_device(&skb, header.destination.into())),
                on_link: false,
                hop_limit: None,
            };
            let mark = self.mark_of(refuser);
            let reset = self.ipv6_packet(machine, node, (out, mark), (&mut reset, 16));
            if let Some((mut reset, route)) = reset {
                // No program of its cgroup sees it (`tcp_v6_send_response`).
                if let Some(refuser) = refuser {
                    self.show_socket(machine, refuser, &mut reset);
                }
                self.ipv6_output(machine, reset, &route, out.destination);
            }
        }
        self.refuse(machine, skb, DropReason::NoSocket);
    }

    /// `ip6_parse_tlv`, for options that change nothing.
    pub(super) fn options(
        &mut self,
        machine: &mut Machine,
        skb: &Skb,
        at: usize,
    ) -> Result<(), DropReason> {
        const PAD_1: u8 = 0;
        const PAD_N: u8 = 1;
        const ROUTER_ALERT: u8 = 5;
        let bytes = skb.frame.bytes(&machine.memory);
        let len = *bytes.get(at + 1).ok_or(DropReason::Malformed)?;
        let end = at + (usize::from(len) + 1) * 8;
        let options = bytes.get(at + 2..end).ok_or(DropReason::Malformed)?;
        let mut rest = options;
        while let Some((&kind, behind)) = rest.split_first() {
            if kind == PAD_1 {
                rest = behind;
                continue;
            }
            let (&len, behind) = behind.split_first().ok_or(DropReason::Malformed)?;
            let value = behind
                .get(..usize::from(len))
                .ok_or(DropReason::Malformed)?;
            match kind {
                PAD_N if len <= 5 && value.iter().all(|byte| *byte == 0) => {}
                PAD_N => return Err(DropReason::Malformed),
                ROUTER_ALERT if len == 2 => {}
                _ => return Err(DropReason::Unsupported),
            }
            rest = &behind[usize::from(len)..];
        }
        Ok(())
    }
}

/// Whether a fragment header is that of a packet in one piece.
fn is_whole(bytes: &[u8], at: usize) -> bool {
    let word = bytes.get(at + 2..at + 4);
    word.is_some_and(|word| word[0] == 0 && word[1] & !6 == 0)
}
