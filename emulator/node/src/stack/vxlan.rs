//! VXLAN devices (RFC 7348, `drivers/net/vxlan/vxlan_core.c`, `net/ipv4/udp_tunnel_core.c`).
//!
//! What they send is in `vxlan_send.rs`. Groups as remote ends are refused; a tunnel to the node itself is not short-circuited.

use std::collections::BTreeMap;
use std::net::IpAddr;

use twinpath_machine::Machine;

use super::ecn::decapsulate_mark;
use super::local::{Datagram, UDP_HEADER};
use super::wire::{Ipv4, Ipv6};
use crate::config::VxlanConfig;
use crate::net::{DeviceId, DropReason, Medium, Net};
use crate::packet::{ETH_HLEN, PacketType, Skb, Tunnel, tunnel_flag};
use crate::socket::Flow;
use crate::types::Mac;

/// Bytes of a VXLAN header.
pub(super) const VXLAN_HEADER: usize = 8;
/// The flag that says that there is a network identifier.
pub(super) const HAS_VNI: u8 = 0x08;
/// `net.ipv4.ip_local_port_range`, from which source ports are taken.
pub(super) const PORTS: (u16, u16) = (32768, 60999);
/// The entry for stations that no other is for.
const ANYWHERE: Mac = Mac([0; 6]);

/// A VXLAN device's own state.
#[derive(Debug)]
pub(crate) struct Vxlan {
    pub(super) config: VxlanConfig,
    /// Where stations are, as somebody said; those of [`ANYWHERE`] each get a copy.
    stations: BTreeMap<Mac, Vec<IpAddr>>,
    /// Where stations are, as their frames say.
    learned: BTreeMap<Mac, [IpAddr; 1]>,
}

impl Vxlan {
    pub(super) fn new(config: &VxlanConfig) -> Self {
        let mut stations: BTreeMap<Mac, Vec<IpAddr>> = BTreeMap::new();
        let anywhere = config.remote.map(|remote| (ANYWHERE, remote));
        for (mac, end) in anywhere.into_iter().chain(config.fdb.iter().copied()) {
            stations.entry(mac).or_default().push(end);
        }
        Self {
            config: config.clone(),
            stations,
            learned: BTreeMap::new(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.config.port
    }

    /// Whether packets of an address family are for this device.
    fn listens(&self, ipv6: bool) -> bool {
        let end = self.config.remote.or(self.config.local);
        self.config.vni.is_none() || end.is_some_and(|end| end.is_ipv6()) == ipv6
    }

    /// `vxlan_find_mac`: where a frame goes.
    pub(super) fn ends(&self, to: Mac) -> &[IpAddr] {
        let said = |mac: &Mac| self.stations.get(mac).map(Vec::as_slice);
        let learned = || self.learned.get(&to).map(<[IpAddr; 1]>::as_slice);
        let ends = said(&to).or_else(learned);
        ends.or_else(|| said(&ANYWHERE)).unwrap_or_default()
    }
}

impl Net {
    pub(super) fn vxlan(&self, device: DeviceId) -> Option<&Vxlan> {
        match &self.device(device).medium {
            Medium::Vxlan(vxlan) => Some(vxlan),
            _ => None,
        }
    }

    /// `vxlan_rcv`: takes a datagram that is for a tunnel; others are given back. `at` is where the
    /// UDP header is.
    pub(super) fn vxlan_input(
        &mut self,
        machine: &mut Machine,
        skb: Skb,
        at: usize,
        flow: Flow,
        datagram: &Datagram,
    ) -> Option<Skb> {
        let node = self.node_of(skb.device);
        let port = flow.local.port();
        let listens = |device: &DeviceId| {
            let ipv6 = flow.local.is_ipv6();
            self.device(*device).up && self.vxlan(*device).is_some_and(|vxlan| vxlan.listens(ipv6))
        };
        let devices = self.stack(node)?.tunnels.get(&port);
        let devices = devices.into_iter().flatten().copied();
        let devices: Vec<DeviceId> = devices.filter(listens).collect();
        if devices.is_empty() {
            return Some(skb);
        }
        let mut skb = skb;
        match self.decapsulate(machine, &mut skb, at, flow, datagram, &devices) {
            Ok(device) => self.enqueue(device, skb),
            Err(reason) => self.refuse(machine, skb, reason),
        }
        None
    }

    /// Takes the outer headers off, for the device whose tunnel it is.
    fn decapsulate(
        &mut self,
        machine: &mut Machine,
        skb: &mut Skb,
        at: usize,
        flow: Flow,
        datagram: &Datagram,
        devices: &[DeviceId],
    ) -> Result<DeviceId, DropReason> {
        let needed = (at + UDP_HEADER + VXLAN_HEADER) as u32;
        let zero_over_ipv6 = flow.local.is_ipv6() && !datagram.has_checksum;
        if !datagram.sums_up || zero_over_ipv6 {
            return Err(DropReason::Checksum);
        }
        let bytes = skb.frame.bytes(&machine.memory);
        let header = bytes.get(at + UDP_HEADER..needed as usize);
        let Some(&[HAS_VNI, 0, 0, 0, a, b, c, 0]) = header else {
            return Err(DropReason::Malformed);
        };
        let vni = u32::from_be_bytes([0, a, b, c]);
        let own = |device: &DeviceId| self.vxlan(*device).map(|vxlan| vxlan.config.vni);
        let fits = |device: &&DeviceId| {
            matches!(own(device), Some(None)) || own(device) == Some(Some(vni))
        };
        let device = *devices.iter().find(fits).ok_or(DropReason::NoDevice)?;
        let external = own(&device) == Some(None);
        let (tos, tunnel) = outer_of(bytes, vni, datagram.has_checksum);
        skb.tunnel = tunnel.filter(|_| external);
        if !skb.make_writable(needed + ETH_HLEN) {
            return Err(DropReason::Malformed);
        }
        let outer = skb.frame.data();
        skb.frame.pull(needed);
        // Of what was left to the device, the outer checksum is gone.
        skb.pulled(&machine.memory, outer, needed);
        skb.vlan = None;
        skb.routed = false;
        skb.encapsulation = false;
        skb.packet_type = PacketType::Host;
        skb.take_ethernet(&machine.memory, self.device(device).link());
        let mac = skb.mac_header.unwrap_or(skb.frame.data());
        let mut source = [0; 6];
        source.copy_from_slice(machine.memory.raw(mac + 6, 6));
        if Mac(source) == self.device(device).mac {
            return Err(DropReason::OwnFrame);
        }
        if !self.snoop(device, Mac(source), flow.remote.ip()) {
            return Err(DropReason::NoStation);
        }
        if !decapsulate_mark(skb, machine, tos) {
            return Err(DropReason::Malformed);
        }
        Ok(device)
    }

    /// `vxlan_snoop`: remembers where a station is; false when somebody has said that it is elsewhere.
    fn snoop(&mut self, device: DeviceId, station: Mac, end: IpAddr) -> bool {
        let Medium::Vxlan(vxlan) = &mut self.device_mut(device).medium else {
            return true;
        };
        if !vxlan.config.learning || vxlan.config.vni.is_none() {
            return true;
        }
        if let Some(ends) = vxlan.stations.get(&station) {
            return ends.contains(&end);
        }
        vxlan.learned.insert(station, [end]);
        true
    }
}

/// `udp_tun_rx_dst`: type of service and key of what came through a tunnel; `bytes` begin with the
/// outer header.
fn outer_of(bytes: &[u8], vni: u32, has_checksum: bool) -> (u8, Option<Tunnel>) {
    let mut tunnel = Tunnel {
        id: vni,
        flags: tunnel_flag::KEY,
        ..Tunnel::default()
    };
    if has_checksum {
        tunnel.flags |= tunnel_flag::CSUM;
    }
    if let Some(header) = Ipv4::parse(bytes) {
        tunnel.source[..4].copy_from_slice(&header.source.octets());
        tunnel.destination[..4].copy_from_slice(&header.destination.octets());
        (tunnel.tos, tunnel.ttl) = (header.tos, header.ttl);
    } else if let Some(header) = Ipv6::parse(bytes) {
        tunnel.ipv6 = true;
        tunnel.source = header.source.octets();
        tunnel.destination = header.destination.octets();
        (tunnel.tos, tunnel.ttl) = (header.class, header.hop_limit);
        tunnel.label = header.label;
    } else {
        return (0, None);
    }
    (tunnel.tos, Some(tunnel))
}
