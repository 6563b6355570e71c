//! What is exchanged over a TCP connection between two sockets of one world: bytes, the end of one
//! direction, a reset (`net/ipv4/tcp.c`, `net/ipv4/tcp_input.c`).
//!
//! Between sockets of one node no segments are made: what one end does has happened to the other when the call returns.
//! What goes over wires is in `sending.rs`.

use twinpath_machine::{Errno, SocketId};

use super::Sockets;
use super::calls::SocketCalls;
use super::socket::Phase;
use super::types::{Protocol, SocketError, State};

/// Which direction of a socket is shut down, by the number of `SHUT_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Nothing is to be received any more.
    Receive = 0,
    /// Nothing is to be sent any more.
    Send = 1,
    /// Neither.
    Both = 2,
}

impl Shutdown {
    const fn receive(self) -> bool {
        !matches!(self, Self::Send)
    }

    const fn send(self) -> bool {
        !matches!(self, Self::Receive)
    }
}

/// How far a socket is shut down (`sk_shutdown`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shut {
    pub(crate) receive: bool,
    pub(crate) send: bool,
}

impl SocketCalls<'_> {
    /// `send()` of a TCP socket (`tcp_sendmsg`). The bytes are in the other end's queue when this
    /// returns, if that is a socket of this world.
    ///
    /// # Errors
    /// The kernel's, `EPIPE` when the connection has ended.
    pub fn write(&mut self, id: SocketId, bytes: &[u8]) -> Result<(), SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        if socket.protocol != Protocol::Tcp {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        match socket.state {
            State::Established | State::CloseWait => {}
            State::SynSent | State::SynReceived => {
                let waits = socket.error.take().unwrap_or(Errno::EAGAIN);
                return Err(waits.into());
            }
            _ => return Err(socket.error.take().unwrap_or(Errno::EPIPE).into()),
        }
        if socket.error.is_some() || socket.shut.send {
            return Err(socket.error.take().unwrap_or(Errno::EPIPE).into());
        }
        if socket.sequence.is_some() {
            return self.write_over(id, bytes);
        }
        let Some(peer) = socket.peer else {
            return Ok(());
        };
        self.refuse_segments(id)?;
        self.carry(id, peer, bytes);
        Ok(())
    }

    /// Bytes arrive at the other end.
    fn carry(&mut self, from: SocketId, to: SocketId, bytes: &[u8]) {
        let Some(peer) = self.net.sockets.get_mut(to) else {
            return self.net.sockets.reset(from);
        };
        match peer.state {
            // Its owner is gone, or wants nothing more.
            State::TimeWait => {
                self.net.sockets.remove(self.machine, to);
                self.net.sockets.reset(from);
            }
            State::FinWait1 | State::FinWait2 if peer.shut.receive => {
                self.net.sockets.reset(to);
                self.net.sockets.reset(from);
            }
            _ => peer.stream.extend(bytes),
        }
    }

    /// `recv()` of a TCP socket (`tcp_recvmsg`): at most `limit` bytes that have come, none at the
    /// connection's end.
    ///
    /// # Errors
    /// The kernel's; `EAGAIN` when nothing has come.
    pub fn read(&mut self, id: SocketId, limit: usize) -> Result<Vec<u8>, SocketError> {
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        if socket.protocol != Protocol::Tcp {
            return Err(Errno::EOPNOTSUPP.into());
        }
        // tcp_bpf_recvmsg looks at nothing but what has come.
        let nothing = socket.stream.is_empty() && !socket.shut.receive;
        if nothing && self.machine.maps.holds_socket(id) {
            return Err(Errno::EAGAIN.into());
        }
        if socket.state == State::Listen {
            return Err(Errno::ENOTCONN.into());
        }
        if !socket.stream.is_empty() {
            let len = limit.min(socket.stream.len());
            return Ok(socket.stream.drain(..len).collect());
        }
        if socket.done {
            return Ok(Vec::new());
        }
        if let Some(errno) = socket.error.take() {
            return Err(errno.into());
        }
        match socket.state {
            _ if socket.shut.receive => Ok(Vec::new()),
            State::Closed => Err(Errno::ENOTCONN.into()),
            _ => Err(Errno::EAGAIN.into()),
        }
    }

    /// `shutdown()` (`inet_shutdown`).
    ///
    /// # Errors
    /// `ENOTCONN` when the socket is not connected.
    pub fn shutdown(&mut self, id: SocketId, how: Shutdown) -> Result<(), SocketError> {
        if how.send() || self.net.sockets.get(id).map(|socket| socket.state) == Some(State::Listen)
        {
            self.refuse_end(id)?;
        }
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        if socket.phase == Phase::Connecting {
            socket.phase = match socket.state {
                State::SynSent | State::SynReceived | State::Closed => Phase::Disconnecting,
                _ => Phase::Connected,
            };
        }
        match socket.state {
            State::Listen if !how.receive() => return Ok(()),
            State::Listen | State::SynSent => return self.disconnect(id),
            _ => {}
        }
        let unconnected = socket.state == State::Closed;
        socket.shut.receive |= how.receive();
        socket.shut.send |= how.send();
        if socket.protocol == Protocol::Tcp && how.send() {
            match socket.sequence {
                Some(_) => self.finish_over(id)?,
                None => self.finish(id),
            }
        }
        if unconnected {
            Err(Errno::ENOTCONN.into())
        } else {
            Ok(())
        }
    }

    /// Ends the direction from a socket that stays open (`tcp_shutdown`).
    fn finish(&mut self, id: SocketId) {
        let Some(socket) = self.net.sockets.get_mut(id) else {
            return;
        };
        let peer = socket.peer;
        match (socket.state, peer) {
            (State::Established, None) => socket.state = State::FinWait1,
            (State::Established, Some(peer)) => {
                socket.state = State::FinWait2;
                self.end_reaches(peer);
            }
            (State::CloseWait, None) => socket.state = State::LastAck,
            (State::CloseWait, Some(peer)) => {
                self.net.sockets.end(id);
                self.end_reaches(peer);
            }
            _ => {}
        }
    }

    /// The other end of a socket sends no more (`tcp_fin`).
    pub(super) fn end_reaches(&mut self, id: SocketId) {
        let Some(socket) = self.net.sockets.get_mut(id) else {
            return;
        };
        match socket.state {
            State::Established => socket.state = State::CloseWait,
            State::FinWait1 | State::FinWait2 => {
                self.leave_behind(id);
                self.net.sockets.end(id);
            }
            _ => return,
        }
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.shut.receive = true;
            socket.done = true;
        }
    }

    /// Both directions of a connection have ended whose socket is still open: what remembers the
    /// connection is apart from it (`tcp_time_wait`).
    pub(super) fn leave_behind(&mut self, id: SocketId) {
        let Some(socket) = self.net.sockets.get(id) else {
            return;
        };
        let (owner, family, flow) = (socket.owner, socket.family, socket.flow());
        let options = socket.options.clone();
        let sequence = socket.sequence;
        let (local, source, remote) = (socket.local, socket.source, socket.remote);
        let memory = &mut self.machine.memory;
        // Without memory nothing is remembered, as in the kernel.
        let Ok(left) = self
            .net
            .sockets
            .create(memory, owner, family, Protocol::Tcp)
        else {
            return;
        };
        if let Some(left) = self.net.sockets.get_mut(left) {
            left.options = options;
            (left.sequence, left.done) = (sequence, true);
            (left.local, left.source, left.remote) = (local, source, remote);
            (left.local_port, left.remote_port) = (flow.local.port(), flow.remote.port());
            left.source_port = left.local_port;
        }
        self.net.sockets.unhash(id);
        self.net.sockets.hash_connection(left);
        self.net.sockets.inherit_port(id, left);
        self.net.sockets.wait(self.machine, left);
    }
}

impl Sockets {
    /// The other end of a socket has reset the connection (`tcp_reset`).
    pub(super) fn reset(&mut self, id: SocketId) {
        let Some(socket) = self.get_mut(id) else {
            return;
        };
        socket.error = match socket.state {
            State::Closed => return,
            State::SynSent => Some(Errno::ECONNREFUSED),
            State::CloseWait => Some(Errno::EPIPE),
            _ => Some(Errno::ECONNRESET),
        };
        self.end(id);
    }

    /// A connection has ended before its socket (`tcp_done`).
    pub(super) fn end(&mut self, id: SocketId) {
        self.die(id);
        if let Some(socket) = self.get_mut(id) {
            socket.outgoing.clear();
            socket.shut = Shut {
                receive: true,
                send: true,
            };
        }
    }
}
