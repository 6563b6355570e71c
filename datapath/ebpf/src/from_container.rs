//! tc ingress on an endpoint's device: what the endpoint sends. Only its own addresses may be the
//! source; what is for an endpoint of this node is delivered, and the rest is the stack's to route.
//!
//! | packet | becomes |
//! |---|---|
//! | device of no endpoint | drop 172 |
//! | with a VLAN tag | drop 182 |
//! | frame or IP header truncated, or its lengths are wrong | drop 134 |
//! | ARP | pass |
//! | neither IPv4, IPv6 nor ARP | drop 139 |
//! | source address not the endpoint's | drop 132 |
//! | to no endpoint of this node | pass |
//! | to an endpoint of this node, with a TTL of 1 or 0 | drop 196 |
//! | to an endpoint of this node | rewritten, redirected to its device |

use aya_ebpf::bindings::{TC_ACT_OK, TC_ACT_SHOT};
use twinpath_abi::{Direction, Ifindex, Verdict};

use crate::context::{Context, Tc};
use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow};
use crate::parse;
use crate::wire::{Ethernet, Ipv6, ethertype};
use crate::{endpoint, maps, metrics};

/// What is read of a packet: the longest headers without options or extensions.
const HEADERS: u32 = (size_of::<Ethernet>() + size_of::<Ipv6>()) as u32;

/// Where a packet goes that is not dropped.
enum Route {
    Stack,
    Device(Ifindex),
}

/// Decides about a packet; returns the tc action.
#[inline(always)]
pub fn run(ctx: &Tc) -> i32 {
    let mut flow = Flow::UNKNOWN;
    match decide(ctx, &mut flow) {
        Ok(Route::Stack) => {
            metrics::forwarded(ctx, Verdict::Pass, Direction::Egress);
            TC_ACT_OK as i32
        }
        Ok(Route::Device(device)) => {
            metrics::forwarded(ctx, Verdict::Redirect, Direction::Egress);
            ctx.redirect(device)
        }
        Err(drop) => {
            metrics::dropped(ctx, drop, Direction::Egress);
            events::dropped(ctx, &flow, drop);
            TC_ACT_SHOT as i32
        }
    }
}

#[inline(always)]
fn decide(ctx: &Tc, flow: &mut Flow) -> Result<Route, Drop> {
    let unknown = drop_packet!(FromContainer, UnknownSender);
    let sender = maps::sender(ctx.ifindex()).ok_or(unknown)?;
    flow.source = sender.lxc_id;
    flow.src_label = sender.sec_id;

    let packet = ctx.pull(HEADERS);
    let l2 = parse::l2(&packet)?;
    if ctx.has_vlan_tag() || l2.is_tagged() {
        return Err(drop_packet!(FromContainer, VlanFiltered));
    }
    if l2.ethertype == ethertype::ARP {
        return Ok(Route::Stack);
    }
    let l3 = parse::l3(&packet, &l2)?.ok_or(drop_packet!(FromContainer, UnsupportedL3))?;
    flow.family = l3.family;
    flow.tuple = Some(l3.flow());
    endpoint::check_source(sender, &l3)?;

    let Some(endpoint) = endpoint::destination(&l3) else {
        return Ok(Route::Stack);
    };
    flow.dst_label = endpoint.sec_id;
    flow.dst_id = endpoint.lxc_id;
    endpoint::route(ctx, &l3, endpoint)?;
    Ok(Route::Device(endpoint.ifindex))
}
