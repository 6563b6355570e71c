//! Removes a directory when this process is gone, however it went.
#![allow(
    unsafe_code,
    reason = "a forked process may do nothing but system calls"
)]

use std::ffi::CString;
use std::io;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{PoisonError, RwLock};

/// A forked process has every descriptor of this one until it has closed them: what is closed here meanwhile is open
/// still, and a connection does not end. Written while there is such a process.
static FORKS: RwLock<()> = RwLock::new(());

/// Does something while no other thread forks, so that what it closes is closed.
pub fn while_nobody_forks<T>(act: impl FnOnce() -> T) -> T {
    let _nobody = FORKS.read().unwrap_or_else(PoisonError::into_inner);
    act()
}

/// A process that waits for the end of this one. Dropping it ends it.
#[derive(Debug)]
pub struct Remover(libc::pid_t);

impl Remover {
    /// Starts one for an empty directory in another.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start(parent: BorrowedFd<'_>, name: &str) -> io::Result<Self> {
        let name = CString::new(name)?;
        // SAFETY: no pointers are passed.
        let this = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) };
        if this < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and ours.
        let this = unsafe { OwnedFd::from_raw_fd(this as i32) };
        let (parent, this) = (parent.as_raw_fd(), this.as_raw_fd());
        let (mut closed, open) = io::pipe()?;
        let _alone = FORKS.write().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the new process makes system calls only, with values that were made before, and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: as above.
            0 => unsafe {
                // What the terminal sends to this process is not for it.
                libc::setsid();
                close_all_but(parent, this);
                let mut gone = libc::pollfd {
                    fd: this,
                    events: libc::POLLIN,
                    revents: 0,
                };
                while libc::poll(&raw mut gone, 1, -1) != 1 {}
                libc::unlinkat(parent, name.as_ptr(), libc::AT_REMOVEDIR);
                libc::_exit(0)
            },
            child => {
                let child = Self(child);
                drop(open);
                // It ends when the new process has closed what is not its own.
                closed.read_to_end(&mut Vec::new())?;
                Ok(child)
            }
        }
    }
}

/// Others wait for the end of files that this process would keep open.
///
/// # Safety
/// Nothing may use the other descriptors any more.
unsafe fn close_all_but(a: i32, b: i32) {
    let (low, high) = (a.min(b), a.max(b));
    let ranges = [(0, low - 1), (low + 1, high - 1), (high + 1, i32::MAX)];
    for (first, last) in ranges {
        if first <= last {
            // SAFETY: no pointers are passed; the caller vouches for the descriptors.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        // SAFETY: the process is this one's child, which nobody else waits for.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}
