//! The machine: what the BPF side of one kernel holds.

use std::sync::Arc;

use crate::clock::{Clock, Random};
use crate::helpers::HelperId;
use crate::maps::Maps;
use crate::memory::{ArenaError, Memory, Placement};
use crate::program::{Program, ProgramId, ProgramType};

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
    /// What `bpf_trace_printk` printed.
    pub trace: Vec<String>,
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
