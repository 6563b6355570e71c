//! User space's end of a ring buffer.

use std::io;
use std::os::fd::AsFd;

use super::map::Map;
use super::mapping::{Mapping, PAGE};

/// A reader of a ring buffer whose programs do not run while it reads.
#[derive(Debug)]
pub struct RingReader {
    consumer: Mapping,
    /// The producer's position, then the data twice.
    producer: Mapping,
    size: usize,
}

/// Of a record's header: it is being written.
const BUSY: u32 = 1 << 31;
/// Of a record's header: it was discarded.
const DISCARDED: u32 = 1 << 30;

impl RingReader {
    /// Maps a ring buffer.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(map: &Map) -> io::Result<Self> {
        let size = map.shape().max_entries as usize;
        Ok(Self {
            consumer: Mapping::new(map.as_fd(), PAGE, 0, true)?,
            producer: Mapping::new(map.as_fd(), PAGE + 2 * size, PAGE, false)?,
            size,
        })
    }

    /// Reads what is committed.
    pub fn take(&self) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        let mut position = self.consumer.word(0);
        while position < self.producer.word(0) {
            let at = PAGE + (position as usize & (self.size - 1));
            let header = self.producer.word(at) as u32;
            if header & BUSY != 0 {
                break;
            }
            let len = (header & !DISCARDED) as usize;
            if header & DISCARDED == 0 {
                records.push(self.producer.bytes(at + 8, len));
            }
            position += (len + 8).next_multiple_of(8) as u64;
        }
        self.consumer.set_word(0, position);
        records
    }
}
