//! What is in an object: programs, maps, global data, what the emulator lacks for it, and the
//! instructions beside the source.
//!
//! ```
//! use twinpath_machine::{Alone, LoadOptions, Object, inspect::inspect};
//! # let bytes = std::fs::read(concat!(
//! #     env!("CARGO_MANIFEST_DIR"), "/tests/objects/globals.bpf.o"
//! # ))?;
//! let object = Object::parse(&bytes)?;
//! let inspection = inspect(&object, &LoadOptions::default(), &Alone)?;
//! assert_eq!(inspection.programs[0].name, "entry");
//! assert!(inspection.to_string().contains("r1 = map[counts]"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod listing;
mod render;
mod stack;

use std::collections::{BTreeMap, BTreeSet};

use crate::helpers::HelperId;
use crate::isa;
use crate::load::{LoadError, LoadOptions, Missing, Surveyed, initial_values, slots, survey};
use crate::machine::Environment;
use crate::maps::MapDef;
use crate::object::{AttachType, Entry as MapEntry, Extern, Global, Object, Reference};
use crate::program::{Line, ProgramType};

/// What is in an object.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The licence.
    pub license: Option<String>,
    /// The programs, by section and place.
    pub programs: Vec<ProgramView>,
    /// The maps, those of global data included.
    pub maps: Vec<MapView>,
    /// The global variables, by map and offset.
    pub globals: Vec<GlobalView>,
    /// What the object refers to and does not define.
    pub externs: Vec<Extern>,
    /// What the emulator lacks for the maps.
    pub missing: Vec<Missing>,
}

/// A program.
#[derive(Debug, Clone)]
pub struct ProgramView {
    /// The entry function's name.
    pub name: String,
    /// The ELF section.
    pub section: String,
    /// The type; unspecified when the section's name tells none and none was given.
    pub kind: ProgramType,
    /// The place that the section's name gives it.
    pub attach: Option<AttachType>,
    /// Whether it is only loaded when it is asked for.
    pub optional: bool,
    /// Slots of 8 bytes, of all functions.
    pub slots: usize,
    /// Slots that the program can get to, given the constants of global data and configuration.
    pub reachable: usize,
    /// The functions, in the order in which they are loaded.
    pub functions: Vec<FunctionView>,
    /// Bytes of stack of the deepest chain of calls, as far as the instructions tell it.
    pub stack: u32,
    /// The helpers and kernel functions that it calls and how often they stand in it.
    pub helpers: BTreeMap<HelperId, usize>,
    /// The maps that it refers to.
    pub maps: BTreeSet<String>,
    /// What the emulator lacks for it.
    pub missing: Vec<Missing>,
    /// The instructions.
    pub listing: Vec<Entry>,
}

/// A function of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionView {
    /// Its name.
    pub name: String,
    /// Slots of 8 bytes.
    pub slots: usize,
    /// Bytes of its frame, as far as its instructions tell it.
    pub stack: u32,
}

/// A map.
#[derive(Debug, Clone)]
pub struct MapView {
    /// Its definition.
    pub def: MapDef,
    /// Whether it is shared by its name.
    pub pinned: bool,
    /// Whether it holds global data.
    pub is_global_data: bool,
    /// The maps or programs that it holds from the start, by their index.
    pub entries: Vec<(u32, String)>,
}

/// A global variable.
#[derive(Debug, Clone)]
pub struct GlobalView {
    /// The variable.
    pub global: Global,
    /// Its type in C, if the object tells it.
    pub c_type: Option<String>,
    /// The bytes that it starts with, those of the options in place of the object's.
    pub value: Vec<u8>,
}

/// An instruction of a listing.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The slot from the program's start.
    pub slot: u32,
    /// The function that starts here.
    pub function: Option<String>,
    /// The source line, where it is another than that of the instruction before.
    pub line: Option<Line>,
    /// The instruction's code.
    pub code: u8,
    /// The instruction as the verifier prints it, with names in it.
    pub text: String,
    /// What it stands for: the CO-RE relocation by which it was changed, or what it needs and the kernel
    /// lacks.
    pub note: Option<String>,
    /// Whether the program can get here.
    pub reachable: bool,
    /// What the emulator lacks for it.
    pub missing: Option<String>,
}

/// Looks at an object as [`Machine::load`](crate::Machine::load) would load it, at all programs unless
/// the options name some. Programs whose type is unknown lack all helpers that need an environment.
///
/// # Errors
/// Where a load would fail for another reason than something that is missing.
pub fn inspect(
    object: &Object,
    options: &LoadOptions,
    environment: &dyn Environment,
) -> Result<Inspection, LoadError> {
    let mut options = options.clone();
    options.programs.get_or_insert_with(|| {
        let programs = object.programs().iter();
        programs.map(|program| program.name.clone()).collect()
    });
    let (mut surveyed, missing) = survey(object, &options, environment)?;
    let values = initial_values(object, &options)?;
    // Names are asked for in their own order; the object's is the one that its author chose.
    surveyed.sort_by_key(|surveyed| {
        object
            .programs()
            .iter()
            .position(|program| program.name == surveyed.program.name)
    });
    Ok(Inspection {
        license: object.license().map(str::to_owned),
        programs: surveyed
            .iter()
            .map(|surveyed| program(object, surveyed))
            .collect(),
        maps: maps(object),
        globals: object
            .globals()
            .iter()
            .zip(values)
            .map(|(global, value)| variable(object, global, value))
            .collect(),
        externs: object.externs().to_vec(),
        missing,
    })
}

fn program(object: &Object, surveyed: &Surveyed<'_>) -> ProgramView {
    let (program, assembly) = (surveyed.program, &surveyed.assembly);
    let mut helpers = BTreeMap::new();
    for (slot, insn) in slots(&assembly.insns) {
        let lacking = assembly.lacking.contains_key(&slot);
        if insn.code == isa::CALL && insn.src == 0 && !lacking {
            *helpers.entry(HelperId(insn.imm as u32)).or_default() += 1;
        }
    }
    let maps = assembly
        .references
        .values()
        .filter_map(|reference| match reference {
            Reference::Map(map) | Reference::Value(map, _) => {
                Some(object.maps()[*map].name.clone())
            }
            _ => None,
        });
    let starts: Vec<u32> = assembly
        .functions
        .iter()
        .map(|function| function.slot)
        .collect();
    let frames = stack::frames(&assembly.insns, &starts);
    let ends = starts.iter().skip(1).map(|&start| start as usize);
    let ends = ends.chain([assembly.insns.len()]);
    let functions = assembly.functions.iter().zip(ends).zip(&frames);
    ProgramView {
        name: program.name.clone(),
        section: program.section.clone(),
        kind: surveyed.kind,
        attach: program.attach,
        optional: program.optional,
        slots: assembly.insns.len(),
        reachable: slots(&assembly.insns)
            .filter(|(slot, _)| surveyed.reached[*slot as usize])
            .map(|(_, insn)| if insn.is_wide() { 2 } else { 1 })
            .sum(),
        functions: functions
            .map(|((function, end), stack)| FunctionView {
                name: function.name.clone(),
                slots: end - function.slot as usize,
                stack: *stack,
            })
            .collect(),
        stack: stack::deepest(&assembly.insns, &starts, &frames),
        helpers,
        maps: maps.collect(),
        missing: surveyed.missing.clone(),
        listing: listing::entries(object, surveyed),
    }
}

fn maps(object: &Object) -> Vec<MapView> {
    let maps = object.maps().iter().enumerate();
    maps.map(|(position, def)| MapView {
        def: def.clone(),
        pinned: object.is_pinned(position),
        is_global_data: object.is_global_data(position),
        entries: entries(object, position),
    })
    .collect()
}

/// What a map holds from the start.
fn entries(object: &Object, position: usize) -> Vec<(u32, String)> {
    let name = |entry: &MapEntry| match *entry {
        MapEntry::Map(map) => object.maps()[map].name.clone(),
        MapEntry::Function(function) => object.functions[function].name.clone(),
    };
    let entries = object.sources[position].entries.iter();
    entries
        .map(|(index, entry)| (*index, name(entry)))
        .collect()
}

fn variable(object: &Object, global: &Global, value: Vec<u8>) -> GlobalView {
    let c_type = object.btf().zip(global.of).map(|(btf, of)| btf.c_type(of));
    GlobalView {
        global: global.clone(),
        c_type,
        value,
    }
}
