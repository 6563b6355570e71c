//! XDP: everything that reaches the device. Denied sources are dropped, packets for a service go to
//! a backend, and the rest is the stack's.
//!
//! | packet | becomes |
//! |---|---|
//! | frame or IP header truncated, or its lengths are wrong | drop 134 |
//! | neither IPv4 nor IPv6, or behind more than two VLAN tags | pass |
//! | source in the deny list | drop 181 |
//! | to no virtual IP, or to a port without a service | pass |
//! | ICMP to a virtual IP; a frame to a group address | pass |
//! | to a virtual IP: a fragment / extension headers broken or more than four / TCP or UDP header truncated / other protocol | drop 157 / 156 / 135 / 142 |
//! | to a service without backends / with a TTL of 1 or 0 | drop 158 / 196 |
//! | to a service | destination address and port, MACs and TTL rewritten, out again |

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::bindings::xdp_md;
use twinpath_abi::{Direction, Verdict};

use crate::context::{Context, Xdp};
use crate::drops::{self, Drop};
use crate::events::Flow;
use crate::layers::{L2, L3};
use crate::packet::Packet;
use crate::parse;
use crate::{config, metrics, prefilter, service};

/// Decides about a packet; returns the XDP action.
#[inline(always)]
pub fn run(ctx: *mut xdp_md) -> u32 {
    let ctx = &Xdp::of(ctx);
    let mut flow = Flow::UNKNOWN;
    match decide(ctx, &mut flow) {
        Ok(verdict) => {
            metrics::forwarded(ctx, verdict, Direction::Ingress);
            match verdict {
                Verdict::Transmit => XDP_TX,
                _ => XDP_PASS,
            }
        }
        Err(drop) => {
            drops::report(ctx, &flow, drop, Direction::Ingress);
            XDP_DROP
        }
    }
}

#[inline(always)]
fn decide(ctx: &Xdp, flow: &mut Flow) -> Result<Verdict, Drop> {
    let packet = ctx.packet();
    let l2 = parse::l2(&packet)?;
    let Some(l3) = parse::l3(&packet, &l2, &mut flow.tuple)? else {
        return Ok(Verdict::Pass);
    };
    prefilter::check(&flow.tuple)?;
    if l2.is_multicast() {
        return Ok(Verdict::Pass);
    }
    balance(ctx, &packet, &l2, &l3, flow)
}

/// Sends a packet for a service to a backend.
#[inline(always)]
fn balance(ctx: &Xdp, packet: &Packet, l2: &L2, l3: &L3, flow: &mut Flow) -> Result<Verdict, Drop> {
    let l4 = match service::transport(ctx, packet, l3) {
        Ok(Some(l4)) => l4,
        Ok(None) => return Ok(Verdict::Pass),
        Err(drop) if service::is_virtual_ip(&flow.tuple) => return Err(drop),
        Err(_) => return Ok(Verdict::Pass),
    };
    l4.tell(&mut flow.tuple);
    let Some(service) = service::lookup(&flow.tuple) else {
        return Ok(Verdict::Pass);
    };
    let backend = service::backend(service, flow.tuple.hash(config::hash_seed()))?;
    service::dnat(packet, &flow.tuple, l2, l3, &l4, backend)?;
    Ok(Verdict::Transmit)
}
