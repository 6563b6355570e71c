//! `bpf(2)`, safely: programs, maps, links and test runs of the running kernel, by plain numbers and bytes;
//! and sockets, whose calls programs answer.
//!
//! It knows nothing of the emulator, which is held against it. Numbers of program types, map types and places
//! to attach to are those of `enum bpf_prog_type`, `bpf_map_type` and `bpf_attach_type` in `linux/bpf.h`.
#![cfg(target_os = "linux")]

mod btf;
mod call;
mod cpu;
mod freed;
mod ids;
mod link;
mod map;
mod mapping;
mod mount;
mod perf;
mod program;
mod ring;
mod socket;
mod test_run;
mod tests;

pub use btf::{Types, load_btf};
pub use cpu::{possible_cpus, run_on};
pub use ids::{IdKind, loaded_ids, object_id};
pub use link::{attach_to_cgroup, link, open_pinned, pin};
pub use map::{Map, MapShape, MapSource};
pub use mount::Mount;
pub use perf::{PerfReader, PerfRecord};
pub use program::{DebugInfo, Program, ProgramInfo, ProgramSource, Refusal};
pub use ring::{RingReader, RingRecord};
pub use socket::{Socket, sockaddr};
pub use test_run::{TestInput, TestOutput};
pub use tests::{missing, missing_with, one_process_at_a_time};
