//! Sockets against the running kernel: the contexts of programs at their hooks, which helpers those may
//! call, socket calls in a cgroup and a namespace of the test's own, lookups, options, SYN cookies.
//!
//! Without the privileges each test says why it is skipped; with `TWINPATH_KERNEL=require` it fails.
#![allow(dead_code)] // Lookups, options and cookies are still to come, and take the rest.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // A test that cannot set itself up has failed.

#[path = "../../../machine/tests/isa/asm.rs"]
#[allow(dead_code, clippy::trivially_copy_pass_by_ref)] // The machine's tests use all of it.
mod asm;

mod advised;
mod asked;
mod callbacks;
mod calls;
mod cases;
mod contexts;
mod hooks;
mod netlink;
mod place;
mod random;
mod recorder;
mod refused;
mod script;
mod sides;
mod sys;
