//! ARP packets.

use std::net::Ipv4Addr;
use std::ops::Range;

use super::field::Protocol;
use super::render;
use super::walk::{Layer, Next, Walk};
use crate::MacAddr;

pub(super) fn packet(walk: &mut Walk<'_>, range: Range<usize>, owner: Layer) -> Next {
    let mut header = walk.header(Protocol::Arp, range);
    if !header.has(8) {
        return header.truncated();
    }
    let hardware = header.number("arp.hw.type", 16);
    let protocol = header.number_as("arp.proto.type", 16, render::ether_type);
    let hardware_len = header.number("arp.hw.size", 8) as usize;
    let protocol_len = header.number("arp.proto.size", 8) as usize;
    header.number_as("arp.opcode", 16, |value| {
        let name = match value {
            1 => Some("request"),
            2 => Some("reply"),
            _ => None,
        };
        render::named(value, name)
    });
    if !header.has(8 + 2 * (hardware_len + protocol_len)) {
        return header.truncated();
    }
    if (hardware, protocol, hardware_len, protocol_len) == (1, 0x0800, 6, 4) {
        let mac = |bytes| MacAddr(bytes).to_string();
        let ipv4 = |bytes: [u8; 4]| Ipv4Addr::from(bytes).to_string();
        header.array("arp.src.hw_mac", mac);
        header.array("arp.src.proto_ipv4", ipv4);
        header.array("arp.dst.hw_mac", mac);
        header.array("arp.dst.proto_ipv4", ipv4);
    } else {
        header.bytes_as("arp.src.hw", hardware_len, render::hex);
        header.bytes_as("arp.src.proto", protocol_len, render::hex);
        header.bytes_as("arp.dst.hw", hardware_len, render::hex);
        header.bytes_as("arp.dst.proto", protocol_len, render::hex);
    }
    let rest = header.rest();
    walk.trailer(owner, rest);
    Next::Nothing
}
