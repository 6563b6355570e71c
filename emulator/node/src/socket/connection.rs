//! Connections over wires: their numbers, and what is left of them at their end (`tcp_time_wait`,
//! `tcp_timewait_state_process`). What they send is in `sending.rs`, what arrives in `incoming.rs`.

use twinpath_machine::SocketId;

use super::calls::SocketCalls;
use super::handshake::Arrival;
use super::segment::{Content, Flags, WIDEST};
use super::types::{SocketError, State};
use crate::net::DropReason;
use crate::stack::Segment;

/// The sequence numbers of a connection, and what its other end takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sequence {
    /// Of the next byte that it sends (`snd_nxt`).
    pub(super) next: u32,
    /// Of the next byte that its owner gives it to send (`write_seq`).
    pub(super) written: u32,
    /// Of the first byte behind what the other end was asked to hand over at once (`pushed_seq`).
    pub(super) pushed: u32,
    /// Of the next byte that it expects (`rcv_nxt`).
    pub(super) expected: u32,
    /// Of the first byte that the other end has not acknowledged (`snd_una`).
    pub(super) unacknowledged: u32,
    /// How many segments in a row acknowledged nothing new.
    pub(super) duplicates: u32,
    /// Whether a call of its owner sends: what would end the connection or send again meanwhile waits for the call's end
    /// (`sk_backlog`, `tcp_release_cb`).
    pub(super) owned: bool,
    /// How many segments have come meanwhile behind which it may send on.
    pub(super) heard: u32,
    /// Whether a reset has come meanwhile.
    pub(super) broken: bool,
    /// How long packets may be on the way, if that was heard meanwhile.
    pub(super) shortened: Option<u32>,
    /// Whether its own device has lost a segment, so that it sends less at once.
    pub(super) is_slow: bool,
    /// How long packets may be on its way, as of its last segment (`icsk_pmtu_cookie`).
    pub(super) path_mtu: Option<u32>,
    /// The longest segment that the other end takes (`mss_clamp`).
    pub(super) size: u16,
    /// How much that takes at once, now and at most (`snd_wnd`, `max_window`).
    pub(super) window: u16,
    pub(super) widest: u16,
}

pub(super) const BETWEEN_OWN: &str = "segments between sockets of one node";

impl Sequence {
    /// Of a connection whose first segment has the number `first`.
    pub(super) fn from(first: u32) -> Self {
        let next = first.wrapping_add(1);
        Self {
            next,
            written: next,
            pushed: next,
            unacknowledged: first,
            ..Self::default()
        }
    }

    pub(super) fn sees_window(&mut self, window: u16) {
        self.window = window;
        self.widest = self.widest.max(window);
    }

    /// Whether all that there was to send has been acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.unacknowledged == self.written
    }
}

impl SocketCalls<'_> {
    /// Both directions of a connection have ended, of which its end is remembered (`tcp_time_wait`).
    pub(super) fn remember(&mut self, id: SocketId) {
        match self.net.sockets.get(id).map(|socket| socket.orphan) {
            Some(true) => self.net.sockets.wait(self.machine, id),
            _ => {
                self.leave_behind(id);
                self.net.sockets.end(id);
            }
        }
    }

    /// The other end has reset a connection.
    pub(super) fn over(&mut self, id: SocketId) {
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
        let from = |number: u32| number.wrapping_sub(sequence.expected).cast_signed();
        let (begins, ends) = (
            from(segment.sequence),
            from(segment.sequence.wrapping_add(length)),
        );
        let is_next = begins == 0;
        if done {
            return match (flags.has(Flags::RST), is_next && length == 0) {
                (true, _) if is_next => self.forget(id),
                (true, _) | (false, true) => Arrival::Taken,
                (false, false) => self.say(id, Flags::ACK),
            };
        }
        let in_window = is_next || ends > 0 && begins < WIDEST as i32;
        if !in_window {
            return self.say(id, Flags::ACK);
        }
        if flags.has(Flags::RST) {
            return self.forget(id);
        }
        let begins_anew = flags.has(Flags::SYN) && begins >= 0;
        if !begins_anew && (length == 0 || ends <= 0 || !flags.has(Flags::ACK)) {
            return Arrival::Taken;
        }
        if begins_anew || !flags.has(Flags::FIN) || ends != 1 {
            self.forget(id);
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

    /// Nothing is left of a connection.
    fn forget(&mut self, id: SocketId) -> Arrival {
        self.net.sockets.remove(self.machine, id);
        Arrival::Taken
    }

    /// Whether a segment begins a connection in place of one that both ends have ended (`TCP_TW_SYN`). The numbers of a
    /// socket's connections to one place only grow (`secure_tcp_seq`).
    pub(super) fn begins_anew(&self, id: SocketId, segment: &Segment) -> bool {
        let socket = self.net.sockets.get(id);
        let ended = socket.is_some_and(|socket| socket.state == State::TimeWait && socket.done);
        ended && Flags(segment.flags).plain() == Flags::SYN
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
