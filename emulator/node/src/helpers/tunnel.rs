//! Tunnel keys and options of an skb.

use twinpath_machine::{Access, Call, Checked, Errno};

use super::{Answer, answer, size};
use crate::net::Net;
use crate::packet::{Skb, Tunnel, tunnel_flag as bit};

/// `sizeof(struct bpf_tunnel_key)`
const SIZE: u32 = 44;
/// Where older versions of the structure ended: before `local_ipv6`, `tunnel_label`, `tunnel_ext`.
const OLD_SIZES: [u32; 3] = [28, 24, 22];
/// The first version, with an IPv4 address only.
const OLDEST_SIZE: u32 = 8;

/// Offsets in `struct bpf_tunnel_key`.
mod at {
    pub(super) const ID: usize = 0;
    pub(super) const REMOTE: usize = 4;
    pub(super) const TOS: usize = 20;
    pub(super) const TTL: usize = 21;
    /// Zero, or flags.
    pub(super) const EXT: usize = 22;
    pub(super) const LABEL: usize = 24;
    pub(super) const LOCAL: usize = 28;
}

/// `BPF_F_TUNINFO_IPV6`
const IPV6: u64 = 1 << 0;

pub(super) fn get_key(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let size = size(call, 3)?;
    let to = call.range(2, size, Access::Write)?;
    let result = key(skb.tunnel.as_ref(), size, call.arg(4));
    let bytes = call.machine.memory.raw_mut(to, size);
    Ok(match result {
        Ok(key) => {
            bytes.copy_from_slice(&key[..size as usize]);
            0
        }
        Err(errno) => {
            bytes.fill(0);
            errno.into()
        }
    })
}

fn key(tunnel: Option<&Tunnel>, size: u32, flags: u64) -> Result<[u8; SIZE as usize], Errno> {
    /// `BPF_F_TUNINFO_FLAGS`
    const FLAGS: u64 = 1 << 4;
    let tunnel = tunnel.ok_or(Errno::EINVAL)?;
    if flags & !(IPV6 | FLAGS) != 0 {
        return Err(Errno::EINVAL);
    }
    if tunnel.ipv6 != (flags & IPV6 != 0) {
        return Err(Errno::EPROTO);
    }
    let known = size == SIZE || OLD_SIZES.contains(&size) || (size == OLDEST_SIZE && !tunnel.ipv6);
    if !known {
        return Err(Errno::EINVAL);
    }
    let mut key = [0; SIZE as usize];
    let mut put = |at: usize, value: &[u8]| key[at..at + value.len()].copy_from_slice(value);
    put(at::ID, &tunnel.id.to_le_bytes());
    put(at::TOS, &[tunnel.tos]);
    put(at::TTL, &[tunnel.ttl]);
    if flags & FLAGS != 0 {
        put(at::EXT, &(tunnel.flags as u16).to_be_bytes());
    }
    if tunnel.ipv6 {
        put(at::REMOTE, &tunnel.source);
        put(at::LOCAL, &tunnel.destination);
        put(at::LABEL, &tunnel.label.to_le_bytes());
    } else {
        put(at::REMOTE, &ipv4(tunnel.source).to_le_bytes());
        put(at::LOCAL, &ipv4(tunnel.destination).to_le_bytes());
    }
    Ok(key)
}

/// An IPv4 address as a number.
fn ipv4(address: [u8; 16]) -> u32 {
    u32::from_be_bytes([address[0], address[1], address[2], address[3]])
}

pub(super) fn set_key(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let size = size(call, 3)?;
    let from = call.range(2, size, Access::Read)?;
    if !valid(size, call.arg(4)) {
        return Ok(Errno::EINVAL.into());
    }
    let mut key = [0; SIZE as usize];
    key[..size as usize].copy_from_slice(call.machine.memory.raw(from, size));
    Ok(answer(set(skb, &key, call.arg(4))))
}

/// `BPF_F_ZERO_CSUM_TX`
const ZERO_CSUM_TX: u64 = 1 << 1;
/// `BPF_F_DONT_FRAGMENT`
const DONT_FRAGMENT: u64 = 1 << 2;
/// `BPF_F_SEQ_NUMBER`
const SEQ_NUMBER: u64 = 1 << 3;
/// `BPF_F_NO_TUNNEL_KEY`
const NO_TUNNEL_KEY: u64 = 1 << 4;

fn valid(size: u32, flags: u64) -> bool {
    let known = size == SIZE || OLD_SIZES.contains(&size) || size == OLDEST_SIZE;
    known && flags & !(IPV6 | ZERO_CSUM_TX | DONT_FRAGMENT | SEQ_NUMBER | NO_TUNNEL_KEY) == 0
}

fn set(skb: &mut Skb, key: &[u8; SIZE as usize], flags: u64) -> Answer {
    /// `IPV6_FLOWLABEL_MASK`
    const LABEL: u32 = 0x000f_ffff;
    let word = |at: usize| u32::from_le_bytes([key[at], key[at + 1], key[at + 2], key[at + 3]]);
    let ipv6 = flags & IPV6 != 0;
    let label = word(at::LABEL);
    if (!ipv6 && label != 0) || key[at::EXT] != 0 || key[at::EXT + 1] != 0 {
        return Err(Errno::EINVAL);
    }
    let bits = [
        (bit::NOCACHE, true),
        (bit::DONT_FRAGMENT, flags & DONT_FRAGMENT != 0),
        (bit::CSUM, flags & ZERO_CSUM_TX == 0),
        (bit::SEQ, flags & SEQ_NUMBER != 0),
        (bit::KEY, flags & NO_TUNNEL_KEY == 0),
    ];
    let set = bits.into_iter().filter(|(_, set)| *set);
    let address = |at: usize| {
        let mut address = [0; 16];
        if ipv6 {
            address.copy_from_slice(&key[at..at + 16]);
        } else {
            address[..4].copy_from_slice(&word(at).to_be_bytes());
        }
        address
    };
    skb.tunnel = Some(Tunnel {
        set: true,
        ipv6,
        id: word(at::ID),
        source: address(at::LOCAL),
        destination: address(at::REMOTE),
        tos: key[at::TOS],
        ttl: key[at::TTL],
        label: if ipv6 { label & LABEL } else { 0 },
        flags: set.fold(0, |all, (bit, _)| all | bit),
        options: Vec::new(),
    });
    Ok(0)
}

pub(super) fn get_options(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let size = size(call, 3)?;
    let to = call.range(2, size, Access::Write)?;
    let bytes = call.machine.memory.raw_mut(to, size);
    bytes.fill(0);
    let tunnel = skb.tunnel.as_ref();
    let Some(tunnel) = tunnel.filter(|tunnel| tunnel.flags & bit::OPTIONS != 0) else {
        return Ok(Errno::ENOENT.into());
    };
    let len = tunnel.options.len();
    if bytes.len() < len {
        return Ok(Errno::ENOMEM.into());
    }
    bytes[..len].copy_from_slice(&tunnel.options);
    Ok(len as u64)
}

pub(super) fn set_options(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    /// `IP_TUNNEL_OPTS_MAX`
    const MAX: u32 = 255;
    call.context(1)?;
    let size = size(call, 3)?;
    let from = call.range(2, size, Access::Read)?;
    let Some(tunnel) = skb.tunnel.as_mut().filter(|tunnel| tunnel.set) else {
        return Ok(Errno::EINVAL.into());
    };
    if !size.is_multiple_of(4) {
        return Ok(Errno::EINVAL.into());
    }
    if size > MAX {
        return Ok(Errno::ENOMEM.into());
    }
    tunnel.options.clear();
    let bytes = call.machine.memory.raw(from, size);
    tunnel.options.extend_from_slice(bytes);
    tunnel.flags |= bit::OPTIONS;
    Ok(0)
}
