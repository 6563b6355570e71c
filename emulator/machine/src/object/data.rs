//! Global variables: `.rodata`, `.data`, `.bss` and sections named after them, each of which is the only
//! value of an array.

use std::collections::BTreeMap;

use super::btf::{Btf, Kind, Linkage, TypeId};
use super::elf::{Elf, Section, Symbol};
use super::maps::{Contents, MapSource, is_lock};
use crate::maps::{MapDef, MapFlags, MapType};

/// A global variable.
#[derive(Debug, Clone)]
pub struct Global {
    /// The symbol's name.
    pub name: String,
    /// The section, which is also the name of the map that holds it.
    pub section: String,
    /// The map's position in [`Object::maps`](super::Object::maps).
    pub map: usize,
    /// Bytes from the start of the map's value.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Its type in [`Object::btf`](super::Object::btf).
    pub of: Option<TypeId>,
    /// Whether programs may write to it.
    pub writable: bool,
}

impl Global {
    /// Whether it is a constant that has no name in the program: rustc calls it `anon.HASH.NUMBER`.
    pub fn is_anonymous(&self) -> bool {
        self.name.starts_with("anon.")
    }
}

/// The flags of the map that holds a section; none when it holds no global variables.
fn flags(section: &Section<'_>) -> Option<u32> {
    let is = |name: &str| {
        let rest = section.name.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if section.size == 0 {
        None
    } else if section.holds_data() && is(".rodata") {
        Some(MapFlags::RDONLY_PROG)
    } else if section.holds_data() && is(".data") || section.is_zeroed() && is(".bss") {
        Some(0)
    } else {
        None
    }
}

/// The maps of functions for the kernel to call, which loaders make of variables in these sections.
pub(super) fn struct_ops(elf: &Elf<'_>) -> Vec<(MapDef, MapSource)> {
    let sections = [".struct_ops", ".struct_ops.link"].into_iter();
    let numbers = sections.filter_map(|name| elf.section(name).map(|(number, _)| number));
    let symbols = numbers.flat_map(|number| elf.symbols_of(number));
    let variables = symbols.filter(|symbol| !symbol.is_section() && symbol.size > 0);
    let map = |symbol: &Symbol<'_>| {
        let def = MapDef::new(MapType::StructOps, 4, symbol.size as u32, 1);
        (def.named(symbol.name), MapSource::default())
    };
    variables.map(map).collect()
}

/// The maps that hold global variables.
pub(super) fn maps(elf: &Elf<'_>, btf: Option<&Btf>) -> Vec<(MapDef, MapSource)> {
    let mut maps = Vec::new();
    for (number, section) in elf.sections.iter().enumerate() {
        let Some(mut flags) = flags(section) else {
            continue;
        };
        if btf.is_some_and(|btf| is_shown(btf, section.name)) {
            flags |= MapFlags::MMAPABLE;
        }
        // More than 32 bits do not fit into guest memory, which the map's creation says.
        let size = u32::try_from(section.size).unwrap_or(u32::MAX);
        let def = MapDef {
            flags: MapFlags(flags),
            ..MapDef::new(MapType::Array, 4, size, 1).named(section.name)
        };
        let contents = if section.is_zeroed() {
            Contents::Zeroed
        } else {
            Contents::Bytes(section.data.to_vec())
        };
        let source = MapSource {
            place: Some((number, 0)),
            contents: Some(contents),
            ..MapSource::default()
        };
        maps.push((def, source));
    }
    maps
}

/// Where the spin lock among the variables of a section lies (`btf_find_datasec_var`).
pub(super) fn lock(btf: &Btf, globals: &[Global]) -> Option<u32> {
    let mut globals = globals.iter();
    let lock = globals.find(|global| global.of.is_some_and(|of| is_lock(btf, of)))?;
    Some(lock.offset)
}

/// Whether user space has something to look for in a section: a variable that is not static
/// (`map_is_mmapable`).
fn is_shown(btf: &Btf, section: &str) -> bool {
    let mut variables = btf.data_section(section).into_iter().flatten();
    variables.any(|variable| match btf.get(variable.of).kind {
        Kind::Variable { linkage, .. } => linkage != Linkage::Static,
        _ => false,
    })
}

/// The variables in the map of global data at position `map`.
pub(super) fn variables(
    elf: &Elf<'_>,
    btf: Option<&Btf>,
    map: usize,
    def: &MapDef,
    section: usize,
) -> Vec<Global> {
    let types = btf.map(|btf| types(btf, &def.name)).unwrap_or_default();
    let mut globals: Vec<_> = elf
        .symbols_of(section)
        .filter(|symbol| !symbol.is_section() && !symbol.name.is_empty())
        .filter_map(|symbol| {
            let end = symbol.value.checked_add(symbol.size)?;
            (end <= u64::from(def.value_size)).then(|| Global {
                name: symbol.name.to_owned(),
                section: def.name.clone(),
                map,
                offset: symbol.value as u32,
                size: symbol.size as u32,
                of: types.get(symbol.name).copied(),
                writable: !def.flags.read_only_for_programs(),
            })
        })
        .collect();
    globals.sort_by_key(|global| global.offset);
    globals
}

/// The types of a section's variables by name.
fn types<'a>(btf: &'a Btf, section: &str) -> BTreeMap<&'a str, TypeId> {
    let variables = btf.data_section(section).into_iter().flatten();
    variables
        .filter_map(|variable| {
            let kind = btf.get(variable.of);
            match kind.kind {
                Kind::Variable { of, .. } => Some((kind.name, of)),
                _ => None,
            }
        })
        .collect()
}
