//! Ethernet headers and VLAN tags.

use std::ops::Range;

use super::field::Protocol;
use super::render;
use super::walk::{Layer, Next, Walk};
use crate::MacAddr;

/// An EtherType is at least this; below, the field is a length (IEEE 802.3, 3.2.6).
const FIRST_ETHER_TYPE: u64 = 0x0600;

pub(super) fn frame(walk: &mut Walk<'_>, range: Range<usize>) -> Next {
    if range.is_empty() {
        return Next::Nothing;
    }
    let mut header = walk.header(Protocol::Eth, range);
    if !header.has(14) {
        return header.truncated();
    }
    let mac = |bytes| MacAddr(bytes).to_string();
    header.array("eth.dst", mac);
    header.array("eth.src", mac);
    let [high, low] = [12, 13].map(|at| header.all()[at]);
    let value = u16::from_be_bytes([high, low]);
    if u64::from(value) >= FIRST_ETHER_TYPE {
        header.number_as("eth.type", 16, render::ether_type);
        return Next::EtherType {
            ether_type: value,
            range: header.rest(),
            owner: header.layer,
        };
    }
    header.number("eth.len", 16);
    let rest = header.rest();
    let end = rest.end.min(rest.start + usize::from(value));
    let owner = header.layer;
    walk.trailer(owner, end..rest.end);
    Next::Payload(rest.start..end)
}

pub(super) fn vlan(walk: &mut Walk<'_>, range: Range<usize>, owner: Layer) -> Next {
    let mut header = walk.header(Protocol::Vlan, range);
    if !header.has(4) {
        return header.truncated();
    }
    header.number("vlan.priority", 3);
    header.number("vlan.dei", 1);
    header.number("vlan.id", 12);
    let ether_type = header.number_as("vlan.etype", 16, render::ether_type);
    match ether_type < FIRST_ETHER_TYPE {
        true => Next::Payload(header.rest()),
        false => Next::EtherType {
            ether_type: ether_type as u16,
            range: header.rest(),
            owner,
        },
    }
}
