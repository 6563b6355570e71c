//! One map, whatever its type: what programs do with it.

use super::array::Array;
use super::hash::Hash;
use super::lpm::Lpm;
use super::perf::PerfEvents;
use super::programs::Programs;
use super::ringbuf::RingBuf;
use super::value::New;
use super::{MapDef, MapError, MapType, Positions, Value};
use crate::errno::Errno;
use crate::machine::Cpu;
use crate::memory::{Memory, OutOfMemory};
use crate::program::ProgramId;

/// A map.
#[derive(Debug)]
pub struct Map {
    pub(super) def: MapDef,
    pub(super) storage: Storage,
    /// User space may not write any more.
    pub(super) frozen: bool,
}

#[derive(Debug)]
pub(super) enum Storage {
    Array(Array),
    Hash(Hash),
    Lpm(Lpm),
    Programs(Programs),
    RingBuf(RingBuf),
    PerfEvents(PerfEvents),
}

impl Map {
    /// Creates an empty map (`BPF_MAP_CREATE`).
    ///
    /// # Errors
    /// When the definition is not valid or not supported, or memory is short.
    pub fn new(def: MapDef, memory: &mut Memory, cpus: u32) -> Result<Self, MapError> {
        super::check::definition(&def)?;
        match Storage::new(&def, memory, cpus) {
            Ok(storage) => Ok(Self {
                def,
                storage,
                frozen: false,
            }),
            Err(source) => Err(MapError::Memory {
                name: def.name,
                source,
            }),
        }
    }

    /// What the map was made from.
    #[inline]
    pub fn def(&self) -> &MapDef {
        &self.def
    }

    /// Guest address of the value that a program on this CPU sees under `key` (`bpf_map_lookup_elem`).
    #[inline]
    pub fn lookup(&mut self, _memory: &mut Memory, key: &[u8], cpu: Cpu) -> Option<u32> {
        match &mut self.storage {
            Storage::Array(array) => array.lookup(key, cpu),
            Storage::Hash(hash) => hash.lookup(key, cpu),
            Storage::Lpm(lpm) => lpm.find(key),
            Storage::Programs(_) | Storage::RingBuf(_) | Storage::PerfEvents(_) => None,
        }
    }

    /// Sets a value from a program on this CPU (`bpf_map_update_elem`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn update(
        &mut self,
        memory: &mut Memory,
        key: &[u8],
        value: Value<'_>,
        flags: u64,
        cpu: Cpu,
    ) -> Result<(), Errno> {
        self.write(memory, key, New::One(value, cpu), flags)
    }

    pub(super) fn write(
        &mut self,
        memory: &mut Memory,
        key: &[u8],
        new: New<'_>,
        flags: u64,
    ) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::Array(array) => array.update(memory, key, new, flags),
            Storage::Hash(hash) => hash.update(memory, key, new, flags),
            Storage::Lpm(lpm) => lpm.update(memory, key, new, flags),
            // Their values are file descriptors, which neither face of this map has.
            Storage::Programs(_) | Storage::PerfEvents(_) => Err(Errno::EBADF),
            Storage::RingBuf(_) => Err(Errno::ENOTSUPP),
        }
    }

    /// Removes an entry from a program (`bpf_map_delete_elem`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn delete(&mut self, _memory: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::Array(_) => Err(Errno::EINVAL),
            Storage::Hash(hash) => hash.delete(key),
            Storage::Lpm(lpm) => lpm.delete(key),
            Storage::Programs(programs) => programs.delete(key),
            Storage::PerfEvents(events) => {
                events.close(super::array::index(key).ok_or(Errno::EINVAL)?)
            }
            Storage::RingBuf(_) => Err(Errno::ENOTSUPP),
        }
    }

    /// The program under an index of a program array.
    ///
    /// # Errors
    /// What is wrong when this is no program array.
    pub fn program_at(&self, index: u32) -> Result<Option<ProgramId>, String> {
        match &self.storage {
            Storage::Programs(programs) => Ok(programs.get(index)),
            _ => Err(format!(
                "{} is a {}, not a prog_array",
                self.def.name, self.def.kind
            )),
        }
    }

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

    /// Sends an event of `len` bytes through a perf event array.
    pub(crate) fn output_event(
        &mut self,
        index: u32,
        cpu: Cpu,
        len: u64,
        bytes: impl FnOnce() -> Vec<u8>,
    ) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::PerfEvents(events) => events.output(index, cpu, len, bytes),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Storage {
    fn new(def: &MapDef, memory: &mut Memory, cpus: u32) -> Result<Self, OutOfMemory> {
        Ok(match def.kind {
            MapType::Hash | MapType::PerCpuHash | MapType::LruHash | MapType::LruPerCpuHash => {
                Self::Hash(Hash::new(def, memory, cpus)?)
            }
            MapType::LpmTrie => Self::Lpm(Lpm::new(def)),
            MapType::ProgArray => Self::Programs(Programs::new(def.max_entries)),
            MapType::PerfEventArray => Self::PerfEvents(PerfEvents::new(def.max_entries)),
            MapType::RingBuf => Self::RingBuf(RingBuf::new(def, memory)?),
            // `check::definition` has refused the types that are not here.
            _ => Self::Array(Array::new(def, memory, cpus)?),
        })
    }
}
