//! Loading and storing bytes of an skb.

use twinpath_machine::{Access, Call, Checked, Errno};

use super::size;
use crate::net::Net;
use crate::packet::{Hash, Skb};

/// `INT_MAX`.
const MAX_OFFSET: u32 = i32::MAX as u32;

/// Copies a part of the packet to `to`, or zeroes `to` when the part is not all there.
fn copy(call: &mut Call<'_>, from: Option<u32>, to: u32, len: u32) -> u64 {
    let memory = &mut call.machine.memory;
    match from {
        Some(from) => {
            memory.raw_copy(from, to, len);
            0
        }
        None => {
            memory.raw_mut(to, len).fill(0);
            Errno::EFAULT.into()
        }
    }
}

pub(super) fn load(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let len = size(call, 4)?;
    let to = call.range(3, len, Access::Write)?;
    Ok(load_at(skb, call, call.arg(2) as u32, to, len))
}

/// Loads bytes into guest memory (`__bpf_skb_load_bytes`).
pub(super) fn load_at(skb: &Skb, call: &mut Call<'_>, offset: u32, to: u32, len: u32) -> u64 {
    let inside = offset <= MAX_OFFSET && offset + len <= skb.frame.len();
    let from = inside.then(|| skb.frame.data() + offset);
    copy(call, from, to, len)
}

/// `bpf_skb_load_bytes_relative`: from the MAC or the network header, in the linear part alone.
pub(super) fn load_relative(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    const MAX: u32 = 0xffff;
    const BPF_HDR_START_MAC: u32 = 0;
    const BPF_HDR_START_NET: u32 = 1;
    call.context(1)?;
    let len = size(call, 4)?;
    let to = call.range(3, len, Access::Write)?;
    let offset = call.arg(2) as u32;
    let start = match call.arg(5) as u32 {
        BPF_HDR_START_MAC => skb.mac_header,
        BPF_HDR_START_NET => Some(skb.network_header),
        _ => None,
    };
    let from = start
        .filter(|_| offset <= MAX)
        .map(|start| start + offset)
        .filter(|from| from + len <= skb.frame.linear_end());
    Ok(copy(call, from, to, len))
}

pub(super) fn store(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let len = size(call, 4)?;
    let from = call.range(3, len, Access::Read)?;
    Ok(store_at(skb, call, call.arg(2) as u32, from, len))
}

/// Stores bytes from guest memory under the flags of the fifth argument (`__bpf_skb_store_bytes`).
pub(super) fn store_at(
    skb: &mut Skb,
    call: &mut Call<'_>,
    offset: u32,
    from: u32,
    len: u32,
) -> u64 {
    const RECOMPUTE_CSUM: u64 = 1 << 0;
    const INVALIDATE_HASH: u64 = 1 << 1;
    let flags = call.arg(5);
    if flags & !(RECOMPUTE_CSUM | INVALIDATE_HASH) != 0 {
        return Errno::EINVAL.into();
    }
    if offset > MAX_OFFSET || !skb.make_writable(offset + len) {
        return Errno::EFAULT.into();
    }
    let to = skb.frame.data() + offset;
    let memory = &mut call.machine.memory;
    if flags & RECOMPUTE_CSUM != 0 {
        skb.pulled_at(memory, to, len, offset);
    }
    memory.raw_copy(from, to, len);
    if flags & RECOMPUTE_CSUM != 0 {
        skb.pushed_at(memory, to, len, offset);
    }
    if flags & INVALIDATE_HASH != 0 {
        skb.hash = Hash::default();
    }
    0
}

pub(super) fn pull(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let len = match call.arg(2) as u32 {
        0 => skb.frame.linear(),
        len => len,
    };
    Ok(if skb.make_writable(len) {
        0
    } else {
        Errno::ENOMEM.into()
    })
}
