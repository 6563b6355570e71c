//! ICMP and ICMPv6: what errors are about, and the gateway's answers to an echo.

use core::mem::MaybeUninit;

use twinpath_abi::{Family, FlowTuple, Protocol};

use crate::apart::apart;
use crate::config;
use crate::drops::{Drop, drop_packet};
use crate::events::Flow;
use crate::layers::{L2, L3, L4};
use crate::packet::{Header, Source as _};
use crate::parse;
use crate::tc::{Tc, WriteError};
use crate::wire::{Icmp, Ipv4, Ipv6, at, icmp_type};

/// The time to live of an answer (RFC 1700's default).
const TTL: u8 = 64;

/// Whether the message is an error, which quotes the packet that it is about.
#[inline(always)]
pub fn is_error(l4: &L4) -> bool {
    use icmp_type::{
        PARAMETER_PROBLEM, TIME_EXCEEDED, UNREACHABLE, V6_PARAMETER_PROBLEM, V6_UNREACHABLE,
    };
    let kind = match l4.protocol {
        Protocol::ICMPV6 => matches!(l4.icmp_type, V6_UNREACHABLE..=V6_PARAMETER_PROBLEM),
        Protocol::ICMP => matches!(
            l4.icmp_type,
            UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM
        ),
        _ => false,
    };
    kind && l4.has_header
}

/// The packet that an error quotes.
pub struct Quoted {
    pub flow: FlowTuple,
    /// Where its network header begins.
    pub offset: usize,
    /// Where its transport header begins.
    pub transport: usize,
}

/// The packet that an error quotes; `None` if it cannot be read.
#[inline(always)]
pub fn quoted(ctx: &Tc, family: Family, l4: &L4) -> Option<Quoted> {
    let offset = l4.at(size_of::<Icmp>());
    let (saddr, daddr, proto, end) = match family {
        Family::V6 => {
            let mut room = MaybeUninit::uninit();
            let ip: Header<Ipv6> = ctx.read(offset, &mut room)?;
            (ip.src(), ip.dst(), ip.next_header(), size_of::<Ipv6>())
        }
        _ => {
            let mut room = MaybeUninit::uninit();
            let ip: Header<Ipv4> = ctx.read(offset, &mut room)?;
            if ip.fragment().is_later() {
                return None;
            }
            (ip.src(), ip.dst(), ip.protocol(), ip.header_len())
        }
    };
    let (sport, dport) = parse::ports(ctx, family, proto, offset + end)?;
    let flow = FlowTuple {
        saddr,
        daddr,
        sport,
        dport,
        proto,
        family,
        reserved: 0,
    };
    Some(Quoted {
        flow,
        offset,
        transport: offset + end,
    })
}

/// Whether the gateway is asked for an echo.
#[inline(always)]
pub fn is_for_gateway(flow: &FlowTuple, l4: &L4) -> bool {
    let asks = match l4.protocol {
        Protocol::ICMPV6 => l4.icmp_type == icmp_type::V6_ECHO_REQUEST,
        Protocol::ICMP => l4.icmp_type == icmp_type::ECHO_REQUEST,
        _ => false,
    };
    asks && l4.has_header
        && config::gateway(flow.family).is_some_and(|gateway| gateway == flow.daddr)
}

apart! {
    /// Makes the request the gateway's answer.
    pub fn answer as icmp_answer(ctx: &Tc, flow: &Flow, l2: &L2, l3: &L3, l4: &L4) -> Result<(), Drop> {
        write_answer(ctx, &flow.tuple, l2, l3, l4).map_err(|WriteError| drop_packet!(Icmp, WriteError))
    }
}

/// Swapped addresses change no checksum.
#[inline(always)]
fn write_answer(ctx: &Tc, flow: &FlowTuple, l2: &L2, l3: &L3, l4: &L4) -> Result<(), WriteError> {
    let reply = match l3.family {
        Family::V6 => icmp_type::V6_ECHO_REPLY,
        _ => icmp_type::ECHO_REPLY,
    };
    let word = |kind: u8| u16::from_ne_bytes([kind, 0]);
    ctx.replace_l4_word(l4.at(at::ICMP_CHECK), word(l4.icmp_type), word(reply), 0)?;
    ctx.store_balanced(l4.at(0), &[reply])?;
    l3.write_hop(ctx, TTL)?;
    l3.write_addresses(ctx, &flow.daddr, &flow.saddr)?;
    ctx.store_balanced(at::ETHERNET_DST, &l2.src.0)?;
    ctx.store_balanced(at::ETHERNET_SRC, &l2.dst.0)
}
