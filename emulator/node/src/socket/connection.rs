//! What connections over wires carry, and how they end (`tcp_sendmsg`, `tcp_rcv_established`, `tcp_rcv_state_process`,
//! `tcp_timewait_state_process`).
//!
//! Each segment is acknowledged at once, as by routes with `quickack 1`, and nothing is sent again. What a connection
//! would send behind something that was lost is refused.

use std::slice::Chunks;

use twinpath_machine::{Errno, SocketId};

use super::calls::SocketCalls;
use super::filter::Passage;
use super::handshake::Arrival;
use super::segment::{Content, Flags};
use super::socket::Socket;
use super::stream::Shut;
use super::types::{SocketError, State};
use crate::net::DropReason;
use crate::stack::Segment;

/// The sequence numbers of a connection, and what its other end takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sequence {
    /// Of the next byte that it sends (`snd_nxt`).
    pub(super) next: u32,
    /// Of the next byte that it expects (`rcv_nxt`).
    pub(super) expected: u32,
    /// Of the first byte that the other end has not acknowledged (`snd_una`).
    pub(super) unacknowledged: u32,
    /// Whether something that it has to send stayed behind, because a program let it not pass.
    pub(super) held_up: bool,
    /// Whether a call of its owner sends: a reset that comes meanwhile waits for the call's end (`sk_backlog`).
    pub(super) sending: bool,
    /// Whether such a reset has come.
    pub(super) broken: bool,
    /// The longest segment that the other end takes (`mss_clamp`).
    pub(super) size: u16,
    /// How much that takes at once, now and at most (`snd_wnd`, `max_window`).
    pub(super) window: u16,
    pub(super) widest: u16,
}

/// So many segments are sent before the first is acknowledged (`TCP_INIT_CWND`).
const SEGMENTS: usize = 10;
/// So many bytes that nobody has read never narrow the window.
const UNREAD: usize = 1 << 16;
const BEHIND_LOST: &str = "what a connection sends behind something that is not acknowledged, for Linux would send that again";
const BETWEEN_OWN: &str = "segments between sockets of one node";

impl Sequence {
    pub(super) fn sees_window(&mut self, window: u16) {
        self.window = window;
        self.widest = self.widest.max(window);
    }

    /// Whether all that was sent has been acknowledged.
    fn is_settled(&self) -> bool {
        self.unacknowledged == self.next && !self.held_up
    }
}

impl SocketCalls<'_> {
    /// `tcp_sendmsg` of a connection over wires.
    pub(super) fn write_over(&mut self, id: SocketId, bytes: &[u8]) -> Result<(), SocketError> {
        let sequence = self.settled(id)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let size = self.size_to_send(id, sequence.size, sequence.widest)?;
        if bytes.len() > SEGMENTS * size {
            return Err(SocketError::Unsupported(
                "more than ten segments of a connection in one call",
            ));
        }
        if bytes.len() > usize::from(sequence.window) {
            return Err(SocketError::Unsupported(
                "more in one call than a connection's other end takes at once",
            ));
        }
        self.owned(id, true);
        let sent = self.write_segments(id, bytes.chunks(size), sequence.widest);
        if self.owned(id, false) {
            self.over(id);
        }
        sent
    }

    /// Begins or ends a call that sends; whether the connection was reset meanwhile.
    fn owned(&mut self, id: SocketId, sending: bool) -> bool {
        let sequence = self.sequence_mut(id);
        sequence.is_some_and(|sequence| {
            sequence.sending = sending;
            std::mem::take(&mut sequence.broken)
        })
    }

    fn write_segments(
        &mut self,
        id: SocketId,
        mut left: Chunks<'_, u8>,
        widest: u16,
    ) -> Result<(), SocketError> {
        let mut unpushed = 0;
        while let Some(data) = left.next() {
            unpushed += data.len();
            // forced_push
            let pushes = left.len() == 0 || unpushed > usize::from(widest / 2);
            let flags = if pushes { Flags::PSH_ACK } else { Flags::ACK };
            if pushes {
                unpushed = 0;
            }
            if !self.emit(id, flags, data)? {
                break;
            }
        }
        Ok(())
    }

    /// Sends what takes up numbers, and sees what comes of it. Whether it went.
    fn emit(&mut self, id: SocketId, flags: Flags, data: &[u8]) -> Result<bool, SocketError> {
        let Some(sequence) = self.sequence_mut(id) else {
            return Ok(false);
        };
        let first = sequence.next;
        let end = u32::from(flags.has(Flags::FIN));
        sequence.next = first.wrapping_add(data.len() as u32 + end);
        let content = Content {
            flags,
            sequence: first,
            data,
        };
        match self.send_segment(id, None, content) {
            Ok(Passage::Goes) => {}
            Err(error @ SocketError::Fault(_)) => return Err(error),
            Ok(Passage::Lost(_)) | Err(_) => {
                if let Some(sequence) = self.sequence_mut(id) {
                    (sequence.next, sequence.held_up) = (first, true);
                }
                return Ok(false);
            }
        }
        self.net.drain(self.machine);
        Ok(true)
    }

    fn sequence_mut(&mut self, id: SocketId) -> Option<&mut Sequence> {
        self.net.sockets.get_mut(id)?.sequence.as_mut()
    }

    /// The numbers of a connection that has nothing under way.
    fn settled(&self, id: SocketId) -> Result<Sequence, SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let sequence = socket
            .sequence
            .ok_or(SocketError::Unsupported(BETWEEN_OWN))?;
        match sequence.is_settled() {
            true => Ok(sequence),
            false => Err(SocketError::Unsupported(BEHIND_LOST)),
        }
    }

    /// Ends the direction from a socket (`tcp_send_fin`).
    pub(super) fn finish_over(&mut self, id: SocketId) -> Result<(), SocketError> {
        let Some(socket) = self.net.sockets.get_mut(id) else {
            return Ok(());
        };
        socket.state = match socket.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            _ => return Ok(()),
        };
        self.emit(id, Flags::FIN_ACK, &[])?;
        Ok(())
    }

    /// Whether a call can end a connection over wires: what is under way on it, a FIN would have to wait for.
    pub(super) fn can_finish(&self, id: SocketId) -> Result<(), SocketError> {
        let socket = self.net.sockets.get(id);
        let ends = |socket: &Socket| {
            socket.sequence.is_some()
                && matches!(socket.state, State::Established | State::CloseWait)
        };
        match socket.is_some_and(ends) {
            true => self.settled(id).map(drop),
            false => Ok(()),
        }
    }

    /// The owner of a connection is gone (`__tcp_close`).
    pub(super) fn close_over(&mut self, id: SocketId) -> Result<(), SocketError> {
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.orphan = true;
            socket.shut = Shut {
                receive: true,
                send: true,
            };
        }
        let finished = self.finish_over(id);
        match self.net.sockets.get(id).map(|socket| socket.state) {
            Some(State::FinWait2) => self.net.sockets.wait(self.machine, id),
            Some(State::Closed) => self.net.sockets.remove(self.machine, id),
            _ => {}
        }
        finished
    }

    /// Ends both directions at once (`tcp_send_active_reset`).
    pub(super) fn reset_over(&mut self, id: SocketId) {
        if let Some(sequence) = self.sequence_mut(id) {
            let content = Content::bare(Flags::RST_ACK, sequence.next);
            // Nobody hears that there is no way.
            let _ = self.send_segment(id, None, content);
            self.net.drain(self.machine);
        }
    }

    /// A segment came for a connection.
    pub(super) fn proceed(&mut self, id: SocketId, segment: &Segment, data: &[u8]) -> Arrival {
        let socket = self.net.sockets.get(id);
        let Some(sequence) = socket.and_then(|socket| socket.sequence) else {
            return Arrival::Unsupported(BETWEEN_OWN);
        };
        let flags = Flags(segment.flags);
        let ahead = segment
            .sequence
            .wrapping_sub(sequence.expected)
            .cast_signed();
        let length = segment.data + u32::from(flags.has(Flags::FIN));
        if flags.has(Flags::RST) {
            if ahead != 0 {
                return Arrival::Unsupported("resets out of their place");
            }
            match self.sequence_mut(id) {
                Some(sequence) if sequence.sending => sequence.broken = true,
                _ => self.over(id),
            }
            return Arrival::Taken;
        }
        if flags.has(Flags::SYN) {
            return Arrival::Unsupported("segments that begin a connection which there is");
        }
        if !flags.has(Flags::ACK) {
            return Arrival::Lost(DropReason::NoSocket);
        }
        if ahead < 0 {
            let ended = segment.sequence.wrapping_add(length);
            return match ended.wrapping_sub(sequence.expected).cast_signed() {
                ..=0 => self.say(id, Flags::ACK),
                _ => Arrival::Unsupported("segments that overlap what has come"),
            };
        }
        if ahead > 0 && length > 0 {
            return Arrival::Unsupported("segments out of their order");
        }
        if let Some(ended) = self.acknowledged(id, segment) {
            return ended;
        }
        match length {
            0 => Arrival::Taken,
            _ => self.take_data(id, flags, data),
        }
    }

    /// Takes the acknowledgement of a segment (`tcp_ack`), and what follows from it; what becomes of the segment, if
    /// nothing else of it counts.
    fn acknowledged(&mut self, id: SocketId, segment: &Segment) -> Option<Arrival> {
        let socket = self.net.sockets.get_mut(id)?;
        let (state, orphan) = (socket.state, socket.orphan);
        let sequence = socket.sequence.as_mut()?;
        let counts = |from: u32| segment.acknowledgement.wrapping_sub(from).cast_signed();
        if counts(sequence.next) > 0 {
            return Some(Arrival::Unsupported(
                "acknowledgements of what was not sent",
            ));
        }
        if counts(sequence.unacknowledged) >= 0 {
            sequence.unacknowledged = segment.acknowledgement;
            sequence.sees_window(segment.window);
        }
        if !sequence.is_settled() {
            return None;
        }
        match state {
            State::FinWait1 => {
                self.net.sockets.set_state(id, State::FinWait2);
                if !orphan {
                    return None;
                }
                if segment.data > 0 {
                    self.net.sockets.remove(self.machine, id);
                    return Some(Arrival::Refused);
                }
                if Flags(segment.flags).has(Flags::FIN) {
                    return None;
                }
                self.net.sockets.wait(self.machine, id);
                Some(Arrival::Taken)
            }
            State::Closing => {
                self.remember(id);
                Some(Arrival::Taken)
            }
            State::LastAck => {
                match orphan {
                    true => self.net.sockets.remove(self.machine, id),
                    false => self.net.sockets.end(id),
                }
                Some(Arrival::Taken)
            }
            _ => None,
        }
    }

    /// Takes what a segment carries (`tcp_data_queue`), and acknowledges it.
    fn take_data(&mut self, id: SocketId, flags: Flags, data: &[u8]) -> Arrival {
        let Some(socket) = self.net.sockets.get_mut(id) else {
            return Arrival::Refused;
        };
        match socket.state {
            State::FinWait1 | State::FinWait2 if socket.shut.receive && !data.is_empty() => {
                self.over(id);
                return Arrival::Refused;
            }
            State::Established | State::FinWait1 | State::FinWait2 => {}
            _ => return Arrival::Unsupported("segments behind the end of a connection"),
        }
        if socket.stream.len() + data.len() > UNREAD {
            return Arrival::Unsupported("more than 65536 bytes of a connection that nobody reads");
        }
        socket.stream.extend(data);
        let ends = flags.has(Flags::FIN);
        if let Some(sequence) = &mut socket.sequence {
            let counted = data.len() as u32 + u32::from(ends);
            sequence.expected = sequence.expected.wrapping_add(counted);
        }
        let said = self.say(id, Flags::ACK);
        if ends {
            self.end_arrives(id);
        }
        said
    }

    /// The other end sends no more (`tcp_fin`).
    fn end_arrives(&mut self, id: SocketId) {
        let Some(socket) = self.net.sockets.get_mut(id) else {
            return;
        };
        socket.shut.receive = true;
        socket.done = true;
        match socket.state {
            State::Established => socket.state = State::CloseWait,
            State::FinWait1 => socket.state = State::Closing,
            State::FinWait2 => self.remember(id),
            _ => {}
        }
    }

    /// Both directions of a connection have ended, of which its end is remembered (`tcp_time_wait`).
    fn remember(&mut self, id: SocketId) {
        match self.net.sockets.get(id).map(|socket| socket.orphan) {
            Some(true) => self.net.sockets.wait(self.machine, id),
            _ => {
                self.leave_behind(id);
                self.net.sockets.end(id);
            }
        }
    }

    /// The other end has reset a connection.
    fn over(&mut self, id: SocketId) {
        match self.net.sockets.get(id).map(|socket| socket.orphan) {
            Some(true) => self.net.sockets.remove(self.machine, id),
            _ => self.net.sockets.reset(id),
        }
    }

    /// A segment came for what is left of a connection (`tcp_timewait_state_process`).
    pub(super) fn come_late(&mut self, id: SocketId, segment: &Segment) -> Arrival {
        let socket = self.net.sockets.get(id);
        let Some((sequence, done)) =
            socket.and_then(|socket| Some((socket.sequence?, socket.done)))
        else {
            return Arrival::Unsupported(BETWEEN_OWN);
        };
        let flags = Flags(segment.flags);
        let length = segment.data + u32::from(flags.has(Flags::FIN));
        if segment.sequence != sequence.expected || flags.has(Flags::SYN) || (done && length > 0) {
            return Arrival::Unsupported(
                "segments out of their place behind the end of a connection",
            );
        }
        if flags.has(Flags::RST) {
            self.net.sockets.remove(self.machine, id);
            return Arrival::Taken;
        }
        if length == 0 || !flags.has(Flags::ACK) {
            return Arrival::Taken;
        }
        if segment.data > 0 {
            self.net.sockets.remove(self.machine, id);
            return Arrival::Refused;
        }
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.done = true;
        }
        if let Some(sequence) = self.sequence_mut(id) {
            sequence.expected = sequence.expected.wrapping_add(1);
        }
        self.say(id, Flags::ACK)
    }

    /// Sends a segment that takes up no numbers. That there is no way, or no program lets it pass, is nobody's mistake.
    pub(super) fn say(&mut self, id: SocketId, flags: Flags) -> Arrival {
        let socket = self.net.sockets.get(id);
        let Some(sequence) = socket.and_then(|socket| socket.sequence) else {
            return Arrival::Unsupported(BETWEEN_OWN);
        };
        // The number of its first byte is behind the one that begins a connection.
        let first = match flags.has(Flags::SYN) {
            true => sequence.next.wrapping_sub(1),
            false => sequence.next,
        };
        match self.send_segment(id, None, Content::bare(flags, first)) {
            Ok(_) => Arrival::Taken,
            Err(SocketError::Fault(_)) => Arrival::Lost(DropReason::Fault),
            Err(_) => Arrival::Lost(DropReason::NoRoute),
        }
    }
}
