//! What the kernel numbers.
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::call::{Command, address_mut, bpf};

#[repr(C)]
#[derive(Default)]
struct NextId {
    start: u32,
    next: u32,
    open_flags: u32,
}

#[repr(C)]
#[derive(Default)]
pub struct InfoAttr {
    pub fd: u32,
    pub length: u32,
    pub info: u64,
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
        IdKind::Program => Command::NextProgramId,
        IdKind::Map => Command::NextMapId,
        IdKind::Link => Command::NextLinkId,
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

/// The id of a map or a program.
///
/// # Errors
/// The kernel's.
pub fn object_id(object: BorrowedFd<'_>) -> io::Result<u32> {
    // The id is the second word of `bpf_map_info` and of `bpf_prog_info`.
    let mut info = [0; 8];
    read_info(object, &mut info)?;
    let [_, _, _, _, a, b, c, d] = info;
    Ok(u32::from_ne_bytes([a, b, c, d]))
}

/// The beginning of an object's `struct bpf_*_info`.
pub fn read_info(object: BorrowedFd<'_>, info: &mut [u8]) -> io::Result<()> {
    let mut attr = InfoAttr {
        fd: object.as_raw_fd() as u32,
        length: info.len() as u32,
        info: address_mut(info),
    };
    // SAFETY: `InfoAttr` is the command's part of `bpf_attr`; the info is writable for its length, and asks with zeroes
    // for none of what the kernel would write elsewhere.
    unsafe { bpf(Command::Info, &mut attr) }.map(drop)
}
