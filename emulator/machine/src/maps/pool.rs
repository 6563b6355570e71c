//! Blocks of equal size in guest memory, and which of them are free.

use crate::errno::Errno;
use crate::memory::{Memory, OutOfMemory};

/// The number of a block, by which a map finds what belongs to a key.
pub(super) type Slot = u32;

/// A pool and its free blocks.
#[derive(Debug)]
pub(super) struct Slots {
    pool: Pool,
    /// Given back; the last one is taken first, as from the kernel's free lists.
    free: Vec<Slot>,
    /// Blocks from here on were never taken.
    fresh: Slot,
}

impl Slots {
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            free: Vec::new(),
            fresh: 0,
        }
    }

    /// Takes a block.
    pub(super) fn take(&mut self, memory: &mut Memory) -> Result<Slot, Errno> {
        if let Some(slot) = self.free.pop() {
            return Ok(slot);
        }
        let slot = self.fresh;
        self.pool.reserve(memory, slot).map_err(|_| Errno::ENOMEM)?;
        self.fresh += 1;
        Ok(slot)
    }

    /// Gives a block back, which keeps its bytes until it is taken again.
    pub(super) fn give(&mut self, slot: Slot) {
        self.free.push(slot);
    }

    /// Guest address of a block that was taken.
    #[inline]
    pub(super) fn address(&self, slot: Slot) -> u32 {
        self.pool.address(slot)
    }
}

/// Blocks of guest memory that are found by number: one for each slot of a map.
///
/// A map that the kernel allocates when it is created has all its blocks at once, so that a run does not
/// meet an `ENOMEM` that the kernel would not have given. Others grow by doubling.
#[derive(Debug)]
pub(super) struct Pool {
    stride: u32,
    /// Blocks in the first chunk, a power of two if there are others. Each chunk after the second is
    /// twice as long as the one before.
    first: u32,
    chunks: Vec<u32>,
}

/// Blocks in the first chunk of a pool that grows.
const FIRST: u32 = 64;

impl Pool {
    /// All blocks at once; `stride` is a multiple of 8.
    pub(super) fn whole(memory: &mut Memory, stride: u32, count: u64) -> Result<Self, OutOfMemory> {
        let start = memory.allocate(u64::from(stride).saturating_mul(count))?;
        Ok(Self {
            stride,
            first: u32::try_from(count).unwrap_or(u32::MAX),
            chunks: vec![start],
        })
    }

    /// No blocks yet.
    pub(super) fn growing(stride: u32) -> Self {
        Self {
            stride,
            first: FIRST,
            chunks: Vec::new(),
        }
    }

    /// Makes sure that a block exists; blocks are asked for in ascending order.
    pub(super) fn reserve(&mut self, memory: &mut Memory, block: u32) -> Result<(), OutOfMemory> {
        let chunk = self.chunk_of(block).0;
        while self.chunks.len() <= chunk {
            let doublings = self.chunks.len().saturating_sub(1) as u32;
            let blocks = u64::from(self.first) << doublings;
            self.chunks
                .push(memory.allocate(u64::from(self.stride).saturating_mul(blocks))?);
        }
        Ok(())
    }

    /// Guest address of a block that exists.
    #[inline]
    pub(super) fn address(&self, block: u32) -> u32 {
        let (chunk, within) = self.chunk_of(block);
        self.chunks[chunk] + within * self.stride
    }

    #[inline]
    fn chunk_of(&self, block: u32) -> (usize, u32) {
        if block < self.first {
            return (0, block);
        }
        // The length of the first chunk is a power of two then.
        let doublings = (block >> self.first.trailing_zeros()).ilog2();
        (doublings as usize + 1, block - (self.first << doublings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Placement;

    #[test]
    fn blocks_of_a_growing_pool_do_not_overlap() {
        let mut memory = Memory::new(Placement::Anywhere, 1 << 22).expect("memory");
        let mut pool = Pool::growing(16);
        let mut seen = std::collections::BTreeSet::new();
        for block in 0..5_000 {
            pool.reserve(&mut memory, block).expect("room");
            assert!(seen.insert(pool.address(block)));
        }
        let gaps = seen.iter().zip(seen.iter().skip(1));
        assert!(gaps.into_iter().all(|(a, b)| b - a >= 16));
    }
}
