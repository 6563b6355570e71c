//! The clauses that follow a head, in any order.

use super::cursor::Cursor;
use super::error::TextError;
use super::head::MAC;
use super::{ip, payload};
use crate::build::{EtherBody, EtherType, Ethernet, Ip, Transport, VlanId, VlanPcp, VlanTag};

/// What clauses are about.
pub(super) enum Draft {
    Frame(Ethernet),
    Packet(Ip),
}

impl Draft {
    fn link(&mut self) -> Option<&mut Ethernet> {
        match self {
            Self::Frame(frame) => Some(frame),
            Self::Packet(_) => None,
        }
    }

    fn ip(&mut self) -> Option<&mut Ip> {
        match self {
            Self::Packet(ip) => Some(ip),
            Self::Frame(frame) => match &mut frame.body {
                EtherBody::Ip(ip) => Some(ip),
                EtherBody::Arp(_) | EtherBody::Raw { .. } => None,
            },
        }
    }

    /// The clauses that it takes.
    fn clauses(&mut self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if let Some(ip) = self.ip() {
            names.extend(payload::clauses(ip.body()));
            names.extend(ip::clauses(ip));
        } else if self.raw_payload().is_some() {
            names.extend(payload::RAW);
        }
        if self.link().is_some() {
            names.extend(LINK);
        }
        names
    }

    /// The payload of a frame that is neither IP nor ARP.
    fn raw_payload(&mut self) -> Option<&mut Vec<u8>> {
        match self.link().map(|frame| &mut frame.body) {
            Some(EtherBody::Raw { payload, .. }) => Some(payload),
            _ => None,
        }
    }
}

/// Reads clauses until a closing brace or the end.
pub(super) fn clauses(cursor: &mut Cursor<'_>, draft: &mut Draft) -> Result<(), TextError> {
    while !cursor.at_close() {
        let names = draft.clauses();
        let known = cursor.peek().filter(|word| names.contains(word));
        let Some(name) = known else {
            return Err(cursor.expected(format!("one of {}", names.join(", "))));
        };
        cursor.skip();
        clause(cursor, draft, name)?;
    }
    Ok(())
}

/// Reads what follows the name of a clause that `draft` takes.
fn clause(cursor: &mut Cursor<'_>, draft: &mut Draft, name: &str) -> Result<(), TextError> {
    if let Some(frame) = draft.link()
        && LINK.contains(&name)
    {
        return link(cursor, frame, name);
    }
    if let Some(bytes) = draft.raw_payload() {
        return payload::raw(cursor, bytes, name);
    }
    let Some(ip) = draft.ip() else {
        return Ok(());
    };
    if payload::clauses(ip.body()).any(|known| known == name) {
        let body: &mut Transport = ip.body_mut();
        return payload::clause(cursor, body, name);
    }
    ip::clause(cursor, ip, name)
}

const LINK: [&str; 5] = ["eth", "vlan", "qinq", "pad", "cut"];

fn link(cursor: &mut Cursor<'_>, frame: &mut Ethernet, name: &str) -> Result<(), TextError> {
    match name {
        "eth" => {
            frame.source = cursor.value(MAC)?;
            cursor.arrow()?;
            frame.destination = cursor.value(MAC)?;
        }
        "vlan" => frame.tags.push(vlan(cursor, EtherType::VLAN_TAGGED_FRAME)?),
        "qinq" => frame.tags.push(vlan(cursor, EtherType::PROVIDER_BRIDGING)?),
        "pad" => frame.pad_to = cursor.number(0..=65_535)?,
        _ => frame.cut_to = Some(cursor.number(0..=65_535)?),
    }
    Ok(())
}

fn vlan(cursor: &mut Cursor<'_>, kind: EtherType) -> Result<VlanTag, TextError> {
    let id = cursor.parse("a number from 0 to 4095", |word| {
        VlanId::try_new(word.parse().ok()?).ok()
    })?;
    let mut tag = VlanTag {
        kind,
        ..VlanTag::new(id)
    };
    if cursor.take("pcp") {
        tag.priority = cursor.parse("a number from 0 to 7", |word| {
            VlanPcp::try_new(word.parse().ok()?).ok()
        })?;
    }
    tag.drop_eligible = cursor.take("dei");
    Ok(tag)
}
