//! Arrays, per CPU too (`kernel/bpf/arraymap.c`).

use super::value::{F_LOCK, New, Shape};
use super::{MapDef, When};
use crate::errno::Errno;
use crate::machine::Cpu;
use crate::memory::{Memory, OutOfMemory};

/// An array of fixed length whose elements always exist.
#[derive(Debug)]
pub(super) struct Array {
    start: u32,
    len: u32,
    /// Bytes from one element to the next.
    stride: u32,
    pub(super) shape: Shape,
}

impl Array {
    pub(super) fn new(def: &MapDef, memory: &mut Memory, cpus: u32) -> Result<Self, OutOfMemory> {
        let shape = Shape::new(def, cpus);
        let stride = shape.block();
        let start = memory.allocate(u64::from(stride) * u64::from(def.max_entries))?;
        Ok(Self {
            start,
            len: def.max_entries,
            stride,
            shape,
        })
    }

    /// The block of an element.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let index = index(key)?;
        (index < self.len).then(|| self.start + index * self.stride)
    }

    #[inline]
    pub(super) fn lookup(&self, key: &[u8], cpu: Cpu) -> Option<u32> {
        Some(self.shape.at(self.find(key)?, cpu))
    }

    pub(super) fn update(
        &self,
        memory: &mut Memory,
        key: &[u8],
        new: New<'_>,
        flags: u64,
    ) -> Result<(), Errno> {
        // Where user space sets all CPUs' values at once, BPF_F_LOCK is unknown.
        let locked = flags & F_LOCK != 0 && matches!(new, New::One(..));
        let when = When::from_flags(if locked { flags & !F_LOCK } else { flags })?;
        let block = self.find(key).ok_or(Errno::E2BIG)?;
        when.allow(true)?;
        if locked && !self.shape.has_lock() {
            return Err(Errno::EINVAL);
        }
        self.shape.store(memory, block, new);
        Ok(())
    }

    /// All elements, by index.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (u32, u32)> {
        let (start, stride) = (self.start, self.stride);
        (0..self.len).map(move |index| (index, start + index * stride))
    }
}

/// The index that a key of four bytes is.
#[inline]
pub(super) fn index(key: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(key.try_into().ok()?))
}

/// The index after a key in an array of `len` elements: the first one after an unknown key or none.
pub(super) fn index_after(key: Option<&[u8]>, len: u32) -> Result<u32, Errno> {
    match key.and_then(index) {
        Some(last) if last == len - 1 => Err(Errno::ENOENT),
        Some(index) if index < len => Ok(index + 1),
        _ => Ok(0),
    }
}
