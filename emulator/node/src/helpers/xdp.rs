//! Helpers of XDP programs that act on the packet (`bpf_xdp_*`).

use twinpath_machine::{Access, Call, Checked, Errno, HelperId};

use super::{Answer, answer, checksum, dynptr, fib, helpers, mtu, redirect, size};
use crate::net::Net;
use crate::packet::{ETH_HLEN, Xdp};

helpers! { Xdp:
    moves XDP_ADJUST_HEAD => adjust_head,
    moves XDP_ADJUST_META => adjust_meta,
    moves XDP_ADJUST_TAIL => adjust_tail,
    reads XDP_GET_BUFF_LEN => buffer_len,
    reads XDP_LOAD_BYTES => load_bytes,
    reads XDP_STORE_BYTES => store_bytes,
    reads CSUM_DIFF => checksum::difference,
    reads REDIRECT => redirect::xdp,
    reads REDIRECT_MAP => redirect::xdp_map,
    reads FIB_LOOKUP => fib::xdp,
    reads CHECK_MTU => mtu::xdp,
    reads DYNPTR_FROM_XDP => dynptr::from_xdp,
    reads DYNPTR_READ => dynptr::read_xdp,
    reads DYNPTR_WRITE => dynptr::write_xdp,
    reads DYNPTR_SLICE => dynptr::slice_xdp,
    reads DYNPTR_SLICE_RDWR => dynptr::slice_xdp,
}

/// The second argument as the kernel takes it: an `int`.
fn offset(call: &Call<'_>) -> i64 {
    i64::from(call.arg(2) as i32)
}

fn adjust_head(xdp: &mut Xdp, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let offset = offset(call);
    let metadata = xdp.metadata();
    let data = i64::from(xdp.frame.data()) + offset;
    let lowest = i64::from(xdp.lowest() + metadata);
    let highest = i64::from(xdp.frame.linear_end()) - i64::from(ETH_HLEN);
    if data < lowest || data > highest {
        return Ok(Errno::EINVAL.into());
    }
    let meta = (i64::from(xdp.meta) + offset) as u32;
    call.machine.memory.raw_copy(xdp.meta, meta, metadata);
    xdp.meta = meta;
    xdp.frame.set_data(data as u32);
    Ok(0)
}

fn adjust_meta(xdp: &mut Xdp, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    /// What fits into the `meta_len` of `struct skb_shared_info`.
    const MAX: i64 = 255;
    call.context(1)?;
    let meta = i64::from(xdp.meta) + offset(call);
    let data = i64::from(xdp.frame.data());
    if meta < i64::from(xdp.lowest()) || meta > data {
        return Ok(Errno::EINVAL.into());
    }
    let len = data - meta;
    if len % 4 != 0 || len > MAX {
        return Ok(Errno::EACCES.into());
    }
    xdp.meta = meta as u32;
    Ok(0)
}

fn adjust_tail(xdp: &mut Xdp, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let offset = offset(call);
    Ok(answer(if xdp.frame.linear() < xdp.frame.len() {
        adjust_paged_tail(xdp, call, offset)
    } else {
        adjust_linear_tail(xdp, call, offset)
    }))
}

fn adjust_linear_tail(xdp: &mut Xdp, call: &mut Call<'_>, offset: i64) -> Answer {
    let end = i64::from(xdp.frame.linear_end()) + offset;
    let lowest = i64::from(xdp.frame.data() + ETH_HLEN);
    if end > i64::from(xdp.frame.limit()) || end < lowest {
        return Err(Errno::EINVAL);
    }
    let len = (end - i64::from(xdp.frame.data())) as u32;
    xdp.frame.resize(&mut call.machine.memory, len);
    Ok(0)
}

/// `bpf_xdp_frags_shrink_tail`, `bpf_xdp_frags_increase_tail`.
fn adjust_paged_tail(xdp: &mut Xdp, call: &mut Call<'_>, offset: i64) -> Answer {
    let len = i64::from(xdp.frame.len());
    if offset < 0 {
        if -offset > len - i64::from(ETH_HLEN) {
            return Err(Errno::EINVAL);
        }
    } else {
        let fragment_size = i64::from(xdp.fragment_size.ok_or(Errno::EOPNOTSUPP)?);
        let paged = len - i64::from(xdp.frame.linear());
        let last = (paged - 1) % fragment_size + 1;
        if offset > fragment_size - last {
            return Err(Errno::EINVAL);
        }
    }
    xdp.frame
        .resize_paged(&mut call.machine.memory, (len + offset) as u32);
    Ok(0)
}

fn buffer_len(xdp: &mut Xdp, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    Ok(u64::from(xdp.frame.len()))
}

/// Guest address of a part of the packet (`bpf_xdp_pointer`).
pub(super) fn part(xdp: &Xdp, offset: u32, len: u32) -> Result<u32, Errno> {
    const MAX: u32 = 0xffff;
    if offset > MAX || len > MAX {
        return Err(Errno::EFAULT);
    }
    if offset + len > xdp.frame.len() {
        return Err(Errno::EINVAL);
    }
    Ok(xdp.frame.data() + offset)
}

fn load_bytes(xdp: &mut Xdp, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let len = size(call, 4)?;
    let to = call.range(3, len, Access::Write)?;
    Ok(match part(xdp, call.arg(2) as u32, len) {
        Ok(from) => {
            call.machine.memory.raw_copy(from, to, len);
            0
        }
        Err(errno) => errno.into(),
    })
}

fn store_bytes(xdp: &mut Xdp, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let len = size(call, 4)?;
    let from = call.range(3, len, Access::Read)?;
    Ok(match part(xdp, call.arg(2) as u32, len) {
        Ok(to) => {
            call.machine.memory.raw_copy(from, to, len);
            0
        }
        Err(errno) => errno.into(),
    })
}
