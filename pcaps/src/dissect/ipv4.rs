//! IPv4 headers.

use std::net::Ipv4Addr;
use std::ops::Range;

use etherparse::checksum::Sum16BitWords;

use super::checksum::{Covered, verify};
use super::field::{Protocol, Unverified};
use super::render;
use super::walk::{Header, Layer, Next, Over, Version, Walk};

const LEN: usize = 20;
const CHECKSUM: usize = 10;

pub(super) fn header(walk: &mut Walk<'_>, range: Range<usize>, owner: Layer) -> Next {
    let mut header = walk.header(Protocol::Ip, range);
    if !header.has(LEN) {
        return header.truncated();
    }
    let fixed = fixed_part(&mut header);
    if !(LEN..=header.range().len()).contains(&fixed.header_len) {
        return header.truncated();
    }
    header.bytes_as("ip.options", fixed.header_len - LEN, render::hex);

    let layer = header.layer;
    let range = header.range();
    let rest = header.rest();
    // A length that cannot be is no end: the kernel would drop the packet, people look at it.
    let is_whole = (fixed.header_len..=range.len()).contains(&fixed.total_len);
    let end = match is_whole {
        true => range.start + fixed.total_len,
        false => range.end,
    };
    walk.trailer(owner, end..range.end);
    if fixed.offset > 0 {
        return Next::Payload(rest.start..end);
    }
    let unverified = match is_whole {
        false => Some(Unverified::Truncated),
        true => fixed.more.then_some(Unverified::Fragment),
    };
    Next::Protocol {
        number: fixed.protocol,
        range: rest.start..end,
        over: Over {
            version: Version::V4,
            layer,
            covered: Covered {
                addresses: fixed.addresses,
                unverified,
            },
        },
    }
}

/// What the fixed part of the header tells about the rest.
struct Fixed {
    header_len: usize,
    total_len: usize,
    more: bool,
    offset: u64,
    protocol: u8,
    addresses: Sum16BitWords,
}

fn fixed_part(header: &mut Header<'_, '_>) -> Fixed {
    let bytes = header.all();
    header.number("ip.version", 4);
    let header_len = 4 * header.number_as("ip.hdr_len", 4, |words| (words * 4).to_string());
    let header_len = header_len as usize;
    header.number("ip.dsfield.dscp", 6);
    header.number_as("ip.dsfield.ecn", 2, render::ecn);
    let total_len = header.number("ip.len", 16) as usize;
    header.number_as("ip.id", 16, render::hex16);
    let flags = header.number_as("ip.flags", 3, |value| {
        render::flags(value, &[(4, "RB"), (2, "DF"), (1, "MF")])
    });
    let offset = header.number_as("ip.frag_offset", 13, |units| (units * 8).to_string());
    header.number("ip.ttl", 8);
    let protocol = header.number_as("ip.proto", 8, render::protocol) as u8;
    let covered = header_len.clamp(LEN, bytes.len());
    let state = verify(Sum16BitWords::new(), &bytes[..covered], CHECKSUM);
    header.checksum("ip.checksum", state);
    let show = |bytes: [u8; 4]| Ipv4Addr::from(bytes).to_string();
    let source = header.array("ip.src", show);
    let destination = header.array("ip.dst", show);
    Fixed {
        header_len,
        total_len,
        more: flags & 1 != 0,
        offset,
        protocol,
        addresses: Sum16BitWords::new()
            .add_4bytes(source)
            .add_4bytes(destination),
    }
}
