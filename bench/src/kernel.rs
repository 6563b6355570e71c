//! What the kernel is asked: `BPF_PROG_TEST_RUN`, without anything else in the call, and the time.
#![allow(unsafe_code)] // Two system calls.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// The part of `union bpf_attr` that the command reads.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Attr {
    program_fd: u32,
    returned: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    /// Mean nanoseconds of a run.
    duration: u32,
    rest: [u64; 5],
}

const COMMAND: libc::c_int = 10;

/// Runs a program over a packet. The result and the mean nanoseconds of a run.
///
/// # Errors
/// The kernel's.
fn run(
    program: BorrowedFd<'_>,
    packet: &[u8],
    out: &mut [u8],
    repeat: u32,
) -> io::Result<(u32, u32)> {
    let mut attr = Attr {
        program_fd: program.as_raw_fd() as u32,
        data_size_in: packet.len() as u32,
        data_in: packet.as_ptr().expose_provenance() as u64,
        data_size_out: out.len() as u32,
        data_out: out.as_mut_ptr().expose_provenance() as u64,
        repeat,
        ..Attr::default()
    };
    // SAFETY: `attr` is as long as stated; the kernel reads and writes the buffers up to the sizes beside
    // their addresses, and both live through the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, COMMAND, &raw mut attr, size_of::<Attr>()) };
    match result {
        0 => Ok((attr.returned, attr.duration)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What this thread has had of the processor, in the kernel too. Unlike the wall's clock it stands still while
/// another process runs.
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes the structure, which lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A program of the kernel's with a packet and a place for what becomes of it.
#[derive(Debug)]
pub struct TestRun<P> {
    program: P,
    packet: Vec<u8>,
    out: Vec<u8>,
}

impl<P: AsFd> TestRun<P> {
    /// A program and the packet that it will run over.
    pub fn new(program: P, packet: &[u8]) -> Self {
        Self {
            program,
            packet: packet.to_vec(),
            out: vec![0; 4096],
        }
    }

    /// One call, one run.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[allow(clippy::expect_used)]
    pub fn once(&mut self) -> u64 {
        let result = run(self.program.as_fd(), &self.packet, &mut self.out, 1);
        u64::from(result.expect("a test run").0)
    }

    /// Mean nanoseconds in the program of a million runs, the packet of each as the run before left it.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[allow(clippy::expect_used)]
    pub fn nanoseconds(&mut self) -> u32 {
        let result = run(self.program.as_fd(), &self.packet, &mut self.out, 1_000_000);
        result.expect("a test run").1
    }
}
