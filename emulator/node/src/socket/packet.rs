//! Sockets of packets.

use twinpath_machine::memory::{Object, OutOfMemory};
use twinpath_machine::{Machine, SocketId};

use super::cgroup::CgroupId;
use super::pointer::View;
use super::socket::{Socket, Task};
use super::types::{Family, Protocol};
use crate::net::{Net, NodeId};
use crate::packet::{Owner, Skb};

impl Owner {
    /// What a packet of this socket shows of it; `object` is what its pointer shows.
    pub(crate) fn of(socket: &Socket, object: Object) -> Self {
        Self {
            object: Some(object),
            family: socket.family.number() as u16,
            remote: socket.remote,
            local: socket.local,
            remote_port: socket.remote_port,
            local_port: socket.local_port,
        }
    }
}

impl Net {
    /// Makes a packet one of a socket (`skb->sk`).
    pub(crate) fn show_socket(&self, machine: &mut Machine, id: SocketId, skb: &mut Skb) {
        let object = self.sockets.object(&mut machine.memory, id, View::Common);
        if let Some(socket) = self.sockets.get(id) {
            skb.socket = Some(id);
            skb.owner = Owner::of(socket, object);
        }
    }

    /// Gives the packet of a test run the socket that the kernel makes for it, which has the packet's
    /// addresses and is bound to nothing (`bpf_prog_test_run_skb`).
    ///
    /// # Errors
    /// When guest memory is full.
    pub(crate) fn lend_socket(
        &mut self,
        machine: &mut Machine,
        node: NodeId,
        skb: &mut Skb,
    ) -> Result<(), OutOfMemory> {
        let owner = Task {
            node,
            cgroup: CgroupId::ROOT,
            uid: 0,
            privileged: true,
        };
        let id = match self.sockets.stand_in {
            Some(id) => id,
            None => {
                let (family, protocol) = (Family::Unspecified, Protocol::None);
                self.sockets
                    .create(&mut machine.memory, owner, family, protocol)?
            }
        };
        self.sockets.stand_in = Some(id);
        machine.maps.forget_socket(id);
        let shown = skb.owner;
        if let Some(socket) = self.sockets.get_mut(id) {
            *socket = stand_in(socket, owner, &shown);
        }
        let object = self.sockets.object(&mut machine.memory, id, View::Common);
        skb.socket = Some(id);
        skb.owner.object = Some(object);
        Ok(())
    }
}

fn stand_in(old: &Socket, owner: Task, shown: &Owner) -> Socket {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    let family = match shown.family {
        AF_INET => Family::V4,
        AF_INET6 => Family::V6,
        _ => Family::Unspecified,
    };
    let mut socket = Socket::new(old.id, owner, family, Protocol::None);
    socket.image = old.image;
    socket.local = shown.local;
    socket.remote = shown.remote;
    socket
}
