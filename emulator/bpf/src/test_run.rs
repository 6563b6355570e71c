//! `BPF_PROG_TEST_RUN`.
#![allow(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use super::call::{Command, address, address_mut, bpf};
use super::program::Program;

#[repr(C)]
#[derive(Default)]
struct TestRunAttr {
    program_fd: u32,
    return_value: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

/// What a test run is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestInput<'a> {
    /// The packet from the link-layer header on; empty for kinds of programs that have none.
    pub packet: &'a [u8],
    /// The context as user space lays it out (`struct __sk_buff`, `struct xdp_md`, ...); empty for the kernel's own.
    /// That of an XDP program must say where the packet ends.
    pub context: &'a [u8],
    /// How often the program runs over the same packet; 0 counts as 1.
    pub repeat: u32,
    /// `BPF_F_TEST_*`.
    pub flags: u32,
}

impl<'a> TestInput<'a> {
    /// One run over a packet.
    pub fn packet(packet: &'a [u8]) -> Self {
        Self {
            packet,
            repeat: 1,
            ..Self::default()
        }
    }
}

/// What a test run gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutput {
    /// The program's return value.
    pub code: i32,
    /// The packet afterwards.
    pub packet: Vec<u8>,
    /// The context afterwards, if one was given and the kind of program hands it back.
    pub context: Vec<u8>,
    /// Mean time of one run.
    pub duration: Duration,
}

/// More than the kernel ever hands back: a packet has at most 64 KiB.
const PACKET_ROOM: usize = 128 << 10;
const CONTEXT_ROOM: usize = 512;

impl Program {
    /// Runs the program over one packet with `BPF_PROG_TEST_RUN`. The device is this namespace's loopback unless the
    /// context says otherwise.
    ///
    /// # Errors
    /// The kernel's: `EINVAL` for a packet that is shorter than an Ethernet header or longer than the kind of
    /// program takes, `ENOTSUPP` (524) for a kind of program that cannot be run.
    pub fn test_run(&self, input: TestInput<'_>) -> io::Result<TestOutput> {
        test_run(self.as_fd(), input)
    }
}

fn test_run(program: BorrowedFd<'_>, input: TestInput<'_>) -> io::Result<TestOutput> {
    // A null pointer stands for no buffer, and a buffer for an XDP context is refused unless one was given.
    let room = |given: &[u8], room| vec![0; if given.is_empty() { 0 } else { room }];
    let mut packet = room(input.packet, PACKET_ROOM);
    let mut context = room(input.context, CONTEXT_ROOM);
    let mut attr = TestRunAttr {
        program_fd: program.as_raw_fd() as u32,
        data_size_in: input.packet.len() as u32,
        data_in: address(input.packet),
        data_size_out: packet.len() as u32,
        data_out: address_mut(&mut packet),
        repeat: input.repeat,
        context_size_in: input.context.len() as u32,
        context_in: address(input.context),
        context_size_out: context.len() as u32,
        context_out: address_mut(&mut context),
        flags: input.flags,
        ..TestRunAttr::default()
    };
    // SAFETY: `TestRunAttr` is the command's part of `bpf_attr` without padding; the inputs are read and the
    // outputs written up to the sizes that stand beside them.
    unsafe { bpf(Command::TestRun, &mut attr)? };
    packet.truncate(attr.data_size_out as usize);
    context.truncate(attr.context_size_out as usize);
    Ok(TestOutput {
        code: attr.return_value as i32,
        packet,
        context,
        duration: Duration::from_nanos(u64::from(attr.duration)),
    })
}
