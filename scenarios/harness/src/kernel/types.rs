//! An object's types as the kernel takes them.
//!
//! What compilers write is not what the kernel accepts: sections of variables have no sizes before an object is
//! linked, Rust has names with angle brackets and named pointers, and functions from outside have parameters without
//! names. Each such type is replaced by one that takes its number and that nothing else needs (libbpf does the same in
//! `bpf_object__sanitize_btf`; what is refused is in `kernel/bpf/btf.c`). Rust's enums are unions, whose members need not
//! begin where the union does; to the kernel they do.

use std::collections::BTreeMap;

use twinpath_machine::object::btf::{Btf, number as kind, word_at};

/// Types for the kernel, to which some can be added.
#[derive(Debug, Clone)]
pub struct Types {
    types: Vec<u8>,
    names: Vec<u8>,
    count: u32,
    /// Names that were added, by text.
    added: BTreeMap<String, u32>,
    /// Functions, by name.
    functions: BTreeMap<String, u32>,
}

const MAGIC: u16 = 0xeb9f;
const HEADER: u32 = 24;
const NO_NAME: u32 = 0;
const VOID: u32 = 0;
/// Bits of a member's offset, below those of its size if it is a bit field.
const MEMBER_OFFSET: u32 = 0xff_ffff;
/// Of a function: `static`.
const STATIC: u32 = 0;
/// Of a function: defined elsewhere.
const EXTERN: u32 = 2;

fn info(kind: u32, count: u32) -> u32 {
    kind << 24 | count
}

/// Kind, and how many members, values or parameters there are.
fn parts(encoded: &[u8]) -> (u32, u32) {
    let info = word_at(encoded, 4);
    (info >> 24 & 0x1f, info & 0xffff)
}

impl Types {
    /// The types of an object, under their numbers; none for an object that has none.
    pub fn of(btf: Option<&Btf>) -> Self {
        let mut types = Self {
            types: Vec::new(),
            names: btf.map_or(vec![0], |btf| btf.names().to_vec()),
            count: 0,
            added: BTreeMap::new(),
            functions: BTreeMap::new(),
        };
        let all: Vec<&[u8]> = btf.into_iter().flat_map(Btf::encoded).collect();
        for encoded in &all {
            types.count += 1;
            types.adopt(encoded, &all);
        }
        types
    }

    /// Takes a type over, or one in its place that stands for nothing.
    fn adopt(&mut self, encoded: &[u8], all: &[&[u8]]) {
        let (kind, count) = parts(encoded);
        if !is_kept(encoded, all) {
            self.append(&[NO_NAME, info(kind::PTR, 0), VOID]);
            return;
        }
        let mut words: Vec<u32> = (0..encoded.len() / 4)
            .map(|at| word_at(encoded, 4 * at))
            .collect();
        // Where the names of members, values and parameters stand, and how far apart.
        let (first, step) = match kind {
            kind::STRUCT | kind::UNION | kind::ENUM64 => (3, 3),
            kind::ENUM | kind::FUNC_PROTO => (3, 2),
            _ => (3, 0),
        };
        if step > 0 {
            for at in (first..).step_by(step).take(count as usize) {
                words[at] = self.valid(words[at]);
            }
        }
        if kind == kind::UNION {
            for offset in words.iter_mut().skip(first + 2).step_by(step) {
                *offset &= !MEMBER_OFFSET;
            }
        }
        words[0] = match kind {
            kind::PTR
            | kind::ARRAY
            | kind::VOLATILE
            | kind::CONST
            | kind::RESTRICT
            | kind::FUNC_PROTO => NO_NAME,
            kind::STRUCT
            | kind::UNION
            | kind::ENUM
            | kind::ENUM64
            | kind::FWD
            | kind::TYPEDEF
            | kind::FUNC => self.valid(words[0]),
            _ => words[0],
        };
        if kind == kind::FUNC {
            let name = self.text(words[0]);
            self.functions.insert(name, self.count);
        }
        self.append(&words);
    }

    fn append(&mut self, words: &[u32]) {
        self.types
            .extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    fn text(&self, offset: u32) -> String {
        let bytes = self.names.get(offset as usize..).unwrap_or_default();
        let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }

    /// The place of a name, or of another one if the kernel does not take this one.
    fn valid(&mut self, offset: u32) -> u32 {
        let name = self.text(offset);
        let valid = identifier(&name);
        if valid == name {
            offset
        } else {
            self.name(&valid)
        }
    }

    /// The place of a text among the names.
    pub fn name(&mut self, text: &str) -> u32 {
        if let Some(known) = self.added.get(text) {
            return *known;
        }
        let place = self.names.len() as u32;
        self.names.extend(text.bytes().filter(|byte| *byte != 0));
        self.names.push(0);
        self.added.insert(text.to_owned(), place);
        place
    }

    fn add(&mut self, words: &[u32]) -> u32 {
        self.append(words);
        self.count += 1;
        self.count
    }

    /// The number of the object's own description of a function, if it has one.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.functions.get(&identifier(name)).copied()
    }

    /// Describes a static function `int name(void *context)`: one that is verified for the calls that are there, and
    /// not for all that its signature would allow.
    pub fn add_function(&mut self, name: &str) -> u32 {
        const SIGNED: u32 = 1 << 24;
        let int = self.name("int");
        let int = self.add(&[int, info(kind::INT, 0), 4, SIGNED | 32]);
        let pointer = self.add(&[NO_NAME, info(kind::PTR, 0), VOID]);
        let parameter = self.name("context");
        let signature = self.add(&[NO_NAME, info(kind::FUNC_PROTO, 1), int, parameter, pointer]);
        let name = self.name(&identifier(name));
        self.add(&[name, info(kind::FUNC, STATIC), signature])
    }

    /// As the system call takes them.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend([1, 0]);
        let (types, names) = (self.types.len() as u32, self.names.len() as u32);
        for word in [HEADER, 0, types, types, names] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(&self.types);
        bytes.extend(&self.names);
        bytes
    }
}

/// Whether the kernel takes a type, apart from its name.
fn is_kept(encoded: &[u8], all: &[&[u8]]) -> bool {
    let target = || {
        let number = word_at(encoded, 8) as usize;
        number.checked_sub(1).and_then(|index| all.get(index))
    };
    match parts(encoded) {
        (kind::VAR | kind::DATASEC, _) => false,
        (kind::FUNC, EXTERN) => false,
        (kind::FUNC, _) => target().is_some_and(|signature| has_named_parameters(signature)),
        (kind::DECL_TAG, _) => target().is_some_and(|target| is_kept(target, all)),
        _ => true,
    }
}

fn has_named_parameters(signature: &[u8]) -> bool {
    let (kind, count) = parts(signature);
    let mut parameters = (0..count as usize).map(|nth| 12 + 8 * nth);
    kind == kind::FUNC_PROTO
        && parameters
            .all(|at| word_at(signature, at) != NO_NAME || word_at(signature, at + 4) == VOID)
}

/// A name of letters, digits and underscores (`btf_name_valid_identifier`).
fn identifier(name: &str) -> String {
    let valid = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut text: String = name
        .chars()
        .map(|letter| if valid(letter) { letter } else { '_' })
        .collect();
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        text.insert(0, '_');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        for (name, expected) in [
            ("entry", "entry"),
            ("core::option::Option<u32>", "core__option__Option_u32_"),
            ("{impl#0}", "_impl_0_"),
            ("4th", "_4th"),
            ("", ""),
        ] {
            assert_eq!(identifier(name), expected);
        }
    }

    #[test]
    fn types_keep_their_numbers() {
        let bytes = include_bytes!("../../tests/objects/hooks.bpf.o");
        let object = twinpath_machine::Object::parse(bytes).unwrap();
        let before = object.btf().unwrap();
        let mut types = Types::of(Some(before));
        let number = types.add_function("added");
        let after = Btf::parse(&types.bytes()).unwrap();
        assert_eq!(after.len(), before.len() + 4);
        assert_eq!(number, after.len());
        let entry = types.function("entry").expect("it is described");
        let name = |btf: &Btf| {
            let mut types = btf.types();
            types
                .find(|(id, _)| id.0 == entry)
                .map(|(_, of)| of.name.to_owned())
        };
        assert_eq!(name(&after), Some("entry".to_owned()));
        assert_eq!(name(before), name(&after));
    }
}
