//! Maps as a plan writes them and a recording shows them.

use std::io;

use twinpath_bpf::Map;
use twinpath_machine::MapType;

use super::error::Error;
use crate::recording::MapContents;

/// Kinds of maps whose elements are plain bytes, by key.
const PLAIN: [MapType; 7] = [
    MapType::Array,
    MapType::Hash,
    MapType::LruHash,
    MapType::LpmTrie,
    MapType::PerCpuArray,
    MapType::PerCpuHash,
    MapType::LruPerCpuHash,
];
/// Kinds whose values user space writes as bytes but which hold something else.
const WRITTEN: [MapType; 3] = [MapType::DevMap, MapType::DevMapHash, MapType::CpuMap];
const ARRAYS: [MapType; 2] = [MapType::Array, MapType::PerCpuArray];
/// `BPF_F_RDONLY_PROG`: constants, which no program changes.
const CONSTANT: u32 = 1 << 7;
/// Elements to read with one system call.
const BATCH: usize = 1024;

fn is_one_of(map: &Map, kinds: &[MapType]) -> bool {
    kinds.iter().any(|kind| *kind as u32 == map.shape().kind)
}

/// Which CPUs' values of a per-CPU map are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cpus {
    /// All of them.
    All,
    /// This one; the others' become zero.
    Only(usize),
}

/// Writes an element.
///
/// # Errors
/// For a key or value of the wrong size, a map that is not written by value, and the kernel's refusal.
pub fn write(map: &Map, name: &str, key: &[u8], value: &[u8], cpus: Cpus) -> Result<(), Error> {
    let shape = map.shape();
    if !is_one_of(map, &PLAIN) && !is_one_of(map, &WRITTEN) {
        return Err(Error::UnsupportedMap {
            map: name.to_owned(),
            kind: shape.kind,
        });
    }
    check(name, "key", key, shape.key_size)?;
    check(name, "value", value, shape.value_size)?;
    let mut padded = value.to_vec();
    padded.resize(map.cpu_stride(), 0);
    let mut stored = padded.repeat(map.stored_size() / padded.len());
    if let (true, Cpus::Only(cpu)) = (shape.is_per_cpu(), cpus) {
        let others = stored.chunks_exact_mut(padded.len()).enumerate();
        others
            .filter(|(other, _)| *other != cpu)
            .for_each(|(_, value)| value.fill(0));
    }
    map.update(key, &stored, 0)
        .map_err(Error::system(format!("write map `{name}`")))
}

/// Takes an element away.
///
/// # Errors
/// For a key of the wrong size, and the kernel's refusal.
pub fn delete(map: &Map, name: &str, key: &[u8]) -> Result<(), Error> {
    check(name, "key", key, map.shape().key_size)?;
    let what = format!("delete an element of map `{name}`");
    map.delete(key).map_err(Error::system(what))
}

fn check(map: &str, what: &'static str, given: &[u8], expected: u32) -> Result<(), Error> {
    if given.len() == expected as usize {
        return Ok(());
    }
    Err(Error::Size {
        map: map.to_owned(),
        what,
        given: given.len(),
        expected: expected as usize,
    })
}

/// Reads all of a map; `None` for a kind of map whose elements are no plain bytes, and for constants.
///
/// # Errors
/// The kernel's.
pub fn read(map: &Map) -> io::Result<Option<MapContents>> {
    if !is_one_of(map, &PLAIN) || map.shape().flags & CONSTANT != 0 {
        return Ok(None);
    }
    let mut contents = MapContents {
        per_cpu: map.shape().is_per_cpu(),
        ..MapContents::default()
    };
    if is_one_of(map, &ARRAYS) {
        read_array(map, &mut contents)?;
    } else {
        read_keyed(map, &mut contents)?;
    }
    Ok(Some(contents))
}

fn read_array(map: &Map, contents: &mut MapContents) -> io::Result<()> {
    let mut position = None;
    let mut index = 0u32;
    while index < map.shape().max_entries {
        let Some(batch) = map.array_batch(&mut position, BATCH)? else {
            break;
        };
        for stored in batch.chunks_exact(map.stored_size()) {
            if stored.iter().any(|byte| *byte != 0) {
                contents
                    .entries
                    .insert(index.to_ne_bytes().to_vec(), values(map, stored));
            }
            index += 1;
        }
        if position.is_none() {
            break;
        }
    }
    Ok(())
}

fn read_keyed(map: &Map, contents: &mut MapContents) -> io::Result<()> {
    let mut key = map.next_key(None)?;
    while let Some(current) = key {
        if let Some(stored) = map.lookup(&current)? {
            contents
                .entries
                .insert(current.clone(), values(map, &stored));
        }
        key = map.next_key(Some(&current))?;
    }
    Ok(())
}

/// Takes an element's stored bytes apart: one value, or one for each CPU.
fn values(map: &Map, stored: &[u8]) -> Vec<Vec<u8>> {
    let size = map.shape().value_size as usize;
    stored
        .chunks_exact(map.cpu_stride())
        .map(|value| value[..size].to_vec())
        .collect()
}
