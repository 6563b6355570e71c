//! The checked engine: an interpreter over decoded instructions that checks every access and counts.

mod alu;
mod at;
mod frames;
mod operations;
mod registers;
mod run;
mod state;
mod threaded;
mod trace;

pub use trace::{Step, Trace, Write};

use super::{BUDGET, Engine, Invocation, MAX_ITERATIONS, Outcome, begin, no_program};
use crate::fault::Fault;
use crate::isa::Reg;
use crate::machine::{Cost, Environment, Machine};
use frames::{Frames, Known};
use run::{Limits, Run};

/// The checked engine.
#[derive(Debug)]
pub struct Checked {
    /// Instructions that a run may execute.
    pub budget: u64,
    trace: Option<Trace>,
    known: Known,
    frames: Frames,
}

impl Default for Checked {
    fn default() -> Self {
        Self {
            budget: BUDGET,
            trace: None,
            known: Known::default(),
            frames: Frames::default(),
        }
    }
}

impl Checked {
    /// Records the instructions of the runs that follow, so many of the last ones, until [`Checked::take_trace`].
    pub fn start_trace(&mut self, most: usize) {
        self.trace = Some(Trace::new(most));
    }

    /// Ends tracing and returns what was recorded.
    pub fn take_trace(&mut self) -> Trace {
        self.trace.take().unwrap_or_default()
    }
}

impl Engine for Checked {
    fn name(&self) -> &'static str {
        "checked"
    }

    fn run(
        &mut self,
        machine: &mut Machine,
        environment: &mut dyn Environment,
        invocation: &Invocation<'_>,
    ) -> Result<Outcome, Box<Fault>> {
        if self.known.learn(machine, invocation.program).is_none() {
            return Err(no_program(invocation));
        }
        let outer = machine.memory.enter();
        let references = machine.references.enter();
        let (r1, r2) = begin(machine, invocation);
        let budget = i64::try_from(self.budget).unwrap_or(i64::MAX);
        self.frames.clear();
        let mut run = Run {
            machine,
            environment,
            known: &mut self.known,
            frames: &mut self.frames,
            trace: self.trace.as_mut(),
            cpu: invocation.cpu,
            cost: Cost::default(),
            budget: self.budget,
            limits: Limits {
                instructions: budget,
                iterations: MAX_ITERATIONS,
            },
            tail_calls: 0,
            warnings: Vec::new(),
        };
        let mut function = run.function(invocation.program, 0);
        function.state.registers[Reg::R1] = r1;
        function.state.registers[Reg::R2] = r2;
        let result = run.call(&mut function);
        let mut cost = run.cost;
        cost.instructions = (budget - run.limits.instructions) as u64;
        let warnings = run.warnings;
        machine.references.leave(references);
        machine.memory.leave(outer);
        result.map(|result| Outcome {
            result,
            cost,
            counted: true,
            warnings,
        })
    }
}
