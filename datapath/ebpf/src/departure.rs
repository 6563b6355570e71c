//! What the stack sends: to an endpoint, out of the uplink, into the overlay, to the node itself.
//!
//! | packet | becomes |
//! |---|---|
//! | to an endpoint, past its policy already | pass |
//! | to an endpoint | its policy (`policy_ingress`), as from the identity in the mark, or that of its address |
//! | to an endpoint, neither IPv4 nor IPv6 | pass |
//! | out of the uplink, to leave the cluster | pass, under the node's address (`nat`) |
//! | out of the uplink, into the overlay, to the node | pass |
//! | out of the uplink, or to the node itself, against the node's policy | drop (`firewall`) |
//! | IP header truncated, or its lengths are wrong | drop 134 |

use twinpath_abi::{Address, FlowTuple, Identity, Mark, TracePoint};

use crate::context::Context as _;
use crate::drops::Drop;
use crate::events::{self, Flow, Trace};
use crate::fate::Fate;
use crate::layers::{L3, L4};
use crate::tc::{Delivery, Tc};
use crate::{config, endpoint, firewall, headers, ipcache, nat};

/// tc egress of an endpoint's device.
#[inline(always)]
pub fn to_container(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    if ctx.take_admitted() {
        return Ok(Fate::Pass);
    }
    let mut l3 = L3::UNKNOWN;
    if !headers::ip(ctx, flow, &mut l3)? {
        return Ok(Fate::Pass);
    }
    flow.src_label = sender(ctx, &flow.tuple);
    let point = match ctx.mark().is_from_proxy() {
        true => TracePoint::FromProxy,
        false => TracePoint::FromStack,
    };
    events::trace(ctx, flow, Trace::at(point));
    Ok(endpoint::deliver(ctx, flow.src_label, Delivery::InPlace))
}

/// tc egress of the uplink.
#[inline(always)]
pub fn to_netdev(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    let mut l3 = L3::UNKNOWN;
    if !headers::ip(ctx, flow, &mut l3)? {
        return firewall::not_ip(ctx);
    }
    let admitted = firewall::egress(ctx, flow, &l3)?;
    let orig_ip = masquerade(ctx, flow, &l3)?;
    let trace = Trace {
        reason: firewall::reason(&admitted),
        ifindex: ctx.ifindex(),
        orig_ip,
        ..Trace::at(TracePoint::ToNetwork)
    };
    tell(ctx, flow, trace);
    Ok(Fate::Pass)
}

/// tc ingress of the far end of the device between the stack and the endpoints: what is for the node itself.
#[inline(always)]
pub fn to_host(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    let mut l3 = L3::UNKNOWN;
    if !headers::ip(ctx, flow, &mut l3)? {
        return firewall::not_ip(ctx);
    }
    let mut trace = Trace::at(TracePoint::ToHost);
    if let Some(node) = firewall::node(&flow.tuple) {
        let mut l4 = L4::UNKNOWN;
        headers::transport(ctx, flow, &l3, &mut l4)?;
        flow.src_label = sender(ctx, &flow.tuple);
        trace.reason = firewall::reason(&firewall::ingress(ctx, flow, &l4, node)?);
    }
    tell(ctx, flow, trace);
    Ok(Fate::Pass)
}

/// tc egress of the overlay's device: what leaves the tunnel is told from what others send that way.
#[inline(always)]
pub fn to_overlay(ctx: &Tc, _flow: &mut Flow) -> Result<Fate, Drop> {
    let sender = ctx.mark().sender().unwrap_or(Identity::UNKNOWN);
    ctx.set_mark(Mark::overlay(sender));
    Ok(Fate::Pass)
}

/// Translates what leaves the cluster; tells whom it was from, if it was translated.
#[inline(always)]
fn masquerade(ctx: &Tc, flow: &mut Flow, l3: &L3) -> Result<Address, Drop> {
    let mark = ctx.mark();
    let orig_ip = flow.tuple.saddr;
    if config::masquerade(l3.family).is_none() || mark.is_snat_done() || mark.is_overlay() {
        return Ok(Address::UNSPECIFIED);
    }
    if !nat::concerns(flow)? {
        return Ok(Address::UNSPECIFIED);
    }
    let mut l4 = L4::UNKNOWN;
    headers::transport(ctx, flow, l3, &mut l4)?;
    if !nat::masquerade(ctx, flow, l3, &l4)? {
        return Ok(Address::UNSPECIFIED);
    }
    ctx.set_mark(Mark::snat_done(sender(ctx, &flow.tuple)));
    Ok(orig_ip)
}

#[inline(always)]
fn tell(ctx: &Tc, flow: &mut Flow, trace: Trace) {
    flow.src_label = sender(ctx, &flow.tuple);
    flow.dst_label = ipcache::identity(&flow.tuple.daddr, flow.tuple.family);
    events::trace(
        ctx,
        flow,
        Trace {
            report: true,
            ..trace
        },
    );
}

/// Who has sent a packet that comes from the stack.
#[inline(always)]
fn sender(ctx: &Tc, flow: &FlowTuple) -> Identity {
    let marked = ctx.mark().sender();
    marked.unwrap_or_else(|| ipcache::identity(&flow.saddr, flow.family))
}
