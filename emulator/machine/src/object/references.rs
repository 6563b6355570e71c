//! What instructions refer to, told from relocations (`bpf_program__record_reloc` and
//! `bpf_object__reloc_code` in `tools/lib/bpf/libbpf.c`).

use std::collections::BTreeMap;

use super::ObjectError;
use super::code::{Function, Functions, Reference};
use super::elf::{Elf, Relocation, Symbol};
use super::externs::Externs;
use super::maps::MapSource;
use crate::isa::{self, Insn, SLOT, pseudo};

/// All that an instruction may refer to.
pub(super) struct Targets<'a> {
    elf: &'a Elf<'a>,
    /// Maps by section number and offset.
    maps: BTreeMap<(usize, u64), usize>,
    /// Maps of global data by section number.
    data: BTreeMap<usize, usize>,
    externs: &'a mut Externs,
}

impl<'a> Targets<'a> {
    pub(super) fn new<'m>(
        elf: &'a Elf<'a>,
        maps: impl Iterator<Item = &'m MapSource>,
        externs: &'a mut Externs,
    ) -> Self {
        let mut targets = Self {
            elf,
            maps: BTreeMap::new(),
            data: BTreeMap::new(),
            externs,
        };
        for (index, source) in maps.enumerate() {
            match source.place {
                Some((section, _)) if source.contents.is_some() => {
                    targets.data.insert(section, index);
                }
                Some(place) => {
                    targets.maps.insert(place, index);
                }
                None => {}
            }
        }
        targets
    }

    /// Finds the references of all functions.
    pub(super) fn resolve(&mut self, functions: &mut Functions) -> Result<(), ObjectError> {
        for (number, section) in self.elf.sections.iter().enumerate() {
            if section.is_code() {
                for relocation in &section.relocations {
                    let slot = u32::try_from(relocation.offset / SLOT as u64).unwrap_or(u32::MAX);
                    // Code outside all functions is never run.
                    if let Some(index) = functions.around(number, slot) {
                        let within = slot - functions.list[index].start;
                        let found =
                            self.of(&functions.list[index], functions, relocation, within)?;
                        functions.list[index].references.insert(within, found);
                    }
                }
            }
        }
        for index in 0..functions.list.len() {
            let calls = plain_calls(&functions.list[index], functions)?;
            functions.list[index].references.extend(calls);
        }
        Ok(())
    }

    fn of(
        &mut self,
        function: &Function,
        functions: &Functions,
        relocation: &Relocation,
        within: u32,
    ) -> Result<Reference, ObjectError> {
        let symbol = self.elf.symbols[relocation.symbol];
        let insn = function.insns[within as usize];
        let found = match insn.code {
            isa::CALL => self.call(functions, insn, &symbol),
            isa::LD_IMM64 => {
                let second = function.insns.get(within as usize + 1);
                let high = second.map_or(0, |second| second.imm);
                let implicit = i64::from(insn.imm as u32) | i64::from(high) << 32;
                self.address(functions, implicit.wrapping_add(relocation.addend), &symbol)
            }
            code => Err(format!(
                "has code {code:#04x}, which no relocation applies to"
            )),
        };
        found.map_err(|problem| {
            let (name, line) = (&function.name, source(function, within));
            let problem = format!("instruction {within} of {name}{line} {problem}");
            ObjectError::section(&function.section, problem)
        })
    }

    /// The target of a call: a function by its own symbol, or by its section's and the immediate.
    fn call(
        &mut self,
        functions: &Functions,
        insn: Insn,
        symbol: &Symbol<'_>,
    ) -> Result<Reference, String> {
        if symbol.is_extern() {
            return Ok(Reference::Extern(self.externs.number(symbol)));
        }
        let slot = (symbol.value / SLOT as u64) as i64 + i64::from(insn.imm) + 1;
        let slot = u32::try_from(slot).ok();
        let index = slot
            .zip(symbol.section)
            .and_then(|(slot, section)| functions.at(section, slot));
        let index =
            index.ok_or_else(|| format!("calls {}, where no function starts", name(symbol)))?;
        Ok(Reference::Call(index))
    }

    fn address(
        &mut self,
        functions: &Functions,
        addend: i64,
        symbol: &Symbol<'_>,
    ) -> Result<Reference, String> {
        let Some(section) = symbol.section else {
            return Ok(Reference::Extern(self.externs.number(symbol)));
        };
        let at = symbol.value.wrapping_add(addend as u64);
        if let Some(&map) = self.data.get(&section) {
            let offset = u32::try_from(at).map_err(|_| "refers to data beyond 4 GiB")?;
            return Ok(Reference::Value(map, offset));
        }
        if let Some(&map) = self.maps.get(&(section, at)) {
            return Ok(Reference::Map(map));
        }
        let slot = at.is_multiple_of(SLOT as u64).then_some(at / SLOT as u64);
        let slot = slot.and_then(|slot| u32::try_from(slot).ok());
        match slot.and_then(|slot| functions.at(section, slot)) {
            Some(function) => Ok(Reference::Function(function)),
            None => Err(format!(
                "refers to {} in section {}, which holds neither maps nor global data nor that function",
                name(symbol),
                self.elf.sections[section].name
            )),
        }
    }
}

/// Calls within a section, which need no relocation.
fn plain_calls(
    function: &Function,
    functions: &Functions,
) -> Result<Vec<(u32, Reference)>, ObjectError> {
    let mut calls = Vec::new();
    for (slot, insn) in (0..).zip(&function.insns) {
        if function.references.contains_key(&slot) {
            continue;
        }
        let relative = match insn.code {
            isa::CALL if insn.src == pseudo::CALL => insn.imm,
            isa::LD_IMM64 if insn.src == pseudo::FUNC => insn.imm,
            _ => continue,
        };
        let target = i64::from(function.start) + i64::from(slot) + i64::from(relative) + 1;
        let index = u32::try_from(target).ok();
        let index = index.and_then(|target| functions.at(function.section_number, target));
        let Some(index) = index else {
            // A function whose symbol is gone, or that an assembler gave none, is a part of the one before it.
            let end = i64::from(function.start) + function.insns.len() as i64;
            if (i64::from(function.start)..end).contains(&target) {
                continue;
            }
            let (name, line) = (&function.name, source(function, slot));
            let problem = format!(
                "instruction {slot} of {name}{line} calls slot {target}, where no function starts"
            );
            return Err(ObjectError::section(&function.section, problem));
        };
        let reference = match insn.code {
            isa::CALL => Reference::Call(index),
            _ => Reference::Function(index),
        };
        calls.push((slot, reference));
    }
    Ok(calls)
}

fn name<'a>(symbol: &Symbol<'a>) -> &'a str {
    if symbol.name.is_empty() {
        "an offset"
    } else {
        symbol.name
    }
}

fn source(function: &Function, slot: u32) -> String {
    let after = function.lines.partition_point(|line| line.slot <= slot);
    let line = after
        .checked_sub(1)
        .and_then(|index| function.lines.get(index));
    line.map_or_else(String::new, |line| {
        format!(" ({}:{})", line.file, line.line)
    })
}
