//! Dynptrs of packets (`bpf_dynptr_from_skb`, `bpf_dynptr_from_xdp` in `net/core/filter.c`, and the
//! packets' parts of `kernel/bpf/helpers.c`).

use twinpath_machine::helpers::may_write_packets;
use twinpath_machine::{Access, AskedSlice, Call, Checked, DynptrData, Errno, FaultKind, HelperId};

use super::{skb_bytes, xdp};
use crate::net::Net;
use crate::packet::{Skb, Xdp};

/// Makes a dynptr of a packet of so many bytes.
fn from_packet(call: &mut Call<'_>, len: u32, read_only: bool) -> Checked<u64> {
    call.context(1)?;
    if call.arg(2) != 0 {
        call.set_dynptr(3, DynptrData::Null, 0, false)?;
        return Ok(u64::from(-Errno::EINVAL.get() as u32));
    }
    call.set_dynptr(3, DynptrData::Packet, len, read_only)?;
    Ok(0)
}

pub(super) fn from_skb(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    from_packet(call, skb.frame.len(), !may_write_packets(call.program.kind))
}

pub(super) fn from_xdp(xdp: &mut Xdp, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    from_packet(call, xdp.frame.len(), false)
}

/// Where `bpf_dynptr_read` puts how many bytes, and from where in the packet.
fn asked_read(call: &mut Call<'_>) -> Checked<(u32, u32, u32)> {
    let len = call.size(2)?;
    let to = call.range(1, len, Access::Write)?;
    let offset = call.dynptr(3)?.offset + call.arg(4) as u32;
    Ok((offset, to, len))
}

/// From where `bpf_dynptr_write` takes how many bytes, and where in the packet they go.
fn asked_write(call: &mut Call<'_>) -> Checked<(u32, u32, u32)> {
    let len = call.size(4)?;
    let from = call.range(3, len, Access::Read)?;
    let offset = call.dynptr(1)?.offset + call.arg(2) as u32;
    Ok((offset, from, len))
}

pub(super) fn read_skb(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let (offset, to, len) = asked_read(call)?;
    Ok(skb_bytes::load_at(skb, call, offset, to, len))
}

pub(super) fn write_skb(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let (offset, from, len) = asked_write(call)?;
    Ok(skb_bytes::store_at(skb, call, offset, from, len))
}

pub(super) fn read_xdp(xdp: &mut Xdp, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let (offset, to, len) = asked_read(call)?;
    Ok(match xdp::part(xdp, offset, len) {
        Ok(from) => {
            call.machine.memory.raw_copy(from, to, len);
            0
        }
        Err(errno) => errno.into(),
    })
}

pub(super) fn write_xdp(xdp: &mut Xdp, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let (offset, from, len) = asked_write(call)?;
    if call.arg(5) != 0 {
        return Ok(Errno::EINVAL.into());
    }
    Ok(match xdp::part(xdp, offset, len) {
        Ok(to) => {
            call.machine.memory.raw_copy(from, to, len);
            0
        }
        Err(errno) => errno.into(),
    })
}

/// Where the bytes of a slice are.
enum Place {
    /// In a row, at this guest address.
    InARow(u32),
    /// There, but in several parts in the kernel, where only a copy of them is in a row.
    Scattered(u32),
    /// Nowhere.
    Missing,
    /// Behind the end of an XDP packet that was cut off since, or behind the linear part of an skb: the
    /// kernel gives what lies there.
    Unknown,
}

pub(super) fn slice_skb(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    slice(call, |asked| {
        let end = asked.offset + asked.len;
        let at = skb.frame.data() + asked.offset;
        if asked.offset > skb.frame.linear() && asked.buffer.is_none() {
            // skb_pointer_if_linear compares without signs.
            return Place::Unknown;
        }
        match (end <= skb.frame.linear(), end <= skb.frame.len()) {
            (true, _) => Place::InARow(at),
            (_, true) => Place::Scattered(at),
            _ => Place::Missing,
        }
    })
}

pub(super) fn slice_xdp(xdp: &mut Xdp, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    slice(call, |asked| {
        let Ok(at) = xdp::part(xdp, asked.offset, asked.len) else {
            return match asked.buffer {
                Some(_) => Place::Unknown,
                None => Place::Missing,
            };
        };
        match is_in_a_row(xdp, asked.offset, asked.len) {
            true => Place::InARow(at),
            false => Place::Scattered(at),
        }
    })
}

/// Whether a part lies in the linear part or in one page (`bpf_xdp_pointer`).
fn is_in_a_row(xdp: &Xdp, offset: u32, len: u32) -> bool {
    const PAGE: u32 = 4096;
    let linear = xdp.frame.linear();
    match offset.checked_sub(linear) {
        None => offset + len <= linear,
        Some(paged) => len == 0 || paged % PAGE + len <= PAGE,
    }
}

/// `bpf_dynptr_slice` and `bpf_dynptr_slice_rdwr` of a packet.
fn slice(call: &mut Call<'_>, place: impl FnOnce(&AskedSlice) -> Place) -> Checked<u64> {
    let writable = call.helper == HelperId::DYNPTR_SLICE_RDWR;
    let asked = call.asked_slice(writable)?;
    let found = asked.map(|asked| (place(&asked), asked));
    Ok(match found {
        Some((Place::InARow(at), asked)) => call.packet_slice(at, asked.len, writable),
        Some((Place::Scattered(at), asked)) if asked.buffer.is_some() => {
            let buffer = asked.buffer.unwrap_or_default();
            call.machine.memory.raw_copy(at, buffer, asked.len);
            call.copied_slice(buffer, asked.len, writable)
        }
        Some((Place::Unknown, _)) => {
            let what = format!("{} behind the bytes that the packet has", call.helper);
            return Err(Box::new(FaultKind::Unsupported(what)));
        }
        _ => {
            call.machine.memory.note_null(call.helper, call.at);
            0
        }
    })
}
