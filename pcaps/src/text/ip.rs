//! Clauses of the IP header.

use super::cursor::Cursor;
use super::error::TextError;
use super::payload::checksum;
use crate::build::{Extension, Ip, IpDscp, IpEcn, Ipv4, Ipv6, Ipv6FlowLabel, More, Piece};

const BOTH: [&str; 5] = ["ttl", "tos", "frag", "ipid", "iplen"];
const V4: [&str; 4] = ["df", "ipopt", "ihl", "ipcsum"];
const V6: [&str; 5] = ["flow", "hopopt", "dstopt", "routing", "ah"];

pub(super) fn clauses(ip: &Ip) -> impl Iterator<Item = &'static str> {
    let own: &[&str] = match ip {
        Ip::V4(_) => &V4,
        Ip::V6(_) => &V6,
    };
    BOTH.iter().chain(own).copied()
}

pub(super) fn clause(cursor: &mut Cursor<'_>, ip: &mut Ip, name: &str) -> Result<(), TextError> {
    match ip {
        Ip::V4(ip) => v4(cursor, ip, name),
        Ip::V6(ip) => v6(cursor, ip, name),
    }
}

fn v4(cursor: &mut Cursor<'_>, ip: &mut Ipv4, name: &str) -> Result<(), TextError> {
    match name {
        "ttl" => ip.ttl = cursor.number(0..=u8::MAX)?,
        "tos" => (ip.dscp, ip.ecn) = tos(cursor.number(0..=u8::MAX)?),
        "frag" => ip.fragment = Some(piece(cursor)?),
        "ipid" => ip.id = cursor.number(0..=u16::MAX)?,
        "iplen" => ip.total_len = Some(cursor.number(0..=u16::MAX)?),
        "df" => ip.dont_fragment = true,
        "ipopt" => ip.options.extend(cursor.hex()?),
        "ihl" => ip.header_words = Some(cursor.number(0..=15)?),
        _ => ip.checksum = checksum(cursor)?,
    }
    Ok(())
}

fn v6(cursor: &mut Cursor<'_>, ip: &mut Ipv6, name: &str) -> Result<(), TextError> {
    let extension = match name {
        "ttl" => {
            ip.hop_limit = cursor.number(0..=u8::MAX)?;
            return Ok(());
        }
        "tos" => {
            ip.traffic_class = cursor.number(0..=u8::MAX)?;
            return Ok(());
        }
        "iplen" => {
            ip.payload_len = Some(cursor.number(0..=u16::MAX)?);
            return Ok(());
        }
        "flow" => {
            ip.flow_label = cursor.parse("a number from 0 to 1048575", |word| {
                Ipv6FlowLabel::try_new(word.parse().ok()?).ok()
            })?;
            return Ok(());
        }
        "ipid" => return fragment_id(cursor, ip),
        "frag" => Extension::Fragment {
            id: 0,
            piece: piece(cursor)?,
        },
        "hopopt" => Extension::HopByHop(cursor.hex()?),
        "dstopt" => Extension::Destination(cursor.hex()?),
        "routing" => Extension::Routing {
            kind: cursor.number(0..=u8::MAX)?,
            segments_left: cursor.number(0..=u8::MAX)?,
            data: cursor.hex()?,
        },
        _ => Extension::Authentication {
            spi: cursor.number(0..=u32::MAX)?,
            sequence: cursor.number(0..=u32::MAX)?,
            icv: cursor.hex()?,
        },
    };
    ip.extensions.push(extension);
    Ok(())
}

/// In IPv6 the fragment header holds the identification.
fn fragment_id(cursor: &mut Cursor<'_>, ip: &mut Ipv6) -> Result<(), TextError> {
    match ip.extensions.last_mut() {
        Some(Extension::Fragment { id, .. }) => {
            *id = cursor.number(0..=u32::MAX)?;
            Ok(())
        }
        _ => Err(cursor.expected("`frag` right before `ipid`, in IPv6")),
    }
}

fn tos(byte: u8) -> (IpDscp, IpEcn) {
    let dscp = IpDscp::try_new(byte >> 2).unwrap_or_default();
    let ecn = IpEcn::try_new(byte & 3).unwrap_or_default();
    (dscp, ecn)
}

/// `0..1480` or `1480..`, then `more` or `last` against the truth.
fn piece(cursor: &mut Cursor<'_>) -> Result<Piece, TextError> {
    let expected =
        "a range of the IP payload that begins at a multiple of 8, such as 0..1480 or 1480..";
    let mut piece = cursor.parse(expected, |word| {
        let (start, end) = word.split_once("..")?;
        let offset: usize = start
            .parse()
            .ok()
            .filter(|it| *it % 8 == 0 && *it < 65_536)?;
        let len = match end {
            "" => None,
            end => Some(end.parse::<usize>().ok()?.checked_sub(offset)?),
        };
        Some(Piece {
            offset,
            len,
            more: More::Derived,
        })
    })?;
    if cursor.take("more") {
        piece.more = More::Yes;
    } else if cursor.take("last") {
        piece.more = More::No;
    }
    Ok(piece)
}
