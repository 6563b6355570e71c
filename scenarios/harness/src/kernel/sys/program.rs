//! Programs from instructions, links, and `BPF_PROG_TEST_RUN`.
#![allow(unsafe_code, reason = "aya loads programs from objects only")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_prog_type};
use twinpath_bpf::DebugInfo;

use super::bpf::{bpf, bpf_fd, object_name};

/// A program as instructions.
#[derive(Debug)]
pub struct ProgramSource<'a> {
    /// What the kernel shows as its name.
    pub name: &'a str,
    /// What kind of program it is.
    pub kind: bpf_prog_type,
    /// Where it will be attached, for the kinds that must know when they are verified.
    pub attach_type: Option<bpf_attach_type>,
    /// Instructions of eight bytes each, with the descriptors of maps put in.
    pub instructions: &'a [u8],
    /// Which helpers it may call depends on this.
    pub license: &'a CStr,
    /// `BPF_F_*`.
    pub flags: u32,
    /// What is known about its functions and lines.
    pub debug: Option<DebugInfo<'a>>,
}

impl<'a> ProgramSource<'a> {
    /// A program under the GPL, and no more said about it.
    pub fn new(name: &'a str, kind: bpf_prog_type, instructions: &'a [u8]) -> Self {
        Self {
            name,
            kind,
            attach_type: None,
            instructions,
            license: c"GPL",
            flags: 0,
            debug: None,
        }
    }
}

/// The kernel took a program, or why it did not.
#[derive(Debug)]
pub struct Refusal {
    /// The system call's error.
    pub error: io::Error,
    /// What the verifier said, as far as it got.
    pub log: String,
}

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    attach_type: u32,
    btf_fd: u32,
    func_info_record_size: u32,
    func_info: u64,
    func_info_count: u32,
    line_info_record_size: u32,
    line_info: u64,
    line_info_count: u32,
    padding: u32,
}

/// `struct bpf_func_info`
const FUNC_INFO: u32 = 8;
/// `struct bpf_line_info`
const LINE_INFO: u32 = 16;

#[repr(C)]
#[derive(Default)]
struct Pin {
    path: u64,
    fd: u32,
    flags: u32,
}

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

#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    program_fd: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    rest: [u64; 4],
}

/// Enough for the log of a program that is refused early, which is what happens to small ones.
const LOG_SIZE: usize = 1 << 20;

/// Loads a program.
///
/// # Errors
/// The kernel's refusal with the verifier's log.
pub fn load(source: &ProgramSource<'_>) -> Result<OwnedFd, Refusal> {
    assert_eq!(
        source.instructions.len() % 8,
        0,
        "an instruction has eight bytes"
    );
    try_load(source, &mut []).or_else(|_| {
        let mut log = vec![0; LOG_SIZE];
        try_load(source, &mut log).map_err(|error| {
            let end = log.iter().position(|byte| *byte == 0).unwrap_or(LOG_SIZE);
            Refusal {
                error,
                log: String::from_utf8_lossy(&log[..end]).into_owned(),
            }
        })
    })
}

fn try_load(source: &ProgramSource<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut attr = Load {
        kind: source.kind as u32,
        instruction_count: (source.instructions.len() / 8) as u32,
        instructions: source.instructions.as_ptr() as u64,
        license: source.license.as_ptr() as u64,
        flags: source.flags,
        name: object_name(source.name),
        attach_type: source.attach_type.map_or(0, |kind| kind as u32),
        ..Load::default()
    };
    if let Some(debug) = &source.debug {
        attr.btf_fd = debug.btf.as_raw_fd() as u32;
        attr.func_info_record_size = FUNC_INFO;
        attr.func_info = debug.functions.as_ptr() as u64;
        attr.func_info_count = debug.functions.len() as u32 / FUNC_INFO;
        attr.line_info_record_size = LINE_INFO;
        attr.line_info = debug.lines.as_ptr() as u64;
        attr.line_info_count = debug.lines.len() as u32 / LINE_INFO;
    }
    if !log.is_empty() {
        attr.log_level = 1;
        attr.log_size = log.len() as u32;
        attr.log = log.as_mut_ptr() as u64;
    }
    loop {
        // SAFETY: `Load` is the beginning of the command's part of `bpf_attr` without padding; instructions
        // and licence are read, the log is written up to its length.
        match unsafe { bpf_fd(bpf_cmd::BPF_PROG_LOAD, &mut attr) } {
            // The verifier gives way to a signal with this.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            result => return result,
        }
    }
}

/// Gives a program a name in a BPF file system.
///
/// # Errors
/// The kernel's.
pub fn pin(program: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = Pin {
        path: path.as_ptr() as u64,
        fd: program.as_raw_fd() as u32,
        ..Pin::default()
    };
    // SAFETY: `Pin` is the beginning of the command's part of `bpf_attr` without padding; the path is read up
    // to the zero that ends it.
    unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr) }.map(drop)
}

/// Attaches a program to a device of this thread's namespace. Closing the descriptor detaches it.
///
/// # Errors
/// The kernel's.
pub fn link(
    program: BorrowedFd<'_>,
    ifindex: u32,
    attach_type: bpf_attach_type,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate {
        program_fd: program.as_raw_fd() as u32,
        target: ifindex,
        attach_type: attach_type as u32,
        flags,
        ..LinkCreate::default()
    };
    // SAFETY: `LinkCreate` is the beginning of the command's part of `bpf_attr` and holds no pointers.
    unsafe { bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
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

/// Runs a program over one packet with `BPF_PROG_TEST_RUN`. The device is this namespace's loopback unless the
/// context says otherwise.
///
/// # Errors
/// The kernel's: `EINVAL` for a packet that is shorter than an Ethernet header or longer than the kind of
/// program takes, `ENOTSUPP` (524) for a kind of program that cannot be run.
pub fn test_run(program: BorrowedFd<'_>, input: TestInput<'_>) -> io::Result<TestOutput> {
    let mut packet = vec![
        0u8;
        if input.packet.is_empty() {
            0
        } else {
            PACKET_ROOM
        }
    ];
    let mut context = vec![
        0u8;
        if input.context.is_empty() {
            0
        } else {
            CONTEXT_ROOM
        }
    ];
    let mut attr = TestRunAttr {
        program_fd: program.as_raw_fd() as u32,
        data_size_in: input.packet.len() as u32,
        data_in: pointer(input.packet),
        data_size_out: packet.len() as u32,
        repeat: input.repeat,
        context_size_in: input.context.len() as u32,
        context_in: pointer(input.context),
        context_size_out: context.len() as u32,
        ..TestRunAttr::default()
    };
    // A null pointer stands for no buffer, and a buffer for an XDP context is refused unless one was given.
    if !packet.is_empty() {
        attr.data_out = packet.as_mut_ptr() as u64;
    }
    if !context.is_empty() {
        attr.context_out = context.as_mut_ptr() as u64;
    }
    // SAFETY: `TestRunAttr` is the command's part of `bpf_attr` without padding; the inputs are read and the
    // outputs written up to the sizes that stand beside them.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr)? };
    packet.truncate(attr.data_size_out as usize);
    context.truncate(attr.context_size_out as usize);
    Ok(TestOutput {
        code: attr.return_value as i32,
        packet,
        context,
        duration: Duration::from_nanos(u64::from(attr.duration)),
    })
}

fn pointer(bytes: &[u8]) -> u64 {
    if bytes.is_empty() {
        0
    } else {
        bytes.as_ptr() as u64
    }
}
