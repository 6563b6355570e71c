//! ICMP messages.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::IpNumber;
use etherparse::checksum::Sum16BitWords;

use super::Checksum;
use super::checksum::Ends;
use crate::MacAddr;

const CHECKSUM: usize = 2;

/// An ICMP (RFC 792) or ICMPv6 (RFC 4443) message, to be built. Which of them it is, and so what
/// its type means and its checksum covers, the IP packet around it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Bytes 4 to 7, whose meaning the type tells.
    pub rest: [u8; 4],
    /// The checksum.
    pub checksum: Checksum,
    /// What follows.
    pub payload: Vec<u8>,
}

impl Icmp {
    /// Any message.
    pub fn new(kind: u8, code: u8, rest: [u8; 4], payload: Vec<u8>) -> Self {
        Self {
            kind,
            code,
            rest,
            checksum: Checksum::Right,
            payload,
        }
    }

    pub(super) fn to_bytes(&self, ends: Ends) -> Vec<u8> {
        let head = [self.kind, self.code, 0, 0];
        let mut bytes = [&head, &self.rest, &self.payload[..]].concat();
        let sum = match ends {
            Ends::V4(..) => Sum16BitWords::new(),
            Ends::V6(..) => ends.pseudo_header(IpNumber::IPV6_ICMP, bytes.len()),
        };
        self.checksum.seal(&mut bytes, CHECKSUM, sum);
        bytes
    }
}

fn echo(kind: u8, id: u16, sequence: u16, payload: Vec<u8>) -> Icmp {
    let [a, b] = id.to_be_bytes();
    let [c, d] = sequence.to_be_bytes();
    Icmp::new(kind, 0, [a, b, c, d], payload)
}

/// Messages for IPv4. A `quote` is the packet that an error is about, from its IP header on.
pub mod icmpv4 {
    use super::*;

    /// A ping.
    pub fn echo_request(id: u16, sequence: u16, payload: Vec<u8>) -> Icmp {
        echo(8, id, sequence, payload)
    }

    /// Its answer.
    pub fn echo_reply(id: u16, sequence: u16, payload: Vec<u8>) -> Icmp {
        echo(0, id, sequence, payload)
    }

    /// Destination unreachable: code 0 is the network, 1 the host, 2 the protocol, 3 the port.
    pub fn unreachable(code: u8, quote: Vec<u8>) -> Icmp {
        Icmp::new(3, code, [0; 4], quote)
    }

    /// Fragmentation needed, which tells the next hop's MTU (RFC 1191).
    pub fn fragmentation_needed(mtu: u16, quote: Vec<u8>) -> Icmp {
        let [high, low] = mtu.to_be_bytes();
        Icmp::new(3, 4, [0, 0, high, low], quote)
    }

    /// Time exceeded: code 0 in transit, 1 in reassembly.
    pub fn time_exceeded(code: u8, quote: Vec<u8>) -> Icmp {
        Icmp::new(11, code, [0; 4], quote)
    }

    /// Redirect to `gateway`: code 1 for the host.
    pub fn redirect(code: u8, gateway: Ipv4Addr, quote: Vec<u8>) -> Icmp {
        Icmp::new(5, code, gateway.octets(), quote)
    }
}

/// Messages for IPv6. A `quote` is the packet that an error is about, from its IP header on.
pub mod icmpv6 {
    use super::*;

    /// A ping.
    pub fn echo_request(id: u16, sequence: u16, payload: Vec<u8>) -> Icmp {
        echo(128, id, sequence, payload)
    }

    /// Its answer.
    pub fn echo_reply(id: u16, sequence: u16, payload: Vec<u8>) -> Icmp {
        echo(129, id, sequence, payload)
    }

    /// Destination unreachable: code 0 no route, 1 prohibited, 3 the address, 4 the port.
    pub fn unreachable(code: u8, quote: Vec<u8>) -> Icmp {
        Icmp::new(1, code, [0; 4], quote)
    }

    /// Packet too big, which tells the next hop's MTU.
    pub fn packet_too_big(mtu: u32, quote: Vec<u8>) -> Icmp {
        Icmp::new(2, 0, mtu.to_be_bytes(), quote)
    }

    /// Time exceeded: code 0 in transit, 1 in reassembly.
    pub fn time_exceeded(code: u8, quote: Vec<u8>) -> Icmp {
        Icmp::new(3, code, [0; 4], quote)
    }

    /// Neighbour solicitation (RFC 4861, 4.3) for `target`, from `source` if it has an address.
    pub fn neighbor_solicitation(target: Ipv6Addr, source: Option<MacAddr>) -> Icmp {
        Icmp::new(135, 0, [0; 4], neighbor(target, 1, source))
    }

    /// Neighbour advertisement (RFC 4861, 4.4) of `target`, solicited and overriding.
    pub fn neighbor_advertisement(target: Ipv6Addr, mac: Option<MacAddr>) -> Icmp {
        Icmp::new(136, 0, [0x60, 0, 0, 0], neighbor(target, 2, mac))
    }

    fn neighbor(target: Ipv6Addr, option: u8, mac: Option<MacAddr>) -> Vec<u8> {
        let mut payload = target.octets().to_vec();
        if let Some(mac) = mac {
            payload.extend_from_slice(&[option, 1]);
            payload.extend_from_slice(&mac.0);
        }
        payload
    }
}
