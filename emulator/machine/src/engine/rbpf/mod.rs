//! The rbpf engine: the `rbpf` crate's interpreter over the machine's memory, maps and helpers.
//!
//! It is a second opinion: another decoder and another interpreter. The program runs natively, which
//! needs [`Placement::Identity`](crate::Placement::Identity): a guest address is the host's. Pointers
//! carry no objects, so that the bounds of guest memory are all that is checked; instructions are not
//! counted.
//!
//! rbpf 0.4.1 differs from the kernel in places. Each program is rewritten before rbpf gets it:
//!
//! | rbpf | what is done |
//! |---|---|
//! | 64-bit comparisons take a negative immediate for a number below 2^32 | two signed comparisons |
//! | 32-bit modulo by zero keeps the upper half | truncated after |
//! | negation panics on the lowest number where overflow is checked | complement and add one |
//! | no signed division and modulo | by way of the unsigned ones |
//! | no sign-extending moves and loads, no `bswap` | shifts; conversion to big-endian |
//! | no `gotol`, and jumps are lost beyond 32,767 slots | a 16-bit jump; longer programs are refused |
//! | no atomics, load-acquire, store-release | plain loads and stores: nothing runs meanwhile |
//! | no `callx`, no pointers to functions | a chain of comparisons with the functions pointed at |
//! | no `may_goto`, and an endless loop never ends | counters that backward jumps take from |
//! | `LD_ABS` and `LD_IND` are host loads | a helper call |
//! | 512 bytes of the host's stack for all frames | r10 set to the machine's stack, a frame a call |
//! | backward calls overflow where that is checked | a forward call of a jump |
//! | helpers get no state and cannot stop a program | one stub that finds its run by a thread-local; the program looks whether it is to stop after each call |
//! | no tail calls | the stub runs the other program in the function's frame, then the function returns |
//! | bounds are checked for the first byte only | the range ends 8 bytes early |
//!
//! Refused: programs longer than 32,767 slots when rewritten, functions that call themselves or nest
//! deeper than 8 frames (the kernel refuses these too), memory that does not stand at its own address.
//!
//! rbpf's JIT is not used. It checks no bounds, so that a program's mistake would end the process; it
//! panics on long programs; its 32-bit register move keeps the upper half; it calls helpers with a
//! misaligned stack from within local functions; and it leaves pages of the heap executable.
//!
//! The budget is charged at backward jumps, with the length of the way back, and so is approximate.
//! rbpf allocates its own 512 bytes of stack for each run, which this engine does not use.

mod bridge;
mod cache;
mod control;
mod emit;
mod functions;
mod rewrite;
mod run;

use super::{Engine, Invocation, Outcome, begin, no_program};
use crate::fault::{Fault, FaultKind};
use crate::machine::{Environment, Machine};
use crate::program::ProgramId;
use cache::Cache;
use run::Run;

const NAME: &str = "rbpf";

/// The rbpf engine.
pub struct Rbpf {
    /// Instructions that a run may execute, counted at backward jumps.
    pub budget: u64,
    cache: Cache,
}

/// Why rbpf cannot run a program.
#[derive(Debug, thiserror::Error)]
pub enum RbpfError {
    /// rbpf's program counter has 16 bits.
    #[error("{0} instructions when rewritten, and rbpf's jumps reach 32767")]
    Long(usize),
    /// Recursion, or too many nested calls.
    #[error("functions nest deeper than {} frames", crate::memory::MAX_FRAMES)]
    CallDepth,
    /// The machine's memory is elsewhere.
    #[error("guest memory does not stand at its own address")]
    Placement,
    /// rbpf's own message.
    #[error("{0}")]
    Refused(#[source] std::io::Error),
}

impl From<RbpfError> for FaultKind {
    fn from(error: RbpfError) -> Self {
        Self::Engine {
            engine: NAME,
            message: error.to_string(),
        }
    }
}

impl Default for Rbpf {
    fn default() -> Self {
        Self {
            budget: super::BUDGET,
            cache: Cache::default(),
        }
    }
}

impl Rbpf {
    /// Rewrites a program now, so that what rbpf cannot run is known before it runs.
    ///
    /// # Errors
    /// Why rbpf cannot run it.
    pub fn prepare(&mut self, machine: &Machine, program: ProgramId) -> Result<(), RbpfError> {
        match machine.program(program) {
            Some(program) => self.cache.get(program, &machine.memory).map(|_| ()),
            None => Ok(()),
        }
    }
}

impl Engine for Rbpf {
    fn name(&self) -> &'static str {
        NAME
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
        let compiled = self.cache.get(&program, &machine.memory);
        let compiled =
            compiled.map_err(|error| Fault::before_start(&program.name, error.into()))?;
        let outer = machine.memory.enter();
        let references = machine.references.enter();
        let saved = control::save(&machine.memory);
        control::start(&mut machine.memory, self.budget);
        let (r1, r2) = begin(machine, invocation);
        let frame = machine.memory.native_stack(compiled.frames());
        let mut run = Run::new(
            machine,
            environment,
            &mut self.cache,
            invocation,
            self.budget,
            compiled.clone(),
        );
        let result = run.execute(compiled, 0, [r1, r2, 0, 0, 0], frame);
        let cost = run.cost;
        control::restore(&mut machine.memory, &saved);
        let settled = machine.references.settled();
        machine.references.leave(references);
        machine.memory.leave(outer);
        let result = result.and_then(|result| match settled {
            Ok(()) => Ok(result),
            Err(kind) => Err(Fault::before_start(&program.name, *kind).of(invocation.program)),
        });
        result.map(|result| Outcome {
            result,
            cost,
            counted: false,
            warnings: Vec::new(),
        })
    }
}
