//! The system call itself.
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// `enum bpf_cmd`, as far as it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    MapCreate = 0,
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    MapNextKey = 4,
    ProgramLoad = 5,
    Pin = 6,
    OpenPinned = 7,
    ProgramAttach = 8,
    TestRun = 10,
    NextProgramId = 11,
    NextMapId = 12,
    Info = 15,
    BtfLoad = 18,
    MapTake = 21,
    MapFreeze = 22,
    MapLookupBatch = 24,
    LinkCreate = 28,
    NextLinkId = 31,
}

/// Calls `bpf(2)`.
///
/// # Safety
/// `T` must be laid out as the kernel's `union bpf_attr` is for this command, without padding, and each
/// pointer in it must be valid for the sizes that the command reads or writes.
pub unsafe fn bpf<T>(command: Command, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: `attr` lives through the call and its size is passed along; the caller vouches for the rest.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_int,
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
pub unsafe fn bpf_fd<T>(command: Command, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise is passed on.
    let fd = unsafe { bpf(command, attr)? };
    // SAFETY: the command returned a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A name as the kernel takes it: at most 15 letters, digits, dots and underscores.
pub fn object_name(name: &str) -> [u8; 16] {
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

/// A pointer as an attribute holds it; nothing is null, as the kernel wants it.
pub fn address(bytes: &[u8]) -> u64 {
    match bytes {
        [] => 0,
        bytes => bytes.as_ptr().expose_provenance() as u64,
    }
}

/// The same for bytes that the kernel writes.
pub fn address_mut(bytes: &mut [u8]) -> u64 {
    match bytes {
        [] => 0,
        bytes => bytes.as_mut_ptr().expose_provenance() as u64,
    }
}
