//! One map, whatever its type: what programs do with it.

use super::array::{Array, index};
use super::bloom::Bloom;
use super::handles::Handles;
use super::hash::Hash;
use super::keyed::Keyed;
use super::lpm::Lpm;
use super::perf::PerfEvents;
use super::queue::Queue;
use super::ringbuf::RingBuf;
use super::sockets::Sockets;
use super::storage::LocalStorage;
use super::table::Order;
use super::targets::Targets;
use super::value::{New, Shape};
use super::{MapDef, MapError, MapId, MapType, SocketId, Value};
use crate::errno::Errno;
use crate::machine::Cpu;
use crate::memory::{Memory, Object, ObjectKind, OutOfMemory};
use crate::program::ProgramId;

/// A map.
#[derive(Debug)]
pub struct Map {
    pub(super) def: MapDef,
    pub(super) storage: Storage,
    /// User space may not write any more.
    pub(super) frozen: bool,
    /// How many bytes of a value programs may read, and how many they may write.
    open: (u32, u32),
}

#[derive(Debug)]
pub(super) enum Storage {
    Array(Array),
    Hash(Hash),
    Lpm(Lpm),
    Programs(Handles<ProgramId>),
    Cgroups(Handles<u64>),
    Maps(Handles<MapId>),
    MapsByKey(Keyed<MapId>),
    RingBuf(RingBuf),
    PerfEvents(PerfEvents),
    Targets(Targets),
    Sockets(Sockets),
    Queue(Queue),
    Bloom(Bloom),
    Local(LocalStorage),
}

/// What is in a map whose values programs cannot point to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Map(MapId),
    Socket(SocketId),
}

impl Map {
    /// Creates an empty map (`BPF_MAP_CREATE`).
    ///
    /// # Errors
    /// When the definition is not valid or not supported, or memory is short.
    pub fn new(mut def: MapDef, memory: &mut Memory, cpus: u32) -> Result<Self, MapError> {
        super::check::definition(&def)?;
        super::check::adjust(&mut def, cpus);
        match Storage::new(&def, memory, cpus) {
            Ok(storage) => Ok(Self {
                open: (
                    if def.flags.write_only_for_programs() {
                        0
                    } else {
                        def.value_size
                    },
                    if def.read_only_for_programs() {
                        0
                    } else {
                        def.value_size
                    },
                ),
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

    /// A value at a guest address as an object for programs; `id` is this map's.
    #[inline]
    pub(crate) fn value_object(&self, id: MapId, address: u32, made_at: u32) -> Object {
        Object {
            base: address,
            readable: self.open.0,
            writable: self.open.1,
            kind: ObjectKind::MapValue(id),
            made_at,
        }
    }

    /// Guest address of the value that a program on this CPU sees under `key` (`bpf_map_lookup_elem`).
    #[inline]
    pub fn lookup(&mut self, key: &[u8], cpu: Cpu) -> Option<u32> {
        match &mut self.storage {
            Storage::Array(array) => array.lookup(key, cpu),
            Storage::Hash(hash) => hash.lookup(key, cpu),
            Storage::Lpm(lpm) => lpm.find(key),
            Storage::Targets(targets) => targets.find(key),
            _ => None,
        }
    }

    /// Whether whatever is in the map is a value that programs may point to.
    #[inline]
    pub(crate) fn holds_values_only(&self) -> bool {
        matches!(
            self.storage,
            Storage::Array(_) | Storage::Hash(_) | Storage::Lpm(_)
        )
    }

    /// What a program finds that is no value.
    pub(crate) fn find(&self, key: &[u8]) -> Found {
        let map = match &self.storage {
            Storage::Maps(maps) => maps.find(key),
            Storage::MapsByKey(maps) => maps.get(key).copied(),
            Storage::Sockets(sockets) => {
                return sockets.find(key).map_or(Found::Nothing, Found::Socket);
            }
            _ => None,
        };
        map.map_or(Found::Nothing, Found::Map)
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

    /// Sets a value of a map whose values lie in guest memory.
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
            _ => Err(Errno::EINVAL),
        }
    }

    /// Removes an entry (`bpf_map_delete_elem`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn delete(&mut self, _memory: &mut Memory, key: &[u8]) -> Result<(), Errno> {
        let known = |known: bool| if known { Ok(()) } else { Err(Errno::ENOENT) };
        match &mut self.storage {
            Storage::Array(_) | Storage::Queue(_) | Storage::Local(_) => Err(Errno::EINVAL),
            Storage::Hash(hash) => hash.delete(key),
            Storage::Lpm(lpm) => lpm.delete(key),
            Storage::Programs(programs) => known(programs.take(key)?.is_some()),
            Storage::Cgroups(cgroups) => known(cgroups.take(key)?.is_some()),
            Storage::Maps(maps) => known(maps.take(key)?.is_some()),
            Storage::MapsByKey(maps) => known(maps.remove(key).is_some()),
            Storage::PerfEvents(events) => events.close(index(key).ok_or(Errno::EINVAL)?),
            Storage::Targets(targets) => targets.delete(key),
            Storage::Sockets(sockets) => sockets.delete(key),
            Storage::RingBuf(_) => Err(Errno::ENOTSUPP),
            Storage::Bloom(_) => Err(Errno::EOPNOTSUPP),
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

    /// Adds a value to a queue, stack or bloom filter (`bpf_map_push_elem`).
    pub(crate) fn push(&mut self, value: &[u8], flags: u64) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::Queue(queue) => queue.push(value, flags),
            Storage::Bloom(bloom) => bloom.push(value, flags),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// Copies the next value of a queue or stack, and removes it if wanted; the bytes become zero when
    /// there is none (`bpf_map_peek_elem`, `bpf_map_pop_elem`).
    pub(crate) fn peek(&mut self, into: &mut [u8], remove: bool) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::Queue(queue) => queue.take(into, remove),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// Whether a value was, or seems to have been, added to a bloom filter (`bpf_map_peek_elem`).
    pub(crate) fn contains(&self, value: &[u8]) -> Result<(), Errno> {
        match &self.storage {
            Storage::Bloom(bloom) => bloom.contains(value),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// Whether values are sockets.
    pub(crate) fn holds_sockets(&self) -> bool {
        matches!(self.storage, Storage::Sockets(_))
    }

    /// How values lie in guest memory, if they do.
    pub(super) fn shape(&self) -> Option<&Shape> {
        match &self.storage {
            Storage::Array(array) => Some(&array.shape),
            Storage::Hash(hash) => Some(&hash.shape),
            Storage::Lpm(lpm) => Some(&lpm.shape),
            Storage::Local(local) => Some(&local.shape),
            _ => None,
        }
    }
}

impl Storage {
    fn new(def: &MapDef, memory: &mut Memory, cpus: u32) -> Result<Self, OutOfMemory> {
        use MapType as T;
        memory.charge(super::size::of_host(def))?;
        Ok(match def.kind {
            T::Hash | T::PerCpuHash | T::LruHash | T::LruPerCpuHash => {
                Self::Hash(Hash::new(def, memory, cpus)?)
            }
            T::LpmTrie => Self::Lpm(Lpm::new(def)),
            T::ProgArray => Self::Programs(Handles::new(def.max_entries)),
            T::CgroupArray => Self::Cgroups(Handles::new(def.max_entries)),
            T::ArrayOfMaps => Self::Maps(Handles::new(def.max_entries)),
            T::HashOfMaps => {
                Self::MapsByKey(Keyed::new(def.key_size, def.max_entries, Order::Jenkins))
            }
            T::PerfEventArray => Self::PerfEvents(PerfEvents::new(def.max_entries)),
            T::RingBuf => Self::RingBuf(RingBuf::new(def, memory)?),
            T::DevMap | T::DevMapHash | T::CpuMap | T::XskMap => {
                Self::Targets(Targets::new(def, memory, cpus)?)
            }
            T::SockMap | T::SockHash => Self::Sockets(Sockets::new(def)),
            T::Queue | T::Stack => Self::Queue(Queue::new(def)),
            T::BloomFilter => Self::Bloom(Bloom::new(def)),
            T::SkStorage | T::CgroupStorage | T::PerCpuCgroupStorage => {
                Self::Local(LocalStorage::new(def, cpus))
            }
            // `check::definition` has refused the types that are not here.
            _ => Self::Array(Array::new(def, memory, cpus)?),
        })
    }
}
