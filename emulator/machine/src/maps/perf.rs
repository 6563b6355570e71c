//! Perf event arrays (`kernel/bpf/arraymap.c`, `kernel/trace/bpf_trace.c`, `kernel/events/ring_buffer.c`).

use super::Record;
use crate::errno::Errno;
use crate::machine::Cpu;

/// An array of perf events, through which programs send records to user space.
#[derive(Debug)]
pub(super) struct PerfEvents {
    readers: Vec<Option<Reader>>,
    /// Of all readers, in the order in which they were sent.
    records: Vec<(u32, Record)>,
}

/// User space's end of one CPU's events.
#[derive(Debug, Clone, Copy)]
struct Reader {
    /// Bytes of the buffer.
    size: u64,
    used: u64,
    /// Records that did not fit since the last one that did.
    lost: u64,
    /// Records that never fitted.
    lost_in_all: u64,
}

/// Bytes of a `PERF_RECORD_LOST`, which goes before the first record after a loss.
const LOST_RECORD: u64 = 24;

impl PerfEvents {
    pub(super) fn new(len: u32) -> Self {
        Self {
            readers: vec![None; len as usize],
            records: Vec::new(),
        }
    }

    /// Opens the events of a CPU with a buffer of so many bytes.
    pub(super) fn open(&mut self, index: u32, size: u64) -> Result<(), Errno> {
        let reader = Reader {
            size,
            used: 0,
            lost: 0,
            lost_in_all: 0,
        };
        *self.readers.get_mut(index as usize).ok_or(Errno::E2BIG)? = Some(reader);
        Ok(())
    }

    /// Closes the events of a CPU.
    pub(super) fn close(&mut self, index: u32) -> Result<(), Errno> {
        let reader = self.readers.get_mut(index as usize).ok_or(Errno::E2BIG)?;
        reader.take().map(drop).ok_or(Errno::ENOENT)
    }

    /// Sends a record of `len` bytes, which are made if there is room.
    pub(super) fn output(
        &mut self,
        index: u32,
        cpu: Cpu,
        len: u64,
        bytes: impl FnOnce() -> Vec<u8>,
    ) -> Result<(), Errno> {
        let reader = self.readers.get_mut(index as usize).ok_or(Errno::E2BIG)?;
        let reader = reader.as_mut().ok_or(Errno::ENOENT)?;
        if index != cpu.0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let lost = if reader.lost > 0 { LOST_RECORD } else { 0 };
        let whole = 8 + (len + 4).next_multiple_of(8) + lost;
        if reader.used + whole >= reader.size {
            reader.lost += 1;
            reader.lost_in_all += 1;
            return Err(Errno::ENOSPC);
        }
        reader.used += whole;
        reader.lost = 0;
        let bytes = bytes();
        self.records.push((index, Record { cpu, bytes }));
        Ok(())
    }

    /// Reads everything.
    pub(super) fn take(&mut self) -> Vec<Record> {
        for reader in self.readers.iter_mut().flatten() {
            reader.used = 0;
        }
        let records = std::mem::take(&mut self.records);
        records.into_iter().map(|(_, record)| record).collect()
    }

    pub(super) fn lost(&self) -> u64 {
        let readers = self.readers.iter().flatten();
        readers.map(|reader| reader.lost_in_all).sum()
    }
}
