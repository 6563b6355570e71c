//! Checking a BTF blob as a whole (`btf_parse_hdr`, `btf_parse_type_sec` in `tools/lib/bpf/btf.c`).

use std::collections::BTreeMap;

use super::types::{HEADER, encoded_size, word_at};
use super::{Btf, Kind};

/// Why bytes are no BTF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum BtfError {
    #[error("does not start with a header of 24 bytes and the magic number 0xeb9f (little-endian)")]
    Header,
    #[error("has version {0}, expected 1")]
    Version(u8),
    #[error("has {what} from byte {start} to {end}, but is {len} bytes long")]
    Bounds {
        what: &'static str,
        start: u64,
        end: u64,
        len: usize,
    },
    #[error("has names that do not start and end with a zero byte")]
    Names,
    #[error("has type number {number} of unknown kind {kind}")]
    Kind { number: u32, kind: u32 },
    #[error("ends within type number {0}")]
    Truncated(u32),
    #[error("has records of {size} bytes, expected at least {expected} and a multiple of 4")]
    RecordSize { size: u32, expected: u32 },
}

const MAGIC: u16 = 0xeb9f;

impl Btf {
    /// Checks and keeps the contents of a `.BTF` section or of `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// When the bytes are no well-formed BTF.
    pub fn parse(bytes: &[u8]) -> Result<Self, BtfError> {
        let magic = bytes.first_chunk().map(|magic| u16::from_le_bytes(*magic));
        let header_len = word_at(bytes, 4);
        if magic != Some(MAGIC) || header_len < 24 || bytes.len() < 24 {
            return Err(BtfError::Header);
        }
        if bytes[2] != 1 {
            return Err(BtfError::Version(bytes[2]));
        }
        let part = |what, field| part(bytes, what, header_len, field);
        let types = part("types", 8)?;
        let names = part("names", 16)?;
        if names.first() != Some(&0) || names.last() != Some(&0) {
            return Err(BtfError::Names);
        }
        let mut btf = Self {
            starts: starts(types)?.into_boxed_slice(),
            types: types.into(),
            names: names.into(),
            sections: BTreeMap::new(),
        };
        let sections = btf
            .types()
            .filter(|(_, of)| matches!(of.kind, Kind::DataSection { .. }));
        btf.sections = sections.map(|(id, of)| (of.name.to_owned(), id)).collect();
        Ok(btf)
    }

    /// The types of the kernel that this process runs on (`/sys/kernel/btf/vmlinux`).
    ///
    /// # Errors
    /// When the file cannot be read or is no BTF.
    pub fn of_running_kernel() -> std::io::Result<Self> {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux")?;
        Self::parse(&bytes)
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

/// The part of a blob whose offset, from the header's end, and length are in two words of the header.
pub(super) fn part<'a>(
    bytes: &'a [u8],
    what: &'static str,
    header_len: u32,
    field: usize,
) -> Result<&'a [u8], BtfError> {
    let start = u64::from(header_len) + u64::from(word_at(bytes, field));
    let end = start + u64::from(word_at(bytes, field + 4));
    let range =
        usize::try_from(start).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
    bytes.get(range).ok_or(BtfError::Bounds {
        what,
        start,
        end,
        len: bytes.len(),
    })
}

fn starts(types: &[u8]) -> Result<Vec<u32>, BtfError> {
    let mut starts = Vec::with_capacity(types.len() / (HEADER + 8));
    let mut start = 0;
    while start < types.len() {
        let number = starts.len() as u32 + 1;
        let info = word_at(types, start + 4);
        let size = encoded_size(info).ok_or(BtfError::Kind {
            number,
            kind: info >> 24 & 0x1f,
        })?;
        if size > types.len() - start {
            return Err(BtfError::Truncated(number));
        }
        starts.push(start as u32);
        start += size;
    }
    Ok(starts)
}
