//! What is for no endpoint of this node: to another node, or into the world. The caller knows who sent it.
//!
//! | packet | becomes |
//! |---|---|
//! | for an endpoint behind the tunnel | into the tunnel, out of the overlay's device |
//! | for a neighbour of the node, or by a gateway that is one | one hop less, out of that device |
//! | the node has no way, the packet does not fit, its hops end | marked with the sender's identity, pass |
//! | all, where the stack routes | marked with the sender's identity, pass |

use twinpath_abi::{
    DebugPoint, Direction, EndpointId, Identity, Ifindex, Mac, Mark, RemoteEndpoint, TracePoint,
};

use crate::context::Context as _;
use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow, Trace};
use crate::fate::{self, Fate};
use crate::fib::{self, Way};
use crate::parse::L3;
use crate::tc::{Cb, Tc, WriteError};
use crate::wire::at;
use crate::{config, encap, headers, ipcache, maps};

/// Decides about a packet; returns the tc action.
#[inline(always)]
pub fn run(ctx: &Tc) -> i32 {
    let mut flow = Flow::UNKNOWN;
    let fate = decide(ctx, &mut flow);
    fate::conclude(ctx, &flow, fate, Direction::Egress)
}

#[inline(always)]
fn decide(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    flow.src_label = Identity(ctx.cb(Cb::SourceIdentity));
    flow.source = match maps::sender(ctx.ifindex()) {
        Some(sender) => sender.lxc_id,
        None => EndpointId(0),
    };
    let l3 = headers::ip(ctx, flow)?.ok_or(drop_packet!(Forward, UnsupportedL3))?;
    headers::l4(ctx, &l3, flow)?;
    flow.dst_label = ipcache::identity(l3.daddr, l3.family);
    if let Some(tunnel) = config::tunnel()
        && let Some(remote) = maps::remote(l3.daddr, l3.family)
        && encap::is_behind_tunnel(remote)
    {
        return encapsulated(ctx, flow, remote, tunnel);
    }
    if config::routes() && l3.ttl > 1 {
        return routed(ctx, flow, &l3);
    }
    Ok(to_stack(ctx, flow))
}

#[inline(always)]
fn encapsulated(
    ctx: &Tc,
    flow: &Flow,
    remote: &RemoteEndpoint,
    tunnel: Ifindex,
) -> Result<Fate, Drop> {
    encap::set(ctx, flow, remote)?;
    trace(ctx, flow, TracePoint::ToOverlay, tunnel);
    Ok(Fate::Device(tunnel))
}

#[inline(always)]
fn routed(ctx: &Tc, flow: &Flow, l3: &L3) -> Result<Fate, Drop> {
    let failed = |WriteError| drop_packet!(Forward, WriteError);
    let fate = match fib::way(ctx, l3, ctx.ifindex()) {
        Way::Stack => return Ok(to_stack(ctx, flow)),
        Way::Known { device, to, from } => {
            address(ctx, to, from).map_err(failed)?;
            Fate::Device(device)
        }
        Way::Unknown(device) => Fate::Neighbour(device),
    };
    l3.write_hop(ctx, l3.ttl - 1).map_err(failed)?;
    ctx.set_mark(Mark::identity(flow.src_label));
    trace(ctx, flow, TracePoint::ToStack, Ifindex(0));
    Ok(fate)
}

#[inline(always)]
fn address(ctx: &Tc, to: Mac, from: Mac) -> Result<(), WriteError> {
    ctx.store_balanced(at::ETHERNET_DST, &to.0)?;
    ctx.store_balanced(at::ETHERNET_SRC, &from.0)
}

#[inline(always)]
fn to_stack(ctx: &Tc, flow: &Flow) -> Fate {
    let mark = Mark::identity(flow.src_label);
    ctx.set_mark(mark);
    trace(ctx, flow, TracePoint::ToStack, Ifindex(0));
    events::debug(flow, DebugPoint::ToStack, mark.0, 0, 0);
    Fate::Pass
}

#[inline(always)]
fn trace(ctx: &Tc, flow: &Flow, point: TracePoint, ifindex: Ifindex) {
    let (reason, report) = ctx.reason();
    let trace = Trace {
        point,
        reason,
        report,
        ifindex,
    };
    events::trace(ctx, flow, trace);
}
