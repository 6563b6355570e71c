//! Packets that arrive for sockets, and errors about those that they sent (`__udp4_lib_rcv`, `__udp6_lib_rcv`,
//! `__udp4_lib_err`, `__udp6_lib_err`).

use std::net::{IpAddr, SocketAddr};

use twinpath_machine::{AttachType, Errno, SocketId};

use super::calls::SocketCalls;
use super::filter::Passage;
use super::lookup::Query;
use super::types::{Flow, Protocol, State};
use crate::net::{DeviceId, DropReason, Net};
use crate::packet::Skb;
use crate::types::Ifindex;

/// What an error about a packet says to the socket that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// What its next call gives.
    pub(crate) errno: Errno,
    /// Whether a socket hears of it that has not asked for all errors.
    pub(crate) hard: bool,
}

impl Report {
    /// Nobody has the port.
    pub(crate) const REFUSED: Self = Self::hard(Errno::ECONNREFUSED);

    pub(crate) const fn hard(errno: Errno) -> Self {
        Self { errno, hard: true }
    }

    pub(crate) const fn soft(errno: Errno) -> Self {
        Self { errno, hard: false }
    }
}

impl SocketCalls<'_> {
    /// The socket that a packet goes to: the one that a program gave it to (`inet_steal_sock`), or the one that its
    /// addresses lead to.
    pub(crate) fn receiver(&mut self, skb: &Skb, flow: Flow) -> Option<SocketId> {
        let assigned = skb.socket.filter(|_| skb.assigned);
        let Some(socket) = assigned.and_then(|id| self.net.sockets.get(id)) else {
            return self.find_socket(&query(self.net, skb, flow));
        };
        // What is connected got the packet itself.
        let open = matches!(socket.state, State::Closed | State::Listen);
        let member = self.net.sockets.choose_in_group(socket, &flow);
        Some(member.filter(|_| open).unwrap_or(socket.id))
    }

    /// All UDP sockets that a packet to several hosts is for.
    pub(crate) fn receivers(&self, skb: &Skb, flow: Flow) -> Vec<SocketId> {
        self.net.sockets.datagrams_for(&query(self.net, skb, flow))
    }

    /// A UDP socket gets a packet, whose payload begins at `at` (`udp_queue_rcv_one_skb`). The packet, and why the
    /// socket has not got it. `sums_up` says whether its checksum is right, which is looked at last.
    pub(crate) fn take_datagram(
        &mut self,
        skb: Skb,
        id: SocketId,
        from: SocketAddr,
        (at, sums_up): (usize, bool),
    ) -> (Skb, Result<(), DropReason>) {
        let (skb, passage) = self.filter_packet(id, AttachType::CgroupInetIngress, skb);
        let taken = match passage {
            Err(_) => Err(DropReason::Fault),
            Ok(Passage::Lost(_)) => Err(DropReason::Verdict),
            Ok(Passage::Goes) if !sums_up => Err(DropReason::Checksum),
            Ok(Passage::Goes) => {
                let bytes = skb.frame.bytes(&self.machine.memory);
                let bytes = bytes.get(at..).unwrap_or_default().to_vec();
                self.queue_datagram(id, from, bytes);
                Ok(())
            }
        };
        (skb, taken)
    }

    /// An error about a packet of a flow came: of a connected UDP socket that sent it, the next call says so. Whether
    /// there is such a socket. A connection only takes note of one while a call is under way (`tcp_v4_err`).
    pub(crate) fn report(&mut self, query: &Query, report: Report) -> bool {
        if query.flow.protocol == Protocol::Tcp {
            return false;
        }
        let found = self.find_socket(query);
        let Some(socket) = found.and_then(|id| self.net.sockets.get_mut(id)) else {
            return false;
        };
        if socket.state == State::Established && report.hard {
            socket.error = Some(report.errno);
        }
        true
    }
}

impl Net {
    /// The index of the device that a packet to an own address arrived by: of one by the loopback device the one that has
    /// the address (`inet_iif`, `inet6_iif`).
    pub(crate) fn arrived_by(&self, skb: &Skb, to: IpAddr) -> u32 {
        match skb.ifindex == Ifindex::LOOPBACK.get() {
            true => self
                .sockets
                .arrival(self.device(skb.device).node(), to, None),
            false => skb.ifindex,
        }
    }

    /// That device itself, where answers without a way of their own leave by it (`icmp6_iif`, `tcp_v6_iif`).
    pub(crate) fn arrival_device(&self, skb: &Skb, to: IpAddr) -> DeviceId {
        let found = self.find(self.device(skb.device).node(), self.arrived_by(skb, to));
        found.unwrap_or(skb.device)
    }

    /// The mark of what is sent in a socket's stead (`tcp_v4_send_reset`).
    pub(crate) fn mark_of(&self, socket: Option<SocketId>) -> u32 {
        let socket = socket.and_then(|id| self.sockets.get(id));
        socket.map_or(0, |socket| socket.options.mark)
    }
}

impl SocketCalls<'_> {
    /// Shows the programs of a socket's cgroup a reset that is sent in its stead over IPv4, as Linux does since 6.13
    /// (`ip_send_unicast_reply`); none if they lose it. What is left of a connection has no cgroup.
    pub(crate) fn show_reset(&mut self, socket: Option<SocketId>, mut reset: Skb) -> Option<Skb> {
        let state = |id| self.net.sockets.get(id).map(|socket| socket.state);
        let Some(id) = socket.filter(|id| state(*id).is_some_and(State::is_full)) else {
            return Some(reset);
        };
        self.net.show_socket(self.machine, id, &mut reset);
        let (reset, passage) = self.filter_packet(id, AttachType::CgroupInetEgress, reset);
        if matches!(passage, Ok(Passage::Goes)) {
            return Some(reset);
        }
        reset.frame.free(&mut self.net.pool);
        None
    }

    /// A segment of a flow was longer than a link on its way takes, which is packets of `mtu` bytes. `first` is the number
    /// of the segment's first byte.
    pub(crate) fn hear_of_longest(&mut self, query: &Query, first: u32, mtu: u32) {
        if let Some(id) = self.net.sockets.find_connection(query) {
            self.hear_of_mtu(id, first, mtu);
        }
    }
}

/// What is asked for the socket of a packet.
pub(super) fn query(net: &Net, skb: &Skb, flow: Flow) -> Query {
    Query {
        node: net.device(skb.device).node(),
        flow,
        device: net.arrived_by(skb, flow.local.ip()),
    }
}
