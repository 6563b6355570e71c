//! UDP headers, and VXLAN behind them.

use std::ops::Range;

use super::field::{ChecksumState, Protocol, Unverified};
use super::render;
use super::walk::{Next, Over, Walk};

const LEN: usize = 8;
const NUMBER: u8 = 17;
const CHECKSUM: usize = 6;
/// IANA's port of VXLAN and Linux' own, which Cilium and flannel use.
const VXLAN_PORTS: [u64; 2] = [4789, 8472];

pub(super) fn datagram(walk: &mut Walk<'_>, range: Range<usize>, over: Over) -> Next {
    let mut header = walk.header(Protocol::Udp, range);
    if !header.has(LEN) {
        return header.truncated();
    }
    let bytes = header.all();
    header.number("udp.srcport", 16);
    let port = header.number("udp.dstport", 16);
    let len = header.number("udp.length", 16) as usize;
    let is_whole = (LEN..=bytes.len()).contains(&len);
    let state = if bytes[CHECKSUM..LEN] == [0, 0] {
        ChecksumState::Absent
    } else if is_whole {
        over.covered.verify(NUMBER, &bytes[..len], CHECKSUM)
    } else {
        let reason = over.covered.unverified.unwrap_or(Unverified::Truncated);
        ChecksumState::Unverified(reason)
    };
    // What would come out as 0 is sent as 0xffff.
    let state = match state {
        ChecksumState::Wrong { expected: 0 } => ChecksumState::Wrong { expected: 0xffff },
        other => other,
    };
    header.checksum("udp.checksum", state);

    let range = header.range();
    let rest = header.rest();
    let end = match is_whole {
        true => range.start + len,
        false => range.end,
    };
    walk.trailer(over.layer, end..range.end);
    match VXLAN_PORTS.contains(&port) {
        true => vxlan(walk, rest.start..end),
        false => Next::Payload(rest.start..end),
    }
}

fn vxlan(walk: &mut Walk<'_>, range: Range<usize>) -> Next {
    // Without the flag that says that there is an identifier, it is something else.
    let is_vxlan = range.len() >= 8 && walk.bytes(range.clone())[0] & 0x08 != 0;
    if !is_vxlan {
        return Next::Payload(range);
    }
    let mut header = walk.header(Protocol::Vxlan, range);
    header.number_as("vxlan.flags", 16, render::hex16);
    header.number("vxlan.gbp", 16);
    header.number("vxlan.vni", 24);
    header.number("vxlan.reserved8", 8);
    Next::Frame(header.rest())
}
