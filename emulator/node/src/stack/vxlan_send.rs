//! What VXLAN devices send (`vxlan_xmit` of `drivers/net/vxlan/vxlan_core.c`, `net/ipv4/udp_tunnel_core.c`).

use std::net::IpAddr;

use twinpath_machine::Machine;

use super::ecn::encapsulate_mark;
use super::ipv6;
use super::local::UDP_HEADER;
use super::vxlan::{HAS_VNI, PORTS, VXLAN_HEADER, Vxlan};
use super::wire::{self, Ipv4, Ipv6, proto};
use crate::config::VxlanDf;
use crate::net::{DeviceId, DropReason, Net, NodeId, xmit};
use crate::network::Route;
use crate::packet::{Checksum, ETH_HLEN, EtherType, Skb, Sum, Tunnel, flow, tunnel_flag};
use crate::types::Mac;

/// How one packet is to be sent.
struct Outer {
    vni: u32,
    source: Option<IpAddr>,
    destination: IpAddr,
    tos: u8,
    ttl: u8,
    label: u32,
    dont_fragment: bool,
    checksum: bool,
}

impl Net {
    /// `vxlan_xmit`: a frame that begins with its Ethernet header leaves by a VXLAN device.
    pub(crate) fn vxlan_transmit(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        skb: Skb,
    ) -> i64 {
        let Some(vxlan) = self.vxlan(device) else {
            self.refuse(machine, skb, DropReason::NoDevice);
            return xmit::DROP;
        };
        let Some(vni) = vxlan.config.vni else {
            match skb
                .tunnel
                .as_ref()
                .filter(|tunnel| tunnel.set)
                .map(outer_by_key)
            {
                Some(outer) => self.vxlan_send(machine, device, skb, &outer),
                None => self.refuse(machine, skb, DropReason::NoTunnelKey),
            }
            return xmit::SUCCESS;
        };
        let header = skb.frame.slice(&machine.memory, 0, ETH_HLEN);
        let mut to = [0; 6];
        to.copy_from_slice(header.map_or(&[0; 6], |header| &header[..6]));
        let ends = vxlan.ends(Mac(to)).to_vec();
        let Some((last, others)) = ends.split_last() else {
            self.refuse(machine, skb, DropReason::NoStation);
            return xmit::SUCCESS;
        };
        let inner = Inner::of(&skb, machine);
        let outers = others.iter().chain([last]);
        let outers: Vec<Outer> = outers
            .map(|end| outer_by_config(vxlan, vni, *end, inner))
            .collect();
        let Some((last, others)) = outers.split_last() else {
            return xmit::SUCCESS;
        };
        for outer in others {
            if let Ok(copy) = skb.copy(&mut self.pool, &mut machine.memory) {
                self.vxlan_send(machine, device, copy, outer);
            }
        }
        self.vxlan_send(machine, device, skb, last);
        xmit::SUCCESS
    }

    /// `vxlan_xmit_one`.
    fn vxlan_send(&mut self, machine: &mut Machine, device: DeviceId, mut skb: Skb, outer: &Outer) {
        let node = self.node_of(device);
        let Some((out, source, destination)) = self.tunnel_route(node, outer) else {
            self.refuse(machine, skb, DropReason::NoRoute);
            return;
        };
        if out.device == device {
            self.refuse(machine, skb, DropReason::Recursion);
            return;
        }
        let inner = Inner::of(&skb, machine);
        let tos = encapsulate_mark(outer.tos, inner.class);
        let port = self.vxlan(device).map_or(0, Vxlan::port);
        let from = source_port(&skb, machine);
        let head = if destination.is_ipv6() {
            wire::IPV6
        } else {
            wire::IPV4
        };
        let added = (head + UDP_HEADER + VXLAN_HEADER) as u32;
        let room = added + 2 * ETH_HLEN;
        if skb.reserve_head(&mut machine.memory, room).is_err() {
            self.refuse(machine, skb, DropReason::Memory);
            return;
        }
        let len = UDP_HEADER + VXLAN_HEADER + skb.frame.len() as usize;
        self.learn_path_mtu(machine, &skb, &out, added);
        let mut headers = Vec::with_capacity(added as usize);
        let ttl = match outer.ttl {
            0 => self.ttl(node),
            ttl => ttl,
        };
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ipv4 {
                len: head,
                tos,
                total: head + len,
                id: self.next_ident(node),
                dont_fragment: outer.dont_fragment,
                more_fragments: false,
                offset: 0,
                ttl,
                protocol: proto::UDP,
                source,
                destination,
            }
            .write(&mut headers),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Ipv6 {
                class: tos,
                label: outer.label,
                payload: len,
                next: proto::UDP,
                hop_limit: ttl,
                source,
                destination,
            }
            .write(&mut headers),
            _ => {
                self.refuse(machine, skb, DropReason::NoRoute);
                return;
            }
        }
        headers.extend_from_slice(&from.to_be_bytes());
        headers.extend_from_slice(&port.to_be_bytes());
        headers.extend_from_slice(&(len as u16).to_be_bytes());
        headers.extend_from_slice(&[0, 0, HAS_VNI, 0, 0, 0]);
        headers.extend_from_slice(&(outer.vni << 8).to_be_bytes());
        skb.frame.push(added);
        machine
            .memory
            .raw_mut(skb.frame.data(), added)
            .copy_from_slice(&headers);
        let udp = skb.frame.data() + head as u32;
        skb.network_header = skb.frame.data();
        skb.transport_header = Some(udp);
        skb.mac_header = None;
        skb.vlan = None;
        skb.tunnel = None;
        skb.clear_control_block();
        skb.encapsulation = true;
        if outer.checksum {
            let seed = wire::pseudo_header(source, destination, proto::UDP, len);
            leave_checksum(&mut skb, machine, udp, seed);
        }
        self.place(&mut skb, device);
        match destination {
            IpAddr::V4(_) => {
                self.ipv4_output(machine, skb, &out, true);
            }
            IpAddr::V6(destination) => {
                skb.protocol = EtherType::IPV6;
                // Routers do not fragment, and neither does a tunnel: the node tells itself (`ip6_fragment`).
                let mtu = self.mtu_of(&out);
                if self.is_too_big(machine, &skb, mtu) {
                    self.refuse(machine, skb, DropReason::TooLong);
                    return;
                }
                self.ipv6_output(machine, skb, &out, destination);
            }
        }
    }

    /// `skb_tunnel_check_pmtu`: what is too long for a tunnel teaches its own way's length.
    fn learn_path_mtu(&mut self, machine: &Machine, skb: &Skb, out: &Route, added: u32) {
        let room = self.mtu_of(out).saturating_sub(added + ETH_HLEN);
        let offset = skb.network_offset().max(0) as u32;
        if !skb.routed || skb.gso.size != 0 || skb.frame.len() - offset <= room {
            return;
        }
        let bytes = skb.frame.bytes(&machine.memory);
        let bytes = bytes.get(offset as usize..).unwrap_or_default();
        let ipv4 = Ipv4::parse(bytes).map(|header| header.destination.into());
        // A way that is shorter than each way of IPv6 must be is not believed.
        let ipv6 = Ipv6::parse(bytes).filter(|_| room >= ipv6::MIN_MTU);
        let ipv6 = ipv6.map(|header| header.destination.into());
        let node = self.node_of(skb.device);
        if let (Some(to), Some(stack)) = (ipv4.or(ipv6), self.stack_mut(node)) {
            stack.path_mtus.insert(to, room);
        }
    }

    /// `udp_tunnel_dst_lookup`.
    fn tunnel_route(&self, node: NodeId, outer: &Outer) -> Option<(Route, IpAddr, IpAddr)> {
        let unspecified = |address: &IpAddr| address.is_unspecified();
        let source = outer.source.filter(|source| !unspecified(source));
        match outer.destination {
            IpAddr::V4(destination) => {
                let source = source.and_then(|source| match source {
                    IpAddr::V4(source) => Some(source),
                    IpAddr::V6(_) => None,
                });
                let (route, source) = self.route_output(node, source, destination, 0).ok()?;
                Some((route, source.into(), destination.into()))
            }
            IpAddr::V6(destination) => {
                let out = ipv6::Outgoing {
                    source: source.and_then(|source| match source {
                        IpAddr::V6(source) => Some(source),
                        IpAddr::V4(_) => None,
                    }),
                    destination,
                    protocol: proto::UDP,
                    class: 0,
                    output: None,
                    on_link: false,
                    hop_limit: None,
                };
                let (route, source) = self.route_output_ipv6(node, &out, 0).ok()?;
                Some((route, source.into(), destination.into()))
            }
        }
    }
}

/// What the inner IP header says to the outer one.
#[derive(Debug, Clone, Copy)]
struct Inner {
    class: u8,
    dont_fragment: bool,
}

impl Inner {
    /// `ip_tunnel_get_dsfield`, of a frame that begins with its Ethernet header.
    fn of(skb: &Skb, machine: &Machine) -> Self {
        let offset = skb.network_offset().max(0) as usize;
        let bytes = skb
            .frame
            .bytes(&machine.memory)
            .get(offset..)
            .unwrap_or_default();
        let ipv4 = Ipv4::parse(bytes).filter(|_| skb.protocol == EtherType::IPV4);
        let ipv6 = Ipv6::parse(bytes).filter(|_| skb.protocol == EtherType::IPV6);
        match (ipv4, ipv6) {
            (Some(header), _) => Self {
                class: header.tos,
                dont_fragment: header.dont_fragment,
            },
            (_, Some(header)) => Self {
                class: header.class,
                dont_fragment: true,
            },
            _ => Self {
                class: 0,
                dont_fragment: false,
            },
        }
    }
}

fn outer_by_config(vxlan: &Vxlan, vni: u32, end: IpAddr, inner: Inner) -> Outer {
    const INHERIT: u8 = 1;
    let config = &vxlan.config;
    Outer {
        vni,
        source: config.local,
        destination: end,
        tos: match config.tos {
            INHERIT => inner.class,
            tos => tos,
        },
        ttl: config.ttl,
        label: 0,
        dont_fragment: match config.dont_fragment {
            VxlanDf::Unset => false,
            VxlanDf::Set => true,
            VxlanDf::Inherit => inner.dont_fragment,
        },
        checksum: config.checksum || end.is_ipv6(),
    }
}

fn outer_by_key(tunnel: &Tunnel) -> Outer {
    let address = |octets: [u8; 16]| match tunnel.ipv6 {
        true => IpAddr::from(octets),
        false => super::v4_at(&octets, 0).into(),
    };
    let has = |bit| tunnel.flags & bit != 0;
    Outer {
        vni: tunnel.id & 0x00ff_ffff,
        source: Some(address(tunnel.source)),
        destination: address(tunnel.destination),
        tos: tunnel.tos,
        ttl: tunnel.ttl,
        label: tunnel.label,
        dont_fragment: has(tunnel_flag::DONT_FRAGMENT),
        checksum: has(tunnel_flag::CSUM),
    }
}

/// `udp_flow_src_port`: the same for all packets of a flow. The kernel's hash has a random key.
fn source_port(skb: &Skb, machine: &Machine) -> u16 {
    let hash = match skb.hash.known {
        true => skb.hash.value,
        false => flow::hash(skb, &machine.memory).value,
    };
    let (low, high) = PORTS;
    let range = u64::from(high - low);
    low + ((u64::from(hash) * range) >> 32) as u16
}

/// `udp_set_csum`: leaves the outer checksum to the device, unless the inner one is left to it: then
/// the outer one is known without looking at what the inner covers.
fn leave_checksum(skb: &mut Skb, machine: &mut Machine, udp: u32, seed: Sum) {
    const FIELD: u32 = 6;
    let value = match skb.checksum {
        Checksum::Partial { start, offset } => {
            let field = machine.memory.raw(start + offset, 2);
            let inner = !Sum::unfold(u16::from_le_bytes([field[0], field[1]]));
            let before = machine.memory.raw(udp, start - udp);
            match Sum::of(before, inner.add(seed)).fold() {
                0 => 0xffff,
                sum => sum,
            }
        }
        _ => {
            skb.checksum = Checksum::Partial {
                start: udp,
                offset: FIELD,
            };
            seed.to_16()
        }
    };
    let field = machine.memory.raw_mut(udp + FIELD, 2);
    field.copy_from_slice(&value.to_le_bytes());
}
