//! File systems that are mounted nowhere.
#![allow(unsafe_code, reason = "no crate wraps fsopen, fsconfig and fsmount")]

use std::ffi::{CStr, c_long};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

const FSCONFIG_CMD_CREATE: c_long = 6;
const FSOPEN_CLOEXEC: c_long = 1;
const FSMOUNT_CLOEXEC: c_long = 1;

/// A file system that has no place in any directory. It goes with its descriptor, whatever happens to the process.
#[derive(Debug)]
pub struct Mount(OwnedFd);

impl Mount {
    /// An empty BPF file system, for the maps that objects want pinned.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`.
    pub fn bpf() -> io::Result<Self> {
        Self::new(c"bpf")
    }

    /// The hierarchy of cgroups (version 2), as far as this process' namespace goes.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`, or in a kernel without cgroups.
    pub fn cgroups() -> io::Result<Self> {
        Self::new(c"cgroup2")
    }

    fn new(kind: &CStr) -> io::Result<Self> {
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

impl AsFd for Mount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn owned(result: c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call returned a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(result as RawFd) })
}
