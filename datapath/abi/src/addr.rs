//! Addresses and numbers with a meaning of their own, so that they cannot be taken for each other.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::{records, sizes};

records! {
    /// A security identity, as Cilium numbers them: 1 to 255 are reserved, from 256 cluster-wide.
    #[derive(Default)]
    pub struct Identity(pub u32);

    /// A cluster's number in a mesh of clusters, which is in bits 16 to 23 of its identities.
    #[derive(Default)]
    pub struct ClusterId(pub u8);

    /// The kernel's index of a network device; 0 is no device.
    #[derive(Default)]
    pub struct Ifindex(pub u32);

    /// An endpoint's number on its node; 0 is none.
    #[derive(Default)]
    pub struct EndpointId(pub u16);

    /// The protocol number of IPv4's `protocol` or of the last IPv6 `next header`.
    #[derive(Default)]
    pub struct Protocol(pub u8);

    /// Which kind of address an [`Address`] holds.
    #[derive(Default)]
    pub struct Family(pub u8);
}

/// A TCP or UDP port in network byte order, as it stands in a packet.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[repr(transparent)]
pub struct Port(u16);

/// An IPv4 or IPv6 address in network byte order. IPv4 takes the first four bytes and leaves the
/// others zero; a [`Family`] beside it says which of the two it is.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
// Words, so that the programs copy and compare it by words.
#[repr(transparent)]
pub struct Address([u32; 4]);

/// An Ethernet address.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
// By halves, as it stands in an Ethernet header.
#[repr(C, align(2))]
pub struct Mac(pub [u8; 6]);

sizes!(
    Identity = 4,
    ClusterId = 1,
    Ifindex = 4,
    EndpointId = 2,
    Protocol = 1,
    Family = 1
);
sizes!(Port = 2, Address = 16, Mac = 6);

impl Identity {
    /// Not known (Cilium's `UNKNOWN_ID`).
    pub const UNKNOWN: Self = Self(0);
    /// The node itself.
    pub const HOST: Self = Self(1);
    /// Anything outside the cluster.
    pub const WORLD: Self = Self(2);
    /// Endpoints that Cilium does not manage.
    pub const UNMANAGED: Self = Self(3);
    /// Health checks.
    pub const HEALTH: Self = Self(4);
    /// Endpoints whose labels are not known yet.
    pub const INIT: Self = Self(5);
    /// Other nodes.
    pub const REMOTE_NODE: Self = Self(6);
    /// The API server.
    pub const KUBE_APISERVER: Self = Self(7);
    /// Ingress proxies.
    pub const INGRESS: Self = Self(8);
    /// Anything outside the cluster, by IPv4, where the families are told apart.
    pub const WORLD_IPV4: Self = Self(9);
    /// The same, by IPv6.
    pub const WORLD_IPV6: Self = Self(10);

    /// The lowest identity of the cluster's scope.
    const CLUSTER_SCOPE: u32 = 256;
    /// Where the number of the cluster begins.
    const CLUSTER_SHIFT: u32 = 16;
    /// The bit of identities that only this node knows: those of address ranges.
    const LOCAL_SCOPE: u32 = 1 << 24;

    /// The first identity that a cluster gives to labels.
    pub const fn first_of(cluster: ClusterId) -> Self {
        Self((cluster.0 as u32) << Self::CLUSTER_SHIFT | Self::CLUSTER_SCOPE)
    }

    /// The cluster that gave it to labels; none did if it is reserved, or a range's of addresses.
    pub const fn cluster(self) -> Option<ClusterId> {
        if self.0 < Self::CLUSTER_SCOPE || self.0 & Self::LOCAL_SCOPE != 0 {
            return None;
        }
        Some(ClusterId((self.0 >> Self::CLUSTER_SHIFT) as u8))
    }

    /// Whether it is somebody outside the cluster: the world, or a range of addresses.
    #[inline(always)]
    pub const fn is_outside(self) -> bool {
        matches!(self, Self::WORLD | Self::WORLD_IPV4 | Self::WORLD_IPV6)
            || self.0 & Self::LOCAL_SCOPE != 0
    }

    /// Whether it is an endpoint's with labels of its own, or a health check's.
    #[inline(always)]
    pub const fn is_endpoint(self) -> bool {
        matches!(self, Self::HEALTH | Self::INIT | Self::UNMANAGED)
            || self.0 >= Self::CLUSTER_SCOPE && self.0 & Self::LOCAL_SCOPE == 0
    }

    /// The name of a reserved identity.
    pub const fn reserved_name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "unknown",
            1 => "host",
            2 => "world",
            3 => "unmanaged",
            4 => "health",
            5 => "init",
            6 => "remote-node",
            7 => "kube-apiserver",
            8 => "ingress",
            9 => "world-ipv4",
            10 => "world-ipv6",
            _ => return None,
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reserved_name() {
            Some(name) => f.pad(name),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl ClusterId {
    /// That of a cluster which is in no mesh.
    pub const ONLY: Self = Self(0);
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Ifindex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl EndpointId {
    /// No endpoint.
    pub const NONE: Self = Self(0);
    /// The node itself, whose policy is the host firewall.
    pub const HOST: Self = Self(u16::MAX);
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Protocol {
    /// No protocol in particular (in a service key: the entry of a virtual IP as a whole).
    pub const ANY: Self = Self(0);
    /// ICMP.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ANY => f.pad("any"),
            Self::ICMP => f.pad("icmp"),
            Self::TCP => f.pad("tcp"),
            Self::UDP => f.pad("udp"),
            Self::ICMPV6 => f.pad("icmpv6"),
            Self::SCTP => f.pad("sctp"),
            Self(other) => fmt::Display::fmt(&other, f),
        }
    }
}

impl Family {
    /// No address.
    pub const NONE: Self = Self(0);
    /// IPv4 (Cilium's `ENDPOINT_KEY_IPV4`).
    pub const V4: Self = Self(1);
    /// IPv6 (Cilium's `ENDPOINT_KEY_IPV6`).
    pub const V6: Self = Self(2);

    /// The family of an address.
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl Port {
    /// A port given in the machine's byte order.
    pub const fn new(host_order: u16) -> Self {
        Self(host_order.to_be())
    }

    /// A port as its two bytes stand in a packet, loaded as one integer.
    pub const fn from_network_order(raw: u16) -> Self {
        Self(raw)
    }

    /// The integer whose bytes in memory are those of a packet.
    pub const fn network_order(self) -> u16 {
        self.0
    }

    /// The port in the machine's byte order.
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Port").field(&self.get()).finish()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.get(), f)
    }
}

impl PartialOrd for Port {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Port {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.get().cmp(&other.get())
    }
}

impl Address {
    /// No address: all bytes zero.
    pub const UNSPECIFIED: Self = Self([0; 4]);

    /// An IPv4 address from its four bytes in network byte order.
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self([u32::from_ne_bytes(octets), 0, 0, 0])
    }

    /// An IPv6 address from its sixteen bytes in network byte order.
    pub const fn v6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self([
            u32::from_ne_bytes([a, b, c, d]),
            u32::from_ne_bytes([e, f, g, h]),
            u32::from_ne_bytes([i, j, k, l]),
            u32::from_ne_bytes([m, n, o, p]),
        ])
    }

    /// An address as four words, each loaded from a packet as one integer.
    #[inline(always)]
    pub const fn from_words(words: [u32; 4]) -> Self {
        Self(words)
    }

    /// All sixteen bytes, in network byte order.
    pub fn octets(self) -> [u8; 16] {
        zerocopy::transmute!(self)
    }

    /// The same, where they stand.
    #[inline(always)]
    pub fn octets_ref(&self) -> &[u8; 16] {
        zerocopy::transmute_ref!(self)
    }

    /// The first four bytes, which are all of an IPv4 address.
    #[inline(always)]
    pub fn v4_ref(&self) -> &[u8; 4] {
        let [first, ..]: &[[u8; 4]; 4] = zerocopy::transmute_ref!(self);
        first
    }

    /// The address, if `family` is one of the two that exist.
    pub fn to_ip(self, family: Family) -> Option<IpAddr> {
        let octets = self.octets();
        let [a, b, c, d, ..] = octets;
        match family {
            Family::V4 => Some(Ipv4Addr::new(a, b, c, d).into()),
            Family::V6 => Some(Ipv6Addr::from(octets).into()),
            _ => None,
        }
    }

    /// The address as four words, each with the bytes in memory as they stand in a packet.
    #[inline(always)]
    pub const fn words(self) -> [u32; 4] {
        self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.octets()).finish()
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.octets().cmp(&other.octets())
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::v4(ip.octets()),
            IpAddr::V6(ip) => Self::v6(ip.octets()),
        }
    }
}

impl Mac {
    /// No address: all bytes zero.
    pub const NONE: Self = Self([0; 6]);

    /// An address as three halves, each loaded from a packet as one integer.
    #[inline(always)]
    pub fn from_halves(halves: [u16; 3]) -> Self {
        zerocopy::transmute!(halves)
    }

    /// The address as three halves, each with the bytes in memory as they stand in a packet.
    #[inline(always)]
    pub fn halves(self) -> [u16; 3] {
        zerocopy::transmute!(self)
    }

    /// Whether this is [`Mac::NONE`].
    #[inline(always)]
    pub fn is_none(self) -> bool {
        let [a, b, c] = self.halves();
        a | b | c == 0
    }
}

/// A text that is no Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacError;

impl fmt::Display for MacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected six bytes in hex between colons, such as 02:00:00:00:00:0a")
    }
}

impl core::error::Error for MacError {}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut mac = Self::NONE;
        let mut parts = text.split(':');
        for byte in &mut mac.0 {
            let digits = parts.next().ok_or(MacError)?;
            if digits.len() != 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(MacError);
            }
            *byte = u8::from_str_radix(digits, 16).map_err(|_| MacError)?;
        }
        match parts.next() {
            None => Ok(mac),
            Some(_) => Err(MacError),
        }
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
