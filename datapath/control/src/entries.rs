//! Map entries, and the way into a backend's maps.

use twinpath_abi::{Ifindex, Mac, Record};

use crate::model::Problem;

/// A device of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The kernel's index of it.
    pub ifindex: Ifindex,
    /// Its Ethernet address.
    pub mac: Mac,
}

/// An entry of a map, as the programs see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The map's name.
    pub map: &'static str,
    /// The key's bytes.
    pub key: Vec<u8>,
    /// The value's bytes.
    pub value: Vec<u8>,
}

/// The maps of a loaded datapath, in the kernel or elsewhere.
pub trait MapWriter {
    /// Why a map did not take an entry.
    type Error;

    /// Creates an entry or replaces its value (`BPF_ANY`).
    ///
    /// # Errors
    /// There is no such map, it is full, or its keys or values have other sizes.
    fn update(&mut self, map: &str, key: &[u8], value: &[u8]) -> Result<(), Self::Error>;
}

/// A map that did not take an entry.
#[derive(Debug, thiserror::Error)]
#[error("map {map} did not take an entry: {error}")]
pub struct WriteError<E> {
    /// The map's name.
    pub map: &'static str,
    /// What it said.
    pub error: E,
}

impl Entry {
    pub(crate) fn new(map: &'static str, key: &impl Record, value: &impl Record) -> Self {
        Self {
            map,
            key: key.as_bytes().to_vec(),
            value: value.as_bytes().to_vec(),
        }
    }
}

/// Refuses more entries than a map holds.
pub(crate) fn within(map: &'static str, len: usize, max: usize) -> Result<(), Problem> {
    if len > max {
        return Err(Problem::TooMany { map, max });
    }
    Ok(())
}
