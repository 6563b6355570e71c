//! What arrives at connections over wires behind what begins them (`tcp_rcv_established`, `tcp_rcv_state_process`,
//! `tcp_data_queue`).
//!
//! Each segment is acknowledged at once, as by routes with `quickack 1`.

use twinpath_machine::SocketId;

use super::calls::SocketCalls;
use super::connection::BETWEEN_OWN;
use super::handshake::Arrival;
use super::segment::Flags;
use super::types::State;
use crate::net::DropReason;
use crate::stack::Segment;

/// So many bytes that nobody has read never narrow the window.
const UNREAD: usize = 1 << 16;
/// So many segments that acknowledge nothing new have a connection send again what is lost (`tcp_reordering`).
const DUPLICATES: u32 = 3;
const SENT_AGAIN: &str =
    "what a connection sends again when three acknowledgements say nothing new";

/// A segment that has come before one that precedes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Early {
    sequence: u32,
    data: Vec<u8>,
    ends: bool,
}

impl Early {
    /// Whether nothing is missing before it, of what comes before the byte `expected`.
    fn reaches(&self, expected: u32) -> bool {
        self.sequence.wrapping_sub(expected).cast_signed() <= 0
    }
}

impl SocketCalls<'_> {
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
                Some(sequence) if sequence.owned => sequence.broken = true,
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
        let ended = segment.sequence.wrapping_add(length);
        let is_known = ended.wrapping_sub(sequence.expected).cast_signed() <= 0;
        if ahead < 0 && is_known {
            return self.say(id, Flags::ACK);
        }
        // `tcp_rcv_established` of what it has expected does not look at what there is to send.
        let is_plain = socket
            .is_some_and(|socket| socket.state == State::Established && socket.early.is_empty())
            && ahead == 0
            && segment.data > 0
            && !flags.has(Flags::FIN)
            && segment.acknowledgement == sequence.unacknowledged;
        if let Some(ended) = self.acknowledged(id, segment) {
            return ended;
        }
        let taken = match length {
            0 => Arrival::Taken,
            _ => self.take_data(id, segment.sequence, flags, data),
        };
        if is_plain {
            return taken;
        }
        match self.push_on(id) {
            Some(what) => Arrival::Unsupported(what),
            None => taken,
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
        let advance = counts(sequence.unacknowledged);
        let carries = segment.data > 0 || Flags(segment.flags).has(Flags::FIN);
        if advance > 0 {
            sequence.duplicates = 0;
        } else if advance == 0
            && sequence.unacknowledged != sequence.next
            && !carries
            && segment.window == sequence.window
        {
            sequence.duplicates += 1;
            if sequence.duplicates >= DUPLICATES {
                return Some(Arrival::Unsupported(SENT_AGAIN));
            }
        }
        if advance >= 0 {
            sequence.unacknowledged = segment.acknowledgement;
            sequence.sees_window(segment.window);
        }
        let settled = sequence.is_settled();
        socket.outgoing.acknowledge(segment.acknowledgement);
        if !settled {
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
    fn take_data(&mut self, id: SocketId, first: u32, flags: Flags, data: &[u8]) -> Arrival {
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
        let early = socket.early.iter().map(|early| early.data.len());
        if socket.stream.len() + early.sum::<usize>() + data.len() > UNREAD {
            return Arrival::Unsupported("more than 65536 bytes of a connection that nobody reads");
        }
        let Some(sequence) = &mut socket.sequence else {
            return Arrival::Unsupported(BETWEEN_OWN);
        };
        let ends = flags.has(Flags::FIN);
        let came = Early {
            sequence: first,
            data: data.to_vec(),
            ends,
        };
        if !socket.early.contains(&came) {
            socket.early.push(came);
        }
        let mut ended = false;
        // tcp_ofo_queue
        while let Some(at) = socket
            .early
            .iter()
            .position(|early| early.reaches(sequence.expected))
        {
            let next = socket.early.swap_remove(at);
            let known = sequence.expected.wrapping_sub(next.sequence);
            let counted = next.data.len() as u32 + u32::from(next.ends);
            if let Some(new) = counted.checked_sub(known).filter(|new| *new > 0) {
                sequence.expected = sequence.expected.wrapping_add(new);
                let data = next.data.get(known as usize..);
                socket.stream.extend(data.unwrap_or_default());
                ended |= next.ends;
            }
        }
        let said = self.say(id, Flags::ACK);
        if ended {
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
}
