//! Maps in the running kernel: the map commands of `bpf(2)`, ring buffers and perf events from user
//! space.
#![allow(unsafe_code)] // System calls and shared mappings.
#![allow(dead_code)] // Shared by several test binaries, of which none uses all of it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use twinpath_machine::{MapDef, MapFlags};

const CREATE: libc::c_int = 0;
const LOOKUP: libc::c_int = 1;
const UPDATE: libc::c_int = 2;
const DELETE: libc::c_int = 3;
const NEXT_KEY: libc::c_int = 4;
const INFO: libc::c_int = 15;
const BTF_LOAD: libc::c_int = 18;
const TAKE: libc::c_int = 21;
const FREEZE: libc::c_int = 22;

/// An error number.
pub type Raw<T> = Result<T, i32>;

fn last_error() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// `union bpf_attr`, filled in by offset.
struct Attr([u8; 128]);

impl Attr {
    fn new() -> Self {
        Self([0; 128])
    }

    fn u32(mut self, offset: usize, value: u32) -> Self {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn u64(mut self, offset: usize, value: u64) -> Self {
        self.0[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn bytes(self, offset: usize, bytes: &[u8]) -> Self {
        match bytes {
            [] => self,
            bytes => self.u64(offset, bytes.as_ptr().expose_provenance() as u64),
        }
    }

    fn room(self, offset: usize, bytes: &mut [u8]) -> Self {
        match bytes {
            [] => self,
            bytes => self.u64(offset, bytes.as_mut_ptr().expose_provenance() as u64),
        }
    }

    fn call(mut self, command: libc::c_int) -> Raw<libc::c_long> {
        // SAFETY: the attribute is as long as stated, and the callers below keep what its pointers
        // refer to alive and as long as the kernel takes it to be.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len()) };
        if result < 0 {
            Err(last_error())
        } else {
            Ok(result)
        }
    }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// A map of the kernel's.
#[derive(Debug)]
pub struct KernelMap {
    fd: OwnedFd,
    key_size: usize,
    /// Bytes that a lookup gives and an update takes.
    value_size: usize,
}

/// CPUs that the kernel may have, each of which has a value in per-CPU maps.
pub fn possible_cpus() -> u32 {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = list.trim().rsplit(['-', ',']).next();
    last.and_then(|cpu| cpu.parse::<u32>().ok())
        .map_or(1, |cpu| cpu + 1)
}

/// Has the calling thread, and programs that it tests, run on this CPU.
pub fn run_on(cpu: u32) {
    // SAFETY: a set of bits on the stack, of which the kernel reads as many bytes as it has.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu as usize, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

impl KernelMap {
    /// Creates a map; `inner` is that of a map of maps.
    pub fn new(def: &MapDef, inner: Option<&Self>) -> Raw<Self> {
        let mut attr = Attr::new()
            .u32(0, def.kind as u32)
            .u32(4, def.key_size)
            .u32(8, def.value_size)
            .u32(12, def.max_entries)
            .u32(16, def.flags.0)
            .u32(20, inner.map_or(0, |map| map.fd() as u32))
            .u64(64, def.extra);
        let btf = match needs_btf(def) {
            true => Some(load_btf(def.value_size, def.lock)?),
            false => None,
        };
        if let Some((fd, value)) = &btf {
            attr = attr
                .u32(48, fd.as_raw_fd() as u32)
                .u32(52, 1)
                .u32(56, *value);
        }
        let fd = owned(attr.call(CREATE)?);
        let value_size = match def.kind.is_per_cpu() {
            true => def.value_size.next_multiple_of(8) * possible_cpus(),
            false => def.value_size,
        };
        Ok(Self {
            fd,
            key_size: def.key_size as usize,
            value_size: value_size as usize,
        })
    }

    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn attr(&self) -> Attr {
        Attr::new().u32(0, self.fd() as u32)
    }

    pub fn lookup(&self, key: &[u8]) -> Raw<Vec<u8>> {
        self.get(LOOKUP, key)
    }

    /// Looks up and deletes.
    pub fn take(&self, key: &[u8]) -> Raw<Vec<u8>> {
        self.get(TAKE, key)
    }

    fn get(&self, command: libc::c_int, key: &[u8]) -> Raw<Vec<u8>> {
        assert_eq!(key.len(), self.key_size);
        let mut value = vec![0; self.value_size];
        self.attr()
            .bytes(8, key)
            .room(16, &mut value)
            .call(command)?;
        Ok(value)
    }

    /// Looks a value up in a bloom filter.
    pub fn contains(&self, value: &[u8]) -> Raw<()> {
        let mut value = value.to_vec();
        self.attr().room(16, &mut value).call(LOOKUP).map(drop)
    }

    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Raw<()> {
        assert_eq!((key.len(), value.len()), (self.key_size, self.value_size));
        let attr = self.attr().bytes(8, key).bytes(16, value).u64(24, flags);
        attr.call(UPDATE).map(drop)
    }

    pub fn delete(&self, key: &[u8]) -> Raw<()> {
        self.attr().bytes(8, key).call(DELETE).map(drop)
    }

    pub fn next_key(&self, key: Option<&[u8]>) -> Raw<Vec<u8>> {
        // Maps without keys are asked all the same; they may not write.
        let mut next = vec![0; self.key_size.max(8)];
        let attr = self
            .attr()
            .bytes(8, key.unwrap_or_default())
            .room(16, &mut next);
        attr.call(NEXT_KEY)?;
        next.truncate(self.key_size);
        Ok(next)
    }

    pub fn freeze(&self) -> Raw<()> {
        self.attr().call(FREEZE).map(drop)
    }

    /// The map's id.
    pub fn id(&self) -> Raw<u32> {
        object_id(self.fd())
    }

    /// All keys in the kernel's order.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        while let Ok(next) = self.next_key(keys.last().map(Vec::as_slice)) {
            keys.push(next);
        }
        keys
    }
}

/// The id of a map or program, the second word of its info either way.
pub fn object_id(fd: RawFd) -> Raw<u32> {
    let mut info = [0; 80];
    let attr = Attr::new().u32(0, fd as u32).u32(4, 80).room(8, &mut info);
    attr.call(INFO)?;
    Ok(u32::from_ne_bytes([info[4], info[5], info[6], info[7]]))
}

/// Attaches a program to a cgroup (`BPF_PROG_ATTACH`), beside others.
pub fn attach(program: RawFd, cgroup: RawFd, attach_type: u32) -> Raw<()> {
    const PROG_ATTACH: libc::c_int = 8;
    const ALLOW_MULTI: u32 = 2;
    let attr = Attr::new().u32(0, cgroup as u32).u32(4, program as u32);
    let attr = attr.u32(8, attach_type).u32(12, ALLOW_MULTI);
    attr.call(PROG_ATTACH).map(drop)
}

fn needs_btf(def: &MapDef) -> bool {
    def.lock.is_some() || def.kind == twinpath_machine::MapType::SkStorage
}

/// Loads types for a key of four bytes and a value of this size with a spin lock; also returns the
/// value's type.
fn load_btf(value_size: u32, lock: Option<u32>) -> Raw<(OwnedFd, u32)> {
    let strings = b"\0int\0bpf_spin_lock\0val\0value\0lock\0";
    let (int, spin_lock, val, value, member) = (1u32, 5u32, 19u32, 23u32, 29u32);
    let mut types: Vec<u32> = Vec::new();
    let kind = |kind: u32, members: u32| kind << 24 | members;
    // 1: int, 2: struct bpf_spin_lock { int val; }, 3: struct value { ... }
    types.extend([int, kind(1, 0), 4, 32]);
    types.extend([spin_lock, kind(4, 1), 4, val, 1, 0]);
    match lock {
        Some(offset) => types.extend([value, kind(4, 1), value_size, member, 2, offset * 8]),
        None => types.extend([value, kind(4, 0), value_size]),
    }
    let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let header = [
        24,
        0,
        types.len() as u32,
        types.len() as u32,
        strings.len() as u32,
    ];
    let mut btf = vec![0x9f, 0xeb, 1, 0];
    btf.extend(header.iter().flat_map(|word| word.to_ne_bytes()));
    btf.extend(types);
    btf.extend(strings);
    let attr = Attr::new().bytes(0, &btf).u32(16, btf.len() as u32);
    Ok((owned(attr.call(BTF_LOAD)?), 3))
}

/// Whether user space may not write, or not read, a map with these flags.
pub fn restricts_user(flags: MapFlags) -> bool {
    flags.has(MapFlags::RDONLY) || flags.has(MapFlags::WRONLY)
}

/// A shared mapping of a descriptor.
struct Mapping {
    start: *mut u8,
    len: usize,
}

impl Mapping {
    fn new(fd: RawFd, len: usize, offset: usize, write: bool) -> Raw<Self> {
        let protection = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                fd,
                offset as libc::off_t,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(last_error());
        }
        Ok(Self {
            start: start.cast(),
            len,
        })
    }

    fn byte(&self, at: usize) -> u8 {
        assert!(at < self.len);
        // SAFETY: inside the mapping; nobody writes it but programs, which do not run meanwhile.
        unsafe { self.start.add(at).read_volatile() }
    }

    fn bytes(&self, at: usize, len: usize) -> Vec<u8> {
        (at..at + len).map(|at| self.byte(at)).collect()
    }

    fn word(&self, at: usize) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes(at, 8));
        u64::from_ne_bytes(word)
    }

    fn set_word(&self, at: usize, value: u64) {
        assert!(at + 8 <= self.len && at.is_multiple_of(8));
        // SAFETY: inside the mapping and aligned, since mappings start at a page.
        unsafe { self.start.add(at).cast::<u64>().write_volatile(value) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, and not borrowed any more.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// User space's end of a ring buffer.
pub struct RingReader {
    consumer: Mapping,
    /// The producer's position, then the data twice.
    producer: Mapping,
    size: usize,
}

const PAGE: usize = 4096;
/// Of `perf_event_open`.
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;

impl RingReader {
    pub fn new(map: &KernelMap, size: usize) -> Raw<Self> {
        Ok(Self {
            consumer: Mapping::new(map.fd(), PAGE, 0, true)?,
            producer: Mapping::new(map.fd(), PAGE + 2 * size, PAGE, false)?,
            size,
        })
    }

    /// Reads what is committed.
    pub fn take(&self) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        let mut position = self.consumer.word(0);
        while position < self.producer.word(0) {
            let at = PAGE + (position as usize & (self.size - 1));
            let header = self.producer.word(at) as u32;
            if header & 1 << 31 != 0 {
                break;
            }
            let len = (header & !(1 << 30)) as usize;
            if header & 1 << 30 == 0 {
                records.push(self.producer.bytes(at + 8, len));
            }
            position += (len + 8).next_multiple_of(8) as u64;
        }
        self.consumer.set_word(0, position);
        records
    }
}

/// User space's end of one CPU's events of a perf event array.
pub struct PerfReader {
    fd: OwnedFd,
    mapping: Mapping,
    size: usize,
}

/// A record of a perf event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PerfRecord {
    /// The bytes with what fills them up.
    Sample(Vec<u8>),
    Lost(u64),
}

impl PerfReader {
    /// Opens the events of a CPU with so many pages of buffer, a power of two.
    pub fn new(cpu: u32, pages: usize) -> Raw<Self> {
        let mut attr = [0u8; 128];
        let fields: [(usize, u64); 4] = [(0, 1 | 128 << 32), (8, 10), (16, 1), (24, 1 << 10)];
        for (offset, value) in fields {
            attr[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
        }
        attr[48..52].copy_from_slice(&1u32.to_ne_bytes());
        // SAFETY: the attribute is as long as it says.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                attr.as_ptr(),
                -1,
                cpu as libc::c_int,
                -1,
                PERF_FLAG_FD_CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(last_error());
        }
        let fd = owned(fd);
        let mapping = Mapping::new(fd.as_raw_fd(), PAGE * (pages + 1), 0, true)?;
        const ENABLE: libc::Ioctl = 0x2400;
        // SAFETY: no argument.
        if unsafe { libc::ioctl(fd.as_raw_fd(), ENABLE, 0) } < 0 {
            return Err(last_error());
        }
        Ok(Self {
            fd,
            mapping,
            size: PAGE * pages,
        })
    }

    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Reads everything.
    pub fn take(&self) -> Vec<PerfRecord> {
        const HEAD: usize = 1024;
        const TAIL: usize = 1032;
        let (head, mut tail) = (self.mapping.word(HEAD), self.mapping.word(TAIL));
        let mut records = Vec::new();
        while tail < head {
            let header = self.read(tail, 8);
            let kind = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
            let size = usize::from(u16::from_ne_bytes([header[6], header[7]]));
            let body = self.read(tail + 8, size - 8);
            let mut word = [0; 8];
            match kind {
                2 => {
                    word.copy_from_slice(&body[8..16]);
                    records.push(PerfRecord::Lost(u64::from_ne_bytes(word)));
                }
                9 => {
                    word[..4].copy_from_slice(&body[..4]);
                    let len = u64::from_ne_bytes(word) as usize;
                    records.push(PerfRecord::Sample(body[4..4 + len].to_vec()));
                }
                _ => {}
            }
            tail += size as u64;
        }
        self.mapping.set_word(TAIL, tail);
        records
    }

    fn read(&self, position: u64, len: usize) -> Vec<u8> {
        let at = |nth: usize| PAGE + (position as usize + nth) % self.size;
        (0..len).map(|nth| self.mapping.byte(at(nth))).collect()
    }
}
