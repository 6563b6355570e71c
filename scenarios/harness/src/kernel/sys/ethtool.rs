//! Device features by the ethtool ioctl.
#![allow(unsafe_code, reason = "no crate in use sets device features")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
/// Far more than any kernel has; today's has two.
const MAX_BLOCKS: usize = 8;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Available {
    available: u32,
    requested: u32,
    active: u32,
    never_changed: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Wanted {
    valid: u32,
    requested: u32,
}

#[repr(C)]
struct Features<T> {
    command: u32,
    blocks: u32,
    features: [T; MAX_BLOCKS],
}

/// Turns off each feature of a device that can be turned off: checksumming, segmentation, VLAN insertion and
/// the rest. `socket` is any socket of the device's namespace.
///
/// # Errors
/// The kernel's.
///
/// # Panics
/// When the name is longer than 15 bytes.
pub fn disable_offloads(socket: BorrowedFd<'_>, device: &str) -> io::Result<()> {
    let mut known = Features {
        command: ETHTOOL_GFEATURES,
        blocks: MAX_BLOCKS as u32,
        features: [Available::default(); MAX_BLOCKS],
    };
    ethtool(socket, device, &mut known)?;
    let mut wanted = Features {
        command: ETHTOOL_SFEATURES,
        blocks: known.blocks,
        features: [Wanted::default(); MAX_BLOCKS],
    };
    for (wanted, known) in wanted.features.iter_mut().zip(&known.features) {
        wanted.valid = known.available & !known.never_changed;
    }
    ethtool(socket, device, &mut wanted)
}

fn ethtool<T>(socket: BorrowedFd<'_>, device: &str, request: &mut Features<T>) -> io::Result<()> {
    // SAFETY: the structure is made of integers and pointers in a union, for which zeroes are valid.
    let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
    assert!(device.len() < ifreq.ifr_name.len(), "device name {device}");
    for (to, from) in ifreq.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from as libc::c_char;
    }
    ifreq.ifr_ifru.ifru_data = std::ptr::from_mut(request).cast();
    // SAFETY: `request` is as long as its own count of blocks says, and lives through the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &mut ifreq) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
