//! What two honest runs may differ in. Anything that is not listed here is a difference.

use std::fmt;

use etherparse::IpNumber;

use super::chosen::Chosen;
use crate::emulated::Chance;
use crate::ip::IpPacket;
use crate::plan::Plan;
use crate::recording::{End, Journey, Recording};
use crate::socket::is_chosen_port;

/// A way in which recordings are made comparable before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Which CPU's slot holds a value of a per-CPU map is not compared, nor how many empty slots there are.
    PerCpuSlot,
    /// The ends of a packet and its copies are compared device by device and kind by kind, not in one order.
    OrderOfEnds,
    /// The identification of IPv4 packets and of IPv6 fragments from a node's own addresses is not compared.
    Identification,
    /// The source port of a node's own tunnel packets is not compared.
    TunnelPort,
    /// The port of a socket is not compared where it is one that nodes choose.
    SocketPort,
    /// The numbers of bytes in connections of TCP are compared as they are counted from the first.
    Sequence,
    /// Bytes that depend on what stands in the room before a packet are not compared.
    Headroom,
    /// Bytes that depend on the clock are not compared.
    Clock,
    /// Bytes that depend on random numbers are not compared.
    Random,
}

/// The rules by which the recordings of a plan are compared, or that there are none.
#[derive(Debug, Clone, Default)]
pub struct Leeway {
    /// On the left and on the right.
    chosen: [Chosen; 2],
    strict: bool,
}

impl Leeway {
    /// All rules, for recordings of the plan.
    pub fn of(plan: &Plan) -> Self {
        Self {
            chosen: [Chosen::of(plan), Chosen::of(plan)],
            strict: false,
        }
    }

    /// The rules with the ports that nodes chose in two recordings.
    pub(super) fn between(&self, left: &Recording, right: &Recording) -> Self {
        let mut leeway = self.clone();
        let [of_left, of_right] = &mut leeway.chosen;
        for (stand_in, ports) in (0..).zip(chosen_ports(left, right)) {
            of_left.stand_in(ports[0], stand_in);
            of_right.stand_in(ports[1], stand_in);
        }
        of_left.count_from(first_sequences(left));
        of_right.count_from(first_sequences(right));
        leeway
    }

    /// None: whatever differs is a difference.
    pub fn none() -> Self {
        Self {
            strict: true,
            ..Self::default()
        }
    }

    /// Whether there are no rules.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// Both sides as they are compared: as they are where they are alike or there are no rules, else as `canonical` makes
    /// each.
    pub(super) fn apply<T: Clone + PartialEq>(
        &self,
        (left, right): (T, T),
        canonical: impl FnOnce(&[Chosen; 2], T, T) -> (T, T),
    ) -> (T, T) {
        if self.strict || left == right {
            (left, right)
        } else {
            canonical(&self.chosen, left, right)
        }
    }
}

/// The pairs of ports that the same sockets were given in two recordings, in the order in which they were.
fn chosen_ports(left: &Recording, right: &Recording) -> Vec<[u16; 2]> {
    let mut pairs = Vec::new();
    for (left, right) in left.journeys.iter().zip(&right.journeys) {
        if let (Some(left), Some(right)) = (port_of_call(left), port_of_call(right)) {
            let pair = [left, right];
            if pair.iter().all(|port| is_chosen_port(*port)) && !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
    }
    pairs
}

/// The port of the socket that a call was made on. One that has none any more, as it was refused, has sent from it.
fn port_of_call(journey: &Journey) -> Option<u16> {
    let called = journey.called.as_ref()?;
    let sent = || frames(journey).find_map(source_port);
    called.local.map(|local| local.port()).or_else(sent)
}

fn source_port(frame: &[u8]) -> Option<u16> {
    let packet = IpPacket::parse(frame)?;
    let begins = packet.piece.is_none_or(|piece| piece.offset == 0);
    let has_ports = begins && matches!(packet.protocol, IpNumber::TCP | IpNumber::UDP);
    let port = packet.payload.first_chunk().filter(|_| has_ports)?;
    Some(u16::from_be_bytes(*port))
}

/// The frames at hops and ends, each in its order.
fn frames(journey: &Journey) -> impl Iterator<Item = &[u8]> {
    let hops = journey.hops.iter().map(|hop| &hop.bytes[..]);
    hops.chain(journey.ends.iter().filter_map(End::bytes))
}

/// The numbers of the first bytes of connections, in the order in which they are seen.
fn first_sequences(recording: &Recording) -> Vec<u32> {
    let mut sequences = Vec::new();
    let mut journeys: Vec<&Journey> = recording.journeys.iter().rev().collect();
    while let Some(journey) = journeys.pop() {
        for sequence in frames(journey).filter_map(first_sequence) {
            if !sequences.contains(&sequence) {
                sequences.push(sequence);
            }
        }
        journeys.extend(journey.answers.iter().rev().map(|answer| &answer.journey));
    }
    sequences
}

/// The number of the first byte, if a frame is the first segment of a direction.
fn first_sequence(frame: &[u8]) -> Option<u32> {
    const SYN: u8 = 2;
    let packet = IpPacket::parse(frame).filter(|packet| packet.protocol == IpNumber::TCP)?;
    let flags = packet.payload.get(13)?;
    let sequence = packet.payload.get(4..8)?.first_chunk()?;
    (flags & SYN != 0).then(|| u32::from_be_bytes(*sequence))
}

impl Rule {
    /// The rule's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerCpuSlot => "per-cpu-slot",
            Self::OrderOfEnds => "order-of-ends",
            Self::Identification => "ip-id",
            Self::TunnelPort => "tunnel-port",
            Self::SocketPort => "socket-port",
            Self::Sequence => "tcp-sequence",
            Self::Headroom => "headroom",
            Self::Clock => "clock",
            Self::Random => "random",
        }
    }

    /// What the rule leaves out, and why two honest runs may differ in it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::PerCpuSlot => {
                "which CPU's slot holds a per-CPU value depends on where the packet was handled"
            }
            Self::OrderOfEnds => "copies that end in different places have no common order",
            Self::Identification => {
                "network stacks choose the identification of their packets at random"
            }
            Self::TunnelPort => {
                "the source port of a tunnel's packets is a hash with a key that is drawn at random"
            }
            Self::SocketPort => "nodes choose the ports of sockets that have none at random",
            Self::Sequence => "TCP draws the number of a connection's first byte at random",
            Self::Headroom => {
                "where a program lets a packet grow and does not write, Linux has what earlier packets left there"
            }
            Self::Clock => "the kernel's clock is its own",
            Self::Random => "the kernel's random numbers are its own",
        }
    }
}

impl From<Chance> for Rule {
    fn from(chance: Chance) -> Self {
        match chance {
            Chance::Headroom => Self::Headroom,
            Chance::Clock => Self::Clock,
            Chance::Random => Self::Random,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
