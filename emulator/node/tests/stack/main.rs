//! The network stack against the running kernel: one description of nodes, wires, addresses and routes
//! is built from namespaces and veth pairs and in the emulator, the same frames are sent into both, and
//! what comes out of each edge is compared, byte by byte.
//!
//! Without the privileges each test says why it is skipped; with `TWINPATH_KERNEL=require` it fails.
//! Random networks: `TWINPATH_CASES` says how many, `TWINPATH_SEED` which.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr)] // A test that cannot set itself up has failed.

#[path = "../../../machine/tests/isa/asm.rs"]
#[allow(dead_code, clippy::trivially_copy_pass_by_ref)] // The machine's tests use all of it.
mod asm;

mod canonical;
mod cases;
mod compare;
mod emulated;
mod frames;
mod kernel;
mod net;
mod packet_socket;
mod programs;
mod random;
mod sysctl;
