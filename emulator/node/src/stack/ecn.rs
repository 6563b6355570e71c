//! Congestion marks over tunnels (RFC 6040, `include/net/inet_ecn.h`).

use twinpath_machine::Machine;

use super::wire::{self, Ipv4, Ipv6};
use crate::packet::{EtherType, Skb};

/// `INET_ECN_encapsulate`: the congestion mark of the outer header.
pub(super) const fn encapsulate_mark(outer: u8, inner: u8) -> u8 {
    const CONGESTED: u8 = 3;
    const CAPABLE_0: u8 = 2;
    let mark = match inner & 3 {
        CONGESTED => CAPABLE_0,
        mark => mark,
    };
    (outer & !3) | mark
}

/// `INET_ECN_decapsulate`: takes the outer congestion mark over; false when the inner packet's sender
/// could not know of it. The data begins with the inner network header.
pub(super) fn decapsulate_mark(skb: &Skb, machine: &mut Machine, outer: u8) -> bool {
    const NOT_CAPABLE: u8 = 0;
    const CAPABLE_1: u8 = 1;
    const CONGESTED: u8 = 3;
    let bytes = skb.frame.bytes(&machine.memory);
    let ipv6 = skb.protocol == EtherType::IPV6;
    let inner = match skb.protocol {
        EtherType::IPV4 if Ipv4::parse(bytes).is_some() => bytes[1] & 3,
        EtherType::IPV6 if Ipv6::parse(bytes).is_some() => (bytes[1] >> 4) & 3,
        _ => return true,
    };
    let outer = outer & 3;
    if inner == NOT_CAPABLE {
        return outer != CONGESTED;
    }
    let mark = match outer {
        CONGESTED => CONGESTED,
        CAPABLE_1 if inner != CONGESTED => CAPABLE_1,
        _ => return true,
    };
    let header = machine.memory.raw_mut(skb.frame.data(), wire::IPV4 as u32);
    if ipv6 {
        header[1] = (header[1] & !0x30) | mark << 4;
    } else {
        header[1] = (header[1] & !3) | mark;
        wire::fill_header_checksum(header);
    }
    true
}
