//! Objects, linked by the emulator's loader and put into the kernel.
//!
//! That loader knows static entries of program arrays and of maps of maps, kernel configuration, the layouts of
//! `iproute2` and programs of all types, which aya's does not. What it hands over has no type information, so
//! that programs with locks and timers, and what the emulator lacks, are left to aya.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use twinpath_machine::inspect::inspect;
use twinpath_machine::isa::{self, Insn, pseudo};
use twinpath_machine::{
    LoadOptions, Machine, MachineOptions, MapDef, MapFlags, MapId, MapType, Object, Program,
    ProgramId, ProgramType,
};
use twinpath_node::Helpers;

use super::error::Error;
use super::sys::map::{Map, MapShape};
use super::sys::program::{ProgramSource, load};
use super::test_run::{BPF_F_XDP_HAS_FRAGS, kernel_kind};
use crate::plan::ObjectPlan;

/// A program of an object with all that it refers to, in the kernel.
#[derive(Debug)]
pub struct Linked {
    /// By name.
    maps: BTreeMap<String, Map>,
    program: OwnedFd,
    /// Inner maps, and programs that are tail-called.
    _others: (Vec<Map>, Vec<OwnedFd>),
}

/// Maps under their numbers in the emulator.
type Maps = BTreeMap<MapId, Map>;

impl Linked {
    /// Links a program as one of a type, makes its maps and has it verified.
    ///
    /// # Errors
    /// When the emulator cannot link it, or the kernel refuses it.
    pub fn load(plan: &ObjectPlan, name: &str, kind: ProgramType) -> Result<Self, Error> {
        let failed = |problem: String| Error::Link {
            path: plan.path.clone(),
            problem,
        };
        let object = Object::parse(&plan.bytes).map_err(|error| failed(error.to_string()))?;
        let options = MachineOptions::default();
        let mut machine = Machine::new(options).map_err(|error| failed(error.to_string()))?;
        let options = LoadOptions {
            globals: plan.globals.clone(),
            programs: Some(BTreeSet::from([name.to_owned()])),
            types: BTreeMap::from([(name.to_owned(), kind)]),
            ..LoadOptions::default()
        };
        let loaded = machine
            .load(&object, &options, &Helpers)
            .map_err(|error| failed(error.to_string()))?;
        let mut maps = Maps::new();
        for (id, map) in machine.maps.iter() {
            maps.insert(id, create(map.def()).map_err(failed)?);
        }
        for id in maps.keys() {
            fill(&machine, *id, &maps)?;
        }
        let mut programs = BTreeMap::new();
        for (name, id) in &loaded.programs {
            let program = machine
                .program(*id)
                .ok_or_else(|| failed(format!("program `{name}` is not there")))?;
            let fragments = object
                .programs()
                .iter()
                .any(|program| program.name == *name && program.fragments);
            let source = Source {
                program,
                license: object.license().unwrap_or_default(),
                fragments,
            };
            programs.insert(*id, source.verify(plan, &maps)?);
        }
        for id in maps.keys() {
            fill_programs(&machine, *id, &maps, &programs)?;
        }
        let id = loaded.programs.get(name);
        let program = id.and_then(|id| programs.remove(id));
        let program = program.ok_or_else(|| failed(format!("program `{name}` is not there")))?;
        let names = loaded.maps.iter();
        Ok(Self {
            maps: names
                .filter_map(|(name, id)| Some((name.clone(), maps.remove(id)?)))
                .collect(),
            program,
            _others: (
                maps.into_values().collect(),
                programs.into_values().collect(),
            ),
        })
    }

    /// The program.
    pub const fn program(&self) -> &OwnedFd {
        &self.program
    }

    /// Its maps, by name.
    pub const fn maps(&self) -> &BTreeMap<String, Map> {
        &self.maps
    }
}

/// Whether an object says what stands in program arrays and maps of maps from the start.
pub fn has_entries(bytes: &[u8]) -> bool {
    let object = Object::parse(bytes);
    let inspection = object.map(|object| inspect(&object, &LoadOptions::default(), &Helpers));
    matches!(inspection, Ok(Ok(inspection)) if inspection.maps.iter().any(|map| !map.entries.is_empty()))
}

/// Makes a map like the emulator's.
fn create(def: &MapDef) -> Result<Map, String> {
    let typed = matches!(
        def.kind,
        MapType::SkStorage | MapType::InodeStorage | MapType::TaskStorage | MapType::CgrpStorage
    );
    if typed {
        return Err(format!("map `{}` needs type information", def.name));
    }
    let failed = |error| format!("map `{}`: {error}", def.name);
    let inner = def.inner.as_deref().map(create).transpose()?;
    let inner = inner.as_ref().map(AsFd::as_fd);
    Map::create_with(&def.name, shape(def), inner, def.extra).map_err(failed)
}

fn shape(def: &MapDef) -> MapShape {
    MapShape {
        kind: def.kind as u32,
        key_size: def.key_size,
        value_size: def.value_size,
        max_entries: def.max_entries,
        flags: def.flags.0,
    }
}

/// Writes what stands in a map from the start, and closes constants, as the verifier only then takes them for such.
fn fill(machine: &Machine, id: MapId, maps: &Maps) -> Result<(), Error> {
    let (from, to) = (&machine.maps[id], &maps[&id]);
    let def = from.def();
    let failed = |error| Error::system(format!("fill map `{}`", def.name))(error);
    match def.kind {
        MapType::Array | MapType::Hash | MapType::LruHash | MapType::LpmTrie => {
            for (key, values) in from.entries(&machine.memory) {
                let value = values.concat();
                if value.iter().any(|byte| *byte != 0) || def.kind != MapType::Array {
                    to.update(&key, &value, 0).map_err(failed)?;
                }
            }
        }
        MapType::ArrayOfMaps | MapType::HashOfMaps => {
            for (key, inner) in numbers(machine, id) {
                if let Some(inner) = maps.get(&MapId(inner)) {
                    let fd = inner.as_fd().as_raw_fd();
                    to.update(&key, &fd.to_ne_bytes(), 0).map_err(failed)?;
                }
            }
        }
        _ => {}
    }
    if def.flags.has(MapFlags::RDONLY_PROG) {
        to.freeze().map_err(failed)?;
    }
    Ok(())
}

fn fill_programs(
    machine: &Machine,
    id: MapId,
    maps: &Maps,
    programs: &BTreeMap<ProgramId, OwnedFd>,
) -> Result<(), Error> {
    let def = machine.maps[id].def();
    if def.kind != MapType::ProgArray {
        return Ok(());
    }
    for (key, number) in numbers(machine, id) {
        if let Some(program) = programs.get(&ProgramId(number)) {
            maps[&id]
                .update(&key, &program.as_raw_fd().to_ne_bytes(), 0)
                .map_err(Error::system(format!("fill map `{}`", def.name)))?;
        }
    }
    Ok(())
}

/// The entries of a map whose values are the emulator's numbers of something.
fn numbers(machine: &Machine, id: MapId) -> impl Iterator<Item = (Vec<u8>, u32)> {
    let entries = machine.maps[id].entries(&machine.memory);
    entries.into_iter().filter_map(|(key, values)| {
        let number = values.first()?.first_chunk()?;
        Some((key, u32::from_le_bytes(*number)))
    })
}

/// A program on its way into the kernel.
struct Source<'a> {
    program: &'a Program,
    license: &'a str,
    fragments: bool,
}

impl Source<'_> {
    fn verify(&self, plan: &ObjectPlan, maps: &Maps) -> Result<OwnedFd, Error> {
        let failed = |problem: &str| Error::Link {
            path: plan.path.clone(),
            problem: format!("program `{}`: {problem}", self.program.name),
        };
        let kind = kernel_kind(self.program.kind).ok_or_else(|| failed("no test run takes it"))?;
        let code = relocated(&self.program.insns, maps)
            .ok_or_else(|| failed("it calls the kernel's own functions"))?;
        let license = CString::new(self.license).map_err(|_| failed("its licence is no text"))?;
        let source = ProgramSource {
            license: &license,
            flags: if self.fragments {
                BPF_F_XDP_HAS_FRAGS
            } else {
                0
            },
            ..ProgramSource::new(&self.program.name, kind, &code)
        };
        load(&source).map_err(|refusal| Error::Refused {
            program: self.program.name.clone(),
            path: plan.path.clone(),
            error: refusal.error,
            log: refusal.log,
        })
    }
}

/// The instructions with the kernel's maps in place of the emulator's. None when they call one of the kernel's own
/// functions, which have numbers of the emulator's, from 0x10000.
fn relocated(insns: &[Insn], maps: &Maps) -> Option<Vec<u8>> {
    let mut insns = insns.to_vec();
    let mut slot = 0;
    while slot < insns.len() {
        let insn = &mut insns[slot];
        if insn.code == isa::CALL && insn.src == 0 && insn.imm >= 0x10000 {
            return None;
        }
        if insn.is_wide() {
            if matches!(insn.src, pseudo::MAP_FD | pseudo::MAP_VALUE) {
                let map = maps.get(&MapId(insn.imm.cast_unsigned()))?;
                insn.imm = map.as_fd().as_raw_fd();
            }
            slot += 1;
        }
        slot += 1;
    }
    Some(insns.into_iter().flat_map(Insn::to_bytes).collect())
}
