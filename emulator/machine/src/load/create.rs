//! Making an object's maps and filling them.

use std::collections::{BTreeMap, BTreeSet};

use super::image::Images;
use super::{ByFunction, Draft, LoadError, LoadOptions, MapIds, Missing};
use crate::machine::{Cpu, Machine};
use crate::maps::{Map, MapDef, MapError, MapId, MapType};
use crate::object::{Entry, Object, Reference};

/// A map that is ready to be added to the machine.
pub(super) enum Created {
    /// A new one, and whether user space may not write to it any more.
    New(Box<Map>, bool),
    /// One that the machine has already.
    Shared(MapId),
}

/// Makes the maps, by their position in the object. Maps that no loaded program refers to are made
/// too, but it does not matter if they cannot be when only some programs are loaded.
pub(super) fn maps(
    machine: &mut Machine,
    object: &Object,
    options: &LoadOptions,
    images: &Images<'_>,
    drafts: &[Draft<'_>],
    missing: &mut Vec<Missing>,
) -> Result<BTreeMap<usize, Created>, LoadError> {
    check_options(object, options)?;
    let used = used(object, drafts);
    let mut created = BTreeMap::new();
    for (position, def) in object.maps().iter().enumerate() {
        let def = &sized(machine, options, def);
        if let Some(&id) = options.shared.get(&def.name) {
            check_shared(machine, def, id)?;
            created.insert(position, Created::Shared(id));
            continue;
        }
        match create(machine, images, position, def.clone()) {
            Ok(new) => {
                created.insert(position, new);
            }
            Err(_) if options.programs.is_some() && !used.contains(&position) => {}
            Err(LoadError::Map(MapError::Unsupported { name, what })) => missing.push(Missing {
                by: super::RefusedBy::Emulator,
                program: String::new(),
                what: format!("map {name}: {what}"),
                wanted_by: None,
            }),
            Err(LoadError::Map(MapError::Memory { name, source })) => missing.push(Missing {
                by: super::RefusedBy::Emulator,
                program: String::new(),
                what: format!("map {name}: {source}"),
                wanted_by: None,
            }),
            Err(LoadError::Map(MapError::Invalid {
                name,
                reason,
                errno,
                ..
            })) => missing.push(Missing {
                by: super::RefusedBy::Kernel,
                program: String::new(),
                what: format!("map {name}: {reason} ({errno})"),
                wanted_by: None,
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(created)
}

/// The maps that programs refer to, directly or through a map of maps.
fn used(object: &Object, drafts: &[Draft<'_>]) -> BTreeSet<usize> {
    let references = drafts
        .iter()
        .flat_map(|draft| draft.assembly.references.values());
    let mut used: BTreeSet<usize> = references
        .filter_map(|reference| match reference {
            Reference::Map(map) | Reference::Value(map, _) => Some(*map),
            _ => None,
        })
        .collect();
    let inner: Vec<usize> = used.iter().flat_map(|map| inner(object, *map)).collect();
    used.extend(inner);
    used
}

fn inner(object: &Object, map: usize) -> impl Iterator<Item = usize> {
    object.sources[map]
        .entries
        .iter()
        .filter_map(|(_, entry)| match entry {
            Entry::Map(map) => Some(*map),
            Entry::Function(_) => None,
        })
}

fn check_options(object: &Object, options: &LoadOptions) -> Result<(), LoadError> {
    let names = options.shared.keys().chain(options.max_entries.keys());
    for name in names.chain(options.inner.keys()) {
        if !object.maps().iter().any(|def| def.name == *name) {
            return Err(LoadError::NoMap {
                name: name.clone(),
                known: object.maps().iter().map(|def| def.name.clone()).collect(),
            });
        }
    }
    Ok(())
}

/// Whether a map can stand for a definition (`map_is_reuse_compat`).
fn check_shared(machine: &Machine, def: &MapDef, id: MapId) -> Result<(), LoadError> {
    let known = machine.maps.iter().find(|(known, _)| *known == id);
    let problem = match known {
        None => Some(format!("the machine has no map number {}", id.0)),
        Some((_, map)) => {
            let there = map.def();
            let of = |def: &MapDef| (def.kind, def.key_size, def.value_size, def.max_entries);
            (of(there) != of(def)).then(|| {
                format!(
                    "is {} with keys of {} and values of {} bytes and {} entries, not {} with {}, {} and {}",
                    there.kind, there.key_size, there.value_size, there.max_entries,
                    def.kind, def.key_size, def.value_size, def.max_entries
                )
            })
        }
    };
    match problem {
        None => Ok(()),
        Some(problem) => Err(LoadError::Shared {
            name: def.name.clone(),
            problem,
        }),
    }
}

/// A definition with the sizes of this load.
fn sized(machine: &Machine, options: &LoadOptions, def: &MapDef) -> MapDef {
    let mut def = def.clone();
    if let Some(&max_entries) = options.max_entries.get(&def.name) {
        def.max_entries = max_entries;
    }
    if let Some(inner) = options.inner.get(&def.name) {
        def.inner = Some(Box::new(inner.clone()));
    }
    adjust(&mut def, machine.cpus());
    def
}

fn create(
    machine: &mut Machine,
    images: &Images<'_>,
    position: usize,
    def: MapDef,
) -> Result<Created, LoadError> {
    let cpus = machine.cpus();
    let mut frozen = false;
    let mut map = Map::new(def, &mut machine.memory, cpus)?;
    for (offset, bytes) in images.writes(position) {
        frozen = map.def().flags.read_only_for_programs();
        if let Some(start) = map.lookup(&[0; 4], Cpu(0)) {
            let value = machine.memory.raw_mut(start + offset, bytes.len() as u32);
            value.copy_from_slice(bytes);
        }
    }
    Ok(Created::New(Box::new(map), frozen))
}

/// The sizes that loaders choose (`map_set_def_max_entries` and `adjust_ringbuf_sz` of libbpf; the 4
/// bytes of a file descriptor that cilium's loader fills in).
fn adjust(def: &mut MapDef, cpus: u32) {
    use MapType::{ArrayOfMaps, HashOfMaps, PerfEventArray, ProgArray, RingBuf, UserRingBuf};
    const PAGE: u32 = 4096;
    if matches!(
        def.kind,
        ProgArray | PerfEventArray | ArrayOfMaps | HashOfMaps
    ) && def.value_size == 0
    {
        def.value_size = 4;
    }
    if matches!(def.kind, ProgArray | PerfEventArray | ArrayOfMaps) && def.key_size == 0 {
        def.key_size = 4;
    }
    match def.kind {
        PerfEventArray if def.max_entries == 0 => def.max_entries = cpus,
        RingBuf | UserRingBuf if def.max_entries != 0 => {
            let pages = def.max_entries.div_ceil(PAGE);
            let pages = pages.checked_next_power_of_two();
            let rounded = pages.and_then(|pages| pages.checked_mul(PAGE));
            def.max_entries = rounded.unwrap_or(def.max_entries);
        }
        _ => {}
    }
}

/// Adds the maps to the machine.
pub(super) fn add(machine: &mut Machine, created: BTreeMap<usize, Created>) -> MapIds {
    let mut ids = MapIds::new();
    for (position, created) in created {
        let id = match created {
            Created::Shared(id) => id,
            Created::New(mut map, frozen) => {
                if frozen {
                    // It is new, so it was not frozen before.
                    let _ = map.freeze();
                }
                machine.maps.push(*map)
            }
        };
        ids.insert(position, id);
    }
    ids
}

/// Sets the initial entries of program arrays and maps of maps.
pub(super) fn fill(
    machine: &mut Machine,
    object: &Object,
    maps: &MapIds,
    programs: &ByFunction,
) -> Result<(), LoadError> {
    for (&position, &id) in maps {
        for (index, entry) in &object.sources[position].entries {
            let key = index.to_le_bytes();
            let set = match entry {
                Entry::Function(function) => match programs.get(function) {
                    // libbpf leaves out programs that are not loaded.
                    None => Ok(()),
                    Some(program) => machine.maps[id].set_program(*index, Some(*program)),
                },
                Entry::Map(inner) => match maps.get(inner) {
                    None => Ok(()),
                    Some(inner) => machine.maps.set_inner(id, &key, Some(*inner), 0),
                },
            };
            set.map_err(|errno| LoadError::Entry {
                name: object.maps()[position].name.clone(),
                index: *index,
                problem: errno.to_string(),
            })?;
        }
    }
    Ok(())
}
