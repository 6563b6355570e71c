//! Clauses of transport headers and of what they carry.

use super::cursor::Cursor;
use super::error::TextError;
use crate::build::{Checksum, Tcp, TcpOptionElement, TcpOptions, Transport, Udp};

/// Clauses of a payload that is bytes.
pub(super) const RAW: [&str; 2] = ["len", "payload"];
const TCP: [&str; 12] = [
    "len", "payload", "csum", "seq", "ack", "win", "urg", "doff", "mss", "wscale", "sackok", "ts",
];
const UDP: [&str; 4] = ["len", "payload", "csum", "udplen"];
const ICMP: [&str; 3] = ["len", "payload", "csum"];

pub(super) fn clauses(body: &Transport) -> impl Iterator<Item = &'static str> + use<> {
    let names: &'static [&'static str] = match body {
        Transport::Tcp(_) => &TCP,
        Transport::Udp(_) => &UDP,
        Transport::Icmp(_) => &ICMP,
        Transport::Raw { .. } => &RAW,
        Transport::Ip(_) => &[],
    };
    names.iter().copied()
}

pub(super) fn clause(
    cursor: &mut Cursor<'_>,
    body: &mut Transport,
    name: &str,
) -> Result<(), TextError> {
    match body {
        Transport::Tcp(tcp) => tcp_clause(cursor, tcp, name),
        Transport::Udp(udp) => udp_clause(cursor, udp, name),
        Transport::Icmp(icmp) if name == "csum" => {
            icmp.checksum = checksum(cursor)?;
            Ok(())
        }
        Transport::Icmp(icmp) => raw(cursor, &mut icmp.payload, name),
        Transport::Raw { payload, .. } => raw(cursor, payload, name),
        Transport::Ip(_) => Ok(()),
    }
}

fn tcp_clause(cursor: &mut Cursor<'_>, tcp: &mut Tcp, name: &str) -> Result<(), TextError> {
    match name {
        "csum" => tcp.checksum = checksum(cursor)?,
        "seq" => tcp.sequence = cursor.number(0..=u32::MAX)?,
        "ack" => tcp.acknowledgement = cursor.number(0..=u32::MAX)?,
        "win" => tcp.window = cursor.number(0..=u16::MAX)?,
        "urg" => tcp.urgent = cursor.number(0..=u16::MAX)?,
        "doff" => tcp.header_words = Some(cursor.number(0..=15)?),
        "mss" | "wscale" | "sackok" | "ts" => return tcp_option(cursor, tcp, name),
        _ => return raw(cursor, &mut tcp.payload, name),
    }
    Ok(())
}

fn tcp_option(cursor: &mut Cursor<'_>, tcp: &mut Tcp, name: &str) -> Result<(), TextError> {
    let full = cursor.expected("no more than 40 bytes of TCP options");
    let option = match name {
        "mss" => TcpOptionElement::MaximumSegmentSize(cursor.number(0..=u16::MAX)?),
        "wscale" => TcpOptionElement::WindowScale(cursor.number(0..=u8::MAX)?),
        "sackok" => TcpOptionElement::SelectiveAcknowledgementPermitted,
        _ => {
            TcpOptionElement::Timestamp(cursor.number(0..=u32::MAX)?, cursor.number(0..=u32::MAX)?)
        }
    };
    let mut options: Vec<_> = tcp.options.elements_iter().filter_map(Result::ok).collect();
    options.push(option);
    tcp.options = TcpOptions::try_from_elements(&options).map_err(|_| full)?;
    Ok(())
}

fn udp_clause(cursor: &mut Cursor<'_>, udp: &mut Udp, name: &str) -> Result<(), TextError> {
    match name {
        "csum" => udp.checksum = checksum(cursor)?,
        "udplen" => udp.len = Some(cursor.number(0..=u16::MAX)?),
        _ => return raw(cursor, &mut udp.payload, name),
    }
    Ok(())
}

/// `len N`: N bytes that count up from 0. `payload BYTES`: these. Both append.
pub(super) fn raw(
    cursor: &mut Cursor<'_>,
    payload: &mut Vec<u8>,
    name: &str,
) -> Result<(), TextError> {
    match name {
        "len" => {
            let len = cursor.number(0..=65_535u32)?;
            payload.extend((0..len).map(|index| index as u8));
        }
        _ => payload.extend(cursor.bytes()?),
    }
    Ok(())
}

/// `bad`, `none` or a number.
pub(super) fn checksum(cursor: &mut Cursor<'_>) -> Result<Checksum, TextError> {
    cursor.parse(
        "`bad`, `none` or a number from 0 to 65535",
        |word| match word {
            "bad" => Some(Checksum::Wrong),
            "none" => Some(Checksum::Is(0)),
            number => match number.strip_prefix("0x") {
                Some(digits) => u16::from_str_radix(digits, 16).ok(),
                None => number.parse().ok(),
            }
            .map(Checksum::Is),
        },
    )
}
