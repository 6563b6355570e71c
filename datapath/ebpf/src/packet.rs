//! Direct access to a packet, each one checked against its end as the verifier demands.
#![allow(unsafe_code, reason = "the packet is memory that the kernel hands out by address")]

use zerocopy::{FromBytes, IntoBytes};

/// The directly accessible part of a packet. It is void once a helper has changed the packet.
#[derive(Clone, Copy)]
pub struct Packet {
    start: usize,
    end: usize,
    len: u32,
}

impl Packet {
    #[inline(always)]
    pub fn new(start: usize, end: usize, len: u32) -> Self {
        Self { start, end, len }
    }

    /// The length of the whole packet in bytes, also of what is not directly accessible.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// The value at `offset`, or `None` if the packet ends before its end.
    #[inline(always)]
    pub fn read<T: FromBytes + Copy>(&self, offset: usize) -> Option<T> {
        let at = self.at::<T>(offset)?;
        // SAFETY: `at` checked that the value lies within the packet, any bytes are a `T`, and the
        // read asks for no alignment.
        Some(unsafe { at.read_unaligned() })
    }

    /// Writes a value at `offset`; does nothing and returns `None` if the packet is too short.
    #[inline(always)]
    pub fn write<T: IntoBytes + Copy>(&self, offset: usize, value: T) -> Option<()> {
        let at = self.at::<T>(offset)?;
        // SAFETY: as in `read`; no reference into the packet exists, as reads copy.
        unsafe { at.write_unaligned(value) };
        Some(())
    }

    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let at = self.start + offset;
        if at + size_of::<T>() > self.end {
            return None;
        }
        Some(at as *mut T)
    }
}
