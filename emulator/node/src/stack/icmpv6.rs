//! ICMPv6: errors about packets, and answers to questions (`net/ipv6/icmp.c`).
//!
//! Neither the limit of errors per second nor that per receiver is here. Flow labels are 0, as with
//! `net.ipv6.auto_flowlabels=0`.

use twinpath_machine::Machine;

use super::ipv6::{MIN_MTU, Outgoing, needs_device};
use super::wire::{self, Ipv6, proto};
use crate::net::{DropReason, Net};
use crate::packet::{PacketType, Skb};

/// `ICMPV6_DEST_UNREACH`
pub(super) const UNREACHABLE: u8 = 1;
/// `ICMPV6_PKT_TOOBIG`
pub(super) const PACKET_TOO_BIG: u8 = 2;
/// `ICMPV6_TIME_EXCEED`
pub(super) const TIME_EXCEEDED: u8 = 3;
/// `ICMPV6_PARAMPROB`
pub(super) const PARAMETER_PROBLEM: u8 = 4;
/// `ICMPV6_NOROUTE`
pub(super) const NO_ROUTE: u8 = 0;
/// `ICMPV6_ADM_PROHIBITED`
pub(super) const PROHIBITED: u8 = 1;
/// `ICMPV6_NOT_NEIGHBOUR`
pub(super) const NOT_NEIGHBOUR: u8 = 2;
/// `ICMPV6_ADDR_UNREACH`
pub(super) const ADDRESS_UNREACHABLE: u8 = 3;
/// `ICMPV6_PORT_UNREACH`
pub(super) const PORT_UNREACHABLE: u8 = 4;

const ECHO: u8 = 128;
const ECHO_REPLY: u8 = 129;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// `NDISC_REDIRECT`
pub(super) const REDIRECT: u8 = 137;
/// Bit of types that are no errors.
const INFORMATIONAL: u8 = 0x80;
/// Bytes of an ICMPv6 header.
const HEADER: usize = 8;

/// What is wrong with a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Error {
    kind: u8,
    code: u8,
    info: u32,
}

impl Error {
    pub(super) const fn new(kind: u8, code: u8) -> Self {
        Self::with(kind, code, 0)
    }

    /// `info` is the second word of the header.
    pub(super) const fn with(kind: u8, code: u8, info: u32) -> Self {
        Self { kind, code, info }
    }
}

impl Net {
    /// `icmp6_send`: tells the sender what is wrong with a packet that begins with its IPv6 header.
    pub(super) fn icmpv6_error(&mut self, machine: &mut Machine, skb: &Skb, error: Error) {
        let bytes = skb.frame.bytes(&machine.memory);
        let Some(header) = Ipv6::parse(bytes) else {
            return;
        };
        let node = self.node_of(skb.device);
        let own = self.is_own(node, header.destination.into())
            || self.is_anycast(node, header.destination);
        let mut source = own.then_some(header.destination);
        if header.destination.is_multicast() || skb.packet_type != PacketType::Host {
            if error.kind != PACKET_TOO_BIG {
                return;
            }
            source = None;
        }
        let nobody = header.source.is_unspecified() || header.source.is_multicast();
        if nobody || is_error(bytes, &header) {
            return;
        }
        let room = MIN_MTU as usize - wire::IPV6 - HEADER;
        let quote = &bytes[..bytes.len().min(room)];
        let mut message = vec![error.kind, error.code, 0, 0];
        message.extend_from_slice(&error.info.to_be_bytes());
        message.extend_from_slice(quote);
        let mut out = Outgoing {
            source,
            destination: header.source,
            protocol: proto::ICMPV6,
            class: 0,
            output: needs_device(header.source)
                .then(|| self.arrival_device(skb, header.destination.into())),
            on_link: false,
            hop_limit: None,
        };
        if source.is_none() {
            // The address that the sender's packet came to says more than that of the way back.
            let Ok((route, _)) = self.route_output_ipv6(node, &out, 0) else {
                return;
            };
            if route.source.is_none() {
                out.source = self.select_ipv6(node, skb.device, header.source);
            }
        }
        self.ipv6_send(machine, node, out, &mut message, 2);
    }

    /// `icmpv6_rcv`. `at` is where the message begins.
    pub(super) fn icmpv6_input(
        &mut self,
        machine: &mut Machine,
        skb: Skb,
        header: &Ipv6,
        at: usize,
    ) {
        let bytes = &skb.frame.bytes(&machine.memory)[at..];
        let ends = (header.source.into(), header.destination.into());
        let seed = wire::pseudo_header(ends.0, ends.1, proto::ICMPV6, bytes.len());
        if bytes.len() < HEADER {
            self.refuse(machine, skb, DropReason::Malformed);
            return;
        }
        if skb.needs_check() && !wire::sums_up(bytes, seed) {
            self.refuse(machine, skb, DropReason::Checksum);
            return;
        }
        match bytes[0] {
            ECHO => {
                let mut message = bytes.to_vec();
                message[0] = ECHO_REPLY;
                self.echo_reply(machine, &skb, header, &mut message);
                self.accept(machine, skb);
            }
            NEIGHBOUR_SOLICITATION => self.ndp_solicited(machine, skb, header, at),
            NEIGHBOUR_ADVERTISEMENT => self.ndp_advertised(machine, skb, header, at),
            _ => {
                self.notify6(machine, &skb, at);
                self.accept(machine, skb);
            }
        }
    }

    /// `icmpv6_echo_reply`.
    fn echo_reply(&mut self, machine: &mut Machine, skb: &Skb, header: &Ipv6, message: &mut [u8]) {
        let node = self.node_of(skb.device);
        let own = self.is_own(node, header.destination.into());
        let strict = !own || needs_device(header.source);
        let out = Outgoing {
            source: own.then_some(header.destination),
            destination: header.source,
            protocol: proto::ICMPV6,
            class: header.class,
            output: strict.then_some(skb.device),
            on_link: false,
            hop_limit: None,
        };
        self.ipv6_send(machine, node, out, message, 2);
    }
}

/// Whether a packet is itself an ICMPv6 error, about which nobody is told (`is_ineligible`).
fn is_error(bytes: &[u8], header: &Ipv6) -> bool {
    let mut next = header.next;
    let mut at = wire::IPV6;
    loop {
        let len = match next {
            proto::HOP_BY_HOP | proto::DESTINATION | proto::ROUTING => {
                bytes.get(at + 1).map(|len| (usize::from(*len) + 1) * 8)
            }
            proto::FRAGMENT => {
                let offset = bytes.get(at + 2..at + 4);
                if offset.is_some_and(|offset| offset[0] != 0 || offset[1] & !7 != 0) {
                    // What follows is no header.
                    return false;
                }
                Some(8)
            }
            _ => break,
        };
        let (Some(len), Some(following)) = (len, bytes.get(at)) else {
            return false;
        };
        next = *following;
        at += len;
    }
    next == proto::ICMPV6 && bytes.get(at).is_none_or(|kind| kind & INFORMATIONAL == 0)
}
