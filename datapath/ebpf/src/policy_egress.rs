//! What an endpoint sends, once it is known to be its own: its policy, and where it goes.
//!
//! | packet | becomes |
//! |---|---|
//! | not allowed | drop 133, 181 or 189 |
//! | for a proxy | marked, pass |
//! | to an endpoint of this node | that one's policy (`policy_ingress`) |
//! | to the node itself, or to somewhere else | marked with the sender's identity, pass |

use aya_ebpf::bindings::{TC_ACT_OK, TC_ACT_SHOT};
use twinpath_abi::{
    DebugPoint, DeviceEndpoint, Direction, EndpointFlags, Ifindex, Mark, TailCall, TracePoint,
    Verdict,
};

use crate::admission::{self, Admitted};
use crate::context::Context as _;
use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow, Trace};
use crate::parse::{self, L3};
use crate::policy::Subject;
use crate::tc::{Cb, Tc};
use crate::{endpoint, fragment, ipcache, maps, metrics};

/// Where a packet goes that is not dropped.
enum Next {
    Stack,
    Endpoint,
}

/// Decides about a packet; returns the tc action.
#[inline(always)]
pub fn run(ctx: &Tc) -> i32 {
    let mut flow = Flow::UNKNOWN;
    let drop = match decide(ctx, &mut flow) {
        Ok(Next::Stack) => {
            metrics::forwarded(ctx, Verdict::Pass, Direction::Egress);
            return TC_ACT_OK as i32;
        }
        Ok(Next::Endpoint) => {
            metrics::forwarded(ctx, Verdict::Redirect, Direction::Egress);
            ctx.set_cb(Cb::SourceIdentity, flow.src_label.0);
            ctx.tail_call(TailCall::PolicyIngress);
            drop_packet!(PolicyEgress, MissedTailCall)
        }
        Err(drop) => drop,
    };
    metrics::dropped(ctx, drop, Direction::Egress);
    events::dropped(ctx, &flow, drop);
    TC_ACT_SHOT as i32
}

#[inline(always)]
fn decide(ctx: &Tc, flow: &mut Flow) -> Result<Next, Drop> {
    let unknown = drop_packet!(PolicyEgress, UnknownSender);
    let sender = maps::sender(ctx.ifindex()).ok_or(unknown)?;
    flow.source = sender.lxc_id;
    flow.src_label = sender.sec_id;

    let packet = ctx.pull();
    let l2 = parse::l2(&packet)?;
    let l3 = parse::l3(&packet, &l2)?.ok_or(drop_packet!(PolicyEgress, UnsupportedL3))?;
    flow.family = l3.family;
    let l4 = fragment::l4(ctx, &l3)?;
    flow.tuple = Some(l4.flow(&l3));
    flow.dst_label = ipcache::identity(l3.daddr, l3.family);

    let subject = Subject {
        endpoint: sender.lxc_id,
        audit: sender.flags & DeviceEndpoint::AUDIT != 0,
        direction: Direction::Egress,
        remote: flow.dst_label,
    };
    let admitted = admission::admit(ctx, flow, &l3, &l4, &subject, sender.sec_id)?;
    route(ctx, flow, &l3, &admitted)
}

/// Where an admitted packet goes.
#[inline(always)]
fn route(ctx: &Tc, flow: &mut Flow, l3: &L3, admitted: &Admitted) -> Result<Next, Drop> {
    if admitted.proxy_port.get() != 0 {
        return Ok(to_stack(
            ctx,
            flow,
            admitted,
            TracePoint::ToProxy,
            Mark::to_proxy(admitted.proxy_port),
        ));
    }
    let identity = Mark::identity(flow.src_label);
    match endpoint::destination(l3) {
        Some(endpoint) if endpoint.flags.has(EndpointFlags::HOST) => {
            Ok(to_stack(ctx, flow, admitted, TracePoint::ToHost, identity))
        }
        Some(_) => Ok(Next::Endpoint),
        None => Ok(to_stack(ctx, flow, admitted, TracePoint::ToStack, identity)),
    }
}

#[inline(always)]
fn to_stack(ctx: &Tc, flow: &Flow, admitted: &Admitted, point: TracePoint, mark: Mark) -> Next {
    ctx.set_mark(mark);
    events::trace(
        ctx,
        flow,
        Trace {
            point,
            reason: admitted.reason,
            report: admitted.report,
            ifindex: Ifindex(0),
        },
    );
    events::debug(flow, DebugPoint::ToStack, mark.0, 0, 0);
    Next::Stack
}
