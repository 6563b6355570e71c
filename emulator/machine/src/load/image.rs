//! The bytes that maps of global data start with.

use std::collections::BTreeMap;

use super::kconfig;
use super::{LoadError, LoadOptions};
use crate::object::{Contents, Global, Object};

/// What is written into the maps of global data, by their position in the object.
pub(super) struct Images<'a> {
    object: &'a Object,
    bytes: BTreeMap<usize, Vec<u8>>,
    /// Parts of maps that are otherwise zero.
    parts: BTreeMap<usize, Vec<(u32, &'a [u8])>>,
}

impl<'a> Images<'a> {
    /// The values that the object gives, with those of the caller in their place.
    pub(super) fn new(object: &'a Object, options: &'a LoadOptions) -> Result<Self, LoadError> {
        let mut images = Self {
            object,
            bytes: BTreeMap::new(),
            parts: BTreeMap::new(),
        };
        for (position, def) in object.maps().iter().enumerate() {
            if options.shared.contains_key(&def.name) {
                continue;
            }
            match &object.sources[position].contents {
                Some(Contents::Bytes(bytes)) => {
                    images.bytes.insert(position, bytes.clone());
                }
                Some(Contents::Kconfig) => {
                    let bytes = kconfig::image(object, position, def.value_size, options)?;
                    images.bytes.insert(position, bytes);
                }
                Some(Contents::Zeroed) | None => {}
            }
        }
        for (name, bytes) in &options.globals {
            images.overwrite(variable(object, name)?, bytes)?;
        }
        Ok(images)
    }

    fn overwrite(&mut self, global: &Global, new: &'a [u8]) -> Result<(), LoadError> {
        if new.len() != global.size as usize {
            let problem = format!("is {} bytes, got {}", global.size, new.len());
            return Err(LoadError::global(&global.name, problem));
        }
        let start = global.offset as usize;
        match self.bytes.get_mut(&global.map) {
            Some(bytes) => bytes[start..start + new.len()].copy_from_slice(new),
            None => {
                let parts = self.parts.entry(global.map).or_default();
                parts.push((global.offset, new));
            }
        }
        Ok(())
    }

    /// What is to be written into a map, and where.
    pub(super) fn writes(&self, position: usize) -> impl Iterator<Item = (u32, &[u8])> {
        let whole = self.bytes.get(&position).map(|bytes| (0, bytes.as_slice()));
        let parts = self.parts.get(&position).into_iter().flatten();
        whole
            .into_iter()
            .chain(parts.map(|(offset, bytes)| (*offset, *bytes)))
    }

    /// The bytes that a variable starts with; zeroes where nothing is written.
    fn value(&self, global: &Global) -> Vec<u8> {
        let mut value = vec![0; global.size as usize];
        for (at, bytes) in self.writes(global.map) {
            let (start, end) = (i64::from(global.offset), i64::from(at));
            for (index, byte) in (end - start..).zip(bytes) {
                let slot = usize::try_from(index).ok();
                if let Some(slot) = slot.and_then(|index| value.get_mut(index)) {
                    *slot = *byte;
                }
            }
        }
        value
    }

    /// Bytes that no program can change.
    pub(super) fn constant(&self, position: usize, offset: u64, len: usize) -> Option<&[u8]> {
        let def = self.object.maps().get(position)?;
        let bytes = self.bytes.get(&position)?;
        let start = usize::try_from(offset).ok()?;
        let bytes = bytes.get(start..start.checked_add(len)?)?;
        def.flags.read_only_for_programs().then_some(bytes)
    }
}

/// The bytes that each global variable starts with.
pub(crate) fn initial_values(
    object: &Object,
    options: &LoadOptions,
) -> Result<Vec<Vec<u8>>, LoadError> {
    let images = Images::new(object, options)?;
    let globals = object.globals().iter();
    Ok(globals.map(|global| images.value(global)).collect())
}

/// The global variable of that name.
fn variable<'a>(object: &'a Object, name: &str) -> Result<&'a Global, LoadError> {
    let mut named = object.globals().iter().filter(|global| global.name == name);
    match (named.next(), named.next()) {
        (Some(global), None) => Ok(global),
        (Some(_), Some(_)) => Err(LoadError::global(name, "several variables have this name")),
        (None, _) => {
            let known = object.globals().iter().map(|global| global.name.as_str());
            let known = super::error::join(known);
            Err(LoadError::global(
                name,
                format!("no global variable has this name; there are {known}"),
            ))
        }
    }
}
