//! The eBPF machine: loading, guest memory, engines, maps and general helpers

pub mod engine;
pub mod errno;
pub mod helpers;
pub mod inspect;
pub mod isa;
pub mod maps;
pub mod memory;
pub mod object;

mod bare;
mod clock;
mod fault;
mod load;
mod machine;
mod program;
mod references;
mod uapi;
mod variables;

pub use clock::{Clock, Random};
pub use errno::Errno;
pub use fault::{Access, Fault, FaultKind, FaultPlace, Note, Register, Report};
pub use helpers::{AskedSlice, Call, Dynptr, DynptrData, Dynptrs, HelperId, Task};
pub use load::{
    LoadError, LoadOptions, Loaded, Missing, Place, RefusedBy, TargetBtf, running_kconfig,
};
pub use machine::{Alone, Cost, Cpu, Environment, Machine, MachineOptions, Printed, SocketRef};
pub use maps::{
    CgroupKey, Entry, Map, MapDef, MapError, MapFlags, MapId, MapType, Maps, Record, SocketId,
    Target,
};
pub use memory::{Checked, Memory, Placement, Pointer, Tag};
pub use object::{AttachType, Object, ObjectError, ObjectProgram};
pub use program::{Function, Line, Program, ProgramId, ProgramType};
pub use references::{Reference, References, Resource};
pub use variables::{VariableError, VariableId};
