//! Why a run ended before its program did.

mod explain;
mod objects;
mod report;

pub use report::{Note, Place as FaultPlace, Report};

use crate::Machine;
use crate::helpers::HelperId;
use crate::memory::{Memory, Object, Pointer, Widths};
use crate::program::ProgramId;

/// A program did what no verified program does, or met a limit.
///
/// The kernel's verifier would have refused most of these programs; the checked engine finds the
/// same mistakes on the path that a packet took.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// The program that ran, if it got that far.
    pub id: Option<ProgramId>,
    /// Its name.
    pub program: String,
    /// The instruction, counted in 8-byte slots from the program's start.
    pub instruction: u32,
    /// r0 to r10 when it happened, as far as the engine knows them.
    pub registers: [Option<Register>; 11],
}

/// What a register held.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    /// The value.
    pub value: u64,
    /// The object that the value points to, if it is a pointer.
    pub object: Object,
}

impl Register {
    pub(crate) fn new(value: u64, memory: &Memory) -> Self {
        Self {
            value,
            object: memory.object(Pointer(value)),
        }
    }

    /// What it held, in words: a number, or which object it pointed to.
    pub fn text(self, machine: &Machine) -> String {
        objects::register(self, machine)
    }
}

impl Fault {
    /// A fault of a program that did not get to its first instruction.
    #[cold]
    pub fn before_start(program: &str, kind: FaultKind) -> Box<Self> {
        Box::new(Self {
            kind,
            id: None,
            program: program.to_owned(),
            instruction: 0,
            registers: [None; 11],
        })
    }

    /// The same fault, of this program.
    pub(crate) fn of(mut self: Box<Self>, id: ProgramId) -> Box<Self> {
        self.id = Some(id);
        self
    }
}

/// What a [`Fault`] is about.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FaultKind {
    /// A load, a store or a helper reached outside the object that its pointer belongs to.
    #[error("invalid {access} of {size} bytes at {pointer:?}")]
    Memory {
        /// What was tried.
        access: Access,
        /// Where.
        pointer: Pointer,
        /// Bytes.
        size: u32,
        /// The object that the pointer was made for.
        object: Object,
        /// The argument of the helper that the pointer was, 1 to 5; none for the program's own access.
        argument: Option<(HelperId, u8)>,
    },
    /// A pointer that came from a lookup that found nothing was used.
    #[error("invalid {access} of {size} bytes through a null pointer")]
    Null {
        /// What was tried.
        access: Access,
        /// The pointer: null and an offset.
        pointer: Pointer,
        /// Bytes.
        size: u32,
        /// The last helper in this run that returned null, and the instruction that called it.
        lookup: Option<(HelperId, u32)>,
        /// The argument of the helper that the pointer was.
        argument: Option<(HelperId, u8)>,
    },
    /// A field of a context or socket that this program type may not access so.
    #[error("invalid {access} of {size} bytes at offset {offset} of {structure}")]
    Field {
        /// What was tried.
        access: Access,
        /// The structure's UAPI name.
        structure: &'static str,
        /// The field's name, if the offset is in one.
        field: Option<&'static str>,
        /// Bytes from the start of the structure.
        offset: u32,
        /// Bytes.
        size: u32,
        /// The widths at which the field may be accessed so.
        allowed: Widths,
    },
    /// Stack that was never written was read, and the run was told to treat that as a fault.
    #[error("read of {size} bytes of stack at r10{offset:+} that were never written")]
    Uninitialized {
        /// From the frame pointer of the frame that holds the bytes.
        offset: i32,
        /// The call depth of that frame.
        frame: u32,
        /// Bytes read.
        size: u32,
    },
    /// A helper got an argument that its contract forbids.
    #[error("argument {argument} of {helper}: {problem}")]
    Argument {
        /// The helper.
        helper: HelperId,
        /// 1 to 5.
        argument: u8,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The run needs something that the emulator does not have; found where it could not be found at load.
    #[error("{0} is not supported by the emulator")]
    Unsupported(String),
    /// The program ended while it held a reference.
    #[error("the program ends and still holds {what}, acquired by instruction {acquired_at}")]
    Leak {
        /// What was not given back.
        what: &'static str,
        /// The instruction that acquired it.
        acquired_at: u32,
    },
    /// A helper was called while a spin lock was held.
    #[error("call of {helper} while a spin lock is held, taken by instruction {locked_at}")]
    Locked {
        /// The helper.
        helper: HelperId,
        /// The instruction that took the lock.
        locked_at: u32,
    },
    /// The budget of instructions is used up.
    #[error("the budget of {budget} instructions is used up")]
    Budget {
        /// The budget.
        budget: u64,
    },
    /// More nested calls than the kernel's 8 frames.
    #[error("more than {} nested calls", crate::memory::MAX_FRAMES)]
    CallDepth,
    /// A jump left the program; only an engine's own error gets here.
    #[error("jump out of the program")]
    Wild,
    /// An engine other than the checked one failed with its own message.
    #[error("{engine}: {message}")]
    Engine {
        /// The engine.
        engine: &'static str,
        /// Its message.
        message: String,
    },
}

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}
