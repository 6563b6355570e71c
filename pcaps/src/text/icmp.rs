//! ICMP and ICMPv6 messages.

use std::net::SocketAddr;

use super::cursor::{Cursor, Port};
use super::error::TextError;
use super::head::{Ends, optional_mac, packet};
use crate::build::{Icmp, Ip, Transport, icmpv4, icmpv6};

const MESSAGES_V4: &str = "an ICMP message: echo, echo-reply, unreachable, needs-frag, \
                           time-exceeded, redirect or type";
const MESSAGES_V6: &str = "an ICMPv6 message: echo, echo-reply, unreachable, too-big, \
                           time-exceeded, neighbor-solicit, neighbor-advert or type";

pub(super) fn message(cursor: &mut Cursor<'_>, only_v6: bool) -> Result<Ip, TextError> {
    let head = cursor.expected("icmp, as the addresses are IPv4");
    let ends = Ends::read(cursor, [Port::Never; 2])?;
    let icmp = match ends.source {
        SocketAddr::V4(_) if only_v6 => return Err(head),
        SocketAddr::V4(_) => v4(cursor)?,
        SocketAddr::V6(_) => v6(cursor)?,
    };
    ends.packet(cursor, Transport::Icmp(icmp))
}

fn v4(cursor: &mut Cursor<'_>) -> Result<Icmp, TextError> {
    const CODES: &[(&str, u8)] = &[
        ("net", 0),
        ("host", 1),
        ("proto", 2),
        ("port", 3),
        ("admin", 13),
    ];
    let kind = cursor.peek().unwrap_or_default();
    let wrong = cursor.expected(MESSAGES_V4);
    cursor.skip();
    match kind {
        "echo" => echo(cursor, icmpv4::echo_request),
        "echo-reply" => echo(cursor, icmpv4::echo_reply),
        "unreachable" => {
            let code = code(cursor, CODES)?;
            Ok(icmpv4::unreachable(code, quote(cursor)?))
        }
        "needs-frag" => {
            cursor.word("mtu")?;
            let mtu = cursor.number(0..=u16::MAX)?;
            Ok(icmpv4::fragmentation_needed(mtu, quote(cursor)?))
        }
        "time-exceeded" => {
            let code = code(cursor, TIME_EXCEEDED)?;
            Ok(icmpv4::time_exceeded(code, quote(cursor)?))
        }
        "redirect" => {
            let gateway = cursor.value("an IPv4 address")?;
            Ok(icmpv4::redirect(1, gateway, quote(cursor)?))
        }
        "type" => any(cursor),
        _ => Err(wrong),
    }
}

fn v6(cursor: &mut Cursor<'_>) -> Result<Icmp, TextError> {
    const CODES: &[(&str, u8)] = &[("no-route", 0), ("admin", 1), ("host", 3), ("port", 4)];
    const TARGET: &str = "an IPv6 address";
    let kind = cursor.peek().unwrap_or_default();
    let wrong = cursor.expected(MESSAGES_V6);
    cursor.skip();
    match kind {
        "echo" => echo(cursor, icmpv6::echo_request),
        "echo-reply" => echo(cursor, icmpv6::echo_reply),
        "unreachable" => {
            let code = code(cursor, CODES)?;
            Ok(icmpv6::unreachable(code, quote(cursor)?))
        }
        "too-big" => {
            cursor.word("mtu")?;
            let mtu = cursor.number(0..=u32::MAX)?;
            Ok(icmpv6::packet_too_big(mtu, quote(cursor)?))
        }
        "time-exceeded" => {
            let code = code(cursor, TIME_EXCEEDED)?;
            Ok(icmpv6::time_exceeded(code, quote(cursor)?))
        }
        "neighbor-solicit" => {
            let target = cursor.value(TARGET)?;
            let mac = optional_mac(cursor, "at")?;
            Ok(icmpv6::neighbor_solicitation(target, mac))
        }
        "neighbor-advert" => {
            let target = cursor.value(TARGET)?;
            let mac = optional_mac(cursor, "at")?;
            Ok(icmpv6::neighbor_advertisement(target, mac))
        }
        "type" => any(cursor),
        _ => Err(wrong),
    }
}

const TIME_EXCEEDED: &[(&str, u8)] = &[("transit", 0), ("reassembly", 1)];

fn echo(cursor: &mut Cursor<'_>, build: fn(u16, u16, Vec<u8>) -> Icmp) -> Result<Icmp, TextError> {
    let mut field = |name| match cursor.take(name) {
        true => cursor.number(0..=u16::MAX),
        false => Ok(0),
    };
    Ok(build(field("id")?, field("seq")?, Vec::new()))
}

fn any(cursor: &mut Cursor<'_>) -> Result<Icmp, TextError> {
    let kind = cursor.number(0..=u8::MAX)?;
    cursor.word("code")?;
    let code = cursor.number(0..=u8::MAX)?;
    let rest: u32 = match cursor.take("rest") {
        true => cursor.number(0..=u32::MAX)?,
        false => 0,
    };
    Ok(Icmp::new(kind, code, rest.to_be_bytes(), quote(cursor)?))
}

fn code(cursor: &mut Cursor<'_>, names: &[(&str, u8)]) -> Result<u8, TextError> {
    let list: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    let expected = format!("one of {} or a number from 0 to 255", list.join(", "));
    cursor.parse(expected, |word| {
        let named = names.iter().find(|(name, _)| *name == word);
        named.map(|(_, code)| *code).or_else(|| word.parse().ok())
    })
}

/// `quote [LEN] { packet }`: the packet that an error is about, or its first bytes.
fn quote(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, TextError> {
    if !cursor.take("quote") {
        return Ok(Vec::new());
    }
    let len = match cursor.peek() {
        Some(_) => cursor.number(0..=65_535usize)?,
        None => usize::MAX,
    };
    cursor.open()?;
    let span = cursor.span();
    let quoted = packet(cursor)?;
    cursor.close()?;
    let mut bytes = quoted
        .to_bytes()
        .map_err(|error| cursor.unbuildable(span, error))?;
    bytes.truncate(len);
    Ok(bytes)
}
