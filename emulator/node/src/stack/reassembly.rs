//! Packets that come in pieces (`net/ipv4/ip_fragment.c`, `net/ipv6/reassembly.c`,
//! `net/ipv4/inet_fragment.c`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use twinpath_machine::Machine;

use super::icmp::{self, Error, Receipt};
use super::timer::SECOND;
use super::wire::{self, Ipv4, Ipv6};
use super::{icmpv6, route::Cast};
use crate::net::{DeviceId, DropReason, Net, NodeId};
use crate::packet::{EtherType, Labels, Skb};

/// Nanoseconds after which an IPv4 packet is given up (`ipfrag_time`).
const IPV4_PATIENCE: u64 = 30 * SECOND;
/// Nanoseconds after which an IPv6 packet is given up (`ip6frag_time`).
const IPV6_PATIENCE: u64 = 60 * SECOND;
/// The longest packet, without an IPv6 header.
const MAX: usize = 65535;

/// What pieces of one packet have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    /// Of IPv4 only.
    protocol: u8,
}

/// Packets of which a part has come.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    queues: BTreeMap<Key, Queue>,
}

#[derive(Debug)]
struct Queue {
    due: u64,
    device: DeviceId,
    /// By ascending offset, without overlaps.
    pieces: BTreeMap<usize, Vec<u8>>,
    first: Option<First>,
    /// Whether the last piece has come.
    last: bool,
    /// Bytes of the payload, as far as is known.
    len: usize,
    /// The congestion marks that were seen, a bit each.
    marks: u8,
    /// Bytes of the longest piece, and of the longest that must not be fragmented.
    longest: (usize, usize),
}

/// The first piece of a packet.
#[derive(Debug)]
struct First {
    /// Its headers.
    head: Vec<u8>,
    packet: Vec<u8>,
    labels: Labels,
}

/// A piece of a packet.
struct Piece<'a> {
    offset: usize,
    more: bool,
    payload: &'a [u8],
    /// What precedes the payload in the packet.
    head: &'a [u8],
    packet: &'a [u8],
    labels: Labels,
    /// Congestion mark.
    mark: u8,
    dont_fragment: bool,
}

/// What becomes of a piece.
enum Outcome {
    /// More are to come.
    Kept,
    /// It is there already, or makes no sense.
    Refused,
    /// All pieces are gone: they contradict each other.
    Discarded,
    Complete,
}

impl Reassembly {
    /// The first packet whose time has come.
    pub(super) fn due(&self, now: u64) -> Option<Key> {
        let mut queues = self.queues.iter();
        queues
            .find(|(_, queue)| queue.due <= now)
            .map(|(key, _)| *key)
    }
}

impl Queue {
    fn new(due: u64, device: DeviceId) -> Self {
        Self {
            due,
            device,
            pieces: BTreeMap::new(),
            first: None,
            last: false,
            len: 0,
            marks: 0,
            longest: (0, 0),
        }
    }

    /// `ip_frag_queue`, `ip6_frag_queue`.
    fn add(&mut self, piece: &Piece<'_>) -> Outcome {
        let mut end = piece.offset + piece.payload.len();
        if piece.more {
            end &= !7;
            if end > self.len {
                if self.last {
                    return Outcome::Discarded;
                }
                self.len = end;
            }
        } else {
            if end < self.len || (self.last && end != self.len) {
                return Outcome::Discarded;
            }
            self.last = true;
            self.len = end;
        }
        if end <= piece.offset {
            return Outcome::Discarded;
        }
        match self.place(piece.offset, end) {
            Place::Free => {}
            Place::Taken => return Outcome::Refused,
            Place::Overlaps => return Outcome::Discarded,
        }
        let payload = &piece.payload[..end - piece.offset];
        self.pieces.insert(piece.offset, payload.to_vec());
        self.marks |= 1 << piece.mark;
        let size = piece.head.len() + payload.len();
        self.longest.0 = self.longest.0.max(size);
        if piece.dont_fragment {
            self.longest.1 = self.longest.1.max(size);
        }
        if piece.offset == 0 {
            self.first = Some(First {
                head: piece.head.to_vec(),
                packet: piece.packet.to_vec(),
                labels: piece.labels,
            });
        }
        let have: usize = self.pieces.values().map(Vec::len).sum();
        if self.first.is_some() && self.last && have == self.len {
            Outcome::Complete
        } else {
            Outcome::Kept
        }
    }

    /// `inet_frag_queue_insert`: pieces that follow each other count as one run.
    fn place(&self, offset: usize, end: usize) -> Place {
        let mut run: Option<(usize, usize)> = None;
        let mut runs = Vec::new();
        for (at, bytes) in &self.pieces {
            match &mut run {
                Some((_, until)) if *until == *at => *until += bytes.len(),
                _ => {
                    runs.extend(run);
                    run = Some((*at, at + bytes.len()));
                }
            }
        }
        runs.extend(run);
        for (start, until) in runs {
            if end <= start || offset >= until {
                continue;
            }
            return match offset >= start && end <= until {
                true => Place::Taken,
                false => Place::Overlaps,
            };
        }
        Place::Free
    }

    /// `ip_frag_ecn_table`: the mark of the whole packet; none when the marks contradict each other.
    fn mark(&self) -> Option<u8> {
        const NOT_CAPABLE: u8 = 1 << 0;
        const CONGESTED: u8 = 1 << 3;
        match self.marks {
            marks if marks & NOT_CAPABLE != 0 && marks != NOT_CAPABLE => None,
            marks if marks & CONGESTED != 0 => Some(3),
            _ => Some(0),
        }
    }
}

/// Where a piece belongs among the others.
enum Place {
    Free,
    Taken,
    Overlaps,
}

impl Net {
    /// `ip_defrag`: the whole packet, when this was the last piece that was missing.
    pub(super) fn reassemble_ipv4(
        &mut self,
        machine: &mut Machine,
        skb: Skb,
        header: &Ipv4,
    ) -> Option<(Skb, Ipv4)> {
        let key = Key {
            source: header.source.into(),
            destination: header.destination.into(),
            id: header.id.into(),
            protocol: header.protocol,
        };
        let packet = skb.frame.bytes(&machine.memory);
        let (head, payload) = packet.split_at(header.len);
        let piece = Piece {
            offset: header.offset,
            more: header.more_fragments,
            payload,
            head,
            packet,
            labels: skb.labels(),
            mark: header.tos & 3,
            dont_fragment: header.dont_fragment,
        };
        let now = machine.clock.monotonic_ns();
        let queue = self.queue_piece(&key, now + IPV4_PATIENCE, skb.device, &piece);
        let queue = self.keep_or_take(machine, skb, queue)?;
        let mark = queue.mark();
        let First {
            head: mut bytes,
            labels,
            ..
        } = queue.first?;
        let total = bytes.len() + queue.len;
        if total > MAX || mark.is_none() {
            return None;
        }
        bytes[1] |= mark.unwrap_or(0);
        bytes[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        let keep = queue.longest.0 == queue.longest.1;
        bytes[6..8].copy_from_slice(&(u16::from(keep) << 14).to_be_bytes());
        wire::fill_header_checksum(&mut bytes);
        queue
            .pieces
            .values()
            .for_each(|piece| bytes.extend_from_slice(piece));
        let skb = self.whole_packet(machine, (queue.device, EtherType::IPV4), &bytes, labels)?;
        let header = Ipv4::parse(&bytes)?;
        Some((skb, header))
    }

    /// `ipv6_frag_rcv`: the whole packet, when this was the last piece that was missing. `at` is
    /// where the fragment header is, `before` where the number that announces it.
    pub(super) fn reassemble_ipv6(
        &mut self,
        machine: &mut Machine,
        skb: Skb,
        header: &Ipv6,
        at: usize,
        before: usize,
    ) -> Option<Skb> {
        const HEADER: usize = 8;
        let packet = skb.frame.bytes(&machine.memory);
        let Some(fragment) = packet.get(at..at + HEADER) else {
            self.refuse(machine, skb, DropReason::Malformed);
            return None;
        };
        let word = u16::from_be_bytes([fragment[2], fragment[3]]);
        let id = [fragment[4], fragment[5], fragment[6], fragment[7]];
        let next = fragment[0];
        let payload = &packet[at + HEADER..];
        let key = Key {
            source: header.source.into(),
            destination: header.destination.into(),
            id: u32::from_be_bytes(id),
            protocol: 0,
        };
        let more = word & 1 != 0;
        if more && !payload.len().is_multiple_of(8) {
            // The length is wrong: the sender is told where it stands.
            let error = icmpv6::Error::with(icmpv6::PARAMETER_PROBLEM, 0, 4);
            self.icmpv6_error(machine, &skb, error);
            self.refuse(machine, skb, DropReason::Malformed);
            return None;
        }
        let piece = Piece {
            offset: usize::from(word & !7),
            more,
            payload,
            head: &packet[..at],
            packet,
            labels: skb.labels(),
            mark: header.class & 3,
            dont_fragment: false,
        };
        let now = machine.clock.monotonic_ns();
        let queue = self.queue_piece(&key, now + IPV6_PATIENCE, skb.device, &piece);
        let queue = self.keep_or_take(machine, skb, queue)?;
        let mark = queue.mark()?;
        let First {
            mut head, labels, ..
        } = queue.first?;
        let len = head.len() - wire::IPV6 + queue.len;
        if len > MAX {
            return None;
        }
        head[before] = next;
        head[4..6].copy_from_slice(&(len as u16).to_be_bytes());
        head[1] |= mark << 4;
        queue
            .pieces
            .values()
            .for_each(|piece| head.extend_from_slice(piece));
        self.whole_packet(machine, (queue.device, EtherType::IPV6), &head, labels)
    }

    /// A packet whose pieces have come by a device.
    fn whole_packet(
        &mut self,
        machine: &mut Machine,
        (device, protocol): (DeviceId, EtherType),
        bytes: &[u8],
        labels: Labels,
    ) -> Option<Skb> {
        let mut skb = self.new_packet(machine, device, protocol, bytes)?;
        skb.label(labels);
        skb.ingress = skb.ifindex;
        Some(skb)
    }

    /// Puts a piece to the others of its packet; all of them when the packet is complete.
    fn queue_piece(
        &mut self,
        key: &Key,
        due: u64,
        device: DeviceId,
        piece: &Piece<'_>,
    ) -> Result<Option<Queue>, DropReason> {
        let node = self.node_of(device);
        let Some(stack) = self.stack_mut(node) else {
            return Err(DropReason::Unsupported);
        };
        let queues = &mut stack.reassembly.queues;
        let queue = queues
            .entry(*key)
            .or_insert_with(|| Queue::new(due, device));
        queue.device = device;
        match queue.add(piece) {
            Outcome::Kept => Ok(None),
            Outcome::Refused => Err(DropReason::Fragment),
            Outcome::Discarded => {
                queues.remove(key);
                Err(DropReason::Fragment)
            }
            Outcome::Complete => Ok(queues.remove(key)),
        }
    }

    fn keep_or_take(
        &mut self,
        machine: &Machine,
        skb: Skb,
        queue: Result<Option<Queue>, DropReason>,
    ) -> Option<Queue> {
        match queue {
            Ok(Some(queue)) => {
                skb.frame.free(&mut self.pool);
                Some(queue)
            }
            Ok(None) => {
                self.wait(machine, skb);
                None
            }
            Err(reason) => {
                self.refuse(machine, skb, reason);
                None
            }
        }
    }

    /// `ip_expire`, `ip6frag_expire_frag_queue`: a part has not come in time, which the sender is
    /// told when the first has.
    pub(super) fn reassembly_timer(&mut self, machine: &mut Machine, node: NodeId, key: &Key) {
        let Some(stack) = self.stack_mut(node) else {
            return;
        };
        let Some(queue) = stack.reassembly.queues.remove(key) else {
            return;
        };
        let Some(First { packet, .. }) = queue.first else {
            return;
        };
        let ipv6 = key.source.is_ipv6();
        let protocol = if ipv6 {
            EtherType::IPV6
        } else {
            EtherType::IPV4
        };
        let Some(skb) = self.new_packet(machine, queue.device, protocol, &packet) else {
            return;
        };
        if ipv6 {
            let error = icmpv6::Error::new(icmpv6::TIME_EXCEEDED, 1);
            self.icmpv6_error(machine, &skb, error);
        } else {
            let error = Error::new(icmp::TIME_EXCEEDED, 1);
            self.icmp_error(machine, &skb, error, Receipt::Local(Cast::Unicast));
        }
        self.refuse(machine, skb, DropReason::Fragment);
    }
}
