//! CPUs.
#![allow(unsafe_code, reason = "system calls")]

use std::fs;
use std::io;

/// CPUs that the kernel may have, each of which has a value in per-CPU maps.
///
/// # Errors
/// When the kernel's list cannot be read.
pub fn possible_cpus() -> io::Result<u32> {
    let list = fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = list.trim().rsplit(['-', ',']).next();
    let last: Option<u32> = last.and_then(|cpu| cpu.parse().ok());
    match last {
        Some(cpu) => Ok(cpu + 1),
        None => Err(io::Error::other(format!("no list of CPUs: {list:?}"))),
    }
}

/// Has the calling thread, and the programs that it test-runs, run on this CPU.
///
/// # Errors
/// The kernel's: `EINVAL` for a CPU that is not there.
pub fn run_on(cpu: u32) -> io::Result<()> {
    // SAFETY: a set of bits, for which zeroes are valid.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel reads as many bytes as the set has.
    let result = unsafe {
        libc::CPU_SET(cpu as usize, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
