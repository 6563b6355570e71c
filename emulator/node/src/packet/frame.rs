//! The bytes of one packet, with the room around them.

use twinpath_machine::Errno;
use twinpath_machine::memory::{Memory, OutOfMemory};

use super::Pool;
use super::pool::{BUFFER_SIZE, Buffer};

/// Where the data of a fresh packet begins in its buffer: room for headers to grow into.
const FIRST_DATA: u32 = 24 << 10;

/// What the kernel rounds an expanded head up to (`NET_SKB_PAD` on x86-64 and arm64).
pub(crate) const SKB_PAD: u32 = 64;

/// A packet's bytes in guest memory.
///
/// The kernel keeps a packet in a linear buffer with room before and behind it, and sometimes a part
/// of it in pages. Here all bytes lie in a row; `linear` says how many of them programs may reach.
/// The room is counted as the kernel has it, because helpers fail or reallocate depending on it.
#[derive(Debug)]
pub(crate) struct Frame {
    buffer: Buffer,
    /// Guest address of the kernel's buffer.
    head: u32,
    /// Guest address of the first byte of the packet.
    data: u32,
    /// Bytes of the linear part.
    linear: u32,
    /// Bytes in all.
    len: u32,
    /// Guest address behind the kernel's buffer, where `struct skb_shared_info` would begin.
    limit: u32,
    /// Guest address behind the last byte that has ever been the packet's in this buffer.
    used: u32,
}

impl Frame {
    /// A packet with these bytes, `headroom` bytes before and `tailroom` behind them. The headroom
    /// is filled as the pool says.
    pub(crate) fn new(
        pool: &mut Pool,
        memory: &mut Memory,
        bytes: &[u8],
        headroom: u32,
        tailroom: u32,
    ) -> Result<Self, OutOfMemory> {
        let buffer = pool.take(memory)?;
        let data = buffer.start() + FIRST_DATA;
        let len = bytes.len() as u32;
        memory
            .raw_mut(data - headroom, headroom)
            .fill(pool.filling());
        memory.raw_mut(data, len).copy_from_slice(bytes);
        Ok(Self {
            buffer,
            head: data - headroom,
            data,
            linear: len,
            len,
            limit: data + len + tailroom,
            used: data + len,
        })
    }

    /// The same bytes in another buffer, the headroom's too.
    pub(crate) fn copy(&self, pool: &mut Pool, memory: &mut Memory) -> Result<Self, OutOfMemory> {
        let buffer = pool.take(memory)?;
        let offset = buffer.start().wrapping_sub(self.buffer.start());
        let moved = |address: u32| address.wrapping_add(offset);
        let used = self.headroom() + self.len;
        memory.raw_copy(self.head, moved(self.head), used);
        Ok(Self {
            buffer,
            head: moved(self.head),
            data: moved(self.data),
            linear: self.linear,
            len: self.len,
            limit: moved(self.limit),
            used: moved(self.data) + self.len,
        })
    }

    /// Gives the packet's buffer other room: before the packet, filled as the pool says, `linear` bytes linear, and so
    /// much room behind them. The packet may lie elsewhere afterwards.
    pub(crate) fn lay_out(
        &mut self,
        pool: &Pool,
        memory: &mut Memory,
        headroom: u32,
        linear: u32,
        tailroom: u32,
    ) {
        let data = self.buffer.start() + FIRST_DATA;
        if self.data != data {
            memory.raw_copy(self.data, data, self.len);
        }
        memory
            .raw_mut(data - headroom, headroom)
            .fill(pool.filling());
        self.data = data;
        self.head = data - headroom;
        self.linear = linear;
        self.limit = data + linear + tailroom;
        self.used = data + self.len;
    }

    /// Has only so many bytes be linear, and the others in pages.
    pub(crate) fn set_linear(&mut self, linear: u32) {
        self.linear = linear.min(self.len);
        self.limit = self.limit.min(self.linear_end());
    }

    /// Gives the buffer back.
    pub(crate) fn free(self, pool: &mut Pool) {
        pool.give(self.buffer);
    }

    /// Guest address of the first byte.
    pub(crate) fn data(&self) -> u32 {
        self.data
    }

    /// Bytes in all.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Bytes of the linear part.
    pub(crate) fn linear(&self) -> u32 {
        self.linear
    }

    /// Guest address behind the linear part.
    pub(crate) fn linear_end(&self) -> u32 {
        self.data + self.linear
    }

    /// Guest address of the kernel's buffer.
    pub(crate) fn head(&self) -> u32 {
        self.head
    }

    /// Guest address behind the room for linear bytes.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Bytes before the packet in the kernel's buffer.
    pub(crate) fn headroom(&self) -> u32 {
        self.data - self.head
    }

    /// Bytes behind the linear part in the kernel's buffer.
    pub(crate) fn tailroom(&self) -> u32 {
        self.limit.saturating_sub(self.linear_end())
    }

    /// The packet.
    pub(crate) fn bytes<'a>(&self, memory: &'a Memory) -> &'a [u8] {
        memory.raw(self.data, self.len)
    }

    /// A part of the packet; none when it is not all there.
    pub(crate) fn slice<'a>(&self, memory: &'a Memory, at: u32, len: u32) -> Option<&'a [u8]> {
        let end = at.checked_add(len)?;
        (end <= self.len).then(|| memory.raw(self.data + at, len))
    }

    /// Makes `len` bytes linear (`pskb_may_pull`): false when the packet is shorter. The second
    /// result is whether the kernel's buffer had to be replaced.
    pub(crate) fn pull_linear(&mut self, len: u32) -> (bool, bool) {
        if len <= self.linear {
            return (true, false);
        }
        if len > self.len {
            return (false, false);
        }
        let more = len - self.linear;
        let replaced = more > self.tailroom();
        if replaced {
            // __pskb_pull_tail asks for 128 bytes more than it needs.
            self.limit = self.linear_end() + more + 128;
        }
        self.linear = len;
        (true, replaced)
    }

    /// Makes room for `len` bytes before the packet (`skb_cow`). The result is how far the packet's
    /// bytes were moved when the kernel's buffer had to be replaced.
    pub(crate) fn reserve_head(
        &mut self,
        memory: &mut Memory,
        len: u32,
    ) -> Result<Option<Moved>, Errno> {
        let Some(missing) = len.checked_sub(self.headroom()).filter(|more| *more > 0) else {
            return Ok(None);
        };
        if len > BUFFER_SIZE - FIRST_DATA || len + self.len > BUFFER_SIZE - FIRST_DATA {
            return Err(Errno::ENOMEM);
        }
        let more = missing.next_multiple_of(SKB_PAD);
        if more <= self.head - self.buffer.start() {
            self.head -= more;
            self.used = self.data + self.len;
            return Ok(Some(Moved(0)));
        }
        let data = self.buffer.start() + FIRST_DATA.max(len + 2 * SKB_PAD);
        let moved = data.wrapping_sub(self.data);
        memory.raw_copy(self.data, data, self.len);
        self.head = data - self.headroom() - more;
        self.data = data;
        self.limit = self.limit.wrapping_add(moved);
        self.used = data + self.len;
        Ok(Some(Moved(moved)))
    }

    /// Adds `len` bytes at the front, whatever lies there.
    ///
    /// # Panics
    /// When the headroom is smaller: see [`Frame::reserve_head`].
    pub(crate) fn push(&mut self, len: u32) {
        assert!(len <= self.headroom(), "push into missing headroom");
        self.data -= len;
        self.linear += len;
        self.len += len;
    }

    /// Puts `len` zeroes behind the first `at` bytes, which move to the front.
    ///
    /// # Panics
    /// When the headroom is smaller than `len`.
    pub(crate) fn insert(&mut self, memory: &mut Memory, at: u32, len: u32) {
        // More than there is: what follows are bytes that were cut off, and zeroes.
        let end = self.data + at;
        if end > self.used {
            memory.raw_mut(self.used, end - self.used).fill(0);
        }
        self.push(len);
        memory.raw_copy(self.data + len, self.data, at);
        memory.raw_mut(self.data + at, len).fill(0);
    }

    /// Removes `len` bytes from the front of the linear part.
    ///
    /// # Panics
    /// When the linear part is shorter.
    pub(crate) fn pull(&mut self, len: u32) {
        assert!(len <= self.linear, "pull from beyond the linear part");
        self.data += len;
        self.linear -= len;
        self.len -= len;
    }

    /// Sets the length of a linear packet: what is added is zero.
    pub(crate) fn resize(&mut self, memory: &mut Memory, len: u32) {
        self.used = self.used.max(self.data + len);
        if len > self.len {
            let added = len - self.len;
            memory.raw_mut(self.data + self.len, added).fill(0);
        }
        self.limit = self.limit.max(self.data + len);
        self.len = len;
        self.linear = len;
    }

    /// Sets the length of a packet whose end is paged: what is added is zero.
    pub(crate) fn resize_paged(&mut self, memory: &mut Memory, len: u32) {
        self.used = self.used.max(self.data + len);
        if len > self.len {
            let added = len - self.len;
            memory.raw_mut(self.data + self.len, added).fill(0);
        }
        self.len = len;
        self.linear = self.linear.min(len);
    }

    /// Moves the first byte of a linear packet, forwards or back.
    pub(crate) fn set_data(&mut self, data: u32) {
        let end = self.linear_end();
        self.len = self.len - self.linear + (end - data);
        self.linear = end - data;
        self.data = data;
    }
}

/// How far a packet's bytes were moved, to be added with wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved(pub(crate) u32);
