//! Memory that is shared with the kernel.
#![allow(unsafe_code, reason = "shared mappings")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The kernel's pages on x86-64 and most others.
pub const PAGE: usize = 4096;

/// A shared mapping of a descriptor.
#[derive(Debug)]
pub struct Mapping {
    start: *mut u8,
    len: usize,
}

impl Mapping {
    pub fn new(fd: BorrowedFd<'_>, len: usize, offset: usize, write: bool) -> io::Result<Self> {
        let protection = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                offset as libc::off_t,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            start: start.cast(),
            len,
        })
    }

    pub fn byte(&self, at: usize) -> u8 {
        assert!(at < self.len);
        // SAFETY: inside the mapping; the kernel may write it meanwhile, hence volatile.
        unsafe { self.start.add(at).read_volatile() }
    }

    pub fn bytes(&self, at: usize, len: usize) -> Vec<u8> {
        (at..at + len).map(|at| self.byte(at)).collect()
    }

    pub fn word(&self, at: usize) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes(at, 8));
        u64::from_ne_bytes(word)
    }

    /// Writes a word to a mapping that may be written.
    pub fn set_word(&self, at: usize, value: u64) {
        assert!(at + 8 <= self.len && at.is_multiple_of(8));
        // SAFETY: inside the mapping and aligned, since mappings start at a page.
        unsafe { self.start.add(at).cast::<u64>().write_volatile(value) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, and not borrowed any more.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}
