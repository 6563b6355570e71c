//! Engines: what executes a program's instructions.

mod callback;
mod checked;
mod rbpf;

pub(crate) use callback::calls_back;
pub use checked::{Checked, Step, Trace, Write};
pub use rbpf::{Rbpf, RbpfError};

use crate::fault::{Fault, FaultKind};
use crate::machine::{Cost, Cpu, Environment, Machine};
use crate::memory::{BEFORE, Layout, Object, ObjectKind};
use crate::program::ProgramId;

/// How many tail calls a run may make (`MAX_TAIL_CALL_CNT`).
pub const MAX_TAIL_CALLS: u32 = 33;
/// Instructions that a run may execute unless set otherwise.
pub const BUDGET: u64 = 1_000_000;
/// How often `may_goto` falls through (`BPF_MAX_LOOPS`).
const MAX_ITERATIONS: u32 = 8 * 1024 * 1024;

/// Something that executes programs.
pub trait Engine: Send {
    /// The engine's name in reports.
    fn name(&self) -> &'static str;

    /// Runs a program once.
    ///
    /// # Errors
    /// The fault that ended the run early.
    fn run(
        &mut self,
        machine: &mut Machine,
        environment: &mut dyn Environment,
        invocation: &Invocation<'_>,
    ) -> Result<Outcome, Box<Fault>>;
}

/// One run to make.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// The program.
    pub program: ProgramId,
    /// The CPU that it runs on.
    pub cpu: Cpu,
    /// What r1 points to.
    pub context: Context,
    /// Where packet pointers of the context may reach, from the metadata's start to the packet's end.
    pub packet: Option<(u32, u32)>,
    /// Objects to which fields of the context point.
    pub bound: &'a [Object],
}

/// The argument of a program.
#[derive(Debug, Clone, Copy)]
pub enum Context {
    /// A structure with rules for its fields at a guest address.
    Struct(u32, &'static Layout),
    /// Plain memory at a guest address; r2 is its length, as user-space machines do it.
    Memory(u32, u32),
    /// Nothing: r1 and r2 are 0.
    None,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// r0 at the end.
    pub result: u64,
    /// What it cost. An engine that does not count leaves the instructions at 0.
    pub cost: Cost,
    /// Whether `cost.instructions` was counted.
    pub counted: bool,
    /// Reads of stack that was never written.
    pub warnings: Vec<UninitializedStack>,
}

/// A read of stack that was never written. The kernel lets privileged programs do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UninitializedStack {
    /// The program.
    pub program: ProgramId,
    /// The instruction's slot.
    pub instruction: u32,
    /// From the frame pointer, in bytes.
    pub offset: i32,
    /// Bytes.
    pub size: u32,
}

/// Names the run's packet, context and bound objects; r1 and r2 at the start.
#[inline]
fn begin(machine: &mut Machine, invocation: &Invocation<'_>) -> (u64, u64) {
    if let Some((start, end)) = invocation.packet {
        machine.memory.set_packet(start, end);
    }
    for object in invocation.bound {
        machine.memory.bind(*object);
    }
    match invocation.context {
        Context::Struct(address, layout) => {
            machine.memory.set_context(address, layout);
            (machine.memory.context().0, 0)
        }
        Context::Memory(address, len) => {
            let kind = ObjectKind::Buffer("the program's memory");
            let pointer = machine.memory.push(Object::new(kind, address, len, BEFORE));
            (pointer.0, u64::from(len))
        }
        Context::None => (0, 0),
    }
}

#[cold]
fn no_program(invocation: &Invocation<'_>) -> Box<Fault> {
    let number = format!("program number {}", invocation.program.0);
    Fault::before_start("", FaultKind::Unsupported(number))
}
