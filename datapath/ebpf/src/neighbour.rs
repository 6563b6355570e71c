//! ARP (RFC 826) and neighbour discovery (RFC 4861): an endpoint asks for its gateway, which is the node's
//! end of its device.

use core::mem::MaybeUninit;

use twinpath_abi::{Address, DeviceEndpoint, Family, FlowTuple, Mac, Protocol};

use crate::apart::{apart, small};
use crate::config;
use crate::drops::{Drop, drop_packet};
use crate::events::Flow;
use crate::layers::{L2, L4};
use crate::packet::{Header, Source as _};
use crate::tc::{Tc, WriteError};
use crate::wire::{Arp, Ethernet, NeighbourMessage, at, icmp_type};

/// What becomes of a question.
#[repr(u32)]
pub enum Answer {
    /// The packet is the answer now.
    Given,
    /// It is not the gateway who is asked.
    NotOurs,
}

small!(Answer);

apart! {
    /// Answers a request for the gateway's Ethernet address. Others are the stack's.
    pub fn arp as neighbour_arp(ctx: &Tc, l2: &L2, sender: &DeviceEndpoint) -> Result<Answer, Drop> {
        let mut room = MaybeUninit::uninit();
        let short = drop_packet!(Neighbour, InvalidPacket);
        let arp: Header<Arp> = ctx.read(size_of::<Ethernet>(), &mut room).ok_or(short)?;
        let target = arp.target_ip();
        let ours = config::gateway(Family::V4).is_some_and(|gateway| gateway == target);
        if !arp.is_request() || !ours {
            return Ok(Answer::NotOurs);
        }
        let reply = Arp::reply(sender.node_mac, target, arp.sender_mac(), arp.sender_ip());
        let write = || {
            ctx.store(size_of::<Ethernet>(), &reply)?;
            ctx.store_balanced(at::ETHERNET_DST, &l2.src.0)?;
            ctx.store_balanced(at::ETHERNET_SRC, &sender.node_mac.0)
        };
        write().map_err(|WriteError| drop_packet!(Neighbour, WriteError))?;
        Ok(Answer::Given)
    }
}

/// Whether somebody asks for a neighbour.
#[inline(always)]
pub fn is_solicitation(l4: &L4) -> bool {
    l4.protocol == Protocol::ICMPV6
        && l4.has_header
        && l4.icmp_type == icmp_type::V6_NEIGHBOUR_SOLICITATION
}

apart! {
    /// Answers a solicitation of the gateway. No other neighbour exists, where there is a gateway: whoever asks
    /// for one is told nothing.
    pub fn solicitation as neighbour_solicitation(
        ctx: &Tc,
        l2: &L2,
        flow: &Flow,
        l4: &L4,
        sender: &DeviceEndpoint,
    ) -> Result<Answer, Drop> {
        let Some(gateway) = config::gateway(Family::V6) else {
            return Ok(Answer::NotOurs);
        };
        let mut room = MaybeUninit::uninit();
        let short = drop_packet!(Neighbour, InvalidPacket);
        let asked: Header<NeighbourMessage> = ctx.read(l4.at(0), &mut room).ok_or(short)?;
        if asked.target() != gateway {
            return Err(drop_packet!(Neighbour, UnknownTarget));
        }
        advertise(ctx, l2, &flow.tuple, l4, &asked, &gateway, sender.node_mac)
            .map_err(|WriteError| drop_packet!(Neighbour, WriteError))?;
        Ok(Answer::Given)
    }
}

/// Makes the solicitation an advertisement: of the message, the type, the flags and the option with the
/// Ethernet address change; the target stays.
#[inline(always)]
fn advertise(
    ctx: &Tc,
    l2: &L2,
    flow: &FlowTuple,
    l4: &L4,
    asked: &Header<NeighbourMessage>,
    gateway: &Address,
    mac: Mac,
) -> Result<(), WriteError> {
    let kind = icmp_type::V6_NEIGHBOUR_ADVERTISEMENT;
    let word = |kind: u8| u16::from_ne_bytes([kind, 0]);
    let check = l4.at(at::ICMP_CHECK);
    ctx.replace_l4_word(check, word(l4.icmp_type), word(kind), 0)?;
    ctx.replace_l4_word(check, asked.flags(), NeighbourMessage::SOLICITED, 0)?;
    let option = l4.at(at::NEIGHBOUR_OPTION);
    let to = NeighbourMessage::target_option(mac);
    ctx.replace_l4_bytes(check, &ctx.bytes(option)?, &to)?;
    // The sender's address was the source and is the destination, so it makes no difference.
    ctx.replace_l4_pseudo(check, flow.daddr.octets_ref(), gateway.octets_ref(), 0)?;
    ctx.store_balanced(l4.at(0), &[kind])?;
    let flags = NeighbourMessage::SOLICITED.to_ne_bytes();
    ctx.store_balanced(l4.at(at::NEIGHBOUR_FLAGS), &flags)?;
    ctx.store_balanced(option, &to)?;
    ctx.store(usize::from(l2.end) + at::IPV6_SRC, gateway.octets_ref())?;
    ctx.store(usize::from(l2.end) + at::IPV6_DST, flow.saddr.octets_ref())?;
    ctx.store_balanced(at::ETHERNET_DST, &l2.src.0)?;
    ctx.store_balanced(at::ETHERNET_SRC, &mac.0)
}
