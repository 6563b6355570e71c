//! Repository chores: `cargo xtask objects` builds the eBPF objects, `--check` proves that those
//! which are committed are what the sources say and that the kernel takes them. `cargo xtask vm` runs
//! the suite on other kernels, under qemu; `cargo xtask complexity` writes down what the programs cost the kernels.

#![allow(clippy::print_stderr, reason = "a chore tells what went wrong")]

mod build;
mod complexity;
mod digest;
mod error;
mod io_error;
#[cfg(target_os = "linux")]
mod kernel;
mod objects;
mod paths;
mod process;
mod toolchain;
mod vm;

use std::fmt::Display;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "Repository chores", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile datapath/ebpf into datapath/objects
    Objects {
        /// Change nothing: fail if an object is older than its sources, if a rebuild differs from
        /// it, or if the kernel refuses it
        #[arg(long)]
        check: bool,
    },
    Vm(vm::Vm),
    Complexity(complexity::Complexity),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Objects { check } => {
            let result = if check {
                objects::check()
            } else {
                objects::write()
            };
            ended("build the objects", result.map(|()| ExitCode::SUCCESS))
        }
        Command::Complexity(complexity) => {
            ended("tell the complexity", complexity::run(&complexity))
        }
        Command::Vm(vm) => ended("run in a vm", vm::run(&vm)),
    }
}

fn ended(what: &str, result: Result<ExitCode, impl Display>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("failed to {what}: {error}");
        ExitCode::FAILURE
    })
}
