//! The sockets of a world, and the tables by which packets find them (`struct inet_hashinfo`,
//! `struct udp_table`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use twinpath_machine::memory::{Memory, OutOfMemory};
use twinpath_machine::{Machine, Pointer, SocketId};

use super::cgroup::Cgroups;
use super::cookie::Secrets;
use super::hook::SocketRun;
use super::namespace::Namespace;
use super::ports::Bucket;
use super::reuseport::Groups;
use super::socket::{Socket, Task};
use super::types::{Family, Flow, Host, Protocol, State};
use crate::context::{SOCK_SIZE, TCP_SOCK_SIZE};
use crate::net::NodeId;
use crate::types::Ifindex;

/// A port of a namespace.
pub(super) type PortKey = (NodeId, u16);

/// Sockets and what is around them.
#[derive(Debug)]
pub(crate) struct Sockets {
    all: BTreeMap<SocketId, Socket>,
    /// The next socket's number.
    next: u64,
    /// Connections, requests and what is left of connections, by both ends.
    connections: BTreeMap<ConnectionKey, Vec<SocketId>>,
    /// Listeners by port, in the order in which a lookup meets them.
    pub(super) listeners: BTreeMap<PortKey, Vec<SocketId>>,
    /// UDP sockets by port, likewise.
    pub(super) datagrams: BTreeMap<PortKey, Vec<SocketId>>,
    /// Who has which TCP port.
    pub(super) buckets: BTreeMap<PortKey, Bucket>,
    /// The port that was handed out last to a socket that asked for none.
    pub(super) last_ephemeral: u16,
    pub(super) groups: Groups,
    pub(crate) cgroups: Cgroups,
    pub(super) namespaces: BTreeMap<NodeId, Namespace>,
    /// Guest addresses of sockets' structures, and those that are free.
    images: BTreeMap<u32, SocketId>,
    free_images: Vec<u32>,
    /// Pointers that programs under way got from other pointers to the same socket, with those.
    pub(super) derived: Vec<(Pointer, Pointer)>,
    /// How many of them the runs around each run have.
    pub(super) outer: Vec<usize>,
    /// The socket of packets in test runs.
    pub(super) stand_in: Option<SocketId>,
    pub(super) runs: Vec<SocketRun>,
    /// What a packet would have needed that arrived at a socket.
    pub(crate) unsupported: Option<&'static str>,
    /// Sockets in time-wait.
    pub(super) waiting: Vec<SocketId>,
    pub(super) secrets: Secrets,
}

/// Both ends of a connection; addresses that stand for IPv4 ones are IPv4 ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ConnectionKey {
    node: NodeId,
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
}

/// Room that each socket has in guest memory, for both structures.
const IMAGE_SIZE: u32 = SOCK_SIZE + TCP_SOCK_SIZE;

impl Sockets {
    pub(crate) fn new(machine: &Machine) -> Self {
        Self {
            all: BTreeMap::new(),
            next: 1,
            connections: BTreeMap::new(),
            listeners: BTreeMap::new(),
            datagrams: BTreeMap::new(),
            buckets: BTreeMap::new(),
            last_ephemeral: 0,
            groups: Groups::default(),
            cgroups: Cgroups::default(),
            namespaces: BTreeMap::new(),
            images: BTreeMap::new(),
            free_images: Vec::new(),
            derived: Vec::new(),
            outer: Vec::new(),
            stand_in: None,
            runs: Vec::new(),
            unsupported: None,
            waiting: Vec::new(),
            secrets: Secrets::new(machine.random),
        }
    }

    /// Adds a socket, which nothing finds yet.
    pub(super) fn create(
        &mut self,
        memory: &mut Memory,
        owner: Task,
        family: Family,
        protocol: Protocol,
    ) -> Result<SocketId, OutOfMemory> {
        let image = match self.free_images.pop() {
            Some(image) => image,
            None => memory.allocate(u64::from(IMAGE_SIZE))?,
        };
        let id = SocketId(self.next);
        self.next += 1;
        let mut socket = Socket::new(id, owner, family, protocol);
        socket.image = image;
        self.images.insert(image, id);
        self.all.insert(id, socket);
        Ok(id)
    }

    /// Removes a socket altogether, with its values in the machine's maps.
    pub(super) fn remove(&mut self, machine: &mut Machine, id: SocketId) {
        self.unhash(id);
        self.release_port(id);
        if let Some(socket) = self.all.remove(&id) {
            self.images.remove(&socket.image);
            self.free_images.push(socket.image);
            machine.maps.forget_socket(id);
        }
    }

    pub(crate) fn get(&self, id: SocketId) -> Option<&Socket> {
        self.all.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        self.all.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Socket> {
        self.all.values()
    }

    /// The socket whose structure lies at an address.
    pub(super) fn at(&self, image: u32) -> Option<SocketId> {
        self.images.get(&image).copied()
    }

    pub(super) fn namespace(&self, node: NodeId) -> Option<&Namespace> {
        self.namespaces.get(&node)
    }

    /// The index of the device of a namespace that has an address, 0 for none.
    pub(super) fn device_of(&self, node: NodeId, address: IpAddr) -> u32 {
        let namespace = self.namespace(node);
        namespace.map_or(0, |namespace| namespace.device_of(address))
    }

    /// The device on which a packet to an address of its own node arrives there, as lookups of sockets see it: the one
    /// that has the address (`ip6_rcv_core`; `rt_iif` in `ip_route_output_key_hash_rcu`), if the sender is not bound
    /// to one over IPv4.
    pub(super) fn arrival(&self, node: NodeId, to: IpAddr, bound: Option<Ifindex>) -> u32 {
        let found = match (to, bound) {
            (IpAddr::V4(_), Some(bound)) => bound.get(),
            _ => self.device_of(node, to),
        };
        match found {
            0 => Ifindex::LOOPBACK.get(),
            found => found,
        }
    }

    /// The namespace that one has a number for.
    pub(crate) fn namespace_of(&self, own: NodeId, number: i32) -> Option<NodeId> {
        self.namespace(own)?.others.get(&number).copied()
    }

    pub(super) fn namespace_mut(&mut self, node: NodeId) -> &mut Namespace {
        self.namespaces.entry(node).or_default()
    }

    /// Puts a connection where lookups find it.
    pub(super) fn hash_connection(&mut self, id: SocketId) {
        if let Some(socket) = self.all.get_mut(&id) {
            socket.hashed = true;
            let key = ConnectionKey::of(socket);
            self.connections.entry(key).or_default().insert(0, id);
        }
    }

    /// Puts a listener where lookups find it (`__inet_hash`).
    pub(super) fn hash_listener(&mut self, id: SocketId) {
        let Some(socket) = self.all.get(&id) else {
            return;
        };
        let key = (socket.node(), socket.local_port);
        if socket.options.reuse_port {
            self.join_group(id, self.listeners.get(&key).cloned().unwrap_or_default());
        }
        let last = self.goes_last(id);
        insert(self.listeners.entry(key).or_default(), id, last);
        self.set_hashed(id, true);
    }

    /// Puts a UDP socket where lookups find it (`udp_lib_get_port`).
    pub(super) fn hash_datagram(&mut self, id: SocketId) {
        let Some(socket) = self.all.get(&id) else {
            return;
        };
        let key = (socket.node(), socket.local_port);
        if socket.options.reuse_port {
            self.join_group(id, self.datagrams.get(&key).cloned().unwrap_or_default());
        }
        let last = self.goes_last(id);
        insert(self.datagrams.entry(key).or_default(), id, last);
        self.set_hashed(id, true);
    }

    /// The address of a UDP socket has changed (`udp_lib_rehash`): it is found before others again, and
    /// leaves its group.
    pub(crate) fn rehash_datagram(&mut self, id: SocketId, moved: bool) {
        let Some(socket) = self.all.get(&id) else {
            return;
        };
        if !socket.hashed {
            return;
        }
        let key = (socket.node(), socket.local_port);
        self.leave_group(id);
        if let Some(chain) = self.datagrams.get_mut(&key).filter(|_| moved) {
            chain.retain(|other| *other != id);
            chain.insert(0, id);
        }
    }

    /// Takes a socket out of the tables (`unhash`); its port stays taken if it is TCP's.
    pub(super) fn unhash(&mut self, id: SocketId) {
        self.leave_group(id);
        let Some(socket) = self.all.get_mut(&id) else {
            return;
        };
        if !std::mem::take(&mut socket.hashed) {
            return;
        }
        let port = (socket.node(), socket.local_port);
        match (socket.protocol, socket.state) {
            (Protocol::Udp, _) => remove_from(&mut self.datagrams, port, id),
            (_, State::Listen) => remove_from(&mut self.listeners, port, id),
            _ => {
                let key = ConnectionKey::of(socket);
                remove_from(&mut self.connections, key, id);
            }
        }
    }

    fn set_hashed(&mut self, id: SocketId, hashed: bool) {
        if let Some(socket) = self.all.get_mut(&id) {
            socket.hashed = hashed;
        }
    }

    /// New sockets are found first, but for IPv6 ones that share their port.
    fn goes_last(&self, id: SocketId) -> bool {
        let socket = self.all.get(&id);
        socket.is_some_and(|socket| socket.options.reuse_port && socket.family == Family::V6)
    }

    /// Joins the group of the first socket that it can share with (`inet_reuseport_add_sock`).
    fn join_group(&mut self, id: SocketId, others: Vec<SocketId>) {
        let Some(socket) = self.all.get(&id).filter(|socket| socket.group.is_none()) else {
            return;
        };
        let shares = |other: &&Socket| {
            other.id != id
                && other.family == socket.family
                && other.is_v6_only() == socket.is_v6_only()
                && other.options.bound_device == socket.options.bound_device
                && other.options.reuse_port
                && other.owner.uid == socket.owner.uid
                && socket.overlaps(other, false)
        };
        let mut others = others.iter().filter_map(|other| self.all.get(other));
        let group = match others.find(shares).and_then(|other| other.group) {
            Some(group) => {
                self.groups.join(group, id);
                group
            }
            None => self.groups.create(id),
        };
        if let Some(socket) = self.all.get_mut(&id) {
            socket.group = Some(group);
        }
    }

    fn leave_group(&mut self, id: SocketId) {
        let group = self.all.get_mut(&id).and_then(|socket| socket.group.take());
        if let Some(group) = group {
            self.groups.leave(group, id);
        }
    }

    /// Connections between two ends, in the order in which a lookup meets them.
    pub(super) fn connections(&self, node: NodeId, flow: &Flow) -> &[SocketId] {
        let key = ConnectionKey {
            node,
            local: (flow.local.ip().to_canonical(), flow.local.port()),
            remote: (flow.remote.ip().to_canonical(), flow.remote.port()),
        };
        self.connections.get(&key).map_or(&[], Vec::as_slice)
    }
}

impl ConnectionKey {
    fn of(socket: &Socket) -> Self {
        let end = |host: Host| socket.own(host).to_canonical();
        Self {
            node: socket.node(),
            local: (end(socket.local), socket.local_port),
            remote: (end(socket.remote), socket.remote_port),
        }
    }
}

fn insert(chain: &mut Vec<SocketId>, id: SocketId, last: bool) {
    let at = if last { chain.len() } else { 0 };
    chain.insert(at, id);
}

fn remove_from<K: Ord>(table: &mut BTreeMap<K, Vec<SocketId>>, key: K, id: SocketId) {
    if let Some(chain) = table.get_mut(&key) {
        chain.retain(|other| *other != id);
        if chain.is_empty() {
            table.remove(&key);
        }
    }
}
