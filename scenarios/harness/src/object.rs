//! What an object file offers, as far as a plan needs to know before a backend loads it.

use std::collections::{BTreeMap, HashMap};

use aya_obj::{Object, ParseError, ProgramSection};

use crate::plan::HookKind;

/// Programs and maps of an object file.
#[derive(Debug, Clone)]
pub struct Contents {
    object: Object,
    /// By function name.
    pub programs: BTreeMap<String, ProgramKind>,
    /// By name, those of global data not included.
    pub maps: BTreeMap<String, MapShape>,
}

/// Where a program can be attached, told from its section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramKind {
    /// `xdp`.
    Xdp,
    /// `classifier` or `tc`.
    Tc,
    /// Any other kind of section; no hook of a device takes it.
    Other,
}

/// The sizes of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapShape {
    /// In bytes.
    pub key: usize,
    /// In bytes; of a per-CPU map, of one CPU's value.
    pub value: usize,
}

/// Why a file is no object that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// No ELF at all.
    #[error("not an ELF file; expected an object compiled for the bpf target")]
    NotElf,
    /// An ELF for a processor, not for BPF.
    #[error(
        "an ELF file for machine {0}, not for BPF (247); expected an object compiled for the bpf target"
    )]
    NotBpf(u16),
    /// An ELF whose sections or maps cannot be read.
    #[error("not a readable BPF object: {0}")]
    Unreadable(#[from] ParseError),
}

/// `e_machine` of BPF, from the ELF specification's registry.
const EM_BPF: u16 = 247;

impl Contents {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// When the bytes are no ELF file for BPF, or one that cannot be read.
    pub fn read(bytes: &[u8]) -> Result<Self, ObjectError> {
        match machine(bytes) {
            None => return Err(ObjectError::NotElf),
            Some(EM_BPF) => {}
            Some(other) => return Err(ObjectError::NotBpf(other)),
        }
        let object = Object::parse(bytes)?;
        let programs = object
            .programs
            .iter()
            .map(|(name, program)| (name.clone(), ProgramKind::of(&program.section)))
            .collect();
        let maps = object
            .maps
            .iter()
            .filter(|(name, _)| !name.starts_with('.'))
            .map(|(name, map)| {
                let shape = MapShape {
                    key: map.key_size() as usize,
                    value: map.value_size() as usize,
                };
                (name.clone(), shape)
            })
            .collect();
        Ok(Self {
            object,
            programs,
            maps,
        })
    }

    /// Whether a global variable of this name can be set to so many bytes.
    ///
    /// # Errors
    /// When there is no such variable, or when it has another size.
    pub fn check_global(&self, name: &str, value: &[u8]) -> Result<(), ParseError> {
        let globals = HashMap::from([(name, (value, true))]);
        self.object.clone().patch_map_data(globals)
    }
}

impl ProgramKind {
    fn of(section: &ProgramSection) -> Self {
        match section {
            ProgramSection::Xdp { .. } => Self::Xdp,
            ProgramSection::SchedClassifier => Self::Tc,
            _ => Self::Other,
        }
    }

    /// Whether a hook takes such a program.
    pub fn fits(self, hook: HookKind) -> bool {
        match self {
            Self::Xdp => matches!(hook, HookKind::Xdp | HookKind::XdpGeneric),
            Self::Tc => matches!(hook, HookKind::TcIngress | HookKind::TcEgress),
            Self::Other => false,
        }
    }
}

/// `e_machine` of an ELF file's header.
fn machine(bytes: &[u8]) -> Option<u16> {
    let header = bytes.strip_prefix(b"\x7fELF")?;
    let [low, high] = [*header.get(14)?, *header.get(15)?];
    match header.get(1)? {
        1 => Some(u16::from_le_bytes([low, high])),
        2 => Some(u16::from_be_bytes([low, high])),
        _ => None,
    }
}
