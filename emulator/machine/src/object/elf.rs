//! The ELF container (System V gABI, chapter 4, and the kernel's `Documentation/bpf/llvm_reloc.rst`).

use object::LittleEndian;
use object::elf::{self, FileHeader64, SectionHeader64};
use object::read::elf::{FileHeader as _, SectionHeader as _, SectionTable, Sym as _, SymbolTable};

use super::ObjectError;

/// `EM_BPF`; LLVM before 3.9 wrote 0.
const MACHINES: [u16; 2] = [elf::EM_BPF, elf::EM_NONE];

/// What an ELF file holds, borrowed from its bytes.
pub(super) struct Elf<'a> {
    /// By section number; number 0 is the null section.
    pub(super) sections: Vec<Section<'a>>,
    /// By symbol number; number 0 is the null symbol.
    pub(super) symbols: Vec<Symbol<'a>>,
    /// The numbers of the symbols that each section defines.
    by_section: Vec<Vec<usize>>,
}

pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    /// `SHT_*`
    kind: u32,
    /// `SHF_*`
    flags: u64,
    /// Empty for `SHT_NOBITS`.
    pub(super) data: &'a [u8],
    pub(super) size: u64,
    /// By ascending offset.
    pub(super) relocations: Vec<Relocation>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Relocation {
    /// Bytes from the section's start.
    pub(super) offset: u64,
    pub(super) symbol: usize,
    /// The explicit addend of a `SHT_RELA` entry.
    pub(super) addend: i64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a str,
    /// The section that defines it.
    pub(super) section: Option<usize>,
    /// Bytes from the section's start.
    pub(super) value: u64,
    pub(super) size: u64,
    /// `STT_*`
    pub(super) kind: u8,
    pub(super) binding: Binding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    Local,
    Global,
    Weak,
}

impl Section<'_> {
    pub(super) fn is_code(&self) -> bool {
        self.kind == elf::SHT_PROGBITS
            && self.flags & u64::from(elf::SHF_EXECINSTR) != 0
            && self.size > 0
    }

    pub(super) fn is_zeroed(&self) -> bool {
        self.kind == elf::SHT_NOBITS
    }

    pub(super) fn holds_data(&self) -> bool {
        self.kind == elf::SHT_PROGBITS && !self.is_code() && self.size > 0
    }
}

impl Symbol<'_> {
    pub(super) fn is_function(&self) -> bool {
        self.kind == elf::STT_FUNC
    }

    pub(super) fn is_section(&self) -> bool {
        self.kind == elf::STT_SECTION
    }

    /// Whether the object refers to it without defining it.
    pub(super) fn is_extern(&self) -> bool {
        self.section.is_none() && !self.name.is_empty()
    }
}

impl<'a> Elf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ObjectError> {
        let header = header(bytes)?;
        let table = header.sections(LittleEndian, bytes)?;
        let mut sections = sections(&table, bytes)?;
        let symbols = table.symbols(LittleEndian, bytes, elf::SHT_SYMTAB)?;
        let symbols = read_symbols(&symbols, sections.len())?;
        relocations(&table, bytes, &mut sections, symbols.len())?;
        let mut by_section = vec![Vec::new(); sections.len()];
        for (number, symbol) in symbols.iter().enumerate() {
            if let Some(section) = symbol.section {
                by_section[section].push(number);
            }
        }
        Ok(Self {
            sections,
            symbols,
            by_section,
        })
    }

    /// The number and the section of that name, the first if there are several.
    pub(super) fn section(&self, name: &str) -> Option<(usize, &Section<'a>)> {
        let mut sections = self.sections.iter().enumerate();
        sections.find(|(_, section)| section.name == name)
    }

    /// The symbols that a section defines.
    pub(super) fn symbols_of(&self, section: usize) -> impl Iterator<Item = &Symbol<'a>> {
        let numbers = self.by_section.get(section).into_iter().flatten();
        numbers.map(|number| &self.symbols[*number])
    }
}

fn header(bytes: &[u8]) -> Result<&FileHeader64<LittleEndian>, ObjectError> {
    let Some(ident) = bytes.first_chunk::<6>() else {
        return Err(ObjectError::NotElf);
    };
    if ident[..4] != elf::ELFMAG {
        return Err(ObjectError::NotElf);
    }
    if ident[4] != elf::ELFCLASS64 {
        return Err(ObjectError::Foreign("is not a 64-bit ELF file".into()));
    }
    if ident[5] != elf::ELFDATA2LSB {
        let problem = "is big-endian; only little-endian objects (bpfel) can be run";
        return Err(ObjectError::Foreign(problem.into()));
    }
    let header = FileHeader64::<LittleEndian>::parse(bytes)?;
    let machine = header.e_machine(LittleEndian);
    if !MACHINES.contains(&machine) {
        let problem = format!("is for machine {machine}, not for BPF (247)");
        return Err(ObjectError::Foreign(problem));
    }
    let kind = header.e_type(LittleEndian);
    if kind != elf::ET_REL {
        let problem = format!("is of ELF type {kind}, not relocatable (1)");
        return Err(ObjectError::Foreign(problem));
    }
    Ok(header)
}

type Table<'a> = SectionTable<'a, FileHeader64<LittleEndian>>;

fn sections<'a>(table: &Table<'a>, bytes: &'a [u8]) -> Result<Vec<Section<'a>>, ObjectError> {
    let mut sections = Vec::with_capacity(table.len());
    let mut total = 0u64;
    for (index, header) in table.enumerate() {
        let section = section(table, header, bytes)
            .map_err(|error| ObjectError::section(format!("number {}", index.0), error))?;
        // No compiler lets sections share bytes; a file that does can name the same bytes many times.
        total = total.saturating_add(section.data.len() as u64);
        if total > bytes.len() as u64 {
            let problem = "lies over other sections: together they are larger than the file";
            return Err(ObjectError::section(section.name, problem));
        }
        sections.push(section);
    }
    Ok(sections)
}

fn section<'a>(
    table: &Table<'a>,
    header: &'a SectionHeader64<LittleEndian>,
    bytes: &'a [u8],
) -> Result<Section<'a>, object::Error> {
    let name = table.section_name(LittleEndian, header)?;
    let kind = header.sh_type(LittleEndian);
    let data = match kind {
        elf::SHT_NULL => &[],
        _ => header.data(LittleEndian, bytes)?,
    };
    Ok(Section {
        // Names that are no UTF-8 name nothing that is looked for.
        name: str::from_utf8(name).unwrap_or("?"),
        kind,
        flags: header.sh_flags(LittleEndian),
        data,
        size: header.sh_size(LittleEndian),
        relocations: Vec::new(),
    })
}

fn read_symbols<'a>(
    table: &SymbolTable<'a, FileHeader64<LittleEndian>>,
    sections: usize,
) -> Result<Vec<Symbol<'a>>, ObjectError> {
    let mut symbols = Vec::with_capacity(table.len());
    for (index, symbol) in table.enumerate() {
        let name = symbol.name(LittleEndian, table.strings())?;
        let section = table.symbol_section(LittleEndian, symbol, index)?;
        let section = section.map(|section| section.0);
        if section.is_some_and(|section| section >= sections) {
            let problem = format!("symbol {} is in a section that does not exist", index.0);
            return Err(ObjectError::Malformed(problem));
        }
        symbols.push(Symbol {
            name: str::from_utf8(name).unwrap_or("?"),
            section,
            value: symbol.st_value(LittleEndian),
            size: symbol.st_size(LittleEndian),
            kind: symbol.st_type(),
            binding: match symbol.st_bind() {
                elf::STB_LOCAL => Binding::Local,
                elf::STB_WEAK => Binding::Weak,
                _ => Binding::Global,
            },
        });
    }
    Ok(symbols)
}

fn relocations<'a>(
    table: &Table<'a>,
    bytes: &'a [u8],
    sections: &mut [Section<'a>],
    symbols: usize,
) -> Result<(), ObjectError> {
    for (_, header) in table.enumerate() {
        let Some(section) = sections.get_mut(header.sh_info(LittleEndian) as usize) else {
            continue;
        };
        let mut add = |offset, symbol: u32, addend| {
            let symbol = symbol as usize;
            if symbol >= symbols {
                let problem = format!("has a relocation by symbol {symbol}, which does not exist");
                return Err(ObjectError::section(section.name, problem));
            }
            section.relocations.push(Relocation {
                offset,
                symbol,
                addend,
            });
            Ok(())
        };
        if let Some((entries, _)) = header.rel(LittleEndian, bytes)? {
            for entry in entries {
                add(
                    entry.r_offset.get(LittleEndian),
                    entry.r_sym(LittleEndian),
                    0,
                )?;
            }
        }
        if let Some((entries, _)) = header.rela(LittleEndian, bytes)? {
            for entry in entries {
                add(
                    entry.r_offset.get(LittleEndian),
                    entry.r_sym(LittleEndian, false),
                    entry.r_addend.get(LittleEndian),
                )?;
            }
        }
        section
            .relocations
            .sort_by_key(|relocation| relocation.offset);
    }
    Ok(())
}
