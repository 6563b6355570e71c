//! Connections that leave their node: the three segments with which they begin, and their refusal
//! (`tcp_v4_connect`, `tcp_conn_request`, `tcp_rcv_synsent_state_process`, `tcp_check_req`).
//!
//! Nothing is sent again: an answer has come when the call returns, or it never comes. What connections carry and how
//! they end is not here.

use twinpath_machine::{Errno, SocketId};

use super::callback::Callback;
use super::calls::SocketCalls;
use super::connect::Connected;
use super::segment::Flags;
use super::socket::{Phase, Socket};
use super::types::{Flow, SocketError, State};
use crate::net::DropReason;
use crate::network::Route;
use crate::stack::Segment;

/// The sequence numbers of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sequence {
    /// Of the next byte that it sends (`snd_nxt`).
    pub(super) next: u32,
    /// Of the next byte that it expects (`rcv_nxt`).
    pub(super) expected: u32,
}

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
            socket.sequence = Some(Sequence {
                next: first.wrapping_add(1),
                expected: 0,
            });
        }
        self.send_segment(id, Some(way), Flags::SYN, first)?;
        self.net.drain(self.machine);
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        match socket.state {
            State::Established => {
                socket.phase = Phase::Connected;
                Ok(Connected::Done)
            }
            State::SynSent => Ok(Connected::Waiting),
            _ => {
                let errno = socket.error.take().unwrap_or(Errno::ECONNABORTED);
                self.net.sockets.abandon(id);
                Err(errno.into())
            }
        }
    }

    /// A segment came for a socket.
    pub(crate) fn take_segment(&mut self, id: SocketId, flow: &Flow, segment: &Segment) -> Arrival {
        let Some(socket) = self.net.sockets.get(id) else {
            return Arrival::Refused;
        };
        if self.refuse_filters(id, "a segment of TCP").is_err() {
            return Arrival::Unsupported("programs of cgroups at segments of TCP");
        }
        let taken = match socket.state {
            State::Listen => self.begin(id, flow, segment),
            State::SynSent => self.answered(id, segment),
            State::Request => self.complete(id, segment),
            _ => Arrival::Unsupported("segments of connections beyond their beginning"),
        };
        if taken == Arrival::Refused && Flags(segment.flags).has(Flags::RST) {
            return Arrival::Lost(DropReason::NoSocket);
        }
        taken
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
                next: first.wrapping_add(1),
                expected: segment.sequence.wrapping_add(1),
            });
        }
        if self.call_back(child, child, ANSWERS).is_err() {
            return Arrival::Lost(DropReason::Fault);
        }
        self.answer(child, Flags::SYN_ACK, first)
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
        let next = sequence.next;
        socket.state = State::Established;
        if self
            .call_back(id, id, &[Callback::ActiveEstablished])
            .is_err()
        {
            return Arrival::Lost(DropReason::Fault);
        }
        self.answer(id, Flags::ACK, next)
    }

    /// The third segment, at the connection that a listener has not given away yet.
    fn complete(&mut self, id: SocketId, segment: &Segment) -> Arrival {
        let socket = self.net.sockets.get(id);
        let Some((sequence, listener)) =
            socket.and_then(|socket| Some((socket.sequence?, socket.listener)))
        else {
            return Arrival::Unsupported("segments for a request that was made by hand");
        };
        let expected = segment.sequence == sequence.expected;
        match Flags(segment.flags).plain() {
            Flags::ACK if segment.data == 0 => {}
            flags if flags.has(Flags::RST) && expected => {
                self.net.sockets.remove(self.machine, id);
                return Arrival::Taken;
            }
            _ => return Arrival::Unsupported("segments of connections beyond their beginning"),
        }
        if segment.acknowledgement != sequence.next {
            return Arrival::Refused;
        }
        if !expected {
            return Arrival::Unsupported("segments of connections beyond their beginning");
        }
        self.net.sockets.set_state(id, State::SynReceived);
        if self
            .call_back(id, id, &[Callback::PassiveEstablished])
            .is_err()
        {
            return Arrival::Lost(DropReason::Fault);
        }
        self.net.sockets.set_state(id, State::Established);
        let listener = listener.and_then(|listener| self.net.sockets.get_mut(listener));
        match listener {
            Some(listener) => {
                listener.accepted.push_back(id);
                Arrival::Taken
            }
            None => Arrival::Refused,
        }
    }

    /// Answers a segment; that there is no way back is nobody's mistake.
    fn answer(&mut self, id: SocketId, flags: Flags, sequence: u32) -> Arrival {
        match self.send_segment(id, None, flags, sequence) {
            Ok(()) => Arrival::Taken,
            Err(_) => Arrival::Lost(DropReason::NoRoute),
        }
    }

    /// Refuses a call that a connection over wires would need segments for.
    pub(super) fn refuse_over_wires(&self, id: SocketId) -> Result<(), SocketError> {
        let Some(socket) = self.net.sockets.get(id) else {
            return Ok(());
        };
        let waiting = socket.accepted.iter();
        let waiting = waiting.filter_map(|id| self.net.sockets.get(*id));
        match std::iter::once(socket)
            .chain(waiting)
            .any(Socket::speaks_over_wires)
        {
            true => Err(SocketError::Unsupported(
                "what connections over wires carry, and how they end",
            )),
            false => Ok(()),
        }
    }
}

impl Socket {
    /// Whether it has a connection whose other end hears of what happens to it by segments over wires.
    fn speaks_over_wires(&self) -> bool {
        self.sequence.is_some() && !matches!(self.state, State::SynSent | State::Closed)
    }
}
