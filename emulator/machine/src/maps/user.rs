//! The face of a map that user space sees: the `bpf()` system call (`kernel/bpf/syscall.c`).

use super::array::{index, index_after};
use super::map::Storage;
use super::value::{F_LOCK, New, Shape};
use super::{Map, MapFlags, MapType, Record, SocketId, Target, Value, When};
use crate::errno::Errno;
use crate::machine::Cpu;
use crate::memory::Memory;
use crate::program::ProgramId;

impl Map {
    /// The value under a key (`BPF_MAP_LOOKUP_ELEM`); of a per-CPU map those of all CPUs, each rounded
    /// up to 8 bytes. Queues and stacks have an empty key and show their next value. Maps of programs,
    /// maps and sockets show numbers: those of [`ProgramId`], [`MapId`](super::MapId) and [`SocketId`].
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when the key has the wrong size.
    pub fn user_lookup(&self, memory: &Memory, key: &[u8]) -> Result<Vec<u8>, Errno> {
        if self.def.flags.has(MapFlags::WRONLY) {
            return Err(Errno::EPERM);
        }
        self.check_key(key)?;
        let number = |number: Option<u32>| {
            let number = number.ok_or(Errno::ENOENT)?;
            Ok(number.to_le_bytes().to_vec())
        };
        let block = match &self.storage {
            Storage::Array(array) => array.find(key),
            Storage::Hash(hash) => hash.find(key),
            Storage::Lpm(lpm) => lpm.find(key),
            Storage::Local(local) if self.def.kind != MapType::SkStorage => local.find(key),
            Storage::Programs(programs) => return number(programs.find(key).map(|id| id.0)),
            Storage::Maps(maps) => return number(maps.find(key).map(|id| id.0)),
            Storage::MapsByKey(maps) => return number(maps.get(key).map(|id| id.0)),
            Storage::Targets(targets) => return targets.load(key),
            Storage::Sockets(sockets) => return sockets.load(key),
            Storage::Queue(queue) => return queue.peek(),
            // The value goes in, see `user_contains`.
            Storage::Bloom(_) => return Err(Errno::EINVAL),
            // The key is a descriptor, of which there are none here.
            Storage::Local(_) => return Err(Errno::EBADF),
            Storage::Cgroups(_) | Storage::RingBuf(_) | Storage::PerfEvents(_) => {
                return Err(Errno::ENOTSUPP);
            }
        };
        let shape = self.shape().ok_or(Errno::ENOTSUPP)?;
        Ok(shape.load(memory, block.ok_or(Errno::ENOENT)?))
    }

    /// Sets the value under a key (`BPF_MAP_UPDATE_ELEM`); of a per-CPU map those of all CPUs, each
    /// rounded up to 8 bytes. Queues, stacks and bloom filters have an empty key and get one more
    /// value. Where the kernel expects a descriptor use [`Map::set_program`], [`Map::set_cgroup`],
    /// [`Map::set_target`], [`Map::set_socket`], [`Map::open_events`] and
    /// [`Maps::set_inner`](super::Maps::set_inner).
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when the key or the value has the wrong size, `EBADF` where it is the
    /// descriptor of something.
    pub fn user_update(
        &mut self,
        memory: &mut Memory,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), Errno> {
        self.check_writable()?;
        let per_cpu = self.shape().filter(|shape| shape.per_cpu);
        let size = per_cpu.map_or(self.def.value_size, Shape::block);
        if value.len() != size as usize {
            return Err(Errno::EINVAL);
        }
        if flags & F_LOCK != 0 && self.def.lock.is_none() {
            return Err(Errno::EINVAL);
        }
        self.check_key(key)?;
        let new = match per_cpu {
            Some(_) => New::All(value),
            None => New::One(Value::Host(value), Cpu(0)),
        };
        match &mut self.storage {
            Storage::Array(_) | Storage::Hash(_) | Storage::Lpm(_) => {
                self.write(memory, key, new, flags)
            }
            Storage::Queue(queue) => queue.push(value, flags),
            Storage::Bloom(bloom) => bloom.push(value, flags),
            Storage::Targets(targets) => {
                let index = index(key).ok_or(Errno::EINVAL)?;
                targets.update(memory, index, value, flags)
            }
            Storage::Local(local) if self.def.kind != MapType::SkStorage => {
                if flags & !(F_LOCK | 2) != 0 {
                    return Err(Errno::EINVAL);
                }
                local.update(memory, key, new, When::Present)
            }
            Storage::RingBuf(_) => Err(Errno::ENOTSUPP),
            _ => Err(Errno::EBADF),
        }
    }

    /// Removes an entry (`BPF_MAP_DELETE_ELEM`).
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when the key has the wrong size.
    pub fn user_delete(&mut self, memory: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        self.check_writable()?;
        self.check_key(key)?;
        if self.def.kind == MapType::SkStorage {
            return Err(Errno::EBADF);
        }
        self.delete(memory, key)
    }

    /// Removes an entry and returns its value (`BPF_MAP_LOOKUP_AND_DELETE_ELEM`): the next one of a
    /// queue or stack, whose key is empty, or one of a hash.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when the key has the wrong size.
    pub fn user_take(&mut self, memory: &mut Memory, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.check_writable()?;
        if self.def.flags.has(MapFlags::WRONLY) {
            return Err(Errno::EPERM);
        }
        self.check_key(key)?;
        match &mut self.storage {
            Storage::Queue(queue) => {
                let value = queue.peek()?;
                queue.take(&mut value.clone(), true)?;
                Ok(value)
            }
            Storage::Hash(hash) => {
                let block = hash.find(key).ok_or(Errno::ENOENT)?;
                let value = hash.shape.load(memory, block);
                hash.delete(key)?;
                Ok(value)
            }
            _ => Err(Errno::ENOTSUPP),
        }
    }

    /// Whether a value seems to have been added to a bloom filter (`BPF_MAP_LOOKUP_ELEM`, to which the
    /// value is given).
    ///
    /// # Errors
    /// `ENOENT` when it was not, else the kernel's.
    pub fn user_contains(&self, value: &[u8]) -> Result<(), Errno> {
        if self.def.flags.has(MapFlags::WRONLY) {
            return Err(Errno::EPERM);
        }
        match &self.storage {
            Storage::Bloom(bloom) if value.len() == self.def.value_size as usize => {
                bloom.contains(value)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// The key after another, the first one after none or an unknown one (`BPF_MAP_GET_NEXT_KEY`).
    ///
    /// # Errors
    /// `ENOENT` at the end, else the kernel's.
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        if self.def.flags.has(MapFlags::WRONLY) {
            return Err(Errno::EPERM);
        }
        if let Some(key) = key {
            self.check_key(key)?;
        }
        let index = match &self.storage {
            Storage::Array(_) | Storage::PerfEvents(_) => index_after(key, self.def.max_entries)?,
            Storage::Programs(programs) => programs.after(key)?,
            Storage::Cgroups(cgroups) => cgroups.after(key)?,
            Storage::Maps(maps) => maps.after(key)?,
            Storage::Hash(hash) => {
                let slot = hash.table.after(key).ok_or(Errno::ENOENT)?;
                return Ok(hash.table.key(slot).to_vec());
            }
            Storage::MapsByKey(maps) => {
                return maps.after(key).map(<[u8]>::to_vec).ok_or(Errno::ENOENT);
            }
            Storage::Lpm(lpm) => return lpm.after(key).map(<[u8]>::to_vec),
            Storage::Targets(targets) => return targets.after(key),
            Storage::Sockets(sockets) => return sockets.after(key),
            Storage::Local(local) if self.def.kind != MapType::SkStorage => {
                return local.after(key);
            }
            Storage::Queue(_) => return Err(Errno::EINVAL),
            Storage::Bloom(_) => return Err(Errno::EOPNOTSUPP),
            Storage::RingBuf(_) | Storage::Local(_) => return Err(Errno::ENOTSUPP),
        };
        Ok(index.to_le_bytes().to_vec())
    }

    /// Reads what programs sent through a ring buffer or perf event array since the last time, in the
    /// order in which it was sent, and frees the room it took.
    pub fn take_records(&mut self, memory: &mut Memory) -> Vec<Record> {
        match &mut self.storage {
            Storage::RingBuf(ring) => ring.take(memory),
            Storage::PerfEvents(events) => events.take(),
            _ => Vec::new(),
        }
    }

    /// Events that found no room in the buffers of a perf event array.
    pub fn lost_events(&self) -> u64 {
        match &self.storage {
            Storage::PerfEvents(events) => events.lost(),
            _ => 0,
        }
    }

    /// Opens the events of one CPU, which have the CPU's number in a perf event array, with a buffer of
    /// `pages` pages of 4096 bytes. Until then programs get `ENOENT`, as in the kernel.
    ///
    /// # Errors
    /// `E2BIG` when the array ends before `cpu`, `EINVAL` when this is no perf event array.
    pub fn open_events(&mut self, cpu: Cpu, pages: u32) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::PerfEvents(events) => events.open(cpu.0, u64::from(pages) * 4096),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Sets or clears an entry of a program array.
    ///
    /// # Errors
    /// `E2BIG` when the array ends before `index`, `EINVAL` when this is no program array.
    pub fn set_program(&mut self, index: u32, program: Option<ProgramId>) -> Result<(), Errno> {
        self.check_writable()?;
        match &mut self.storage {
            Storage::Programs(programs) => programs.set(index, program),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Sets or clears an entry of a cgroup array.
    ///
    /// # Errors
    /// `E2BIG` when the array ends before `index`, `EINVAL` when this is no cgroup array.
    pub fn set_cgroup(&mut self, index: u32, cgroup: Option<u64>) -> Result<(), Errno> {
        self.check_writable()?;
        match &mut self.storage {
            Storage::Cgroups(cgroups) => cgroups.set(index, cgroup),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Sets an entry of a devmap, cpumap or xskmap; no target clears an entry of an array. Whether the
    /// device, socket or program exists is for the caller to see.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when the target does not fit the map.
    pub fn set_target(
        &mut self,
        memory: &mut Memory,
        key: u32,
        target: Option<Target>,
        flags: u64,
    ) -> Result<(), Errno> {
        self.check_writable()?;
        match &mut self.storage {
            Storage::Targets(targets) => targets.set(memory, key, target, flags),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Puts a socket into a map of sockets.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when this is no map of sockets or the key has the wrong size.
    pub fn set_socket(&mut self, key: &[u8], socket: SocketId, flags: u64) -> Result<(), Errno> {
        self.check_writable()?;
        self.check_key(key)?;
        self.put_socket(key, socket, flags)
    }

    /// A socket's value (`BPF_MAP_LOOKUP_ELEM` on a map of socket storage).
    pub fn socket_value(&self, memory: &Memory, socket: SocketId) -> Option<Vec<u8>> {
        let block = self.socket_storage(socket)?;
        Some(self.shape()?.load(memory, block))
    }

    /// Sets a socket's value (`BPF_MAP_UPDATE_ELEM` on a map of socket storage).
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when the value has the wrong size or this is no such map.
    pub fn set_socket_value(
        &mut self,
        memory: &mut Memory,
        socket: SocketId,
        value: &[u8],
        flags: u64,
    ) -> Result<(), Errno> {
        self.check_writable()?;
        if value.len() != self.def.value_size as usize || self.def.kind != MapType::SkStorage {
            return Err(Errno::EINVAL);
        }
        let when = When::from_flags(flags & !F_LOCK)?;
        if flags & F_LOCK != 0 && self.def.lock.is_none() {
            return Err(Errno::EINVAL);
        }
        match &mut self.storage {
            Storage::Local(local) => {
                let new = New::One(Value::Host(value), Cpu(0));
                local.update(memory, &socket.0.to_le_bytes(), new, when)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// Removes a socket's value (`BPF_MAP_DELETE_ELEM` on a map of socket storage).
    ///
    /// # Errors
    /// `ENOENT` when it has none, `EINVAL` when this is no such map.
    pub fn delete_socket_value(&mut self, socket: SocketId) -> Result<(), Errno> {
        self.check_writable()?;
        self.delete_socket_storage(socket)
    }

    /// Ends all writing by user space (`BPF_MAP_FREEZE`).
    ///
    /// # Errors
    /// `EPERM` when it may not write already, `ENOTSUPP` when values have a spin lock.
    pub fn freeze(&mut self) -> Result<(), Errno> {
        if self.def.lock.is_some() {
            return Err(Errno::ENOTSUPP);
        }
        self.check_writable()?;
        self.frozen = true;
        Ok(())
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Errno> {
        if key.len() == self.def.key_size as usize {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        }
    }

    fn check_writable(&self) -> Result<(), Errno> {
        if self.frozen || self.def.flags.has(MapFlags::RDONLY) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }
}
