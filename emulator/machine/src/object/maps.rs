//! Maps that an object defines: in `.maps` by the types of variables (`parse_btf_map_def` in
//! `tools/lib/bpf/libbpf.c`), and what is put into them when they are made.

use std::collections::BTreeMap;

use super::ObjectError;
use super::btf::{Btf, Composite, Kind, Linkage, TypeId};
use super::code::Functions;
use super::elf::{Elf, Relocation};
use crate::maps::{MapDef, MapFlags, MapType};

/// The section of maps that are defined by types.
pub(super) const SECTION: &str = ".maps";

/// What the loader knows of a map beside its definition.
#[derive(Debug, Clone, Default)]
pub(crate) struct MapSource {
    /// Whether it is shared by its name.
    pub(crate) pinned: bool,
    /// Where a symbol must point to mean this map.
    pub(super) place: Option<(usize, u64)>,
    /// Of a map of global data: its only value.
    pub(crate) contents: Option<Contents>,
    /// The types of its keys and values, where they are told.
    pub(crate) types: Option<(TypeId, TypeId)>,
    /// What an index of the map holds from the start.
    pub(crate) entries: Vec<(u32, Entry)>,
}

/// The initial bytes of global data.
#[derive(Debug, Clone)]
pub(crate) enum Contents {
    /// As in the file.
    Bytes(Vec<u8>),
    /// Zeros.
    Zeroed,
    /// Values of kernel configuration, which are known when the object is loaded.
    Kconfig,
}

/// An initial entry; numbers are positions in the object's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Of a map of maps.
    Map(usize),
    /// Of a program array.
    Function(usize),
}

/// A map definition as it is read.
struct Reader<'a> {
    btf: &'a Btf,
    name: &'a str,
    def: MapDef,
    pinned: bool,
    key: Option<TypeId>,
    value: Option<TypeId>,
    /// Where `values` starts, in bytes.
    values: Option<u32>,
}

/// The maps of `.maps`.
pub(super) fn typed(
    elf: &Elf<'_>,
    btf: Option<&Btf>,
) -> Result<Vec<(MapDef, MapSource, Option<u32>)>, ObjectError> {
    let Some((number, section)) = elf.section(SECTION) else {
        return Ok(Vec::new());
    };
    let no_types = "needs type information (.BTF), of which there is none: compile with -g";
    let btf = btf.ok_or_else(|| ObjectError::section(SECTION, no_types))?;
    let Some(variables) = btf.data_section(SECTION) else {
        let problem = "has no description in the type information (.BTF)";
        return Err(ObjectError::section(SECTION, problem));
    };
    let mut symbols: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for symbol in elf.symbols_of(number) {
        symbols.entry(symbol.name).or_default().push(symbol);
    }
    let mut maps = Vec::new();
    for variable in variables {
        let kind = btf.get(variable.of);
        let Kind::Variable { of, linkage } = kind.kind else {
            return Err(ObjectError::section(
                SECTION,
                "describes what is no variable",
            ));
        };
        if linkage == Linkage::Extern {
            let problem =
                "is defined in another object: link both first, as with `bpftool gen object`";
            return Err(ObjectError::map(kind.name, problem));
        }
        // Linked objects may have static maps of one name, and say in their types where each is.
        let named = symbols.get(kind.name).map_or(&[][..], Vec::as_slice);
        let exact = named
            .iter()
            .find(|symbol| symbol.value == u64::from(variable.offset));
        let Some(symbol) = exact.or_else(|| named.first()) else {
            return Err(ObjectError::map(
                kind.name,
                "has no symbol in section .maps",
            ));
        };
        if symbol.value >= section.size {
            return Err(ObjectError::map(kind.name, "lies outside section .maps"));
        }
        let reader = Reader::read(btf, kind.name, of, true)?;
        let source = MapSource {
            pinned: reader.pinned,
            types: reader.key.zip(reader.value),
            place: Some((number, symbol.value)),
            ..MapSource::default()
        };
        maps.push((reader.def, source, reader.values));
    }
    maps.sort_by_key(|(_, source, _)| source.place);
    Ok(maps)
}

impl<'a> Reader<'a> {
    fn read(btf: &'a Btf, name: &'a str, of: TypeId, outer: bool) -> Result<Self, ObjectError> {
        let mut reader = Self {
            btf,
            name,
            def: MapDef::new(MapType::Array, 0, 0, 0).named(name),
            pinned: false,
            key: None,
            value: None,
            values: None,
        };
        let mut kind = None;
        for member in reader.structure(of)?.members() {
            let place = member.bit_offset / 8;
            match member.name {
                "type" => kind = Some(reader.number(member.of, "type")?),
                "values" if outer => reader.values(member.of, place)?,
                "pinning" if outer => reader.pinned = reader.number(member.of, "pinning")? != 0,
                field => reader.field(field, member.of)?,
            }
        }
        let kind = kind.ok_or_else(|| reader.problem("has no field `type`"))?;
        let kind = u32::try_from(kind).ok().and_then(MapType::from_number);
        reader.def.kind = kind.ok_or_else(|| reader.problem("is of a type that does not exist"))?;
        Ok(reader)
    }

    fn problem(&self, what: impl ToString) -> ObjectError {
        ObjectError::map(self.name, what)
    }

    /// The structure that describes the map. Rust wraps it in structures of one member.
    fn structure(&self, of: TypeId) -> Result<Composite<'a>, ObjectError> {
        let (_, mut kind) = self.btf.strip(of);
        for _ in 0..8 {
            let Kind::Struct(structure) = kind.kind else {
                break;
            };
            let wrapped = structure.member(0).filter(|_| structure.len() == 1);
            let inside = wrapped.map(|member| self.btf.strip(member.of).1);
            match inside {
                Some(inside) if matches!(inside.kind, Kind::Struct(_)) => kind = inside,
                _ => return Ok(structure),
            }
        }
        Err(self.problem("is not described by a structure"))
    }

    fn field(&mut self, field: &str, of: TypeId) -> Result<(), ObjectError> {
        match field {
            "key_size" => self.def.key_size = self.small(of, field)?,
            "value_size" => self.def.value_size = self.small(of, field)?,
            "max_entries" => self.def.max_entries = self.small(of, field)?,
            "map_flags" => self.def.flags = MapFlags(self.small(of, field)?),
            "map_extra" => self.def.extra = self.number(of, field)?,
            "key" => {
                self.def.key_size = self.size_behind(of, field)?;
                self.key = self.behind(of);
            }
            "value" => {
                self.def.value_size = self.size_behind(of, field)?;
                self.def.lock = self.lock_behind(of);
                self.value = self.behind(of);
            }
            // Which memory of the host a map takes shows nowhere.
            "numa_node" => drop(self.small(of, field)?),
            // The markers by which rustc keeps generic parameters have no size.
            _ if self.btf.size_of(of) == Some(0) => {}
            _ => {
                let problem = format!(
                    "has the field `{field}`; expected type, key, key_size, value, value_size, \
                     max_entries, map_flags, map_extra, numa_node, pinning or values"
                );
                return Err(self.problem(problem));
            }
        }
        Ok(())
    }

    /// A number, which stands as the length of an array behind a pointer (`__uint`) or as the value of
    /// an enumerator (`__ulong`).
    fn number(&self, of: TypeId, field: &str) -> Result<u64, ObjectError> {
        let (_, kind) = self.btf.strip(of);
        let number = match kind.kind {
            Kind::Pointer(to) => match self.btf.strip(to).1.kind {
                Kind::Array { len, .. } => Some(u64::from(len)),
                _ => None,
            },
            Kind::Enum { values, .. } => values.get(0).map(|first| u64::from(first.value)),
            Kind::Enum64 { values, .. } => values.get(0).map(|first| first.value),
            _ => None,
        };
        number.ok_or_else(|| {
            let problem = format!("has a field `{field}` that is not written as __uint or __ulong");
            self.problem(problem)
        })
    }

    fn small(&self, of: TypeId, field: &str) -> Result<u32, ObjectError> {
        let number = self.number(of, field)?;
        u32::try_from(number).map_err(|_| self.problem(format!("has a {field} beyond 32 bits")))
    }

    /// The type to which the field is a pointer (`__type`).
    fn behind(&self, of: TypeId) -> Option<TypeId> {
        match self.btf.strip(of).1.kind {
            Kind::Pointer(to) => Some(to),
            _ => None,
        }
    }

    /// The size of a type, to which the field is a pointer.
    fn size_behind(&self, of: TypeId, field: &str) -> Result<u32, ObjectError> {
        let (_, kind) = self.btf.strip(of);
        let size = match kind.kind {
            Kind::Pointer(to) => self.btf.size_of(to),
            _ => None,
        };
        size.ok_or_else(|| {
            self.problem(format!(
                "has a `{field}` that is no pointer to a type with a size"
            ))
        })
    }

    /// Where the spin lock lies in the type that the field is a pointer to (`btf_find_struct_field`).
    fn lock_behind(&self, of: TypeId) -> Option<u32> {
        let Kind::Pointer(to) = self.btf.strip(of).1.kind else {
            return None;
        };
        let (Kind::Struct(value) | Kind::Union(value)) = self.btf.strip(to).1.kind else {
            return None;
        };
        let mut members = value.members();
        let lock = members.find(|member| is_lock(self.btf, member.of))?;
        Some(lock.bit_offset / 8)
    }

    /// `__array(values, ...)`: what the inner maps look like, or functions of a program array.
    fn values(&mut self, of: TypeId, place: u32) -> Result<(), ObjectError> {
        let (_, kind) = self.btf.strip(of);
        let Kind::Array { element, .. } = kind.kind else {
            return Err(self.problem("has a field `values` that is no array"));
        };
        let (_, pointer) = self.btf.strip(element);
        let Kind::Pointer(to) = pointer.kind else {
            return Err(self.problem("has a field `values` that is no array of pointers"));
        };
        self.def.value_size = 4;
        self.values = Some(place);
        let (_, target) = self.btf.strip(to);
        if matches!(target.kind, Kind::Struct(_)) {
            let name = format!("{}.inner", self.name);
            let inner = Reader::read(self.btf, &name, to, false)?;
            self.def.inner = Some(Box::new(inner.def));
        }
        Ok(())
    }
}

/// Whether a type is the kernel's spin lock for programs.
pub(super) fn is_lock(btf: &Btf, of: TypeId) -> bool {
    let (_, of) = btf.strip(of);
    matches!(of.kind, Kind::Struct(_)) && of.name == "bpf_spin_lock"
}

/// Fills in what the relocations of `.maps` put into the maps.
pub(super) fn initialise(
    elf: &Elf<'_>,
    functions: &Functions,
    maps: &mut [(MapDef, MapSource, Option<u32>)],
) -> Result<(), ObjectError> {
    let Some((number, section)) = elf.section(SECTION) else {
        return Ok(());
    };
    let places: Vec<_> = maps.iter().map(|(_, source, _)| source.place).collect();
    for relocation in &section.relocations {
        let after = places.partition_point(|place| *place <= Some((number, relocation.offset)));
        let owner = after.checked_sub(1).and_then(|index| maps.get_mut(index));
        let Some((def, source, values)) = owner else {
            return Err(ObjectError::section(
                SECTION,
                "has an initialiser outside all maps",
            ));
        };
        let problem = |what| Err(ObjectError::map(&def.name, what));
        let start = source.place.map_or(0, |(_, start)| start);
        let within = relocation.offset - start;
        let Some(values) = values.map(u64::from).filter(|values| within >= *values) else {
            return problem("has an initialiser in a field other than `values`");
        };
        let index = (within - values) / 8;
        let Ok(index) = u32::try_from(index) else {
            return problem("has an initialiser at an index beyond 32 bits");
        };
        let (target, at) = target(elf, section.data, relocation);
        let map = places
            .binary_search(&target.map(|section| (section, at)))
            .ok();
        let function = target.and_then(|section| functions.at(section, (at / 8) as u32));
        let entry = match (map, function) {
            (Some(map), _) if target == Some(number) => Entry::Map(map),
            (_, Some(function)) => Entry::Function(function),
            _ => return problem("has an initialiser that is neither a map nor a function"),
        };
        source.entries.push((index, entry));
    }
    Ok(())
}

/// The section and offset that eight bytes of data point to.
fn target(elf: &Elf<'_>, data: &[u8], relocation: &Relocation) -> (Option<usize>, u64) {
    let symbol = &elf.symbols[relocation.symbol];
    let place = usize::try_from(relocation.offset).ok();
    let implicit = place.and_then(|place| data.get(place..)?.first_chunk());
    let implicit = implicit.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let addend = implicit.wrapping_add(relocation.addend as u64);
    (symbol.section, symbol.value.wrapping_add(addend))
}
