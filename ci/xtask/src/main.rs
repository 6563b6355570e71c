//! Repository chores: `cargo xtask objects` builds the eBPF objects, `--check` proves that those
//! which are committed are what the sources say and that the kernel takes them.

mod build;
mod digest;
mod error;
mod kernel;
mod objects;
mod paths;
mod smoke;
mod toolchain;

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
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Objects { check: false } => objects::write(),
        Command::Objects { check: true } => objects::check(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            objects::complain(&error);
            ExitCode::FAILURE
        }
    }
}
