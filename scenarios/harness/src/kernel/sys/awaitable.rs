//! Descriptors for which tokio waits.
#![allow(
    unsafe_code,
    reason = "tokio cannot know that a descriptor stays open and the same"
)]

use std::io;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::packet::PacketSocket;
use crate::kernel::events::EventReader;

/// What owns one descriptor from its beginning to its end, and hands it to nobody who could close it.
pub trait Owner: AsRawFd {}

impl Owner for PacketSocket {}
impl Owner for EventReader {}

/// Lets tokio wait until there is something to read.
///
/// # Errors
/// The kernel's.
pub fn awaitable<T: Owner>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: an owner's descriptor is open and the same for as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE)? })
}
