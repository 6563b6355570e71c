//! Bytes as types: those of a kernel that programs are adapted to, or an object's own.

use std::sync::Arc;

use twinpath_machine::object::btf::{Btf, Kind, Type};
use twinpath_machine::{Object, TargetBtf};

use super::object::{load, object};

/// An object with relocations of every kind.
const OBJECT: &[u8] = include_bytes!("../../objects/core.bpf.o");

/// The first byte says what the others are: types of a kernel, or of the object, or what the object's
/// relocations and lines are.
pub fn btf(bytes: &[u8]) {
    let Some((what, bytes)) = bytes.split_first() else {
        return;
    };
    match what % 3 {
        0 => target(bytes),
        1 => own(".BTF", bytes),
        _ => own(".BTF.ext", bytes),
    }
}

fn target(bytes: &[u8]) {
    match Btf::parse(bytes) {
        Ok(btf) => {
            walk(&btf);
            let object = Object::parse(OBJECT).expect("it is an object");
            load(&object, TargetBtf::Given(Arc::new(btf)));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The object with another section of a name.
fn own(name: &str, bytes: &[u8]) {
    object(&replaced(OBJECT, name, bytes));
}

/// Reads all that can be read.
fn walk(btf: &Btf) {
    for (id, of) in btf.types() {
        btf.strip(id);
        btf.size_of(id);
        count(of);
    }
}

fn count(of: Type<'_>) -> usize {
    match of.kind {
        Kind::Struct(composite) | Kind::Union(composite) => composite.members().count(),
        Kind::Enum { values, .. } => values.iter().count(),
        Kind::Enum64 { values, .. } => values.iter().count(),
        Kind::DataSection { variables, .. } => variables.iter().count(),
        _ => 0,
    }
}

/// Offsets in an ELF file and in its section headers (System V gABI, chapter 4).
const SECTION_HEADERS: usize = 0x28;
const COUNT: usize = 0x3c;
const HEADER: usize = 64;
const OFFSET: usize = 24;

/// An ELF file with other bytes in a section, which are appended.
pub fn replaced(elf: &[u8], name: &str, bytes: &[u8]) -> Vec<u8> {
    let header = section(elf, name).expect("the object has the section");
    let mut elf = elf.to_vec();
    let place = [elf.len(), bytes.len()].map(|value| (value as u64).to_le_bytes());
    elf[header + OFFSET..][..16].copy_from_slice(place.as_flattened());
    elf.extend_from_slice(bytes);
    elf
}

fn long(elf: &[u8], at: usize) -> usize {
    let bytes = elf[at..].first_chunk().expect("the file is whole");
    u64::from_le_bytes(*bytes) as usize
}

/// Where the header of a section is.
fn section(elf: &[u8], name: &str) -> Option<usize> {
    let count = u16::from_le_bytes([elf[COUNT], elf[COUNT + 1]]) as usize;
    let names = u16::from_le_bytes([elf[COUNT + 2], elf[COUNT + 3]]) as usize;
    let header = |number: usize| long(elf, SECTION_HEADERS) + number * HEADER;
    let names = long(elf, header(names) + OFFSET);
    let wanted = [name.as_bytes(), &[0]].concat();
    (0..count).map(header).find(|&header| {
        let at = u32::from_le_bytes(*elf[header..].first_chunk().expect("the file is whole"));
        elf[names + at as usize..].starts_with(&wanted)
    })
}

/// The bytes of a section.
pub fn contents<'a>(elf: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let header = section(elf, name)?;
    elf[long(elf, header + OFFSET)..].get(..long(elf, header + OFFSET + 8))
}
