//! Where text goes.

/// A buffer that text is written to, as far as it reaches.
#[derive(Debug)]
pub(in crate::helpers) struct Out<'a> {
    buffer: &'a mut [u8],
    len: u64,
}

impl<'a> Out<'a> {
    pub(in crate::helpers) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Bytes of the whole text without the closing zero, whether or not they had room.
    pub(in crate::helpers) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= self.buffer.len() as u64
    }

    fn room(&mut self) -> &mut [u8] {
        let start = self.len.min(self.buffer.len() as u64) as usize;
        &mut self.buffer[start..]
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let room = self.room();
        let fitting = bytes.len().min(room.len());
        room[..fitting].copy_from_slice(&bytes[..fitting]);
        self.len += bytes.len() as u64;
    }

    pub(super) fn fill(&mut self, byte: u8, count: i64) {
        let Ok(count) = u64::try_from(count) else {
            return;
        };
        let room = self.room();
        let fitting = (room.len() as u64).min(count) as usize;
        room[..fitting].fill(byte);
        self.len += count;
    }

    /// Ends the text with a zero, in place of its last byte when it is too long.
    pub(super) fn close(&mut self) {
        let at = self.len.min((self.buffer.len() as u64).saturating_sub(1)) as usize;
        if let Some(last) = self.buffer.get_mut(at) {
            *last = 0;
        }
    }
}
