//! The thread of a run.

use std::io;
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::unistd::Pid;

use super::error::Error;
use super::namespace::Home;

/// Runs something on a thread of its own, which may go from one network namespace to another and stays on one
/// CPU, which is handed to it. A panic there is a panic here.
///
/// # Errors
/// When there can be no such thread, and those of what is run.
pub fn apart<T, F, E>(name: &str, run: F) -> Result<T, E>
where
    T: Send,
    F: FnOnce(usize) -> Result<T, E> + Send,
    E: From<Error> + Send,
{
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn_scoped(scope, || {
                let home = Home::here().map_err(Error::system("find the network namespace"))?;
                let cpu = stay_on_one_cpu().map_err(Error::system("stay on one CPU"))?;
                let result = run(cpu);
                drop(home);
                result
            })
            .map_err(Error::system("start a thread"))?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Binds the thread to the first CPU that it may use. It is always the same one, so that what depends on it, the
/// values of per-CPU maps above all, is the same in each run.
fn stay_on_one_cpu() -> io::Result<usize> {
    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread)?;
    let cpu = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let cpu = cpu.ok_or(io::ErrorKind::NotFound)?;
    let mut one = CpuSet::new();
    one.set(cpu)?;
    sched_setaffinity(this_thread, &one)?;
    Ok(cpu)
}

/// Kernels before 5.11 count the memory of maps as locked.
pub fn raise_memory_limit() {
    // Without the privilege the limit stays, and is enough on kernels from 5.11 on.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
}
