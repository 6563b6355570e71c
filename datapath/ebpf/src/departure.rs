//! What the stack sends: to an endpoint, out of the uplink, into the overlay, to the node itself.
//!
//! | packet | becomes |
//! |---|---|
//! | to an endpoint, past its policy already | pass |
//! | to an endpoint | its policy (`policy_ingress`), as from the identity in the mark, or that of its address |
//! | to an endpoint, neither IPv4 nor IPv6 | pass |
//! | out of the uplink, into the overlay, to the node | pass |
//! | IP header truncated, or its lengths are wrong | drop 134 |

use twinpath_abi::{FlowTuple, Identity, Ifindex, Mark, TracePoint};

use crate::context::Context as _;
use crate::drops::Drop;
use crate::events::{self, Flow, Trace};
use crate::fate::Fate;
use crate::layers::L3;
use crate::tc::{Delivery, Tc};
use crate::{endpoint, headers, ipcache};

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
    Ok(endpoint::deliver(
        ctx,
        sender(ctx, &flow.tuple),
        Delivery::InPlace,
    ))
}

/// tc egress of the uplink.
#[inline(always)]
pub fn to_netdev(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    told(ctx, flow, TracePoint::ToNetwork)
}

/// tc ingress of the far end of the device between the stack and the endpoints: what is for the node itself.
#[inline(always)]
pub fn to_host(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    told(ctx, flow, TracePoint::ToHost)
}

/// tc egress of the overlay's device: what leaves the tunnel is told from what others send that way.
#[inline(always)]
pub fn to_overlay(ctx: &Tc, _flow: &mut Flow) -> Result<Fate, Drop> {
    let sender = ctx.mark().sender().unwrap_or(Identity::UNKNOWN);
    ctx.set_mark(Mark::overlay(sender));
    Ok(Fate::Pass)
}

#[inline(always)]
fn told(ctx: &Tc, flow: &mut Flow, point: TracePoint) -> Result<Fate, Drop> {
    let mut l3 = L3::UNKNOWN;
    if headers::ip(ctx, flow, &mut l3)? {
        flow.src_label = sender(ctx, &flow.tuple);
        flow.dst_label = ipcache::identity(&flow.tuple.daddr, l3.family);
        let trace = Trace {
            report: true,
            ifindex: match point {
                TracePoint::ToNetwork => ctx.ifindex(),
                _ => Ifindex(0),
            },
            ..Trace::at(point)
        };
        events::trace(ctx, flow, trace);
    }
    Ok(Fate::Pass)
}

/// Who has sent a packet that comes from the stack.
#[inline(always)]
fn sender(ctx: &Tc, flow: &FlowTuple) -> Identity {
    let marked = ctx.mark().sender();
    marked.unwrap_or_else(|| ipcache::identity(&flow.saddr, flow.family))
}
