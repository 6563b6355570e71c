//! The programs that are measured, and the ways of running them: criterion benches (`benches/engines.rs`) and
//! the table of ratios in README.md (`benches/table.rs`).

pub mod arms;
pub mod datapath;
pub mod kernel;
pub mod plain;
pub mod programs;
pub mod rig;
