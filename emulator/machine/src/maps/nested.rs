//! Maps of maps (`kernel/bpf/map_in_map.c`).

use super::map::Storage;
use super::value::When;
use super::{Map, MapDef, MapFlags, MapId, MapType, Maps};
use crate::errno::Errno;

impl Maps {
    /// Sets or clears an entry of a map of maps, as user space does.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` when the inner map does not look as `outer` was told, when `outer` is no
    /// map of maps, or the key has the wrong size.
    pub fn set_inner(
        &mut self,
        outer: MapId,
        key: &[u8],
        inner: Option<MapId>,
        flags: u64,
    ) -> Result<(), Errno> {
        let fits = match inner {
            None => true,
            Some(inner) => {
                let def = self.0.get(inner.0 as usize).ok_or(Errno::EBADF)?.def();
                let wanted = self[outer].def().inner.as_deref();
                wanted.is_some_and(|wanted| same_look(wanted, def))
            }
        };
        self[outer].set_inner(key, inner, fits, flags)
    }
}

impl Map {
    fn set_inner(
        &mut self,
        key: &[u8],
        inner: Option<MapId>,
        fits: bool,
        flags: u64,
    ) -> Result<(), Errno> {
        if self.frozen || self.def.flags.has(MapFlags::RDONLY) {
            return Err(Errno::EPERM);
        }
        if key.len() != self.def.key_size as usize {
            return Err(Errno::EINVAL);
        }
        match &mut self.storage {
            Storage::Maps(maps) => {
                if flags != 0 {
                    return Err(Errno::EINVAL);
                }
                let index = super::array::index(key).ok_or(Errno::EINVAL)?;
                if index >= self.def.max_entries {
                    return Err(Errno::E2BIG);
                }
                if !fits {
                    return Err(Errno::EINVAL);
                }
                maps.set(index, inner)
            }
            Storage::MapsByKey(maps) => {
                if !fits {
                    return Err(Errno::EINVAL);
                }
                let when = When::from_flags(flags)?;
                let Some(inner) = inner else {
                    return maps.remove(key).map(drop).ok_or(Errno::ENOENT);
                };
                when.allow(maps.get(key).is_some())?;
                if let Some(place) = maps.get_mut(key) {
                    *place = inner;
                } else if maps.len() < self.def.max_entries {
                    maps.insert(key, inner);
                } else {
                    return Err(Errno::E2BIG);
                }
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

/// Whether a program that was checked against one map works with another (`bpf_map_meta_equal`).
fn same_look(wanted: &MapDef, def: &MapDef) -> bool {
    wanted.kind == def.kind
        && wanted.key_size == def.key_size
        && wanted.value_size == def.value_size
        && wanted.flags == def.flags
        && wanted.lock == def.lock
        && (def.kind != MapType::Array
            || def.flags.has(MapFlags::INNER_MAP)
            || wanted.max_entries == def.max_entries)
}
