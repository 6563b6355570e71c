//! What the caller of a load may choose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::maps::{MapDef, MapId};
use crate::object::btf::Btf;
use crate::program::{ProgramId, ProgramType};

/// What the caller of [`Machine::load`](crate::Machine::load) may choose.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Initial values of global variables by name, little-endian, as long as the variable.
    pub globals: BTreeMap<String, Vec<u8>>,
    /// The kernel to whose types CO-RE relocations adapt the programs.
    pub btf: TargetBtf,
    /// Kernel configuration as in a `.config` file: `CONFIG_HZ` is `1000`, `CONFIG_NET` is `y`.
    pub kconfig: BTreeMap<String, String>,
    /// Capacities of maps in place of those that the object gives.
    pub max_entries: BTreeMap<String, u32>,
    /// What the inner maps of a map of maps look like, where the object does not say it or says it wrong.
    pub inner: BTreeMap<String, MapDef>,
    /// Programs to load, by name or section, with all that their program arrays hold; none for all
    /// that are not marked as optional. What the others need does not matter then.
    pub programs: Option<BTreeSet<String>>,
    /// Types of programs, by name or section, in place of what the section's name tells.
    pub types: BTreeMap<String, ProgramType>,
    /// Takes programs that the kernel refuses by their form or licence, as machines in user space do.
    pub lenient: bool,
    /// Maps of the machine to use in place of the object's maps of that name.
    pub shared: BTreeMap<String, MapId>,
}

/// Whose types CO-RE relocations adapt a program to.
#[derive(Debug, Clone, Default)]
pub enum TargetBtf {
    /// Those of the kernel that this process runs on, as libbpf does it.
    #[default]
    RunningKernel,
    /// The given ones.
    Given(Arc<Btf>),
    /// Those that the object was compiled with: nothing moves.
    Own,
    /// None: programs with such relocations are refused.
    None,
}

/// Where an object's programs and maps are in the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// By name.
    pub programs: BTreeMap<String, ProgramId>,
    /// By [name](crate::Object::map_name), those of global data included.
    pub maps: BTreeMap<String, MapId>,
}
