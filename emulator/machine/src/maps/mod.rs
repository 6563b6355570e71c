//! Maps with the kernel's semantics (`kernel/bpf/*map*.c`, `arraymap.c`, `hashtab.c`, `lpm_trie.c`).
//!
//! Values lie in guest memory, so that a program can hold a pointer to one; keys and indexes lie in
//! the host's. Each map has two faces: what a program's helpers do, and what the `bpf()` system call
//! does for user space.

mod array;
mod bitmap;
mod check;
mod def;
mod error;
mod hash;
mod lpm;
mod lpm_trie;
mod lru;
mod map;
mod perf;
mod pool;
mod programs;
mod records;
mod ringbuf;
mod table;
mod user;
mod value;

pub use def::{MapDef, MapFlags, MapType};
pub use error::MapError;
pub use map::Map;
pub use records::Record;
pub(crate) use ringbuf::Positions;
pub use user::Entry;
pub use value::Value;
use value::When;

/// A map of a machine, by order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapId(pub u32);

/// The maps of a machine.
#[derive(Debug, Default)]
pub struct Maps(Vec<Map>);

impl Maps {
    /// How many maps there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a map.
    pub fn push(&mut self, map: Map) -> MapId {
        self.0.push(map);
        MapId(self.0.len() as u32 - 1)
    }

    /// All maps by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (MapId, &Map)> {
        (0..).map(MapId).zip(&self.0)
    }

    /// The map of that name, the first if several have it.
    pub fn by_name(&self, name: &str) -> Option<MapId> {
        let mut maps = self.iter();
        maps.find(|(_, map)| map.def().name == name)
            .map(|(id, _)| id)
    }
}

impl std::ops::Index<MapId> for Maps {
    type Output = Map;

    #[inline]
    fn index(&self, id: MapId) -> &Map {
        &self.0[id.0 as usize]
    }
}

impl std::ops::IndexMut<MapId> for Maps {
    #[inline]
    fn index_mut(&mut self, id: MapId) -> &mut Map {
        &mut self.0[id.0 as usize]
    }
}
