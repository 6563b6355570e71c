//! Buffers for packets, handed out again and again.

use twinpath_machine::memory::{Memory, OutOfMemory};

/// Bytes of a buffer: the largest packet, and as much again for headers to grow into.
pub(super) const BUFFER_SIZE: u32 = 128 << 10;

/// A buffer in guest memory; its guest address.
#[derive(Debug)]
pub(crate) struct Buffer(u32);

impl Buffer {
    /// Guest address of the first byte.
    pub(super) fn start(&self) -> u32 {
        self.0
    }
}

/// Buffers in guest memory.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    all: Vec<u32>,
    free: Vec<u32>,
    filling: u8,
}

impl Pool {
    /// Takes a buffer, a new one only when all are in use. Its bytes are whatever its last user left.
    pub(crate) fn take(&mut self, memory: &mut Memory) -> Result<Buffer, OutOfMemory> {
        if let Some(start) = self.free.pop() {
            return Ok(Buffer(start));
        }
        let start = memory.allocate(u64::from(BUFFER_SIZE))?;
        self.all.push(start);
        Ok(Buffer(start))
    }

    /// What the room before a packet is filled with.
    pub(crate) fn filling(&self) -> u8 {
        self.filling
    }

    /// Sets what the room before packets is filled with.
    pub(crate) fn fill(&mut self, filling: u8) {
        self.filling = filling;
    }

    /// Takes a buffer back.
    pub(crate) fn give(&mut self, buffer: Buffer) {
        self.free.push(buffer.0);
    }

    /// Takes every buffer back: no packet is under way any more.
    pub(crate) fn reset(&mut self) {
        self.free.clear();
        self.free.extend_from_slice(&self.all);
    }
}
