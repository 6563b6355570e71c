//! What helpers and the environment do with maps of one type: records, events, sockets, cgroups,
//! targets.

use super::map::Storage;
use super::value::New;
use super::{CgroupKey, Map, Positions, SocketId, Target, Value};
use crate::errno::Errno;
use crate::machine::Cpu;
use crate::memory::Memory;

impl Map {
    /// Reserves a record of a ring buffer and returns the guest address of its bytes; none when it is
    /// full, or the map is no ring buffer.
    pub(crate) fn reserve(&mut self, memory: &mut Memory, len: u64, cpu: Cpu) -> Option<u32> {
        match &mut self.storage {
            Storage::RingBuf(ring) => ring.reserve(memory, len, cpu),
            _ => None,
        }
    }

    /// Submits or discards a record that [`Map::reserve`] returned.
    pub(crate) fn commit(&self, memory: &mut Memory, record: u32, discard: bool) {
        if let Storage::RingBuf(ring) = &self.storage {
            ring.commit(memory, record, discard);
        }
    }

    /// How full a ring buffer is.
    pub(crate) fn positions(&self) -> Option<Positions> {
        match &self.storage {
            Storage::RingBuf(ring) => Some(ring.positions()),
            _ => None,
        }
    }

    /// The bytes of a perf event array that were not read yet, for those of the next event to be
    /// appended; [`Map::send_event`] or [`Map::drop_event`] takes them back.
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        match &mut self.storage {
            Storage::PerfEvents(events) => events.take_buffer(),
            _ => Vec::new(),
        }
    }

    /// Sends the event whose bytes begin at a position of the buffer.
    pub(crate) fn send_event(
        &mut self,
        index: u32,
        cpu: Cpu,
        event: (Vec<u8>, usize),
    ) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::PerfEvents(events) => events.send(index, cpu, event),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Gives back the buffer without an event, whose packet is too short.
    pub(crate) fn drop_event(&mut self, event: (Vec<u8>, usize)) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::PerfEvents(events) => Err(events.drop(event)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Where `bpf_redirect_map` sends packets with this key.
    pub fn redirect_target(&self, key: u32) -> Option<Target> {
        match &self.storage {
            Storage::Targets(targets) => targets.target(key),
            _ => None,
        }
    }

    /// All targets in the order in which a broadcast (`BPF_F_BROADCAST`) goes through them.
    pub fn redirect_targets(&self) -> Vec<(u32, Target)> {
        match &self.storage {
            Storage::Targets(targets) => targets.iter(),
            _ => Vec::new(),
        }
    }

    /// The cgroup under an index of a cgroup array (`bpf_skb_under_cgroup`).
    ///
    /// # Errors
    /// `E2BIG` when the array ends before `index`, `EAGAIN` when nothing is there, `EINVAL` when this
    /// is no cgroup array.
    pub fn cgroup_at(&self, index: u32) -> Result<u64, Errno> {
        match &self.storage {
            Storage::Cgroups(_) if index >= self.def.max_entries => Err(Errno::E2BIG),
            Storage::Cgroups(cgroups) => cgroups.get(index).ok_or(Errno::EAGAIN),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The socket under a key of a map of sockets.
    pub fn socket_at(&self, key: &[u8]) -> Option<SocketId> {
        match &self.storage {
            Storage::Sockets(sockets) => sockets.find(key),
            _ => None,
        }
    }

    /// Puts a socket into a map of sockets, for a program (`sock_map_update_common`,
    /// `sock_hash_update_common`).
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when this is no map of sockets.
    pub(crate) fn put_socket(
        &mut self,
        key: &[u8],
        socket: SocketId,
        flags: u64,
    ) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::Sockets(sockets) => sockets.set(key, socket, flags),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Whether a socket is in this map of sockets.
    pub(crate) fn holds_socket(&self, wanted: SocketId) -> bool {
        match &self.storage {
            Storage::Sockets(sockets) => sockets.iter().iter().any(|(_, socket)| *socket == wanted),
            _ => false,
        }
    }

    /// Removes a socket from a map of sockets.
    pub(crate) fn unlink_socket(&mut self, socket: SocketId) {
        if let Storage::Sockets(sockets) = &mut self.storage {
            sockets.forget(socket);
        }
    }

    /// Removes a socket that is closed, and what belongs to it.
    pub fn forget_socket(&mut self, socket: SocketId) {
        match &mut self.storage {
            Storage::Sockets(sockets) => sockets.forget(socket),
            Storage::Targets(targets) => targets.forget_socket(socket),
            Storage::Local(local) => {
                // Most sockets have no value.
                let _ = local.delete(&socket.0.to_le_bytes());
            }
            _ => {}
        }
    }

    /// Guest address of a socket's value.
    pub(crate) fn socket_storage(&self, socket: SocketId) -> Option<u32> {
        match &self.storage {
            Storage::Local(local) => local.find(&socket.0.to_le_bytes()),
            _ => None,
        }
    }

    /// Makes a socket's value, of zeros unless there is an initial value; none when memory is short.
    pub(crate) fn create_socket_storage(
        &mut self,
        memory: &mut Memory,
        socket: SocketId,
        initial: Option<Value<'_>>,
    ) -> Option<u32> {
        let Storage::Local(local) = &mut self.storage else {
            return None;
        };
        let block = local.create(memory, &socket.0.to_le_bytes()).ok()?;
        if let Some(value) = initial {
            local.shape.store(memory, block, New::One(value, Cpu(0)));
        }
        Some(block)
    }

    /// Removes a socket's value.
    pub(crate) fn delete_socket_storage(&mut self, socket: SocketId) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::Local(local) => local.delete(&socket.0.to_le_bytes()),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Guest address of the value that a program on this CPU has for a cgroup, which is made of zeros
    /// when a program is attached; none when memory is short or this is no map of cgroup storage.
    pub fn cgroup_storage(
        &mut self,
        memory: &mut Memory,
        cgroup: CgroupKey,
        cpu: Cpu,
    ) -> Option<u32> {
        let key = cgroup.bytes();
        match &mut self.storage {
            Storage::Local(local) => {
                let owner = &key[..self.def.key_size as usize];
                let block = local.create(memory, owner).ok()?;
                Some(local.shape.at(block, cpu))
            }
            _ => None,
        }
    }

    /// Removes the values of a cgroup that is gone.
    pub fn forget_cgroup(&mut self, cgroup: CgroupKey) {
        let key = cgroup.bytes();
        if let (Storage::Local(local), 8 | 16) = (&mut self.storage, self.def.key_size) {
            // Most maps have none.
            let _ = local.delete(&key[..self.def.key_size as usize]);
        }
    }
}
