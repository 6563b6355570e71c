//! What comes to an endpoint of this node, or to the node itself: its policy, and the delivery. The caller knows who
//! sent it.
//!
//! | packet | becomes |
//! |---|---|
//! | not allowed | drop 133, 181 or 189 |
//! | for a proxy, and not from it | marked, pass; into the node's device, if the stack was about to send it to the endpoint |
//! | for a proxy, and there is no such device | drop 164 |
//! | for the node itself | marked with the sender's identity, pass |
//! | which the stack is sending to the endpoint | pass |
//! | with a TTL of 1 or 0 | drop 196 |
//! | other | rewritten, redirected to the endpoint's device, or to its far end |

use twinpath_abi::{DebugPoint, Direction, EndpointFlags, Identity, Mark, TracePoint};

use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow, Trace};
use crate::fate::Fate;
use crate::layers::{L3, L4};
use crate::policy::Subject;
use crate::tc::{Cb, Delivery, Tc, WriteError};
use crate::wire::at;
use crate::{admission, config, endpoint, headers};

/// Decides about a packet.
#[inline(always)]
pub fn decide(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    flow.src_label = Identity(ctx.cb(Cb::SourceIdentity));
    let (mut l3, mut l4) = (L3::UNKNOWN, L4::UNKNOWN);
    if !headers::ip(ctx, flow, &mut l3)? {
        return Err(drop_packet!(PolicyIngress, UnsupportedL3));
    }
    headers::transport(ctx, flow, &l3, &mut l4)?;
    let gone = drop_packet!(PolicyIngress, Unroutable);
    let endpoint = endpoint::destination(&flow.tuple).ok_or(gone)?;
    flow.dst_label = endpoint.sec_id;
    flow.dst_id = endpoint.lxc_id;

    let subject = Subject {
        endpoint: endpoint.lxc_id,
        audit: endpoint.flags.has(EndpointFlags::AUDIT),
        direction: Direction::Ingress,
        remote: flow.src_label,
    };
    let admitted = admission::admit(ctx, flow, &l4, &subject)?;
    let mut trace = Trace {
        ifindex: endpoint.ifindex,
        ..admitted.trace(TracePoint::ToEndpoint)
    };
    if admitted.proxy_port.get() != 0 {
        ctx.set_mark(Mark::to_proxy(admitted.proxy_port));
        events::trace_to_proxy(ctx, flow, admitted.proxy_port, trace);
        return to_proxy(ctx);
    }
    if config::guards_host() && endpoint.flags.has(EndpointFlags::HOST) {
        ctx.set_mark(Mark::identity(flow.src_label));
        trace.point = TracePoint::ToHost;
        events::trace(ctx, flow, trace);
        return Ok(Fate::Pass);
    }
    // Read where it is needed: the verifier would follow each way through all that stands before.
    if ctx.delivery() != Delivery::InPlace {
        endpoint::route(ctx, &l3, endpoint)?;
    }
    let (id, sender) = (u32::from(endpoint.lxc_id.0), flow.src_label.0);
    events::debug(
        flow,
        DebugPoint::LocalDelivery,
        id,
        sender,
        endpoint.ifindex.0,
    );
    events::trace(ctx, flow, trace);
    Ok(match ctx.delivery() {
        Delivery::InPlace => Fate::Pass,
        Delivery::Peer => Fate::Peer(endpoint.ifindex),
        Delivery::Device => {
            ctx.set_admitted();
            Fate::Device(endpoint.ifindex)
        }
    })
}

/// The stack has proxies. What it is about to send to the endpoint comes back to it by the node's device.
#[inline(always)]
fn to_proxy(ctx: &Tc) -> Result<Fate, Drop> {
    if ctx.delivery() != Delivery::InPlace {
        return Ok(Fate::Pass);
    }
    let host = config::host_device().ok_or(drop_packet!(PolicyIngress, HostUnreachable))?;
    ctx.store_balanced(at::ETHERNET_DST, &config::host_mac().0)
        .map_err(|WriteError| drop_packet!(PolicyIngress, WriteError))?;
    Ok(Fate::Ingress(host))
}
