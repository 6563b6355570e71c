//! SYN cookies (`net/ipv4/syncookies.c`, `net/ipv6/syncookies.c`): a connection's first sequence number
//! that says all that a listener would have to remember.
//!
//! The kernel draws its secrets at random; here they come from the run's seed.

#![expect(
    deprecated,
    reason = "the kernel hashes with SipHash 2-4, which this is by its contract"
)]

use std::hash::{Hasher, SipHasher};
use std::net::IpAddr;

use twinpath_machine::{Random, SocketId};

use super::Sockets;
use super::socket::Socket;
use super::types::State;
use crate::net::NodeId;

/// Bits of a cookie below the minute.
const BITS: u32 = 24;
const MASK: u32 = (1 << BITS) - 1;
/// How many minutes a cookie is good for (`MAX_SYNCOOKIE_AGE`).
const MAX_AGE: u32 = 2;
/// A minute in nanoseconds (`TCP_SYNCOOKIE_PERIOD`).
const PERIOD_NS: u64 = 60_000_000_000;

const SEGMENTS_V4: [u16; 4] = [536, 1300, 1440, 1460];
const SEGMENTS_V6: [u16; 4] = [1280 - 60, 1480 - 60, 1500 - 60, 9000 - 60];

/// What only the receiver knows.
#[derive(Debug)]
pub(super) struct Secrets {
    v4: [[u64; 2]; 2],
    v6: [[u64; 2]; 2],
    sequences: Random,
}

/// Both ends of a segment, with its sequence number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// As on the wire.
    pub(crate) source_port: [u8; 2],
    pub(crate) destination_port: [u8; 2],
    pub(crate) sequence: u32,
}

impl Secrets {
    /// Secrets of a seed; the sequence itself is left alone.
    pub(super) fn new(mut random: Random) -> Self {
        let mut key = || [random.next_u64(), random.next_u64()];
        Self {
            v4: [key(), key()],
            v6: [key(), key()],
            sequences: random,
        }
    }

    /// The number of the first byte of a connection.
    pub(super) fn first_sequence(&mut self) -> u32 {
        self.sequences.next_u32()
    }

    /// A cookie for a first segment, and the segment size that it stands for: the largest of four that
    /// is at most `size`.
    pub(crate) fn make(&self, segment: &Segment, size: u16, now_ns: u64) -> (u32, u16) {
        let sizes = sizes(segment);
        let index = sizes.iter().rposition(|known| size >= *known).unwrap_or(0);
        let count = (now_ns / PERIOD_NS) as u32;
        let cookie = self
            .hash(segment, 0, 0)
            .wrapping_add(segment.sequence)
            .wrapping_add(count << BITS)
            .wrapping_add(self.hash(segment, count, 1).wrapping_add(index as u32) & MASK);
        (cookie, sizes[index])
    }

    /// The segment size that a cookie stands for, if it was made for this connection not long ago.
    /// `segment` has the sequence number of the first segment.
    pub(crate) fn check(&self, segment: &Segment, cookie: u32, now_ns: u64) -> Option<u16> {
        let count = (now_ns / PERIOD_NS) as u32;
        let cookie = cookie
            .wrapping_sub(self.hash(segment, 0, 0))
            .wrapping_sub(segment.sequence);
        let age = count.wrapping_sub(cookie >> BITS) & (u32::MAX >> BITS);
        if age >= MAX_AGE {
            return None;
        }
        let index = cookie.wrapping_sub(self.hash(segment, count.wrapping_sub(age), 1)) & MASK;
        sizes(segment).get(index as usize).copied()
    }

    /// `cookie_hash`
    fn hash(&self, segment: &Segment, count: u32, which: usize) -> u32 {
        let (keys, words): (_, [u8; 40]) = match (segment.source, segment.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut bytes = [0; 40];
                bytes[..4].copy_from_slice(&source.octets());
                bytes[4..8].copy_from_slice(&destination.octets());
                // Both ports as one word, of which the source's is the upper half.
                bytes[8..10].copy_from_slice(&segment.destination_port);
                bytes[10..12].copy_from_slice(&segment.source_port);
                bytes[12..16].copy_from_slice(&count.to_le_bytes());
                (self.v4[which], bytes)
            }
            (source, destination) => {
                let mut bytes = [0; 40];
                bytes[..16].copy_from_slice(&octets(source));
                bytes[16..32].copy_from_slice(&octets(destination));
                bytes[32..36].copy_from_slice(&count.to_le_bytes());
                bytes[36..38].copy_from_slice(&segment.source_port);
                bytes[38..40].copy_from_slice(&segment.destination_port);
                (self.v6[which], bytes)
            }
        };
        let len = if segment.source.is_ipv4() { 16 } else { 40 };
        let mut hasher = SipHasher::new_with_keys(keys[0], keys[1]);
        hasher.write(&words[..len]);
        hasher.finish() as u32
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn sizes(segment: &Segment) -> &'static [u16; 4] {
    if segment.source.is_ipv4() {
        &SEGMENTS_V4
    } else {
        &SEGMENTS_V6
    }
}

impl Sockets {
    /// Whether listeners of a namespace use cookies: 0 for never, 1 for when their queue is full, 2 for
    /// always (`net.ipv4.tcp_syncookies`).
    pub(crate) fn syn_cookies(&self, node: NodeId) -> u8 {
        self.namespace(node)
            .map_or(1, |namespace| namespace.syn_cookies)
    }

    /// See [`Secrets::make`].
    pub(crate) fn make_cookie(&self, segment: &Segment, size: u16, now_ns: u64) -> (u32, u16) {
        self.secrets.make(segment, size, now_ns)
    }

    /// See [`Secrets::check`].
    pub(crate) fn check_cookie(&self, segment: &Segment, cookie: u32, now_ns: u64) -> Option<u16> {
        self.secrets.check(segment, cookie, now_ns)
    }

    /// Whether a listener answers a first segment with a cookie (`tcp_get_syncookie_mss`).
    pub(crate) fn wants_cookies(&self, listener: &Socket) -> bool {
        let requests = self.iter().filter(|socket| {
            socket.state == State::Request && socket.listener == Some(listener.id)
        });
        let backlog = listener.backlog as usize;
        let always = self.syn_cookies(listener.node()) == 2;
        (always || requests.count() > backlog) && listener.accepted.len() <= backlog
    }

    /// Notes that a listener has made a cookie (`tcp_synq_overflow`).
    pub(crate) fn note_cookie(&mut self, id: SocketId, now_ns: u64) {
        let Some(socket) = self.get_mut(id) else {
            return;
        };
        let group = socket.group.filter(|_| socket.options.reuse_port);
        match group.and_then(|group| self.groups.get_mut(group)) {
            Some(group) => group.cookie_ns = Some(now_ns),
            None => {
                if let Some(socket) = self.get_mut(id) {
                    socket.tcp.cookie_ns = Some(now_ns);
                }
            }
        }
    }

    /// Whether a listener has made a cookie that can still be good (`tcp_synq_no_recent_overflow`).
    pub(crate) fn made_cookies_lately(&self, listener: &Socket, now_ns: u64) -> bool {
        let group = listener.group.filter(|_| listener.options.reuse_port);
        let made = match group.and_then(|group| self.groups.get(group)) {
            Some(group) => group.cookie_ns,
            None => listener.tcp.cookie_ns,
        };
        made.is_some_and(|made| now_ns.saturating_sub(made) <= u64::from(MAX_AGE) * PERIOD_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(source: &str, destination: &str) -> Segment {
        Segment {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            source_port: [0x80, 1],
            destination_port: [0, 80],
            sequence: 0xdead_beef,
        }
    }

    #[test]
    fn cookies_say_their_size_for_a_while_and_to_nobody_else() {
        let secrets = Secrets::new(Random::new(7));
        for (first, sizes) in [
            (segment("10.0.0.1", "10.0.0.2"), SEGMENTS_V4),
            (segment("fd00::1", "fd00::2"), SEGMENTS_V6),
        ] {
            let offered = [0, sizes[0], sizes[1] - 1, sizes[1], sizes[3], u16::MAX];
            let said = [sizes[0], sizes[0], sizes[0], sizes[1], sizes[3], sizes[3]];
            let now = 90_000_000_000;
            for (offered, said) in offered.into_iter().zip(said) {
                let (cookie, size) = secrets.make(&first, offered, now);
                assert_eq!(size, said);
                assert_eq!(secrets.check(&first, cookie, now), Some(said));
                assert_eq!(secrets.check(&first, cookie, now + PERIOD_NS), Some(said));
                assert_eq!(secrets.check(&first, cookie, now + 2 * PERIOD_NS), None);
                assert_eq!(secrets.check(&first, cookie ^ 1 << 20, now), None);
                let mut other = first;
                other.source_port = [0x80, 2];
                assert_eq!(secrets.check(&other, cookie, now), None);
                let others = Secrets::new(Random::new(8));
                assert_eq!(others.check(&first, cookie, now), None);
            }
        }
    }
}
