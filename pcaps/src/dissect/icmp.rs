//! ICMP messages.

use std::net::Ipv4Addr;
use std::ops::Range;

use super::field::Protocol;
use super::render;
use super::walk::{Next, Over, Walk};

const LEN: usize = 8;
const CHECKSUM: usize = 2;
const IPV4: u16 = 0x0800;

pub(super) fn message(walk: &mut Walk<'_>, range: Range<usize>, over: Over) -> Next {
    let mut header = walk.header(Protocol::Icmp, range);
    if !header.has(LEN) {
        return header.truncated();
    }
    let state = over.covered.verify_alone(header.all(), CHECKSUM);
    let kind = header.number_as("icmp.type", 8, |kind| render::named(kind, type_name(kind)));
    let code = header.number_as("icmp.code", 8, |code| {
        render::named(code, code_name(kind, code))
    });
    header.checksum("icmp.checksum", state);
    match kind {
        0 | 8 | 13 | 14 => {
            header.number("icmp.ident", 16);
            header.number("icmp.seq", 16);
        }
        3 if code == 4 => {
            header.number("icmp.unused", 16);
            header.number("icmp.mtu", 16);
        }
        5 => {
            header.array("icmp.redir_gw", |bytes: [u8; 4]| {
                Ipv4Addr::from(bytes).to_string()
            });
        }
        12 => {
            header.number("icmp.pointer", 8);
            header.number("icmp.unused", 24);
        }
        _ => {
            header.number_as("icmp.unused", 32, |value| format!("{value:#010x}"));
        }
    }
    let range = header.rest();
    match kind {
        // The packet that the error is about.
        3 | 4 | 5 | 11 | 12 if !range.is_empty() => Next::EtherType {
            ether_type: IPV4,
            range,
            owner: header.layer,
        },
        _ => Next::Payload(range),
    }
}

pub(super) fn type_name(kind: u64) -> Option<&'static str> {
    Some(match kind {
        0 => "echo reply",
        3 => "unreachable",
        4 => "source quench",
        5 => "redirect",
        8 => "echo",
        9 => "router advertisement",
        10 => "router solicitation",
        11 => "time exceeded",
        12 => "parameter problem",
        13 => "timestamp",
        14 => "timestamp reply",
        _ => return None,
    })
}

fn code_name(kind: u64, code: u64) -> Option<&'static str> {
    Some(match (kind, code) {
        (3, 0) => "net",
        (3, 1) => "host",
        (3, 2) => "protocol",
        (3, 3) => "port",
        (3, 4) => "fragmentation needed",
        (3, 9 | 10 | 13) => "prohibited",
        (5, 0) => "for the net",
        (5, 1) => "for the host",
        (11, 0) => "in transit",
        (11, 1) => "in reassembly",
        _ => return None,
    })
}
