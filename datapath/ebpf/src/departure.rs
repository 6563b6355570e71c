//! What the stack sends: to an endpoint, out of the uplink, into the overlay, to the node itself.
//!
//! | packet | becomes |
//! |---|---|
//! | to an endpoint, past its policy already | pass |
//! | to an endpoint | its policy (`policy_ingress`), as from the identity in the mark, or that of its address |
//! | to an endpoint, neither IPv4 nor IPv6 | pass |
//! | out of the uplink, into the overlay, to the node | pass |
//! | IP header truncated, or its lengths are wrong | drop 134 |

use twinpath_abi::{Direction, Identity, Ifindex, Mark, TracePoint, TraceReason};

use crate::context::Context as _;
use crate::drops::Drop;
use crate::events::{self, Flow, Trace};
use crate::fate::{self, Fate};
use crate::parse::L3;
use crate::tc::{Delivery, Tc};
use crate::{endpoint, headers, ipcache};

/// tc egress of an endpoint's device; returns the tc action.
#[inline(always)]
pub fn to_container(ctx: &Tc) -> i32 {
    let mut flow = Flow::UNKNOWN;
    let fate = container(ctx, &mut flow);
    fate::conclude(ctx, &flow, fate, Direction::Ingress)
}

/// tc egress of the uplink; returns the tc action.
#[inline(always)]
pub fn to_netdev(ctx: &Tc) -> i32 {
    let mut flow = Flow::UNKNOWN;
    let fate = told(ctx, &mut flow, TracePoint::ToNetwork);
    fate::conclude(ctx, &flow, fate, Direction::Egress)
}

/// tc ingress of the far end of the device between the stack and the endpoints: what is for the node itself.
#[inline(always)]
pub fn to_host(ctx: &Tc) -> i32 {
    let mut flow = Flow::UNKNOWN;
    let fate = told(ctx, &mut flow, TracePoint::ToHost);
    fate::conclude(ctx, &flow, fate, Direction::Ingress)
}

/// tc egress of the overlay's device: what leaves the tunnel is told from what others send that way.
#[inline(always)]
pub fn to_overlay(ctx: &Tc) -> i32 {
    let sender = ctx.mark().sender().unwrap_or(Identity::UNKNOWN);
    ctx.set_mark(Mark::overlay(sender));
    fate::conclude(ctx, &Flow::UNKNOWN, Ok(Fate::Pass), Direction::Egress)
}

#[inline(always)]
fn container(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    if ctx.take_admitted() {
        return Ok(Fate::Pass);
    }
    let Some(l3) = headers::ip(ctx, flow)? else {
        return Ok(Fate::Pass);
    };
    Ok(endpoint::deliver(ctx, sender(ctx, &l3), Delivery::InPlace))
}

#[inline(always)]
fn told(ctx: &Tc, flow: &mut Flow, point: TracePoint) -> Result<Fate, Drop> {
    if let Some(l3) = headers::ip(ctx, flow)? {
        flow.src_label = sender(ctx, &l3);
        flow.dst_label = ipcache::identity(l3.daddr, l3.family);
        let trace = Trace {
            point,
            reason: TraceReason::Unknown,
            report: true,
            ifindex: match point {
                TracePoint::ToNetwork => ctx.ifindex(),
                _ => Ifindex(0),
            },
        };
        events::trace(ctx, flow, trace);
    }
    Ok(Fate::Pass)
}

/// Who has sent a packet that comes from the stack.
#[inline(always)]
fn sender(ctx: &Tc, l3: &L3) -> Identity {
    let marked = ctx.mark().sender();
    marked.unwrap_or_else(|| ipcache::identity(l3.saddr, l3.family))
}
