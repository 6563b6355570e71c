//! What comes to the node: from its uplink, out of the overlay, or from the node itself for its endpoints.
//!
//! | packet | becomes |
//! |---|---|
//! | from the uplink, with a VLAN tag | drop 182 |
//! | out of the overlay without a tunnel key / with the node's identity | drop 147 / 171 |
//! | neither IPv4 nor IPv6 | pass |
//! | IP header truncated, or its lengths are wrong | drop 134 |
//! | from the uplink, for the node, to what was masqueraded | for who sent that (`nat`) |
//! | from the uplink for the node itself, or from the node, against its policy | drop (`firewall`) |
//! | out of the overlay for the node itself, if its policy is enforced | that (`policy_ingress`) |
//! | for an endpoint of this node | that one's policy (`policy_ingress`) |
//! | from the node, for an endpoint behind the tunnel | `forward` |
//! | other | pass; marked with the sender's identity, if that came out of the overlay |

use twinpath_abi::{EndpointFlags, Identity, Mark, TailCall, TracePoint, TraceReason};

use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow, Trace};
use crate::fate::Fate;
use crate::layers::{L3, L4, is_vlan};
use crate::tc::{Cb, Delivery, Tc};
use crate::{config, encap, endpoint, firewall, headers, ipcache, maps, nat};

/// tc ingress of the uplink.
#[inline(always)]
pub fn from_netdev(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    if ctx.has_vlan_tag() || is_vlan(ctx.ethertype()) {
        return Err(drop_packet!(Arrival, VlanFiltered));
    }
    let mut l3 = L3::UNKNOWN;
    if !headers::ip(ctx, flow, &mut l3)? {
        return firewall::not_ip(ctx);
    }
    // Whoever comes from outside with an address of the node is not the node.
    flow.src_label = match ipcache::identity(&flow.tuple.saddr, l3.family) {
        Identity::HOST => ipcache::world(l3.family),
        identity => identity,
    };
    events::trace(ctx, flow, Trace::at(TracePoint::FromNetwork));
    let masked = config::masquerade(l3.family).is_some_and(|node| node == flow.tuple.daddr);
    if masked || firewall::node(&flow.tuple).is_some() {
        let mut l4 = L4::UNKNOWN;
        headers::transport(ctx, flow, &l3, &mut l4)?;
        if masked {
            nat::restore(ctx, flow, &l3, &l4)?;
            l4.dport = flow.tuple.dport;
        }
        if let Some(node) = firewall::node(&flow.tuple) {
            firewall::ingress(ctx, flow, &l4, node)?;
            return Ok(Fate::Pass);
        }
    }
    let delivery = delivery_at_ingress();
    Ok(to_endpoint(ctx, flow, delivery).unwrap_or(Fate::Pass))
}

/// tc ingress of the overlay's device.
#[inline(always)]
pub fn from_overlay(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    encap::sender(ctx, &mut flow.src_label)?;
    let mut l3 = L3::UNKNOWN;
    if !headers::ip(ctx, flow, &mut l3)? {
        return Ok(Fate::Pass);
    }
    events::trace(ctx, flow, Trace::at(TracePoint::FromOverlay));
    let delivery = delivery_at_ingress();
    if firewall::node(&flow.tuple).is_some() {
        return Ok(endpoint::deliver(ctx, flow.src_label, delivery));
    }
    Ok(match to_endpoint(ctx, flow, delivery) {
        Some(fate) => fate,
        None => {
            ctx.set_mark(Mark::identity(flow.src_label));
            Fate::Pass
        }
    })
}

/// tc egress of the device between the stack and the endpoints.
#[inline(always)]
pub fn from_host(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    let mark = ctx.mark();
    flow.src_label = mark.sender().unwrap_or(Identity::HOST);
    let mut l3 = L3::UNKNOWN;
    if !headers::ip(ctx, flow, &mut l3)? {
        return firewall::not_ip(ctx);
    }
    let point = if mark.is_from_proxy() {
        TracePoint::FromProxy
    } else {
        TracePoint::FromHost
    };
    events::trace(ctx, flow, Trace::at(point));
    firewall::egress(ctx, flow, &l3)?;
    if let Some(fate) = to_endpoint(ctx, flow, Delivery::Device) {
        return Ok(fate);
    }
    let remote = maps::remote(flow.tuple.daddr, l3.family);
    if config::tunnel().is_none() || !remote.is_some_and(encap::is_behind_tunnel) {
        return Ok(Fate::Pass);
    }
    ctx.set_cb(Cb::SourceIdentity, flow.src_label.0);
    ctx.set_reason(TraceReason::Unknown, true);
    Ok(Fate::Program(TailCall::Forward))
}

/// Packets that have come in may go on to the far end of a device at once.
#[inline(always)]
fn delivery_at_ingress() -> Delivery {
    match config::redirects_to_peers() {
        true => Delivery::Peer,
        false => Delivery::Device,
    }
}

/// To the policy of an endpoint of this node, if the packet is for one.
#[inline(always)]
fn to_endpoint(ctx: &Tc, flow: &Flow, delivery: Delivery) -> Option<Fate> {
    let endpoint = endpoint::destination(&flow.tuple)?;
    if endpoint.flags.has(EndpointFlags::HOST) {
        return None;
    }
    Some(endpoint::deliver(ctx, flow.src_label, delivery))
}
