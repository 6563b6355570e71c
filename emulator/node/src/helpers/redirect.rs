//! Sending a packet to another device.

use twinpath_machine::{Call, Checked, MapType};

use crate::net::{Net, SkbTarget, XdpTarget};
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
    let machine = &mut *call.machine;
    let entry = machine.maps[map].lookup(&index.to_le_bytes(), call.cpu);
    net.redirect.xdp = match entry {
        _ if flags & BROADCAST != 0 => XdpTarget::Broadcast {
            map,
            exclude_ingress: flags & EXCLUDE_INGRESS != 0,
        },
        Some(value) => XdpTarget::Entry { kind, value },
        None => {
            // The index of an earlier call is now that of a device.
            net.redirect.xdp = XdpTarget::Device;
            return Ok(flags & ACTION_MASK);
        }
    };
    net.redirect.index = index;
    Ok(XDP_REDIRECT)
}
