//! The `bpf` system call itself, and what all kinds of BPF objects share.
#![allow(
    unsafe_code,
    reason = "aya keeps its system calls to itself, and the taps need what it does not offer"
)]

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use aya_obj::generated::bpf_cmd;

/// Calls `bpf(2)`.
///
/// # Safety
/// `T` must be laid out as the kernel's `union bpf_attr` is for this command, without padding, and each
/// pointer in it must be valid for the sizes that the command reads or writes.
pub(super) unsafe fn bpf<T>(command: bpf_cmd, attr: &mut T) -> io::Result<c_long> {
    // SAFETY: `attr` lives through the call and its size is passed along; the caller vouches for the rest.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as c_int,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Calls `bpf(2)` with a command that answers with a new file descriptor.
///
/// # Safety
/// As for [`bpf`], and the command must be one that returns a file descriptor.
pub(super) unsafe fn bpf_fd<T>(command: bpf_cmd, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise is passed on.
    let fd = unsafe { bpf(command, attr)? };
    // SAFETY: the command returned a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

#[repr(C)]
#[derive(Default)]
struct NextId {
    start: u32,
    next: u32,
    open_flags: u32,
}

/// What the kernel numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// Loaded programs.
    Program,
    /// Maps.
    Map,
    /// Links between programs and what they are attached to.
    Link,
}

/// The ids of everything of one kind that is loaded on this machine, ascending.
///
/// # Errors
/// Without `CAP_SYS_ADMIN`.
pub fn loaded_ids(kind: IdKind) -> io::Result<Vec<u32>> {
    let command = match kind {
        IdKind::Program => bpf_cmd::BPF_PROG_GET_NEXT_ID,
        IdKind::Map => bpf_cmd::BPF_MAP_GET_NEXT_ID,
        IdKind::Link => bpf_cmd::BPF_LINK_GET_NEXT_ID,
    };
    let mut ids = Vec::new();
    let mut attr = NextId::default();
    loop {
        // SAFETY: `NextId` is the command's part of `bpf_attr` and holds no pointers.
        match unsafe { bpf(command, &mut attr) } {
            Ok(_) => ids.push(attr.next),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(ids),
            Err(error) => return Err(error),
        }
        attr.start = attr.next;
    }
}

/// A name as the kernel takes it: at most 15 letters, digits, dots and underscores.
pub(super) fn object_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes[..15].iter_mut().zip(name.bytes()) {
        *to = if from.is_ascii_alphanumeric() || from == b'.' {
            from
        } else {
            b'_'
        };
    }
    bytes
}
