//! User space's end of a perf event array.
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::mapping::{Mapping, PAGE};

/// User space's end of one CPU's events. Its descriptor is readable when there are some.
#[derive(Debug)]
pub struct PerfReader {
    fd: OwnedFd,
    mapping: Mapping,
    size: usize,
}

/// A record of a perf event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PerfRecord {
    /// The bytes with what fills them up.
    Sample(Vec<u8>),
    /// So many events found no room.
    Lost(u64),
}

/// `PERF_EVENT_IOC_ENABLE`
const ENABLE: libc::Ioctl = 0x2400;
/// `PERF_FLAG_FD_CLOEXEC`
const CLOEXEC: libc::c_ulong = 8;
/// `data_head` and `data_tail` in `struct perf_event_mmap_page`.
const HEAD: usize = 1024;
const TAIL: usize = 1032;
/// `enum perf_event_type`
const RECORD_LOST: u32 = 2;
const RECORD_SAMPLE: u32 = 9;

/// `struct perf_event_attr` of 128 bytes: software events of BPF's output, each of which is a sample with raw bytes, and
/// wakes up its reader.
fn attr() -> [u8; 128] {
    let mut attr = [0u8; 128];
    let fields: [(usize, u64); 4] = [(0, 1 | 128 << 32), (8, 10), (16, 1), (24, 1 << 10)];
    for (offset, value) in fields {
        attr[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
    }
    attr[48..52].copy_from_slice(&1u32.to_ne_bytes());
    attr
}

impl PerfReader {
    /// Opens the events of a CPU with so many pages of buffer, a power of two.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(cpu: u32, pages: usize) -> io::Result<Self> {
        let attr = attr();
        // SAFETY: the attribute is as long as it says.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                attr.as_ptr(),
                -1,
                cpu as libc::c_int,
                -1,
                CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
        let mapping = Mapping::new(fd.as_fd(), PAGE * (pages + 1), 0, true)?;
        // SAFETY: no argument.
        if unsafe { libc::ioctl(fd.as_raw_fd(), ENABLE, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            fd,
            mapping,
            size: PAGE * pages,
        })
    }

    /// Reads everything.
    pub fn take(&self) -> Vec<PerfRecord> {
        let (head, mut tail) = (self.mapping.word(HEAD), self.mapping.word(TAIL));
        let mut records = Vec::new();
        while tail < head {
            let header = self.read(tail, 8);
            let kind = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
            let size = usize::from(u16::from_ne_bytes([header[6], header[7]]));
            let body = self.read(tail + 8, size - 8);
            let mut word = [0; 8];
            match kind {
                RECORD_LOST => {
                    word.copy_from_slice(&body[8..16]);
                    records.push(PerfRecord::Lost(u64::from_ne_bytes(word)));
                }
                RECORD_SAMPLE => {
                    word[..4].copy_from_slice(&body[..4]);
                    let len = u64::from_ne_bytes(word) as usize;
                    records.push(PerfRecord::Sample(body[4..4 + len].to_vec()));
                }
                _ => {}
            }
            tail += size as u64;
        }
        self.mapping.set_word(TAIL, tail);
        records
    }

    fn read(&self, position: u64, len: usize) -> Vec<u8> {
        let at = |nth: usize| PAGE + (position as usize + nth) % self.size;
        (0..len).map(|nth| self.mapping.byte(at(nth))).collect()
    }
}

impl AsRawFd for PerfReader {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
