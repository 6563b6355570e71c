//! The face of a map that user space sees: the `bpf()` system call (`kernel/bpf/syscall.c`).

use super::array::index_after;
use super::map::Storage;
use super::value::{F_LOCK, New, Shape};
use super::{Map, MapFlags, Record, Value};
use crate::errno::Errno;
use crate::machine::Cpu;
use crate::memory::Memory;
use crate::program::ProgramId;

/// An entry of a map: its key, and the value of each CPU or the only one.
pub type Entry = (Vec<u8>, Vec<Vec<u8>>);

impl Map {
    /// The value under a key (`BPF_MAP_LOOKUP_ELEM`); of a per-CPU map those of all CPUs, each rounded
    /// up to 8 bytes.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when the key has the wrong size.
    pub fn user_lookup(&self, memory: &Memory, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.check_key(key)?;
        if self.def.flags.has(MapFlags::WRONLY) {
            return Err(Errno::EPERM);
        }
        let block = match &self.storage {
            Storage::Array(array) => array.find(key),
            Storage::Hash(hash) => hash.find(key),
            Storage::Lpm(lpm) => lpm.find(key),
            Storage::Programs(programs) => {
                let program = super::array::index(key).and_then(|index| programs.get(index));
                let ProgramId(number) = program.ok_or(Errno::ENOENT)?;
                return Ok(number.to_le_bytes().to_vec());
            }
            Storage::RingBuf(_) | Storage::PerfEvents(_) => return Err(Errno::ENOTSUPP),
        };
        let shape = self.shape().ok_or(Errno::ENOTSUPP)?;
        Ok(shape.load(memory, block.ok_or(Errno::ENOENT)?))
    }

    /// Sets the value under a key (`BPF_MAP_UPDATE_ELEM`); of a per-CPU map those of all CPUs, each
    /// rounded up to 8 bytes. Maps of programs, maps and events have functions of their own.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when the key or the value has the wrong size.
    pub fn user_update(
        &mut self,
        memory: &mut Memory,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), Errno> {
        self.check_writable()?;
        self.check_key(key)?;
        let shape = self.shape();
        let per_cpu = shape.filter(|shape| shape.per_cpu);
        let size = per_cpu.map_or(self.def.value_size, Shape::block);
        if value.len() != size as usize {
            return Err(Errno::EINVAL);
        }
        if flags & F_LOCK != 0 && self.def.lock.is_none() {
            return Err(Errno::EINVAL);
        }
        let new = match per_cpu {
            Some(_) => New::All(value),
            None => New::One(Value::Host(value), Cpu(0)),
        };
        self.write(memory, key, new, flags)
    }

    /// Removes an entry (`BPF_MAP_DELETE_ELEM`).
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when the key has the wrong size.
    pub fn user_delete(&mut self, memory: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        self.check_writable()?;
        self.check_key(key)?;
        self.delete(memory, key)
    }

    /// The key after another, the first one after none or an unknown one (`BPF_MAP_GET_NEXT_KEY`).
    ///
    /// # Errors
    /// `ENOENT` at the end, else the kernel's.
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        if let Some(key) = key {
            self.check_key(key)?;
        }
        let index = match &self.storage {
            Storage::Array(_) => index_after(key, self.def.max_entries)?,
            Storage::PerfEvents(_) => index_after(key, self.def.max_entries)?,
            Storage::Programs(programs) => programs.after(key)?,
            Storage::Hash(hash) => {
                let slot = hash.table.after(key).ok_or(Errno::ENOENT)?;
                return Ok(hash.table.key(slot).to_vec());
            }
            Storage::Lpm(lpm) => return lpm.after(key).map(<[u8]>::to_vec),
            Storage::RingBuf(_) => return Err(Errno::ENOTSUPP),
        };
        Ok(index.to_le_bytes().to_vec())
    }

    /// All entries in the order of [`Map::next_key`]: arrays by index, hashes as the kernel orders them
    /// with `BPF_F_ZERO_SEED`, tries with more specific prefixes first.
    pub fn entries(&self, memory: &Memory) -> Vec<Entry> {
        match &self.storage {
            Storage::Array(array) => {
                let entry = |(index, block): (u32, u32)| {
                    let values = array.shape.values(memory, block);
                    (index.to_le_bytes().to_vec(), values)
                };
                array.blocks().map(entry).collect()
            }
            Storage::Hash(hash) => {
                let entry = |slot| {
                    let values = hash.shape.values(memory, hash.block(slot));
                    (hash.table.key(slot).to_vec(), values)
                };
                hash.table.slots().map(entry).collect()
            }
            Storage::Lpm(lpm) => {
                let entry =
                    |(key, block): (&[u8], u32)| (key.to_vec(), lpm.shape.values(memory, block));
                lpm.entries().map(entry).collect()
            }
            Storage::Programs(programs) => {
                let entry = |(index, program): (u32, ProgramId)| {
                    let value = program.0.to_le_bytes().to_vec();
                    (index.to_le_bytes().to_vec(), vec![value])
                };
                programs.entries().map(entry).collect()
            }
            Storage::RingBuf(_) | Storage::PerfEvents(_) => Vec::new(),
        }
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

    /// Ends all writing by user space (`BPF_MAP_FREEZE`).
    ///
    /// # Errors
    /// `EBUSY` when that was done already.
    pub fn freeze(&mut self) -> Result<(), Errno> {
        if std::mem::replace(&mut self.frozen, true) {
            return Err(Errno::EBUSY);
        }
        Ok(())
    }

    fn shape(&self) -> Option<&Shape> {
        match &self.storage {
            Storage::Array(array) => Some(&array.shape),
            Storage::Hash(hash) => Some(&hash.shape),
            Storage::Lpm(lpm) => Some(&lpm.shape),
            Storage::Programs(_) | Storage::RingBuf(_) | Storage::PerfEvents(_) => None,
        }
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
