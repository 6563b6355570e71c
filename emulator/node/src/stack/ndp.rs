//! Neighbour discovery (RFC 4861, `net/ipv6/ndisc.c`).

use std::net::{IpAddr, Ipv6Addr};

use twinpath_machine::Machine;

use super::ipv6::{Outgoing, solicited_node};
use super::wire::{Ipv6, proto};
use super::{icmpv6, v6_at};
use crate::net::{DeviceId, DropReason, Net, NodeId};
use crate::network::{Network, Route, RouteKind, RouteQuery, TABLE_LOCAL};
use crate::packet::Skb;
use crate::types::Mac;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Bytes of either message without options.
const LEN: usize = 24;
/// The hop limit of messages that have not passed a router.
const HOP_LIMIT: u8 = 255;
/// Option: the hardware address of the sender of a solicitation.
const SOURCE_ADDRESS: u8 = 1;
/// Option: the hardware address of what is advertised.
const TARGET_ADDRESS: u8 = 2;

/// Bits of an advertisement.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// A message's target and hardware address.
struct Message {
    flags: u8,
    target: Ipv6Addr,
    mac: Option<Mac>,
}

impl Message {
    /// Reads a message whose hardware address is in the option `option` (`ndisc_parse_options`).
    fn parse(bytes: &[u8], option: u8) -> Option<Self> {
        let fixed = bytes.get(..LEN)?;
        let mut mac = None;
        let mut rest = &bytes[LEN..];
        while !rest.is_empty() {
            let len = usize::from(*rest.get(1)?) * 8;
            let whole = rest.get(..len).filter(|_| len != 0)?;
            if whole[0] == option && len == 8 && mac.is_none() {
                let mut address = [0; 6];
                address.copy_from_slice(&whole[2..8]);
                mac = Some(Mac(address));
            }
            rest = &rest[len..];
        }
        Some(Self {
            flags: fixed[4],
            target: v6_at(fixed, 8),
            mac,
        })
    }
}

impl Net {
    /// `ndisc_recv_ns`.
    pub(super) fn ndp_solicited(
        &mut self,
        machine: &mut Machine,
        skb: Skb,
        header: &Ipv6,
        at: usize,
    ) {
        let bytes = &skb.frame.bytes(&machine.memory)[at..];
        let message = Message::parse(bytes, SOURCE_ADDRESS);
        let valid = header.hop_limit == HOP_LIMIT && bytes[1] == 0;
        let message = message.filter(|message| valid && !message.target.is_multicast());
        let Some(message) = message else {
            self.refuse(machine, skb, DropReason::Malformed);
            return;
        };
        let probe = header.source.is_unspecified();
        let to_group = header.destination.is_multicast();
        let [.., group, _] = header.destination.segments();
        let to_solicited =
            solicited_node(header.destination) == header.destination || group >> 8 == 0xff;
        if probe && !(to_solicited && to_group && message.mac.is_none()) {
            self.refuse(machine, skb, DropReason::Malformed);
            return;
        }
        let device = skb.device;
        self.accept(machine, skb);
        let node = self.node_of(device);
        let kind = self.local_kind(node, message.target);
        let here = self.has_address(device, message.target);
        let own = here && kind == Some(RouteKind::Local);
        if !own && kind != Some(RouteKind::Anycast) {
            return;
        }
        let router = self.network.forwards(device, message.target.into());
        let mut flags = if router { ROUTER } else { 0 };
        if probe {
            if own {
                flags |= OVERRIDE;
            }
            let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
            self.ndp_advertise(machine, device, message.target, all_nodes, flags, true);
            return;
        }
        let sender = (device, IpAddr::V6(header.source));
        if let Some(mac) = message.mac {
            self.learn(machine, sender, mac, to_group);
        }
        flags |= SOLICITED;
        if own && to_group {
            flags |= OVERRIDE;
        }
        self.ndp_advertise(
            machine,
            device,
            message.target,
            header.source,
            flags,
            to_group,
        );
    }

    /// `ndisc_recv_na`.
    pub(super) fn ndp_advertised(
        &mut self,
        machine: &mut Machine,
        skb: Skb,
        header: &Ipv6,
        at: usize,
    ) {
        let bytes = &skb.frame.bytes(&machine.memory)[at..];
        let message = Message::parse(bytes, TARGET_ADDRESS);
        let valid = header.hop_limit == HOP_LIMIT && bytes[1] == 0;
        let message = message.filter(|message| {
            let to_all = header.destination.is_multicast() && message.flags & SOLICITED != 0;
            valid && !message.target.is_multicast() && !to_all
        });
        let Some(message) = message else {
            self.refuse(machine, skb, DropReason::Malformed);
            return;
        };
        let device = skb.device;
        self.accept(machine, skb);
        if let Some(mac) = message.mac {
            self.learn(machine, (device, message.target.into()), mac, false);
        }
    }

    /// `ndisc_send_na`.
    fn ndp_advertise(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        target: Ipv6Addr,
        to: Ipv6Addr,
        flags: u8,
        with_address: bool,
    ) {
        let mut message = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
        message.extend_from_slice(&target.octets());
        if with_address {
            message.extend_from_slice(&[TARGET_ADDRESS, 1]);
            message.extend_from_slice(&self.device(device).mac.0);
        }
        let node = self.node_of(device);
        // An anycast address is no source.
        let source = match self.is_own(node, target.into()) {
            true => Some(target),
            false => self.select_ipv6(node, device, to),
        };
        self.ndp_send(machine, device, source, to, &mut message);
    }

    /// `ndisc_solicit`: asks for the hardware address of `target`, on behalf of a packet from
    /// `source`.
    pub(super) fn ndp_solicit(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        target: Ipv6Addr,
        source: Option<Ipv6Addr>,
    ) {
        let own = source.filter(|source| self.has_address(device, *source));
        let Some(source) = own.or_else(|| self.link_local(device)) else {
            return;
        };
        let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&target.octets());
        message.extend_from_slice(&[SOURCE_ADDRESS, 1]);
        message.extend_from_slice(&self.device(device).mac.0);
        let to = solicited_node(target);
        self.ndp_send(machine, device, Some(source), to, &mut message);
    }

    /// `ndisc_send_redirect`: a packet goes back where it came from.
    pub(super) fn ndp_redirect(
        &mut self,
        machine: &mut Machine,
        skb: &Skb,
        header: &Ipv6,
        route: &Route,
    ) {
        // Linux sends redirects from a link-local address, or not at all.
        let device = skb.device;
        let Some(source) = self.link_local(device) else {
            return;
        };
        let target = match route.gateway {
            Some(IpAddr::V6(gateway)) if gateway.is_unicast_link_local() => gateway,
            Some(_) => return,
            None => header.destination,
        };
        let quote = skb.frame.bytes(&machine.memory);
        let mut message = vec![icmpv6::REDIRECT, 0, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&target.octets());
        message.extend_from_slice(&header.destination.octets());
        if let Some(mac) = self.network.neighbour(device, target.into()) {
            message.extend_from_slice(&[TARGET_ADDRESS, 1]);
            message.extend_from_slice(&mac.0);
        }
        let room = super::ipv6::MIN_MTU as usize - super::wire::IPV6 - message.len();
        let len = (quote.len() + 8).min(room) & !7;
        message.extend_from_slice(&[4, (len / 8) as u8, 0, 0, 0, 0, 0, 0]);
        message.extend_from_slice(&quote[..(len - 8).min(quote.len())]);
        let at = self.link_scoped(device, Some(source), header.source);
        self.ipv6_send(machine, self.node_of(device), at, &mut message, 2);
    }

    fn ndp_send(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        source: Option<Ipv6Addr>,
        to: Ipv6Addr,
        message: &mut [u8],
    ) {
        let out = self.link_scoped(device, source, to);
        self.ipv6_send(machine, self.node_of(device), out, message, 2);
    }

    fn link_scoped(&self, device: DeviceId, source: Option<Ipv6Addr>, to: Ipv6Addr) -> Outgoing {
        Outgoing {
            source,
            destination: to,
            protocol: proto::ICMPV6,
            class: 0,
            output: Some(device),
            on_link: true,
            hop_limit: Some(HOP_LIMIT),
        }
    }

    fn has_address(&self, device: DeviceId, address: Ipv6Addr) -> bool {
        let addresses = self.addresses(self.node_of(device));
        let mut own = addresses.iter();
        own.any(|own| own.device == device && own.address == IpAddr::V6(address))
    }

    fn link_local(&self, device: DeviceId) -> Option<Ipv6Addr> {
        let addresses = self.addresses(self.node_of(device));
        addresses.iter().find_map(|own| match own.address {
            IpAddr::V6(address) if own.device == device && address.is_unicast_link_local() => {
                Some(address)
            }
            _ => None,
        })
    }

    /// What an address is to this host, if it is one of its own.
    fn local_kind(&self, node: NodeId, address: Ipv6Addr) -> Option<RouteKind> {
        let query = RouteQuery {
            destination: address.into(),
            source: Ipv6Addr::UNSPECIFIED.into(),
            output: None,
            strict: false,
            input: None,
            mark: 0,
            table: Some(TABLE_LOCAL),
        };
        self.network.route(node, &query).map(|route| route.kind)
    }
}
