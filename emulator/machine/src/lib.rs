//! The eBPF machine: loading, guest memory, engines, maps and general helpers

pub mod engine;
pub mod errno;
pub mod helpers;
pub mod isa;
pub mod maps;
pub mod memory;

mod bare;
mod clock;
mod fault;
mod machine;
mod program;

pub use clock::{Clock, Random};
pub use errno::Errno;
pub use fault::{Access, Fault, FaultKind};
pub use helpers::{Call, HelperId};
pub use machine::{Alone, Cost, Cpu, Environment, Machine, MachineOptions};
pub use maps::{Entry, Map, MapDef, MapError, MapFlags, MapId, MapType, Maps, Record};
pub use memory::{Checked, Memory, Placement, Pointer, Tag};
pub use program::{Function, Line, Program, ProgramId, ProgramType};
