//! Maps in the running kernel, with the machine's definitions and error numbers.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use twinpath_bpf::{Map, MapShape, MapSource, Types, load_btf};
use twinpath_machine::{MapDef, MapType};

/// A result with the kernel's error number.
pub type Raw<T> = Result<T, i32>;

pub fn raw<T>(result: io::Result<T>) -> Raw<T> {
    result.map_err(|error| error.raw_os_error().unwrap_or(0))
}

fn found<T>(result: io::Result<Option<T>>) -> Raw<T> {
    raw(result)?.ok_or(libc::ENOENT)
}

/// A map of the kernel's.
#[derive(Debug)]
pub struct KernelMap(pub Map);

impl KernelMap {
    /// Creates a map; `inner` is that of a map of maps.
    pub fn new(def: &MapDef, inner: Option<&Self>) -> Raw<Self> {
        let btf = match needs_types(def) {
            true => Some(raw(load_btf(&value_types(def.value_size, def.lock)))?),
            false => None,
        };
        let source = MapSource {
            name: "test",
            shape: MapShape {
                kind: def.kind as u32,
                key_size: def.key_size,
                value_size: def.value_size,
                max_entries: def.max_entries,
                flags: def.flags.0,
            },
            extra: def.extra,
            inner: inner.map(|map| map.0.as_fd()),
            types: btf.as_ref().map(|btf| Types {
                btf: btf.as_fd(),
                key: KEY,
                value: VALUE,
            }),
        };
        raw(Map::from_source(&source)).map(Self)
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub fn id(&self) -> Raw<u32> {
        raw(self.0.id())
    }

    pub fn lookup(&self, key: &[u8]) -> Raw<Vec<u8>> {
        found(self.0.lookup(key))
    }

    pub fn take(&self, key: &[u8]) -> Raw<Vec<u8>> {
        found(self.0.take(key))
    }

    pub fn contains(&self, value: &[u8]) -> Raw<()> {
        match raw(self.0.contains(value))? {
            true => Ok(()),
            false => Err(libc::ENOENT),
        }
    }

    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Raw<()> {
        raw(self.0.update(key, value, flags))
    }

    pub fn delete(&self, key: &[u8]) -> Raw<()> {
        raw(self.0.delete(key))
    }

    pub fn next_key(&self, key: Option<&[u8]>) -> Raw<Vec<u8>> {
        found(self.0.next_key(key))
    }

    pub fn freeze(&self) -> Raw<()> {
        raw(self.0.freeze())
    }

    /// All keys in the kernel's order; none of a map that has none to show.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.0.keys().unwrap_or_default()
    }
}

fn needs_types(def: &MapDef) -> bool {
    def.lock.is_some() || def.kind == MapType::SkStorage
}

/// The numbers of the types below.
const KEY: u32 = 1;
const VALUE: u32 = 3;

/// Types for a key of four bytes and a value of this size, with a spin lock at this offset.
fn value_types(value_size: u32, lock: Option<u32>) -> Vec<u8> {
    let strings = b"\0int\0bpf_spin_lock\0val\0value\0lock\0";
    let (int, spin_lock, val, value, member) = (1u32, 5u32, 19u32, 23u32, 29u32);
    let mut types: Vec<u32> = Vec::new();
    let kind = |kind: u32, members: u32| kind << 24 | members;
    // 1: int, 2: struct bpf_spin_lock { int val; }, 3: struct value { ... }
    types.extend([int, kind(1, 0), 4, 32]);
    types.extend([spin_lock, kind(4, 1), 4, val, 1, 0]);
    match lock {
        Some(offset) => types.extend([value, kind(4, 1), value_size, member, 2, offset * 8]),
        None => types.extend([value, kind(4, 0), value_size]),
    }
    let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let header = [
        24,
        0,
        types.len() as u32,
        types.len() as u32,
        strings.len() as u32,
    ];
    let mut btf = vec![0x9f, 0xeb, 1, 0];
    btf.extend(header.iter().flat_map(|word| word.to_ne_bytes()));
    btf.extend(types);
    btf.extend(strings);
    btf
}
