//! Sending a packet to another device.

use std::net::{Ipv4Addr, Ipv6Addr};

use twinpath_machine::{Access, Call, Checked, Errno, MapType};

use crate::net::{Net, NextHop, SkbTarget, XdpTarget};
use crate::packet::{Skb, Xdp};

/// `BPF_F_INGRESS`.
const INGRESS: u64 = 1;
/// `TC_ACT_SHOT`.
const TC_ACT_SHOT: u64 = 2;
/// `TC_ACT_REDIRECT`.
const TC_ACT_REDIRECT: u64 = 7;
/// `XDP_ABORTED`.
const XDP_ABORTED: u64 = 0;
/// `XDP_REDIRECT`.
const XDP_REDIRECT: u64 = 4;

/// `bpf_redirect` of a tc program.
pub(super) fn skb(_skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let (ifindex, flags) = (call.arg(1) as u32, call.arg(2));
    if flags & !INGRESS != 0 {
        return Ok(TC_ACT_SHOT);
    }
    net.redirect.index = ifindex;
    net.redirect.skb = if flags & INGRESS != 0 {
        SkbTarget::Ingress
    } else {
        SkbTarget::Egress
    };
    Ok(TC_ACT_REDIRECT)
}

/// `bpf_redirect` of an XDP program.
pub(super) fn xdp(_xdp: &mut Xdp, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    if call.arg(2) != 0 {
        return Ok(XDP_ABORTED);
    }
    net.redirect.index = call.arg(1) as u32;
    net.redirect.xdp = XdpTarget::Device;
    Ok(XDP_REDIRECT)
}

/// `bpf_redirect_map`.
pub(super) fn xdp_map(_xdp: &mut Xdp, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    /// The lower bits are the result when there is nothing under the key.
    const ACTION_MASK: u64 = 3;
    const BROADCAST: u64 = 1 << 3;
    const EXCLUDE_INGRESS: u64 = 1 << 4;
    let map = call.map(1)?;
    let flags = call.arg(3);
    let kind = call.machine.maps[map].def().kind;
    let allowed = match kind {
        MapType::DevMap | MapType::DevMapHash => BROADCAST | EXCLUDE_INGRESS,
        MapType::CpuMap | MapType::XskMap => 0,
        _ => return Err(call.refuse(1, format!("a {kind} is no target of a redirect"))),
    };
    if flags & !(ACTION_MASK | allowed) != 0 {
        return Ok(XDP_ABORTED);
    }
    call.cost.map_operations += 1;
    let index = call.arg(2) as u32;
    net.redirect.xdp = match call.machine.maps[map].redirect_target(index) {
        _ if flags & BROADCAST != 0 => XdpTarget::Broadcast {
            map,
            exclude_ingress: flags & EXCLUDE_INGRESS != 0,
        },
        Some(target) => XdpTarget::Entry(target),
        None => {
            // The index of an earlier call is now that of a device.
            net.redirect.xdp = XdpTarget::Device;
            return Ok(flags & ACTION_MASK);
        }
    };
    net.redirect.index = index;
    Ok(XDP_REDIRECT)
}

/// `bpf_clone_redirect`: a copy goes at once, and meets the programs on its way before this returns.
pub(super) fn clone(skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let (ifindex, flags) = (call.arg(2) as u32, call.arg(3));
    if flags & !INGRESS != 0 {
        return Ok(Errno::EINVAL.into());
    }
    if skb.gso.size != 0 && skb.gso.kind == 0 {
        return Ok(Errno::EBADMSG.into());
    }
    let Some(to) = net.find_beside(skb.device, ifindex) else {
        return Ok(Errno::EINVAL.into());
    };
    let Ok(copy) = skb.copy(&mut net.pool, &mut call.machine.memory) else {
        return Ok(Errno::ENOMEM.into());
    };
    // The copy shares the kernel's buffer, so that the packet gets another one, without metadata.
    skb.metadata = 0;
    let target = if flags & INGRESS != 0 {
        SkbTarget::Ingress
    } else {
        SkbTarget::Egress
    };
    Ok(net.redirect_to(call.machine, copy, to, target) as u64)
}

/// `bpf_redirect_peer`.
pub(super) fn peer(_skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    if call.arg(2) != 0 {
        return Ok(TC_ACT_SHOT);
    }
    net.redirect.index = call.arg(1) as u32;
    net.redirect.skb = SkbTarget::Peer;
    Ok(TC_ACT_REDIRECT)
}

/// `bpf_redirect_neigh`.
pub(super) fn neighbour(_skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    /// `sizeof(struct bpf_redir_neigh)`
    const SIZE: i32 = 20;
    let len = call.size(3)?;
    let params = if len > 0 {
        Some(call.range(2, len, Access::Read)?)
    } else {
        None
    };
    if (len != 0 && (len as i32) < SIZE) || call.arg(4) != 0 {
        return Ok(TC_ACT_SHOT);
    }
    net.redirect.index = call.arg(1) as u32;
    let next = params.map_or(NextHop::Routed, |at| next_hop(call, at));
    net.redirect.skb = SkbTarget::Neighbour(next);
    Ok(TC_ACT_REDIRECT)
}

/// `struct bpf_redir_neigh` at a guest address.
fn next_hop(call: &Call<'_>, at: u32) -> NextHop {
    const AF_INET: u32 = 2;
    const AF_INET6: u32 = 10;
    let bytes = call.machine.memory.raw(at, 20);
    let family = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let mut address = [0; 16];
    address.copy_from_slice(&bytes[4..20]);
    match family {
        AF_INET => NextHop::Given(Ipv4Addr::from([bytes[4], bytes[5], bytes[6], bytes[7]]).into()),
        AF_INET6 => NextHop::Given(Ipv6Addr::from(address).into()),
        _ => NextHop::Unknown,
    }
}
