//! Maps of where packets are redirected to: devmap, devmap-hash, cpumap and xskmap
//! (`kernel/bpf/devmap.c`, `cpumap.c`, `net/xdp/xskmap.c`).

use super::array::{index, index_after};
use super::keyed::Keyed;
use super::pool::{Pool, Slot, Slots};
use super::table::Order;
use super::{MapDef, MapType, SocketId, When};
use crate::errno::Errno;
use crate::memory::{Memory, OutOfMemory};
use crate::program::ProgramId;

/// Where `bpf_redirect_map` sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Out of a device.
    Device {
        /// Its interface index.
        ifindex: u32,
        /// A program to run on each packet before it is sent.
        program: Option<ProgramId>,
    },
    /// To another CPU.
    Cpu {
        /// The CPU.
        cpu: u32,
        /// How many packets may wait for it.
        queue: u32,
        /// A program to run on each packet there.
        program: Option<ProgramId>,
    },
    /// To an `AF_XDP` socket.
    Socket {
        /// The socket.
        socket: SocketId,
        /// The queue of the device that it is bound to, which programs can read.
        queue: u32,
    },
}

/// Targets by index or by key.
#[derive(Debug)]
pub(super) struct Targets {
    kind: MapType,
    value_size: u32,
    len: u32,
    cpus: u32,
    entries: Entries,
    /// What programs that look a target up can read.
    values: Slots,
}

#[derive(Debug)]
enum Entries {
    Array(Vec<Option<Entry>>),
    Hash(Keyed<Entry>),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    target: Target,
    value: Slot,
}

/// The longest queue of a CPU.
const MAX_QUEUE: u32 = 16384;

impl Targets {
    pub(super) fn new(def: &MapDef, memory: &mut Memory, cpus: u32) -> Result<Self, OutOfMemory> {
        let entries = if def.kind == MapType::DevMapHash {
            Entries::Hash(Keyed::new(4, def.max_entries, Order::Index))
        } else {
            Entries::Array(vec![None; def.max_entries as usize])
        };
        // One more than there are targets, since a new value is made before the old one is given back.
        let blocks = u64::from(def.max_entries) + 1;
        Ok(Self {
            kind: def.kind,
            value_size: def.value_size,
            len: def.max_entries,
            cpus,
            entries,
            values: Slots::new(Pool::whole(memory, 8, blocks)?),
        })
    }

    fn get(&self, key: u32) -> Option<&Entry> {
        match &self.entries {
            Entries::Array(array) => array.get(key as usize)?.as_ref(),
            Entries::Hash(hash) => hash.get(&key.to_le_bytes()),
        }
    }

    pub(super) fn target(&self, key: u32) -> Option<Target> {
        Some(self.get(key)?.target)
    }

    /// The guest address of what a program can read of a target.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        Some(self.values.address(self.get(index(key)?)?.value))
    }

    /// Sets an entry as the system call does; no target clears an entry of an array.
    pub(super) fn set(
        &mut self,
        memory: &mut Memory,
        key: u32,
        target: Option<Target>,
        flags: u64,
    ) -> Result<(), Errno> {
        if target.is_none() && matches!(self.entries, Entries::Hash(_)) {
            return Err(Errno::EINVAL);
        }
        let known = self.target(key).filter(|_| self.kind == MapType::XskMap);
        if known.is_some() && known == target && When::from_flags(flags).is_ok() {
            return Ok(());
        }
        self.allow(key, flags)?;
        match target {
            Some(target) => self.put(memory, key, target),
            None => {
                self.remove(key);
                Ok(())
            }
        }
    }

    /// Whether the flags of an update and the map's capacity allow it.
    fn allow(&self, key: u32, flags: u64) -> Result<(), Errno> {
        let when = When::from_flags(flags)?;
        match &self.entries {
            Entries::Array(array) => {
                let exists = array.get(key as usize).ok_or(Errno::E2BIG)?.is_some();
                // Other types count every index as existing.
                when.allow(exists || self.kind != MapType::XskMap)
            }
            Entries::Hash(hash) => {
                let exists = hash.get(&key.to_le_bytes()).is_some();
                // BPF_EXIST is not looked at.
                if exists && when == When::Absent {
                    return Err(Errno::EEXIST);
                }
                if !exists && hash.len() >= self.len {
                    return Err(Errno::E2BIG);
                }
                Ok(())
            }
        }
    }

    /// Sets an entry to what a value from user space means.
    pub(super) fn update(
        &mut self,
        memory: &mut Memory,
        key: u32,
        value: &[u8],
        flags: u64,
    ) -> Result<(), Errno> {
        if matches!(self.entries, Entries::Array(_)) {
            self.allow(key, flags)?;
        }
        let target = self.parse(key, value)?;
        self.set(memory, key, target, flags)
    }

    fn put(&mut self, memory: &mut Memory, key: u32, target: Target) -> Result<(), Errno> {
        self.fits(target)?;
        let value = self.values.take(memory)?;
        let bytes = memory.raw_mut(self.values.address(value), 8);
        bytes.copy_from_slice(&target.value());
        let entry = Entry { target, value };
        let old = match &mut self.entries {
            Entries::Array(array) => match array.get_mut(key as usize) {
                Some(place) => place.replace(entry),
                None => return Err(Errno::E2BIG),
            },
            Entries::Hash(hash) => hash.insert(&key.to_le_bytes(), entry),
        };
        if let Some(old) = old {
            self.values.give(old.value);
        }
        Ok(())
    }

    /// Whether a target may be in this map.
    fn fits(&self, target: Target) -> Result<(), Errno> {
        let (ours, program) = match (self.kind, target) {
            (MapType::DevMap | MapType::DevMapHash, Target::Device { program, .. }) => {
                (true, program)
            }
            (MapType::CpuMap, Target::Cpu { cpu, program, .. }) => {
                if cpu >= self.cpus {
                    return Err(Errno::ENODEV);
                }
                (true, program)
            }
            (MapType::XskMap, Target::Socket { .. }) => (true, None),
            _ => (false, None),
        };
        if !ours || (program.is_some() && self.value_size < 8) {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    /// The target that a value from user space means.
    fn parse(&self, key: u32, value: &[u8]) -> Result<Option<Target>, Errno> {
        let word = |at: usize| {
            let bytes = value.get(at..at + 4).unwrap_or(&[0; 4]);
            bytes
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u32::from(*byte))
        };
        // The second word is the descriptor of a program, of which there is none here.
        if word(4) as i32 > 0 {
            return Err(Errno::EINVAL);
        }
        match self.kind {
            MapType::CpuMap if word(0) > MAX_QUEUE => Err(Errno::EOVERFLOW),
            MapType::CpuMap if key >= self.cpus => Err(Errno::ENODEV),
            MapType::CpuMap => Ok((word(0) > 0).then_some(Target::Cpu {
                cpu: key,
                queue: word(0),
                program: None,
            })),
            MapType::XskMap => Err(Errno::EBADF),
            _ => Ok((word(0) > 0).then_some(Target::Device {
                ifindex: word(0),
                program: None,
            })),
        }
    }

    fn remove(&mut self, key: u32) -> bool {
        let old = match &mut self.entries {
            Entries::Array(array) => array.get_mut(key as usize).and_then(Option::take),
            Entries::Hash(hash) => hash.remove(&key.to_le_bytes()),
        };
        if let Some(old) = old {
            self.values.give(old.value);
        }
        old.is_some()
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), Errno> {
        let key = index(key).ok_or(Errno::EINVAL)?;
        let hash = matches!(self.entries, Entries::Hash(_));
        if !hash && key >= self.len {
            return Err(Errno::EINVAL);
        }
        if !self.remove(key) && hash {
            return Err(Errno::ENOENT);
        }
        Ok(())
    }

    pub(super) fn after(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        match &self.entries {
            Entries::Array(_) => Ok(index_after(key, self.len)?.to_le_bytes().to_vec()),
            Entries::Hash(hash) => {
                let next = hash.after(key).ok_or(Errno::ENOENT)?;
                Ok(next.to_vec())
            }
        }
    }

    /// What user space reads under a key.
    pub(super) fn load(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        if self.kind == MapType::XskMap {
            return Err(Errno::EOPNOTSUPP);
        }
        let entry = index(key).and_then(|key| self.get(key));
        let value = entry.ok_or(Errno::ENOENT)?.target.value();
        Ok(value[..self.value_size as usize].to_vec())
    }

    /// All targets by key, in the order of [`Targets::after`].
    pub(super) fn iter(&self) -> Vec<(u32, Target)> {
        match &self.entries {
            Entries::Array(array) => {
                let entries = (0..).zip(array);
                let target = |(key, entry): (u32, &Option<Entry>)| Some((key, (*entry)?.target));
                entries.filter_map(target).collect()
            }
            Entries::Hash(hash) => {
                let target = |(key, entry): (&[u8], &Entry)| Some((index(key)?, entry.target));
                hash.iter().filter_map(target).collect()
            }
        }
    }

    pub(super) fn forget_socket(&mut self, gone: SocketId) {
        for (key, target) in self.iter() {
            if matches!(target, Target::Socket { socket, .. } if socket == gone) {
                self.remove(key);
            }
        }
    }
}

impl Target {
    /// The words that programs and user space read: the device, queue length or queue, and the
    /// program's number.
    pub fn value(self) -> [u8; 8] {
        let (first, program) = match self {
            Self::Device { ifindex, program } => (ifindex, program),
            Self::Cpu { queue, program, .. } => (queue, program),
            Self::Socket { queue, .. } => (queue, None),
        };
        let program = program.map_or(0, |ProgramId(number)| number);
        (u64::from(program) << 32 | u64::from(first)).to_le_bytes()
    }
}
