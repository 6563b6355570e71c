//! One socket, as far as lookups and programs look at it (`struct sock`, `struct inet_sock`).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use twinpath_machine::{Errno, SocketId};

use super::cgroup::CgroupId;
use super::connection::Sequence;
use super::incoming::Early;
use super::options::SocketOptions;
use super::outgoing::Outgoing;
use super::reuseport::GroupId;
use super::stream::Shut;
use super::types::{Family, Host, Protocol, State};
use crate::net::NodeId;

/// Who makes socket calls: the task's namespace, cgroup and credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// The network namespace.
    pub node: NodeId,
    /// The cgroup, whose programs its sockets meet.
    pub cgroup: CgroupId,
    /// The user, by number.
    pub uid: u32,
    /// Whether it has `CAP_NET_BIND_SERVICE`, `CAP_NET_RAW` and `CAP_NET_ADMIN`.
    pub privileged: bool,
}

/// A socket of a [`World`](crate::World).
#[derive(Debug)]
pub struct Socket {
    pub(crate) id: SocketId,
    pub(crate) owner: Task,
    pub(crate) family: Family,
    pub(crate) protocol: Protocol,
    pub(crate) state: State,
    /// By which lookups find it (`rcv_saddr`).
    pub(crate) local: Host,
    /// What it sends from (`saddr`).
    pub(crate) source: Host,
    pub(crate) remote: Host,
    /// Host byte order, as all ports here; 0 when there is none.
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    /// What packets from it have as their source's port (`inet_sport`). It outlives the port itself.
    pub(crate) source_port: u16,
    pub(crate) options: SocketOptions,
    pub(crate) tcp: Tcp,
    /// Of a connection whose segments go over wires.
    pub(crate) sequence: Option<Sequence>,
    /// What such a connection has to send that is not acknowledged yet.
    pub(crate) outgoing: Outgoing,
    /// What has come of one before what precedes it.
    pub(crate) early: Vec<Early>,
    /// Whether the address was chosen by the owner (`SOCK_BINDADDR_LOCK`).
    pub(crate) address_chosen: bool,
    /// Whether the port was (`SOCK_BINDPORT_LOCK`).
    pub(crate) port_chosen: bool,
    /// Whether a lookup can find it.
    pub(crate) hashed: bool,
    pub(crate) group: Option<GroupId>,
    /// The listener of a request.
    pub(crate) listener: Option<SocketId>,
    /// The other end, when it is a socket of the same node.
    pub(crate) peer: Option<SocketId>,
    /// Connections that wait to be accepted.
    pub(crate) accepted: VecDeque<SocketId>,
    /// How many may wait (`sk_max_ack_backlog`).
    pub(crate) backlog: u32,
    /// Datagrams that wait to be received.
    pub(crate) received: VecDeque<Datagram>,
    /// Bytes of a connection that wait to be received.
    pub(crate) stream: VecDeque<u8>,
    pub(crate) shut: Shut,
    /// Whether all that the other end sent has come (`SOCK_DONE`).
    pub(crate) done: bool,
    pub(crate) phase: Phase,
    /// Whether its owner has closed it while its connection was there (`SOCK_DEAD`).
    pub(crate) orphan: bool,
    /// What the next call reports (`sk_err`).
    pub(crate) error: Option<Errno>,
    /// When it ends, if it is in time-wait, on the monotonic clock.
    pub(crate) expires_ns: u64,
    /// Guest address of its `struct bpf_sock`.
    pub(crate) image: u32,
}

/// How far the owner of a TCP socket has come (`socket_state`), which outlives the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Unconnected,
    Connecting,
    Connected,
    Disconnecting,
}

/// What `struct bpf_tcp_sock` shows: the values of a fresh connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tcp {
    pub(crate) congestion_window: u32,
    pub(crate) slow_start_threshold: u32,
    pub(crate) least_round_trip_us: u32,
    pub(crate) segment_size: u32,
    /// Whether an IPv6 socket has begun to connect by IPv4; it sends IPv4 packets ever after
    /// (`ipv6_mapped`).
    pub(crate) by_v4: bool,
    /// When a SYN cookie was made last, on the monotonic clock.
    pub(crate) cookie_ns: Option<u64>,
}

impl Default for Tcp {
    /// `tcp_init_sock`.
    fn default() -> Self {
        Self {
            congestion_window: 10,
            slow_start_threshold: 0x7fff_ffff,
            least_round_trip_us: u32::MAX,
            segment_size: 536,
            by_v4: false,
            cookie_ns: None,
        }
    }
}

/// A datagram in a socket's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Where it came from.
    pub from: SocketAddr,
    /// The payload.
    pub bytes: Vec<u8>,
}

impl Socket {
    pub(crate) fn new(id: SocketId, owner: Task, family: Family, protocol: Protocol) -> Self {
        Self {
            id,
            owner,
            family,
            protocol,
            state: State::Closed,
            local: Host::UNSPECIFIED,
            source: Host::UNSPECIFIED,
            remote: Host::UNSPECIFIED,
            local_port: 0,
            remote_port: 0,
            source_port: 0,
            options: SocketOptions::default(),
            tcp: Tcp::default(),
            sequence: None,
            outgoing: Outgoing::default(),
            early: Vec::new(),
            address_chosen: false,
            port_chosen: false,
            hashed: false,
            group: None,
            listener: None,
            peer: None,
            accepted: VecDeque::new(),
            backlog: 0,
            received: VecDeque::new(),
            stream: VecDeque::new(),
            shut: Shut::default(),
            done: false,
            phase: Phase::Unconnected,
            orphan: false,
            error: None,
            expires_ns: 0,
            image: 0,
        }
    }

    /// The number by which programs and maps know it (`bpf_get_socket_cookie`).
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// Who opened it.
    pub fn owner(&self) -> Task {
        self.owner
    }

    /// The address family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The transport.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// What was set on it.
    pub fn options(&self) -> &SocketOptions {
        &self.options
    }

    /// Where packets to it go: the address and port that it is bound to.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local_ip(), self.local_port)
    }

    /// What it is connected to, or the address that stands for any and port 0.
    pub fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.own(self.remote), self.remote_port)
    }

    pub(crate) fn node(&self) -> NodeId {
        self.owner.node
    }

    /// An address in the socket's own family.
    pub(crate) fn own(&self, host: Host) -> IpAddr {
        match self.family {
            Family::V6 => IpAddr::V6(host.v6),
            _ => IpAddr::V4(host.v4),
        }
    }

    /// The address that lookups find it by, in its own family.
    pub(crate) fn local_ip(&self) -> IpAddr {
        self.own(self.local)
    }

    /// Whether it takes no part in IPv4 (`ipv6_only_sock`).
    pub(crate) fn is_v6_only(&self) -> bool {
        self.family == Family::V6 && self.options.v6_only
    }

    /// Whether it is bound to any address (`inet_rcv_saddr_any`).
    pub(crate) fn is_local_any(&self) -> bool {
        self.local_ip().is_unspecified()
    }

    /// Whether packets that arrive on a device are for it as far as the device goes
    /// (`inet_sk_bound_dev_eq`).
    pub(crate) fn takes_device(&self, device: u32) -> bool {
        self.options
            .bound_device
            .is_none_or(|bound| bound.get() == device)
    }

    /// `inet_reset_saddr`: an IPv4 socket keeps the IPv6 form of its address, which nothing looks at.
    pub(crate) fn reset_addresses(&mut self) {
        for host in [&mut self.local, &mut self.source] {
            *host = match self.family {
                Family::V6 => Host::UNSPECIFIED,
                _ => Host {
                    v4: Ipv4Addr::UNSPECIFIED,
                    ..*host
                },
            };
        }
    }

    /// Whether the bound addresses of two sockets overlap (`inet_rcv_saddr_equal`). With `wildcard`, an
    /// address that stands for any overlaps with each.
    pub(crate) fn overlaps(&self, other: &Self, wildcard: bool) -> bool {
        Address::of(self).overlaps(Address::of(other), wildcard, wildcard)
    }
}

/// A bound address with what decides whether two of them overlap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address {
    pub(super) family: Family,
    pub(super) host: Host,
    pub(super) v6_only: bool,
}

/// The kinds of addresses that the kernel tells apart here (`ipv6_addr_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AddressKind {
    Any,
    Mapped,
    Other,
}

impl Address {
    pub(super) fn of(socket: &Socket) -> Self {
        Self {
            family: socket.family,
            host: socket.local,
            v6_only: socket.is_v6_only(),
        }
    }

    fn kind(self) -> AddressKind {
        if self.family != Family::V6 || self.host.v6.to_ipv4_mapped().is_some() {
            AddressKind::Mapped
        } else if self.host.v6.is_unspecified() {
            AddressKind::Any
        } else {
            AddressKind::Other
        }
    }

    /// `ipv4_rcv_saddr_equal`, `ipv6_rcv_saddr_equal`. `own_any` and `other_any` say whether an
    /// address that stands for any overlaps with each.
    pub(super) fn overlaps(self, other: Self, own_any: bool, other_any: bool) -> bool {
        let v4_equal = || {
            let any = Ipv4Addr::UNSPECIFIED;
            let (own, other_v4) = (self.host.v4, other.host.v4);
            !other.v6_only
                && (own == other_v4 || own_any && own == any || other_any && other_v4 == any)
        };
        if self.family != Family::V6 {
            return v4_equal();
        }
        match (self.kind(), other.kind()) {
            (AddressKind::Mapped, AddressKind::Mapped) => v4_equal(),
            (AddressKind::Any, AddressKind::Any) => true,
            (own, AddressKind::Any) if other_any => !(other.v6_only && own == AddressKind::Mapped),
            (AddressKind::Any, kind) if own_any => !(self.v6_only && kind == AddressKind::Mapped),
            _ => other.family == Family::V6 && self.host.v6 == other.host.v6,
        }
    }
}
