//! Objects, put into the kernel.
//!
//! One loader reads objects for both worlds: the emulator's ([`twinpath_machine`]), which follows libbpf. It puts an
//! object into a machine that never runs; from there its maps, its programs and what stands in both from the start are
//! taken into the kernel as they are: maps (`maps.rs`), then programs, which are attached last (`attach.rs`).

mod attach;
mod maps;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aya::programs::ProgramError;
use twinpath_bpf::{Map, Program, ProgramInfo, ProgramSource, possible_cpus};
use twinpath_machine::{
    AttachType, Call, Checked, Environment, FaultKind, HelperId, LoadError, LoadOptions, Loaded,
    Machine, MachineOptions, MapId, Object, ObjectProgram, ProgramId, ProgramType, running_kconfig,
};

use super::code::{Function, Whole};
use super::error::Error;
use super::tap::{Observer, TapError, Watched};
use super::types::Types;
use crate::plan::{MapValue, MapWrite, NodeName, ObjectName, ObjectPlan, SocketProgram};
use crate::recording::ProgramLoad;
pub use attach::{Attached, Place};

/// An object whose maps are in the kernel; its programs are loaded one by one.
#[derive(Debug)]
pub struct LoadedObject {
    path: PathBuf,
    object: Object,
    /// Where the object was put together.
    machine: Machine,
    loaded: Loaded,
    maps: BTreeMap<String, Map>,
    types: Option<Types>,
    programs: BTreeMap<ProgramId, Program>,
    /// How they were loaded, in order.
    loads: Vec<Load>,
}

/// How a program was loaded.
#[derive(Debug, Clone)]
pub struct Load {
    /// The program.
    pub program: String,
    /// How long the kernel took.
    pub time: Duration,
    /// What it says of the program.
    pub info: ProgramInfo,
}

impl Load {
    /// As a recording has it, for an object of a node.
    pub fn on(&self, node: NodeName, object: ObjectName) -> ProgramLoad {
        let known = |number: u32| (number > 0).then_some(number);
        ProgramLoad {
            node,
            object,
            program: self.program.clone(),
            time: self.time,
            verified: known(self.info.verified),
            machine_code: known(self.info.machine_code),
        }
    }
}

/// What is to be loaded of an object.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Programs by name; all, if left out.
    pub programs: Option<BTreeSet<String>>,
    /// Types of programs, by name, in place of what their sections tell.
    pub types: BTreeMap<String, ProgramType>,
    /// Capacities of maps in place of those that the object gives.
    pub max_entries: BTreeMap<String, u32>,
}

/// Maps that objects of a node share, by the names under which they want to be pinned.
pub type Pinned = BTreeMap<String, OwnedFd>;

/// What the emulator lacks, the kernel may have.
struct Kernel;

impl Environment for Kernel {
    fn provides(&self, _helper: HelperId, _program: ProgramType) -> bool {
        true
    }

    fn helper(&mut self, call: &mut Call<'_>) -> Checked<u64> {
        Err(Box::new(FaultKind::Unsupported(call.helper.to_string())))
    }
}

/// `BPF_F_SLEEPABLE`
const SLEEPABLE: u32 = 1 << 4;
/// `BPF_F_XDP_HAS_FRAGS`
const FRAGMENTS: u32 = 1 << 5;

impl LoadedObject {
    /// Creates the object's maps, and loads the programs that they hold from the start. A map that it wants pinned is
    /// the one that an earlier object pinned under that name.
    ///
    /// # Errors
    /// When the bytes are no BPF object, a program or a global variable is unknown or of another size, or the kernel
    /// refuses.
    pub fn load(plan: &ObjectPlan, wanted: Wanted, pinned: &mut Pinned) -> Result<Self, Error> {
        let path = plan.path.clone();
        let object = Object::parse(&plan.bytes).map_err(|error| failed(&path, error))?;
        for name in wanted.programs.iter().flatten() {
            if object.program(name).is_none() {
                return Err(unknown_program(&path, &object, name));
            }
        }
        let options = MachineOptions {
            cpus: possible_cpus().map_err(Error::system("count the CPUs"))?,
            ..MachineOptions::default()
        };
        let mut machine = Machine::new(options).map_err(|error| failed(&path, error))?;
        let mut options = LoadOptions {
            globals: plan.globals.clone(),
            programs: wanted.programs,
            types: wanted.types,
            max_entries: wanted.max_entries,
            kconfig: running_kconfig(&object),
            ..LoadOptions::default()
        };
        let loaded = loop {
            match machine.load(&object, &options, &Kernel) {
                Ok(loaded) => break loaded,
                // Not each program of an object needs to be one that can be loaded.
                Err(LoadError::Untyped { program, .. }) if options.programs.is_none() => {
                    options.types.insert(program, ProgramType::SocketFilter);
                }
                Err(LoadError::Untyped { program, section }) => {
                    return Err(Error::UnknownSection {
                        program,
                        path,
                        section,
                    });
                }
                Err(error) => return Err(failed(&path, error)),
            }
        };
        let mut new = Self {
            path,
            types: object.btf().map(|btf| Types::of(Some(btf))),
            object,
            machine,
            loaded,
            maps: BTreeMap::new(),
            programs: BTreeMap::new(),
            loads: Vec::new(),
        };
        new.create_maps(pinned)?;
        new.fill_maps()?;
        Ok(new)
    }

    /// Puts a program into an array of programs.
    ///
    /// # Errors
    /// When the object lacks one of them, or the kernel refuses.
    pub fn hold(&mut self, map: &str, key: &[u8], program: &str) -> Result<(), Error> {
        let what = format!("put program `{program}` into map `{map}`");
        let program = self.verify(program)?.as_raw_fd();
        let map = self.map(map)?;
        let written = map.update(key, &program.to_ne_bytes(), 0);
        written.map_err(Error::system(what))
    }

    /// Writes an entry of a map of devices whose program is this one, or in its place the one that it was loaded as together
    /// with a tap. An entry with another program is left alone.
    ///
    /// # Errors
    /// When the object lacks one of them, or the kernel refuses.
    pub fn redirect(
        &mut self,
        entry: &MapWrite,
        name: &str,
        tapped: Option<&Program>,
    ) -> Result<(), Error> {
        let MapValue::Target { value, program } = &entry.value else {
            return Ok(());
        };
        if program != name {
            return Ok(());
        }
        let fd = match tapped {
            Some(tapped) => tapped.as_raw_fd(),
            None => self.verify(name)?.as_raw_fd(),
        };
        let mut value = *value;
        value[4..].copy_from_slice(&fd.to_ne_bytes());
        let what = format!("put program `{name}` into map `{}`", entry.map);
        let written = self.map(&entry.map)?.update(&entry.key, &value, 0);
        written.map_err(Error::system(what))
    }

    fn id(&self, name: &str) -> Result<ProgramId, Error> {
        let id = self.loaded.programs.get(name).copied();
        id.ok_or_else(|| unknown_program(&self.path, &self.object, name))
    }

    /// Has a program verified, unless that was done before, and gives it.
    ///
    /// # Errors
    /// When the object lacks it, or the verifier refuses it.
    pub fn verify(&mut self, name: &str) -> Result<&Program, Error> {
        self.verify_program(self.id(name)?)
    }

    /// Has each program verified that was loaded.
    ///
    /// # Errors
    /// When the verifier refuses one.
    pub fn verify_all(&mut self) -> Result<(), Error> {
        let ids: Vec<ProgramId> = self.loaded.programs.values().copied().collect();
        for id in ids {
            self.verify_program(id)?;
        }
        Ok(())
    }

    fn verify_program(&mut self, id: ProgramId) -> Result<&Program, Error> {
        if !self.programs.contains_key(&id) {
            let function = self.function_of(id)?;
            let whole = function.alone();
            let mut start = Instant::now();
            let described = load(&function, self.program_of(&function), &whole);
            // A description that the kernel does not take is no fault of the program.
            let loaded = described.or_else(|refusal| {
                let whole = Whole {
                    debug: None,
                    ..whole
                };
                start = Instant::now();
                load(&function, self.program_of(&function), &whole).map_err(|_| refusal)
            });
            let program = loaded.map_err(|refusal| Error::Refused {
                program: function.name.clone(),
                path: self.path.clone(),
                error: refusal.error,
                log: refusal.log,
            })?;
            let time = start.elapsed();
            let what = format!("read the kernel's description of `{}`", function.name);
            self.loads.push(Load {
                program: function.name,
                time,
                info: program.info().map_err(Error::system(what))?,
            });
            self.programs.insert(id, program);
        }
        Ok(&self.programs[&id])
    }

    fn program_of(&self, function: &Function) -> Option<&ObjectProgram> {
        self.object.program(&function.name)
    }

    fn function_of(&self, id: ProgramId) -> Result<Function, Error> {
        let program = self.machine.program(id);
        let program = program.ok_or_else(|| Error::UnknownProgram {
            program: format!("number {}", id.0),
            path: self.path.clone(),
            has: names(&self.object),
        })?;
        let maps = &self.loaded.maps;
        let maps: BTreeMap<MapId, &Map> = maps
            .iter()
            .filter_map(|(name, id)| Some((*id, self.maps.get(name)?)))
            .collect();
        let license = self.object.license().unwrap_or_default();
        let what = format!("link program `{}` of {}", program.name, self.path.display());
        Function::new(program, license, &maps, self.types.as_ref()).map_err(Error::system(what))
    }

    /// A program's instructions, if the object has it.
    pub fn function(&self, name: &str) -> Option<Function> {
        self.function_of(self.id(name).ok()?).ok()
    }

    /// What is known of a program of the object.
    pub fn program(&self, name: &str) -> Option<&ObjectProgram> {
        self.object.program(name)
    }

    /// Loads a program together with a tap, whose records carry the number.
    ///
    /// # Errors
    /// When there can be no tap on the program.
    pub fn tap(&self, name: &str, number: u32, observer: &Observer) -> Result<Program, TapError> {
        let function = self.function(name).ok_or(TapError::NoPackets)?;
        let watched = match function.kind {
            ProgramType::Xdp => Watched::Xdp {
                fragments: self.program(name).is_some_and(|program| program.fragments),
                hook: self
                    .program(name)
                    .and_then(|program| program.attach)
                    .unwrap_or(AttachType::Xdp),
            },
            ProgramType::SchedCls => Watched::Skb,
            _ => return Err(TapError::NoPackets),
        };
        observer.watch(number, watched, &function)
    }

    /// The same for a program at a hook of sockets.
    ///
    /// # Errors
    /// When there can be no tap on the program.
    pub fn tap_at_sockets(
        &self,
        attached: &SocketProgram,
        number: u32,
        observer: &Observer,
    ) -> Result<Program, TapError> {
        let function = self.function(&attached.program);
        let function = function.ok_or(TapError::NoPackets)?;
        observer.watch(number, Watched::Socket(attached.hook), &function)
    }

    /// Attaches a program, or in its place the one that it was loaded as together with a tap.
    ///
    /// # Errors
    /// When the object lacks the program, it is of a type for another kind of hook, or the kernel refuses.
    pub fn attach(
        &mut self,
        at: &Place<'_>,
        name: &str,
        tapped: Option<Program>,
    ) -> Result<Attached, Error> {
        let kind = self.machine.program(self.id(name)?);
        let kind = kind.map_or(ProgramType::Unspecified, |program| program.kind);
        let program = match tapped {
            Some(tapped) => tapped,
            None => self
                .verify(name)?
                .try_clone()
                .map_err(Error::system("duplicate a descriptor"))?,
        };
        at.attach(&program, kind).map_err(|error| match error {
            ProgramError::UnexpectedProgramType => Error::WrongHook {
                program: name.to_owned(),
                hook: at.hook.clone(),
                kind: kind.to_string(),
            },
            source => Error::Attach {
                program: name.to_owned(),
                hook: at.hook.clone(),
                source: Box::new(source),
            },
        })
    }

    /// One of the object's maps.
    ///
    /// # Errors
    /// When the object lacks it.
    pub fn map(&self, name: &str) -> Result<&Map, Error> {
        self.maps.get(name).ok_or_else(|| Error::UnknownMap {
            map: name.to_owned(),
            path: self.path.clone(),
            has: self.maps.keys().cloned().collect(),
        })
    }

    /// How the programs were loaded, in order, without those that were loaded with a tap.
    pub fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// All maps of the object, by name.
    pub fn maps(&self) -> &BTreeMap<String, Map> {
        &self.maps
    }
}

fn failed(path: &Path, source: impl StdError + Send + Sync + 'static) -> Error {
    Error::Load {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

fn names(object: &Object) -> Vec<String> {
    let programs = object.programs().iter();
    let mut names: Vec<String> = programs.map(|program| program.name.clone()).collect();
    names.sort_unstable();
    names
}

fn unknown_program(path: &Path, object: &Object, name: &str) -> Error {
    Error::UnknownProgram {
        program: name.to_owned(),
        path: path.to_owned(),
        has: names(object),
    }
}

fn load(
    function: &Function,
    program: Option<&ObjectProgram>,
    whole: &Whole,
) -> Result<Program, twinpath_bpf::Refusal> {
    let is = |property: fn(&ObjectProgram) -> bool| program.is_some_and(property);
    let mut flags = 0;
    if is(|program| program.fragments) {
        flags |= FRAGMENTS;
    }
    if is(|program| program.sleepable) {
        flags |= SLEEPABLE;
    }
    let attach = program.and_then(|program| program.attach);
    let attach = match function.kind {
        ProgramType::Xdp => Some(attach.unwrap_or(AttachType::Xdp)),
        // A filter is attached by its device, whatever its section says.
        ProgramType::SchedCls => None,
        _ => attach,
    };
    Program::load(&ProgramSource {
        attach_type: attach.map_or(0, |attach| attach as u32),
        license: &function.license,
        flags,
        debug: whole.debug.as_ref().map(|debug| debug.borrow()),
        ..ProgramSource::new(&function.name, function.kind as u32, &whole.instructions)
    })
}
