//! `struct bpf_sk_lookup`, the context of `sk_lookup` programs (`sk_lookup_is_valid_access`).

use std::net::IpAddr;

use twinpath_machine::memory::{Field, Layout, Memory, Widths};

use crate::socket::{Family, Flow};

/// Bytes of the structure.
const SIZE: u32 = 72;
/// Where the chosen socket's address lies.
const SK: u32 = 0;

const fn read(name: &'static str, at: u16, size: u16) -> Field {
    Field::plain(name, at, size, Widths::UP_TO_4, Widths::NONE)
}

/// Every field can be read whole and in part, none is written.
pub(super) static SK_LOOKUP: Layout = Layout {
    name: "bpf_sk_lookup",
    size: SIZE,
    fields: &[
        Field::object("sk", SK as u16),
        read("family", 8, 4),
        read("protocol", 12, 4),
        read("remote_ip4", 16, 4),
        read("remote_ip6", 20, 16),
        read("remote_port", 36, 4),
        read("local_ip4", 40, 4),
        read("local_ip6", 44, 16),
        read("local_port", 60, 4),
        read("ingress_ifindex", 64, 4),
    ],
};

/// Writes the structure for a packet of a flow that arrived on a device; no socket is chosen.
pub(crate) fn write_sk_lookup(memory: &mut Memory, at: u32, flow: &Flow, ingress: u32) {
    let bytes = memory.raw_mut(at, SIZE);
    bytes.fill(0);
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(8, &Family::of(flow.local.ip()).number().to_le_bytes());
    put(12, &flow.protocol.number().to_le_bytes());
    put(36, &flow.remote.port().to_be_bytes());
    put(60, &u32::from(flow.local.port()).to_le_bytes());
    put(64, &ingress.to_le_bytes());
    for (address, v4, v6) in [(flow.remote, 16, 20), (flow.local, 40, 44)] {
        match address.ip() {
            IpAddr::V4(ip) => put(v4, &ip.octets()),
            IpAddr::V6(ip) => put(v6, &ip.octets()),
        }
    }
}

/// Writes which socket is chosen: the address of its `struct bpf_sock`, or 0.
pub(crate) fn write_selected(memory: &mut Memory, at: u32, socket: u32) {
    let bytes = memory.raw_mut(at + SK, 8);
    bytes.copy_from_slice(&u64::from(socket).to_le_bytes());
}
