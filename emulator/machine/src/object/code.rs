//! Functions: where they are, what their instructions refer to, which source lines they have.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ObjectError;
use super::btf::{Btf, CoreRelocation, Ext};
use super::elf::{Binding, Elf, Section, Symbol};
use crate::isa::{self, Insn, SLOT};
use crate::program::Line;

/// A function as the object defines it.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Other symbols at the same place.
    pub(crate) aliases: Vec<String>,
    /// The ELF section.
    pub(crate) section: String,
    pub(super) section_number: usize,
    /// The first slot, from the section's start.
    pub(super) start: u32,
    pub(crate) insns: Vec<Insn>,
    /// What an instruction refers to, by its slot from the function's start.
    pub(crate) references: BTreeMap<u32, Reference>,
    /// By slot from the function's start.
    pub(crate) lines: Vec<Line>,
    /// CO-RE relocations by slot from the function's start.
    pub(crate) core: Vec<(u32, CoreRelocation)>,
    /// Whether it is `static`.
    pub(crate) is_local: bool,
}

impl Function {
    /// The functions that it calls.
    pub(super) fn calls(&self) -> impl Iterator<Item = usize> + '_ {
        self.references
            .values()
            .filter_map(|reference| match reference {
                Reference::Call(target) => Some(*target),
                _ => None,
            })
    }
}

/// What an instruction refers to; numbers are positions in the object's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The address of a map.
    Map(usize),
    /// An offset in the only value of a map of global data.
    Value(usize, u32),
    /// The address of a function.
    Function(usize),
    /// A call of a function.
    Call(usize),
    /// The address of something outside the object, or a call of it.
    Extern(usize),
}

/// Whether a section holds functions that are only called by others.
pub(super) fn is_text(section: &str) -> bool {
    section == ".text" || section.starts_with(".text.")
}

/// The functions of all sections, each with the names that it has.
#[derive(Debug, Default)]
pub(super) struct Functions {
    pub(super) list: Vec<Function>,
    /// By section number and first slot.
    places: BTreeMap<(usize, u32), usize>,
}

impl Functions {
    /// Finds the functions, without references and lines.
    pub(super) fn find(elf: &Elf<'_>) -> Result<Self, ObjectError> {
        let mut functions = Self::default();
        for (number, section) in elf.sections.iter().enumerate() {
            if section.is_code() {
                let mut symbols: Vec<_> = elf.symbols_of(number).copied().collect();
                if symbols.iter().any(Symbol::is_function) {
                    symbols.retain(Symbol::is_function);
                } else {
                    symbols = labelled(section, number, symbols);
                }
                for symbol in symbols {
                    functions.add(function(section, number, &symbol)?);
                }
            }
        }
        functions.check_overlap()?;
        Ok(functions)
    }

    /// A second function at the same place is the first one under another name.
    fn add(&mut self, function: Function) {
        let place = (function.section_number, function.start);
        match self.places.get(&place) {
            Some(&known) => self.list[known].aliases.push(function.name),
            None => {
                self.places.insert(place, self.list.len());
                self.list.push(function);
            }
        }
    }

    fn check_overlap(&self) -> Result<(), ObjectError> {
        let mut free = (0, 0);
        for (&place, &index) in &self.places {
            let function = &self.list[index];
            if place < free {
                let problem = format!("function {} begins inside another", function.name);
                return Err(ObjectError::section(&function.section, problem));
            }
            free = (place.0, place.1 + function.insns.len() as u32);
        }
        Ok(())
    }

    /// The function that starts at a slot of a section.
    pub(super) fn at(&self, section: usize, slot: u32) -> Option<usize> {
        self.places.get(&(section, slot)).copied()
    }

    /// The function that a slot of a section belongs to.
    pub(super) fn around(&self, section: usize, slot: u32) -> Option<usize> {
        let (_, &index) = self.places.range(..=(section, slot)).next_back()?;
        let function = &self.list[index];
        let inside = slot < function.start + function.insns.len() as u32;
        (function.section_number == section && inside).then_some(index)
    }
}

fn function(
    section: &Section<'_>,
    number: usize,
    symbol: &Symbol<'_>,
) -> Result<Function, ObjectError> {
    let problem = |what: &str| {
        let problem = format!("function {} {what}", symbol.name);
        ObjectError::section(section.name, problem)
    };
    if !symbol.value.is_multiple_of(SLOT as u64) {
        return Err(problem("does not start at a multiple of 8 bytes"));
    }
    let end = symbol.value.checked_add(symbol.size);
    let range = usize::try_from(symbol.value)
        .ok()
        .zip(end.and_then(|end| usize::try_from(end).ok()));
    let code = range.and_then(|(start, end)| section.data.get(start..end));
    let code = code.ok_or_else(|| problem("reaches beyond its section"))?;
    let insns = isa::parse(code).map_err(|_| problem("is not a multiple of 8 bytes long"))?;
    if insns.is_empty() {
        return Err(problem("is empty"));
    }
    Ok(Function {
        name: symbol.name.to_owned(),
        aliases: Vec::new(),
        section: section.name.to_owned(),
        section_number: number,
        start: (symbol.value / SLOT as u64) as u32,
        insns,
        references: BTreeMap::new(),
        lines: Vec::new(),
        core: Vec::new(),
        is_local: symbol.binding == Binding::Local,
    })
}

/// The functions of a section without function symbols: from each label to the next, as assemblers and
/// compilers before LLVM 8 leave them. Labels within functions have names such as `LBB0_1`.
fn labelled<'a>(
    section: &Section<'a>,
    number: usize,
    mut symbols: Vec<Symbol<'a>>,
) -> Vec<Symbol<'a>> {
    symbols.retain(|symbol| {
        let is_inner = symbol.name.starts_with("LBB") || symbol.name.starts_with(".L");
        !symbol.is_section() && !symbol.name.is_empty() && !is_inner
    });
    symbols.sort_by_key(|symbol| symbol.value);
    if symbols.first().is_none_or(|symbol| symbol.value > 0) {
        let start = Symbol {
            name: section.name,
            section: Some(number),
            value: 0,
            size: 0,
            kind: 0,
            binding: Binding::Global,
        };
        symbols.insert(0, start);
    }
    let mut end = section.size;
    for at in (0..symbols.len()).rev() {
        if symbols
            .get(at + 1)
            .is_some_and(|next| next.value > symbols[at].value)
        {
            end = symbols[at + 1].value;
        }
        symbols[at].size = end.saturating_sub(symbols[at].value);
    }
    symbols
}

/// Adds source lines and CO-RE relocations.
pub(super) fn annotate(elf: &Elf<'_>, functions: &mut Functions, btf: &Btf, ext: &Ext) {
    let mut numbers = BTreeMap::new();
    for (number, section) in elf.sections.iter().enumerate().rev() {
        numbers.insert(section.name, number);
    }
    // Offsets in the strings repeat for each record, and finding a string's end takes time.
    let mut known = BTreeMap::new();
    let mut place = |functions: &Functions, name: u32, offset: u32| {
        let number = *known
            .entry(name)
            .or_insert_with(|| numbers.get(btf.string(name)).copied());
        let slot = offset / SLOT as u32;
        let index = functions.around(number?, slot)?;
        Some((index, slot - functions.list[index].start))
    };
    let mut texts = Texts::new(btf);
    for line in &ext.lines {
        if let Some((index, slot)) = place(functions, line.section, line.offset) {
            functions.list[index].lines.push(Line {
                slot,
                file: texts.get(line.file),
                line: line.line,
                column: line.column,
                text: texts.get(line.text),
            });
        }
    }
    for relocation in &ext.relocations {
        if let Some((index, slot)) = place(functions, relocation.section, relocation.offset) {
            functions.list[index].core.push((slot, *relocation));
        }
    }
    for function in &mut functions.list {
        function.lines.sort_by_key(|line| line.slot);
    }
}

/// Strings of the BTF that many lines share.
struct Texts<'a> {
    btf: &'a Btf,
    known: BTreeMap<u32, Arc<str>>,
}

impl<'a> Texts<'a> {
    fn new(btf: &'a Btf) -> Self {
        Self {
            btf,
            known: BTreeMap::new(),
        }
    }

    fn get(&mut self, offset: u32) -> Arc<str> {
        let string = || self.btf.string(offset).trim().into();
        self.known.entry(offset).or_insert_with(string).clone()
    }
}
