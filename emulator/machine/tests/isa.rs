//! The instruction set on both engines and in the kernel: a case for each opcode, and random programs.
//!
//! Without the kernel the engines are held against the tables and against each other.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // A test that cannot set itself up has failed.

#[path = "kernel/program.rs"]
mod kernel;

#[path = "isa/alu.rs"]
mod alu;
#[path = "isa/arms.rs"]
mod arms;
#[path = "isa/asm.rs"]
#[allow(dead_code)] // Shared with the tests of faults.
mod asm;
#[path = "isa/case.rs"]
mod case;
#[path = "isa/emit.rs"]
mod emit;
#[path = "isa/flow.rs"]
mod flow;
#[path = "isa/form.rs"]
mod form;
#[path = "isa/generate.rs"]
mod generate;
#[path = "isa/memory.rs"]
mod memory;
#[path = "isa/random.rs"]
mod random;
