//! General helpers against the running kernel: formats, numbers, comparisons.
//!
//! `TWINPATH_CASES` sets how many cases each test gets, `TWINPATH_SEED` from which seed they are made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)] // These are tests.

#[path = "isa/asm.rs"]
#[allow(dead_code)] // Shared with the tests of the instruction set.
mod asm;
#[path = "helpers/available.rs"]
mod available;
#[path = "helpers/choose.rs"]
mod choose;
#[path = "helpers/formats.rs"]
mod formats;
#[allow(dead_code)] // Shared with the tests of maps.
mod kernel;
#[path = "helpers/sides.rs"]
mod sides;
#[path = "helpers/texts.rs"]
mod texts;
