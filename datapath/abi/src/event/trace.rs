//! A packet has passed a point of its way.

use super::{CAPTURE_LEN, NotifyCapture, NotifyFlags, NotifyHead, captured};
use crate::{Address, EndpointId, Identity, Ifindex, records, sizes};

records! {
    /// Head of a trace event (Cilium's `trace_notify`, with the time where it has a trace id). Its subtype
    /// is a [`TracePoint`].
    pub struct TraceNotify {
        /// What every record begins with.
        pub head: NotifyHead,
        /// How much of the packet there is.
        pub capture: NotifyCapture,
        /// Identity of the sender.
        pub src_label: Identity,
        /// Identity of the receiver.
        pub dst_label: Identity,
        /// The endpoint that the packet is for, or the port of the proxy; 0 if it is for none.
        pub dst_id: EndpointId,
        /// A [`TraceReason`].
        pub reason: u8,
        /// Of the packet.
        pub flags: NotifyFlags,
        /// The device that the packet goes to; 0 if that is not known.
        pub ifindex: Ifindex,
        /// The source address before a translation; zero if there was none.
        pub orig_ip: Address,
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        pub timestamp: u64,
    }

    /// A trace event as it stands in [`map::EVENTS`](crate::map::EVENTS).
    pub struct TraceRecord {
        /// What happened.
        pub notify: TraceNotify,
        /// The head of the packet.
        pub payload: [u8; CAPTURE_LEN],
    }
}

sizes!(TraceNotify = 56, TraceRecord = 184);

impl TraceNotify {
    /// The version of this layout.
    pub const VERSION: u8 = 2;
}

impl TraceRecord {
    /// The captured head of the packet.
    pub fn captured(&self) -> &[u8] {
        captured(&self.notify.capture, &self.payload)
    }
}

/// Where on its way a packet is (Cilium's `trace_point`, `pkg/monitor/api/types.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum TracePoint {
    /// To an endpoint of this node.
    ToEndpoint = 0,
    /// To a proxy of this node.
    ToProxy = 1,
    /// To the node itself.
    ToHost = 2,
    /// To the network stack, to be routed.
    ToStack = 3,
    /// Into a tunnel.
    ToOverlay = 4,
    /// From an endpoint of this node.
    FromEndpoint = 5,
    /// From a proxy of this node.
    FromProxy = 6,
    /// From the node itself.
    FromHost = 7,
    /// From the network stack.
    FromStack = 8,
    /// Out of a tunnel.
    FromOverlay = 9,
    /// From the network.
    FromNetwork = 10,
    /// To the network.
    ToNetwork = 11,
}

impl TracePoint {
    /// All points, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::ToEndpoint,
        Self::ToProxy,
        Self::ToHost,
        Self::ToStack,
        Self::ToOverlay,
        Self::FromEndpoint,
        Self::FromProxy,
        Self::FromHost,
        Self::FromStack,
        Self::FromOverlay,
        Self::FromNetwork,
        Self::ToNetwork,
    ];

    /// The point with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Whether a packet comes in here; such points are silent from aggregation level 1 on.
    #[inline(always)]
    pub const fn is_arrival(self) -> bool {
        self as u8 >= Self::FromEndpoint as u8 && self as u8 <= Self::FromNetwork as u8
    }

    /// The words that Cilium prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ToEndpoint => "to-endpoint",
            Self::ToProxy => "to-proxy",
            Self::ToHost => "to-host",
            Self::ToStack => "to-stack",
            Self::ToOverlay => "to-overlay",
            Self::FromEndpoint => "from-endpoint",
            Self::FromProxy => "from-proxy",
            Self::FromHost => "from-host",
            Self::FromStack => "from-stack",
            Self::FromOverlay => "from-overlay",
            Self::FromNetwork => "from-network",
            Self::ToNetwork => "to-network",
        }
    }
}

/// Why a packet went on at a trace point (Cilium's `trace_reason`): what conntrack knew of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum TraceReason {
    /// A new connection, which the policy has allowed.
    New = 0,
    /// A connection that is known, in the direction that it was opened in.
    Established = 1,
    /// An answer.
    Reply = 2,
    /// An ICMP error about a connection that is known.
    Related = 3,
    /// Conntrack was not asked.
    Unknown = 5,
}

impl TraceReason {
    /// The reason with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::New,
            1 => Self::Established,
            2 => Self::Reply,
            3 => Self::Related,
            5 => Self::Unknown,
            _ => return None,
        })
    }

    /// The words that Cilium prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Established => "established",
            Self::Reply => "reply",
            Self::Related => "related",
            Self::Unknown => "unknown",
        }
    }
}
