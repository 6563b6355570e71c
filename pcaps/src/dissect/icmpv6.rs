//! ICMPv6 messages, neighbour discovery among them.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::field::Protocol;
use super::render;
use super::walk::{Header, Next, Over, Walk};
use crate::MacAddr;

const LEN: usize = 8;
const NUMBER: u8 = 58;
const CHECKSUM: usize = 2;
const IPV6: u16 = 0x86dd;

pub(super) fn message(walk: &mut Walk<'_>, range: Range<usize>, over: Over) -> Next {
    let mut header = walk.header(Protocol::Icmpv6, range);
    if !header.has(LEN) {
        return header.truncated();
    }
    let state = over.covered.verify(NUMBER, header.all(), CHECKSUM);
    let kind = header.number_as("icmpv6.type", 8, |kind| {
        render::named(kind, type_name(kind))
    });
    header.number_as("icmpv6.code", 8, |code| {
        render::named(code, code_name(kind, code))
    });
    header.checksum("icmpv6.checksum", state);
    match kind {
        // The packet that the error is about.
        1..=4 => {
            error(&mut header, kind);
            match header.rest() {
                range if range.is_empty() => Next::Nothing,
                range => Next::EtherType {
                    ether_type: IPV6,
                    range,
                    owner: header.layer,
                },
            }
        }
        133..=137 => neighbor(header, kind),
        128 | 129 => {
            header.number("icmpv6.echo.identifier", 16);
            header.number("icmpv6.echo.sequence_number", 16);
            Next::Payload(header.rest())
        }
        143 => {
            header.number("icmpv6.reserved", 16);
            header.number("icmpv6.mldr.nb_mcast_records", 16);
            Next::Payload(header.rest())
        }
        _ => {
            reserved(&mut header);
            Next::Payload(header.rest())
        }
    }
}

fn reserved(header: &mut Header<'_, '_>) {
    header.number_as("icmpv6.reserved", 32, |value| format!("{value:#010x}"));
}

fn error(header: &mut Header<'_, '_>, kind: u64) {
    match kind {
        2 => {
            header.number("icmpv6.mtu", 32);
        }
        4 => {
            header.number("icmpv6.pointer", 32);
        }
        _ => reserved(header),
    }
}

/// RFC 4861, 4: router and neighbour solicitation and advertisement, redirect.
fn neighbor(mut header: Header<'_, '_>, kind: u64) -> Next {
    const FLAGS: [(u64, &str); 3] = [
        (1 << 31, "router"),
        (1 << 30, "solicited"),
        (1 << 29, "override"),
    ];
    let fixed = match kind {
        133 => LEN,
        134 => 16,
        137 => 40,
        _ => 24,
    };
    if !header.has(fixed) {
        return header.truncated();
    }
    let address = |bytes: [u8; 16]| Ipv6Addr::from(bytes).to_string();
    match kind {
        134 => {
            header.number("icmpv6.nd.ra.cur_hop_limit", 8);
            header.number_as("icmpv6.nd.ra.flag", 8, |value| format!("{value:#04x}"));
            header.number("icmpv6.nd.ra.router_lifetime", 16);
            header.number("icmpv6.nd.ra.reachable_time", 32);
            header.number("icmpv6.nd.ra.retrans_timer", 32);
        }
        135 => {
            reserved(&mut header);
            header.array("icmpv6.nd.ns.target_address", address);
        }
        136 => {
            header.number_as("icmpv6.nd.na.flag", 32, |value| {
                render::flags(value, &FLAGS)
            });
            header.array("icmpv6.nd.na.target_address", address);
        }
        137 => {
            reserved(&mut header);
            header.array("icmpv6.rd.na.target_address", address);
            header.array("icmpv6.rd.na.destination_address", address);
        }
        _ => reserved(&mut header),
    }
    options(header)
}

/// RFC 4861, 4.6: type, length in units of 8 bytes, content.
fn options(mut header: Header<'_, '_>) -> Next {
    loop {
        let rest = header.rest();
        let bytes = header.walk().bytes(rest.clone());
        let [kind, units, ..] = *bytes else { break };
        let len = usize::from(units) * 8;
        if len == 0 || len > bytes.len() {
            break;
        }
        header.number_as("icmpv6.opt.type", 8, |kind| {
            render::named(kind, option_name(kind))
        });
        header.number_as("icmpv6.opt.length", 8, |units| (units * 8).to_string());
        match (kind, len) {
            (1 | 2, 8) => {
                header.array("icmpv6.opt.linkaddr", |bytes| MacAddr(bytes).to_string());
            }
            _ => {
                header.bytes_as("icmpv6.opt.data", len - 2, render::hex);
            }
        }
    }
    Next::Payload(header.rest())
}

pub(super) fn type_name(kind: u64) -> Option<&'static str> {
    Some(match kind {
        1 => "unreachable",
        2 => "packet too big",
        3 => "time exceeded",
        4 => "parameter problem",
        128 => "echo",
        129 => "echo reply",
        130 => "multicast listener query",
        131 => "multicast listener report",
        132 => "multicast listener done",
        133 => "router solicitation",
        134 => "router advertisement",
        135 => "neighbor solicitation",
        136 => "neighbor advertisement",
        137 => "redirect",
        143 => "multicast listener report v2",
        _ => return None,
    })
}

fn code_name(kind: u64, code: u64) -> Option<&'static str> {
    Some(match (kind, code) {
        (1, 0) => "no route",
        (1, 1) => "prohibited",
        (1, 3) => "host",
        (1, 4) => "port",
        (3, 0) => "in transit",
        (3, 1) => "in reassembly",
        _ => return None,
    })
}

fn option_name(kind: u64) -> Option<&'static str> {
    Some(match kind {
        1 => "source link-layer address",
        2 => "target link-layer address",
        3 => "prefix information",
        4 => "redirected header",
        5 => "mtu",
        _ => return None,
    })
}
