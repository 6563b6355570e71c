//! Programs in the running kernel: `BPF_PROG_LOAD`, `BPF_PROG_TEST_RUN` with contexts (`bpf(2)`), and
//! an array of one value through which tests hand bytes in and out.
#![allow(unsafe_code)] // System calls.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use twinpath_machine::ProgramType;
use twinpath_machine::isa::Insn;

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TEST_RUN: libc::c_int = 10;

/// Why the kernel cannot be asked; none when it can. `TWINPATH_KERNEL=require` makes it a panic.
pub fn missing() -> Option<String> {
    let reason = match Array::new(8) {
        Ok(_) => None,
        Err(error) => Some(format!("bpf() is not available: {error}")),
    };
    let required = std::env::var_os("TWINPATH_KERNEL").is_some_and(|value| value == "require");
    match &reason {
        Some(reason) if required => panic!("TWINPATH_KERNEL=require, and {reason}"),
        _ => reason,
    }
}

/// `union bpf_attr`, filled in by offset.
struct Attr([u8; 144]);

impl Attr {
    fn new() -> Self {
        Self([0; 144])
    }

    fn u32(mut self, offset: usize, value: u32) -> Self {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn pointer<T>(mut self, offset: usize, to: *const T) -> Self {
        let address = to.expose_provenance() as u64;
        self.0[offset..offset + 8].copy_from_slice(&address.to_ne_bytes());
        self
    }

    fn get(&self, offset: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[offset..offset + 4]);
        u32::from_ne_bytes(bytes)
    }

    fn call(&mut self, command: libc::c_int) -> io::Result<libc::c_long> {
        // SAFETY: the attribute is as long as stated, and the callers below keep alive what its
        // pointers refer to, at least as long as the attribute says.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len()) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(result)
        }
    }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) }
}

/// An array of one value.
#[derive(Debug)]
pub struct Array {
    fd: OwnedFd,
    size: usize,
}

impl Array {
    pub fn new(size: usize) -> io::Result<Self> {
        let fd = Attr::new()
            .u32(0, 2)
            .u32(4, 4)
            .u32(8, size as u32)
            .u32(12, 1)
            .call(BPF_MAP_CREATE)?;
        Ok(Self {
            fd: owned(fd),
            size,
        })
    }

    pub fn fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    pub fn set(&self, value: &[u8]) -> io::Result<()> {
        assert_eq!(value.len(), self.size);
        let key = 0u32;
        Attr::new()
            .u32(0, self.fd() as u32)
            .pointer(8, &raw const key)
            .pointer(16, value.as_ptr())
            .call(BPF_MAP_UPDATE_ELEM)?;
        Ok(())
    }

    pub fn get(&self) -> io::Result<Vec<u8>> {
        let key = 0u32;
        let mut value = vec![0; self.size];
        Attr::new()
            .u32(0, self.fd() as u32)
            .pointer(8, &raw const key)
            .pointer(16, value.as_mut_ptr())
            .call(BPF_MAP_LOOKUP_ELEM)?;
        Ok(value)
    }
}

/// A loaded program.
#[derive(Debug)]
pub struct KernelProgram(OwnedFd);

/// Why the kernel refused a program.
#[derive(Debug)]
#[allow(dead_code)] // Shown by its Debug form.
pub struct Refused {
    pub error: io::Error,
    /// What the verifier said.
    pub log: String,
}

/// What a test run gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub returned: u32,
    pub data: Vec<u8>,
    pub context: Vec<u8>,
}

impl KernelProgram {
    pub fn load(kind: ProgramType, attach: u32, insns: &[Insn]) -> Result<Self, Refused> {
        if let Ok(program) = Self::try_load(kind, attach, insns, None) {
            return Ok(program);
        }
        let mut log = vec![0u8; 1 << 20];
        let error = match Self::try_load(kind, attach, insns, Some(&mut log)) {
            Ok(program) => return Ok(program),
            Err(error) => error,
        };
        let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
        let log = String::from_utf8_lossy(&log[..end]).into_owned();
        Err(Refused { error, log })
    }

    /// Whether the kernel takes a program.
    pub fn loads(kind: ProgramType, attach: u32, insns: &[Insn]) -> bool {
        Self::try_load(kind, attach, insns, None).is_ok()
    }
    fn try_load(
        kind: ProgramType,
        attach: u32,
        insns: &[Insn],
        log: Option<&mut [u8]>,
    ) -> io::Result<Self> {
        let bytes: Vec<u8> = insns.iter().flat_map(|insn| insn.to_bytes()).collect();
        let mut attr = Attr::new()
            .u32(0, kind as u32)
            .u32(4, insns.len() as u32)
            .pointer(8, bytes.as_ptr())
            .pointer(16, c"GPL".as_ptr())
            .u32(68, attach);
        if let Some(log) = log {
            attr = attr
                .u32(24, 1)
                .u32(28, log.len() as u32)
                .pointer(32, log.as_mut_ptr());
        }
        Ok(Self(owned(attr.call(BPF_PROG_LOAD)?)))
    }

    /// Runs the program once. `data` is none for program types that have no packet.
    pub fn run(&self, data: Option<&[u8]>, context: &[u8], flags: u32) -> io::Result<Output> {
        let mut data_out = vec![0; 1 << 16];
        let mut context_out = vec![0; context.len()];
        let mut attr = Attr::new()
            .u32(0, self.0.as_raw_fd() as u32)
            .u32(32, 1)
            .u32(40, context.len() as u32)
            .u32(44, context_out.len() as u32)
            .pointer(48, context.as_ptr())
            .pointer(56, context_out.as_mut_ptr())
            .u32(64, flags);
        if let Some(data) = data {
            attr = attr
                .u32(8, data.len() as u32)
                .u32(12, data_out.len() as u32)
                .pointer(16, data.as_ptr())
                .pointer(24, data_out.as_mut_ptr());
        }
        attr.call(BPF_PROG_TEST_RUN)?;
        data_out.truncate(attr.get(12) as usize);
        context_out.truncate(attr.get(44) as usize);
        Ok(Output {
            returned: attr.get(4),
            data: data_out,
            context: context_out,
        })
    }
}
