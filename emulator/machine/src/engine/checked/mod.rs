//! The checked engine: an interpreter over decoded instructions that checks every access and counts.

mod alu;
mod execute;
mod frames;

use std::sync::Arc;

use super::{
    BUDGET, Engine, Invocation, MAX_ITERATIONS, Outcome, UninitializedStack, begin, no_program,
};
use crate::fault::Fault;
use crate::machine::{Cost, Cpu, Environment, Machine};
use crate::program::Program;

/// The checked engine.
#[derive(Debug)]
pub struct Checked {
    /// Instructions that a run may execute.
    pub budget: u64,
    trace: Option<Vec<Step>>,
}

/// One executed instruction of a traced run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The position of the program in the run's chain of tail calls, from 0.
    pub program: u32,
    /// The instruction's slot.
    pub instruction: u32,
    /// r0 to r10 before it.
    pub registers: [u64; 11],
}

impl Default for Checked {
    fn default() -> Self {
        Self {
            budget: BUDGET,
            trace: None,
        }
    }
}

impl Checked {
    /// Records each instruction of the runs that follow, until [`Checked::take_trace`].
    pub fn start_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// Ends tracing and returns what was recorded.
    pub fn take_trace(&mut self) -> Vec<Step> {
        self.trace.take().unwrap_or_default()
    }
}

/// A run under way.
struct Run<'a> {
    machine: &'a mut Machine,
    environment: &'a mut dyn Environment,
    cpu: Cpu,
    cost: Cost,
    budget: u64,
    tail_calls: u32,
    /// Iterations that `may_goto` still allows.
    iterations: u32,
    trace: Option<&'a mut Vec<Step>>,
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
        let Some(program) = machine.program(invocation.program).cloned() else {
            return Err(no_program(invocation));
        };
        let outer = machine.memory.enter();
        let references = machine.references.enter();
        let arguments = begin(machine, invocation);
        let mut run = Run {
            machine,
            environment,
            cpu: invocation.cpu,
            cost: Cost::default(),
            budget: self.budget,
            tail_calls: 0,
            iterations: MAX_ITERATIONS,
            trace: self.trace.as_mut(),
        };
        let result = run.start(program, arguments);
        let cost = run.cost;
        machine.references.leave(references);
        machine.memory.leave(outer);
        let warnings = machine.memory.take_warnings();
        let warnings = warnings.into_iter().map(warning).collect();
        result.map(|result| Outcome {
            result,
            cost,
            counted: true,
            warnings,
        })
    }
}

fn warning((instruction, offset, size): (u32, i32, u32)) -> UninitializedStack {
    UninitializedStack {
        instruction,
        offset,
        size,
    }
}

impl Run<'_> {
    fn start(&mut self, program: Arc<Program>, arguments: [u64; 5]) -> Result<u64, Box<Fault>> {
        self.execute(program, 0, 0, arguments)
    }
}
