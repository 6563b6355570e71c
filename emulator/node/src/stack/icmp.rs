//! ICMP: errors about packets, and answers to questions (`net/ipv4/icmp.c`).
//!
//! Neither the limit of errors per second nor that per receiver is here.

use twinpath_machine::Machine;

use super::ipv4::Outgoing;
use super::route::Cast;
use super::wire::{self, Ipv4, proto};
use crate::net::{DropReason, Net};
use crate::packet::{PacketType, Skb, Sum};

/// `ICMP_DEST_UNREACH`
pub(super) const UNREACHABLE: u8 = 3;
/// `ICMP_REDIRECT`
pub(super) const REDIRECT: u8 = 5;
/// `ICMP_TIME_EXCEEDED`
pub(super) const TIME_EXCEEDED: u8 = 11;
/// `ICMP_PARAMETERPROB`
pub(super) const PARAMETER_PROBLEM: u8 = 12;
/// `ICMP_HOST_UNREACH`
pub(super) const HOST_UNREACHABLE: u8 = 1;
/// `ICMP_PROT_UNREACH`
pub(super) const PROTOCOL_UNREACHABLE: u8 = 2;
/// `ICMP_PORT_UNREACH`
pub(super) const PORT_UNREACHABLE: u8 = 3;
/// `ICMP_FRAG_NEEDED`
pub(super) const FRAGMENTATION_NEEDED: u8 = 4;

const ECHO_REPLY: u8 = 0;
const ECHO: u8 = 8;
const TIMESTAMP: u8 = 13;
/// `NR_ICMP_TYPES`
const LAST_TYPE: u8 = 18;
/// Bytes of an ICMP header.
const HEADER: usize = 8;
/// The longest error, with its IPv4 header.
const LONGEST: usize = 576;

/// What is wrong with a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Error {
    kind: u8,
    code: u8,
    info: u32,
}

/// What this host has to do with the packet that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receipt {
    /// It was for this host.
    Local(Cast),
    /// It was to be passed on.
    Transit,
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

/// Types that count as reports of errors, which are not reported in turn (`icmp_pointers`).
const fn is_error(kind: u8) -> bool {
    matches!(kind, 1..=7 | 9..=12)
}

impl Net {
    /// `__icmp_send`: tells the sender what is wrong with a packet that begins with its IPv4 header.
    pub(super) fn icmp_error(
        &mut self,
        machine: &mut Machine,
        skb: &Skb,
        error: Error,
        receipt: Receipt,
    ) {
        let bytes = skb.frame.bytes(&machine.memory);
        let Some(header) = Ipv4::parse(bytes) else {
            return;
        };
        let cast = match receipt {
            Receipt::Local(cast) => cast,
            Receipt::Transit => Cast::Unicast,
        };
        let silent = skb.packet_type != PacketType::Host
            || cast != Cast::Unicast
            || header.offset != 0
            || is_about_error(&header, bytes);
        if silent {
            return;
        }
        let source = match receipt {
            Receipt::Local(_) => Some(header.destination),
            Receipt::Transit => None,
        };
        let node = self.node_of(skb.device);
        let Ok((route, _)) = self.route_output(node, source, header.source, 0) else {
            return;
        };
        let room = (self.mtu_of(&route) as usize).min(LONGEST);
        let Some(room) = room.checked_sub(wire::IPV4 + HEADER) else {
            return;
        };
        if room <= wire::IPV4 {
            return;
        }
        let quote = &bytes[..bytes.len().min(room)];
        let mut message = vec![error.kind, error.code, 0, 0];
        message.extend_from_slice(&error.info.to_be_bytes());
        message.extend_from_slice(quote);
        fill_checksum(&mut message);
        let out = Outgoing {
            source,
            destination: header.source,
            protocol: proto::ICMP,
            // RT_TOS, and IPTOS_PREC_INTERNETCONTROL
            tos: match error.kind {
                _ if is_error(error.kind) => (header.tos & 0x1e) | 0xc0,
                _ => header.tos,
            },
            dont_fragment: false,
            ttl: None,
        };
        self.ipv4_send(machine, node, out, &message);
    }

    /// `icmp_rcv`.
    pub(super) fn icmp_input(
        &mut self,
        machine: &mut Machine,
        skb: Skb,
        header: &Ipv4,
        cast: Cast,
    ) {
        let bytes = &skb.frame.bytes(&machine.memory)[header.len..];
        if bytes.len() < HEADER {
            self.refuse(machine, skb, DropReason::Malformed);
            return;
        }
        if skb.needs_check() && !wire::sums_up(bytes, Sum(0)) {
            self.refuse(machine, skb, DropReason::Checksum);
            return;
        }
        let kind = bytes[0];
        if kind > LAST_TYPE {
            self.refuse(machine, skb, DropReason::UnknownProtocol);
            return;
        }
        // icmp_echo_ignore_broadcasts
        let answers = cast == Cast::Unicast;
        match kind {
            ECHO if answers => {
                let mut message = bytes.to_vec();
                message[0] = ECHO_REPLY;
                fill_checksum(&mut message);
                self.reply(machine, &skb, header, &message);
                self.accept(machine, skb);
            }
            // The answer holds the time of day.
            TIMESTAMP if answers => self.refuse(machine, skb, DropReason::Unsupported),
            _ => {
                self.notify4(machine, &skb, header.len);
                self.accept(machine, skb);
            }
        }
    }

    /// `icmp_reply`.
    fn reply(&mut self, machine: &mut Machine, skb: &Skb, header: &Ipv4, message: &[u8]) {
        let out = Outgoing {
            source: Some(header.destination),
            destination: header.source,
            protocol: proto::ICMP,
            tos: header.tos,
            dont_fragment: false,
            ttl: None,
        };
        let node = self.node_of(skb.device);
        self.ipv4_send(machine, node, out, message);
    }
}

/// Whether a packet is itself an ICMP error, or of a type that nobody knows.
fn is_about_error(header: &Ipv4, bytes: &[u8]) -> bool {
    let kind = bytes.get(header.len);
    header.protocol == proto::ICMP && kind.is_none_or(|kind| *kind > LAST_TYPE || is_error(*kind))
}

/// Writes the checksum of an ICMP message.
fn fill_checksum(message: &mut [u8]) {
    message[2..4].fill(0);
    // The kernel sums from the other zero, which shows in a message of nothing but zeroes.
    let sum = Sum::of(message, Sum(u32::MAX)).fold();
    message[2..4].copy_from_slice(&sum.to_le_bytes());
}
