//! Map entries, and the way into a backend's maps.

use twinpath_abi::{Ifindex, Mac, Record};

use crate::model::{Cluster, ModelError};
use crate::{endpoints, prefilter, rules, services};

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

/// Why a cluster did not get into the maps.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The model itself is at fault.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A map did not take an entry.
    #[error("map {map} did not take an entry: {error}")]
    Map {
        /// The map's name.
        map: &'static str,
        /// What it said.
        error: E,
    },
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

impl Cluster {
    /// The map entries that tell the datapath of this cluster, in the order of the model.
    ///
    /// # Errors
    /// `devices` does not know a device, or the model contradicts itself.
    pub fn entries(
        &self,
        devices: impl Fn(&str) -> Option<Device>,
    ) -> Result<Vec<Entry>, ModelError> {
        let mut entries = endpoints::entries(&self.endpoints, devices)?;
        entries.extend(rules::policies(self)?);
        entries.extend(rules::identities(self));
        entries.extend(services::entries(&self.services)?);
        entries.extend(prefilter::entries(&self.deny)?);
        Ok(entries)
    }

    /// Writes the map entries.
    ///
    /// # Errors
    /// As for [`Cluster::entries`], or a map does not take an entry.
    pub fn write<W: MapWriter>(
        &self,
        devices: impl Fn(&str) -> Option<Device>,
        maps: &mut W,
    ) -> Result<(), WriteError<W::Error>> {
        for Entry { map, key, value } in self.entries(devices)? {
            maps.update(map, &key, &value)
                .map_err(|error| WriteError::Map { map, error })?;
        }
        Ok(())
    }
}
