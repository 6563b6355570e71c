//! Programs from instructions.
#![allow(unsafe_code, reason = "system calls")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::call::{Command, address, address_mut, bpf_fd, object_name};
use super::freed::Freed;
use super::ids::read_info;

/// A program as instructions.
#[derive(Debug)]
pub struct ProgramSource<'a> {
    /// What the kernel shows as its name.
    pub name: &'a str,
    /// What kind of program it is, a number of `enum bpf_prog_type`.
    pub kind: u32,
    /// Where it will be attached, a number of `enum bpf_attach_type`; 0 for the kinds that need not know when they are
    /// verified.
    pub attach_type: u32,
    /// Instructions of eight bytes each, with the descriptors of maps put in.
    pub instructions: &'a [u8],
    /// Which helpers it may call depends on this.
    pub license: &'a CStr,
    /// `BPF_F_*`.
    pub flags: u32,
    /// What is known about its functions and lines.
    pub debug: Option<DebugInfo<'a>>,
}

/// What is known about a program's functions and lines.
#[derive(Debug, Clone, Copy)]
pub struct DebugInfo<'a> {
    /// The types.
    pub btf: BorrowedFd<'a>,
    /// Records of `struct bpf_func_info`.
    pub functions: &'a [u8],
    /// Records of `struct bpf_line_info`.
    pub lines: &'a [u8],
}

impl<'a> ProgramSource<'a> {
    /// A program under the GPL, and no more said about it.
    pub fn new(name: &'a str, kind: u32, instructions: &'a [u8]) -> Self {
        Self {
            name,
            kind,
            attach_type: 0,
            instructions,
            license: c"GPL",
            flags: 0,
            debug: None,
        }
    }

    /// The same to be attached to a hook, a number of `enum bpf_attach_type`.
    pub fn for_hook(mut self, attach_type: u32) -> Self {
        self.attach_type = attach_type;
        self
    }
}

/// Why the kernel did not take a program.
#[derive(Debug)]
pub struct Refusal {
    /// The system call's error.
    pub error: io::Error,
    /// What the verifier said, as far as it got.
    pub log: String,
}

/// What the kernel says of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Its number among all that are loaded on this machine.
    pub id: u32,
    /// Instructions that the verifier went through, each as often as it did; 0 before Linux 5.16.
    pub verified: u32,
    /// Bytes of machine code; 0 where programs are interpreted.
    pub machine_code: u32,
}

/// A program that the kernel has verified and loaded; dropped, it is closed, and freed unless something holds it.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
    // Behind the descriptor, so that it is dropped after that is closed.
    _freed: Freed,
}

#[repr(C)]
#[derive(Default)]
struct LoadAttr {
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

/// Bytes of `struct bpf_func_info`.
const FUNC_INFO: u32 = 8;
/// Bytes of `struct bpf_line_info`.
const LINE_INFO: u32 = 16;
/// Sizes of the log, one tried after another: kernels before 6.4 keep its beginning when it does not fit, and the
/// reason stands at its end.
const LOG_SIZES: [usize; 3] = [1 << 20, 1 << 24, 1 << 27];

impl Program {
    /// Loads a program.
    ///
    /// # Errors
    /// The kernel's refusal with the verifier's log.
    pub fn load(source: &ProgramSource<'_>) -> Result<Self, Refusal> {
        let error = match Self::load_without_log(source) {
            Ok(program) => return Ok(program),
            Err(error) => error,
        };
        let mut log = Vec::new();
        for size in LOG_SIZES {
            log = vec![0; size];
            match try_load(source, &mut log) {
                Ok(program) => return Ok(program),
                // The log, not the program, is what was refused.
                Err(full) if full.raw_os_error() == Some(libc::ENOSPC) => {}
                Err(_) => break,
            }
        }
        let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
        Err(Refusal {
            error,
            log: String::from_utf8_lossy(&log[..end]).into_owned(),
        })
    }

    /// What the kernel says of it (`struct bpf_prog_info`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn info(&self) -> io::Result<ProgramInfo> {
        const ID: usize = 4;
        const MACHINE_CODE: usize = 16;
        const VERIFIED: usize = 216;
        // The kernel writes as much as it knows, and asks for no more of what it does not than to be zero.
        let mut info = [0; 232];
        read_info(self.as_fd(), &mut info)?;
        let word = |at: usize| {
            let word = info[at..].first_chunk();
            word.map_or(0, |word| u32::from_ne_bytes(*word))
        };
        Ok(ProgramInfo {
            id: word(ID),
            verified: word(VERIFIED),
            machine_code: word(MACHINE_CODE),
        })
    }

    /// A second handle of the program.
    ///
    /// # Errors
    /// When the process may have no more descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::from_fd(self.fd.try_clone()?))
    }

    /// Takes a program that was loaded elsewhere.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd, _freed: Freed }
    }

    /// Loads a program and does not ask why the verifier refuses it, which takes half of the time.
    ///
    /// # Errors
    /// The kernel's.
    pub fn load_without_log(source: &ProgramSource<'_>) -> io::Result<Self> {
        try_load(source, &mut [])
    }
}

fn try_load(source: &ProgramSource<'_>, log: &mut [u8]) -> io::Result<Program> {
    let instructions = source.instructions.len();
    assert_eq!(instructions % 8, 0, "an instruction has eight bytes");
    let mut attr = LoadAttr {
        kind: source.kind,
        instruction_count: (instructions / 8) as u32,
        instructions: address(source.instructions),
        license: address(source.license.to_bytes_with_nul()),
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log: address_mut(log),
        flags: source.flags,
        name: object_name(source.name),
        attach_type: source.attach_type,
        ..LoadAttr::default()
    };
    if let Some(debug) = &source.debug {
        attr.btf_fd = debug.btf.as_raw_fd() as u32;
        attr.func_info_record_size = FUNC_INFO;
        attr.func_info = address(debug.functions);
        attr.func_info_count = debug.functions.len() as u32 / FUNC_INFO;
        attr.line_info_record_size = LINE_INFO;
        attr.line_info = address(debug.lines);
        attr.line_info_count = debug.lines.len() as u32 / LINE_INFO;
    }
    loop {
        // What the verifier refuses is freed in the same way.
        let freed = Freed;
        // SAFETY: `LoadAttr` is the beginning of the command's part of `bpf_attr` without padding; instructions
        // and licence are read, the log is written up to its length.
        match unsafe { bpf_fd(Command::ProgramLoad, &mut attr) } {
            Ok(fd) => return Ok(Program { fd, _freed: freed }),
            // The verifier gives way to a signal with this.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            Err(error) => return Err(error),
        }
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Program {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
