//! Instructions beside their source.

use std::collections::BTreeMap;

use super::Entry;
use crate::isa::{Insn, disassemble_named, pseudo};
use crate::load::{Surveyed, describe, slots};
use crate::object::{Object, Reference};

/// All instructions of a program.
pub(super) fn entries(object: &Object, surveyed: &Surveyed<'_>) -> Vec<Entry> {
    let assembly = &surveyed.assembly;
    let mut functions: BTreeMap<_, _> = assembly
        .functions
        .iter()
        .map(|function| (function.slot, &function.name))
        .collect();
    let lines: BTreeMap<_, _> = assembly
        .lines
        .iter()
        .map(|line| (line.slot, line))
        .collect();
    let relocations: BTreeMap<_, _> = assembly.core.iter().copied().collect();
    let missing: BTreeMap<_, _> = surveyed
        .missing
        .iter()
        .filter_map(|missing| Some((missing.wanted_by.as_ref()?.slot, &missing.what)))
        .collect();
    let mut last = None;
    slots(&assembly.insns)
        .map(|(slot, insn)| {
            let function = functions.remove(&slot).cloned();
            let line = lines.get(&slot).filter(|line| {
                let place = (line.file.clone(), line.line);
                let is_new = function.is_some() || last.as_ref() != Some(&place);
                last = Some(place);
                is_new
            });
            let name = name(object, surveyed, slot, insn);
            let next = assembly.insns.get(slot as usize + 1).copied();
            let relocation = relocations.get(&slot).zip(object.btf());
            let relocation = relocation.map(|(core, btf)| format!("CO-RE {}", describe(btf, core)));
            Entry {
                slot,
                function,
                line: line.map(|line| (*line).clone()),
                code: insn.code,
                text: disassemble_named(insn, next, name.as_deref()),
                note: relocation.or_else(|| assembly.lacking.get(&slot).cloned()),
                reachable: surveyed.reached[slot as usize],
                missing: missing.get(&slot).map(|what| (*what).clone()),
            }
        })
        .collect()
}

/// The name of what an instruction refers to.
fn name(object: &Object, surveyed: &Surveyed<'_>, slot: u32, insn: Insn) -> Option<String> {
    match surveyed.assembly.references.get(&slot) {
        Some(Reference::Map(map)) => Some(format!("map[{}]", object.maps()[*map].name)),
        Some(Reference::Value(map, offset)) => {
            let place = format!("map[{}][0]+{offset}", object.maps()[*map].name);
            let at = |global: &&crate::object::Global| {
                global.map == *map && (global.offset..global.offset + global.size).contains(offset)
            };
            Some(match object.globals().iter().find(at) {
                Some(global) if global.offset == *offset => format!("{place} <{}>", global.name),
                Some(global) => format!("{place} <{}+{}>", global.name, offset - global.offset),
                None => place,
            })
        }
        Some(Reference::Extern(number)) => {
            Some(format!("variable[{}]", object.externs()[*number].name))
        }
        Some(_) => None,
        None => {
            let is_call = insn.code == crate::isa::CALL && insn.src == pseudo::CALL;
            let is_pointer = insn.is_wide() && insn.src == pseudo::FUNC;
            let target = i64::from(slot) + 1 + i64::from(insn.imm);
            let mut functions = surveyed.assembly.functions.iter();
            let function = functions.find(|function| i64::from(function.slot) == target);
            let name = function.filter(|_| is_call || is_pointer)?.name.as_str();
            Some(if is_call {
                name.to_owned()
            } else {
                format!("subprog[{name}]")
            })
        }
    }
}
