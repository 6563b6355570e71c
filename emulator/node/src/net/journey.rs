//! What one frame caused.

use std::fmt;
use std::net::IpAddr;
use std::ops::{Index, Range};

use twinpath_machine::engine::UninitializedStack;
use twinpath_machine::{Cost, Fault, ProgramId};

use super::{DeviceId, Site};
use crate::packet::Vlan;

/// All that one frame caused. Reused for the next frame, it allocates nothing.
#[derive(Debug, Default)]
pub struct Journey {
    /// The program runs, in order.
    pub hops: Vec<Hop>,
    /// Where the packet and its copies ended, in order.
    pub ends: Vec<End>,
    /// What network stacks took in, behind tc ingress, in order. Nodes without a stack end packets there.
    pub intakes: Vec<Intake>,
    bytes: Vec<u8>,
}

/// A packet that the network stack of a node took in: whatever it met before is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intake {
    /// The device that received it.
    pub device: DeviceId,
    /// The frame, from the link-layer header on, with a VLAN tag in its place.
    pub frame: Span,
}

/// Where the bytes of a frame are in its [`Journey`]; index the journey with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Span(Range<usize>);

/// One run of a program.
#[derive(Debug)]
pub struct Hop {
    /// Where.
    pub site: Site,
    /// The program.
    pub program: ProgramId,
    /// What it returned, or the fault that ended it; the packet is dropped then.
    pub result: Result<i32, Box<Fault>>,
    /// What it cost. After a fault it is not known.
    pub cost: Option<Cost>,
    /// Reads of stack that was never written.
    pub warnings: Vec<UninitializedStack>,
    /// The frame after the run, from the link-layer header on, with a VLAN tag in its place.
    pub frame: Span,
    /// What the kernel keeps beside the packet, before the run.
    pub found: Metadata,
    /// What the kernel keeps beside the packet, after the run.
    pub metadata: Metadata,
}

/// What the kernel keeps beside a packet and programs can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metadata {
    /// `skb->mark`.
    pub mark: u32,
    /// `skb->priority`.
    pub priority: u32,
    /// `skb->tc_index`.
    pub tc_index: u16,
    /// `cb` of `struct __sk_buff`.
    pub cb: [u8; 20],
    /// The VLAN tag beside the packet.
    pub vlan: Option<Vlan>,
    /// The tunnel that it came through or is to be sent through, as `bpf_skb_get_tunnel_key` tells.
    pub tunnel: Option<TunnelKey>,
}

/// What programs see of a tunnel (`struct bpf_tunnel_key`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TunnelKey {
    /// The network's identifier.
    pub id: u32,
    /// The outer source.
    pub source: IpAddr,
    /// The outer destination.
    pub destination: IpAddr,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// The flow label.
    pub label: u32,
}

/// Where a packet, or a copy of one, ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The device where it ended.
    pub device: DeviceId,
    /// The last hook that it met, if any. A copy that a program made has met none yet, nor has what a network
    /// stack took in since.
    pub met: Option<Site>,
    /// How.
    pub kind: EndKind,
    /// The frame, from the link-layer header on, with a VLAN tag in its place.
    pub frame: Span,
}

/// How a packet ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndKind {
    /// It left by the device towards the far end of the wire.
    Left,
    /// It came to its destination in the network stack; without a stack, it went up to where one would be.
    Stack,
    /// A program kept it: `TC_ACT_STOLEN`, `TC_ACT_QUEUED`, `TC_ACT_TRAP`.
    Consumed,
    /// It waits in the node: for a neighbour's hardware address, or for the rest of a packet that came
    /// in pieces. A later journey may go on with it.
    Waiting,
    /// A device without a wire took it.
    Swallowed,
    /// It was dropped.
    Dropped(DropReason),
}

/// Why a packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// A program's verdict.
    Verdict,
    /// A program's fault.
    Fault,
    /// There is no device of the index that it was redirected to, or no redirect was prepared.
    NoDevice,
    /// The device is down.
    DeviceDown,
    /// It is longer than the device's MTU allows.
    TooLong,
    /// It has no link-layer header to be sent with.
    NoHeader,
    /// It is no IP packet to one host, and only those are sent to a neighbour.
    NotForwardable,
    /// There is no route to its destination.
    NoRoute,
    /// The hardware address of the next hop is not known.
    NoNeighbour,
    /// Its headers are cut off.
    Malformed,
    /// More transmissions inside each other than the kernel allows.
    Recursion,
    /// It went round until the emulator stopped it; the kernel has no such limit.
    Storm,
    /// Guest memory is full.
    Memory,
    /// The emulator does not do what Linux would do with it.
    Unsupported,
    /// It is addressed to the hardware address of another host.
    OtherHost,
    /// A checksum is wrong.
    Checksum,
    /// It has the source of a packet that cannot come this way.
    MartianSource,
    /// It has a destination that is never on a wire.
    MartianDestination,
    /// The way back to its source leads elsewhere (`rp_filter`).
    ReversePath,
    /// A route says so, in silence.
    Blackhole,
    /// It is for another host, and this one passes nothing on.
    NotForwarding,
    /// It is for a group that this host does not belong to.
    NotForUs,
    /// It has passed as many hosts as it may.
    TtlExceeded,
    /// The device has no address of its family.
    NoAddress,
    /// Nobody knows its protocol.
    UnknownProtocol,
    /// No socket is for it.
    NoSocket,
    /// Pieces of a packet contradict each other, or some did not come in time.
    Fragment,
    /// A tunnel device got its own frame back.
    OwnFrame,
    /// A tunnel device that asks programs where to was told nothing.
    NoTunnelKey,
    /// A tunnel device does not know where the station is.
    NoStation,
}

impl DropReason {
    /// A name in the kernel's manner.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Fault => "program fault",
            Self::NoDevice => "no such device",
            Self::DeviceDown => "device is down",
            Self::TooLong => "longer than the mtu",
            Self::NoHeader => "no link-layer header",
            Self::NotForwardable => "not forwardable",
            Self::NoRoute => "no route",
            Self::NoNeighbour => "unknown neighbour",
            Self::Malformed => "malformed header",
            Self::Recursion => "recursion limit",
            Self::Storm => "packet storm",
            Self::Memory => "out of guest memory",
            Self::Unsupported => "not supported",
            Self::OtherHost => "for another host",
            Self::Checksum => "wrong checksum",
            Self::MartianSource => "martian source",
            Self::MartianDestination => "martian destination",
            Self::ReversePath => "reverse path filter",
            Self::Blackhole => "blackhole route",
            Self::NotForwarding => "forwarding is off",
            Self::NotForUs => "for a group of others",
            Self::TtlExceeded => "time to live exceeded",
            Self::NoAddress => "no address of the family",
            Self::UnknownProtocol => "unknown protocol",
            Self::NoSocket => "no socket",
            Self::Fragment => "fragments that do not fit",
            Self::OwnFrame => "own frame",
            Self::NoTunnelKey => "no tunnel key",
            Self::NoStation => "unknown station",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Journey {
    /// Forgets everything but keeps the memory.
    pub fn clear(&mut self) {
        self.hops.clear();
        self.ends.clear();
        self.intakes.clear();
        self.bytes.clear();
    }

    /// Keeps what `write` appends.
    pub(crate) fn keep(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.bytes.len();
        write(&mut self.bytes);
        Span(start..self.bytes.len())
    }

    /// What all hops cost together, if all of them were counted.
    pub fn cost(&self) -> Option<Cost> {
        self.hops.iter().try_fold(Cost::default(), |mut sum, hop| {
            sum += hop.cost?;
            Some(sum)
        })
    }
}

impl Index<&Span> for Journey {
    type Output = [u8];

    fn index(&self, span: &Span) -> &[u8] {
        &self.bytes[span.0.clone()]
    }
}
