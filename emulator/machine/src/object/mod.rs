//! Objects: ELF files with programs and maps, as clang and rustc make them.
//!
//! Reading an object takes three steps: the container ([`object`](mod@::object) reads ELF), the types
//! ([`btf`]), and what they mean together: programs, maps, global data. Nothing here needs a machine;
//! [`Machine::load`](crate::Machine::load) puts an object into one.
//!
//! Aya has a crate for this, aya-obj, whose parts could not be used one by one: its type information
//! keeps members and parameters private, its relocations work only on objects that it has parsed
//! whole, and it knows neither initial entries of program arrays and maps of maps, nor `extern`
//! variables, nor maps in the layout of iproute2. Two loaders that share the work would have been
//! harder to follow than one. Where libbpf decides what something means, it is followed, and its
//! function is named.

pub mod btf;

mod code;
mod data;
mod elf;
mod error;
mod externs;
mod legacy;
mod maps;
mod parse;
mod references;
mod section;

pub use data::Global;
pub use error::ObjectError;
pub use externs::{Extern, ExternKind};
pub use parse::{Object, ObjectProgram};
pub use section::AttachType;

pub(crate) use code::{Function, Reference};
pub(crate) use maps::{Contents, Entry};
