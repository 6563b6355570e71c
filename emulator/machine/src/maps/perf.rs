//! Perf event arrays (`kernel/bpf/arraymap.c`, `kernel/trace/bpf_trace.c`, `kernel/events/ring_buffer.c`).

use super::Record;
use crate::errno::Errno;
use crate::machine::Cpu;

/// An array of perf events, through which programs send records to user space.
#[derive(Debug)]
pub(super) struct PerfEvents {
    readers: Vec<Option<Reader>>,
    /// Of all readers, in the order in which they were sent: the CPU and where the bytes end.
    records: Vec<(Cpu, usize)>,
    bytes: Vec<u8>,
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
            bytes: Vec::new(),
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

    /// The bytes sent so far, to which those of the next record are appended before
    /// [`PerfEvents::send`] or [`PerfEvents::drop`] takes them back.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Sends a record whose bytes begin at the given position of the buffer.
    pub(super) fn send(
        &mut self,
        index: u32,
        cpu: Cpu,
        (bytes, start): (Vec<u8>, usize),
    ) -> Result<(), Errno> {
        let sent = self.claim(index, cpu, (bytes.len() - start) as u64);
        self.bytes = bytes;
        match sent {
            Ok(()) => self.records.push((cpu, self.bytes.len())),
            Err(_) => self.bytes.truncate(start),
        }
        sent
    }

    /// Gives the buffer back without a record whose packet is too short.
    pub(super) fn drop(&mut self, (bytes, start): (Vec<u8>, usize)) -> Errno {
        self.bytes = bytes;
        self.bytes.truncate(start);
        Errno::EFAULT
    }

    /// Takes the room of a record of `len` bytes.
    fn claim(&mut self, index: u32, cpu: Cpu, len: u64) -> Result<(), Errno> {
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
        Ok(())
    }

    /// Reads everything.
    pub(super) fn take(&mut self) -> Vec<Record> {
        for reader in self.readers.iter_mut().flatten() {
            reader.used = 0;
        }
        let mut start = 0;
        let records = self.records.drain(..).map(|(cpu, end)| {
            let bytes = self.bytes[std::mem::replace(&mut start, end)..end].to_vec();
            Record { cpu, bytes }
        });
        let records = records.collect();
        self.bytes.clear();
        records
    }

    pub(super) fn lost(&self) -> u64 {
        let readers = self.readers.iter().flatten();
        readers.map(|reader| reader.lost_in_all).sum()
    }
}
