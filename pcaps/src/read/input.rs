//! A capture's bytes, and the place in it that an error names.

use std::io::{self, Read};

use super::error::{Place, Problem};
use super::window::Window;

/// The decompressed stream of a capture.
pub(super) struct Input<R> {
    window: Window<R>,
    compressed: bool,
    packets: u64,
    in_packet: bool,
    mark: u64,
}

impl<R: Read> Input<R> {
    pub fn new(window: Window<R>, compressed: bool) -> Self {
        Self {
            window,
            compressed,
            packets: 0,
            in_packet: false,
            mark: 0,
        }
    }

    /// The record or block that is being read.
    pub fn place(&self) -> Place {
        let offset = self.mark;
        match self.in_packet {
            true => Place::Packet {
                number: self.packets + 1,
                offset,
            },
            false => Place::Byte(offset),
        }
    }

    /// A record or block begins here, unless the capture ends: then true.
    pub fn begin(&mut self) -> Result<bool, Problem> {
        self.mark = self.window.offset();
        self.in_packet = false;
        Ok(self.peek(1)?.is_empty())
    }

    /// What began is a packet.
    pub fn enter_packet(&mut self) {
        self.in_packet = true;
    }

    /// The packet is read.
    pub fn leave_packet(&mut self) {
        self.packets += 1;
    }

    /// The next bytes, `len` of them at most.
    pub fn peek(&mut self, len: usize) -> Result<&[u8], Problem> {
        let compressed = self.compressed;
        self.window
            .peek(len)
            .map_err(|error| unreadable(error, compressed))
    }

    /// The next `len` bytes, which are (a part of) a `what`.
    pub fn peek_exact(&mut self, len: usize, what: &'static str) -> Result<&[u8], Problem> {
        let bytes = self.peek(len)?;
        if bytes.len() < len {
            return Err(Problem::Truncated {
                what,
                expected: len as u64,
                found: bytes.len() as u64,
            });
        }
        Ok(bytes)
    }

    /// Goes past `len` bytes of a `what`, peeked at or not.
    pub fn skip_exact(&mut self, len: u64, what: &'static str) -> Result<(), Problem> {
        let found = self
            .window
            .skip(len)
            .map_err(|error| unreadable(error, self.compressed))?;
        if found < len {
            return Err(Problem::Truncated {
                what,
                expected: len,
                found,
            });
        }
        Ok(())
    }

    /// Goes past `len` bytes that were peeked at.
    pub fn consume(&mut self, len: usize) {
        self.window.consume(len);
    }
}

fn unreadable(error: io::Error, compressed: bool) -> Problem {
    match compressed {
        true => Problem::Decompress(error),
        false => Problem::Read(error),
    }
}
