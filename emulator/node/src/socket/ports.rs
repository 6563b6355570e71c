//! Who may have which port (`inet_csk_get_port`, `__inet_hash_connect`, `udp_lib_get_port`).
//!
//! Where the kernel takes a free port at random, these take the next: for TCP an odd one for a socket
//! that binds and an even one for a socket that connects, as the kernel prefers.

use std::net::IpAddr;

use twinpath_machine::{Errno, SocketId};

use super::socket::{Address, Socket};
use super::table::{PortKey, Sockets};
use super::types::{Family, Flow, Host, State};

/// Ports that sockets get which ask for none (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32768..=60999;
/// The first port that needs no privilege (`net.ipv4.ip_unprivileged_port_start`).
pub(super) const FIRST_UNPRIVILEGED: u16 = 1024;

/// The sockets that have a TCP port, and what the kernel remembers to decide quickly
/// (`struct inet_bind_bucket`). What it remembers has consequences, so it is kept here too.
#[derive(Debug)]
pub(super) struct Bucket {
    owners: Vec<SocketId>,
    reuse: Fast,
    reuse_port: Fast,
    uid: u32,
    address: Address,
}

/// Whether all owners may share (`fastreuse`, `fastreuseport`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fast {
    /// The port belongs to sockets that connected without binding.
    Connected,
    No,
    Yes,
    /// With those that have the bucket's address.
    Strict,
}

/// How strictly to look for conflicts (`inet_csk_bind_conflict`).
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// Sockets that may reuse addresses may share.
    relax: bool,
    /// Sockets that may reuse the port may share.
    reuse_port: bool,
}

const CHOSEN: Rules = Rules {
    relax: true,
    reuse_port: true,
};
const SEARCHED: Rules = Rules {
    relax: false,
    reuse_port: false,
};

impl Sockets {
    /// Takes a TCP port for a socket, any free one if `port` is 0 (`inet_csk_get_port`).
    pub(super) fn take_tcp_port(&mut self, id: SocketId, port: u16) -> Result<(), Errno> {
        let socket = self.get(id).ok_or(Errno::ENOENT)?;
        let port = match port {
            0 => {
                let found = self.find_tcp_port(socket).ok_or(Errno::EADDRINUSE)?;
                self.last_ephemeral = found;
                found
            }
            port if self.may_have(socket, port) => port,
            _ => return Err(Errno::EADDRINUSE),
        };
        self.own(id, port);
        Ok(())
    }

    /// Half of the ports that sockets get which ask for none, those that were not handed out lately
    /// first.
    fn ephemeral(&self, odd: u16) -> impl Iterator<Item = u16> + use<> {
        let (low, high) = EPHEMERAL.into_inner();
        let last = self.last_ephemeral.clamp(low, high);
        let after = (last + 1..=high).chain(low..=last);
        after.filter(move |port| port % 2 == odd)
    }

    /// Whether a socket may have a port that it chose.
    fn may_have(&self, socket: &Socket, port: u16) -> bool {
        let key = (socket.node(), port);
        let Some(bucket) = self.buckets.get(&key) else {
            return true;
        };
        let reuse = socket.options.reuse_address && socket.state != State::Listen;
        let fast = !bucket.owners.is_empty()
            && (bucket.reuse == Fast::Yes && reuse || bucket.matches(socket));
        fast || !self.conflicts(socket, key, CHOSEN)
    }

    /// Whether the owners of a port are in a socket's way.
    fn conflicts(&self, socket: &Socket, key: PortKey, rules: Rules) -> bool {
        let owners = self
            .buckets
            .get(&key)
            .map_or(&[][..], |bucket| &bucket.owners);
        let owners = owners.iter().filter_map(|owner| self.get(*owner));
        let in_way = |owner: &Socket| !two_families(socket, owner) && blocks(socket, owner, rules);
        let specific = !has_any_address(socket);
        owners.into_iter().any(|owner| {
            if !specific {
                blocks(socket, owner, rules) && socket.overlaps(owner, true)
            } else {
                // Those of any address, and those of this one, are looked at one after the other.
                (covers(owner, socket) || same_address(socket, owner)) && in_way(owner)
            }
        })
    }

    fn find_tcp_port(&self, socket: &Socket) -> Option<u16> {
        let mut ports = self.ephemeral(1).chain(self.ephemeral(0));
        ports.find(|port| {
            let key = (socket.node(), *port);
            !self.conflicts(socket, key, SEARCHED)
        })
    }

    /// Makes a socket an owner of a TCP port (`inet_csk_update_fastreuse`, `inet_bind_hash`).
    fn own(&mut self, id: SocketId, port: u16) {
        let Some(node) = self.get(id).map(Socket::node) else {
            return;
        };
        let key = (node, port);
        let existing = self.buckets.remove(&key);
        let Some(socket) = self.get(id) else { return };
        let mut bucket = existing.unwrap_or_else(|| Bucket::new(socket));
        bucket.note(socket);
        if !bucket.owners.contains(&id) {
            bucket.owners.insert(0, id);
        }
        self.buckets.insert(key, bucket);
        if let Some(socket) = self.get_mut(id) {
            socket.local_port = port;
        }
    }

    /// Makes a connection an owner of the port of its listener (`__inet_inherit_port`).
    pub(super) fn inherit_port(&mut self, listener: SocketId, child: SocketId) {
        let Some(listener) = self.get(listener) else {
            return;
        };
        let key = (listener.node(), listener.local_port);
        if let Some(bucket) = self.buckets.get_mut(&key) {
            bucket.owners.insert(0, child);
        }
    }

    /// Gives a socket's TCP port back (`inet_put_port`); its number is kept by who still shows it.
    pub(super) fn release_port(&mut self, id: SocketId) {
        let Some(socket) = self.get(id) else { return };
        let key = (socket.node(), socket.local_port);
        if let Some(bucket) = self.buckets.get_mut(&key) {
            bucket.owners.retain(|owner| *owner != id);
            if bucket.owners.is_empty() {
                self.buckets.remove(&key);
            }
        }
    }

    /// Takes a port for a socket that connects, if it has none, and checks that no connection has both
    /// ends (`__inet_hash_connect`). `flow` has port 0 for a socket without one.
    pub(super) fn take_port_to_connect(
        &mut self,
        id: SocketId,
        flow: Flow,
        now_ns: u64,
    ) -> Result<(), Errno> {
        let socket = self.get(id).ok_or(Errno::ENOENT)?;
        let node = socket.node();
        if flow.local.port() != 0 {
            return if self.is_unique(socket, &flow, now_ns) {
                Ok(())
            } else {
                Err(Errno::EADDRNOTAVAIL)
            };
        }
        let mut ports = self.ephemeral(0).chain(self.ephemeral(1));
        let port = ports.find(|port| match self.buckets.get(&(node, *port)) {
            None => true,
            Some(bucket) => {
                let mut flow = flow;
                flow.local.set_port(*port);
                bucket.reuse == Fast::Connected
                    && bucket.reuse_port == Fast::Connected
                    && self.is_unique(socket, &flow, now_ns)
            }
        });
        let port = port.ok_or(Errno::EADDRNOTAVAIL)?;
        let fresh = Bucket::new(socket);
        let bucket = self.buckets.entry((node, port)).or_insert(fresh);
        bucket.owners.insert(0, id);
        self.last_ephemeral = port;
        if let Some(socket) = self.get_mut(id) {
            socket.local_port = port;
        }
        Ok(())
    }

    /// Whether no other connection has both ends (`__inet_check_established`).
    fn is_unique(&self, socket: &Socket, flow: &Flow, now_ns: u64) -> bool {
        let others = self.connections(socket.node(), flow).iter();
        let mut others = others.filter_map(|other| self.get(*other));
        let device = socket.options.bound_device.map_or(0, |device| device.get());
        // What is left of a connection gives way after a while: both sides use time stamps.
        let gives_way = |other: &Socket| other.state == State::TimeWait && other.is_old(now_ns);
        !others.any(|other| !gives_way(other) && other.takes_device(device))
    }

    /// Takes a UDP port for a socket, any free one if `port` is 0 (`udp_lib_get_port`).
    pub(super) fn take_udp_port(&mut self, id: SocketId, port: u16) -> Result<(), Errno> {
        let socket = self.get(id).ok_or(Errno::ENOENT)?;
        let port = match port {
            0 => {
                let mut ports = self.ephemeral(0).chain(self.ephemeral(1));
                let free = ports.find(|port| !self.datagram_blocks(socket, *port, false));
                let free = free.ok_or(Errno::EADDRINUSE)?;
                self.last_ephemeral = free;
                free
            }
            port if self.datagram_blocks(socket, port, true) => return Err(Errno::EADDRINUSE),
            port => port,
        };
        if let Some(socket) = self.get_mut(id) {
            socket.local_port = port;
        }
        self.hash_datagram(id);
        Ok(())
    }

    /// Whether a UDP socket is in the way of another at a port (`udp_lib_lport_inuse`). The first that
    /// overlaps decides, if the port was chosen.
    fn datagram_blocks(&self, socket: &Socket, port: u16, chosen: bool) -> bool {
        let chain = self.datagrams.get(&(socket.node(), port));
        let others = chain.map_or(&[][..], Vec::as_slice).iter();
        let mut overlapping = others.filter_map(|other| self.get(*other)).filter(|other| {
            other.id != socket.id
                && !(other.options.reuse_address && socket.options.reuse_address)
                && devices_meet(socket, other)
                && socket.overlaps(other, true)
        });
        let shares = |other: &Socket| {
            other.options.reuse_port
                && socket.options.reuse_port
                && socket.group.is_none()
                && socket.owner.uid == other.owner.uid
        };
        if chosen {
            overlapping.next().is_some_and(|other| !shares(other))
        } else {
            overlapping.any(|other| !shares(other))
        }
    }
}

impl Bucket {
    fn new(socket: &Socket) -> Self {
        Self {
            owners: Vec::new(),
            reuse: Fast::Connected,
            reuse_port: Fast::Connected,
            uid: 0,
            address: Address::of(socket),
        }
    }

    /// `sk_reuseport_match`
    fn matches(&self, socket: &Socket) -> bool {
        let shares = matches!(self.reuse_port, Fast::Yes | Fast::Strict)
            && socket.options.reuse_port
            && socket.group.is_none()
            && self.uid == socket.owner.uid;
        let same = || self.address.overlaps(Address::of(socket), true, false);
        shares && (self.reuse_port == Fast::Yes || same())
    }

    /// Remembers what a new owner allows (`inet_csk_update_fastreuse`).
    fn note(&mut self, socket: &Socket) {
        let reuse = socket.options.reuse_address && socket.state != State::Listen;
        if self.owners.is_empty() {
            self.reuse = if reuse { Fast::Yes } else { Fast::No };
            self.reuse_port = Fast::No;
            if socket.options.reuse_port {
                self.remember(socket, Fast::Yes);
            }
            return;
        }
        if !reuse {
            self.reuse = Fast::No;
        }
        if !socket.options.reuse_port {
            self.reuse_port = Fast::No;
        } else if !self.matches(socket) {
            self.remember(socket, Fast::Strict);
        }
    }

    fn remember(&mut self, socket: &Socket, how: Fast) {
        self.reuse_port = how;
        self.uid = socket.owner.uid;
        self.address = Address::of(socket);
    }
}

fn devices_meet(a: &Socket, b: &Socket) -> bool {
    match (a.options.bound_device, b.options.bound_device) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

/// Whether an owner of a port keeps a socket from having it too, addresses aside
/// (`inet_bind_conflict`).
fn blocks(socket: &Socket, owner: &Socket, rules: Rules) -> bool {
    if socket.id == owner.id || !devices_meet(socket, owner) {
        return false;
    }
    let both_ports =
        socket.options.reuse_port && owner.options.reuse_port && socket.group.is_none();
    let same_user = owner.state == State::TimeWait || owner.owner.uid == socket.owner.uid;
    let both_addresses = socket.options.reuse_address && owner.options.reuse_address;
    if both_addresses && owner.state != State::Listen {
        !rules.relax || !rules.reuse_port && both_ports && same_user
    } else {
        !(rules.reuse_port && both_ports && same_user)
    }
}

/// Whether a socket is bound to any address (`inet_use_hash2_on_bind` is false).
fn has_any_address(socket: &Socket) -> bool {
    match socket.family {
        Family::V6 if socket.local.v6.is_unspecified() => true,
        Family::V6 if socket.local.v6.to_ipv4_mapped().is_none() => false,
        _ => socket.local.v4.is_unspecified(),
    }
}

/// Whether an owner is bound to any address of a socket's family
/// (`inet_bind2_bucket_match_addr_any`).
fn covers(owner: &Socket, socket: &Socket) -> bool {
    match owner.family {
        Family::V6 if owner.local.v6.is_unspecified() => true,
        Family::V6 if owner.local.v6.to_ipv4_mapped().is_none() => false,
        _ => is_v4(socket) && owner.local.v4.is_unspecified(),
    }
}

/// Whether the address is an IPv4 one.
fn is_v4(socket: &Socket) -> bool {
    socket.family != Family::V6 || socket.local.v6.to_ipv4_mapped().is_some()
}

/// `inet_bind2_bucket_addr_match`
fn same_address(a: &Socket, b: &Socket) -> bool {
    let key = |socket: &Socket, host: Host| -> IpAddr { socket.own(host).to_canonical() };
    key(a, a.local) == key(b, b.local)
}

/// Whether an IPv6-only owner leaves IPv4 to others (`__inet_bhash2_conflict`).
fn two_families(socket: &Socket, owner: &Socket) -> bool {
    owner.is_v6_only() && is_v4(socket)
}
