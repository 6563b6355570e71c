//! What a dissection yields.

use std::fmt;
use std::ops::Range;

/// A field of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The header that it belongs to.
    pub protocol: Protocol,
    /// Which header of that protocol, counted from 1: in a tunnel, 2 is the inner one.
    pub nth: usize,
    /// Its name, as Wireshark has it where Wireshark has one: `ip.ttl`.
    pub name: &'static str,
    /// The bits of the frame that it takes, counted from the highest bit of the first byte.
    pub bits: Range<usize>,
    /// Its value for people.
    pub value: String,
    /// For a checksum, whether it is right.
    pub checksum: Option<ChecksumState>,
    /// The index of its header among all headers of the frame.
    pub(super) layer: usize,
    /// Bytes without a structure: a difference is shown where it is.
    pub(super) opaque: bool,
}

impl Field {
    /// The bytes of the frame that hold it; a part of them may belong to its neighbours.
    pub fn bytes(&self) -> Range<usize> {
        self.bits.start / 8..self.bits.end.div_ceil(8)
    }

    /// Its name, and which header it is in when that is not the first of its protocol:
    /// `ip.ttl`, `ip.ttl#2`.
    pub fn path(&self) -> String {
        match self.nth {
            1 => self.name.to_owned(),
            nth => format!("{}#{nth}", self.name),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.value)
    }
}

/// A kind of header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Ethernet (IEEE 802.3).
    Eth,
    /// A VLAN tag (IEEE 802.1Q).
    Vlan,
    /// ARP (RFC 826).
    Arp,
    /// IPv4 (RFC 791).
    Ip,
    /// IPv6 (RFC 8200).
    Ipv6,
    /// IPv6 hop-by-hop options.
    Ipv6HopByHop,
    /// IPv6 routing header.
    Ipv6Routing,
    /// IPv6 fragment header.
    Ipv6Fragment,
    /// IPv6 destination options.
    Ipv6Destination,
    /// Authentication header (RFC 4302).
    Ah,
    /// TCP (RFC 9293).
    Tcp,
    /// UDP (RFC 768).
    Udp,
    /// ICMP (RFC 792).
    Icmp,
    /// ICMPv6 (RFC 4443, RFC 4861).
    Icmpv6,
    /// VXLAN (RFC 7348).
    Vxlan,
    /// What no header claims.
    Payload,
}

impl Protocol {
    /// Its name in Wireshark's display filters; `payload` for what has none.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eth => "eth",
            Self::Vlan => "vlan",
            Self::Arp => "arp",
            Self::Ip => "ip",
            Self::Ipv6 => "ipv6",
            Self::Ipv6HopByHop => "ipv6.hopopts",
            Self::Ipv6Routing => "ipv6.routing",
            Self::Ipv6Fragment => "ipv6.fraghdr",
            Self::Ipv6Destination => "ipv6.dstopts",
            Self::Ah => "ah",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Icmpv6 => "icmpv6",
            Self::Vxlan => "vxlan",
            Self::Payload => "payload",
        }
    }

    /// The name of the bytes of a header that is cut short or impossible.
    pub(super) const fn truncated(self) -> &'static str {
        match self {
            Self::Eth => "eth.truncated",
            Self::Vlan => "vlan.truncated",
            Self::Arp => "arp.truncated",
            Self::Ip => "ip.truncated",
            Self::Ipv6 => "ipv6.truncated",
            Self::Ipv6HopByHop => "ipv6.hopopts.truncated",
            Self::Ipv6Routing => "ipv6.routing.truncated",
            Self::Ipv6Fragment => "ipv6.fraghdr.truncated",
            Self::Ipv6Destination => "ipv6.dstopts.truncated",
            Self::Ah => "ah.truncated",
            Self::Tcp => "tcp.truncated",
            Self::Udp => "udp.truncated",
            Self::Icmp => "icmp.truncated",
            Self::Icmpv6 => "icmpv6.truncated",
            Self::Vxlan => "vxlan.truncated",
            Self::Payload => "payload",
        }
    }

    /// The name of the bytes behind all that its length covers.
    pub(super) const fn trailer(self) -> &'static str {
        match self {
            Self::Eth => "eth.trailer",
            Self::Ip => "ip.trailer",
            Self::Ipv6 => "ipv6.trailer",
            Self::Icmp => "icmp.trailer",
            Self::Icmpv6 => "icmpv6.trailer",
            _ => "payload",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumState {
    /// It is.
    Right,
    /// It is not.
    Wrong {
        /// What it should be.
        expected: u16,
    },
    /// It is 0, by which UDP says that there is none.
    Absent,
    /// The frame does not hold all that it covers.
    Unverified(Unverified),
}

/// Why a checksum cannot be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The packet is cut short, or its lengths contradict each other.
    Truncated,
    /// It covers other fragments, too.
    Fragment,
    /// It covers the final destination, which a routing header holds.
    Routed,
}

impl fmt::Display for ChecksumState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Right => f.write_str("right"),
            Self::Wrong { expected } => write!(f, "wrong, should be {expected:#06x}"),
            Self::Absent => f.write_str("absent"),
            Self::Unverified(Unverified::Truncated) => f.write_str("unverified, truncated"),
            Self::Unverified(Unverified::Fragment) => f.write_str("unverified, a fragment"),
            Self::Unverified(Unverified::Routed) => f.write_str("unverified, routed"),
        }
    }
}
