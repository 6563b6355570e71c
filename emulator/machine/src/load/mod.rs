//! Loading: from an [`Object`] to maps and programs of a [`Machine`].
//!
//! Programs are put together from functions, adapted to a kernel's types, given the values of kernel
//! configuration and functions, and checked for what the emulator lacks wherever they can get to. Only
//! then are maps made and programs added, so that a load that is refused leaves no trace but used memory.

mod assemble;
mod check;
mod constant;
mod core;
mod create;
mod error;
mod externs;
mod image;
mod kconfig;
mod opaque;
mod options;
mod owners;
mod reach;
mod select;
mod state;
mod survey;

pub use error::{LoadError, Missing, Place, RefusedBy};
pub use kconfig::running_kconfig;
pub use options::{LoadOptions, Loaded, TargetBtf};

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use assemble::Assembly;
pub(crate) use check::slots;
pub(crate) use image::initial_values;
pub(crate) use survey::{Surveyed, survey};

use core::Relocator;
pub(crate) use core::describe;
use image::Images;

use crate::isa::{self, Insn, pseudo};
use crate::machine::{Environment, Machine};
use crate::maps::MapId;
use crate::memory::{BEFORE, Object as Range, ObjectKind, Pointer, Tag};
use crate::object::btf::Btf;
use crate::object::{Object, ObjectProgram, Reference};
use crate::program::{Program, ProgramId, ProgramType};
use crate::variables::VariableId;

/// A program on its way into a machine.
struct Draft<'a> {
    program: &'a ObjectProgram,
    kind: ProgramType,
    assembly: Assembly,
}

impl Machine {
    /// Loads an object's programs and maps.
    ///
    /// ```
    /// use twinpath_machine::{Alone, LoadOptions, Machine, MachineOptions, Object};
    /// # let bytes = std::fs::read(concat!(
    /// #     env!("CARGO_MANIFEST_DIR"), "/tests/objects/globals.bpf.o"
    /// # ))?;
    /// let object = Object::parse(&bytes)?;
    /// let mut options = LoadOptions::default();
    /// options.globals.insert("config_base".into(), 7i32.to_le_bytes().into());
    /// let mut machine = Machine::new(MachineOptions::default())?;
    /// let loaded = machine.load(&object, &options, &Alone)?;
    /// let program = machine.program(loaded.programs["entry"]).expect("it was loaded");
    /// assert_eq!(program.functions[0].name, "entry");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the machine or the environment lacks something that a program needs, or an option does not
    /// fit the object. Nothing is loaded then.
    pub fn load(
        &mut self,
        object: &Object,
        options: &LoadOptions,
        environment: &dyn Environment,
    ) -> Result<Loaded, LoadError> {
        let mut missing = Vec::new();
        let images = Images::new(object, options)?;
        let mut drafts = prepare(object, options, environment, self, &mut missing)?;
        if let Some(error) = select::untyped(&drafts) {
            return Err(error);
        }
        let rules = check::Rules::new(object, options, environment);
        for draft in &mut drafts {
            let reached = reach::reachable(&draft.assembly, &images);
            rules.check(draft, &reached, &mut missing);
        }
        owners::check(object, &drafts, &mut missing);
        let created = create::maps(self, object, options, &images, &drafts, &mut missing)?;
        if !missing.is_empty() {
            missing.sort();
            missing.dedup();
            return Err(LoadError::Unsupported(missing));
        }
        let maps = create::add(self, created);
        let values = global_pointers(self, object, &maps);
        let mut loaded = Loaded::default();
        let mut by_function = BTreeMap::new();
        for draft in drafts {
            let (name, function) = (draft.program.name.clone(), draft.program.function);
            let program = finish(self, object, draft, &maps, &values)?;
            let id = self.add_program(program);
            by_function.insert(function, id);
            loaded.programs.insert(name, id);
        }
        create::fill(self, object, &maps, &by_function)?;
        for (position, id) in &maps {
            loaded.maps.insert(object.map_name(*position), *id);
        }
        Ok(loaded)
    }
}

/// The programs to load, with all that does not depend on the machine.
fn prepare<'a>(
    object: &'a Object,
    options: &LoadOptions,
    environment: &dyn Environment,
    machine: &Machine,
    missing: &mut Vec<Missing>,
) -> Result<Vec<Draft<'a>>, LoadError> {
    let mut drafts = select::drafts(object, options)?;
    adapt(object, options, &mut drafts, missing)?;
    for draft in &mut drafts {
        externs::resolve(object, options, environment, machine, draft);
    }
    Ok(drafts)
}

/// Adapts programs to the types of the target by their CO-RE relocations.
fn adapt(
    object: &Object,
    options: &LoadOptions,
    drafts: &mut [Draft<'_>],
    missing: &mut Vec<Missing>,
) -> Result<(), LoadError> {
    let relocations = || drafts.iter().flat_map(|draft| &draft.assembly.core);
    let Some(local) = object.btf().filter(|_| relocations().next().is_some()) else {
        return Ok(());
    };
    let target = match &options.btf {
        TargetBtf::Own => return Ok(()),
        TargetBtf::RunningKernel => Arc::new(Btf::of_running_kernel().map_err(LoadError::Btf)?),
        TargetBtf::Given(btf) => btf.clone(),
        TargetBtf::None => Arc::default(),
    };
    let mut relocator = Relocator::new(local, &target, relocations().map(|(_, core)| *core));
    for draft in drafts {
        let assembly = &mut draft.assembly;
        if matches!(options.btf, TargetBtf::None) {
            let lack = |core| format!("the types of a kernel for {}", describe(local, core));
            let all = assembly.core.iter();
            assembly
                .lacking
                .extend(all.map(|(slot, core)| (*slot, lack(core))));
            continue;
        }
        let relocated = relocator.relocate(&mut assembly.insns, &assembly.core);
        assembly.lacking.extend(relocated.poisoned);
        for (slot, what) in relocated.failed {
            missing.push(check::lack(&draft.program.name, what, slot, assembly));
        }
    }
    Ok(())
}

/// Maps of an object in the machine, by their position in the object.
type MapIds = BTreeMap<usize, MapId>;

/// A pointer to the only value of each map of global data.
fn global_pointers(
    machine: &mut Machine,
    object: &Object,
    maps: &MapIds,
) -> BTreeMap<MapId, Pointer> {
    let mut pointers = BTreeMap::new();
    for (&position, &id) in maps {
        if object.is_global_data(position) {
            let memory = &mut machine.memory;
            let map = &mut machine.maps[id];
            if let Some(address) = map.lookup(&[0; 4], crate::Cpu(0)) {
                let def = map.def();
                let mut range = Range::new(ObjectKind::Global(id), address, def.value_size, BEFORE);
                if def.flags.read_only_for_programs() {
                    range = range.read_only();
                }
                pointers.insert(id, memory.add_static(range));
            }
        }
    }
    pointers
}

/// Resolves what is left and decodes.
fn finish(
    machine: &mut Machine,
    object: &Object,
    draft: Draft<'_>,
    maps: &MapIds,
    values: &BTreeMap<MapId, Pointer>,
) -> Result<Program, LoadError> {
    let assembly = draft.assembly;
    let mut insns = assembly.insns.clone();
    for (slot, reference) in &assembly.references {
        let slot = *slot;
        match reference {
            Reference::Map(map) => set(&mut insns, slot, pseudo::MAP_FD, maps[map].0, 0),
            Reference::Value(map, offset) => {
                set(&mut insns, slot, pseudo::MAP_VALUE, maps[map].0, *offset);
            }
            // `externs` has left the variables that there are.
            Reference::Extern(number) => {
                if let Some(variable) = machine.variable_id(&object.externs()[*number].name)? {
                    set(&mut insns, slot, pseudo::BTF_ID, variable.0, 0);
                }
            }
            // `assemble` has resolved functions.
            Reference::Call(_) | Reference::Function(_) => {}
        }
    }
    let decoded = isa::decode(&insns, &|kind, low, high| {
        resolve(machine, values, kind, low as u32, high as u32).map(|pointer| pointer.0)
    });
    let decoded = decoded.map_err(|errors| {
        let name = &draft.program.name;
        let missing = errors
            .iter()
            .map(|error| check::lack(name, error.problem.to_string(), error.slot, &assembly));
        LoadError::Unsupported(missing.collect())
    })?;
    Ok(Program {
        name: draft.program.name.clone(),
        section: draft.program.section.clone(),
        kind: draft.kind,
        attach: draft.program.attach,
        insns,
        decoded,
        lines: assembly.lines,
        functions: assembly.functions,
    })
}

/// What the engines see of an instruction that refers to something.
fn resolve(
    machine: &Machine,
    values: &BTreeMap<MapId, Pointer>,
    kind: u8,
    low: u32,
    high: u32,
) -> Option<Pointer> {
    match kind {
        pseudo::MAP_FD => Some(Pointer::new(Tag::MAP, low)),
        pseudo::MAP_VALUE => {
            let start = values.get(&MapId(low))?;
            Some(Pointer::new(
                start.tag(),
                start.address().wrapping_add(high),
            ))
        }
        pseudo::FUNC => Some(Pointer::new(Tag::FUNCTION, low)),
        pseudo::BTF_ID => machine.variables.reference(VariableId(low)),
        _ => None,
    }
}

/// Sets both immediates of a 64-bit load.
fn set(insns: &mut [Insn], slot: u32, kind: u8, low: u32, high: u32) {
    if let [first, second, ..] = &mut insns[slot as usize..] {
        first.src = kind;
        first.imm = low as i32;
        second.imm = high as i32;
    }
}

/// A program's number by the function that it starts with.
type ByFunction = BTreeMap<usize, ProgramId>;
