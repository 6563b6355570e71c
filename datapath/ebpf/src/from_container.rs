//! tc ingress on an endpoint's device: what the endpoint sends. Only its own addresses may be the source;
//! what it asks its gateway is answered, and the rest is for its policy (`policy_egress`).
//!
//! | packet | becomes |
//! |---|---|
//! | device of no endpoint | drop 172 |
//! | with a VLAN tag | drop 182 |
//! | not Ethernet II | drop 166 |
//! | source MAC not the endpoint's | drop 130 |
//! | frame or IP header truncated, or its lengths are wrong | drop 134 |
//! | ARP for the gateway / other ARP | the answer, out again / pass |
//! | neither IPv4, IPv6 nor ARP | drop 139 |
//! | neighbour solicitation for the gateway / for another, where there is a gateway | the answer, out again / drop 150 |
//! | source address not the endpoint's | drop 132 |
//! | extension headers broken or more than four / transport header truncated | drop 156 / 135 |
//! | a fragment before the first one | drop 175 |
//! | ICMP echo request to the gateway | the answer, out again |
//! | other | `policy_egress` |

use twinpath_abi::{DeviceEndpoint, TailCall, TracePoint};

use crate::context::Context as _;
use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow, Trace};
use crate::fate::Fate;
use crate::layers::{L2, L3, L4};
use crate::neighbour::{self, Answer};
use crate::parse;
use crate::tc::Tc;
use crate::wire::ethertype;
use crate::{endpoint, headers, icmp};

/// Decides about a packet.
#[inline(always)]
pub fn decide(ctx: &Tc, flow: &mut Flow) -> Result<Fate, Drop> {
    let unknown = drop_packet!(FromContainer, UnknownSender);
    let sender = endpoint::sender(ctx, flow).ok_or(unknown)?;

    let packet = ctx.pull();
    let l2 = parse::l2(&packet)?;
    if ctx.has_vlan_tag() || l2.is_tagged() {
        return Err(drop_packet!(FromContainer, VlanFiltered));
    }
    if l2.ethertype < ethertype::LOWEST {
        return Err(drop_packet!(FromContainer, UnsupportedL2));
    }
    endpoint::check_mac(sender, &l2)?;
    if l2.ethertype == ethertype::ARP {
        return Ok(answered(ctx, neighbour::arp(ctx, &l2, sender)?));
    }
    let l3 = parse::l3(&packet, &l2, &mut flow.tuple)?
        .ok_or(drop_packet!(FromContainer, UnsupportedL3))?;
    events::trace(ctx, flow, Trace::at(TracePoint::FromEndpoint));
    ask_gateway(ctx, flow, &l2, &l3, sender)
}

/// What an endpoint asks its gateway for, and what goes beyond it.
#[inline(always)]
fn ask_gateway(
    ctx: &Tc,
    flow: &mut Flow,
    l2: &L2,
    l3: &L3,
    sender: &DeviceEndpoint,
) -> Result<Fate, Drop> {
    let mut l4 = L4::UNKNOWN;
    headers::transport(ctx, flow, l3, &mut l4)?;
    if neighbour::is_solicitation(&l4) {
        let answer = neighbour::solicitation(ctx, l2, flow, &l4, sender)?;
        return Ok(answered(ctx, answer));
    }
    endpoint::check_source(sender, &flow.tuple)?;
    if icmp::is_for_gateway(&flow.tuple, &l4) {
        icmp::answer(ctx, flow, l2, l3, &l4)?;
        return Ok(Fate::Device(ctx.ifindex()));
    }
    Ok(Fate::Program(TailCall::PolicyEgress))
}

/// Back to the sender, or the stack's.
#[inline(always)]
fn answered(ctx: &Tc, answer: Answer) -> Fate {
    match answer {
        Answer::Given => Fate::Device(ctx.ifindex()),
        Answer::NotOurs => Fate::Pass,
    }
}
