//! `connect()` (`inet_stream_connect`, `inet_dgram_connect`), and what takes it back.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use twinpath_machine::{AttachType, Errno, SocketId};

use super::Sockets;
use super::bind::needs_scope;
use super::calls::SocketCalls;
use super::socket::{Phase, Socket};
use super::stream::Shut;
use super::types::{Family, Flow, Host, Protocol, SocketError, State};
use crate::context::SockAddr;
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
    /// `connect()`. To a socket of the same node it is done at once. Of a connection that
    /// [waits](Connected::Waiting) the next call says what has come of it.
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
                (Phase::Connecting, State::SynSent | State::SynReceived) => {
                    Err(Errno::EALREADY.into())
                }
                (Phase::Connecting, _) => self.connected(id),
                (Phase::Disconnecting, _) => Err(Errno::EINVAL.into()),
                _ => Err(Errno::EISCONN.into()),
            },
        }
    }

    /// Asks the programs about a connection (`pre_connect`); the address that they leave.
    pub(super) fn ask_connect(
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

    /// `connect()` with `AF_UNSPEC`: takes back what a UDP socket is connected to (`__udp_disconnect`),
    /// ends a connection, or stops listening (`tcp_disconnect`).
    ///
    /// # Errors
    /// `EBADF`, or that programs would meet a segment.
    pub fn disconnect(&mut self, id: SocketId) -> Result<(), SocketError> {
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        if socket.protocol != Protocol::Udp {
            self.refuse_end(id)?;
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
                socket.error = Some(Errno::ECONNRESET);
            }
        }
    }

    /// A link-local destination needs a device, which the address may name.
    pub(super) fn take_scope(
        &mut self,
        id: SocketId,
        ip: Ipv6Addr,
        scope: u32,
    ) -> Result<(), Errno> {
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
    pub(super) fn stay(&mut self, id: SocketId) {
        self.die(id);
        let Some(socket) = self.get_mut(id) else {
            return;
        };
        socket.remote_port = 0;
        if !socket.address_chosen {
            socket.reset_addresses();
        }
    }

    pub(super) fn forget_remote_port(&mut self, id: SocketId) {
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
        socket.sequence = None;
        socket.outgoing.clear();
        socket.early.clear();
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
pub(super) fn or_self(socket: &Socket, ip: Ipv6Addr) -> Ipv6Addr {
    match ip.is_unspecified() {
        true if socket.local.v6.to_ipv4_mapped().is_some() => Ipv4Addr::LOCALHOST.to_ipv6_mapped(),
        true => Ipv6Addr::LOCALHOST,
        false => ip,
    }
}
