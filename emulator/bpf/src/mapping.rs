//! Memory that is shared with the kernel.
#![allow(unsafe_code, reason = "shared mappings")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

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

    /// A word; what the kernel wrote before it is then seen too.
    pub fn word(&self, at: usize) -> u64 {
        self.atomic(at).load(Ordering::Acquire)
    }

    /// Writes a word to a mapping that may be written; the kernel then sees what was read before it as read.
    pub fn set_word(&self, at: usize, value: u64) {
        self.atomic(at).store(value, Ordering::Release);
    }

    fn atomic(&self, at: usize) -> &AtomicU64 {
        assert!(at + 8 <= self.len && at.is_multiple_of(8));
        // SAFETY: inside the mapping, which outlives the result, and aligned, since mappings start at a page. Words
        // that the kernel writes meanwhile are read in this way only.
        unsafe { AtomicU64::from_ptr(self.start.add(at).cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, and not borrowed any more.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}
