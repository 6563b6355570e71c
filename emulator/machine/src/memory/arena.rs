//! The bytes behind guest addresses.
#![allow(unsafe_code)] // The mapping itself; everything above it works on a slice.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Where the arena stands in the host's address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Anywhere: guest addresses are offsets, only a checked engine can follow them.
    Anywhere,
    /// Each byte at its own guest address, so that native code can follow guest pointers (Linux only).
    Identity,
}

/// Why there is no arena.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// The host refused the mapping.
    #[error("reserve {size} bytes of guest memory: {source}")]
    Map {
        /// Bytes asked for.
        size: u32,
        /// The host's reason.
        source: std::io::Error,
    },
    /// Every range below 4 GiB that could hold the arena is taken.
    #[error("find {size} free bytes below 4 GiB of the address space for guest memory")]
    NoRoom {
        /// Bytes asked for.
        size: u32,
    },
    /// Native engines need memory at chosen addresses.
    #[error("place guest memory at its own address: this works on Linux only")]
    Unsupported,
}

/// The lowest guest address in use. Everything below is an unmapped null page.
pub const LOWEST: u32 = 0x1000_0000;
#[cfg(target_os = "linux")]
const HIGHEST: u32 = 0xf000_0000;

/// Guest memory: bytes that are zero until written, the first at guest address [`Arena::base`].
#[derive(Debug)]
pub struct Arena {
    base: u32,
    backing: Backing,
}

impl Arena {
    /// Reserves `size` bytes; they cost nothing until they are written.
    ///
    /// # Errors
    /// When the host has no such range.
    pub fn new(placement: Placement, size: u32) -> Result<Self, ArenaError> {
        match placement {
            Placement::Anywhere => Ok(Self {
                base: LOWEST,
                backing: Backing::anywhere(size)?,
            }),
            Placement::Identity => Self::identity(size),
        }
    }

    #[cfg(target_os = "linux")]
    fn identity(size: u32) -> Result<Self, ArenaError> {
        let step = size.next_multiple_of(1 << 20);
        let mut base = LOWEST;
        while HIGHEST - base >= step {
            match Backing::at(base, size) {
                Ok(backing) => return Ok(Self { base, backing }),
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => base += step,
                Err(source) => return Err(ArenaError::Map { size, source }),
            }
        }
        Err(ArenaError::NoRoom { size })
    }

    #[cfg(not(target_os = "linux"))]
    fn identity(_size: u32) -> Result<Self, ArenaError> {
        Err(ArenaError::Unsupported)
    }

    /// Guest address of the first byte.
    #[inline]
    pub fn base(&self) -> u32 {
        self.base
    }

    /// The host's address of the first byte.
    #[inline]
    pub fn start(&mut self) -> NonNull<u8> {
        self.backing.start()
    }

    /// Whether `len` bytes at a guest address are all in the arena.
    #[inline]
    pub fn contains(&self, address: u32, len: u32) -> bool {
        let offset = u64::from(address.wrapping_sub(self.base));
        offset + u64::from(len) <= self.len() as u64
    }

    /// Reads `N` bytes at a guest address.
    ///
    /// # Safety
    /// [`Arena::contains`] them.
    #[inline(always)]
    pub unsafe fn read<const N: usize>(&self, address: u32) -> [u8; N] {
        debug_assert!(self.contains(address, N as u32));
        let offset = address.wrapping_sub(self.base) as usize;
        // SAFETY: the caller's promise; bytes have no alignment.
        unsafe { self.as_ptr().add(offset).cast::<[u8; N]>().read() }
    }

    /// Writes `N` bytes at a guest address.
    ///
    /// # Safety
    /// [`Arena::contains`] them.
    #[inline(always)]
    pub unsafe fn write<const N: usize>(&mut self, address: u32, bytes: [u8; N]) {
        debug_assert!(self.contains(address, N as u32));
        let offset = address.wrapping_sub(self.base) as usize;
        // SAFETY: the caller's promise; bytes have no alignment.
        unsafe { self.as_mut_ptr().add(offset).cast::<[u8; N]>().write(bytes) };
    }
}

impl Deref for Arena {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.backing.bytes()
    }
}

impl DerefMut for Arena {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.backing.bytes_mut()
    }
}

#[cfg(unix)]
#[derive(Debug)]
struct Backing {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is private to this value, which hands out slices under the usual borrow rules.
#[cfg(unix)]
unsafe impl Send for Backing {}
// SAFETY: as above; a shared reference only yields a shared slice.
#[cfg(unix)]
unsafe impl Sync for Backing {}

#[cfg(unix)]
impl Backing {
    fn anywhere(size: u32) -> Result<Self, ArenaError> {
        Self::map(std::ptr::null_mut(), size, 0).map_err(|source| ArenaError::Map { size, source })
    }

    #[cfg(target_os = "linux")]
    fn at(base: u32, size: u32) -> std::io::Result<Self> {
        let wanted = std::ptr::without_provenance_mut::<libc::c_void>(base as usize);
        let mapped = Self::map(wanted, size, libc::MAP_FIXED_NOREPLACE)?;
        // Kernels before 4.17 take the flag as a hint.
        if mapped.start.as_ptr().addr() == base as usize {
            Ok(mapped)
        } else {
            Err(std::io::Error::from_raw_os_error(libc::EEXIST))
        }
    }

    fn map(at: *mut libc::c_void, size: u32, flags: libc::c_int) -> std::io::Result<Self> {
        let len = (size as usize).max(1);
        // SAFETY: a fresh private anonymous mapping; with MAP_FIXED_NOREPLACE it never replaces another.
        let start = unsafe {
            libc::mmap(
                at,
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | flags,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or_else(std::io::Error::last_os_error)?;
        Ok(Self { start, len })
    }

    #[inline]
    fn start(&mut self) -> NonNull<u8> {
        self.start
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: `start..start + len` is mapped readable until drop, and is borrowed through `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `start..start + len` is mapped writable until drop, and is borrowed through `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(unix)]
impl Drop for Backing {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this start and length, and nothing borrows it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
struct Backing(Vec<u8>);

#[cfg(not(unix))]
impl Backing {
    fn anywhere(size: u32) -> Result<Self, ArenaError> {
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(size as usize)
            .map_err(|error| ArenaError::Map {
                size,
                source: std::io::Error::other(error),
            })?;
        bytes.resize(size as usize, 0);
        Ok(Self(bytes))
    }

    fn start(&mut self) -> NonNull<u8> {
        NonNull::from(self.0.as_mut_slice()).cast()
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn identity_arenas_stand_at_their_guest_address_and_apart() {
        let a = Arena::new(Placement::Identity, 1 << 20).unwrap();
        let b = Arena::new(Placement::Identity, 1 << 20).unwrap();
        assert_eq!(a.as_ptr().addr(), a.base() as usize);
        assert_eq!(b.as_ptr().addr(), b.base() as usize);
        assert_ne!(a.base(), b.base());
    }

    #[test]
    fn memory_starts_as_zero() {
        let arena = Arena::new(Placement::Anywhere, 3 << 30).unwrap();
        assert_eq!(arena.len(), 3 << 30);
        assert_eq!(arena[1 << 30], 0);
    }
}
