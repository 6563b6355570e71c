//! An object's maps: made, and filled with what they hold from the start.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use twinpath_bpf::{Map, MapShape, MapSource, Types, load_btf};
use twinpath_machine::{MapDef, MapId, MapType, ProgramId};

use super::{LoadedObject, Pinned};
use crate::kernel::error::Error;

impl LoadedObject {
    pub(super) fn create_maps(&mut self, pinned: &mut Pinned) -> Result<(), Error> {
        let types = self.types.as_ref();
        let types = types.and_then(|types| load_btf(&types.bytes()).ok());
        for (position, def) in self.object.maps().iter().enumerate() {
            let name = self.object.map_name(position);
            let Some(id) = self.loaded.maps.get(&name) else {
                continue;
            };
            let shared = pinned
                .get(&def.name)
                .filter(|_| self.object.is_pinned(position));
            let what = || format!("make map `{}` of {}", def.name, self.path.display());
            let map = match shared {
                Some(fd) => fd.try_clone().and_then(Map::from_fd),
                None => {
                    let of_map = self.object.map_types(position);
                    let types = types.as_ref().zip(of_map).map(|(btf, (key, value))| Types {
                        btf: btf.as_fd(),
                        key: key.0,
                        value: value.0,
                    });
                    let sized = MapDef {
                        // The kernel adds to these by itself what it then refuses to be given.
                        flags: def.flags,
                        ..self.machine.maps[*id].def().clone()
                    };
                    create(&sized, types)
                }
            };
            let map = map.map_err(Error::system(what()))?;
            if self.object.is_global_data(position) {
                self.write_global_data(*id, &map)
                    .map_err(Error::system(what()))?;
            }
            if self.object.is_pinned(position) {
                let fd = map.as_fd().try_clone_to_owned();
                pinned.insert(def.name.clone(), fd.map_err(Error::system(what()))?);
            }
            self.maps.insert(name, map);
        }
        Ok(())
    }

    fn write_global_data(&self, id: MapId, map: &Map) -> io::Result<()> {
        let source = &self.machine.maps[id];
        for (key, values) in source.entries(&self.machine.memory) {
            map.update(&key, &values.concat(), 0)?;
        }
        // The verifier takes for constants what nobody can change any more.
        if source.def().flags.read_only_for_programs() {
            map.freeze()?;
        }
        Ok(())
    }

    /// Puts programs and maps into the arrays and maps that hold them from the start.
    pub(super) fn fill_maps(&mut self) -> Result<(), Error> {
        let maps: Vec<(String, MapId)> = self.loaded.maps.clone().into_iter().collect();
        for (name, id) in &maps {
            let kind = self.machine.maps[*id].def().kind;
            if !matches!(
                kind,
                MapType::ProgArray | MapType::ArrayOfMaps | MapType::HashOfMaps
            ) {
                continue;
            }
            for (key, values) in self.machine.maps[*id].entries(&self.machine.memory) {
                let number = values
                    .first()
                    .and_then(|value| value.first_chunk().copied());
                let number = number.map_or(0, u32::from_le_bytes);
                let fd = if kind == MapType::ProgArray {
                    Some(self.verify_program(ProgramId(number))?.as_raw_fd())
                } else {
                    let inner = maps.iter().find(|(_, id)| id.0 == number);
                    inner.and_then(|(name, _)| Some(self.maps.get(name)?.as_raw_fd()))
                };
                let (Some(fd), Some(map)) = (fd, self.maps.get(name)) else {
                    continue;
                };
                let what = format!("fill map `{name}` of {}", self.path.display());
                map.update(&key, &fd.to_ne_bytes(), 0)
                    .map_err(Error::system(what))?;
            }
        }
        Ok(())
    }
}

/// Makes a map as it is defined. The types of its keys and values are left out if the kernel does not want them.
fn create(def: &MapDef, types: Option<Types<'_>>) -> io::Result<Map> {
    let inner = def.inner.as_deref().map(|inner| create(inner, None));
    let inner = inner.transpose()?;
    let source = MapSource {
        name: &def.name,
        shape: MapShape {
            kind: def.kind as u32,
            key_size: def.key_size,
            value_size: def.value_size,
            max_entries: def.max_entries,
            flags: def.flags.0,
        },
        extra: def.extra,
        inner: inner.as_ref().map(AsFd::as_fd),
        types,
    };
    let described = Map::from_source(&source);
    if described.is_ok() || source.types.is_none() {
        return described;
    }
    Map::from_source(&MapSource {
        types: None,
        ..source
    })
    .or(described)
}
