//! `.BTF.ext`: which source line and function each instruction belongs to, and CO-RE relocations
//! (`struct btf_ext_header`, `struct bpf_line_info`, `struct bpf_core_relo`).

use super::read::part;
use super::types::word_at;
use super::{BtfError, TypeId};

/// The contents of `.BTF.ext`.
#[derive(Debug, Default)]
pub(crate) struct Ext {
    /// By section name and ascending offset.
    pub(crate) lines: Vec<Source>,
    /// In the order of the file.
    pub(crate) relocations: Vec<CoreRelocation>,
}

/// The source line of an instruction.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Offset of the section's name in the strings.
    pub(crate) section: u32,
    /// Bytes from the section's start.
    pub(crate) offset: u32,
    /// Offset of the file's path.
    pub(crate) file: u32,
    /// Offset of the line's text.
    pub(crate) text: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// An instruction to be adapted to the layout of the target's types.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoreRelocation {
    /// Offset of the section's name in the strings.
    pub(crate) section: u32,
    /// Bytes from the section's start.
    pub(crate) offset: u32,
    /// The type in the object's BTF.
    pub(crate) of: TypeId,
    /// Offset of the access path's text, such as `0:1:2`.
    pub(crate) path: u32,
    /// `enum bpf_core_relo_kind`
    pub(crate) kind: CoreKind,
}

macro_rules! core_kinds {
    ($($number:literal $name:ident $text:literal,)*) => {
        /// What a CO-RE relocation asks for (`enum bpf_core_relo_kind`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum CoreKind { $($name = $number,)* Unknown = 13 }

        impl CoreKind {
            fn from_number(number: u32) -> Self {
                match number {
                    $($number => Self::$name,)*
                    _ => Self::Unknown,
                }
            }

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unknown => "unknown",
                }
            }
        }
    };
}

core_kinds! {
    0 FieldByteOffset "byte_off",
    1 FieldByteSize "byte_sz",
    2 FieldExists "field_exists",
    3 FieldSigned "signed",
    4 FieldLeftShift "lshift_u64",
    5 FieldRightShift "rshift_u64",
    6 TypeIdLocal "local_type_id",
    7 TypeIdTarget "target_type_id",
    8 TypeExists "type_exists",
    9 TypeSize "type_size",
    10 EnumValueExists "enumval_exists",
    11 EnumValue "enumval_value",
    12 TypeMatches "type_matches",
}

impl Ext {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BtfError> {
        let header_len = word_at(bytes, 4);
        let magic = bytes.first_chunk().map(|magic| u16::from_le_bytes(*magic));
        if magic != Some(0xeb9f) || header_len < 24 || bytes.len() < 24 {
            return Err(BtfError::Header);
        }
        if bytes[2] != 1 {
            return Err(BtfError::Version(bytes[2]));
        }
        let mut ext = Self::default();
        let lines = part(bytes, "line information", header_len, 16)?;
        records(lines, 16, |section, record| {
            let place = word_at(record, 12);
            ext.lines.push(Source {
                section,
                offset: word_at(record, 0),
                file: word_at(record, 4),
                text: word_at(record, 8),
                line: place >> 10,
                column: place & 0x3ff,
            });
        })?;
        if header_len >= 32 {
            let relocations = part(bytes, "CO-RE relocations", header_len, 24)?;
            records(relocations, 16, |section, record| {
                ext.relocations.push(CoreRelocation {
                    section,
                    offset: word_at(record, 0),
                    of: TypeId(word_at(record, 4)),
                    path: word_at(record, 8),
                    kind: CoreKind::from_number(word_at(record, 12)),
                });
            })?;
        }
        Ok(ext)
    }
}

/// Hands out each record of a part: a word with the records' size, then for each section the offset of
/// its name, the number of its records and these.
fn records(part: &[u8], expected: u32, mut each: impl FnMut(u32, &[u8])) -> Result<(), BtfError> {
    if part.is_empty() {
        return Ok(());
    }
    let size = word_at(part, 0);
    if size < expected || !size.is_multiple_of(4) {
        return Err(BtfError::RecordSize { size, expected });
    }
    let mut at = 4;
    while at < part.len() {
        let section = word_at(part, at);
        let count = word_at(part, at + 4);
        let start = at + 8;
        let end = start as u64 + u64::from(count) * u64::from(size);
        let Some(of_section) = part.get(start..usize::try_from(end).unwrap_or(usize::MAX)) else {
            return Err(BtfError::Bounds {
                what: "records of a section",
                start: start as u64,
                end,
                len: part.len(),
            });
        };
        for record in of_section.chunks_exact(size as usize) {
            each(section, record);
        }
        at = end as usize;
    }
    Ok(())
}
