//! Single programs over single packets, by `BPF_PROG_TEST_RUN`.
//!
//! No device and no namespace is needed, and any object will do.
//!
//! ```no_run
//! use twinpath::kernel::test_run::{Object, TestInput};
//!
//! let bytes = std::fs::read("program.o")?;
//! let mut object = Object::load("program.o", bytes, &Default::default())?;
//! let output = object.program("entry")?.test_run(TestInput::packet(&[0; 64]))?;
//! println!("returned {} and {} bytes", output.code, output.packet.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use twinpath_machine::ProgramType;

pub use twinpath_bpf::{Map, Program, TestInput, TestOutput};

use super::contents::{self, Cpus};
use super::error::Error;
use super::namespace::Namespace;
pub use super::object::Wanted;
use super::object::{LoadedObject, Pinned};
use super::run::{self, raise_memory_limit};
use crate::plan::{NodeName, ObjectName, ObjectPlan};
use crate::recording::{MapContents, ProgramLoad};

/// An object whose maps are in the kernel.
#[derive(Debug)]
pub struct Object {
    object: LoadedObject,
}

impl Object {
    /// Creates an object's maps, with the given values for its global variables. The path is for messages.
    ///
    /// # Errors
    /// When the bytes are no BPF object, a global variable is unknown or of another size, or the kernel refuses.
    pub fn load(
        path: impl Into<PathBuf>,
        bytes: impl Into<Arc<[u8]>>,
        globals: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, Error> {
        raise_memory_limit();
        let plan = plan(path, bytes, globals);
        Ok(Self {
            object: LoadedObject::load(&plan, Wanted::default(), &mut Pinned::new())?,
        })
    }

    /// Has one of the object's programs verified.
    ///
    /// # Errors
    /// When the object lacks it, it is of a type that is not supported, or the verifier refuses it.
    pub fn program(&mut self, name: &str) -> Result<Program, Error> {
        let program = self.object.verify(name)?.try_clone();
        program.map_err(Error::system("duplicate a descriptor"))
    }

    /// One of the object's maps.
    ///
    /// # Errors
    /// When the object lacks it.
    pub fn map(&self, name: &str) -> Result<&Map, Error> {
        self.object.map(name)
    }
}

/// Has programs of an object verified, all or some, with the given values for its global variables; what the kernel made
/// of each, and of those that they are loaded with.
///
/// # Errors
/// As for [`Object::load`] and [`Object::program`].
pub fn verify(
    path: impl Into<PathBuf>,
    bytes: impl Into<Arc<[u8]>>,
    globals: &BTreeMap<String, Vec<u8>>,
    wanted: Wanted,
) -> Result<Vec<ProgramLoad>, Error> {
    raise_memory_limit();
    let plan = plan(path, bytes, globals);
    let mut object = LoadedObject::load(&plan, wanted, &mut Pinned::new())?;
    object.verify_all()?;
    let loads = object.loads().iter();
    Ok(loads
        .map(|load| load.on(NodeName::only(), plan.name.clone()))
        .collect())
}

fn plan(
    path: impl Into<PathBuf>,
    bytes: impl Into<Arc<[u8]>>,
    globals: &BTreeMap<String, Vec<u8>>,
) -> ObjectPlan {
    ObjectPlan {
        name: ObjectName::new("object"),
        path: path.into(),
        bytes: bytes.into(),
        globals: globals.clone(),
    }
}

/// A program of any object, with its maps.
#[derive(Debug)]
pub struct Loaded {
    program: Program,
    object: LoadedObject,
}

impl Loaded {
    /// Loads a program as one of a type, whatever its section's name tells, with the given values for global
    /// variables. The path is for messages.
    ///
    /// # Errors
    /// When the object cannot be loaded, or the kernel refuses.
    pub fn load(
        path: impl Into<PathBuf>,
        bytes: impl Into<Arc<[u8]>>,
        globals: &BTreeMap<String, Vec<u8>>,
        max_entries: &BTreeMap<String, u32>,
        name: &str,
        kind: ProgramType,
    ) -> Result<Self, Error> {
        raise_memory_limit();
        let plan = plan(path, bytes, globals);
        let wanted = Wanted {
            programs: Some(BTreeSet::from([name.to_owned()])),
            types: BTreeMap::from([(name.to_owned(), kind)]),
            max_entries: max_entries.clone(),
        };
        let mut object = LoadedObject::load(&plan, wanted, &mut Pinned::new())?;
        let program = object.verify(name)?.try_clone();
        let program = program.map_err(Error::system("duplicate a descriptor"))?;
        Ok(Self { program, object })
    }

    /// The program.
    pub const fn program(&self) -> &Program {
        &self.program
    }

    /// All maps of the object, by name.
    pub fn maps(&self) -> &BTreeMap<String, Map> {
        self.object.maps()
    }
}

/// Runs something on a thread of its own, on one CPU and in a new network namespace, whose loopback device the
/// packets come from: what a program sends does not reach this machine's devices.
///
/// # Errors
/// When there can be no such thread, and those of what is run.
pub fn apart<T, E>(run: impl FnOnce() -> Result<T, E> + Send) -> Result<T, E>
where
    T: Send,
    E: From<Error> + Send,
{
    run::apart("test run", |_| {
        let _namespace = Namespace::create().map_err(Error::system("make a network namespace"))?;
        run()
    })
}

/// Runs a program of an object over packets, one after another, on the same maps.
///
/// # Errors
/// As for [`Object::load`], [`Object::program`] and [`Program::test_run`].
pub fn run_packets<'a>(
    path: impl Into<PathBuf>,
    bytes: impl Into<Arc<[u8]>>,
    program: &str,
    packets: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<TestOutput>, Error> {
    let mut object = Object::load(path, bytes, &BTreeMap::new())?;
    let verified = object.program(program)?;
    packets
        .into_iter()
        .map(|packet| {
            let output = verified.test_run(TestInput::packet(packet));
            output.map_err(Error::system(format!("run program `{program}`")))
        })
        .collect()
}

/// Writes an element of a map; each CPU of a per-CPU map gets the value.
///
/// # Errors
/// For a key or value of the wrong size, a map that is not written by value, and the kernel's refusal.
pub fn write_map(map: &Map, key: &[u8], value: &[u8]) -> Result<(), Error> {
    contents::write(map, "map", key, value, Cpus::All)
}

/// Reads all of a map; `None` for a kind of map whose elements are no plain bytes, and for constants.
///
/// # Errors
/// The kernel's.
pub fn read_map(map: &Map) -> io::Result<Option<MapContents>> {
    contents::read(map)
}
