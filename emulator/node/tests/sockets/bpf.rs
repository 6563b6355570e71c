//! Programs, maps and attachments in the running kernel (`bpf(2)`).
#![allow(unsafe_code)] // System calls.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use twinpath_machine::ProgramType;
use twinpath_machine::isa::Insn;

const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
const PROG_TEST_RUN: libc::c_int = 10;
const LINK_CREATE: libc::c_int = 28;

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
        u32::from_ne_bytes(self.0[offset..offset + 4].try_into().unwrap())
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

/// A map whose keys are numbers of 32 bits.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    size: usize,
}

impl Map {
    /// An array.
    pub fn array(size: usize, entries: u32) -> io::Result<Self> {
        const ARRAY: u32 = 2;
        let mut attr = Attr::new()
            .u32(0, ARRAY)
            .u32(4, 4)
            .u32(8, size as u32)
            .u32(12, entries);
        let fd = owned(attr.call(MAP_CREATE)?);
        Ok(Self { fd, size })
    }

    /// A map of sockets, by their descriptors.
    pub fn sockets(entries: u32) -> io::Result<Self> {
        const SOCKMAP: u32 = 15;
        let mut attr = Attr::new()
            .u32(0, SOCKMAP)
            .u32(4, 4)
            .u32(8, 8)
            .u32(12, entries);
        let fd = owned(attr.call(MAP_CREATE)?);
        Ok(Self { fd, size: 8 })
    }

    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub fn set(&self, key: u32, value: &[u8]) -> io::Result<()> {
        assert_eq!(value.len(), self.size);
        let mut attr = Attr::new()
            .u32(0, self.fd() as u32)
            .pointer(8, &raw const key)
            .pointer(16, value.as_ptr());
        attr.call(MAP_UPDATE_ELEM).map(|_| ())
    }

    pub fn get(&self, key: u32) -> io::Result<Vec<u8>> {
        let mut value = vec![0; self.size];
        let mut attr = Attr::new()
            .u32(0, self.fd() as u32)
            .pointer(8, &raw const key)
            .pointer(16, value.as_mut_ptr());
        attr.call(MAP_LOOKUP_ELEM)?;
        Ok(value)
    }
}

/// A loaded program.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// What a test run gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub returned: u32,
}

impl Program {
    /// Loads a program, or says what the verifier says.
    pub fn load(kind: ProgramType, attach: u32, insns: &[Insn]) -> Result<Self, String> {
        if let Ok(program) = Self::try_load(kind, attach, insns, None) {
            return Ok(program);
        }
        let mut log = vec![0u8; 1 << 18];
        match Self::try_load(kind, attach, insns, Some(&mut log)) {
            Ok(program) => Ok(program),
            Err(error) => {
                let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
                Err(format!("{error}: {}", String::from_utf8_lossy(&log[..end])))
            }
        }
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
        Ok(Self(owned(attr.call(PROG_LOAD)?)))
    }

    /// Attaches the program; it is detached when the descriptor closes.
    pub fn attach(&self, target: RawFd, attach: u32) -> io::Result<OwnedFd> {
        let mut attr = Attr::new()
            .u32(0, self.0.as_raw_fd() as u32)
            .u32(4, target as u32)
            .u32(8, attach);
        attr.call(LINK_CREATE).map(owned)
    }

    /// Runs the program once on a packet.
    pub fn run(&self, data: &[u8]) -> io::Result<Output> {
        let mut attr = Attr::new()
            .u32(0, self.0.as_raw_fd() as u32)
            .u32(8, data.len() as u32)
            .pointer(16, data.as_ptr())
            .u32(32, 1);
        attr.call(PROG_TEST_RUN)?;
        Ok(Output {
            returned: attr.get(4),
        })
    }
}
