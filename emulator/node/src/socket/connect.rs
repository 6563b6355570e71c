//! `connect()` (`inet_stream_connect`, `inet_dgram_connect`), and connections between sockets of one
//! node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use twinpath_machine::{AttachType, Errno, SocketId};

use super::Sockets;
use super::bind::needs_scope;
use super::calls::SocketCalls;
use super::lookup::Query;
use super::namespace::{AddressType, Route};
use super::socket::{Phase, Socket};
use super::stream::Shut;
use super::types::{Family, Flow, Host, Protocol, SocketError, State};
use crate::context::SockAddr;
use crate::errno::{ECONNRESET, EISCONN};
use crate::types::Ifindex;

/// What came of a `connect()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connected {
    /// The socket is connected.
    Done,
    /// The first segment is on its way out of the node: the call would wait
    /// ([`SocketCalls::establish`](crate::SocketCalls::establish), [`SocketCalls::refuse`](crate::SocketCalls::refuse)).
    Waiting,
}

impl SocketCalls<'_> {
    /// `connect()`. To a socket of the same node it is done at once.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect(&mut self, id: SocketId, address: SocketAddr) -> Result<Connected, SocketError> {
        self.net.sockets.expire(self.machine);
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        match socket.protocol {
            Protocol::Udp => self.connect_udp(id, address),
            _ => match (socket.phase, socket.state) {
                (Phase::Unconnected, State::Closed) => self.connect_tcp(id, address),
                (Phase::Connecting, State::SynSent) => Err(Errno::EALREADY.into()),
                (Phase::Disconnecting, _) => Err(Errno::EINVAL.into()),
                _ => Err(EISCONN.into()),
            },
        }
    }

    /// Asks the programs about a connection (`pre_connect`); the address that they leave.
    fn ask_connect(
        &mut self,
        id: SocketId,
        address: SocketAddr,
    ) -> Result<SocketAddr, SocketError> {
        let family = self.net.sockets.get(id).ok_or(Errno::EBADF)?.family;
        let hook = match (family, address) {
            (Family::V6, SocketAddr::V6(_)) => AttachType::CgroupInet6Connect,
            _ => AttachType::CgroupInet4Connect,
        };
        let mut seen = SockAddr::new(address);
        self.run_cgroup(id, hook, Some(&mut seen))?;
        Ok(seen.address(address))
    }

    fn connect_udp(&mut self, id: SocketId, address: SocketAddr) -> Result<Connected, SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        match (socket.family, address) {
            (Family::V6, SocketAddr::V4(_)) if socket.is_v6_only() => {
                // Programs would have to be asked first if any were attached, anywhere.
                const HOOKS: [AttachType; 2] = [
                    AttachType::CgroupInet4Connect,
                    AttachType::CgroupInet6Connect,
                ];
                if !HOOKS
                    .iter()
                    .any(|hook| self.net.sockets.cgroups.uses(*hook))
                {
                    self.autobind(id)?;
                }
                return Err(Errno::EAFNOSUPPORT.into());
            }
            _ => {}
        }
        let family = socket.family;
        let address = self.ask_connect(id, address)?;
        self.autobind(id)?;
        match (family, address) {
            (_, SocketAddr::V4(v4)) => self.connect_udp4(id, v4)?,
            (Family::V6, SocketAddr::V6(v6)) => self.connect_udp6(id, v6)?,
            _ => return Err(Errno::EAFNOSUPPORT.into()),
        }
        Ok(Connected::Done)
    }

    /// `__ip4_datagram_connect`
    fn connect_udp4(&mut self, id: SocketId, to: SocketAddrV4) -> Result<(), Errno> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let route = self.route(socket, IpAddr::V4(*to.ip()), socket.source.v4.into())?;
        if route.kind == AddressType::Broadcast && !socket.options.broadcast {
            return Err(Errno::EACCES);
        }
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (route.source, route.destination)
        else {
            return Err(Errno::EINVAL);
        };
        let is_v6 = socket.family == Family::V6;
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        let moved = socket.local.v4.is_unspecified();
        if socket.source.v4.is_unspecified() {
            socket.source.v4 = source;
        }
        if moved {
            socket.local.v4 = source;
        }
        socket.remote.v4 = destination;
        socket.remote_port = to.port();
        if is_v6 {
            let unset = |v6: Ipv6Addr| v6.to_ipv4_mapped().is_some_and(|v4| v4.is_unspecified());
            socket.remote.v6 = destination.to_ipv6_mapped();
            if socket.source.v6.is_unspecified() || unset(socket.source.v6) {
                socket.source.v6 = socket.source.v4.to_ipv6_mapped();
            }
            if socket.local.v6.is_unspecified() || unset(socket.local.v6) {
                socket.local.v6 = socket.local.v4.to_ipv6_mapped();
            }
        }
        self.become_connected(id, moved);
        Ok(())
    }

    /// `__ip6_datagram_connect`
    fn connect_udp6(&mut self, id: SocketId, to: SocketAddrV6) -> Result<(), Errno> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let ip = or_self(socket, *to.ip());
        if let Some(v4) = ip.to_ipv4_mapped() {
            if socket.is_v6_only() {
                return Err(Errno::ENETUNREACH);
            }
            return self.connect_udp4(id, SocketAddrV4::new(v4, to.port()));
        }
        self.take_scope(id, ip, to.scope_id())?;
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let route = self.route(socket, ip.into(), socket.source.v6.into())?;
        let IpAddr::V6(source) = route.source else {
            return Err(Errno::EINVAL);
        };
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        let moved = socket.local.v6.is_unspecified();
        if socket.source.v6.is_unspecified() {
            socket.source.v6 = source;
        }
        if moved {
            socket.local = Host {
                v4: Host::NO_V4,
                v6: source,
            };
        }
        socket.remote.v6 = ip;
        socket.remote_port = to.port();
        self.become_connected(id, moved);
        Ok(())
    }

    /// A UDP socket has a remote end now.
    fn become_connected(&mut self, id: SocketId, moved: bool) {
        if moved {
            self.net.sockets.rehash_datagram(id, true);
        }
        let Some(socket) = self.net.sockets.get_mut(id) else {
            return;
        };
        socket.state = State::Established;
        let group = socket.group;
        if let Some(group) = group.and_then(|group| self.net.sockets.groups.get_mut(group)) {
            group.has_connections = true;
        }
    }

    /// `connect()` with `AF_UNSPEC`: takes back what a UDP socket is connected to (`__udp_disconnect`),
    /// ends a connection, or stops listening (`tcp_disconnect`).
    ///
    /// # Errors
    /// `EBADF`
    pub fn disconnect(&mut self, id: SocketId) -> Result<(), SocketError> {
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        if socket.protocol != Protocol::Udp {
            self.disconnect_tcp(id);
            return Ok(());
        }
        socket.state = State::Closed;
        socket.remote.v4 = Ipv4Addr::UNSPECIFIED;
        socket.remote_port = 0;
        socket.options.bound_device = None;
        let (address_chosen, port_chosen) = (socket.address_chosen, socket.port_chosen);
        if !address_chosen {
            socket.reset_addresses();
        }
        if !port_chosen {
            self.net.sockets.give_port_back(id);
            if let Some(socket) = self.net.sockets.get_mut(id) {
                socket.source_port = 0;
            }
        } else if !address_chosen {
            self.net.sockets.rehash_datagram(id, true);
        }
        Ok(())
    }

    /// `tcp_disconnect`
    fn disconnect_tcp(&mut self, id: SocketId) {
        let state = self.net.sockets.get(id).map(|socket| socket.state);
        match state {
            Some(State::Listen) => self.drop_waiting(id),
            Some(
                State::Established
                | State::CloseWait
                | State::FinWait1
                | State::FinWait2
                | State::SynReceived,
            ) => self.reset_peer(id),
            _ => {}
        }
        if state == Some(State::Closed) {
            self.net.sockets.forget_remote(id);
        } else {
            self.net.sockets.abandon(id);
        }
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.stream.clear();
            if !matches!(state, Some(State::Closed | State::Listen)) {
                socket.error = Some(ECONNRESET);
            }
        }
    }

    /// A link-local destination needs a device, which the address may name.
    fn take_scope(&mut self, id: SocketId, ip: Ipv6Addr, scope: u32) -> Result<(), Errno> {
        if !needs_scope(ip) {
            return Ok(());
        }
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        let bound = socket.options.bound_device;
        let named = Ifindex::new(scope);
        if named.is_some() && bound.is_some() && named != bound {
            return Err(Errno::EINVAL);
        }
        socket.options.bound_device = named.or(bound);
        socket.options.bound_device.map(|_| ()).ok_or(Errno::EINVAL)
    }

    /// The way from a socket to an address.
    pub(super) fn route(
        &self,
        socket: &Socket,
        destination: IpAddr,
        source: IpAddr,
    ) -> Result<Route, Errno> {
        let namespace = self
            .net
            .sockets
            .namespace(socket.node())
            .ok_or(Errno::EBADF)?;
        let source = Some(source).filter(|source| !source.is_unspecified());
        let device = socket.options.bound_device;
        let exists = |device: &Ifindex| self.net.find(socket.node(), device.get()).is_some();
        if destination.is_ipv4() && !device.as_ref().is_none_or(exists) {
            return Err(Errno::ENODEV);
        }
        let route = namespace.route(destination, source, device)?;
        let mapped = |ip: IpAddr| matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        // ip6_dst_lookup_tail: no IPv6 packet comes from an IPv4 address.
        if source.is_some_and(mapped) && !mapped(destination) {
            return Err(Errno::EAFNOSUPPORT);
        }
        Ok(route)
    }

    fn connect_tcp(&mut self, id: SocketId, address: SocketAddr) -> Result<Connected, SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        if socket.family == Family::V6 && address.is_ipv4() {
            // An IPv4 address is shorter than what an IPv6 socket wants.
            return Err(Errno::EINVAL.into());
        }
        let family = socket.family;
        let address = self.ask_connect(id, address)?;
        let started = match (family, address) {
            (_, SocketAddr::V4(v4)) => self.start_tcp4(id, v4),
            (Family::V6, SocketAddr::V6(v6)) => self.start_tcp6(id, v6),
            _ => return Err(Errno::EAFNOSUPPORT.into()),
        };
        let kind = started?;
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.phase = Phase::Connecting;
            socket.error = None;
        }
        if kind != AddressType::Local {
            return Ok(Connected::Waiting);
        }
        self.shake_hands(id)
    }

    /// `tcp_v4_connect`, up to the first segment; what the destination is.
    fn start_tcp4(&mut self, id: SocketId, to: SocketAddrV4) -> Result<AddressType, Errno> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let route = self.route(socket, IpAddr::V4(*to.ip()), socket.source.v4.into())?;
        if matches!(route.kind, AddressType::Multicast | AddressType::Broadcast) {
            return Err(Errno::ENETUNREACH);
        }
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (route.source, route.destination)
        else {
            return Err(Errno::EINVAL);
        };
        let is_v6 = socket.family == Family::V6;
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        if socket.source.v4.is_unspecified() {
            socket.source.v4 = source;
        }
        socket.local = Host::mapped(socket.source.v4);
        if is_v6 {
            socket.source.v6 = socket.local.v6;
        }
        socket.remote = Host::mapped(destination);
        socket.remote_port = to.port();
        self.start_tcp(id)?;
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.tcp.by_v4 = is_v6;
        }
        Ok(route.kind)
    }

    /// `tcp_v6_connect`, likewise.
    fn start_tcp6(&mut self, id: SocketId, to: SocketAddrV6) -> Result<AddressType, Errno> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let ip = or_self(socket, *to.ip());
        if ip.is_multicast() {
            return Err(Errno::ENETUNREACH);
        }
        self.take_scope(id, ip, to.scope_id())?;
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        socket.remote.v6 = ip;
        if let Some(v4) = ip.to_ipv4_mapped() {
            if socket.is_v6_only() {
                return Err(Errno::ENETUNREACH);
            }
            let started = self.start_tcp4(id, SocketAddrV4::new(v4, to.port()));
            return started.inspect_err(|_| self.net.sockets.forget_remote_port(id));
        }
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let bound = Some(socket.local.v6).filter(|v6| !v6.is_unspecified());
        let route = self.route(socket, ip.into(), bound.unwrap_or(socket.source.v6).into());
        let route = route.inspect_err(|_| self.net.sockets.forget_remote_port(id))?;
        let IpAddr::V6(source) = route.source else {
            return Err(Errno::EINVAL);
        };
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        socket.local = Host {
            v4: Host::NO_V4,
            v6: bound.unwrap_or(source),
        };
        socket.source.v6 = socket.local.v6;
        socket.remote_port = to.port();
        let by_v4 = socket.tcp.by_v4;
        self.start_tcp(id)?;
        // Its segments are IPv4 packets from nobody, which nobody answers.
        Ok(if by_v4 {
            AddressType::Unicast
        } else {
            route.kind
        })
    }

    /// Makes a socket whose addresses are known a connection under way (`inet_hash_connect`).
    fn start_tcp(&mut self, id: SocketId) -> Result<(), Errno> {
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        socket.state = State::SynSent;
        let flow = socket.flow();
        let now_ns = self.machine.clock.monotonic_ns();
        let taken = self.net.sockets.take_port_to_connect(id, flow, now_ns);
        taken.inspect_err(|_| self.net.sockets.stay(id))?;
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.source_port = socket.local_port;
        }
        self.net.sockets.hash_connection(id);
        Ok(())
    }

    /// The three segments between two sockets of one node.
    fn shake_hands(&mut self, id: SocketId) -> Result<Connected, SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let device = socket.options.bound_device.unwrap_or(Ifindex::LOOPBACK);
        let query = Query {
            node: socket.node(),
            flow: socket.flow().reversed(),
            device: device.get(),
        };
        let found = self.find_socket(&query);
        let listens = |id| {
            let socket = self.net.sockets.get(id);
            socket.is_some_and(|socket| socket.state == State::Listen)
        };
        if !self.can_answer(&query, found.is_some_and(listens)) {
            return Ok(Connected::Waiting);
        }
        if found == Some(id) {
            // Both ends are one and the same.
            if let Some(socket) = self.net.sockets.get_mut(id) {
                (socket.state, socket.phase) = (State::Established, Phase::Connected);
                socket.peer = found;
            }
            return Ok(Connected::Done);
        }
        let listener = found.and_then(|id| self.net.sockets.get(id));
        let Some(listener) = listener.filter(|socket| socket.state == State::Listen) else {
            self.net.sockets.abandon(id);
            return Err(Errno::ECONNREFUSED.into());
        };
        if listener.accepted.len() as u32 > listener.backlog {
            return Ok(Connected::Waiting);
        }
        let listener = listener.id;
        let child = self.add_child(listener, &query.flow)?;
        for (one, other) in [(id, child), (child, id)] {
            if let Some(socket) = self.net.sockets.get_mut(one) {
                socket.state = State::Established;
                socket.peer = Some(other);
            }
        }
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.phase = Phase::Connected;
        }
        if let Some(listener) = self.net.sockets.get_mut(listener) {
            listener.accepted.push_back(child);
        }
        Ok(Connected::Done)
    }

    /// Whether the answer to a segment finds its way back to where that came from.
    fn can_answer(&self, query: &Query, accepts: bool) -> bool {
        let (IpAddr::V6(back), local) = (query.flow.remote.ip(), query.flow.local.ip()) else {
            return true;
        };
        let Some(namespace) = self.net.sockets.namespace(query.node) else {
            return false;
        };
        // tcp_v6_send_response looks for the way back to the loopback's address out of the device that
        // has the other one.
        let refused_strictly = !accepts && back.is_loopback() && local != IpAddr::V6(back);
        !refused_strictly && namespace.kind(back.into()) == AddressType::Local
    }

    /// A connection, or a request for one, that a listener has got (`tcp_v4_syn_recv_sock`,
    /// `inet_reqsk_alloc`).
    pub(super) fn add_child(&mut self, listener: SocketId, flow: &Flow) -> Result<SocketId, Errno> {
        let parent = self.net.sockets.get(listener).ok_or(Errno::EBADF)?;
        let (owner, family, options) = (parent.owner, parent.family, parent.options.clone());
        let memory = &mut self.machine.memory;
        let created = self
            .net
            .sockets
            .create(memory, owner, family, Protocol::Tcp);
        let id = created.map_err(|_| Errno::ENOMEM)?;
        let host = |address: SocketAddr| match address.ip() {
            IpAddr::V4(v4) => Host::mapped(v4),
            IpAddr::V6(v6) => Host {
                v4: Host::NO_V4,
                v6,
            },
        };
        if let Some(child) = self.net.sockets.get_mut(id) {
            child.options = options;
            child.local = host(flow.local);
            child.source = child.local;
            child.remote = host(flow.remote);
            child.local_port = flow.local.port();
            child.remote_port = flow.remote.port();
            child.source_port = child.local_port;
            child.listener = Some(listener);
            (child.address_chosen, child.port_chosen) = (true, true);
            child.state = State::SynReceived;
        }
        self.net.sockets.hash_connection(id);
        self.net.sockets.inherit_port(listener, id);
        Ok(id)
    }
}

impl Sockets {
    /// A socket is closed and found no more (`tcp_set_state`): its port is free unless it was chosen.
    pub(super) fn die(&mut self, id: SocketId) {
        self.unhash(id);
        let chosen = self.get(id).is_some_and(|socket| socket.port_chosen);
        if !chosen {
            self.release_port(id);
        }
        let Some(socket) = self.get_mut(id) else {
            return;
        };
        socket.state = State::Closed;
        socket.peer = None;
        if !socket.port_chosen {
            socket.local_port = 0;
        }
    }

    /// A connection did not begin (`tcp_v4_connect`).
    fn stay(&mut self, id: SocketId) {
        self.die(id);
        let Some(socket) = self.get_mut(id) else {
            return;
        };
        socket.remote_port = 0;
        if !socket.address_chosen {
            socket.reset_addresses();
        }
    }

    fn forget_remote_port(&mut self, id: SocketId) {
        if let Some(socket) = self.get_mut(id) {
            socket.remote_port = 0;
        }
    }

    /// A connection did not come about, or is taken back: the socket can connect again
    /// (`tcp_disconnect`).
    pub(super) fn abandon(&mut self, id: SocketId) {
        self.die(id);
        self.forget_remote(id);
    }

    /// What a closed socket keeps of a connection.
    fn forget_remote(&mut self, id: SocketId) {
        let Some(socket) = self.get_mut(id) else {
            return;
        };
        socket.remote_port = 0;
        if !socket.address_chosen {
            socket.reset_addresses();
        }
        socket.phase = Phase::Unconnected;
        (socket.shut, socket.done) = (Shut::default(), false);
    }
}

impl Socket {
    /// Both ends, as packets to the socket have them.
    pub(crate) fn flow(&self) -> Flow {
        let end = |host: Host, port| SocketAddr::new(self.own(host).to_canonical(), port);
        let local = end(self.local, self.local_port);
        Flow::new(self.protocol, local, end(self.remote, self.remote_port))
    }
}

impl Flow {
    /// The flow as the other end sees it.
    pub(crate) fn reversed(self) -> Self {
        Self::new(self.protocol, self.remote, self.local)
    }
}

/// No address stands for the node itself, in the family that the socket is bound to.
fn or_self(socket: &Socket, ip: Ipv6Addr) -> Ipv6Addr {
    match ip.is_unspecified() {
        true if socket.local.v6.to_ipv4_mapped().is_some() => Ipv4Addr::LOCALHOST.to_ipv6_mapped(),
        true => Ipv6Addr::LOCALHOST,
        false => ip,
    }
}
