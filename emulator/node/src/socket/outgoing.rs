//! What a connection over wires has to send: its segments, in order, until they are acknowledged (`sk_write_queue`,
//! `tcp_rtx_queue`).

use std::collections::VecDeque;

use super::segment::Flags;

/// A segment that a connection has sent or is about to send, with what takes up numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The number of its first byte.
    pub(super) sequence: u32,
    pub(super) data: Vec<u8>,
    pub(super) flags: Flags,
    pub(super) passage: Sending,
}

/// How far a segment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// It waits, because a program let it not pass or there was no room for it.
    Waits,
    Sent,
    /// It was too long for a link.
    Lost,
}

impl Piece {
    /// The number behind it.
    pub(super) fn end(&self) -> u32 {
        let end = u32::from(self.flags.has(Flags::FIN));
        self.sequence.wrapping_add(self.data.len() as u32 + end)
    }

    /// What of it is longer than a segment may be (`tcp_fragment`).
    pub(super) fn split_off(&mut self, size: usize) -> Option<Self> {
        if self.data.len() <= size {
            return None;
        }
        let data = self.data.split_off(size);
        let rest = Self {
            sequence: self.sequence.wrapping_add(size as u32),
            data,
            ..*self
        };
        self.flags = Flags::ACK;
        Some(rest)
    }
}

/// What a connection has to send, in order, until it is acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Outgoing(pub(super) VecDeque<Piece>);

impl Outgoing {
    /// Forgets what has been acknowledged. Segments are acknowledged whole.
    pub(super) fn acknowledge(&mut self, until: u32) {
        let has_come = |piece: &Piece| until.wrapping_sub(piece.end()).cast_signed() >= 0;
        while self.0.front().is_some_and(has_come) {
            self.0.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn under_way(&self) -> usize {
        let mut pieces = self.0.iter();
        let sent = pieces.by_ref();
        sent.filter(|piece| piece.passage == Sending::Sent).count()
    }

    /// The first segment that waits.
    pub(super) fn first(&self, passage: Sending) -> Option<usize> {
        self.0.iter().position(|piece| piece.passage == passage)
    }

    pub(super) fn last_that_waits(&mut self) -> Option<&mut Piece> {
        let last = self.0.back_mut();
        last.filter(|piece| piece.passage == Sending::Waits)
    }

    /// Joins a segment that is sent again with those behind it, as far as they fit a size
    /// (`tcp_retrans_try_collapse`). None of them is held by anybody: what is too long for a link has met a router.
    pub(super) fn join(&mut self, at: usize, size: usize) {
        while let [piece, next] = [self.0.get(at), self.0.get(at + 1)]
            && let (Some(piece), Some(next)) = (piece, next)
            && next.passage != Sending::Waits
            && piece.data.len() + next.data.len() <= size
        {
            let next = self.0.remove(at + 1);
            if let (Some(piece), Some(next)) = (self.0.get_mut(at), next) {
                piece.flags = piece.flags.with(next.flags);
                piece.data.extend(next.data);
            }
        }
    }

    /// Fills a segment that waits from the next one (`tcp_grow_skb`, since Linux 6.10).
    pub(super) fn fill(&mut self, at: usize, size: usize) {
        let [Some(piece), Some(next)] = [at, at + 1].map(|at| self.0.get(at)) else {
            return;
        };
        let taken = size.saturating_sub(piece.data.len()).min(next.data.len());
        if taken == 0 {
            return;
        }
        let rest = next.data.len() - taken;
        let next = match rest {
            0 => self.0.remove(at + 1),
            _ => self.0.get_mut(at + 1).map(|next| {
                let first = next.sequence;
                next.sequence = first.wrapping_add(taken as u32);
                Piece {
                    data: next.data.drain(..taken).collect(),
                    flags: Flags::ACK,
                    sequence: first,
                    ..*next
                }
            }),
        };
        if let (Some(piece), Some(next)) = (self.0.get_mut(at), next) {
            piece.flags = piece.flags.with(next.flags);
            piece.data.extend(next.data);
        }
    }

    /// Cuts a segment to a size.
    pub(super) fn cut(&mut self, at: usize, size: usize) {
        let rest = self.0.get_mut(at).and_then(|piece| piece.split_off(size));
        if let Some(rest) = rest {
            self.0.insert(at + 1, rest);
        }
    }
}
