//! From bytes to an object.

use std::collections::BTreeSet;

use super::ObjectError;
use super::btf::{Btf, Ext, TypeId};
use super::code::{Function, Functions, Reference, annotate, is_text};
use super::data::{self, Global};
use super::elf::{Elf, Section};
use super::externs::{Extern, ExternKind, Externs};
use super::legacy;
use super::maps::{self, Contents, Entry, MapSource};
use super::references::Targets;
use super::section::{AttachType, SectionKind};
use crate::maps::{MapDef, MapFlags, MapType};
use crate::program::ProgramType;

/// An object file as it is, independent of any machine.
#[derive(Debug, Clone)]
pub struct Object {
    programs: Vec<ObjectProgram>,
    maps: Vec<MapDef>,
    globals: Vec<Global>,
    externs: Vec<Extern>,
    license: Option<String>,
    btf: Option<Btf>,
    pub(crate) functions: Vec<Function>,
    /// By the same positions as `maps`.
    pub(crate) sources: Vec<MapSource>,
}

/// A function that can be attached somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectProgram {
    /// The function's name.
    pub name: String,
    /// The ELF section.
    pub section: String,
    /// The type that the section's name gives it; unspecified when it gives none.
    pub kind: ProgramType,
    /// The place that the section's name gives it.
    pub attach: Option<AttachType>,
    /// What follows the type in the section's name: a function, a tracepoint, a label.
    pub target: Option<String>,
    /// Whether it knows packets of several buffers (`xdp.frags`).
    pub fragments: bool,
    /// Whether it may sleep.
    pub sleepable: bool,
    /// Whether it is only loaded when it is asked for (`?` before the section's name).
    pub optional: bool,
    pub(crate) function: usize,
}

impl Object {
    /// Reads an object file.
    ///
    /// # Errors
    /// When the bytes are no well-formed eBPF object.
    pub fn parse(bytes: &[u8]) -> Result<Self, ObjectError> {
        let elf = Elf::parse(bytes)?;
        let (btf, ext) = types(&elf)?;
        let mut functions = Functions::find(&elf)?;
        if let (Some(btf), Some(ext)) = (&btf, &ext) {
            annotate(&elf, &mut functions, btf, ext);
        }
        let (mut maps, mut sources) = collect_maps(&elf, btf.as_ref(), &functions)?;
        let mut externs = Externs::new(btf.as_ref());
        Targets::new(&elf, sources.iter(), &mut externs).resolve(&mut functions)?;
        let mut globals = Vec::new();
        for (index, (def, source)) in maps.iter_mut().zip(&sources).enumerate() {
            if let (Some(_), Some((section, _))) = (&source.contents, source.place) {
                let variables = data::variables(&elf, btf.as_ref(), index, def, section);
                def.lock = btf.as_ref().and_then(|btf| data::lock(btf, &variables));
                globals.extend(variables);
            }
        }
        if let Some((def, source, values)) = kconfig(&externs.list, btf.as_ref(), maps.len())? {
            place_kconfig(&mut functions.list, &externs.list, &values);
            globals.extend(values);
            maps.push(def);
            sources.push(source);
        }
        Ok(Self {
            programs: programs(&functions.list),
            maps,
            globals,
            externs: externs.list,
            license: text(elf.section("license")),
            btf,
            functions: functions.list,
            sources,
        })
    }

    /// The programs, by section and place.
    pub fn programs(&self) -> &[ObjectProgram] {
        &self.programs
    }

    /// The program of that name.
    pub fn program(&self, name: &str) -> Option<&ObjectProgram> {
        self.programs.iter().find(|program| program.name == name)
    }

    /// The maps, those of global data included, which are arrays named as their sections.
    pub fn maps(&self) -> &[MapDef] {
        &self.maps
    }

    /// What the map at a position is called by users: its name, and behind that `#2`, `#3`, ... when maps before it have
    /// the same, as static maps of linked objects can.
    pub fn map_name(&self, map: usize) -> String {
        let name = &self.maps[map].name;
        let before = self.maps[..map].iter();
        match before.filter(|other| other.name == *name).count() {
            0 => name.clone(),
            twins => format!("{name}#{}", twins + 1),
        }
    }

    /// Whether the map at a position is shared by its name (`LIBBPF_PIN_BY_NAME`).
    pub fn is_pinned(&self, map: usize) -> bool {
        self.sources.get(map).is_some_and(|source| source.pinned)
    }

    /// The types of the keys and values of the map at a position, where the object tells them.
    pub fn map_types(&self, map: usize) -> Option<(TypeId, TypeId)> {
        self.sources.get(map)?.types
    }

    /// Whether the map at a position holds global data.
    pub fn is_global_data(&self, map: usize) -> bool {
        let source = self.sources.get(map);
        source.is_some_and(|source| source.contents.is_some())
    }

    /// Whether the map at a position holds values of kernel configuration.
    pub(crate) fn is_kconfig(&self, map: usize) -> bool {
        let source = self.sources.get(map);
        source.is_some_and(|source| matches!(source.contents, Some(Contents::Kconfig)))
    }

    /// The global variables, by map and offset.
    pub fn globals(&self) -> &[Global] {
        &self.globals
    }

    /// What the object refers to and does not define.
    pub fn externs(&self) -> &[Extern] {
        &self.externs
    }

    /// The licence that it names for the kernel.
    pub fn license(&self) -> Option<&str> {
        self.license.as_deref()
    }

    /// Its types.
    pub fn btf(&self) -> Option<&Btf> {
        self.btf.as_ref()
    }
}

fn types(elf: &Elf<'_>) -> Result<(Option<Btf>, Option<Ext>), ObjectError> {
    let named = |section: &'static str| move |source| ObjectError::Btf { section, source };
    let Some((_, section)) = elf.section(".BTF") else {
        return Ok((None, None));
    };
    let btf = Btf::parse(section.data).map_err(named(".BTF"))?;
    let ext = elf.section(".BTF.ext");
    let ext = ext.map(|(_, section)| Ext::parse(section.data)).transpose();
    Ok((Some(btf), ext.map_err(named(".BTF.ext"))?))
}

fn text(section: Option<(usize, &Section<'_>)>) -> Option<String> {
    let (_, section) = section?;
    let text = section.data.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// All maps: those of `maps`, of `.maps`, and of global data.
fn collect_maps(
    elf: &Elf<'_>,
    btf: Option<&Btf>,
    functions: &Functions,
) -> Result<(Vec<MapDef>, Vec<MapSource>), ObjectError> {
    let mut typed = maps::typed(elf, btf)?;
    maps::initialise(elf, functions, &mut typed)?;
    let mut legacy = legacy::maps(elf)?;
    for (index, function) in functions.list.iter().enumerate() {
        if let Some((map, key)) = legacy::tail_call_place(&legacy, &function.section) {
            legacy[map]
                .source
                .entries
                .push((key, Entry::Function(index)));
        }
    }
    // Entries of typed maps count from the first typed map, which follows the legacy ones.
    for (_, source, _) in &mut typed {
        for (_, entry) in &mut source.entries {
            if let Entry::Map(map) = entry {
                *map += legacy.len();
            }
        }
    }
    let legacy = legacy.into_iter().map(|map| (map.def, map.source));
    let typed = typed.into_iter().map(|(def, source, _)| (def, source));
    let all = legacy
        .chain(typed)
        .chain(data::maps(elf, btf))
        .chain(data::struct_ops(elf));
    Ok(all.unzip())
}

/// Each function outside `.text` is a program, unless its section tells no type and others call it;
/// when there is none, those in `.text` are.
fn programs(functions: &[Function]) -> Vec<ObjectProgram> {
    let attachable = functions.iter().any(|function| !is_text(&function.section));
    let called: BTreeSet<usize> = functions.iter().flat_map(Function::calls).collect();
    let mut programs = Vec::new();
    for (index, function) in functions.iter().enumerate() {
        if is_text(&function.section) && (attachable || function.is_local) {
            continue;
        }
        let section = SectionKind::of(&function.section);
        let is_part = section.kind == ProgramType::Unspecified && called.contains(&index);
        if is_part && !is_text(&function.section) {
            continue;
        }
        for name in std::iter::once(&function.name).chain(&function.aliases) {
            programs.push(ObjectProgram {
                name: name.clone(),
                section: function.section.clone(),
                kind: section.kind,
                attach: section.attach,
                target: section.target.clone(),
                fragments: section.fragments,
                sleepable: section.sleepable,
                optional: section.optional,
                function: index,
            });
        }
    }
    programs
}

/// The section of kernel configuration.
const KCONFIG: &str = ".kconfig";

/// The map that holds the values of kernel configuration, and where each one is.
fn kconfig(
    externs: &[Extern],
    btf: Option<&Btf>,
    map: usize,
) -> Result<Option<(MapDef, MapSource, Vec<Global>)>, ObjectError> {
    let mut values = Vec::new();
    let mut end = 0u32;
    for value in externs
        .iter()
        .filter(|value| value.kind == ExternKind::Kconfig)
    {
        let size = btf.zip(value.of).and_then(|(btf, of)| btf.size_of(of));
        let offset = end.checked_next_multiple_of(8);
        let placed = size
            .zip(offset)
            .and_then(|(size, offset)| Some((size, offset, offset.checked_add(size)?)));
        let Some((size, offset, next)) = placed else {
            let problem = format!("variable {} has a type without a size", value.name);
            return Err(ObjectError::section(KCONFIG, problem));
        };
        end = next;
        values.push(Global {
            name: value.name.clone(),
            section: KCONFIG.to_owned(),
            map,
            offset,
            size,
            of: value.of,
            writable: false,
        });
    }
    let def = MapDef {
        flags: MapFlags(MapFlags::MMAPABLE | MapFlags::RDONLY_PROG),
        ..MapDef::new(MapType::Array, 4, end, 1).named(KCONFIG)
    };
    let source = MapSource {
        contents: Some(Contents::Kconfig),
        ..MapSource::default()
    };
    Ok((end > 0).then_some((def, source, values)))
}

/// Turns references to configuration into references to the map that holds it.
fn place_kconfig(functions: &mut [Function], externs: &[Extern], values: &[Global]) {
    for function in functions {
        for reference in function.references.values_mut() {
            if let Reference::Extern(number) = *reference {
                let value = values
                    .iter()
                    .find(|value| value.name == externs[number].name);
                if let Some(value) = value {
                    *reference = Reference::Value(value.map, value.offset);
                }
            }
        }
    }
}
