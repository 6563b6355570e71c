//! Maps of sockets: sockmap and sockhash (`net/core/sock_map.c`).

use super::array::{index, index_after};
use super::keyed::Keyed;
use super::table::Order;
use super::{MapDef, MapType, SocketId, When};
use crate::errno::Errno;

/// Sockets by index or by key.
#[derive(Debug)]
pub(super) struct Sockets {
    capacity: u32,
    /// Whether values have room for a cookie.
    wide: bool,
    entries: Entries,
}

#[derive(Debug)]
enum Entries {
    Array(Vec<Option<SocketId>>),
    Hash(Keyed<SocketId>),
}

impl Sockets {
    pub(super) fn new(def: &MapDef) -> Self {
        let entries = if def.kind == MapType::SockHash {
            Entries::Hash(Keyed::new(def.key_size, def.max_entries, Order::Jenkins))
        } else {
            Entries::Array(vec![None; def.max_entries as usize])
        };
        Self {
            capacity: def.max_entries,
            wide: def.value_size == 8,
            entries,
        }
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<SocketId> {
        match &self.entries {
            Entries::Array(array) => array.get(index(key)? as usize).copied().flatten(),
            Entries::Hash(hash) => hash.get(key).copied(),
        }
    }

    /// Sets an entry.
    pub(super) fn set(&mut self, key: &[u8], socket: SocketId, flags: u64) -> Result<(), Errno> {
        let when = When::from_flags(flags)?;
        match &mut self.entries {
            Entries::Array(array) => {
                let index = index(key).ok_or(Errno::EINVAL)? as usize;
                let place = array.get_mut(index).ok_or(Errno::E2BIG)?;
                when.allow(place.is_some())?;
                *place = Some(socket);
            }
            Entries::Hash(hash) => {
                let exists = hash.get(key).is_some();
                when.allow(exists)?;
                if !exists && hash.len() >= self.capacity {
                    return Err(Errno::E2BIG);
                }
                hash.insert(key, socket);
            }
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), Errno> {
        match &mut self.entries {
            Entries::Array(array) => {
                let index = index(key).ok_or(Errno::EINVAL)? as usize;
                let place = array.get_mut(index).and_then(Option::take);
                place.map(drop).ok_or(Errno::EINVAL)
            }
            Entries::Hash(hash) => hash.remove(key).map(drop).ok_or(Errno::ENOENT),
        }
    }

    /// What user space reads: the socket's cookie.
    pub(super) fn load(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        if !self.wide {
            return Err(Errno::ENOSPC);
        }
        let SocketId(cookie) = self.find(key).ok_or(Errno::ENOENT)?;
        Ok(cookie.to_le_bytes().to_vec())
    }

    pub(super) fn after(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        match &self.entries {
            Entries::Array(_) => Ok(index_after(key, self.capacity)?.to_le_bytes().to_vec()),
            Entries::Hash(hash) => {
                let next = hash.after(key).ok_or(Errno::ENOENT)?;
                Ok(next.to_vec())
            }
        }
    }

    /// All sockets by key, in the order of [`Sockets::after`].
    pub(super) fn iter(&self) -> Vec<(Vec<u8>, SocketId)> {
        match &self.entries {
            Entries::Array(array) => {
                let entries = (0u32..).zip(array);
                let entry = |(index, socket): (u32, &Option<SocketId>)| {
                    Some((index.to_le_bytes().to_vec(), (*socket)?))
                };
                entries.filter_map(entry).collect()
            }
            Entries::Hash(hash) => {
                let entry = |(key, socket): (&[u8], &SocketId)| (key.to_vec(), *socket);
                hash.iter().map(entry).collect()
            }
        }
    }

    pub(super) fn forget(&mut self, gone: SocketId) {
        for (key, socket) in self.iter() {
            if socket == gone {
                // It was listed just now.
                let _ = self.delete(&key);
            }
        }
    }
}
