//! Which socket a packet is for (`__inet_lookup`, `__inet6_lookup`, `__udp4_lib_lookup`,
//! `__udp6_lib_lookup`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use twinpath_machine::SocketId;

use super::socket::Socket;
use super::table::Sockets;
use super::types::{Family, Flow, Protocol, State};
use crate::net::NodeId;

/// A lookup: where, for which flow, on which device the packet is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    pub(crate) node: NodeId,
    pub(crate) flow: Flow,
    /// Interface index; 0 for none.
    pub(crate) device: u32,
}

/// What the two steps of a UDP lookup are about: the address itself, then any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Exact,
    Any,
}

impl Sockets {
    /// The connection that a segment belongs to.
    pub(super) fn find_connection(&self, query: &Query) -> Option<SocketId> {
        let local = query.flow.local.ip();
        if local.is_ipv6() && local.to_canonical().is_ipv4() {
            // IPv4 connections are not found by the IPv6 form of their addresses.
            return None;
        }
        let found = self.connections(query.node, &query.flow).iter();
        let mut found = found.filter_map(|id| self.get(*id));
        found
            .find(|socket| socket.takes_device(query.device))
            .map(Socket::id)
    }

    /// The listener that a connection would be made with (`__inet_lookup_listener`).
    pub(super) fn find_listener(&self, query: &Query) -> Option<SocketId> {
        let local = query.flow.local.ip();
        let exact = self.best_listener(query, local);
        exact.or_else(|| self.best_listener(query, Family::of(local).any()))
    }

    fn best_listener(&self, query: &Query, address: IpAddr) -> Option<SocketId> {
        let chain = self.listeners.get(&(query.node, query.flow.local.port()))?;
        let mut best = None;
        let mut high = 0;
        for socket in chain.iter().filter_map(|id| self.get(*id)) {
            let Some(score) = listener_score(socket, query, address) else {
                continue;
            };
            if score > high {
                if let Some(chosen) = self.choose_in_group(socket, &query.flow) {
                    return Some(chosen);
                }
                (best, high) = (Some(socket.id), score);
            }
        }
        best
    }

    /// The UDP socket for an address that it is connected or bound to.
    pub(super) fn find_datagram(&self, query: &Query) -> Option<SocketId> {
        self.best_datagram(query, Step::Exact)
    }

    /// The UDP socket that is bound to any address.
    pub(super) fn find_datagram_any(&self, query: &Query) -> Option<SocketId> {
        self.best_datagram(query, Step::Any)
    }

    /// All UDP sockets that a packet to several hosts is for (`__udp_is_mcast_sock`, `__udp_v6_is_mcast_sock`). Each
    /// gets what comes for the groups of its host, as none says otherwise (`IP_MULTICAST_ALL`, `IPV6_MULTICAST_ALL`).
    pub(super) fn datagrams_for(&self, query: &Query) -> Vec<SocketId> {
        let (local, remote) = (query.flow.local, query.flow.remote);
        let fits = |socket: &&Socket| {
            let takes_part = match local.ip() {
                IpAddr::V4(_) => !socket.is_v6_only(),
                IpAddr::V6(_) => socket.family == Family::V6,
            };
            let (own, other) = match local.ip() {
                IpAddr::V4(_) => (socket.local.v4.into(), socket.remote.v4.into()),
                IpAddr::V6(_) => (socket.local.v6.into(), socket.remote.v6.into()),
            };
            let fits = |own: IpAddr, wanted: IpAddr| own.is_unspecified() || own == wanted;
            takes_part
                && (socket.remote_port == 0 || socket.remote_port == remote.port())
                && fits(own, local.ip())
                && fits(other, remote.ip())
                && socket.takes_device(query.device)
        };
        let chain = self.datagrams.get(&(query.node, local.port()));
        let chain = chain.into_iter().flatten();
        let sockets = chain.filter_map(|id| self.get(*id)).filter(fits);
        sockets.map(Socket::id).collect()
    }

    /// `udp4_lib_lookup2`, `udp6_lib_lookup2`
    fn best_datagram(&self, query: &Query, step: Step) -> Option<SocketId> {
        let local = query.flow.local.ip();
        let address = match step {
            Step::Exact => local,
            Step::Any => Family::of(local).any(),
        };
        let chain = self.datagrams.get(&(query.node, query.flow.local.port()))?;
        let mut best = None;
        let mut high = if local.is_ipv4() { 0 } else { -1 };
        for socket in chain.iter().filter_map(|id| self.get(*id)) {
            let score = datagram_score(socket, query, address).unwrap_or(-1);
            if score <= high {
                continue;
            }
            high = score;
            let chosen = match socket.state {
                State::Established => None,
                _ => self.choose_in_group(socket, &query.flow),
            };
            let Some(chosen) = chosen else {
                best = Some(socket.id);
                continue;
            };
            let group = socket.group.and_then(|group| self.groups.get(group));
            if !group.is_some_and(|group| group.has_connections) {
                return Some(chosen);
            }
            best = Some(chosen);
            let chosen = self.get(chosen);
            let score = chosen.and_then(|chosen| datagram_score(chosen, query, address));
            high = high.max(score.unwrap_or(-1));
        }
        best
    }

    /// The member of a socket's group that gets a flow (`reuseport_select_sock`); none when it shares
    /// its port with nobody.
    pub(super) fn choose_in_group(&self, socket: &Socket, flow: &Flow) -> Option<SocketId> {
        let group = self.groups.get(socket.group?)?;
        let mut members = group.chosen_by(flow.hash());
        members.find(|member| {
            let member = self.get(*member);
            member.is_some_and(|member| member.state != State::Established)
        })
    }
}

impl Flow {
    /// Which part of a group's flows it is. The kernel keys its hash with a number drawn at boot; this
    /// one is the same on each run (FNV-1a over what the kernel hashes).
    fn hash(&self) -> u32 {
        const OFFSET: u32 = 0x811c_9dc5;
        const PRIME: u32 = 0x0100_0193;
        let end = |address: IpAddr| match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let (local, remote) = (end(self.local.ip()), end(self.remote.ip()));
        let ports = [self.local.port(), self.remote.port()].map(u16::to_be_bytes);
        let bytes = local.iter().chain(&remote).chain(ports.iter().flatten());
        let hash = bytes.fold(OFFSET, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(PRIME)
        });
        // The upper bits choose, and of the last bytes they know little.
        hash.wrapping_mul(0x9e37_79b1) ^ hash.rotate_left(15)
    }
}

/// `compute_score` of listeners.
fn listener_score(socket: &Socket, query: &Query, address: IpAddr) -> Option<i32> {
    if !matches_address(socket, address) || !socket.takes_device(query.device) {
        return None;
    }
    let bound = i32::from(socket.options.bound_device.is_some());
    let own_family = i32::from(address.is_ipv4() && socket.family == Family::V4);
    Some(1 + bound + own_family)
}

/// `compute_score` of UDP sockets.
fn datagram_score(socket: &Socket, query: &Query, address: IpAddr) -> Option<i32> {
    if !matches_address(socket, address) || !socket.takes_device(query.device) {
        return None;
    }
    let remote = query.flow.remote;
    let (base, step) = match address {
        IpAddr::V4(_) if socket.family == Family::V4 => (2, 4),
        IpAddr::V4(_) => (1, 4),
        IpAddr::V6(_) => (0, 1),
    };
    let mut score = base;
    let connected_to_other = match remote.ip() {
        IpAddr::V4(ip) => differs(
            socket.remote.v4,
            Ipv4Addr::UNSPECIFIED,
            ip,
            step,
            &mut score,
        ),
        IpAddr::V6(ip) => differs(
            socket.remote.v6,
            Ipv6Addr::UNSPECIFIED,
            ip,
            step,
            &mut score,
        ),
    };
    if connected_to_other || differs(socket.remote_port, 0, remote.port(), step, &mut score) {
        return None;
    }
    if socket.options.bound_device.is_some() {
        score += step;
    }
    Some(score)
}

/// Whether what a socket is connected to is something else; if it is the same, the score rises.
fn differs<T: PartialEq>(own: T, none: T, other: T, step: i32, score: &mut i32) -> bool {
    if own == none {
        return false;
    }
    *score += step;
    own != other
}

/// Whether a socket is bound to exactly this address, and takes part in its family.
fn matches_address(socket: &Socket, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !socket.is_v6_only() && socket.local.v4 == v4,
        IpAddr::V6(v6) => socket.family == Family::V6 && socket.local.v6 == v6,
    }
}

impl Flow {
    /// The flow of a transport between two ends.
    pub(crate) fn new(
        protocol: Protocol,
        local: std::net::SocketAddr,
        remote: std::net::SocketAddr,
    ) -> Self {
        Self {
            protocol,
            local,
            remote,
        }
    }
}
