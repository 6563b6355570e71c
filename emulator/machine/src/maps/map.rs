//! One map, whatever its type.

use super::array::Array;
use super::{MapDef, MapType, Value};
use crate::errno::Errno;
use crate::machine::Cpu;
use crate::memory::{Memory, OutOfMemory};
use crate::program::ProgramId;

/// A map.
#[derive(Debug)]
pub struct Map {
    def: MapDef,
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    Array(Array),
}

/// Why a map cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The kernel refuses the definition.
    #[error("create {kind} map {name:?}: {reason} ({errno})")]
    Invalid {
        /// The map's name.
        name: String,
        /// Its type.
        kind: MapType,
        /// What is wrong with the definition.
        reason: String,
        /// The kernel's error.
        errno: Errno,
    },
    /// The emulator does not have this type or flag.
    #[error("create map {name:?}: {what} is not supported by the emulator")]
    Unsupported {
        /// The map's name.
        name: String,
        /// What is missing.
        what: String,
    },
    /// Guest memory is too small for the map.
    #[error("create map {name:?}")]
    Memory {
        /// The map's name.
        name: String,
        /// How much is missing.
        #[source]
        source: OutOfMemory,
    },
}

impl Map {
    /// Creates an empty map (`BPF_MAP_CREATE`).
    ///
    /// # Errors
    /// When the definition is not valid or not supported, or memory is short.
    pub fn new(def: MapDef, memory: &mut Memory, _cpus: u32) -> Result<Self, MapError> {
        let storage = match def.kind {
            MapType::Array => {
                Storage::Array(Array::new(&def, memory).map_err(|source| MapError::Memory {
                    name: def.name.clone(),
                    source,
                })?)
            }
            kind => {
                return Err(MapError::Unsupported {
                    name: def.name,
                    what: format!("map type {kind}"),
                });
            }
        };
        Ok(Self { def, storage })
    }

    /// What the map was made from.
    #[inline]
    pub fn def(&self) -> &MapDef {
        &self.def
    }

    /// Guest address of the value that a program on this CPU sees under `key` (`bpf_map_lookup_elem`).
    #[inline]
    pub fn lookup(&mut self, _memory: &mut Memory, key: &[u8], _cpu: Cpu) -> Option<u32> {
        match &mut self.storage {
            Storage::Array(array) => array.lookup(key),
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
        _cpu: Cpu,
    ) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::Array(array) => array.update(memory, key, value, flags),
        }
    }

    /// The program under an index of a program array.
    ///
    /// # Errors
    /// What is wrong when this is no program array.
    pub fn program_at(&self, _index: u32) -> Result<Option<ProgramId>, String> {
        Err(format!(
            "{} is a {}, not a prog_array",
            self.def.name, self.def.kind
        ))
    }

    /// Removes an entry from a program (`bpf_map_delete_elem`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn delete(&mut self, _memory: &mut Memory, _key: &[u8]) -> Result<(), Errno> {
        match &mut self.storage {
            Storage::Array(_) => Err(Errno::EINVAL),
        }
    }
}
