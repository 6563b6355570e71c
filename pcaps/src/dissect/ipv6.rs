//! IPv6 headers and their extensions.

use std::net::Ipv6Addr;
use std::ops::Range;

use etherparse::checksum::Sum16BitWords;

use super::checksum::Covered;
use super::field::{Protocol, Unverified};
use super::render;
use super::walk::{Layer, Next, Over, Version, Walk};

const LEN: usize = 40;

pub(super) fn header(walk: &mut Walk<'_>, range: Range<usize>, owner: Layer) -> Next {
    let mut header = walk.header(Protocol::Ipv6, range);
    if !header.has(LEN) {
        return header.truncated();
    }
    header.number("ipv6.version", 4);
    header.number_as("ipv6.tclass", 8, |value| format!("{value:#04x}"));
    header.number_as("ipv6.flow", 20, |value| format!("{value:#07x}"));
    let payload_len = header.number("ipv6.plen", 16) as usize;
    let number = header.number_as("ipv6.nxt", 8, render::protocol) as u8;
    header.number("ipv6.hlim", 8);
    let show = |bytes: [u8; 16]| Ipv6Addr::from(bytes).to_string();
    let source = header.array("ipv6.src", show);
    let destination = header.array("ipv6.dst", show);

    let layer = header.layer;
    let rest = header.rest();
    let is_whole = payload_len <= rest.len();
    let end = match is_whole {
        true => rest.start + payload_len,
        false => rest.end,
    };
    walk.trailer(owner, end..rest.end);
    Next::Protocol {
        number,
        range: rest.start..end,
        over: Over {
            version: Version::V6,
            layer,
            covered: Covered {
                addresses: Sum16BitWords::new()
                    .add_16bytes(source)
                    .add_16bytes(destination),
                unverified: (!is_whole).then_some(Unverified::Truncated),
            },
        },
    }
}

/// The extension header `number`: 0, 43, 44 or 60.
pub(super) fn extension(walk: &mut Walk<'_>, number: u8, range: Range<usize>, over: Over) -> Next {
    match number {
        43 => routing(walk, range, over),
        44 => fragment(walk, range, over),
        0 => options(walk, Protocol::Ipv6HopByHop, HOP_BY_HOP, range, over),
        _ => options(walk, Protocol::Ipv6Destination, DESTINATION, range, over),
    }
}

const HOP_BY_HOP: [&str; 3] = [
    "ipv6.hopopts.nxt",
    "ipv6.hopopts.len",
    "ipv6.hopopts.options",
];
const DESTINATION: [&str; 3] = [
    "ipv6.dstopts.nxt",
    "ipv6.dstopts.len",
    "ipv6.dstopts.options",
];

fn options(
    walk: &mut Walk<'_>,
    protocol: Protocol,
    names: [&'static str; 3],
    range: Range<usize>,
    over: Over,
) -> Next {
    let mut header = walk.header(protocol, range);
    if !header.has(8) {
        return header.truncated();
    }
    let number = header.number_as(names[0], 8, render::protocol) as u8;
    let len = header.number_as(names[1], 8, units);
    let len = 8 * (len as usize + 1);
    if !header.has(len) {
        return header.truncated();
    }
    header.bytes_as(names[2], len - 2, render::hex);
    Next::Protocol {
        number,
        range: header.rest(),
        over,
    }
}

fn routing(walk: &mut Walk<'_>, range: Range<usize>, mut over: Over) -> Next {
    let mut header = walk.header(Protocol::Ipv6Routing, range);
    if !header.has(8) {
        return header.truncated();
    }
    let number = header.number_as("ipv6.routing.nxt", 8, render::protocol) as u8;
    let len = header.number_as("ipv6.routing.len", 8, units);
    let len = 8 * (len as usize + 1);
    header.number("ipv6.routing.type", 8);
    let segments_left = header.number("ipv6.routing.segleft", 8);
    if !header.has(len) {
        return header.truncated();
    }
    header.bytes_as("ipv6.routing.data", len - 4, render::hex);
    if segments_left > 0 {
        over.covered.unverified.get_or_insert(Unverified::Routed);
    }
    Next::Protocol {
        number,
        range: header.rest(),
        over,
    }
}

fn fragment(walk: &mut Walk<'_>, range: Range<usize>, mut over: Over) -> Next {
    let mut header = walk.header(Protocol::Ipv6Fragment, range);
    if !header.has(8) {
        return header.truncated();
    }
    let number = header.number_as("ipv6.fraghdr.nxt", 8, render::protocol) as u8;
    header.number("ipv6.fraghdr.reserved_octet", 8);
    let offset = header.number_as("ipv6.fraghdr.offset", 13, |units| (units * 8).to_string());
    header.number("ipv6.fraghdr.reserved_bits", 2);
    let more = header.number("ipv6.fraghdr.more", 1);
    header.number_as("ipv6.fraghdr.ident", 32, |value| format!("{value:#010x}"));
    if offset > 0 {
        return Next::Payload(header.rest());
    }
    if more > 0 {
        over.covered.unverified.get_or_insert(Unverified::Fragment);
    }
    Next::Protocol {
        number,
        range: header.rest(),
        over,
    }
}

/// The authentication header, which IPv4 can have as well.
pub(super) fn authentication(walk: &mut Walk<'_>, range: Range<usize>, over: Over) -> Next {
    let mut header = walk.header(Protocol::Ah, range);
    if !header.has(12) {
        return header.truncated();
    }
    let number = header.number_as("ah.next_header", 8, render::protocol) as u8;
    let len = header.number_as("ah.length", 8, |words| ((words + 2) * 4).to_string());
    let len = 4 * (len as usize + 2);
    header.number("ah.reserved", 16);
    header.number_as("ah.spi", 32, |value| format!("{value:#010x}"));
    header.number("ah.sequence", 32);
    if len < 12 || !header.has(len) {
        return header.truncated();
    }
    header.bytes_as("ah.icv", len - 12, render::hex);
    Next::Protocol {
        number,
        range: header.rest(),
        over,
    }
}

/// A length in units of 8 bytes behind the first, in bytes.
fn units(units: u64) -> String {
    ((units + 1) * 8).to_string()
}
