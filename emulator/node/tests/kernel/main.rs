//! The node against the running kernel.
//!
//! `TWINPATH_CASES` and `TWINPATH_SEED` say how many random cases and which; with
//! `TWINPATH_KERNEL=require` a test that cannot use the kernel fails, and is skipped otherwise.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // A test that cannot set itself up has failed.

mod access;
mod helpers;
mod steps;
mod structures;
mod support;
