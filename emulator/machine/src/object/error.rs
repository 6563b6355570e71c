//! Why bytes are no object.

use super::btf::BtfError;

/// Why a file cannot be read as an eBPF object. What an object asks for and the emulator lacks is
/// found later, by [`Machine::load`](crate::Machine::load).
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The magic number is missing.
    #[error("is not an ELF file; expected an object compiled for the bpf target")]
    NotElf,
    /// An ELF file, but not for BPF.
    #[error("{0}; expected an object compiled for the bpf target")]
    Foreign(String),
    /// The container itself is damaged.
    #[error("is a damaged ELF file: {0}")]
    Malformed(String),
    /// A section is damaged or not what it should be.
    #[error("section {name}: {problem}")]
    Section {
        /// Its name.
        name: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A map's definition makes no sense.
    #[error("map {name}: {problem}")]
    Map {
        /// Its name.
        name: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The type information is damaged.
    #[error("section {section} {source}")]
    Btf {
        /// `.BTF` or `.BTF.ext`.
        section: &'static str,
        /// What is wrong.
        source: BtfError,
    },
}

impl ObjectError {
    pub(super) fn section(name: impl Into<String>, problem: impl ToString) -> Self {
        Self::Section {
            name: name.into(),
            problem: problem.to_string(),
        }
    }

    pub(super) fn map(name: impl Into<String>, problem: impl ToString) -> Self {
        Self::Map {
            name: name.into(),
            problem: problem.to_string(),
        }
    }
}

impl From<object::Error> for ObjectError {
    fn from(error: object::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}
