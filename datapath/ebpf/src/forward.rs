//! What is for no endpoint of this node: to another node, or into the world. The caller knows who sent it.
//!
//! | packet | becomes |
//! |---|---|
//! | for an endpoint behind the tunnel | into the tunnel, out of the overlay's device |
//! | for a neighbour of the node, or by a gateway that is one | one hop less, out of that device |
//! | the node has no way, the packet does not fit, its hops end | marked with the sender's identity, pass |
//! | all, where the stack routes | marked with the sender's identity, pass |

use twinpath_abi::{DebugPoint, Identity, Ifindex, Mac, Mark, RemoteEndpoint, TracePoint};

use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow, Trace};
use crate::fate::Fate;
use crate::fib::{self, Found, Way};
use crate::layers::{L3, L4};
use crate::tc::{Cb, Tc, WriteError};
use crate::wire::at;
use crate::{config, encap, endpoint, headers, ipcache, maps};

/// Decides about a packet.
#[inline(always)]
pub fn decide(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    // What the node sends comes from no endpoint.
    let _ = endpoint::sender(ctx, flow);
    flow.src_label = Identity(ctx.cb(Cb::SourceIdentity));
    let (mut l3, mut l4) = (L3::UNKNOWN, L4::UNKNOWN);
    if !headers::ip(ctx, flow, &mut l3)? {
        return Err(drop_packet!(Forward, UnsupportedL3));
    }
    headers::transport(ctx, flow, &l3, &mut l4)?;
    flow.dst_label = ipcache::identity(&flow.tuple.daddr, l3.family);
    if let Some(tunnel) = config::tunnel()
        && let Some(remote) = maps::remote(flow.tuple.daddr, l3.family)
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
    let mut way = Way::NONE;
    let fate = match fib::find(ctx, flow, l3, &mut way)? {
        Found::Stack => return Ok(to_stack(ctx, flow)),
        Found::Known => {
            address(ctx, way.to, way.from).map_err(failed)?;
            Fate::Device(way.device)
        }
        Found::Unknown => Fate::Neighbour(way.device),
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
        reason,
        report,
        ifindex,
        ..Trace::at(point)
    };
    events::trace(ctx, flow, trace);
}
