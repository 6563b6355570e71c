//! Network namespaces without names.

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace, held by its descriptor alone: it is gone when the last descriptor, thread and socket in
/// it are, whether they were closed or their process was killed.
#[derive(Debug)]
pub struct Namespace(File);

/// Brings the thread back to the namespace that it was in when this was made.
#[derive(Debug)]
pub struct Home {
    namespace: Namespace,
    /// A namespace is a property of a thread.
    _not_send: PhantomData<*const ()>,
}

impl Namespace {
    /// The one that this thread is in.
    ///
    /// # Errors
    /// Without `/proc`.
    pub fn current() -> io::Result<Self> {
        File::open("/proc/thread-self/ns/net").map(Self)
    }

    /// Makes a new one and puts this thread into it.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`.
    pub fn create() -> io::Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Self::current()
    }

    /// Puts this thread into it.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Home {
    /// Remembers where this thread is.
    ///
    /// # Errors
    /// Without `/proc`.
    pub fn here() -> io::Result<Self> {
        Ok(Self {
            namespace: Namespace::current()?,
            _not_send: PhantomData,
        })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The thread is about to end, which leaves the namespace too, a moment later.
        let _ = self.namespace.enter();
    }
}
