//! The overlay: VXLAN by a device in external mode, with the sender's identity in the tunnel key (Cilium's
//! `bpf/lib/encap.h`).
#![allow(unsafe_code, reason = "the kernel's structure has unions")]

use core::mem::zeroed;

use aya_ebpf::bindings::{BPF_F_TUNINFO_IPV6, BPF_F_ZERO_CSUM_TX, bpf_tunnel_key};
use twinpath_abi::{Address, DebugPoint, Identity, Mark, RemoteEndpoint, RemoteFlags};

use crate::apart::apart;
use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow};
use crate::tc::{Tc, WriteError};

/// Time to live of what the tunnel sends.
const TTL: u8 = 64;

/// Whether somebody is reached through the tunnel.
#[inline(always)]
pub fn is_behind_tunnel(remote: &RemoteEndpoint) -> bool {
    remote.flags.has(RemoteFlags::HAS_TUNNEL) && !remote.flags.has(RemoteFlags::SKIP_TUNNEL)
}

apart! {
    /// Says where the tunnel ends, and who sends. The node itself is another node to the one that it ends at.
    pub fn set as encap_set(ctx: &Tc, flow: &Flow, remote: &RemoteEndpoint) -> Result<(), Drop> {
        let identity = match flow.src_label {
            Identity::HOST => Identity::REMOTE_NODE,
            identity => identity,
        };
        // SAFETY: a structure of numbers, all of which may be 0.
        let mut key: bpf_tunnel_key = unsafe { zeroed() };
        key.tunnel_id = identity.0;
        key.tunnel_ttl = TTL;
        let words = remote.tunnel_endpoint.words();
        let flags = if remote.flags.has(RemoteFlags::IPV6_TUNNEL) {
            key.__bindgen_anon_1.remote_ipv6 = words;
            BPF_F_TUNINFO_IPV6
        } else {
            // The helper takes IPv4 addresses in the machine's byte order.
            key.__bindgen_anon_1.remote_ipv4 = u32::from_be(first(remote.tunnel_endpoint));
            BPF_F_ZERO_CSUM_TX
        };
        ctx.set_tunnel_key(&mut key, u64::from(flags))
            .map_err(|WriteError| drop_packet!(Encap, WriteError))?;
        ctx.set_mark(Mark::overlay(identity));
        events::debug(flow, DebugPoint::Encap, words[0], identity.0, 0);
        Ok(())
    }
}

#[inline(always)]
fn first(address: Address) -> u32 {
    let [first, ..] = address.words();
    first
}

apart! {
    /// Who has sent what comes out of the tunnel. No node sends as itself, to others.
    pub fn sender as encap_sender(ctx: &Tc, sender: &mut Identity) -> Result<(), Drop> {
        let key = ctx
            .tunnel_key()
            .map_err(|WriteError| drop_packet!(Encap, NoTunnelKey))?;
        let identity = Identity(key.tunnel_id);
        if identity == Identity::HOST {
            return Err(drop_packet!(Encap, InvalidIdentity));
        }
        events::debug(
            &Flow::UNKNOWN,
            DebugPoint::Decap,
            identity.0,
            key.tunnel_id,
            0,
        );
        *sender = identity;
        Ok(())
    }
}
