//! A buffered view of a stream that never grows by more than the stream really delivers.

use std::io::{self, BufRead, ErrorKind, Read};

/// Bytes that are asked of the source at once.
const CHUNK: usize = 64 * 1024;

/// The unread part of a stream, of which as much is buffered as was asked for.
pub(super) struct Window<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
}

impl<R: Read> Window<R> {
    pub fn new(source: R) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
        }
    }

    /// How many bytes of the stream were consumed.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `wanted` bytes of the stream, or fewer where it ends before.
    pub fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        while self.end - self.start < wanted {
            self.make_room();
            if self.read_once()? == 0 {
                break;
            }
        }
        let available = wanted.min(self.end - self.start);
        Ok(&self.buffer[self.start..self.start + available])
    }

    /// Goes past `len` bytes that were peeked at.
    pub fn consume(&mut self, len: usize) {
        self.start += len.min(self.end - self.start);
        self.offset += len as u64;
    }

    /// Goes past `len` bytes that need not be looked at; returns how many there were.
    pub fn skip(&mut self, len: u64) -> io::Result<u64> {
        let mut left = len;
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let found = self.peek(step)?.len();
            self.consume(found);
            left -= found as u64;
            if found < step {
                break;
            }
        }
        Ok(len - left)
    }

    /// Leaves at least one free byte behind the buffered ones. The buffer doubles only when it is
    /// full of bytes that the source delivered, so a length field that lies costs nothing.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize((self.buffer.len() * 2).max(CHUNK), 0);
        }
    }

    fn read_once(&mut self) -> io::Result<usize> {
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// For the decompressor, which takes over a window that was peeked at.
impl<R: Read> Read for Window<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let buffered = self.fill_buf()?;
        let count = buffered.len().min(out.len());
        out[..count].copy_from_slice(&buffered[..count]);
        BufRead::consume(self, count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Window<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.peek(1)?;
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, len: usize) {
        Window::consume(self, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers one byte at a time, and is interrupted before each.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let count = self.0.len().min(out.len()).min(1);
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn a_window_moves_over_a_slow_source() {
        let bytes: Vec<u8> = (0..200).collect();
        let mut window = Window::new(Trickle(&bytes, false));
        assert_eq!(window.peek(3).unwrap(), [0, 1, 2]);
        window.consume(2);
        assert_eq!(window.peek(2).unwrap(), [2, 3]);
        assert_eq!(window.skip(100).unwrap(), 100);
        assert_eq!(window.peek(1).unwrap(), [102]);
        assert_eq!(window.offset(), 102);
        assert_eq!(window.skip(1000).unwrap(), 98);
        assert_eq!(window.peek(1).unwrap(), []);
    }

    #[test]
    fn a_wish_does_not_cost_memory() {
        let mut window = Window::new(&b"short"[..]);
        assert_eq!(window.peek(1 << 40).unwrap(), b"short");
        assert_eq!(window.buffer.len(), CHUNK);
    }
}
