//! How connections begin that leave their node: three segments, or their refusal (`tcp_v4_connect`, `tcp_conn_request`,
//! `tcp_rcv_synsent_state_process`, `tcp_check_req`).
//!
//! Nothing is sent again: what comes of a first segment has come when all is quiet.

use std::net::IpAddr;

use twinpath_machine::{AttachType, Errno, SocketId};

use super::arrive::query;
use super::callback::Callback;
use super::calls::SocketCalls;
use super::connect::Connected;
use super::connection::Sequence;
use super::filter::Passage;
use super::segment::{Content, Flags};
use super::socket::{Phase, Socket};
use super::types::{Flow, SocketError, State};
use crate::net::DropReason;
use crate::network::Route;
use crate::packet::Skb;
use crate::stack::Segment;

const SEEN_RESET: &str =
    "a reset for a socket that nobody has any more, which programs of its cgroup see";

/// What becomes of a segment that came for a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The socket has it.
    Taken,
    /// It belongs to nothing that the socket knows of: it is answered with a reset.
    Refused,
    /// It is lost.
    Lost(DropReason),
    /// The emulator does not know what becomes of it.
    Unsupported(&'static str),
}

impl SocketCalls<'_> {
    /// Begins a connection to another node, as far as its answers come at once.
    pub(super) fn connect_over(
        &mut self,
        id: SocketId,
        way: &Route,
    ) -> Result<Connected, SocketError> {
        let first = self.net.sockets.secrets.first_sequence();
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.sequence = Some(Sequence::from(first));
        }
        // A program that loses it says so to nobody (`tcp_connect`).
        self.send_segment(id, Some(way), Content::bare(Flags::SYN, first))?;
        self.net.drain(self.machine);
        match self.net.sockets.get(id).map(|socket| socket.state) {
            Some(State::SynSent) => Ok(Connected::Waiting),
            _ => self.connected(id),
        }
    }

    /// What has come of a connection that was begun (`__inet_stream_connect`).
    pub(super) fn connected(&mut self, id: SocketId) -> Result<Connected, SocketError> {
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        if socket.state != State::Closed {
            socket.phase = Phase::Connected;
            return Ok(Connected::Done);
        }
        let errno = socket.error.take().unwrap_or(Errno::ECONNABORTED);
        self.net.sockets.abandon(id);
        Err(errno.into())
    }

    /// A segment that begins at `at` came for a socket: the packet, and what becomes of it.
    pub(crate) fn take_segment(
        &mut self,
        skb: Skb,
        id: SocketId,
        flow: &Flow,
        (at, segment): (usize, &Segment),
    ) -> (Skb, Arrival) {
        let id = match self.begins_anew(id, segment) {
            true => self.instead_of(id, &skb, *flow),
            false => id,
        };
        let Some(socket) = self.net.sockets.get(id) else {
            return (skb, Arrival::Refused);
        };
        let state = socket.state;
        let hearer = match state {
            State::TimeWait => None,
            State::Request => socket.listener,
            _ => Some(id),
        };
        let mut skb = skb;
        if let Some(hearer) = hearer {
            let (filtered, passage) =
                self.filter_packet(hearer, AttachType::CgroupInetIngress, skb);
            skb = filtered;
            match passage {
                Ok(Passage::Goes) => {}
                Ok(Passage::Lost(_)) => return (skb, Arrival::Lost(DropReason::Verdict)),
                Err(_) => return (skb, Arrival::Lost(DropReason::Fault)),
            }
        }
        let resets_are_seen =
            hearer.is_some_and(|hearer| self.has_filters(hearer, AttachType::CgroupInetEgress));
        let bytes = skb.frame.bytes(&self.machine.memory);
        let data = bytes
            .get(at + segment.header..)
            .unwrap_or_default()
            .to_vec();
        let taken = match state {
            State::Listen => self.begin(id, flow, segment),
            State::SynSent => self.answered(id, segment),
            State::Request => self.complete(id, segment, &data),
            State::TimeWait => self.come_late(id, segment),
            _ => self.proceed(id, segment, &data),
        };
        if taken == Arrival::Refused && Flags(segment.flags).has(Flags::RST) {
            return (skb, Arrival::Lost(DropReason::NoSocket));
        }
        let is_gone = self.net.sockets.get(id).is_none();
        if taken == Arrival::Refused && resets_are_seen && is_gone && flow.local.is_ipv4() {
            return (skb, Arrival::Unsupported(SEEN_RESET));
        }
        (skb, taken)
    }

    /// The listener that gets a connection in place of one that is remembered, which is forgotten then; without a listener
    /// it remains.
    fn instead_of(&mut self, id: SocketId, skb: &Skb, flow: Flow) -> SocketId {
        let query = query(self.net, skb, flow);
        match self.net.sockets.find_listener(&query) {
            Some(listener) => {
                self.net.sockets.remove(self.machine, id);
                listener
            }
            None => id,
        }
    }

    /// The first segment of a connection at a listener.
    fn begin(&mut self, listener: SocketId, flow: &Flow, segment: &Segment) -> Arrival {
        match Flags(segment.flags).plain() {
            Flags::SYN if segment.data == 0 => {}
            flags if flags.has(Flags::RST) => return Arrival::Lost(DropReason::NoSocket),
            flags if flags.has(Flags::ACK) => return Arrival::Refused,
            Flags::SYN => {
                return Arrival::Unsupported("data with the first segment of a connection");
            }
            _ => return Arrival::Lost(DropReason::NoSocket),
        }
        let Some(socket) = self.net.sockets.get(listener) else {
            return Arrival::Refused;
        };
        if socket.accepted.len() as u32 > socket.backlog {
            return Arrival::Lost(DropReason::NoSocket);
        }
        if self.net.sockets.syn_cookies(socket.node()) > 1 {
            return Arrival::Unsupported("SYN cookies of connections");
        }
        const ANSWERS: &[Callback] = &[
            Callback::WindowInit,
            Callback::TimeoutInit,
            Callback::NeedsEcn,
        ];
        let Ok(child) = self.add_child(listener, flow) else {
            return Arrival::Lost(DropReason::Memory);
        };
        self.net.sockets.set_state(child, State::Request);
        let first = self.net.sockets.secrets.first_sequence();
        if let Some(child) = self.net.sockets.get_mut(child) {
            child.sequence = Some(Sequence {
                expected: segment.sequence.wrapping_add(1),
                size: size_taken(child, segment),
                ..Sequence::from(first)
            });
        }
        if self.call_back(child, child, ANSWERS).is_err() {
            return Arrival::Lost(DropReason::Fault);
        }
        self.say(child, Flags::SYN_ACK)
    }

    /// The answer to the first segment, at the socket that connects.
    fn answered(&mut self, id: SocketId, segment: &Segment) -> Arrival {
        let Some(socket) = self.net.sockets.get_mut(id) else {
            return Arrival::Refused;
        };
        let Some(sequence) = &mut socket.sequence else {
            return Arrival::Unsupported("segments between sockets of one node");
        };
        let flags = Flags(segment.flags);
        let acknowledged = flags.has(Flags::ACK);
        if acknowledged && segment.acknowledgement != sequence.next {
            return Arrival::Refused;
        }
        if flags.has(Flags::RST) {
            if !acknowledged {
                return Arrival::Lost(DropReason::NoSocket);
            }
            self.net.sockets.reset(id);
            return Arrival::Taken;
        }
        match (flags.has(Flags::SYN), acknowledged) {
            (true, true) if flags.plain() == Flags::SYN_ACK && segment.data == 0 => {}
            (true, _) => return Arrival::Unsupported("connections that both ends begin"),
            (false, _) => return Arrival::Lost(DropReason::NoSocket),
        }
        sequence.expected = segment.sequence.wrapping_add(1);
        sequence.unacknowledged = sequence.next;
        sequence.sees_window(segment.window);
        let size = size_taken(socket, segment);
        if let Some(sequence) = &mut socket.sequence {
            sequence.size = size;
        }
        socket.state = State::Established;
        if self
            .call_back(id, id, &[Callback::ActiveEstablished])
            .is_err()
        {
            return Arrival::Lost(DropReason::Fault);
        }
        self.say(id, Flags::ACK)
    }

    /// The third segment, at the connection that a listener has not given away yet.
    fn complete(&mut self, id: SocketId, segment: &Segment, data: &[u8]) -> Arrival {
        let socket = self.net.sockets.get(id);
        let Some((sequence, listener)) =
            socket.and_then(|socket| Some((socket.sequence?, socket.listener)))
        else {
            return Arrival::Unsupported("segments for a request that was made by hand");
        };
        let expected = segment.sequence == sequence.expected;
        match Flags(segment.flags).plain() {
            Flags::ACK | Flags::FIN_ACK => {}
            flags if flags.has(Flags::RST) && expected => {
                self.net.sockets.remove(self.machine, id);
                return Arrival::Taken;
            }
            _ => return Arrival::Unsupported("segments out of their place in a handshake"),
        }
        if segment.acknowledgement != sequence.next {
            return Arrival::Refused;
        }
        if !expected {
            return Arrival::Unsupported("segments out of their place in a handshake");
        }
        self.net.sockets.set_state(id, State::SynReceived);
        if self
            .call_back(id, id, &[Callback::PassiveEstablished])
            .is_err()
        {
            return Arrival::Lost(DropReason::Fault);
        }
        self.net.sockets.set_state(id, State::Established);
        if let Some(sequence) = self
            .net
            .sockets
            .get_mut(id)
            .and_then(|socket| socket.sequence.as_mut())
        {
            sequence.unacknowledged = sequence.next;
            sequence.sees_window(segment.window);
        }
        let listener = listener.and_then(|listener| self.net.sockets.get_mut(listener));
        match listener {
            Some(listener) => listener.accepted.push_back(id),
            None => return Arrival::Refused,
        }
        self.proceed(id, segment, data)
    }
}

/// The longest segment that the sender of a first segment wants to get, at a socket (`tcp_parse_options`).
fn size_taken(socket: &Socket, segment: &Segment) -> u16 {
    /// `TCP_MSS_DEFAULT`, and what fits into the smallest MTU of IPv6.
    const DEFAULT: (u16, u16) = (536, 1220);
    let default = match socket.flow().remote.ip() {
        IpAddr::V4(_) => DEFAULT.0,
        IpAddr::V6(_) => DEFAULT.1,
    };
    let said = segment.size.unwrap_or(default);
    match u16::try_from(socket.options.max_segment) {
        Ok(own @ 1..) => said.min(own),
        _ => said,
    }
}
