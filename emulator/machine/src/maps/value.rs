//! How the values of a map lie in guest memory.

use super::MapDef;
use crate::errno::Errno;
use crate::machine::Cpu;
use crate::memory::Memory;

/// Where the bytes of a new value come from.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// Guest memory, checked for the map's value size.
    Guest(u32),
    /// The host's memory; exactly the map's value size.
    Host(&'a [u8]),
}

/// A new value as one of the two faces of a map gives it.
#[derive(Debug, Clone, Copy)]
pub(super) enum New<'a> {
    /// A program's, which sets one CPU's value; or user space's for a map that is not per CPU.
    One(Value<'a>, Cpu),
    /// User space's for a per-CPU map: [`Shape::block`] bytes.
    All(&'a [u8]),
}

impl New<'_> {
    /// The CPU that does it; user space is said to run on the first.
    pub(super) fn cpu(self) -> Cpu {
        match self {
            Self::One(_, cpu) => cpu,
            Self::All(_) => Cpu(0),
        }
    }
}

/// The shape of what a map stores under a key: one value, or one for each CPU, each rounded up to 8.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Bytes of one value.
    pub(super) size: u32,
    /// Bytes from one CPU's value to the next.
    pub(super) stride: u32,
    /// Values under a key.
    pub(super) copies: u32,
    /// Whether there is one for each CPU.
    pub(super) per_cpu: bool,
    /// Where in a value the spin lock lies, whose bytes no update touches.
    lock: Option<u32>,
}

/// Bytes of a `struct bpf_spin_lock`.
pub(super) const LOCK_SIZE: u32 = 4;

impl Shape {
    pub(super) fn new(def: &MapDef, cpus: u32) -> Self {
        let per_cpu = def.kind.is_per_cpu();
        Self {
            size: def.value_size,
            stride: def.value_size.next_multiple_of(8),
            copies: if per_cpu { cpus } else { 1 },
            per_cpu,
            lock: def.lock,
        }
    }

    /// Bytes under a key, which is also what user space reads and writes at once if the map is per CPU.
    pub(super) fn block(&self) -> u32 {
        self.stride * self.copies
    }

    /// Where one CPU's value lies in a block.
    #[inline]
    pub(super) fn at(&self, block: u32, cpu: Cpu) -> u32 {
        if self.per_cpu {
            block + cpu.0 * self.stride
        } else {
            block
        }
    }

    /// Sets the value of a block that did not hold one: other CPUs' values become zero.
    pub(super) fn init(&self, memory: &mut Memory, block: u32, new: New<'_>) {
        if self.per_cpu && matches!(new, New::One(..)) {
            memory.raw_mut(block, self.block()).fill(0);
        }
        self.store(memory, block, new);
    }

    /// Overwrites what a block holds, but for the spin lock.
    pub(super) fn store(&self, memory: &mut Memory, block: u32, new: New<'_>) {
        match new {
            New::All(bytes) => memory.raw_mut(block, self.block()).copy_from_slice(bytes),
            New::One(value, cpu) => {
                let at = self.at(block, cpu);
                match self.lock {
                    None => put(memory, at, value, 0, self.size),
                    Some(lock) => {
                        put(memory, at, value, 0, lock);
                        put(memory, at, value, lock + LOCK_SIZE, self.size);
                    }
                }
            }
        }
    }

    /// What user space reads: the value with a zero for the spin lock, or all CPUs' values.
    pub(super) fn load(&self, memory: &Memory, block: u32) -> Vec<u8> {
        if self.per_cpu {
            return memory.raw(block, self.block()).to_vec();
        }
        let mut bytes = memory.raw(block, self.size).to_vec();
        if let Some(lock) = self.lock {
            bytes[lock as usize..(lock + LOCK_SIZE) as usize].fill(0);
        }
        bytes
    }

    /// The value of each CPU, without what rounds it up.
    pub(super) fn values(&self, memory: &Memory, block: u32) -> Vec<Vec<u8>> {
        let bytes = self.load(memory, block);
        let values = bytes.chunks(self.stride as usize);
        values
            .map(|value| value[..self.size as usize].to_vec())
            .collect()
    }

    /// Whether values have a spin lock.
    pub(super) fn has_lock(&self) -> bool {
        self.lock.is_some()
    }
}

/// Copies the bytes `from..to` of a value.
fn put(memory: &mut Memory, address: u32, value: Value<'_>, from: u32, to: u32) {
    match value {
        Value::Guest(source) => memory.raw_copy(source + from, address + from, to - from),
        Value::Host(bytes) => memory
            .raw_mut(address + from, to - from)
            .copy_from_slice(&bytes[from as usize..to as usize]),
    }
}

/// When an update may go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// `BPF_ANY`
    Always,
    /// `BPF_NOEXIST`
    Absent,
    /// `BPF_EXIST`
    Present,
}

/// `BPF_F_LOCK`
pub(super) const F_LOCK: u64 = 4;

impl When {
    /// The condition that an update's flags name.
    pub(super) fn from_flags(flags: u64) -> Result<Self, Errno> {
        match flags {
            0 => Ok(Self::Always),
            1 => Ok(Self::Absent),
            2 => Ok(Self::Present),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The error of an update whose condition does not hold.
    pub(super) fn allow(self, exists: bool) -> Result<(), Errno> {
        match self {
            Self::Absent if exists => Err(Errno::EEXIST),
            Self::Present if !exists => Err(Errno::ENOENT),
            _ => Ok(()),
        }
    }
}
