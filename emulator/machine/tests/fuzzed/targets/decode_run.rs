//! Bytes as instructions: decoded, and run although no verifier has seen them.

use twinpath_machine::engine::Context;
use twinpath_machine::isa::{Insn, check_form, disassemble, parse};
use twinpath_machine::memory::{Field, Layout, Widths};
use twinpath_machine::{
    Alone, Cpu, Machine, Map, MapDef, MapFlags, MapId, MapType, Program, ProgramId, ProgramType,
};

/// Instructions of a run.
const BUDGET: u64 = 10_000;
/// Bytes that r1 points to.
const CONTEXT: u32 = 64;

/// A context with bytes that may be read, bytes that may be written, and a gap between them.
static LAYOUT: Layout = Layout {
    name: "context",
    size: CONTEXT,
    fields: &[
        Field::packet("data", 0),
        Field::plain("in", 8, 24, Widths::UP_TO_8, Widths::NONE),
        Field::plain("out", 40, 24, Widths::W4, Widths::UP_TO_8),
    ],
};

/// The first byte says what r1 is: nothing, memory or a context. What follows are instructions; bytes
/// after the last whole one do not count.
pub fn decode_run(bytes: &[u8]) {
    let Some((what, bytes)) = bytes.split_first() else {
        return;
    };
    let (slots, _) = bytes.as_chunks::<8>();
    let insns = parse(slots.as_flattened()).expect("there are whole slots only");
    show(&insns);
    let program = match Program::bare("fuzzed", ProgramType::Xdp, insns, &|_, _, _| None) {
        Ok(program) => program,
        Err(errors) => {
            let text = |error: &dyn std::fmt::Display| error.to_string();
            assert!(errors.iter().all(|error| !text(error).is_empty()));
            return;
        }
    };
    if let Err(errors) = check_form(&program.insns) {
        assert!(errors.iter().all(|error| !error.to_string().is_empty()));
    }
    let mut machine = super::machine();
    let id = machine.add_program(program);
    add_maps(&mut machine, id);
    let address = machine.memory.allocate(u64::from(CONTEXT));
    let address = address.expect("the memory is larger");
    let context = match what % 3 {
        0 => Context::None,
        1 => Context::Memory(address, CONTEXT),
        _ => Context::Struct(address, &LAYOUT),
    };
    super::run(&mut machine, &mut Alone, id, context, BUDGET);
}

fn show(insns: &[Insn]) {
    for (slot, insn) in insns.iter().enumerate() {
        let text = disassemble(*insn, insns.get(slot + 1).copied());
        assert!(!text.is_empty());
    }
}

/// One map of each type that a program can use alone, by number from 0.
fn add_maps(machine: &mut Machine, program: ProgramId) {
    let plain = |kind| MapDef::new(kind, 4, 16, 4);
    let lazy = MapDef {
        flags: MapFlags(MapFlags::NO_PREALLOC),
        ..MapDef::new(MapType::LpmTrie, 8, 16, 4)
    };
    let outer = MapDef {
        inner: Some(Box::new(plain(MapType::Array))),
        ..MapDef::new(MapType::ArrayOfMaps, 4, 4, 4)
    };
    let defs = [
        plain(MapType::Array),
        plain(MapType::Hash),
        plain(MapType::PerCpuArray),
        plain(MapType::PerCpuHash),
        plain(MapType::LruHash),
        plain(MapType::LruPerCpuHash),
        lazy,
        MapDef::new(MapType::ProgArray, 4, 4, 4),
        MapDef::new(MapType::PerfEventArray, 4, 4, 2),
        outer,
        MapDef::new(MapType::RingBuf, 0, 0, 4096),
        MapDef::new(MapType::Queue, 0, 16, 4),
        MapDef::new(MapType::Stack, 0, 16, 4),
        MapDef::new(MapType::BloomFilter, 0, 16, 4),
        MapDef::new(MapType::DevMap, 4, 4, 4),
    ];
    let cpus = machine.cpus();
    for def in defs {
        let map = Map::new(def, &mut machine.memory, cpus).expect("the definition is valid");
        machine.maps.push(map);
    }
    let find = |kind: MapType| {
        let mut maps = machine.maps.iter();
        let found = maps.find(|(_, map)| map.def().kind == kind);
        found.map(|(id, _)| id).expect("it was added")
    };
    let (programs, events) = (find(MapType::ProgArray), find(MapType::PerfEventArray));
    let outer = find(MapType::ArrayOfMaps);
    let set = machine.maps[programs].set_program(1, Some(program));
    set.expect("the program array has an entry 1");
    let open = machine.maps[events].open_events(Cpu(1), 1);
    open.expect("there are two CPUs");
    let set = machine
        .maps
        .set_inner(outer, &1u32.to_le_bytes(), Some(MapId(0)), 0);
    set.expect("map 0 is like the inner map");
}
