//! What the fuzzers do with bytes: none of it may panic, hang or take memory without bounds.
//!
//! The cargo-fuzz targets in `fuzz/` include this folder, so that a find is the same bytes there and in
//! the tests.

mod btf;
mod decode_run;
mod object;

pub use btf::{btf, contents, replaced};
pub use decode_run::decode_run;
pub use object::object;

use twinpath_machine::engine::{Checked, Context, Engine, Invocation};
use twinpath_machine::{Cpu, Environment, Machine, MachineOptions, ProgramId};

/// Guest memory. A map that does not fit is refused.
const MEMORY: u32 = 16 << 20;

fn machine() -> Machine {
    let options = MachineOptions {
        memory: MEMORY,
        cpus: 2,
        ..Default::default()
    };
    Machine::new(options).expect("there is room for the arena")
}

/// Runs a program for a while. How it ends does not matter, as long as it ends.
fn run(
    machine: &mut Machine,
    environment: &mut dyn Environment,
    program: ProgramId,
    context: Context,
    budget: u64,
) {
    let mut engine = Checked::default();
    engine.budget = budget;
    let invocation = Invocation {
        program,
        cpu: Cpu(1),
        context,
        packet: None,
        bound: &[],
    };
    match engine.run(machine, environment, &invocation) {
        Ok(outcome) => assert!(outcome.cost.instructions <= budget),
        Err(fault) => assert!(!fault.kind.to_string().is_empty()),
    }
}
