//! What redirect helpers prepare and verdicts carry out (`struct bpf_redirect_info`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use twinpath_machine::maps::Target;
use twinpath_machine::{Errno, Machine, MapId};

use super::{DeviceId, DropReason, EndKind, Medium, Net, xmit};
use crate::network::{Network, RouteKind, RouteQuery};
use crate::packet::{ETH_HLEN, EtherType, Skb};
use crate::types::Mac;

/// The target that the last redirect helper named.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RedirectInfo {
    /// The index of a device, or the key of a map's entry.
    pub(crate) index: u32,
    /// How a tc program's packet gets there.
    pub(crate) skb: SkbTarget,
    /// What kind of target an XDP program's packet has.
    pub(crate) xdp: XdpTarget,
}

/// How a tc program's packet gets to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SkbTarget {
    /// The device sends it.
    #[default]
    Egress,
    /// The device receives it.
    Ingress,
    /// The device sends it to a neighbour, under a new Ethernet header.
    Neighbour(NextHop),
    /// The device's peer in another namespace receives it at once.
    Peer,
}

/// The neighbour that a packet is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextHop {
    /// The one on the route to the packet's destination.
    Routed,
    /// This one.
    Given(IpAddr),
    /// One of an address family that there is not.
    Unknown,
}

/// What kind of target an XDP program's packet has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum XdpTarget {
    /// No helper named one.
    #[default]
    None,
    /// The device of the index.
    Device,
    /// An entry of a map.
    Entry(Target),
    /// All entries of a map.
    Broadcast { map: MapId, exclude_ingress: bool },
}

/// Where a packet for a neighbour goes.
enum Next {
    Neighbour(IpAddr),
    /// To this host, over a device that it is not on.
    Own,
}

impl Net {
    /// `skb_do_redirect`: a packet that begins with its link-layer header goes where the last
    /// redirect helper said.
    pub(super) fn skb_redirect(&mut self, machine: &mut Machine, device: DeviceId, skb: Skb) {
        let node = self.device(device).node;
        let index = std::mem::take(&mut self.redirect.index);
        let kind = std::mem::take(&mut self.redirect.skb);
        match self.find(node, index) {
            None => self.drop_skb(machine, device, skb, DropReason::NoDevice),
            Some(to) if kind == SkbTarget::Peer => self.redirect_peer(machine, skb, to),
            Some(to) => {
                self.redirect_to(machine, skb, to, kind);
            }
        }
    }

    /// `__bpf_redirect`, `__bpf_redirect_neigh`. What the kernel's function returns.
    pub(crate) fn redirect_to(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        to: DeviceId,
        kind: SkbTarget,
    ) -> i64 {
        if !self.device(to).has_link_header() && !matches!(kind, SkbTarget::Neighbour(_)) {
            return self.redirect_without_header(machine, skb, to, kind);
        }
        let headless = skb.mac_header.is_none_or(|mac| mac >= skb.network_header);
        if headless || skb.frame.len() == 0 {
            self.drop_skb(machine, to, skb, DropReason::NoHeader);
            return xmit::error(Errno::ERANGE);
        }
        if let (true, Some(mac)) = (skb.at_ingress, skb.mac_header) {
            skb.pushed(&machine.memory, mac, skb.mac_len);
        }
        match kind {
            SkbTarget::Egress | SkbTarget::Peer => {
                // __bpf_tx_skb: skb_set_redirected.
                skb.redirected = true;
                self.transmit(machine, to, skb)
            }
            SkbTarget::Neighbour(next) => self.redirect_neighbour(machine, skb, to, next),
            SkbTarget::Ingress if !self.device(to).up => {
                self.drop_skb(machine, to, skb, DropReason::DeviceDown);
                xmit::DROP
            }
            SkbTarget::Ingress => {
                self.forward(machine, to, &mut skb);
                self.enqueue(to, skb);
                xmit::SUCCESS
            }
        }
    }

    /// `__bpf_redirect_no_mac`: to a device on which packets begin with their network header.
    fn redirect_without_header(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        to: DeviceId,
        kind: SkbTarget,
    ) -> i64 {
        let header = skb.network_offset().max(0) as u32;
        if skb.frame.len() <= header {
            self.drop_skb(machine, to, skb, DropReason::NoHeader);
            return xmit::error(Errno::ERANGE);
        }
        let front = skb.frame.data();
        skb.frame.pull(header);
        if !skb.at_ingress {
            skb.pulled(&machine.memory, front, header);
        }
        skb.mac_header = Some(skb.network_header);
        skb.reset_mac_len();
        if kind != SkbTarget::Ingress {
            skb.redirected = true;
            return self.transmit(machine, to, skb);
        }
        if !self.device(to).up {
            self.drop_skb(machine, to, skb, DropReason::DeviceDown);
            return xmit::DROP;
        }
        skb.scrub();
        skb.priority = 0;
        self.enqueue(to, skb);
        xmit::SUCCESS
    }

    /// `bpf_redirect_peer`: the far end of the device receives the packet without a detour over the
    /// backlog.
    fn redirect_peer(&mut self, machine: &mut Machine, mut skb: Skb, to: DeviceId) {
        let node = self.device(to).node;
        let peer = self.device(to).peer.filter(|peer| {
            let peer = self.device(*peer);
            peer.up && peer.node != node
        });
        match peer {
            Some(peer) if skb.at_ingress => {
                skb.scrub();
                let mac_len = skb.mac_len.min(skb.frame.linear());
                skb.frame.pull(mac_len);
                self.received += 1;
                if self.received > super::STORM {
                    self.drop_skb(machine, peer, skb, DropReason::Storm);
                } else {
                    self.receive(machine, peer, skb);
                }
            }
            // What is beyond the world is in another namespace, too.
            None if skb.at_ingress && self.is_edge(to) => {
                skb.scrub();
                // Segments that are joined are seen there as they are.
                if skb.gso.size == 0 {
                    skb.fill_checksum(&mut machine.memory);
                }
                self.end_skb(machine, to, skb, EndKind::Left);
            }
            _ => self.drop_skb(machine, to, skb, DropReason::NoDevice),
        }
    }

    /// Whether a device is the end of a wire that leaves the world.
    fn is_edge(&self, device: DeviceId) -> bool {
        let state = self.device(device);
        state.up && state.peer.is_none() && matches!(state.medium, Medium::Wire)
    }

    /// `__bpf_redirect_neigh`: a new Ethernet header for the next hop.
    fn redirect_neighbour(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        to: DeviceId,
        next: NextHop,
    ) -> i64 {
        let group = skb
            .frame
            .slice(&machine.memory, 0, 1)
            .is_some_and(|first| first[0] & 1 != 0);
        let ip = matches!(skb.protocol, EtherType::IPV4 | EtherType::IPV6);
        if group || !ip || skb.frame.linear() < ETH_HLEN {
            self.drop_skb(machine, to, skb, DropReason::NotForwardable);
            return xmit::error(Errno::ENOTSUPP);
        }
        skb.frame.pull(ETH_HLEN);
        skb.network_header = skb.frame.data();
        match self.next_hop(machine, &skb, to, next) {
            Ok(Next::Own) => {
                // The way to this host leads by the loopback device, which has no addresses.
                write_link_header(machine, &mut skb, Mac([0; 6]), Mac([0; 6]));
                self.transmit(machine, to, skb)
            }
            Ok(Next::Neighbour(next)) => {
                let from = skb.device;
                self.neighbour_output(machine, skb, to, next, from)
            }
            Err(reason) => {
                self.drop_skb(machine, to, skb, reason);
                xmit::DROP
            }
        }
    }

    /// The next hop.
    fn next_hop(
        &self,
        machine: &Machine,
        skb: &Skb,
        to: DeviceId,
        next: NextHop,
    ) -> Result<Next, DropReason> {
        let address = match next {
            NextHop::Given(address) => address,
            NextHop::Unknown => return Err(DropReason::NotForwardable),
            NextHop::Routed => {
                let (source, destination) = addresses(machine, skb).ok_or(DropReason::Malformed)?;
                let query = RouteQuery {
                    destination,
                    source,
                    output: Some(to),
                    strict: false,
                    input: None,
                    mark: skb.mark,
                    table: None,
                };
                let route = self.network.route(self.device(to).node, &query);
                let route = route.filter(|route| !route.kind.leads_nowhere());
                match route {
                    Some(route) if route.kind == RouteKind::Local && destination.is_ipv4() => {
                        return Ok(Next::Own);
                    }
                    Some(route) => route.gateway.unwrap_or(destination),
                    // What has a device and no way is taken to be on its link (`ip_route_output_key_hash_rcu`).
                    None if destination.is_ipv4() => destination,
                    None => return Err(DropReason::NoRoute),
                }
            }
        };
        if skb.protocol == EtherType::IPV6 && address.is_ipv4() {
            return Err(DropReason::NotForwardable);
        }
        Ok(Next::Neighbour(address))
    }

    /// `neigh_output`: puts an Ethernet header before an IP packet.
    pub(crate) fn write_header(
        &self,
        machine: &mut Machine,
        skb: &mut Skb,
        from: DeviceId,
        to: Mac,
    ) {
        write_link_header(machine, skb, self.device(from).mac, to);
    }
}

/// Puts an Ethernet header before an IP packet.
fn write_link_header(machine: &mut Machine, skb: &mut Skb, from: Mac, to: Mac) {
    // The header that was pulled has left the room.
    skb.frame.push(ETH_HLEN);
    let header = machine.memory.raw_mut(skb.frame.data(), ETH_HLEN);
    header[..6].copy_from_slice(&to.0);
    header[6..12].copy_from_slice(&from.0);
    header[12..].copy_from_slice(&skb.protocol.to_wire());
    skb.mac_header = Some(skb.frame.data());
}

/// The addresses of an IP packet that the data begins with.
fn addresses(machine: &Machine, skb: &Skb) -> Option<(IpAddr, IpAddr)> {
    let bytes = skb.frame.bytes(&machine.memory);
    match skb.protocol {
        EtherType::IPV4 => {
            let header: &[u8; 20] = bytes.first_chunk()?;
            let address = |at: usize| {
                IpAddr::V4(Ipv4Addr::new(
                    header[at],
                    header[at + 1],
                    header[at + 2],
                    header[at + 3],
                ))
            };
            Some((address(12), address(16)))
        }
        _ => {
            let header: &[u8; 40] = bytes.first_chunk()?;
            let address = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&header[at..at + 16]);
                IpAddr::V6(Ipv6Addr::from(octets))
            };
            Some((address(8), address(24)))
        }
    }
}
