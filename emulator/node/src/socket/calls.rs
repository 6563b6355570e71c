//! A socket call under way.

use twinpath_machine::{Machine, SocketId};

use super::lookup::Query;
use super::socket::Phase;
use super::types::{Flow, State};
use crate::net::{Net, NodeId};

/// Calls on sockets of a [`World`](crate::World), as tasks make them, and what the network around them
/// says. Each call runs the programs that it meets in the kernel's order;
/// [`World::take_socket_runs`](crate::World::take_socket_runs) says what they saw and did.
pub struct SocketCalls<'a> {
    pub(super) net: &'a mut Net,
    pub(super) machine: &'a mut Machine,
}

impl<'a> SocketCalls<'a> {
    pub(crate) fn new(net: &'a mut Net, machine: &'a mut Machine) -> Self {
        Self { net, machine }
    }

    /// A connection that [waits](crate::Connected::Waiting) has come about.
    pub fn establish(&mut self, id: SocketId) {
        if let Some(socket) = self.net.sockets.get_mut(id) {
            (socket.state, socket.phase) = (State::Established, Phase::Connected);
            socket.sequence = None;
        }
    }

    /// A connection that [waits](crate::Connected::Waiting) was refused; the socket is as it was before.
    pub fn refuse(&mut self, id: SocketId) {
        self.net.sockets.abandon(id);
    }

    /// The socket that a packet on a device goes to, `sk_lookup` programs asked. `device` is an
    /// interface index, 0 for none.
    pub fn find(&mut self, node: NodeId, flow: Flow, device: u32) -> Option<SocketId> {
        self.find_socket(&Query { node, flow, device })
    }
}

impl std::fmt::Debug for SocketCalls<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketCalls").finish_non_exhaustive()
    }
}
