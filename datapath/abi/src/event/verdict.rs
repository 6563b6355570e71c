//! A policy has decided about a new connection.

use super::{CAPTURE_LEN, NotifyCapture, NotifyHead, captured};
use crate::{Direction, Identity, Port, Protocol, records, sizes};

records! {
    /// Head of a policy verdict (Cilium's `policy_verdict_notify`). Its source is the endpoint whose policy
    /// it was, its subtype 0.
    pub struct VerdictNotify {
        /// What every record begins with.
        pub head: NotifyHead,
        /// How much of the packet there is.
        pub capture: NotifyCapture,
        /// Identity of the other end.
        pub remote_label: Identity,
        /// 0: allowed; above 0: the proxy's port, in the machine's byte order; below 0: the negative of a
        /// [`DropReason`](crate::DropReason).
        pub verdict: i32,
        /// The receiver's port; of ICMP, the type.
        pub dst_port: Port,
        /// The protocol.
        pub proto: Protocol,
        /// Direction, family, kind of match, audit mode.
        pub flags: VerdictFlags,
        /// The entry's kind of authentication.
        pub auth_type: u8,
        /// Always 0.
        pub reserved: [u8; 3],
        /// The entry's cookie; 0 if none decided.
        pub cookie: u32,
        /// Always 0.
        pub reserved2: u32,
    }

    /// Bits of a [`VerdictNotify`]: from the lowest, two for the [`Direction`], one for IPv6, three for the
    /// [`PolicyMatch`], one for audit mode, one that is always 0.
    #[derive(Default)]
    pub struct VerdictFlags(pub u8);

    /// A policy verdict as it stands in [`map::EVENTS`](crate::map::EVENTS).
    pub struct VerdictRecord {
        /// What happened.
        pub notify: VerdictNotify,
        /// The head of the packet.
        pub payload: [u8; CAPTURE_LEN],
    }
}

sizes!(VerdictNotify = 40, VerdictRecord = 168);

/// What an entry of the policy looked at (Cilium's `POLICY_MATCH_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum PolicyMatch {
    /// No entry fits.
    None = 0,
    /// The identity.
    L3Only = 1,
    /// Identity, protocol and port.
    L3L4 = 2,
    /// Protocol and port.
    L4Only = 3,
    /// Nothing: it fits everything.
    All = 4,
    /// Identity and protocol.
    L3Proto = 5,
    /// The protocol.
    ProtoOnly = 6,
}

impl PolicyMatch {
    /// The match with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::None,
            1 => Self::L3Only,
            2 => Self::L3L4,
            3 => Self::L4Only,
            4 => Self::All,
            5 => Self::L3Proto,
            6 => Self::ProtoOnly,
            _ => return None,
        })
    }

    /// The words that Cilium prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::L3Only => "L3-Only",
            Self::L3L4 => "L3-L4",
            Self::L4Only => "L4-Only",
            Self::All => "all",
            Self::L3Proto => "L3-Proto",
            Self::ProtoOnly => "Proto-Only",
        }
    }
}

impl VerdictFlags {
    const IPV6: u8 = 1 << 2;
    const MATCH_SHIFT: u32 = 3;
    const AUDITED: u8 = 1 << 6;

    /// The bits for a decision.
    #[inline(always)]
    pub const fn new(dir: Direction, ipv6: bool, found: PolicyMatch, audited: bool) -> Self {
        let ipv6 = if ipv6 { Self::IPV6 } else { 0 };
        let audited = if audited { Self::AUDITED } else { 0 };
        Self(dir as u8 | ipv6 | (found as u8) << Self::MATCH_SHIFT | audited)
    }

    /// The direction, if it is one.
    pub const fn direction(self) -> Option<Direction> {
        Direction::from_code(self.0 & 3)
    }

    /// Whether the packet is IPv6.
    pub const fn is_ipv6(self) -> bool {
        self.0 & Self::IPV6 != 0
    }

    /// What the entry looked at, if it is a kind that exists.
    pub const fn found(self) -> Option<PolicyMatch> {
        PolicyMatch::from_code(self.0 >> Self::MATCH_SHIFT & 7)
    }

    /// Whether the packet went on only because of audit mode.
    pub const fn is_audited(self) -> bool {
        self.0 & Self::AUDITED != 0
    }
}

impl VerdictNotify {
    /// The version of this layout.
    pub const VERSION: u8 = 1;
}

impl VerdictRecord {
    /// The captured head of the packet.
    pub fn captured(&self) -> &[u8] {
        captured(&self.notify.capture, &self.payload)
    }
}
