//! User space's end of a ring buffer.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use super::map::Map;
use super::mapping::{Mapping, PAGE};

/// A reader of a ring buffer. Its descriptor is readable when there are records.
#[derive(Debug)]
pub struct RingReader {
    fd: OwnedFd,
    consumer: Mapping,
    /// The producer's position, then the data twice.
    producer: Mapping,
    size: usize,
}

/// What a program reserved in a ring buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingRecord {
    /// It was submitted.
    Submitted(Vec<u8>),
    /// It was discarded: so many bytes, which nobody is to see.
    Discarded(usize),
}

/// Of a record's header: it is being written.
const BUSY: u32 = 1 << 31;
/// Of a record's header: it was discarded.
const DISCARDED: u32 = 1 << 30;
/// Bytes of a record's header, and what records are aligned to (`kernel/bpf/ringbuf.c`).
const HEADER: usize = 8;

impl RingReader {
    /// Maps a ring buffer.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(map: &Map) -> io::Result<Self> {
        let size = map.shape().max_entries as usize;
        Ok(Self {
            fd: map.as_fd().try_clone_to_owned()?,
            consumer: Mapping::new(map.as_fd(), PAGE, 0, true)?,
            producer: Mapping::new(map.as_fd(), PAGE + 2 * size, PAGE, false)?,
            size,
        })
    }

    /// Bytes that it holds, of which the kernel never fills the last.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Takes all records up to the first that is still being written.
    pub fn take(&self) -> Vec<RingRecord> {
        let mut records = Vec::new();
        let mut position = self.consumer.word(0);
        while position < self.producer.word(0) {
            let at = PAGE + (position as usize & (self.size - 1));
            let header = self.producer.word(at) as u32;
            if header & BUSY != 0 {
                break;
            }
            let len = (header & !DISCARDED) as usize;
            let record = match header & DISCARDED {
                0 => RingRecord::Submitted(self.producer.bytes(at + HEADER, len)),
                _ => RingRecord::Discarded(len),
            };
            position += record.room() as u64;
            records.push(record);
        }
        self.consumer.set_word(0, position);
        records
    }
}

impl RingRecord {
    /// The bytes, unless they were discarded.
    pub fn submitted(self) -> Option<Vec<u8>> {
        match self {
            Self::Submitted(bytes) => Some(bytes),
            Self::Discarded(_) => None,
        }
    }

    /// Bytes that it took up in the ring.
    pub fn room(&self) -> usize {
        let len = match self {
            Self::Submitted(bytes) => bytes.len(),
            Self::Discarded(len) => *len,
        };
        (len + HEADER).next_multiple_of(HEADER)
    }
}

impl AsRawFd for RingReader {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
