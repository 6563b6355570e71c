//! ICMP and ICMPv6: what errors are about, and the gateway's answers to an echo.

use core::mem::MaybeUninit;

use twinpath_abi::{Family, FlowTuple, Protocol};

use crate::config;
use crate::drops::{Drop, drop_packet};
use crate::packet::{Header, Source as _};
use crate::parse::{self, L2, L3, L4};
use crate::tc::{Tc, WriteError};
use crate::wire::{Icmp, Ipv4, Ipv6, at, icmp_type};

/// The time to live of an answer (RFC 1700's default).
const TTL: u8 = 64;

/// Whether the packet is ICMP of its family.
#[inline(always)]
fn is_icmp(l3: &L3, l4: &L4) -> bool {
    match l3.family {
        Family::V6 => l4.protocol == Protocol::ICMPV6,
        _ => l4.protocol == Protocol::ICMP,
    }
}

/// Whether the message is an error, which quotes the packet that it is about.
#[inline(always)]
pub fn is_error(l3: &L3, l4: &L4) -> bool {
    use icmp_type::{
        PARAMETER_PROBLEM, TIME_EXCEEDED, UNREACHABLE, V6_PARAMETER_PROBLEM, V6_UNREACHABLE,
    };
    let kind = match l3.family {
        Family::V6 => matches!(l4.icmp_type, V6_UNREACHABLE..=V6_PARAMETER_PROBLEM),
        _ => matches!(
            l4.icmp_type,
            UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM
        ),
    };
    is_icmp(l3, l4) && l4.has_header && kind
}

/// The flow of the packet that an error quotes; `None` if it cannot be read.
#[inline(always)]
pub fn quoted(ctx: &Tc, l3: &L3, l4: &L4) -> Option<FlowTuple> {
    let offset = l4.at(size_of::<Icmp>());
    let (saddr, daddr, proto, end) = match l3.family {
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
    let (sport, dport) = parse::ports(ctx, l3.family, proto, offset + end)?;
    Some(FlowTuple {
        saddr,
        daddr,
        sport,
        dport,
        proto,
    })
}

/// Whether the gateway is asked for an echo.
#[inline(always)]
pub fn is_for_gateway(l3: &L3, l4: &L4) -> bool {
    let request = match l3.family {
        Family::V6 => icmp_type::V6_ECHO_REQUEST,
        _ => icmp_type::ECHO_REQUEST,
    };
    let asks = is_icmp(l3, l4) && l4.has_header && l4.icmp_type == request;
    asks && config::gateway(l3.family).is_some_and(|gateway| gateway == l3.daddr)
}

/// Makes the request the gateway's answer.
#[inline(never)]
pub fn answer(ctx: &Tc, l2: &L2, l3: &L3, l4: &L4) -> Result<(), Drop> {
    write_answer(ctx, l2, l3, l4).map_err(|WriteError| drop_packet!(Icmp, WriteError))
}

/// Swapped addresses change no checksum.
#[inline(always)]
fn write_answer(ctx: &Tc, l2: &L2, l3: &L3, l4: &L4) -> Result<(), WriteError> {
    let reply = match l3.family {
        Family::V6 => icmp_type::V6_ECHO_REPLY,
        _ => icmp_type::ECHO_REPLY,
    };
    let word = |kind: u8| u16::from_ne_bytes([kind, 0]);
    ctx.replace_l4_csum(l4.at(at::ICMP_CHECK), word(l4.icmp_type), word(reply))?;
    ctx.store_balanced(l4.at(0), &[reply])?;
    l3.write_hop(ctx, TTL)?;
    l3.write_addresses(ctx, &l3.daddr, &l3.saddr)?;
    ctx.store_balanced(at::ETHERNET_DST, &l2.src.0)?;
    ctx.store_balanced(at::ETHERNET_SRC, &l2.dst.0)
}
