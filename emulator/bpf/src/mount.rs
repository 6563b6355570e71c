//! A BPF file system that is mounted nowhere.
#![allow(unsafe_code, reason = "no crate wraps fsopen, fsconfig and fsmount")]

use std::ffi::{CStr, c_long};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

const FSCONFIG_CMD_CREATE: c_long = 6;
const FSOPEN_CLOEXEC: c_long = 1;
const FSMOUNT_CLOEXEC: c_long = 1;

/// A BPF file system for the maps that objects want pinned. It goes with its
/// descriptor, whatever happens to the process.
#[derive(Debug)]
pub struct BpfFs(OwnedFd);

impl BpfFs {
    /// Makes an empty one.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`.
    pub fn new() -> io::Result<Self> {
        let kind: &CStr = c"bpf";
        // SAFETY: the name is a C string that lives through the call.
        let context =
            owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
        let raw = c_long::from(context.as_raw_fd());
        // SAFETY: this command takes neither key nor value.
        let created =
            unsafe { libc::syscall(libc::SYS_fsconfig, raw, FSCONFIG_CMD_CREATE, 0, 0, 0) };
        if created < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call takes integers only.
        let mount = unsafe { libc::syscall(libc::SYS_fsmount, raw, FSMOUNT_CLOEXEC, 0) };
        owned(mount).map(Self)
    }

    /// A path to its root, good for this process and those that may look into it, for as long as this lives.
    pub fn path(&self) -> PathBuf {
        let process = std::process::id();
        PathBuf::from(format!("/proc/{process}/fd/{}", self.0.as_raw_fd()))
    }
}

fn owned(result: c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call returned a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(result as RawFd) })
}
