//! What connections over wires send (`tcp_sendmsg`, `tcp_write_xmit`, `tcp_send_fin`), and what of it they send again
//! when a link on its way takes less than they thought (`tcp_v4_mtu_reduced`, `tcp_simple_retransmit`).
//!
//! What was lost otherwise is not sent again: Linux waits for that as long as a scenario may last.

use twinpath_machine::{Errno, SocketId};

use super::calls::SocketCalls;
use super::connection::{BETWEEN_OWN, Sequence};
use super::filter::Passage;
use super::outgoing::{Piece, Sending};
use super::segment::{Content, Flags, size_within};
use super::socket::Socket;
use super::stream::Shut;
use super::types::{SocketError, State};

/// So many segments may be under way (`TCP_INIT_CWND`), also where a device has lost one.
const UNDER_WAY: usize = 10;
const UNDER_WAY_SLOWLY: usize = 1;
/// So many segments the buffer of a socket takes, of whatever size they are (`tcp_sndbuf_expand`).
const BUFFER: usize = 20;
const TOO_MANY: &str = "more than ten segments of a connection under way at once";

impl Socket {
    fn has_enough_under_way(&self) -> bool {
        let is_slow = self.sequence.is_some_and(|sequence| sequence.is_slow);
        let most = if is_slow { UNDER_WAY_SLOWLY } else { UNDER_WAY };
        self.outgoing.under_way() >= most
    }
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// A call, which sees what comes of each segment before it sends the next.
    Call,
    /// What has arrived.
    Arrival,
}

impl SocketCalls<'_> {
    /// `tcp_sendmsg` of a connection over wires.
    pub(super) fn write_over(&mut self, id: SocketId, bytes: &[u8]) -> Result<(), SocketError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let size = self.current_size(id)?;
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        if socket.outgoing.0.len() + bytes.len().div_ceil(size) > BUFFER {
            return Err(SocketError::Unsupported(
                "more in one call than twenty segments of a connection",
            ));
        }
        self.owned(id, |calls| calls.write_segments(id, bytes, size))
    }

    /// Makes a call that sends. What comes meanwhile and changes the connection waits for its end.
    fn owned<T>(
        &mut self,
        id: SocketId,
        call: impl FnOnce(&mut Self) -> Result<T, SocketError>,
    ) -> Result<T, SocketError> {
        if let Some(sequence) = self.sequence_mut(id) {
            sequence.owned = true;
        }
        let made = call(self).and_then(|made| self.send_on(id).map(|()| made));
        let Some(sequence) = self.sequence_mut(id) else {
            return made;
        };
        sequence.owned = false;
        let broken = std::mem::take(&mut sequence.broken);
        let shortened = std::mem::take(&mut sequence.shortened);
        if broken {
            self.over(id);
        } else if let Some(mtu) = shortened {
            self.path_shortened(id, mtu);
            self.net.drain(self.machine);
        }
        made
    }

    /// Sends on behind each segment that has come in the course of a call (`__release_sock`).
    fn send_on(&mut self, id: SocketId) -> Result<(), SocketError> {
        while let Some(sequence) = self.sequence_mut(id)
            && sequence.heard > 0
        {
            sequence.heard -= 1;
            if self.waits_to_send(id) {
                let size = self.current_size(id)?;
                self.push(id, By::Call, size)?;
            }
        }
        Ok(())
    }

    fn write_segments(
        &mut self,
        id: SocketId,
        mut bytes: &[u8],
        size: usize,
    ) -> Result<(), SocketError> {
        let mut is_new = true;
        while !bytes.is_empty() {
            let Some(sequence) = self.sequence_mut(id).map(|sequence| *sequence) else {
                return Ok(());
            };
            let Some(socket) = self.net.sockets.get_mut(id) else {
                return Ok(());
            };
            let fits = |piece: &&mut Piece| piece.data.len() < size;
            if socket.outgoing.last_that_waits().filter(fits).is_none() {
                socket.outgoing.0.push_back(Piece {
                    sequence: sequence.written,
                    data: Vec::with_capacity(bytes.len().min(size)),
                    flags: Flags::ACK,
                    passage: Sending::Waits,
                });
            }
            let Some(piece) = socket.outgoing.0.back_mut() else {
                return Ok(());
            };
            if std::mem::take(&mut is_new) {
                piece.flags = Flags::ACK;
            }
            let room = size - piece.data.len();
            let (data, rest) = bytes.split_at(room.min(bytes.len()));
            bytes = rest;
            piece.data.extend_from_slice(data);
            let written = piece.end();
            let unpushed = written.wrapping_sub(sequence.pushed);
            // forced_push
            let is_much = unpushed > u32::from(sequence.widest / 2);
            let is_last = bytes.is_empty();
            if is_much || is_last {
                piece.flags = Flags::PSH_ACK;
            }
            let is_next =
                socket.outgoing.first(Sending::Waits) == Some(socket.outgoing.0.len() - 1);
            if let Some(sequence) = self.sequence_mut(id) {
                sequence.written = written;
                if is_much || is_last {
                    sequence.pushed = written;
                }
            }
            if is_much || is_last || is_next {
                self.push(id, By::Call, size)?;
            }
        }
        Ok(())
    }

    /// Sends what waits in segments of `size` bytes at most, as far as it may go (`tcp_write_xmit`).
    fn push(&mut self, id: SocketId, by: By, size: usize) -> Result<(), SocketError> {
        loop {
            let Some(socket) = self.net.sockets.get(id) else {
                return Ok(());
            };
            let (Some(sequence), Some(at)) =
                (socket.sequence, socket.outgoing.first(Sending::Waits))
            else {
                return Ok(());
            };
            if socket.has_enough_under_way() {
                return Err(SocketError::Unsupported(TOO_MANY));
            }
            let Some(socket) = self.net.sockets.get_mut(id) else {
                return Ok(());
            };
            socket.outgoing.fill(at, size);
            socket.outgoing.cut(at, size);
            let last = sequence
                .unacknowledged
                .wrapping_add(u32::from(sequence.window));
            let end = socket.outgoing.0[at].end();
            if end.wrapping_sub(last).cast_signed() > 0 {
                return Ok(());
            }
            if !self.send_piece(id, at)? {
                return Ok(());
            }
            if by == By::Call {
                self.net.drain(self.machine);
            }
        }
    }

    /// Sends a segment of those that there are to send. Whether it went.
    fn send_piece(&mut self, id: SocketId, at: usize) -> Result<bool, SocketError> {
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        let Some(piece) = socket.outgoing.0.get_mut(at) else {
            return Ok(false);
        };
        let was = std::mem::replace(&mut piece.passage, Sending::Sent);
        let piece = piece.clone();
        if let Some(sequence) = &mut socket.sequence
            && was == Sending::Waits
        {
            sequence.next = piece.end();
        }
        let content = Content {
            flags: piece.flags,
            sequence: piece.sequence,
            data: &piece.data,
        };
        match self.send_segment(id, None, content) {
            Ok(Passage::Goes) => return Ok(true),
            Err(error @ SocketError::Fault(_)) => return Err(error),
            Ok(Passage::Lost(_)) | Err(_) => {}
        }
        if let Some(socket) = self.net.sockets.get_mut(id) {
            if let Some(piece) = socket.outgoing.0.get_mut(at) {
                piece.passage = was;
            }
            if let Some(sequence) = &mut socket.sequence
                && was == Sending::Waits
            {
                sequence.next = piece.sequence;
            }
        }
        Ok(false)
    }

    pub(super) fn sequence_mut(&mut self, id: SocketId) -> Option<&mut Sequence> {
        self.net.sockets.get_mut(id)?.sequence.as_mut()
    }

    /// Ends the direction from a socket (`tcp_send_fin`).
    pub(super) fn finish_over(&mut self, id: SocketId) -> Result<(), SocketError> {
        let Some(socket) = self.net.sockets.get_mut(id) else {
            return Ok(());
        };
        let state = match socket.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            _ => return Ok(()),
        };
        let Some(sequence) = &mut socket.sequence else {
            return Ok(());
        };
        let first = sequence.written;
        sequence.written = first.wrapping_add(1);
        socket.state = state;
        match socket.outgoing.last_that_waits() {
            Some(piece) => piece.flags = piece.flags.with(Flags::FIN),
            None => socket.outgoing.0.push_back(Piece {
                sequence: first,
                data: Vec::new(),
                flags: Flags::FIN_ACK,
                passage: Sending::Waits,
            }),
        }
        self.owned(id, |calls| {
            let size = calls.current_size(id)?;
            calls.push(id, By::Call, size)
        })
    }

    /// The longest segment that a connection sends now.
    fn current_size(&self, id: SocketId) -> Result<usize, SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let sequence = socket
            .sequence
            .ok_or(SocketError::Unsupported(BETWEEN_OWN))?;
        self.size_to_send(socket, &sequence)
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

    /// Sends on behind an acknowledgement (`tcp_data_snd_check`); what of that is not supported.
    pub(super) fn push_on(&mut self, id: SocketId) -> Option<&'static str> {
        if let Some(sequence) = self.sequence_mut(id)
            && sequence.owned
        {
            sequence.heard += 1;
            return None;
        }
        if !self.waits_to_send(id) {
            return None;
        }
        let size = self.current_size(id);
        match size.and_then(|size| self.push(id, By::Arrival, size)) {
            Err(SocketError::Unsupported(what)) => Some(what),
            // A program's fault is in what it left.
            _ => None,
        }
    }

    fn waits_to_send(&self, id: SocketId) -> bool {
        let socket = self.net.sockets.get(id);
        socket.is_some_and(|socket| socket.outgoing.first(Sending::Waits).is_some())
    }

    /// A link on the way of a connection takes packets of `mtu` bytes at most: what of its segments is longer is sent
    /// again in shorter ones. A call that sends has to end first.
    pub(super) fn hear_of_mtu(&mut self, id: SocketId, first: u32, mtu: u32) {
        let Some(sequence) = self.sequence_mut(id) else {
            return;
        };
        let behind = first.wrapping_sub(sequence.unacknowledged).cast_signed();
        let ahead = first.wrapping_sub(sequence.next).cast_signed();
        if behind < 0 || ahead > 0 {
            return;
        }
        match sequence.owned {
            true => sequence.shortened = Some(mtu),
            false => self.path_shortened(id, mtu),
        }
    }

    /// `tcp_v4_mtu_reduced`, `tcp_v6_mtu_reduced`
    fn path_shortened(&mut self, id: SocketId, mtu: u32) {
        let Some(socket) = self.net.sockets.get(id) else {
            return;
        };
        let (node, to) = (socket.node(), socket.flow().remote.ip());
        // Only what has them send less at once.
        if !self
            .current_size(id)
            .is_ok_and(|known| size_within(to, mtu) < known)
        {
            return;
        }
        self.net.learn_mtu(node, to, mtu);
        if let Some(sequence) = self.sequence_mut(id) {
            sequence.path_mtu = None;
        }
        let Ok(size) = self.current_size(id) else {
            return;
        };
        let Some(socket) = self.net.sockets.get_mut(id) else {
            return;
        };
        let pieces = socket.outgoing.0.iter_mut();
        for piece in pieces.filter(|piece| piece.passage == Sending::Sent) {
            if piece.data.len() > size {
                piece.passage = Sending::Lost;
            }
        }
        while let Some(at) = self.first_lost(id) {
            let Some(socket) = self.net.sockets.get_mut(id) else {
                return;
            };
            if socket.has_enough_under_way() {
                self.net.sockets.unsupported = Some(TOO_MANY);
                return;
            }
            socket.outgoing.cut(at, size);
            socket.outgoing.join(at, size);
            if !self.send_piece(id, at).unwrap_or(false) {
                return;
            }
        }
    }

    fn first_lost(&self, id: SocketId) -> Option<usize> {
        let socket: &Socket = self.net.sockets.get(id)?;
        socket.outgoing.first(Sending::Lost)
    }
}
