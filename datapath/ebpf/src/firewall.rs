//! The host firewall: the node itself is an endpoint with a policy (Cilium's `bpf/lib/host_firewall.h`). What endpoints
//! and the overlay bring to it is decided as for any endpoint (`policy_ingress`), and here what else comes and goes.
//!
//! | packet to or from an address of the node | becomes |
//! |---|---|
//! | neither IPv4, IPv6 nor ARP, of whomever | drop 139 |
//! | ICMPv6 at the uplink: errors, multicast listeners, neighbours and routers / echoes / other (RFC 4890) | pass / the policy's / drop 176 |
//! | not allowed | drop 133, 181 or 189 |
//! | under the node's address, of somebody else | pass; its connection is noted, so that answers pass |

use twinpath_abi::{
    Direction, EndpointFlags, EndpointInfo, FlowTuple, Identity, Mark, Protocol, TraceReason,
};

use crate::admission::{self, Admitted};
use crate::conntrack::{self, Opening, State};
use crate::drops::{Drop, drop_packet};
use crate::events::Flow;
use crate::fate::Fate;
use crate::layers::{L3, L4};
use crate::policy::Subject;
use crate::tc::Tc;
use crate::wire::{ethertype, icmp_type};
use crate::{config, endpoint, headers, icmp, ipcache};

/// The node, if a packet is for it and its policy is enforced.
#[inline(always)]
pub fn node(flow: &FlowTuple) -> Option<&'static EndpointInfo> {
    if !config::guards_host() {
        return None;
    }
    endpoint::destination(flow).filter(|found| found.flags.has(EndpointFlags::HOST))
}

/// What is not IP is for the stack, but only ARP is for a node that is guarded.
#[inline(always)]
pub fn not_ip(ctx: &Tc) -> Result<Fate, Drop> {
    if config::guards_host() && ctx.ethertype() != ethertype::ARP {
        return Err(drop_packet!(Firewall, UnsupportedL3));
    }
    Ok(Fate::Pass)
}

/// Lets a packet come to the node or not. The caller knows who sent it.
#[inline(always)]
pub fn ingress(
    ctx: &Tc,
    flow: &mut Flow,
    l4: &L4,
    node: &EndpointInfo,
) -> Result<Option<Admitted>, Drop> {
    flow.dst_label = node.sec_id;
    flow.dst_id = node.lxc_id;
    if is_exempt(l4)? {
        return Ok(None);
    }
    let subject = subject(node, Direction::Ingress, flow.src_label);
    admission::admit(ctx, flow, l4, &subject).map(Some)
}

/// Lets a packet go that the node's stack sends or not.
#[inline(always)]
pub fn egress(ctx: &Tc, flow: &mut Flow, l3: &L3) -> Result<Option<Admitted>, Drop> {
    let Some(node) = node(&flow.tuple.reversed()) else {
        return Ok(None);
    };
    let mut l4 = L4::UNKNOWN;
    headers::transport(ctx, flow, l3, &mut l4)?;
    if is_exempt(&l4)? || ctx.mark().is_snat_done() {
        return Ok(None);
    }
    if !is_nodes(ctx.mark()) {
        note(ctx, flow, &l4)?;
        return Ok(None);
    }
    flow.src_label = node.sec_id;
    flow.source = node.lxc_id;
    flow.dst_label = ipcache::identity(&flow.tuple.daddr, l3.family);
    let subject = subject(node, Direction::Egress, flow.dst_label);
    admission::admit(ctx, flow, &l4, &subject).map(Some)
}

/// What is known of a packet's connection, for those who tell of it.
#[inline(always)]
pub fn reason(admitted: &Option<Admitted>) -> TraceReason {
    match admitted {
        Some(admitted) => admitted.reason,
        None => TraceReason::Unknown,
    }
}

#[inline(always)]
fn subject(node: &EndpointInfo, direction: Direction, remote: Identity) -> Subject {
    Subject {
        endpoint: node.lxc_id,
        audit: node.flags.has(EndpointFlags::AUDIT),
        direction,
        remote,
    }
}

/// Whether what has the node's address is its own, and its tunnels': others have marked it with whom it is from.
#[inline(always)]
fn is_nodes(mark: Mark) -> bool {
    mark.is_overlay() || mark.sender().is_none_or(|sender| sender == Identity::HOST)
}

/// Whether no policy is asked: about ICMPv6 without which IPv6 does not work. What does harm is dropped.
#[inline(always)]
fn is_exempt(l4: &L4) -> Result<bool, Drop> {
    use icmp_type::{V6_ECHO_REPLY, V6_ECHO_REQUEST};
    if l4.protocol != Protocol::ICMPV6 {
        return Ok(false);
    }
    match l4.icmp_type {
        V6_ECHO_REQUEST | V6_ECHO_REPLY => Ok(false),
        1..=4 | 130..=136 | 141..=143 | 148..=149 | 151..=153 => Ok(true),
        _ => Err(drop_packet!(Firewall, ForbiddenIcmp6)),
    }
}

/// Makes the connection known of a packet that others send under the node's address.
#[inline(always)]
fn note(ctx: &Tc, flow: &Flow, l4: &L4) -> Result<(), Drop> {
    let direction = Direction::Egress;
    if icmp::is_error(l4) {
        return Ok(());
    }
    if let State::New = conntrack::lookup(ctx, flow, l4, direction).state {
        let opening = Opening {
            direction,
            unused: 0,
            proxy_port: twinpath_abi::Port::new(0),
            source: Identity::UNKNOWN,
        };
        conntrack::create(ctx, flow, l4, &opening)?;
    }
    Ok(())
}
