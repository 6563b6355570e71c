//! `connect()` of TCP sockets (`tcp_v4_connect`, `tcp_v6_connect`), and connections between sockets of a node that has
//! no network stack.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use twinpath_machine::{Errno, SocketId};

use super::callback::Callback;
use super::calls::SocketCalls;
use super::connect::{Connected, or_self};
use super::lookup::Query;
use super::namespace::{AddressType, Route};
use super::socket::{Phase, Socket};
use super::types::{Family, Flow, Host, Protocol, SocketError, State};

impl SocketCalls<'_> {
    pub(super) fn connect_tcp(
        &mut self,
        id: SocketId,
        address: SocketAddr,
    ) -> Result<Connected, SocketError> {
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
        let route = started?;
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.phase = Phase::Connecting;
            socket.error = None;
        }
        // Its segments go where it has begun before.
        let leaves = self.net.sockets.get(id).is_some_and(|socket| {
            let before = self.address_type(socket.node(), socket.remote.v4.into(), None);
            let is_there = self.net.has_stack(socket.node());
            socket.tcp.by_v4 && is_there && (route.way.is_some() || before != AddressType::Local)
        });
        if leaves && route.destination.is_ipv6() {
            return Err(SocketError::Unsupported(
                "a connection over IPv6 of a socket that has begun one over IPv4",
            ));
        }
        let way = route.way.filter(|_| !self.is_own_end(id));
        if way.is_none() {
            self.refuse_filters(id, "a segment of TCP")?;
        }
        const BEGINS: &[Callback] = &[
            Callback::Connect,
            Callback::WindowInit,
            Callback::TimeoutInit,
            Callback::NeedsEcn,
        ];
        let told = self.call_back(id, id, BEGINS);
        told.map_err(SocketError::Fault)?;
        match (route.kind, &way) {
            (_, Some(way)) => self.connect_over(id, way),
            (AddressType::Local, None) => self.shake_hands(id),
            (_, None) => Ok(Connected::Waiting),
        }
    }

    /// Whether a socket connects to itself.
    fn is_own_end(&self, id: SocketId) -> bool {
        let flow = self.net.sockets.get(id).map(Socket::flow);
        flow.is_some_and(|flow| flow.local == flow.remote)
    }

    /// `tcp_v4_connect`, up to the first segment; its way.
    fn start_tcp4(&mut self, id: SocketId, to: SocketAddrV4) -> Result<Route, Errno> {
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
        Ok(route)
    }

    /// `tcp_v6_connect`, likewise.
    fn start_tcp6(&mut self, id: SocketId, to: SocketAddrV6) -> Result<Route, Errno> {
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
        // Its segments are IPv4 packets from nobody, which nobody on the node answers.
        Ok(match by_v4 && route.kind == AddressType::Local {
            true => Route {
                kind: AddressType::Unicast,
                way: None,
                ..route
            },
            false => route,
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
        let (node, flow) = (socket.node(), socket.flow().reversed());
        let bound = socket.options.bound_device;
        let device = self.net.sockets.arrival(node, flow.local.ip(), bound);
        let query = Query { node, flow, device };
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
            self.net.sockets.set_state(id, State::SynReceived);
            let told = self.call_back(id, id, &[Callback::PassiveEstablished]);
            told.map_err(SocketError::Fault)?;
            let Some(socket) = self.net.sockets.get_mut(id) else {
                return Err(Errno::EBADF.into());
            };
            (socket.state, socket.phase) = (State::Established, Phase::Connected);
            socket.peer = found;
            if socket.shut.send {
                // Its own end reaches it at once (`tcp_rcv_state_process`), before the call looks.
                self.leave_behind(id);
                self.net.sockets.abandon(id);
                return Err(Errno::ECONNABORTED.into());
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
        self.refuse_filters(listener, "a segment of TCP")?;
        let child = self.add_child(listener, &query.flow)?;
        self.net.sockets.set_state(child, State::Request);
        const ANSWERS: &[Callback] = &[
            Callback::WindowInit,
            Callback::TimeoutInit,
            Callback::NeedsEcn,
        ];
        let asked = self.call_back(child, id, ANSWERS);
        self.net.sockets.set_state(id, State::Established);
        let active = self.call_back(id, id, &[Callback::ActiveEstablished]);
        self.net.sockets.set_state(child, State::SynReceived);
        let passive = self.call_back(child, id, &[Callback::PassiveEstablished]);
        for (one, other) in [(id, child), (child, id)] {
            if let Some(socket) = self.net.sockets.get_mut(one) {
                socket.state = State::Established;
                socket.peer = Some(other);
            }
        }
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.phase = Phase::Connected;
        }
        let told = asked.and(active).and(passive);
        told.map_err(SocketError::Fault)?;
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
        let address_chosen = parent.address_chosen;
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
            // sk_clone_lock
            (child.address_chosen, child.port_chosen) = (address_chosen, false);
            child.state = State::SynReceived;
        }
        self.net.sockets.hash_connection(id);
        self.net.sockets.inherit_port(listener, id);
        Ok(id)
    }
}
