//! IPIP devices (RFC 2003, `net/ipv4/ipip.c`, `net/ipv4/ip_tunnel.c`): IPv4 in IPv4, without Ethernet headers.
//!
//! A tunnel to the node itself is not short-circuited.

use std::net::Ipv4Addr;

use twinpath_machine::Machine;

use super::ecn::{decapsulate_mark, encapsulate_mark};
use super::icmp::{self, Error, Receipt};
use super::route::Cast;
use super::wire::{self, Ipv4, proto};
use crate::config::IpipConfig;
use crate::net::{DeviceId, DropReason, Medium, Net, NodeId, xmit};
use crate::network::Route;
use crate::packet::{Checksum, ETH_HLEN, EtherType, Skb, Tunnel, tunnel_flag};

/// An IPIP device's own state.
#[derive(Debug)]
pub(crate) struct Ipip {
    config: IpipConfig,
    /// How many packets the senders are still to be told of that the other end is not reached (`err_count`).
    failures: u32,
}

/// How one packet is to be sent.
struct Outer {
    source: Option<Ipv4Addr>,
    destination: Ipv4Addr,
    /// 1 for the inner one's.
    tos: u8,
    /// 0 for the inner one's.
    ttl: u8,
    dont_fragment: bool,
    /// Of the way that is looked for.
    mark: u32,
}

impl Ipip {
    pub(super) fn new(config: &IpipConfig) -> Self {
        Self {
            config: config.clone(),
            failures: 0,
        }
    }

    fn outer(&self, inner: &Ipv4, skb: &Skb) -> Option<Outer> {
        let config = &self.config;
        if let Some(destination) = config.remote {
            return Some(Outer {
                source: config.local,
                destination,
                tos: config.tos,
                ttl: config.ttl,
                dont_fragment: config.dont_fragment || inner.dont_fragment,
                mark: 0,
            });
        }
        let key = skb.tunnel.as_ref();
        let key = key.filter(|key| key.set && !key.ipv6)?;
        let source = super::v4_at(&key.source, 0);
        Some(Outer {
            source: (!source.is_unspecified()).then_some(source),
            destination: super::v4_at(&key.destination, 0),
            tos: key.tos,
            ttl: key.ttl,
            dont_fragment: key.flags & tunnel_flag::DONT_FRAGMENT != 0,
            mark: skb.mark,
        })
    }
}

impl Net {
    fn ipip(&self, device: DeviceId) -> Option<&Ipip> {
        match &self.device(device).medium {
            Medium::Ipip(ipip) => Some(ipip),
            _ => None,
        }
    }

    /// The IPIP devices of a node that are up.
    fn ipips(&self, node: NodeId) -> impl Iterator<Item = (DeviceId, &IpipConfig)> {
        let devices = (0..self.devices.len() as u32).map(DeviceId);
        devices
            .filter(move |device| self.device(*device).node == node && self.device(*device).up)
            .filter_map(|device| Some((device, &self.ipip(device)?.config)))
    }

    /// Whether the node of a device listens for packets of tunnels at all.
    pub(super) fn has_ipip(&self, device: DeviceId) -> bool {
        self.ipips(self.node_of(device)).next().is_some()
    }

    /// `ip_tunnel_lookup`: the device that is for packets from one end to the other, the one that says most of both.
    fn ipip_between(
        &self,
        node: NodeId,
        remote: Ipv4Addr,
        local: Ipv4Addr,
    ) -> Option<(DeviceId, &IpipConfig)> {
        let fits = |own: Option<Ipv4Addr>, end| own.is_none_or(|own| own == end);
        let devices = self.ipips(node);
        let devices = devices.filter(|(_, own)| fits(own.remote, remote) && fits(own.local, local));
        // Of alike ones the first.
        devices.min_by_key(|(_, own)| (own.remote.is_none(), own.local.is_none()))
    }

    /// `ipip_rcv`, `tunnel4_rcv`: a packet for this host that holds another one.
    pub(super) fn ipip_input(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        outer: &Ipv4,
        cast: Cast,
    ) {
        let node = self.node_of(skb.device);
        let found = self.ipip_between(node, outer.source, outer.destination);
        let Some((device, external)) = found.map(|(device, own)| (device, own.remote.is_none()))
        else {
            let error = Error::new(icmp::UNREACHABLE, icmp::PORT_UNREACHABLE);
            self.icmp_error(machine, &skb, error, Receipt::Local(cast));
            self.refuse(machine, skb, DropReason::NoSocket);
            return;
        };
        let len = outer.len as u32;
        let front = skb.frame.data();
        skb.frame.pull(len);
        skb.pulled(&machine.memory, front, len);
        skb.protocol = EtherType::IPV4;
        skb.mac_header = Some(skb.frame.data());
        skb.network_header = skb.frame.data();
        skb.reset_mac_len();
        skb.vlan = None;
        skb.encapsulation = false;
        skb.scrub();
        skb.tunnel = external.then(|| Tunnel {
            source: first_four(outer.source),
            destination: first_four(outer.destination),
            tos: outer.tos,
            ttl: outer.ttl,
            ..Tunnel::default()
        });
        if decapsulate_mark(&skb, machine, outer.tos) {
            self.enqueue(device, skb);
        } else {
            self.refuse(machine, skb, DropReason::Malformed);
        }
    }

    /// `ipip_tunnel_xmit`: a packet that begins with its network header leaves by an IPIP device.
    pub(crate) fn ipip_transmit(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        skb: Skb,
    ) -> i64 {
        let inner = Ipv4::parse(skb.frame.bytes(&machine.memory));
        let inner = inner.filter(|_| skb.protocol == EtherType::IPV4);
        let Some((inner, ipip)) = inner.zip(self.ipip(device)) else {
            self.refuse(machine, skb, DropReason::UnknownProtocol);
            return xmit::SUCCESS;
        };
        let external = ipip.config.remote.is_none();
        match ipip.outer(&inner, &skb) {
            // Of a tunnel in a tunnel that has left a checksum to the device, Linux takes the innermost header for the inner one.
            Some(_) if skb.encapsulation && matches!(skb.checksum, Checksum::Partial { .. }) => {
                self.refuse(machine, skb, DropReason::Unsupported);
            }
            Some(outer) => self.ipip_send(machine, device, skb, (&inner, external), &outer),
            None => self.refuse(machine, skb, DropReason::NoTunnelKey),
        }
        xmit::SUCCESS
    }

    /// `ip_tunnel_xmit`, `ip_md_tunnel_xmit`.
    fn ipip_send(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        mut skb: Skb,
        (inner, external): (&Ipv4, bool),
        outer: &Outer,
    ) {
        let node = self.node_of(device);
        let Ok((out, source)) =
            self.route_output(node, outer.source, outer.destination, outer.mark)
        else {
            self.refuse(machine, skb, DropReason::NoRoute);
            return;
        };
        if out.device == device {
            self.refuse(machine, skb, DropReason::Recursion);
            return;
        }
        let room = self.ipip_room(device, &skb, &out, inner, outer);
        let answers = external || skb.routed;
        if skb.gso.size == 0 && inner.dont_fragment && skb.frame.len() > room {
            if answers {
                let error = Error::with(icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED, room);
                self.icmp_error(machine, &skb, error, Receipt::Transit);
            }
            self.refuse(machine, skb, DropReason::TooLong);
            return;
        }
        if self.count_failure(device) && answers {
            let error = Error::new(icmp::UNREACHABLE, icmp::HOST_UNREACHABLE);
            self.icmp_error(machine, &skb, error, Receipt::Transit);
        }
        let added = wire::IPV4 as u32;
        skb.metadata = 0;
        if skb
            .reserve_head(&mut machine.memory, added + 2 * ETH_HLEN)
            .is_err()
        {
            self.refuse(machine, skb, DropReason::Memory);
            return;
        }
        const INHERIT: u8 = 1;
        let tos = match outer.tos {
            INHERIT => inner.tos,
            tos => tos,
        };
        let mut header = Vec::with_capacity(wire::IPV4);
        Ipv4 {
            len: wire::IPV4,
            tos: encapsulate_mark(tos, inner.tos),
            total: wire::IPV4 + skb.frame.len() as usize,
            id: self.next_ident(node),
            dont_fragment: outer.dont_fragment && !out.mtu_locked,
            more_fragments: false,
            offset: 0,
            ttl: match outer.ttl {
                0 => inner.ttl,
                ttl => ttl,
            },
            protocol: proto::IPIP,
            source,
            destination: outer.destination,
        }
        .write(&mut header);
        skb.scrub();
        skb.clear_control_block();
        skb.encapsulation = matches!(skb.checksum, Checksum::Partial { .. });
        skb.frame.push(added);
        let front = machine.memory.raw_mut(skb.frame.data(), added);
        front.copy_from_slice(&header);
        skb.network_header = skb.frame.data();
        skb.transport_header = Some(skb.frame.data() + added);
        skb.mac_header = None;
        self.place(&mut skb, device);
        self.ipv4_output(machine, skb, &out, true);
    }

    /// `tnl_update_pmtu`: how long a packet may be for the tunnel's way, which the node remembers for the packet's own.
    fn ipip_room(
        &mut self,
        device: DeviceId,
        skb: &Skb,
        out: &Route,
        inner: &Ipv4,
        outer: &Outer,
    ) -> u32 {
        let own = self.device(device).mtu;
        if !outer.dont_fragment {
            return own;
        }
        let way = self.path_mtu(out, outer.destination.into());
        let room = way.saturating_sub(wire::IPV4 as u32);
        if skb.routed && room < own {
            let node = self.node_of(device);
            self.learn_mtu(node, inner.destination.into(), room);
        }
        room
    }

    /// Whether the sender of a packet is to be told that the other end of a tunnel is not reached.
    fn count_failure(&mut self, device: DeviceId) -> bool {
        match &mut self.device_mut(device).medium {
            Medium::Ipip(ipip) if ipip.failures > 0 => {
                ipip.failures -= 1;
                true
            }
            _ => false,
        }
    }

    /// `ipip_err`: an ICMP error, of a type and a code, is about a packet that a tunnel has sent.
    pub(super) fn ipip_error(
        &mut self,
        node: NodeId,
        (kind, code): (u8, u8),
        mtu: u32,
        quoted: &Ipv4,
    ) {
        const SOURCE_ROUTE_FAILED: u8 = 5;
        let Some((device, own)) = self.ipip_between(node, quoted.destination, quoted.source) else {
            return;
        };
        let inherits_life = own.ttl == 0;
        let fixed = own.remote.is_some();
        match (kind, code) {
            (icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED) => {
                self.learn_mtu(node, quoted.destination.into(), mtu);
                return;
            }
            (icmp::UNREACHABLE, SOURCE_ROUTE_FAILED) => return,
            (icmp::UNREACHABLE, _) => {}
            (icmp::TIME_EXCEEDED, 0) if !inherits_life => {}
            _ => return,
        }
        if let Medium::Ipip(ipip) = &mut self.device_mut(device).medium
            && fixed
        {
            ipip.failures += 1;
        }
    }
}

/// An address as tunnel keys have it.
fn first_four(address: Ipv4Addr) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&address.octets());
    bytes
}
