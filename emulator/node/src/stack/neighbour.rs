//! The last step before a device: the next hop's hardware address (`net/core/neighbour.c`).
//!
//! What is known stays known: no neighbour goes stale here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use twinpath_machine::{Machine, SocketId};

use super::icmp::{self, Error, Receipt};
use super::icmpv6;
use super::timer::SECOND;
use crate::net::{DeviceId, DropReason, Net, xmit};
use crate::network::{Network, RouteKind};
use crate::packet::{Checksum, ChecksumOffload, ETH_HLEN, EtherType, Gso, Skb};
use crate::types::Mac;

/// How often a neighbour is asked for before it counts as unreachable (`mcast_solicit`).
const PROBES: u32 = 3;
/// Nanoseconds between two questions (`retrans_time_ms`).
const INTERVAL: u64 = SECOND;
/// Bytes of packets that wait for one neighbour (`unres_qlen_bytes`).
const QUEUE: usize = 212_992;

/// Neighbours that were asked for and have not answered yet.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    asked: BTreeMap<(DeviceId, IpAddr), Asked>,
}

#[derive(Debug)]
struct Asked {
    /// In the order in which they came.
    waiting: Vec<Parcel>,
    probes: u32,
    /// When it is asked again, or given up.
    due: u64,
}

/// A packet that waits, beginning with its network header.
#[derive(Debug)]
pub(super) struct Parcel {
    bytes: Vec<u8>,
    protocol: EtherType,
    from: DeviceId,
    mark: u32,
    priority: u32,
    offload: Option<ChecksumOffload>,
    gso: Gso,
    /// Bytes of the linear part.
    linear: u32,
    /// The socket that it is of.
    socket: Option<SocketId>,
}

impl Resolver {
    /// The first neighbour whose time has come.
    pub(super) fn due(&self, now: u64) -> Option<(DeviceId, IpAddr)> {
        let mut asked = self.asked.iter();
        let due = asked.find(|(_, asked)| asked.due <= now);
        due.map(|(key, _)| *key)
    }
}

impl Net {
    /// `ip_finish_output2`, `neigh_output`: sends a packet that begins with its network header to a
    /// neighbour. `from` is the device that the packet came in by.
    pub(crate) fn neighbour_output(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        out: DeviceId,
        next: IpAddr,
        from: DeviceId,
    ) -> i64 {
        if !self.device(out).has_link_header() {
            // Nor are there neighbours to ask for (`arp_direct_ops`).
            return self.transmit(machine, out, skb);
        }
        if let Some(mac) = self.link_address(out, next) {
            if skb.reserve_head(&mut machine.memory, ETH_HLEN + 2).is_err() {
                self.refuse(machine, skb, DropReason::Memory);
                return xmit::DROP;
            }
            self.write_header(machine, &mut skb, out, mac);
            return self.transmit(machine, out, skb);
        }
        let node = self.node_of(out);
        if !self.has_stack(node) {
            self.refuse(machine, skb, DropReason::NoNeighbour);
            return xmit::DROP;
        }
        let parcel = Parcel::of(&skb, machine, from);
        self.wait(machine, skb);
        self.ask(machine, (out, next), parcel);
        xmit::SUCCESS
    }

    /// The hardware address that stands for a next hop, as far as it is known.
    fn link_address(&self, out: DeviceId, next: IpAddr) -> Option<Mac> {
        if self.device(out).loopback {
            return Some(Mac([0; 6]));
        }
        match next {
            IpAddr::V4(address) if address.is_multicast() => {
                let [_, b, c, d] = address.octets();
                return Some(Mac([1, 0, 0x5e, b & 0x7f, c, d]));
            }
            IpAddr::V4(address) => {
                let kind = self.address_kind(self.node_of(out), address);
                if kind == RouteKind::Broadcast {
                    return Some(Mac([0xff; 6]));
                }
            }
            IpAddr::V6(address) if address.is_multicast() => {
                let [.., a, b, c, d] = address.octets();
                return Some(Mac([0x33, 0x33, a, b, c, d]));
            }
            IpAddr::V6(_) => {}
        }
        self.network.neighbour(out, next)
    }

    /// `__neigh_event_send`: a packet waits until a neighbour has answered.
    fn ask(&mut self, machine: &mut Machine, key: (DeviceId, IpAddr), parcel: Parcel) {
        let now = machine.clock.monotonic_ns();
        let source = parcel.source();
        let node = self.node_of(key.0);
        let Some(stack) = self.stack_mut(node) else {
            return;
        };
        let known = stack.resolver.asked.contains_key(&key);
        let asked = stack.resolver.asked.entry(key).or_insert(Asked {
            waiting: Vec::new(),
            probes: 1,
            due: now + INTERVAL,
        });
        asked.waiting.push(parcel);
        let mut bytes: usize = asked.waiting.iter().map(|parcel| parcel.bytes.len()).sum();
        while bytes > QUEUE && asked.waiting.len() > 1 {
            bytes -= asked.waiting.remove(0).bytes.len();
        }
        if !known {
            self.probe(machine, key, source);
        }
    }

    /// Asks for a neighbour on behalf of a packet from `source`.
    fn probe(&mut self, machine: &mut Machine, key: (DeviceId, IpAddr), source: Option<IpAddr>) {
        match (key.1, source) {
            (IpAddr::V4(target), source) => {
                let source = source.and_then(|source| match source {
                    IpAddr::V4(source) => Some(source),
                    IpAddr::V6(_) => None,
                });
                self.arp_solicit(machine, key.0, target, source);
            }
            (IpAddr::V6(target), source) => {
                let source = source.and_then(|source| match source {
                    IpAddr::V6(source) => Some(source),
                    IpAddr::V4(_) => None,
                });
                self.ndp_solicit(machine, key.0, target, source);
            }
        }
    }

    /// `neigh_update`: a neighbour's hardware address is known, and what waited for it is sent. One
    /// that nobody wants to know of is only remembered when `create` says so.
    pub(super) fn learn(
        &mut self,
        machine: &mut Machine,
        key: (DeviceId, IpAddr),
        mac: Mac,
        create: bool,
    ) {
        let node = self.node_of(key.0);
        let Some(stack) = self.stack_mut(node) else {
            return;
        };
        let asked = stack.resolver.asked.remove(&key);
        let known = self.network.neighbour(key.0, key.1).is_some();
        if !(create || known || asked.is_some()) {
            return;
        }
        self.network.learn_neighbour(key.0, key.1, mac);
        for parcel in asked.into_iter().flat_map(|asked| asked.waiting) {
            let from = parcel.from;
            if let Some(skb) = self.unpack(machine, &parcel) {
                self.neighbour_output(machine, skb, key.0, key.1, from);
            }
        }
    }

    /// `neigh_timer_handler`: a neighbour has not answered in time.
    pub(super) fn neighbour_timer(&mut self, machine: &mut Machine, key: (DeviceId, IpAddr)) {
        let node = self.node_of(key.0);
        let Some(stack) = self.stack_mut(node) else {
            return;
        };
        let Some(asked) = stack.resolver.asked.get_mut(&key) else {
            return;
        };
        if asked.probes < PROBES {
            asked.probes += 1;
            asked.due += INTERVAL;
            let source = asked.waiting.last().and_then(Parcel::source);
            self.probe(machine, key, source);
            return;
        }
        let asked = stack.resolver.asked.remove(&key);
        for parcel in asked.into_iter().flat_map(|asked| asked.waiting) {
            let Some(skb) = self.unpack(machine, &parcel) else {
                continue;
            };
            if parcel.protocol == EtherType::IPV4 {
                let error = Error::new(icmp::UNREACHABLE, 1);
                self.icmp_error(machine, &skb, error, Receipt::Transit);
            } else {
                let error = icmpv6::Error::new(icmpv6::UNREACHABLE, icmpv6::ADDRESS_UNREACHABLE);
                self.icmpv6_error(machine, &skb, error);
            }
            self.refuse(machine, skb, DropReason::NoNeighbour);
        }
    }

    fn unpack(&mut self, machine: &mut Machine, parcel: &Parcel) -> Option<Skb> {
        let protocol = parcel.protocol;
        let mut skb = self.new_packet(machine, parcel.from, protocol, &parcel.bytes)?;
        (skb.mark, skb.priority) = (parcel.mark, parcel.priority);
        if let Some(offload) = parcel.offload {
            skb.offload_checksum(offload);
        }
        skb.gso = parcel.gso;
        skb.frame.set_linear(parcel.linear);
        if let Some(socket) = parcel.socket {
            self.show_socket(machine, socket, &mut skb);
        }
        Some(skb)
    }
}

impl Parcel {
    fn of(skb: &Skb, machine: &Machine, from: DeviceId) -> Self {
        let offload = match skb.checksum {
            Checksum::Partial { start, offset } => Some(ChecksumOffload {
                start: start.wrapping_sub(skb.frame.data()) as u16,
                offset: offset as u16,
            }),
            _ => None,
        };
        Self {
            bytes: skb.frame.bytes(&machine.memory).to_vec(),
            protocol: skb.protocol,
            from,
            mark: skb.mark,
            priority: skb.priority,
            offload,
            gso: skb.gso,
            linear: skb.frame.linear(),
            socket: skb.socket,
        }
    }

    /// Where the packet comes from.
    fn source(&self) -> Option<IpAddr> {
        match self.protocol {
            EtherType::IPV4 if self.bytes.len() >= super::wire::IPV4 => {
                Some(super::v4_at(&self.bytes, 12).into())
            }
            EtherType::IPV6 if self.bytes.len() >= super::wire::IPV6 => {
                Some(super::v6_at(&self.bytes, 8).into())
            }
            _ => None,
        }
    }
}
