//! Types.
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::call::{Command, address, bpf_fd};

#[repr(C)]
#[derive(Default)]
struct BtfLoadAttr {
    btf: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    padding: u32,
}

/// The types of a map's keys and values.
#[derive(Debug, Clone, Copy)]
pub struct Types<'a> {
    /// All types.
    pub btf: BorrowedFd<'a>,
    /// The number of the key's type.
    pub key: u32,
    /// The number of the value's type.
    pub value: u32,
}

/// Loads types, laid out as in an object's `.BTF` section.
///
/// # Errors
/// The kernel's.
pub fn load_btf(types: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = BtfLoadAttr {
        btf: address(types),
        size: types.len() as u32,
        ..BtfLoadAttr::default()
    };
    // SAFETY: `BtfLoadAttr` is the command's part of `bpf_attr` without padding; the types are read.
    unsafe { bpf_fd(Command::BtfLoad, &mut attr) }
}
