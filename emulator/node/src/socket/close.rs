//! `accept()`, `close()`, `getsockname()` and `getpeername()`, and sockets that are no full ones.

use std::net::{Ipv6Addr, SocketAddr};

use twinpath_machine::{AttachType, Errno, Machine, SocketId};

use super::Sockets;
use super::calls::SocketCalls;
use super::socket::{Phase, Socket, Task};
use super::types::{Family, Flow, Protocol, SocketError, State};
use crate::context::SockAddr;

/// How long the end of a connection is remembered (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT_NS: u64 = 60_000_000_000;

/// Which end of a socket is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Local,
    Remote,
}

impl SocketCalls<'_> {
    /// `socket()` (`inet_create`).
    ///
    /// # Errors
    /// The kernel's, such as `EPERM` when a program refuses.
    pub fn open(
        &mut self,
        task: Task,
        family: Family,
        protocol: Protocol,
    ) -> Result<SocketId, SocketError> {
        let known = self.net.has_node(task.node) && self.net.sockets.cgroups.has(task.cgroup);
        if !known || family == Family::Unspecified || protocol == Protocol::None {
            return Err(Errno::EAFNOSUPPORT.into());
        }
        self.net.sockets.expire(self.machine);
        self.net.sockets.namespace_mut(task.node);
        let created = self
            .net
            .sockets
            .create(&mut self.machine.memory, task, family, protocol);
        let id = created.map_err(|_| Errno::ENOBUFS)?;
        let hook = AttachType::CgroupInetSockCreate;
        if let Err(error) = self.run_cgroup(id, hook, None) {
            self.net.sockets.remove(self.machine, id);
            return Err(error);
        }
        Ok(id)
    }

    /// `accept()`
    ///
    /// # Errors
    /// The kernel's; `EAGAIN` when no connection waits.
    pub fn accept(&mut self, id: SocketId) -> Result<SocketId, SocketError> {
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        match (socket.protocol, socket.state) {
            (Protocol::Tcp, State::Listen) => {}
            (Protocol::Tcp, _) => return Err(Errno::EINVAL.into()),
            _ => return Err(Errno::EOPNOTSUPP.into()),
        }
        let child = socket.accepted.pop_front().ok_or(Errno::EAGAIN)?;
        if let Some(child) = self.net.sockets.get_mut(child) {
            child.phase = Phase::Connected;
        }
        Ok(child)
    }

    /// `getsockname()`
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_name(&mut self, id: SocketId) -> Result<SocketAddr, SocketError> {
        self.name(id, End::Local)
    }

    /// `getpeername()`
    ///
    /// # Errors
    /// The kernel's, `ENOTCONN` when it is not connected.
    pub fn peer_name(&mut self, id: SocketId) -> Result<SocketAddr, SocketError> {
        self.name(id, End::Remote)
    }

    /// `inet_getname`, `inet6_getname`
    fn name(&mut self, id: SocketId, end: End) -> Result<SocketAddr, SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let v6 = socket.family == Family::V6;
        let (hook, address) = match end {
            End::Remote => {
                let unconnected = matches!(socket.state, State::Closed | State::SynSent);
                if socket.remote_port == 0 || unconnected {
                    return Err(Errno::ENOTCONN.into());
                }
                let hook = if v6 {
                    AttachType::CgroupInet6Getpeername
                } else {
                    AttachType::CgroupInet4Getpeername
                };
                (hook, socket.remote())
            }
            End::Local => {
                let host = if socket.is_local_any() {
                    socket.source
                } else {
                    socket.local
                };
                let hook = if v6 {
                    AttachType::CgroupInet6Getsockname
                } else {
                    AttachType::CgroupInet4Getsockname
                };
                (hook, SocketAddr::new(socket.own(host), socket.source_port))
            }
        };
        let mut seen = SockAddr::new(address);
        match self.run_cgroup(id, hook, Some(&mut seen)) {
            Err(error @ SocketError::Fault(_)) => Err(error),
            // The call succeeds whatever programs say.
            _ => Ok(seen.address(address)),
        }
    }

    /// `close()` (`inet_release`): the socket is gone afterwards, but for what TCP remembers of a
    /// connection.
    ///
    /// # Errors
    /// `EBADF`, or the fault of a program.
    pub fn close(&mut self, id: SocketId) -> Result<(), SocketError> {
        self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        self.refuse_end(id)?;
        let hook = AttachType::CgroupInetSockRelease;
        let asked = self.run_cgroup(id, hook, None);
        self.machine.maps.unlink_socket(id);
        let shut = self.shut(id);
        match asked {
            Err(error @ SocketError::Fault(_)) => Err(error),
            _ => shut,
        }
    }

    /// Ends a socket. What is exchanged with its other end has happened when this returns.
    fn shut(&mut self, id: SocketId) -> Result<(), SocketError> {
        let Some(socket) = self.net.sockets.get(id) else {
            return Ok(());
        };
        let over_wires = socket.sequence.is_some();
        let (state, peer) = (socket.state, socket.peer);
        let unread = !socket.stream.is_empty();
        match (socket.protocol, state) {
            (Protocol::Tcp, State::Listen) => self.drop_waiting(id),
            (Protocol::Tcp, State::Closed) => {}
            // What nobody has read is lost, which the other end must know.
            (Protocol::Tcp, _) if unread => self.reset_peer(id),
            (
                Protocol::Tcp,
                State::Established
                | State::CloseWait
                | State::FinWait1
                | State::Closing
                | State::LastAck,
            ) if over_wires => return self.close_over(id),
            (Protocol::Tcp, State::Established) => {
                match peer {
                    Some(peer) => {
                        if peer != id {
                            self.end_reaches(peer);
                        }
                        self.net.sockets.wait(self.machine, id);
                    }
                    // Its last segments are on their way out of the node.
                    None => self.net.sockets.set_state(id, State::FinWait1),
                }
                return Ok(());
            }
            (Protocol::Tcp, State::FinWait2) => {
                self.net.sockets.wait(self.machine, id);
                return Ok(());
            }
            (Protocol::Tcp, State::CloseWait) => match peer {
                Some(peer) => self.end_reaches(peer),
                None => {
                    self.net.sockets.set_state(id, State::LastAck);
                    return Ok(());
                }
            },
            _ => {}
        }
        self.net.sockets.remove(self.machine, id);
        Ok(())
    }

    /// Ends the connections that wait at a listener.
    pub(super) fn drop_waiting(&mut self, listener: SocketId) {
        let socket = self.net.sockets.get_mut(listener);
        let waiting = socket.map(|socket| std::mem::take(&mut socket.accepted));
        for child in waiting.into_iter().flatten() {
            self.reset_peer(child);
            self.net.sockets.remove(self.machine, child);
        }
    }

    /// The other end of a connection hears that it is over.
    pub(super) fn reset_peer(&mut self, id: SocketId) {
        let socket = self.net.sockets.get(id);
        let Some(peer) = socket.and_then(|socket| socket.peer) else {
            return self.reset_over(id);
        };
        match self.net.sockets.get(peer).map(|peer| peer.state) {
            Some(State::TimeWait) => self.net.sockets.remove(self.machine, peer),
            _ => self.net.sockets.reset(peer),
        }
    }

    /// A request for a connection: the listener has got the first segment of `flow`.
    ///
    /// # Errors
    /// `EINVAL` when the socket does not listen.
    pub fn add_request(&mut self, listener: SocketId, flow: Flow) -> Result<SocketId, Errno> {
        let listening = self.net.sockets.get(listener).map(|socket| socket.state);
        if listening != Some(State::Listen) {
            return Err(Errno::EINVAL);
        }
        let id = self.add_child(listener, &flow)?;
        self.net.sockets.set_state(id, State::Request);
        Ok(id)
    }
}

impl Socket {
    /// Whether what is left of a connection may be replaced by a new one (`net.ipv4.tcp_tw_reuse_delay`).
    pub(super) fn is_old(&self, now_ns: u64) -> bool {
        const REUSE_DELAY_NS: u64 = 1_000_000_000;
        now_ns.saturating_add(TIME_WAIT_NS) >= self.expires_ns.saturating_add(REUSE_DELAY_NS)
    }
}

impl Sockets {
    pub(super) fn set_state(&mut self, id: SocketId, state: State) {
        if let Some(socket) = self.get_mut(id) {
            socket.state = state;
        }
    }

    /// Leaves of a connection what remembers it for a while (`tcp_time_wait`).
    pub(super) fn wait(&mut self, machine: &mut Machine, id: SocketId) {
        machine.maps.forget_socket(id);
        let now = machine.clock.monotonic_ns();
        if let Some(socket) = self.get_mut(id) {
            socket.state = State::TimeWait;
            if socket.family != Family::V6 {
                // Linux leaves these as memory was (`tcp_time_wait`).
                socket.local.v6 = Ipv6Addr::UNSPECIFIED;
                socket.remote.v6 = Ipv6Addr::UNSPECIFIED;
            }
            socket.expires_ns = now.saturating_add(TIME_WAIT_NS);
        }
        self.waiting.push(id);
    }

    /// Forgets the connections whose time is over.
    pub(super) fn expire(&mut self, machine: &mut Machine) {
        let now = machine.clock.monotonic_ns();
        let over = |id: &SocketId| {
            let socket = self.get(*id);
            socket.is_none_or(|socket| socket.expires_ns <= now)
        };
        let gone: Vec<SocketId> = self.waiting.iter().copied().filter(over).collect();
        if gone.is_empty() {
            return;
        }
        self.waiting.retain(|id| !gone.contains(id));
        for id in gone {
            let waits = self.get(id).map(|socket| socket.state) == Some(State::TimeWait);
            if waits {
                self.remove(machine, id);
            }
        }
    }
}
