//! What an endpoint sends, once it is known to be its own: its policy, and where it goes.
//!
//! | packet | becomes |
//! |---|---|
//! | not allowed | drop 133, 181 or 189 |
//! | for a proxy | marked, pass |
//! | to an endpoint of this node | that one's policy (`policy_ingress`) |
//! | to the node itself | marked with the sender's identity, pass; its policy (`policy_ingress`), if that is enforced |
//! | to somewhere else | the same; `forward`, if the programs see to the way |

use twinpath_abi::{
    DebugPoint, DeviceEndpoint, Direction, EndpointFlags, Mark, TailCall, TracePoint, Verdict,
};

use crate::admission::{self, Admitted};
use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow};
use crate::fate::Fate;
use crate::layers::{L3, L4};
use crate::policy::Subject;
use crate::tc::{Cb, Delivery, Tc};
use crate::{config, endpoint, headers, ipcache, metrics};

/// Decides about a packet.
#[inline(always)]
pub fn decide(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    let unknown = drop_packet!(PolicyEgress, UnknownSender);
    let sender = endpoint::sender(ctx, flow).ok_or(unknown)?;
    let (mut l3, mut l4) = (L3::UNKNOWN, L4::UNKNOWN);
    if !headers::ip(ctx, flow, &mut l3)? {
        return Err(drop_packet!(PolicyEgress, UnsupportedL3));
    }
    headers::transport(ctx, flow, &l3, &mut l4)?;
    flow.dst_label = ipcache::identity(&flow.tuple.daddr, l3.family);

    let subject = Subject {
        endpoint: sender.lxc_id,
        audit: sender.flags & DeviceEndpoint::AUDIT != 0,
        direction: Direction::Egress,
        remote: flow.dst_label,
    };
    let admitted = admission::admit(ctx, flow, &l4, &subject)?;
    route(ctx, flow, &admitted)
}

/// Where an admitted packet goes.
#[inline(always)]
fn route(ctx: &Tc, flow: &mut Flow, admitted: &Admitted) -> Result<Fate, Drop> {
    if admitted.proxy_port.get() != 0 {
        ctx.set_mark(Mark::to_proxy(admitted.proxy_port));
        let trace = admitted.trace(TracePoint::ToProxy);
        events::trace_to_proxy(ctx, flow, admitted.proxy_port, trace);
        return Ok(Fate::Pass);
    }
    let identity = Mark::identity(flow.src_label);
    match endpoint::destination(&flow.tuple) {
        Some(endpoint) if endpoint.flags.has(EndpointFlags::HOST) => {
            if !config::guards_host() {
                return Ok(to_stack(ctx, flow, admitted, TracePoint::ToHost, identity));
            }
            metrics::forwarded(ctx, Verdict::Pass, Direction::Egress);
            Ok(endpoint::deliver(ctx, flow.src_label, Delivery::Device))
        }
        Some(_) => {
            metrics::forwarded(ctx, Verdict::Redirect, Direction::Egress);
            let delivery = match config::redirects_to_peers() {
                true => Delivery::Peer,
                false => Delivery::Device,
            };
            Ok(endpoint::deliver(ctx, flow.src_label, delivery))
        }
        None if config::tunnel().is_some() || config::routes() => {
            ctx.set_cb(Cb::SourceIdentity, flow.src_label.0);
            ctx.set_reason(admitted.reason, admitted.report);
            Ok(Fate::Program(TailCall::Forward))
        }
        None => Ok(to_stack(ctx, flow, admitted, TracePoint::ToStack, identity)),
    }
}

#[inline(always)]
fn to_stack(ctx: &Tc, flow: &Flow, admitted: &Admitted, point: TracePoint, mark: Mark) -> Fate {
    ctx.set_mark(mark);
    events::trace(ctx, flow, admitted.trace(point));
    events::debug(flow, DebugPoint::ToStack, mark.0, 0, 0);
    Fate::Pass
}
