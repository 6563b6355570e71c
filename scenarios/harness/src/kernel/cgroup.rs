//! Cgroups of runs.
//!
//! A cgroup has a name that others see, unlike all else that a run makes. It is locked for as long as its process
//! lives, and another process removes it when that is gone without having done so. One that is there and not locked
//! is left over: the next one to be made removes it, and so does [`clean`].

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use twinpath_bpf::Mount;

use super::sys::remover::Remover;

/// How the names of all of them begin.
const PREFIX: &str = "twinpath-run-";
/// The processes of a cgroup, one of which is written to it to move it there.
const PROCESSES: &str = "cgroup.procs";

/// A new cgroup at the top of the hierarchy. Dropping it removes it.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    /// Holds the lock.
    directory: File,
    _remover: Remover,
    hierarchy: Mount,
}

/// A process moves with all its threads.
static MOVING: Mutex<()> = Mutex::new(());

impl Cgroup {
    /// Makes one.
    ///
    /// # Errors
    /// Without the privilege, or in a kernel without cgroups.
    pub fn create() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let hierarchy = Mount::cgroups()?;
        remove_stale_in(&hierarchy.path());
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{PREFIX}{}-{number}", process::id());
            let path = hierarchy.path().join(&name);
            fs::create_dir(&path)?;
            let remover = Remover::start(hierarchy.as_fd(), &name)?;
            let directory = match File::open(&path) {
                Ok(directory) => directory,
                // Somebody took it for a stale one, before it was locked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if directory.try_lock().is_ok() && path.exists() {
                return Ok(Self {
                    path,
                    directory,
                    _remover: remover,
                    hierarchy,
                });
            }
        }
    }

    /// Does something while this process is in the cgroup.
    ///
    /// # Errors
    /// The kernel's.
    pub fn inside<T>(&self, act: impl FnOnce() -> T) -> io::Result<T> {
        let _turn = MOVING.lock().unwrap_or_else(PoisonError::into_inner);
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
        let home = self.hierarchy.path().join(own.unwrap_or_default());
        enter(&self.path)?;
        let result = act();
        enter(&home)?;
        Ok(result)
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // If that fails, the next run does it.
        let _ = fs::remove_dir(&self.path);
    }
}

fn enter(cgroup: &Path) -> io::Result<()> {
    const THIS_PROCESS: &str = "0";
    fs::write(cgroup.join(PROCESSES), THIS_PROCESS)
}

/// Removes cgroups of runs that are over, and says how many.
///
/// # Errors
/// When there is no hierarchy to look into.
pub fn clean() -> io::Result<usize> {
    Ok(remove_stale_in(&Mount::cgroups()?.path()))
}

fn remove_stale_in(hierarchy: &Path) -> usize {
    let entries = fs::read_dir(hierarchy).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let name = entry.file_name();
        name.to_str().is_some_and(|name| name.starts_with(PREFIX))
    });
    let is_stale = |path: &PathBuf| File::open(path).is_ok_and(|cgroup| cgroup.try_lock().is_ok());
    let stale = ours.map(|entry| entry.path()).filter(is_stale);
    stale.filter(|path| fs::remove_dir(path).is_ok()).count()
}
