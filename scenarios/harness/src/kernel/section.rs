//! Names of ELF sections.
//!
//! What type a program has is told by the name of its section, by a convention that has changed over the years
//! and differs between loaders: `tc`, `tc/entry`, `tcx/ingress`, `classifier`, `cls_main`, `xdp/entry`. aya reads
//! one set of them and refuses an object that has others. Here sections get names that it reads: in the ELF file's
//! own table, and in the BTF, which refers to sections by name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use aya_obj::ProgramSection;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

/// An object as aya takes it.
#[derive(Debug)]
pub struct Named<'a> {
    /// The ELF file.
    pub bytes: Cow<'a, [u8]>,
    /// Programs in sections whose names say nothing about their type, with these names. To aya they are socket
    /// filters.
    pub unknown: BTreeMap<String, String>,
}

/// What a name says about the type of the programs in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// aya knows it.
    Known,
    Xdp,
    Classifier,
    Unknown,
}

/// First words of the names of sections with tc programs.
const CLASSIFIER: [&str; 9] = [
    "tc",
    "tcx",
    "netkit",
    "classifier",
    "cls",
    "action",
    "act",
    "ingress",
    "egress",
];

fn kind(name: &str) -> Kind {
    if ProgramSection::from_str(name).is_ok() {
        return Kind::Known;
    }
    let word = name
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    match word {
        "xdp" => Kind::Xdp,
        word if CLASSIFIER.contains(&word) => Kind::Classifier,
        _ => Kind::Unknown,
    }
}

/// Gives the sections of an object names that aya reads. What is no ELF file is left as it is, for aya to refuse.
pub fn rename(bytes: &[u8]) -> Named<'_> {
    let unchanged = Named {
        bytes: Cow::Borrowed(bytes),
        unknown: BTreeMap::new(),
    };
    let Ok(elf) = object::File::parse(bytes) else {
        return unchanged;
    };
    let (names, unknown) = new_names(&elf);
    if names.is_empty() {
        return unchanged;
    }
    match Patch::new(bytes).and_then(|patch| patch.apply(&elf, &names)) {
        Some(bytes) => Named {
            bytes: Cow::Owned(bytes),
            unknown,
        },
        None => unchanged,
    }
}

type Names = BTreeMap<String, String>;

/// The sections that need another name, with it, and the programs in those whose type is not known.
fn new_names(elf: &object::File<'_>) -> (Names, Names) {
    let (mut names, mut unknown) = (Names::new(), Names::new());
    let code = |section: &object::Section<'_, '_>| {
        section.kind() == SectionKind::Text
            && section.size() > 0
            && section.name().is_ok_and(|name| !name.starts_with(".text"))
    };
    let mut has_xdp = elf.sections().any(|section| section.name() == Ok("xdp"));
    for section in elf.sections().filter(code) {
        let name = section.name().unwrap_or_default().to_owned();
        let new = match kind(&name) {
            Kind::Known => continue,
            Kind::Classifier => format!("classifier/{name}"),
            // aya's name for XDP programs takes no addition, so there can be one.
            Kind::Xdp if !has_xdp => {
                has_xdp = true;
                "xdp".to_owned()
            }
            Kind::Xdp | Kind::Unknown => {
                let functions = elf.symbols().filter(|symbol| {
                    symbol.section_index() == Some(section.index())
                        && symbol.kind() == SymbolKind::Text
                });
                let programs = functions.filter_map(|symbol| symbol.name().ok());
                unknown.extend(programs.map(|program| (program.to_owned(), name.clone())));
                format!("socket/{name}")
            }
        };
        names.insert(name, new);
    }
    (names, unknown)
}

/// An ELF file of 64 bits that is being changed. What gets longer moves to its end.
struct Patch {
    bytes: Vec<u8>,
    little_endian: bool,
    /// Where the section headers start.
    headers: usize,
}

const HEADER: usize = 64;
const HEADER_OFFSET: usize = 0x18;
const HEADER_SIZE: usize = 0x20;
const BTF_STRINGS_AT: usize = 16;
const BTF_STRINGS_LENGTH: usize = 20;

impl Patch {
    fn new(bytes: &[u8]) -> Option<Self> {
        // EI_CLASS: 64 bits; EI_DATA: the byte order.
        let (2, data) = (*bytes.get(4)?, *bytes.get(5)?) else {
            return None;
        };
        let mut patch = Self {
            bytes: bytes.to_vec(),
            little_endian: data == 1,
            headers: 0,
        };
        patch.headers = usize::try_from(patch.long(0x28)?).ok()?;
        Some(patch)
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little_endian {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    fn long(&self, at: usize) -> Option<u64> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little_endian {
            u64::from_le_bytes(bytes)
        } else {
            u64::from_be_bytes(bytes)
        })
    }

    fn set_word(&mut self, at: usize, value: u32) -> Option<()> {
        let bytes = if self.little_endian {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        };
        *self.bytes.get_mut(at..)?.first_chunk_mut()? = bytes;
        Some(())
    }

    fn set_long(&mut self, at: usize, value: u64) -> Option<()> {
        let bytes = if self.little_endian {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        };
        *self.bytes.get_mut(at..)?.first_chunk_mut()? = bytes;
        Some(())
    }

    fn apply(mut self, elf: &object::File<'_>, names: &Names) -> Option<Vec<u8>> {
        let half = |at: usize| self.bytes.get(at..)?.first_chunk().copied();
        let table = half(0x3e)?;
        let table = if self.little_endian {
            u16::from_le_bytes(table)
        } else {
            u16::from_be_bytes(table)
        };
        let mut added = Vec::new();
        for section in elf.sections() {
            let Some(new) = section.name().ok().and_then(|name| names.get(name)) else {
                continue;
            };
            let header = self.header(section.index().0)?;
            let name = self.section(table.into())?.1 + added.len();
            self.set_word(header, u32::try_from(name).ok()?)?;
            added.extend(new.bytes().chain([0]));
        }
        self.grow(table.into(), &added)?;
        let btf = elf.section_by_name(".BTF").map(|section| section.index().0);
        let ext = elf
            .section_by_name(".BTF.ext")
            .map(|section| section.index().0);
        if let (Some(btf), Some(ext)) = (btf, ext) {
            self.rename_in_btf(btf, ext, names)?;
        }
        Some(self.bytes)
    }

    /// Where a section's header starts.
    fn header(&self, number: usize) -> Option<usize> {
        self.headers.checked_add(number * HEADER)
    }

    /// Where a section's bytes start, and how many there are, all of them in the file.
    fn section(&self, number: usize) -> Option<(usize, usize)> {
        let header = self.header(number)?;
        let start = usize::try_from(self.long(header.checked_add(HEADER_OFFSET)?)?).ok()?;
        let length = usize::try_from(self.long(header.checked_add(HEADER_SIZE)?)?).ok()?;
        (start.checked_add(length)? <= self.bytes.len()).then_some((start, length))
    }

    /// Moves a section to the end of the file and adds to it.
    fn grow(&mut self, number: usize, more: &[u8]) -> Option<()> {
        let (start, length) = self.section(number)?;
        let old = self.bytes.get(start..start + length)?.to_vec();
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let header = self.header(number)?;
        self.set_long(header + HEADER_OFFSET, self.bytes.len() as u64)?;
        self.set_long(header + HEADER_SIZE, (length + more.len()) as u64)?;
        self.bytes.extend(old);
        self.bytes.extend(more);
        Some(())
    }

    /// Renames the sections that `.BTF.ext` has information about.
    fn rename_in_btf(&mut self, btf: usize, ext: usize, names: &Names) -> Option<()> {
        let (start, length) = self.section(btf)?;
        let strings =
            start + self.word(start + 4)? as usize + self.word(start + BTF_STRINGS_AT)? as usize;
        let strings_length = self.word(start + BTF_STRINGS_LENGTH)? as usize;
        // The strings come last; if not, they could not grow where they are.
        if strings + strings_length != start + length {
            return None;
        }
        let mut added = Vec::new();
        for at in self.names_in_ext(ext)? {
            let name = self.bytes.get(strings + self.word(at)? as usize..)?;
            let name = std::str::from_utf8(name.split(|byte| *byte == 0).next()?).ok()?;
            if let Some(new) = names.get(name) {
                self.set_word(at, u32::try_from(strings_length + added.len()).ok()?)?;
                added.extend(new.bytes().chain([0]));
            }
        }
        self.set_word(
            start + BTF_STRINGS_LENGTH,
            u32::try_from(strings_length + added.len()).ok()?,
        )?;
        self.grow(btf, &added)
    }

    /// Where `.BTF.ext` names sections: at the head of each list of functions, lines and relocations.
    fn names_in_ext(&self, ext: usize) -> Option<Vec<usize>> {
        let (start, _) = self.section(ext)?;
        let body = start + self.word(start + 4)? as usize;
        let has_relocations = self.word(start + 4)? >= 32;
        let mut names = Vec::new();
        for part in [8, 16, 24]
            .into_iter()
            .take(if has_relocations { 3 } else { 2 })
        {
            let mut at = body + self.word(start + part)? as usize;
            let end = at + self.word(start + part + 4)? as usize;
            if at == end {
                continue;
            }
            let record = self.word(at)? as usize;
            at += 4;
            while at < end {
                names.push(at);
                at += 8 + record.checked_mul(self.word(at + 4)? as usize)?;
            }
        }
        Some(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &[u8] = include_bytes!("../../tests/objects/hooks.bpf.o");

    #[test]
    fn names_tell_types() {
        let cases = [
            ("xdp", Kind::Known),
            ("xdp.frags", Kind::Known),
            ("xdp/devmap", Kind::Known),
            ("classifier", Kind::Known),
            ("classifier/x", Kind::Known),
            ("cgroup/connect4", Kind::Known),
            ("tc", Kind::Classifier),
            ("tc/entry", Kind::Classifier),
            ("tcx/ingress", Kind::Classifier),
            ("cls_main", Kind::Classifier),
            ("ingress", Kind::Classifier),
            ("xdp/entry", Kind::Xdp),
            ("xdp_pass", Kind::Xdp),
            ("tcp", Kind::Unknown),
            ("2/7", Kind::Unknown),
            ("", Kind::Unknown),
        ];
        for (name, expected) in cases {
            assert_eq!(kind(name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_elf_file_stays_as_it_is() {
        for bytes in [&b""[..], b"\x7fELF", &[0x7f; 100]] {
            assert_eq!(*rename(bytes).bytes, *bytes);
        }
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let mut bytes = OBJECT.to_vec();
        for at in 0..bytes.len() {
            let kept = std::mem::replace(&mut bytes[at], 0xff);
            rename(&bytes);
            bytes[at] = kept;
        }
        for end in (0..bytes.len()).step_by(97) {
            rename(&bytes[..end]);
        }
    }

    #[test]
    fn a_renamed_object_says_the_same() {
        let bytes = OBJECT;
        let named = rename(bytes);
        assert!(named.unknown.is_empty());
        let before = object::File::parse(bytes).unwrap();
        let after = object::File::parse(&*named.bytes).unwrap();
        for (before, after) in before.sections().zip(after.sections()) {
            match before.name().unwrap() {
                "tc" => assert_eq!(after.name(), Ok("classifier/tc")),
                name => assert_eq!(after.name(), Ok(name)),
            }
            if !matches!(before.name().unwrap(), ".BTF" | ".BTF.ext" | ".strtab") {
                assert_eq!(before.data(), after.data());
            }
        }
        let object = aya_obj::Object::parse(&named.bytes).unwrap();
        let filters = object
            .programs
            .values()
            .filter(|program| matches!(program.section, ProgramSection::SchedClassifier));
        assert_eq!(filters.count(), 3);
        let with_types = object
            .functions
            .values()
            .filter(|function| function.func_info.len() == 1);
        assert_eq!(with_types.count(), object.functions.len());
    }
}
