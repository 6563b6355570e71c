//! `struct xdp_md` (`xdp_is_valid_access`).

use twinpath_machine::memory::{Field, Layout, Memory, Widths};

use crate::packet::Xdp;

/// For programs at a device's XDP hook: all fields are read at their own width, none is written.
pub(super) static XDP_MD: Layout = Layout {
    name: "xdp_md",
    size: 24,
    fields: &[
        Field::packet("data", 0),
        Field::packet("data_end", 4),
        Field::packet("data_meta", 8),
        Field::plain("ingress_ifindex", 12, 4, Widths::W4, Widths::NONE),
        Field::plain("rx_queue_index", 16, 4, Widths::W4, Widths::NONE),
    ],
};

/// For programs of a devmap's entries, which also see where the packet goes.
pub(super) static XDP_MD_EGRESS: Layout = Layout {
    name: "xdp_md",
    size: 24,
    fields: &[
        Field::packet("data", 0),
        Field::packet("data_end", 4),
        Field::packet("data_meta", 8),
        Field::plain("ingress_ifindex", 12, 4, Widths::W4, Widths::NONE),
        Field::plain("rx_queue_index", 16, 4, Widths::W4, Widths::NONE),
        Field::plain("egress_ifindex", 20, 4, Widths::W4, Widths::NONE),
    ],
};

/// Writes the structure's bytes for a packet.
pub(crate) fn write_xdp(memory: &mut Memory, at: u32, xdp: &Xdp) {
    let fields = [
        xdp.frame.data(),
        xdp.frame.linear_end(),
        xdp.meta,
        xdp.ingress,
        xdp.rx_queue,
        xdp.egress,
    ];
    let bytes = memory.raw_mut(at, XDP_MD.size);
    for (slot, value) in bytes.chunks_exact_mut(4).zip(fields) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
}
