//! What comes to an endpoint of this node: its policy, and the delivery. The caller knows who sent it.
//!
//! | packet | becomes |
//! |---|---|
//! | not allowed | drop 133, 181 or 189 |
//! | for a proxy | marked, pass |
//! | with a TTL of 1 or 0 | drop 196 |
//! | other | rewritten, redirected to the endpoint's device |

use aya_ebpf::bindings::{TC_ACT_OK, TC_ACT_SHOT};
use twinpath_abi::{
    DebugPoint, Direction, EndpointFlags, Identity, Ifindex, Mark, TracePoint, Verdict,
};

use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow, Trace};
use crate::policy::Subject;
use crate::tc::{Cb, Tc};
use crate::{admission, endpoint, fragment, metrics, parse};

/// Where a packet goes that is not dropped.
enum Next {
    Proxy,
    Device(Ifindex),
}

/// Decides about a packet; returns the tc action.
#[inline(always)]
pub fn run(ctx: &Tc) -> i32 {
    let mut flow = Flow::UNKNOWN;
    match decide(ctx, &mut flow) {
        Ok(Next::Proxy) => {
            metrics::forwarded(ctx, Verdict::Pass, Direction::Ingress);
            TC_ACT_OK as i32
        }
        Ok(Next::Device(device)) => {
            metrics::forwarded(ctx, Verdict::Redirect, Direction::Ingress);
            ctx.redirect(device)
        }
        Err(drop) => {
            metrics::dropped(ctx, drop, Direction::Ingress);
            events::dropped(ctx, &flow, drop);
            TC_ACT_SHOT as i32
        }
    }
}

#[inline(always)]
fn decide(ctx: &Tc, flow: &mut Flow) -> Result<Next, Drop> {
    flow.src_label = Identity(ctx.cb(Cb::SourceIdentity));
    let packet = ctx.pull();
    let l2 = parse::l2(&packet)?;
    let l3 = parse::l3(&packet, &l2)?.ok_or(drop_packet!(PolicyIngress, UnsupportedL3))?;
    flow.family = l3.family;
    let l4 = fragment::l4(ctx, &l3)?;
    flow.tuple = Some(l4.flow(&l3));
    let gone = drop_packet!(PolicyIngress, Unroutable);
    let endpoint = endpoint::destination(&l3).ok_or(gone)?;
    flow.dst_label = endpoint.sec_id;
    flow.dst_id = endpoint.lxc_id;

    let subject = Subject {
        endpoint: endpoint.lxc_id,
        audit: endpoint.flags.has(EndpointFlags::AUDIT),
        direction: Direction::Ingress,
        remote: flow.src_label,
    };
    let admitted = admission::admit(ctx, flow, &l3, &l4, &subject, flow.src_label)?;
    let mut trace = Trace {
        point: TracePoint::ToEndpoint,
        reason: admitted.reason,
        report: admitted.report,
        ifindex: endpoint.ifindex,
    };
    if admitted.proxy_port.get() != 0 {
        ctx.set_mark(Mark::to_proxy(admitted.proxy_port));
        trace.point = TracePoint::ToProxy;
        events::trace(ctx, flow, trace);
        return Ok(Next::Proxy);
    }
    endpoint::route(ctx, &l3, endpoint)?;
    let (id, sender) = (u32::from(endpoint.lxc_id.0), flow.src_label.0);
    events::debug(
        flow,
        DebugPoint::LocalDelivery,
        id,
        sender,
        endpoint.ifindex.0,
    );
    events::trace(ctx, flow, trace);
    Ok(Next::Device(endpoint.ifindex))
}
