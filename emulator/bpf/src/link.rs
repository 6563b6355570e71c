//! What programs are attached to.
#![allow(unsafe_code, reason = "system calls")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::call::{Command, bpf, bpf_fd};

#[repr(C)]
#[derive(Default)]
struct PinAttr {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkAttr {
    program_fd: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    rest: [u64; 4],
}

#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    program_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// Attaches a program to a device of this thread's namespace (an index), or to a cgroup (a descriptor). Closing the
/// descriptor detaches it.
///
/// # Errors
/// The kernel's.
pub fn link(
    program: BorrowedFd<'_>,
    target: u32,
    attach_type: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = LinkAttr {
        program_fd: program.as_raw_fd() as u32,
        target,
        attach_type,
        flags,
        ..LinkAttr::default()
    };
    // SAFETY: `LinkAttr` is the beginning of the command's part of `bpf_attr` and holds no pointers.
    unsafe { bpf_fd(Command::LinkCreate, &mut attr) }
}

/// Attaches a program to a cgroup beside others (`BPF_F_ALLOW_MULTI`), for as long as the cgroup is there.
///
/// # Errors
/// The kernel's.
pub fn attach_to_cgroup(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<()> {
    const ALLOW_MULTI: u32 = 2;
    let mut attr = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        program_fd: program.as_raw_fd() as u32,
        attach_type,
        flags: ALLOW_MULTI,
    };
    // SAFETY: `AttachAttr` is the beginning of the command's part of `bpf_attr` and holds no pointers.
    unsafe { bpf(Command::ProgramAttach, &mut attr) }.map(drop)
}

/// Gives a program or map a name in a BPF file system.
///
/// # Errors
/// The kernel's.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = PinAttr {
        path: path.as_ptr().expose_provenance() as u64,
        fd: object.as_raw_fd() as u32,
        ..PinAttr::default()
    };
    // SAFETY: `PinAttr` is the beginning of the command's part of `bpf_attr` without padding; the path is read up to
    // the zero that ends it.
    unsafe { bpf(Command::Pin, &mut attr) }.map(drop)
}

/// Opens what has a name in a BPF file system.
///
/// # Errors
/// The kernel's.
pub fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = PinAttr {
        path: path.as_ptr().expose_provenance() as u64,
        ..PinAttr::default()
    };
    // SAFETY: as in `pin`; the command returns a descriptor.
    unsafe { bpf_fd(Command::OpenPinned, &mut attr) }
}
