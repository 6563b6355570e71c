//! Maps in sections named `maps`, defined by a structure each.
//!
//! Loaders put different things behind the first five words (type, key size, value size, entries,
//! flags), and the length of a definition tells which:
//! - 20 bytes, or any length with zeros behind: libbpf before version 1, the kernel's samples;
//! - 28 bytes: `id, pinning` of aya; of a map of maps, the samples' position of the inner map;
//! - 36 bytes: `id, pinning, inner_id, inner_idx` of iproute2 (`struct bpf_elf_map`).

use super::ObjectError;
use super::elf::{Elf, Section, Symbol};
use super::maps::{Entry, MapSource};
use crate::maps::{MapDef, MapFlags, MapType};

/// A map and the fields by which iproute2 joins it to others.
pub(super) struct Legacy {
    pub(super) def: MapDef,
    pub(super) source: MapSource,
    pub(super) id: u32,
    inner_id: u32,
    /// Where to put it in the map of maps whose `inner_id` is its `id`; -1 for nowhere.
    inner_idx: i32,
    /// The samples' position of the inner map among the section's maps.
    inner_position: Option<usize>,
}

const PLAIN: usize = 20;
const WITH_TWO: usize = 28;
const IPROUTE2: usize = 36;

fn is_maps(section: &Section<'_>) -> bool {
    let rest = section.name.strip_prefix("maps");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) && !section.is_code()
}

/// The maps of all such sections.
pub(super) fn maps(elf: &Elf<'_>) -> Result<Vec<Legacy>, ObjectError> {
    let mut maps = Vec::new();
    for (number, section) in elf.sections.iter().enumerate() {
        if is_maps(section) {
            let mut symbols: Vec<_> = elf
                .symbols_of(number)
                .filter(|symbol| !symbol.is_section() && !symbol.name.is_empty())
                .collect();
            symbols.sort_by_key(|symbol| symbol.value);
            for (position, symbol) in symbols.iter().enumerate() {
                let next = symbols
                    .get(position + 1)
                    .map_or(section.size, |next| next.value);
                maps.push(read(section, number, symbol, next)?);
            }
        }
    }
    join(&mut maps);
    Ok(maps)
}

fn read(
    section: &Section<'_>,
    number: usize,
    symbol: &Symbol<'_>,
    next: u64,
) -> Result<Legacy, ObjectError> {
    let problem = |what: String| ObjectError::map(symbol.name, what);
    // Some compilers and assemblers give symbols no size.
    let size = if symbol.size == 0 {
        next.saturating_sub(symbol.value)
    } else {
        symbol.size
    };
    let start = usize::try_from(symbol.value).ok();
    let end = symbol
        .value
        .checked_add(size)
        .and_then(|end| usize::try_from(end).ok());
    let bytes = start
        .zip(end)
        .and_then(|(start, end)| section.data.get(start..end));
    let bytes = bytes.ok_or_else(|| problem("lies outside its section".into()))?;
    if bytes.len() < PLAIN {
        let what = format!(
            "is defined by {} bytes, expected at least {PLAIN}",
            bytes.len()
        );
        return Err(problem(what));
    }
    let word = |index: usize| {
        let word = bytes.get(index * 4..).and_then(<[u8]>::first_chunk);
        word.map_or(0, |word| u32::from_le_bytes(*word))
    };
    let known = match bytes.len() {
        IPROUTE2.. => IPROUTE2,
        WITH_TWO.. => WITH_TWO,
        _ => PLAIN,
    };
    if bytes[known..].iter().any(|byte| *byte != 0) {
        let what = format!("sets options behind the {known} bytes that are understood");
        return Err(problem(what));
    }
    let kind = MapType::from_number(word(0));
    let kind =
        kind.ok_or_else(|| problem(format!("is of type {}, which does not exist", word(0))))?;
    let nests = matches!(kind, MapType::ArrayOfMaps | MapType::HashOfMaps);
    let sample = known == WITH_TWO && nests;
    Ok(Legacy {
        def: MapDef {
            flags: MapFlags(word(4)),
            ..MapDef::new(kind, word(1), word(2), word(3)).named(symbol.name)
        },
        source: MapSource {
            pinned: !sample && word(6) != 0,
            place: Some((number, symbol.value)),
            ..MapSource::default()
        },
        id: if sample { 0 } else { word(5) },
        inner_id: word(7),
        inner_idx: if known == IPROUTE2 {
            word(8) as i32
        } else {
            -1
        },
        inner_position: sample.then(|| word(5) as usize),
    })
}

/// Finds the inner maps of maps of maps. Some objects leave it to the loader to name one.
fn join(maps: &mut [Legacy]) {
    for outer in 0..maps.len() {
        if !matches!(
            maps[outer].def.kind,
            MapType::ArrayOfMaps | MapType::HashOfMaps
        ) {
            continue;
        }
        let inner_id = maps[outer].inner_id;
        let inner = match maps[outer].inner_position {
            Some(position) => (position < maps.len() && position != outer).then_some(position),
            None => maps
                .iter()
                .position(|map| inner_id != 0 && map.id == inner_id),
        };
        let Some(inner) = inner else {
            continue;
        };
        maps[outer].def.inner = Some(Box::new(maps[inner].def.clone()));
        for index in 0..maps.len() {
            let map = &maps[index];
            let is_inner = map.id != 0 && map.id == inner_id && map.inner_id == 0;
            if let (true, Ok(key)) = (is_inner, u32::try_from(map.inner_idx)) {
                maps[outer].source.entries.push((key, Entry::Map(index)));
            }
        }
    }
}

/// The map and index that a section named `2/5` says its program belongs to: index 5 of the program
/// array whose id is 2.
pub(super) fn tail_call_place(maps: &[Legacy], section: &str) -> Option<(usize, u32)> {
    let (id, index) = section.split_once('/')?;
    let (id, index) = (parse(id)?, parse(index)?);
    let map = maps
        .iter()
        .position(|map| map.id == id && id != 0 && map.def.kind == MapType::ProgArray)?;
    Some((map, index))
}

/// A number as C's `%i` reads it.
fn parse(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
