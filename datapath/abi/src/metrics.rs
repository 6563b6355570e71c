//! Counters of what became of packets.

use crate::{DropReason, ForwardReason, Ifindex, reason_text, records, sizes};

records! {
    /// Key of [`map::METRICS`](crate::map::METRICS) (Cilium's `metrics_key`, with verdict and
    /// device where it has the source line).
    pub struct MetricsKey {
        /// A [`DropReason`] or a [`ForwardReason`].
        pub reason: u8,
        /// A [`Direction`].
        pub dir: u8,
        /// A [`Verdict`].
        pub verdict: u8,
        /// Always 0.
        pub reserved: u8,
        /// The device whose program counted.
        pub ifindex: Ifindex,
    }

    /// Value of [`map::METRICS`](crate::map::METRICS), one for each CPU.
    pub struct MetricsValue {
        /// Packets.
        pub count: u64,
        /// Their bytes, Ethernet header included.
        pub bytes: u64,
    }
}

sizes!(MetricsKey = 8, MetricsValue = 16);

/// Which way a packet goes, as the node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// Into the node or the endpoint.
    Ingress = 1,
    /// Out of the endpoint.
    Egress = 2,
}

/// What a program decides about a packet, whatever its hook calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verdict {
    /// On to the network stack: `XDP_PASS`, `TC_ACT_OK`.
    Pass = 1,
    /// Dropped: `XDP_DROP`, `TC_ACT_SHOT`.
    Drop = 2,
    /// Out of the device that it came in by: `XDP_TX`.
    Transmit = 3,
    /// To another device: `TC_ACT_REDIRECT`.
    Redirect = 4,
}

impl Direction {
    /// The direction with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Ingress,
            2 => Self::Egress,
            _ => return None,
        })
    }

    /// `ingress` or `egress`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl Verdict {
    /// The verdict with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Pass,
            2 => Self::Drop,
            3 => Self::Transmit,
            4 => Self::Redirect,
            _ => return None,
        })
    }

    /// `pass`, `drop`, `transmit` or `redirect`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Transmit => "transmit",
            Self::Redirect => "redirect",
        }
    }
}

impl MetricsKey {
    /// The counter of dropped packets.
    #[inline(always)]
    pub const fn dropped(reason: DropReason, dir: Direction, ifindex: Ifindex) -> Self {
        Self::new(reason as u8, dir, Verdict::Drop, ifindex)
    }

    /// The counter of packets that went on.
    #[inline(always)]
    pub const fn forwarded(verdict: Verdict, dir: Direction, ifindex: Ifindex) -> Self {
        Self::new(ForwardReason::Forwarded as u8, dir, verdict, ifindex)
    }

    #[inline(always)]
    const fn new(reason: u8, dir: Direction, verdict: Verdict, ifindex: Ifindex) -> Self {
        Self {
            reason,
            dir: dir as u8,
            verdict: verdict as u8,
            reserved: 0,
            ifindex,
        }
    }

    /// The reason in words, as Cilium prints it.
    pub const fn reason_text(&self) -> Option<&'static str> {
        reason_text(self.reason)
    }
}
