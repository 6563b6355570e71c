//! `cgroup/skb` programs at datagrams between sockets of one node (`__cgroup_bpf_run_filter_skb`): on the way out of the
//! sender's cgroup, and on the way into the receiver's.
//!
//! The packet is the one that loopback carries: from its IP header on, with the sum of the pseudo-header where a device
//! would put the checksum. What Linux draws at random is 0: the identification, the flow label, the hash.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use twinpath_machine::{AttachType, Errno, Fault, FaultKind, ProgramType, SocketId};

use super::calls::SocketCalls;
use super::cgroup::Attached;
use super::hook::Recorded;
use super::pointer::View;
use super::socket::Socket;
use super::types::{Protocol, SocketError, State};
use crate::context;
use crate::net::Subject;
use crate::packet::{Checksum, EtherType, Frame, Owner, Skb, Sum};
use crate::types::Ifindex;

/// Bytes before a packet.
const HEADROOM: u32 = 64;
const UDP: u8 = 17;

/// What a datagram takes of its socket when the call begins, before programs are asked (`ipcm_init_sk`,
/// `ipcm6_init_sk`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    sender: SocketId,
    mark: u32,
    priority: u32,
    tos: u8,
    class: u8,
}

impl Marks {
    pub(super) fn of(socket: &Socket) -> Self {
        Self {
            sender: socket.id,
            mark: socket.options.mark,
            priority: socket.options.priority,
            tos: socket.options.tos,
            class: socket.options.traffic_class,
        }
    }
}

/// What programs make of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    Goes,
    /// It is lost, of which the sender may hear.
    Lost(Option<Errno>),
}

impl SocketCalls<'_> {
    /// Refuses a call whose packets are none here, when programs would meet them.
    pub(super) fn refuse_filters(&self, id: SocketId, what: &str) -> Result<(), SocketError> {
        let sockets = &self.net.sockets;
        let Some(socket) = sockets.get(id) else {
            return Ok(());
        };
        let hooks = [AttachType::CgroupInetEgress, AttachType::CgroupInetIngress];
        let met = |hook| sockets.cgroups.effective(socket.owner.cgroup, hook);
        match hooks.into_iter().flat_map(met).next() {
            None => Ok(()),
            Some(attached) => {
                let program = self.machine.program(attached.program);
                let name = program.map_or("", |program| &program.name);
                let kind = FaultKind::Unsupported(format!("a cgroup/skb program at {what}"));
                Err(SocketError::Fault(Fault::before_start(name, kind)))
            }
        }
    }

    /// The same for segments between a socket and the other end of its connection.
    pub(super) fn refuse_segments(&self, id: SocketId) -> Result<(), SocketError> {
        let peer = self.net.sockets.get(id).and_then(|socket| socket.peer);
        let mut ends = std::iter::once(id).chain(peer);
        ends.try_for_each(|id| self.refuse_filters(id, "a segment of TCP"))
    }

    /// The same for what the end of a socket sends: the end of the connection, or a reset.
    pub(super) fn refuse_end(&self, id: SocketId) -> Result<(), SocketError> {
        let socket = self.net.sockets.get(id);
        let Some(socket) = socket.filter(|socket| socket.protocol == Protocol::Tcp) else {
            return Ok(());
        };
        match socket.state {
            State::Established | State::SynReceived | State::CloseWait => self.refuse_segments(id),
            State::FinWait1 | State::FinWait2 if !socket.stream.is_empty() => {
                self.refuse_segments(id)
            }
            State::Listen => {
                let mut waiting = socket.accepted.iter();
                waiting.try_for_each(|child| self.refuse_segments(*child))
            }
            _ => Ok(()),
        }
    }

    /// Asks the programs of a socket's cgroup about a datagram that it sends or gets.
    pub(super) fn filter(
        &mut self,
        id: SocketId,
        hook: AttachType,
        (from, to): (SocketAddr, SocketAddr),
        marks: Marks,
        bytes: &[u8],
    ) -> Result<Passage, SocketError> {
        let Some(socket) = self.net.sockets.get(id) else {
            return Ok(Passage::Goes);
        };
        let programs = self
            .net
            .sockets
            .cgroups
            .effective(socket.owner.cgroup, hook);
        if programs.is_empty() {
            return Ok(Passage::Goes);
        }
        let mut skb = self.datagram(marks, (from, to), bytes)?;
        let memory = &mut self.machine.memory;
        let Some(socket) = self.net.sockets.get(id) else {
            return Ok(Passage::Goes);
        };
        let object = self.net.sockets.object(memory, id, View::Common);
        skb.owner = Owner::of(socket, object);
        skb.socket = Some(id);
        let is_egress = hook == AttachType::CgroupInetEgress;
        if !is_egress {
            skb.ingress = skb.ifindex;
        }
        let (mut passes, mut flags) = (true, 0);
        let mut subject = Subject::Skb(skb);
        for attached in programs {
            let returned = self.run_filter(id, hook, attached, &mut subject);
            let returned = returned.map_err(SocketError::Fault)?;
            if is_egress {
                flags |= returned >> 1;
            }
            let verdict = if is_egress { returned & 1 } else { returned };
            passes &= verdict != 0;
        }
        if let Subject::Skb(skb) = subject {
            skb.frame.free(&mut self.net.pool);
        }
        // With the bit for congestion the sender is told nothing of a loss.
        Ok(match (passes, flags & 1) {
            (true, _) => Passage::Goes,
            (false, 0) if is_egress => Passage::Lost(Some(Errno::EPERM)),
            _ => Passage::Lost(None),
        })
    }

    fn run_filter(
        &mut self,
        id: SocketId,
        hook: AttachType,
        attached: Attached,
        subject: &mut Subject,
    ) -> Result<u32, Box<Fault>> {
        let at = self.net.next_context();
        let size = context::layout(ProgramType::CgroupSkb, None).map_or(0, |layout| layout.size);
        subject.publish(&mut self.machine.memory, at);
        let by = Recorded {
            hook,
            program: attached.program,
            socket: Some(id),
            cgroup: Some(attached.cgroup),
        };
        self.record(by, (at, size), |calls| {
            calls.net.filtering = Some(attached.key(hook));
            let outcome = calls.net.execute(calls.machine, attached.program, subject);
            calls.net.filtering = None;
            outcome
        })
    }

    /// The packet of a datagram on the loopback device.
    fn datagram(
        &mut self,
        marks: Marks,
        (from, to): (SocketAddr, SocketAddr),
        payload: &[u8],
    ) -> Result<Skb, SocketError> {
        let socket = self.net.sockets.get(marks.sender).ok_or(Errno::EBADF)?;
        let node = socket.node();
        let device = self.net.find(node, Ifindex::LOOPBACK.get());
        let device = device.ok_or(Errno::ENODEV)?;
        let len = 8 + payload.len();
        let (mut packet, pseudo, protocol) = match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(from, to, marks.tos, len),
            (IpAddr::V6(from), IpAddr::V6(to)) => ipv6(from, to, marks.class, len),
            _ => return Err(Errno::EINVAL.into()),
        };
        let header = packet.len() as u32;
        packet.extend(from.port().to_be_bytes());
        packet.extend(to.port().to_be_bytes());
        packet.extend((len as u16).to_be_bytes());
        packet.extend(pseudo.to_16().to_le_bytes());
        packet.extend_from_slice(payload);
        let (pool, memory) = (&mut self.net.pool, &mut self.machine.memory);
        let frame = Frame::new(pool, memory, &packet, HEADROOM, HEADROOM);
        let mut skb = Skb::new(frame.map_err(|_| Errno::ENOBUFS)?, device);
        let start = skb.network_header + header;
        skb.transport_header = Some(start);
        skb.checksum = Checksum::Partial { start, offset: 6 };
        (skb.protocol, skb.mark, skb.priority) = (protocol, marks.mark, marks.priority);
        skb.at_ingress = false;
        self.net.place(&mut skb, device);
        Ok(skb)
    }
}

/// An IPv4 header as sockets make it, and the sum of the pseudo-header.
fn ipv4(from: Ipv4Addr, to: Ipv4Addr, tos: u8, len: usize) -> (Vec<u8>, Sum, EtherType) {
    let header = crate::stack::Ipv4 {
        len: crate::stack::IPV4,
        tos,
        total: crate::stack::IPV4 + len,
        id: 0,
        dont_fragment: true,
        more_fragments: false,
        offset: 0,
        ttl: 64,
        protocol: UDP,
        source: from,
        destination: to,
    };
    let mut bytes = Vec::new();
    header.write(&mut bytes);
    let mut pseudo = [from.octets(), to.octets()].concat();
    pseudo.extend([0, UDP]);
    pseudo.extend((len as u16).to_be_bytes());
    (bytes, Sum::of(&pseudo, Sum(0)), EtherType::IPV4)
}

/// An IPv6 header likewise.
fn ipv6(from: Ipv6Addr, to: Ipv6Addr, class: u8, len: usize) -> (Vec<u8>, Sum, EtherType) {
    let header = crate::stack::Ipv6 {
        class,
        label: 0,
        payload: len,
        next: UDP,
        hop_limit: 64,
        source: from,
        destination: to,
    };
    let mut bytes = Vec::new();
    header.write(&mut bytes);
    let mut pseudo = [from.octets(), to.octets()].concat();
    pseudo.extend((len as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, UDP]);
    (bytes, Sum::of(&pseudo, Sum(0)), EtherType::IPV6)
}
