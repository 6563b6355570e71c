//! Maps with the kernel's semantics (`kernel/bpf/*map*.c`, `arraymap.c`, `hashtab.c`, `lpm_trie.c`).
//!
//! Values lie in guest memory, so that a program can hold a pointer to one; keys and indexes lie in
//! the host's. Each map has two faces: what a program's helpers do, and what the `bpf()` system call
//! does for user space.

mod array;
mod bitmap;
mod bloom;
mod check;
mod def;
mod entries;
mod error;
mod handles;
mod hash;
mod ids;
mod keyed;
mod lpm;
mod lpm_trie;
mod lru;
mod map;
mod nested;
mod perf;
mod pool;
mod queue;
mod records;
mod ringbuf;
mod run;
mod size;
mod sockets;
mod storage;
mod table;
mod targets;
mod user;
mod value;
#[allow(dead_code)] // The engines' `bpf_for_each_map_elem` walks.
mod walk;

pub use def::{MapDef, MapFlags, MapType};
pub use entries::Entry;
pub use error::MapError;
pub use ids::{CgroupKey, SocketId};
pub(crate) use map::Found;
pub use map::Map;
pub use records::Record;
pub(crate) use ringbuf::Positions;
pub use targets::Target;
pub use value::Value;
use value::When;
#[allow(unused_imports)] // As above.
pub(crate) use walk::Walk;

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

    /// A map, to change.
    #[inline]
    pub(crate) fn get_mut(&mut self, id: MapId) -> Option<&mut Map> {
        self.0.get_mut(id.0 as usize)
    }

    /// Adds a map.
    pub fn push(&mut self, map: Map) -> MapId {
        self.0.push(map);
        MapId(self.0.len() as u32 - 1)
    }

    /// Whether a socket is in a map of sockets.
    pub fn holds_socket(&self, socket: SocketId) -> bool {
        self.0.iter().any(|map| map.holds_socket(socket))
    }

    /// Removes a socket that its owner closes from the maps of sockets (`sock_map_close`).
    pub fn unlink_socket(&mut self, socket: SocketId) {
        for map in &mut self.0 {
            map.unlink_socket(socket);
        }
    }

    /// Removes a socket that is closed, and what belongs to it, from all maps.
    pub fn forget_socket(&mut self, socket: SocketId) {
        for map in &mut self.0 {
            map.forget_socket(socket);
        }
    }

    /// Removes the values of a cgroup that is gone from all maps.
    pub fn forget_cgroup(&mut self, cgroup: CgroupKey) {
        for map in &mut self.0 {
            map.forget_cgroup(cgroup);
        }
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
