//! What an object file offers, as far as a plan needs to know before a backend loads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use twinpath_machine::object::btf::{Btf, TypeId};
use twinpath_machine::{AttachType, MapType, Object, ObjectError, ProgramType};

use crate::plan::HookKind;

/// Programs, maps and global variables of an object file.
#[derive(Debug, Clone)]
pub struct Contents {
    /// By function name, the type that the section's name gives.
    pub programs: BTreeMap<String, ProgramType>,
    /// By function name, the hook that the section's name gives, if it gives one.
    pub attach_types: BTreeMap<String, AttachType>,
    /// By name, those of global data not included.
    pub maps: BTreeMap<String, MapShape>,
    /// By name.
    pub globals: BTreeMap<String, GlobalShape>,
    /// The types of all these, if the object tells them.
    pub types: Option<Arc<Btf>>,
}

/// What a global variable looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalShape {
    /// Size in bytes.
    pub size: usize,
    /// Its type.
    pub of: Option<TypeId>,
}

/// What a map's keys and values look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapShape {
    /// Size in bytes.
    pub key: usize,
    /// Size in bytes; of a per-CPU map, of one CPU's value.
    pub value: usize,
    /// The types of its keys and values.
    pub types: Option<(TypeId, TypeId)>,
    /// Whether there is an element under each index from the start.
    pub array: bool,
    /// Whether it holds programs.
    pub programs: bool,
    /// Its type, if it holds devices or CPUs that packets are redirected to.
    pub targets: Option<MapType>,
}

impl Contents {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// When the bytes are no ELF file for BPF, or one that cannot be read.
    pub fn read(bytes: &[u8]) -> Result<Self, ObjectError> {
        let object = Object::parse(bytes)?;
        let programs = object.programs().iter();
        let attached = programs.clone();
        let attached = attached.filter_map(|program| Some((program.name.clone(), program.attach?)));
        let maps = object.maps().iter().enumerate();
        let globals = object.globals().iter();
        let globals = globals.filter(|global| !global.is_anonymous());
        Ok(Self {
            programs: programs
                .map(|program| (program.name.clone(), program.kind))
                .collect(),
            attach_types: attached.collect(),
            maps: maps
                .filter(|(position, _)| !object.is_global_data(*position))
                .map(|(position, map)| {
                    let shape = MapShape {
                        key: map.key_size as usize,
                        value: map.value_size as usize,
                        types: object.map_types(position),
                        array: matches!(map.kind, MapType::Array | MapType::PerCpuArray),
                        programs: map.kind == MapType::ProgArray,
                        targets: Some(map.kind).filter(|kind| {
                            matches!(
                                kind,
                                MapType::DevMap | MapType::DevMapHash | MapType::CpuMap
                            )
                        }),
                    };
                    (map.name.clone(), shape)
                })
                .collect(),
            globals: globals
                .map(|global| {
                    let size = global.size as usize;
                    let shape = GlobalShape {
                        size,
                        of: global.of,
                    };
                    (global.name.clone(), shape)
                })
                .collect(),
            types: object.btf().cloned().map(Arc::new),
        })
    }
}

/// Whether a hook takes programs of a type.
pub fn fits(program: ProgramType, hook: HookKind) -> bool {
    match hook.is_xdp() {
        true => program == ProgramType::Xdp,
        false => program == ProgramType::SchedCls,
    }
}

/// Whether programs of a type run at hooks of sockets.
pub const fn is_for_sockets(program: ProgramType) -> bool {
    matches!(
        program,
        ProgramType::CgroupSkb
            | ProgramType::CgroupSock
            | ProgramType::CgroupSockAddr
            | ProgramType::SkLookup
    )
}
