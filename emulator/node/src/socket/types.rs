//! What sockets are described with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use twinpath_machine::{Errno, Fault};

/// The address family of a socket or an address (`AF_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// None: the socket of a test run about another protocol.
    Unspecified = 0,
    /// IPv4.
    V4 = 2,
    /// IPv6; such a socket takes part in IPv4 too unless it is told not to.
    V6 = 10,
}

/// The transport of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// None: the socket of a test run.
    None = 0,
    /// `SOCK_STREAM`.
    Tcp = 6,
    /// `SOCK_DGRAM`.
    Udp = 17,
}

/// The state of a socket (`include/net/tcp_states.h`). A UDP socket is established when it is
/// connected, else closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum State {
    Established = 1,
    SynSent = 2,
    SynReceived = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Closed = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
    /// A request: a connection of which only the first segment has come.
    Request = 12,
}

/// Both ends of what a packet belongs to, as the receiver sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The transport.
    pub protocol: Protocol,
    /// Where the packet goes.
    pub local: SocketAddr,
    /// Where it comes from.
    pub remote: SocketAddr,
}

/// An address as the kernel keeps it in a socket: in both families, which need not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

impl Default for Host {
    fn default() -> Self {
        Self::UNSPECIFIED
    }
}

/// Why a call on a socket did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SocketError {
    /// The kernel's error.
    #[error(transparent)]
    Errno(#[from] Errno),
    /// The call did nothing, and returns this positive number, because a program said so
    /// (`bpf_set_retval`).
    #[error("the call does nothing and returns {0}, which a program has set")]
    Returned(i32),
    /// A program did what no verified program does.
    #[error("program {:?}: {}", .0.program, .0.kind)]
    Fault(Box<Fault>),
    /// The emulator cannot tell what the call would do.
    #[error("the emulator does not support {0}")]
    Unsupported(&'static str),
}

impl SocketError {
    /// The kernel's error, if that is what it is.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Errno(errno) => Some(*errno),
            _ => None,
        }
    }
}

impl Family {
    /// `AF_INET`, `AF_INET6`, or 0.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The address of this family that stands for any.
    pub const fn any(self) -> IpAddr {
        match self {
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }
}

impl Protocol {
    /// `IPPROTO_*`.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// `SOCK_STREAM`, `SOCK_DGRAM`, or 0.
    pub const fn socket_type(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Tcp => 1,
            Self::Udp => 2,
        }
    }
}

impl State {
    /// Whether such a socket is a full one (`sk_fullsock`).
    pub const fn is_full(self) -> bool {
        !matches!(self, Self::TimeWait | Self::Request)
    }
}

impl Host {
    pub(crate) const UNSPECIFIED: Self = Self {
        v4: Ipv4Addr::UNSPECIFIED,
        v6: Ipv6Addr::UNSPECIFIED,
    };

    /// What stands for the IPv4 address of a socket that is bound to an IPv6 address.
    pub(crate) const NO_V4: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);

    /// An IPv4 address in both forms (`sk_rcv_saddr_set`).
    pub(crate) const fn mapped(v4: Ipv4Addr) -> Self {
        Self {
            v4,
            v6: v4.to_ipv6_mapped(),
        }
    }
}
