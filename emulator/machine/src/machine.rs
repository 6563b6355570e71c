//! The machine: what the BPF side of one kernel holds.

use std::sync::Arc;

use crate::clock::{Clock, Random};
use crate::helpers::{Dynptrs, HelperId, Task};
use crate::maps::{CgroupKey, Maps, SocketId};
use crate::memory::{ArenaError, Memory, Placement, Pointer};
use crate::program::{Program, ProgramId, ProgramType};
use crate::references::References;
use crate::variables::Variables;

/// Memory, maps, programs, time and randomness: all that programs share.
#[derive(Debug)]
pub struct Machine {
    /// Guest memory.
    pub memory: Memory,
    /// The maps.
    pub maps: Maps,
    /// Time as programs see it.
    pub clock: Clock,
    /// Randomness as programs see it.
    pub random: Random,
    /// What `bpf_trace_printk` and `bpf_trace_vprintk` printed, until somebody takes it.
    pub trace: Vec<Printed>,
    /// On whose behalf programs run.
    pub task: Task,
    /// What the current run holds.
    pub references: References,
    /// The dynptrs on the stacks of the runs under way.
    pub dynptrs: Dynptrs,
    pub(crate) variables: Variables,
    /// A copy of a key, kept for its memory.
    pub(crate) key: Vec<u8>,
    cpus: u32,
    programs: Vec<Arc<Program>>,
}

/// How to make a [`Machine`].
#[derive(Debug, Clone, Copy)]
pub struct MachineOptions {
    /// Where guest memory stands; native engines need [`Placement::Identity`].
    pub placement: Placement,
    /// Bytes of guest memory, for maps, packets and stacks.
    pub memory: u32,
    /// Possible CPUs: the number of values that a per-CPU map has under a key.
    pub cpus: u32,
    /// Seed of [`Random`].
    pub seed: u64,
}

impl Default for MachineOptions {
    fn default() -> Self {
        Self {
            placement: Placement::Anywhere,
            memory: 1 << 30,
            cpus: 1,
            seed: 0,
        }
    }
}

/// What a program printed (`/sys/kernel/tracing/trace_pipe` in a kernel).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The program.
    pub program: String,
    /// The CPU that it ran on.
    pub cpu: Cpu,
    /// The monotonic clock then, in nanoseconds.
    pub at_ns: u64,
    /// The text, at most 1023 bytes of it; what is not UTF-8 is replaced.
    pub text: String,
}

/// A CPU by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cpu(pub u32);

/// What a run cost, in counts that are the same on each host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// eBPF instructions; a 64-bit immediate load is one, a helper's insides are none.
    pub instructions: u64,
    /// Helper calls.
    pub helpers: u64,
    /// Lookups, updates, deletions, pushes and pops that helpers made in maps.
    pub map_operations: u64,
}

impl Machine {
    /// A machine without maps and programs.
    ///
    /// # Errors
    /// When the host has no room for guest memory.
    pub fn new(options: MachineOptions) -> Result<Self, ArenaError> {
        Ok(Self {
            memory: Memory::new(options.placement, options.memory)?,
            maps: Maps::default(),
            clock: Clock::default(),
            random: Random::new(options.seed),
            trace: Vec::new(),
            task: Task::default(),
            references: References::default(),
            dynptrs: Dynptrs::default(),
            variables: Variables::default(),
            key: Vec::new(),
            cpus: options.cpus.max(1),
            programs: Vec::new(),
        })
    }

    /// Possible CPUs.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Adds a program.
    pub fn add_program(&mut self, program: Program) -> ProgramId {
        self.programs.push(Arc::new(program));
        ProgramId(self.programs.len() as u32 - 1)
    }

    /// The number of a program of this machine.
    pub(crate) fn program_id(&self, program: &Arc<Program>) -> Option<ProgramId> {
        let at = self
            .programs
            .iter()
            .position(|known| Arc::ptr_eq(known, program));
        at.map(|at| ProgramId(at as u32))
    }

    /// A program of this machine.
    pub fn program(&self, id: ProgramId) -> Option<&Arc<Program>> {
        self.programs.get(id.0 as usize)
    }
}

/// What surrounds the machine: the packet, the devices, the sockets.
pub trait Environment {
    /// Whether programs of this type may call a helper that the machine itself does not have.
    fn provides(&self, helper: HelperId, program: ProgramType) -> bool;

    /// Runs a helper for which [`Environment::provides`] holds.
    ///
    /// # Errors
    /// The fault that ends the run.
    fn helper(&mut self, call: &mut crate::Call<'_>) -> crate::Checked<u64>;

    /// Bytes of the packet at an offset, for the packet loads of classic BPF (`bpf_skb_load_helper_*`);
    /// none when they are outside the packet, which ends the program with 0.
    ///
    /// # Errors
    /// The fault that ends the run.
    fn load_packet(&mut self, machine: &Machine, offset: i32, into: &mut [u8]) -> Option<()> {
        let _ = (machine, offset, into);
        None
    }

    /// Appends the first `len` bytes of the packet that the current run is about, for events that
    /// carry them; false, with nothing appended, when it is shorter.
    fn packet_bytes(&mut self, machine: &Machine, len: u32, into: &mut Vec<u8>) -> bool {
        let _ = (machine, len, into);
        false
    }

    /// The socket that a pointer stands for; none when it is no pointer to a socket.
    fn socket(&mut self, machine: &Machine, pointer: Pointer) -> Option<SocketRef> {
        let _ = (machine, pointer);
        None
    }

    /// The socket of the context (`struct bpf_sock_ops`).
    fn context_socket(&mut self, machine: &Machine) -> Option<SocketId> {
        let _ = machine;
        None
    }

    /// A pointer to a socket that was found in a map; the program holds a reference to it then.
    ///
    /// # Errors
    /// The fault that ends the run.
    fn hold_socket(&mut self, call: &mut crate::Call<'_>, socket: SocketId) -> crate::Checked<u64> {
        let _ = socket;
        let name = format!("{} of a socket", call.helper);
        Err(Box::new(crate::FaultKind::Unsupported(name)))
    }

    /// The cgroup that the current program runs for, and how it is attached to it.
    fn cgroup(&mut self, machine: &Machine) -> Option<CgroupKey> {
        let _ = machine;
        None
    }
}

/// A socket behind a pointer that an environment gave to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketRef {
    /// The socket.
    pub id: SocketId,
    /// Whether it is a full one, not a request's or one in time-wait (`sk_fullsock`).
    pub full: bool,
}

/// An environment without anything: only the machine's own helpers work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Environment for Alone {
    fn provides(&self, _helper: HelperId, _program: ProgramType) -> bool {
        false
    }

    fn helper(&mut self, call: &mut crate::Call<'_>) -> crate::Checked<u64> {
        let name = call.helper.to_string();
        Err(Box::new(crate::FaultKind::Unsupported(name)))
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.instructions += other.instructions;
        self.helpers += other.helpers;
        self.map_operations += other.map_operations;
    }
}
