//! Ring buffers (`kernel/bpf/ringbuf.c`).

use std::collections::VecDeque;

use super::{MapDef, Record};
use crate::machine::Cpu;
use crate::memory::{Memory, OutOfMemory};

/// Bytes of a record's header.
const HEADER: u32 = 8;
/// In a header's length: the record is not submitted yet.
const BUSY: u32 = 1 << 31;
/// In a header's length: the record was discarded.
const DISCARD: u32 = 1 << 30;
/// The largest record (`RINGBUF_MAX_RECORD_SZ`).
const MAX_RECORD: u64 = u32::MAX as u64 / 4;
/// Pages from the kernel's `struct bpf_ringbuf` to the data, which headers count in.
const META_PAGES: u32 = 3;

/// A ring of records.
///
/// The bytes lie as in the kernel, headers included, so that a reserved record shows a program what
/// the kernel's would: what lay there before. The kernel maps the data twice in a row; here a record
/// that goes over the end is copied when it is reserved and when it is committed.
#[derive(Debug)]
pub(super) struct RingBuf {
    start: u32,
    size: u32,
    /// Bytes ever reserved and ever read, headers included.
    producer: u64,
    consumer: u64,
    /// Who reserved the records that were not read yet.
    cpus: VecDeque<Cpu>,
}

/// What `bpf_ringbuf_query` tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Positions {
    pub(crate) size: u64,
    pub(crate) producer: u64,
    pub(crate) consumer: u64,
}

impl RingBuf {
    pub(super) fn new(def: &MapDef, memory: &mut Memory) -> Result<Self, OutOfMemory> {
        Ok(Self {
            start: memory.allocate(2 * u64::from(def.max_entries))?,
            size: def.max_entries,
            producer: 0,
            consumer: 0,
            cpus: VecDeque::new(),
        })
    }

    /// Reserves a record and returns the address of its bytes; none when there is no room.
    pub(super) fn reserve(&mut self, memory: &mut Memory, len: u64, cpu: Cpu) -> Option<u32> {
        if len > MAX_RECORD {
            return None;
        }
        let len = len as u32;
        let whole = whole(len);
        let after = self.producer + u64::from(whole);
        // A ring that is exactly full could not be told from an empty one.
        if after - self.consumer >= u64::from(self.size) {
            return None;
        }
        let offset = self.offset(self.producer);
        let over = (offset + whole).saturating_sub(self.size);
        memory.raw_copy(self.start, self.start + self.size, over);
        let at = self.start + offset;
        let header = memory.raw_mut(at, HEADER);
        header[..4].copy_from_slice(&(len | BUSY).to_le_bytes());
        header[4..].copy_from_slice(&(META_PAGES + offset / 4096).to_le_bytes());
        self.producer = after;
        self.cpus.push_back(cpu);
        Some(at + HEADER)
    }

    /// Ends the reservation of the record whose bytes are at this address.
    pub(super) fn commit(&self, memory: &mut Memory, record: u32, discard: bool) {
        let at = record - HEADER;
        let mut len = self.header(memory, at) & !BUSY;
        let over = (at - self.start + whole(len)).saturating_sub(self.size);
        memory.raw_copy(self.start + self.size, self.start, over);
        if discard {
            len |= DISCARD;
        }
        memory.raw_mut(at, 4).copy_from_slice(&len.to_le_bytes());
    }

    /// Reads what is committed, up to the first record that is not.
    pub(super) fn take(&mut self, memory: &Memory) -> Vec<Record> {
        let mut records = Vec::new();
        while self.consumer < self.producer {
            let at = self.start + self.offset(self.consumer);
            let header = self.header(memory, at);
            if header & BUSY != 0 {
                break;
            }
            let len = header & !DISCARD;
            self.consumer += u64::from(whole(len));
            let cpu = self.cpus.pop_front().unwrap_or_default();
            if header & DISCARD == 0 {
                let bytes = self.read(memory, at + HEADER, len);
                records.push(Record { cpu, bytes });
            }
        }
        records
    }

    pub(super) fn positions(&self) -> Positions {
        Positions {
            size: u64::from(self.size),
            producer: self.producer,
            consumer: self.consumer,
        }
    }

    fn offset(&self, position: u64) -> u32 {
        position as u32 & (self.size - 1)
    }

    fn header(&self, memory: &Memory, at: u32) -> u32 {
        let bytes = memory.raw(at, 4);
        bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte))
    }

    /// Bytes that may go over the end.
    fn read(&self, memory: &Memory, at: u32, len: u32) -> Vec<u8> {
        let before = len.min(self.start + self.size - at);
        let mut bytes = memory.raw(at, before).to_vec();
        bytes.extend_from_slice(memory.raw(self.start, len - before));
        bytes
    }
}

/// Bytes of a record with its header.
fn whole(len: u32) -> u32 {
    (len + HEADER).next_multiple_of(8)
}
