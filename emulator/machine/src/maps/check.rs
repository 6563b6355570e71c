//! Which definitions the kernel accepts (`map_create`, and each type's `map_alloc_check`).

use super::{MapDef, MapError, MapFlags, MapType};
use crate::errno::Errno;

type Refusal = Option<(Errno, &'static str)>;

/// Checks a definition before anything is allocated.
pub(super) fn definition(def: &MapDef) -> Result<(), MapError> {
    let refusal = match def.kind {
        MapType::Array | MapType::PerCpuArray => array(def),
        MapType::Hash | MapType::PerCpuHash | MapType::LruHash | MapType::LruPerCpuHash => {
            hash(def)
        }
        MapType::LpmTrie => lpm(def),
        MapType::ProgArray | MapType::PerfEventArray => descriptors(def),
        MapType::RingBuf => ring(def),
        kind => {
            return Err(MapError::Unsupported {
                name: def.name.clone(),
                what: format!("map type {kind}"),
            });
        }
    };
    match refusal {
        None => Ok(()),
        Some((errno, reason)) => Err(MapError::Invalid {
            name: def.name.clone(),
            kind: def.kind,
            reason: reason.to_owned(),
            errno,
        }),
    }
}

fn array(def: &MapDef) -> Refusal {
    if def.key_size != 4 {
        return Some((Errno::EINVAL, "the key size is not 4"));
    }
    sizes(def)
}

fn hash(def: &MapDef) -> Refusal {
    let lru = matches!(def.kind, MapType::LruHash | MapType::LruPerCpuHash);
    if lru && def.flags.has(MapFlags::NO_PREALLOC) {
        return Some((Errno::ENOTSUPP, "an LRU hash is always preallocated"));
    }
    if def.key_size == 0 {
        return Some((Errno::EINVAL, "the key size is 0"));
    }
    sizes(def)
}

fn lpm(def: &MapDef) -> Refusal {
    if !def.flags.has(MapFlags::NO_PREALLOC) {
        return Some((Errno::EINVAL, "BPF_F_NO_PREALLOC is not set"));
    }
    if !(5..=260).contains(&def.key_size) {
        return Some((Errno::EINVAL, "the key size is not between 5 and 260"));
    }
    sizes(def)
}

fn descriptors(def: &MapDef) -> Refusal {
    if def.key_size != 4 || def.value_size != 4 {
        return Some((Errno::EINVAL, "the sizes of key and value are not 4"));
    }
    sizes(def)
}

fn ring(def: &MapDef) -> Refusal {
    if def.key_size != 0 || def.value_size != 0 {
        return Some((Errno::EINVAL, "the sizes of key and value are not 0"));
    }
    if !def.max_entries.is_power_of_two() || !def.max_entries.is_multiple_of(4096) {
        return Some((
            Errno::EINVAL,
            "the size is not a power of two of whole pages",
        ));
    }
    None
}

fn sizes(def: &MapDef) -> Refusal {
    if def.value_size == 0 {
        return Some((Errno::EINVAL, "the value size is 0"));
    }
    if def.max_entries == 0 {
        return Some((Errno::EINVAL, "the number of entries is 0"));
    }
    None
}
