//! What comes to the node: from its uplink, out of the overlay, or from the node itself for its endpoints.
//!
//! | packet | becomes |
//! |---|---|
//! | from the uplink, with a VLAN tag | drop 182 |
//! | out of the overlay without a tunnel key / with the node's identity | drop 147 / 171 |
//! | neither IPv4 nor IPv6 | pass |
//! | IP header truncated, or its lengths are wrong | drop 134 |
//! | for an endpoint of this node | that one's policy (`policy_ingress`) |
//! | from the node, for an endpoint behind the tunnel | `forward` |
//! | other | pass; marked with the sender's identity, if that came out of the overlay |

use twinpath_abi::{
    Direction, EndpointFlags, Identity, Ifindex, Mark, TailCall, TracePoint, TraceReason,
};

use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow, Trace};
use crate::fate::{self, Fate};
use crate::parse::{self, L3};
use crate::tc::{Cb, Delivery, Tc};
use crate::{config, encap, endpoint, headers, ipcache, maps};

/// tc ingress of the uplink; returns the tc action.
#[inline(always)]
pub fn from_netdev(ctx: &Tc) -> i32 {
    let mut flow = Flow::UNKNOWN;
    let fate = network(ctx, &mut flow);
    fate::conclude(ctx, &flow, fate, Direction::Ingress)
}

/// tc ingress of the overlay's device; returns the tc action.
#[inline(always)]
pub fn from_overlay(ctx: &Tc) -> i32 {
    let mut flow = Flow::UNKNOWN;
    let fate = overlay(ctx, &mut flow);
    fate::conclude(ctx, &flow, fate, Direction::Ingress)
}

/// tc egress of the device between the stack and the endpoints; returns the tc action.
#[inline(always)]
pub fn from_host(ctx: &Tc) -> i32 {
    let mut flow = Flow::UNKNOWN;
    let fate = host(ctx, &mut flow);
    fate::conclude(ctx, &flow, fate, Direction::Egress)
}

#[inline(always)]
fn network(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    let packet = ctx.pull();
    let l2 = parse::l2(&packet)?;
    if ctx.has_vlan_tag() || l2.is_tagged() {
        return Err(drop_packet!(Arrival, VlanFiltered));
    }
    let Some(l3) = headers::l3(&packet, &l2, flow)? else {
        return Ok(Fate::Pass);
    };
    // Whoever comes from outside with an address of the node is not the node.
    flow.src_label = match ipcache::identity(l3.saddr, l3.family) {
        Identity::HOST => ipcache::world(l3.family),
        identity => identity,
    };
    trace(ctx, flow, TracePoint::FromNetwork);
    let delivery = delivery_at_ingress();
    Ok(to_endpoint(ctx, flow, &l3, delivery).unwrap_or(Fate::Pass))
}

#[inline(always)]
fn overlay(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    flow.src_label = encap::identity(ctx)?;
    let Some(l3) = headers::ip(ctx, flow)? else {
        return Ok(Fate::Pass);
    };
    trace(ctx, flow, TracePoint::FromOverlay);
    let delivery = delivery_at_ingress();
    Ok(match to_endpoint(ctx, flow, &l3, delivery) {
        Some(fate) => fate,
        None => {
            ctx.set_mark(Mark::identity(flow.src_label));
            Fate::Pass
        }
    })
}

#[inline(always)]
fn host(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    let mark = ctx.mark();
    flow.src_label = mark.sender().unwrap_or(Identity::HOST);
    let Some(l3) = headers::ip(ctx, flow)? else {
        return Ok(Fate::Pass);
    };
    let point = if mark.is_from_proxy() {
        TracePoint::FromProxy
    } else {
        TracePoint::FromHost
    };
    trace(ctx, flow, point);
    if let Some(fate) = to_endpoint(ctx, flow, &l3, Delivery::Device) {
        return Ok(fate);
    }
    let remote = maps::remote(l3.daddr, l3.family);
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
fn to_endpoint(ctx: &Tc, flow: &Flow, l3: &L3, delivery: Delivery) -> Option<Fate> {
    let endpoint = endpoint::destination(l3)?;
    if endpoint.flags.has(EndpointFlags::HOST) {
        return None;
    }
    Some(endpoint::deliver(ctx, flow.src_label, delivery))
}

#[inline(always)]
fn trace(ctx: &Tc, flow: &Flow, point: TracePoint) {
    let trace = Trace {
        point,
        reason: TraceReason::Unknown,
        report: false,
        ifindex: Ifindex(0),
    };
    events::trace(ctx, flow, trace);
}
