//! What is in an object, for a program to read.

use std::path::Path;

use serde::Serialize;
use twinpath_machine::inspect::{Entry, GlobalView, Inspection, MapView, ProgramView};
use twinpath_machine::{Missing, RefusedBy};

use super::json::LoadPart;
use crate::recording::ProgramLoad;

/// An object's JSON object.
#[derive(Debug, Serialize)]
pub struct InspectionLine {
    object: String,
    license: Option<String>,
    programs: Vec<ProgramPart>,
    maps: Vec<MapPart>,
    globals: Vec<GlobalPart>,
    externs: Vec<ExternPart>,
    missing: Vec<MissingPart>,
}

#[derive(Debug, Serialize)]
struct ProgramPart {
    name: String,
    section: String,
    #[serde(rename = "type")]
    kind: &'static str,
    attach: Option<String>,
    optional: bool,
    slots: usize,
    reachable: usize,
    functions: Vec<FunctionPart>,
    /// Bytes of stack of the deepest chain of calls.
    stack: u32,
    helpers: Vec<HelperPart>,
    maps: Vec<String>,
    missing: Vec<MissingPart>,
    /// What the kernel made of it, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<LoadPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<Vec<InstructionPart>>,
}

#[derive(Debug, Serialize)]
struct FunctionPart {
    name: String,
    slots: usize,
    stack: u32,
}

#[derive(Debug, Serialize)]
struct HelperPart {
    name: String,
    number: u32,
    calls: usize,
}

#[derive(Debug, Serialize)]
struct InstructionPart {
    slot: u32,
    text: String,
    reachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourcePart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct SourcePart {
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) text: String,
}

#[derive(Debug, Serialize)]
struct MapPart {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    pinned: bool,
    global_data: bool,
    initial_entries: Vec<EntryPart>,
}

#[derive(Debug, Serialize)]
struct EntryPart {
    index: u32,
    /// The map or the program.
    name: String,
}

#[derive(Debug, Serialize)]
struct GlobalPart {
    name: String,
    section: String,
    offset: u32,
    size: u32,
    #[serde(rename = "type")]
    c_type: Option<String>,
    /// The bytes that it starts with.
    value: Vec<u8>,
    writable: bool,
}

#[derive(Debug, Serialize)]
struct ExternPart {
    name: String,
    kind: &'static str,
    weak: bool,
}

#[derive(Debug, Serialize)]
struct MissingPart {
    by: &'static str,
    what: String,
    function: Option<String>,
    slot: Option<u32>,
    file: Option<String>,
    line: Option<u32>,
}

impl InspectionLine {
    /// All of the inspection of an object; how the kernel loaded its programs when it was asked, and the instructions
    /// when they are wanted.
    pub fn new(
        path: &Path,
        inspection: &Inspection,
        loads: Option<&[ProgramLoad]>,
        instructions: bool,
    ) -> Self {
        let programs = inspection.programs.iter();
        let load = |program: &ProgramView| {
            let mut loads = loads.into_iter().flatten();
            let load = loads.find(|load| load.program == program.name)?;
            Some(LoadPart::new(load))
        };
        Self {
            object: path.display().to_string(),
            license: inspection.license.clone(),
            programs: programs
                .map(|program| ProgramPart::new(program, load(program), instructions))
                .collect(),
            maps: inspection.maps.iter().map(MapPart::new).collect(),
            globals: inspection.globals.iter().map(GlobalPart::new).collect(),
            externs: inspection
                .externs
                .iter()
                .map(|value| ExternPart {
                    name: value.name.clone(),
                    kind: value.kind.describe(),
                    weak: value.weak,
                })
                .collect(),
            missing: missing(&inspection.missing),
        }
    }
}

impl ProgramPart {
    fn new(program: &ProgramView, kernel: Option<LoadPart>, instructions: bool) -> Self {
        Self {
            name: program.name.clone(),
            section: program.section.clone(),
            kind: program.kind.name(),
            attach: program.attach.map(|attach| attach.to_string()),
            optional: program.optional,
            slots: program.slots,
            reachable: program.reachable,
            functions: program
                .functions
                .iter()
                .map(|function| FunctionPart {
                    name: function.name.clone(),
                    slots: function.slots,
                    stack: function.stack,
                })
                .collect(),
            stack: program.stack,
            helpers: program
                .helpers
                .iter()
                .map(|(helper, calls)| HelperPart {
                    name: helper.to_string(),
                    number: helper.0,
                    calls: *calls,
                })
                .collect(),
            maps: program.maps.iter().cloned().collect(),
            missing: missing(&program.missing),
            kernel,
            instructions: instructions
                .then(|| program.listing.iter().map(InstructionPart::new).collect()),
        }
    }
}

impl InstructionPart {
    fn new(entry: &Entry) -> Self {
        Self {
            slot: entry.slot,
            text: entry.text.clone(),
            reachable: entry.reachable,
            function: entry.function.clone(),
            source: entry.line.as_ref().map(|line| SourcePart {
                file: line.file.to_string(),
                line: line.line,
                text: line.text.to_string(),
            }),
            note: entry.note.clone(),
            missing: entry.missing.clone(),
        }
    }
}

impl MapPart {
    fn new(map: &MapView) -> Self {
        let def = &map.def;
        Self {
            name: def.name.clone(),
            kind: def.kind.to_string(),
            key_size: def.key_size,
            value_size: def.value_size,
            max_entries: def.max_entries,
            flags: def.flags.0,
            pinned: map.pinned,
            global_data: map.is_global_data,
            initial_entries: map
                .entries
                .iter()
                .map(|(index, name)| EntryPart {
                    index: *index,
                    name: name.clone(),
                })
                .collect(),
        }
    }
}

impl GlobalPart {
    fn new(view: &GlobalView) -> Self {
        let global = &view.global;
        Self {
            name: global.name.clone(),
            section: global.section.clone(),
            offset: global.offset,
            size: global.size,
            c_type: view.c_type.clone(),
            value: view.value.clone(),
            writable: global.writable,
        }
    }
}

fn missing(missing: &[Missing]) -> Vec<MissingPart> {
    missing
        .iter()
        .map(|missing| {
            let place = missing.wanted_by.as_ref();
            let source = place.and_then(|place| place.source.as_ref());
            MissingPart {
                by: match missing.by {
                    RefusedBy::Emulator => "emulator",
                    RefusedBy::Kernel => "kernel",
                },
                what: missing.what.clone(),
                function: place.map(|place| place.function.clone()),
                slot: place.map(|place| place.slot),
                file: source.map(|(file, _)| file.to_string()),
                line: source.map(|(_, line)| *line),
            }
        })
        .collect()
}
