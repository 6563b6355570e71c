//! Calls that leave a program or come back into it: tail calls, callbacks, `may_goto`. Random programs in the
//! running kernel and on both engines; results, maps and the order of what happened must be equal.
//!
//! `TWINPATH_CASES` says how many (200 unless set), `TWINPATH_SEED` which (1 unless set).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)] // These are tests.

#[path = "isa/asm.rs"]
#[allow(dead_code)] // Shared with the tests of the instruction set.
mod asm;
#[path = "calls/callbacks.rs"]
mod callbacks;
#[path = "calls/code.rs"]
mod code;
#[path = "kernel/program.rs"]
#[allow(dead_code)] // Shared with the tests of maps.
mod kernel;
#[path = "calls/may_goto.rs"]
mod may_goto;
#[path = "calls/rig.rs"]
mod rig;
#[path = "calls/tail.rs"]
mod tail;
