//! Maps whose values are things: maps, programs, cgroups, devices, CPUs, sockets. Each side has its own
//! numbers for them, so that they are compared by their place in a list.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use proptest::prelude::*;
use twinpath_bpf::{Program as KernelProgram, object_id};
use twinpath_machine::{
    Errno, Machine, Map, MapDef, MapFlags, MapId, MapType, Program, ProgramId, ProgramType,
    SocketId, Target,
};

use super::creation::in_kernel;
use super::faces::{Ours, Theirs, raw};
use super::kernel::map::{KernelMap, Raw};
use super::kernel::program::load;
use super::owners::cgroups_root;
use super::program::Command;
use super::steps::{Case, Step};
use super::things;

/// The kernel's things, and what it shows of each.
struct Things {
    /// What user space writes for each.
    written: Vec<Vec<u8>>,
    /// What user space reads of each.
    read: Vec<Vec<u8>>,
    /// Keeps them alive.
    _descriptors: Vec<OwnedFd>,
    _maps: Vec<KernelMap>,
    _programs: Vec<KernelProgram>,
}

/// How many things there are; with maps the last one does not fit.
const THINGS: usize = 4;

fn fd_value(fd: RawFd, size: u32) -> Vec<u8> {
    let mut value = (fd as u32).to_ne_bytes().to_vec();
    value.resize(size as usize, 0);
    value
}

impl Things {
    fn new(def: &MapDef) -> Self {
        let mut things = Self {
            written: Vec::new(),
            read: Vec::new(),
            _descriptors: Vec::new(),
            _maps: Vec::new(),
            _programs: Vec::new(),
        };
        for number in 0..THINGS {
            let (written, read) = things.make(def, number);
            things.written.push(written);
            things.read.push(read);
        }
        things
    }

    fn make(&mut self, def: &MapDef, number: usize) -> (Vec<u8>, Vec<u8>) {
        let size = def.value_size;
        match def.kind {
            MapType::ArrayOfMaps | MapType::HashOfMaps => {
                let map = in_kernel(&inner(number)).expect("an inner map");
                let id = map.id().expect("its id");
                let value = fd_value(map.fd(), 4);
                self._maps.push(map);
                (value, id.to_ne_bytes().to_vec())
            }
            MapType::ProgArray => {
                let program = load(ProgramType::SchedCls, 0, &things::target(number));
                let program = program.expect("a program");
                let id = object_id(program.as_fd()).expect("its id");
                let value = fd_value(program.as_raw_fd(), 4);
                self._programs.push(program);
                (value, id.to_ne_bytes().to_vec())
            }
            MapType::CgroupArray => {
                let cgroup = File::open(cgroups_root().expect("a root")).expect("the root cgroup");
                let value = fd_value(cgroup.as_raw_fd(), 4);
                self._descriptors.push(cgroup.into());
                (value, Vec::new())
            }
            MapType::DevMap | MapType::DevMapHash => {
                let value = fd_value(DEVICES[number] as RawFd, size);
                (value.clone(), value)
            }
            MapType::CpuMap => {
                let value = fd_value(QUEUES[number] as RawFd, size);
                (value.clone(), value)
            }
            MapType::XskMap => {
                let socket = xdp_socket().expect("an AF_XDP socket");
                let value = fd_value(socket.as_raw_fd(), 4);
                self._descriptors.push(socket);
                (value, Vec::new())
            }
            _ => {
                let socket: OwnedFd = TcpListener::bind("127.0.0.1:0").expect("a socket").into();
                let value = fd_value(socket.as_raw_fd(), size);
                let cookie = cookie(socket.as_raw_fd()).expect("its cookie");
                self._descriptors.push(socket);
                (value, cookie.to_ne_bytes().to_vec())
            }
        }
    }
}

/// No device clears an entry; the others are loopback, of which each kernel has one.
const DEVICES: [u32; THINGS] = [1, 0, 1, 1];
/// No queue clears an entry; the last one is too long.
const QUEUES: [u32; THINGS] = [64, 0, 16_384, 16_385];

/// The definitions of inner maps: the last one differs.
fn inner(number: usize) -> MapDef {
    MapDef::new(MapType::Array, 4, 8, if number == 3 { 2 } else { 1 })
}

#[allow(unsafe_code)] // System calls.
fn xdp_socket() -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[allow(unsafe_code)] // System calls.
fn cookie(fd: RawFd) -> io::Result<u64> {
    const SO_COOKIE: libc::c_int = 57;
    let mut cookie = 0u64;
    let mut len = 8;
    // SAFETY: the kernel writes at most `len` bytes to `cookie`.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(cookie)
    }
}

/// Types that this is about.
pub fn case(kind: MapType, most: usize) -> impl Strategy<Value = Case> {
    let wide = match kind {
        MapType::DevMap | MapType::DevMapHash | MapType::CpuMap => vec![4, 8],
        MapType::SockMap | MapType::SockHash => vec![4, 8],
        _ => vec![4],
    };
    let key = match kind {
        MapType::HashOfMaps | MapType::SockHash => (1..=12u32).boxed(),
        _ => Just(4).boxed(),
    };
    let flags = match kind {
        MapType::HashOfMaps => vec![
            MapFlags::ZERO_SEED,
            MapFlags::ZERO_SEED | MapFlags::NO_PREALLOC,
        ],
        MapType::CpuMap => vec![0],
        _ => vec![0, 0, 0, 0, MapFlags::RDONLY, MapFlags::WRONLY],
    };
    let def = (
        key,
        prop::sample::select(wide),
        1..6u32,
        prop::sample::select(flags),
    );
    let def = def.prop_map(move |(key, value, entries, flags)| {
        let mut def = MapDef::new(kind, key, value, entries);
        def.flags = MapFlags(flags);
        if matches!(kind, MapType::ArrayOfMaps | MapType::HashOfMaps) {
            def.inner = Some(Box::new(inner(0)));
        }
        def
    });
    (def, super::steps::steps(most)).prop_map(|(def, steps)| Case { def, steps })
}

/// The machine's side.
struct Own {
    ours: Ours,
    inner: Vec<MapId>,
    programs: Vec<ProgramId>,
    index: bool,
    frozen: bool,
}

impl Own {
    fn new(def: &MapDef) -> Result<Self, TestCaseError> {
        let build = |control, map| things::build(def, control, map);
        let ours = Ours::with(def, &build);
        let mut ours = ours.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let Machine { maps, memory, .. } = &mut ours.machine;
        let inner = (0..THINGS).map(|number| {
            let map = Map::new(inner(number), memory, 1).expect("an inner map");
            maps.push(map)
        });
        let inner = inner.collect();
        let programs = (0..THINGS).map(|number| {
            let insns = things::target(number).to_vec();
            let program = Program::bare("target", ProgramType::SchedCls, insns, &|_, _, _| None);
            ours.machine.add_program(program.expect("a program"))
        });
        let programs = programs.collect();
        Ok(Self {
            ours,
            inner,
            programs,
            index: def.key_size == 4,
            frozen: false,
        })
    }

    fn update(&mut self, key: &[u8], number: usize, flags: u64, written: &[u8]) -> Raw<()> {
        let Machine { maps, memory, .. } = &mut self.ours.machine;
        let id = self.ours.map;
        let index = match self.index {
            true => u32::from_le_bytes(key.try_into().expect("four bytes")),
            false => 0,
        };
        // What the system call checks before it looks at the type.
        if self.frozen || maps[id].def().flags.has(MapFlags::RDONLY) {
            return Err(libc::EPERM);
        }
        if flags & 4 != 0 {
            return Err(libc::EINVAL);
        }
        let done = match maps[id].def().kind {
            MapType::ArrayOfMaps | MapType::HashOfMaps => {
                maps.set_inner(id, key, Some(self.inner[number]), flags)
            }
            // These have no flags, which their functions here do not take.
            MapType::ProgArray | MapType::CgroupArray if flags != 0 => Err(Errno::EINVAL),
            MapType::ProgArray => maps[id].set_program(index, Some(self.programs[number])),
            MapType::CgroupArray => maps[id].set_cgroup(index, Some(1)),
            MapType::XskMap => {
                let socket = SocketId(number as u64);
                let target = Target::Socket { socket, queue: 0 };
                maps[id].set_target(memory, index, Some(target), flags)
            }
            MapType::SockMap | MapType::SockHash => {
                maps[id].set_socket(key, SocketId(number as u64), flags)
            }
            _ => maps[id].user_update(memory, key, written, flags),
        };
        raw(done)
    }

    /// What the machine shows of each thing.
    fn read(&self, def: &MapDef, things: &Things, number: usize) -> Vec<u8> {
        match def.kind {
            MapType::ArrayOfMaps | MapType::HashOfMaps => {
                self.inner[number].0.to_le_bytes().to_vec()
            }
            MapType::ProgArray => self.programs[number].0.to_le_bytes().to_vec(),
            MapType::SockMap | MapType::SockHash => (number as u64).to_le_bytes().to_vec(),
            _ => things.read[number].clone(),
        }
    }
}

pub fn compare(case: &Case) -> Result<u64, TestCaseError> {
    if case.def.kind == MapType::CgroupArray && cgroups_root().is_none() {
        return Ok(0);
    }
    let theirs = in_kernel(&case.def).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let theirs = Theirs::with(theirs, &|control, map| {
        things::build(&case.def, control, map)
    });
    let things = Things::new(&case.def);
    let mut own = Own::new(&case.def)?;
    for (number, step) in case.steps.iter().enumerate() {
        take(case, step, &theirs, &things, &mut own)
            .map_err(|error| TestCaseError::fail(format!("step {number}, {step:?}: {error}")))?;
    }
    let keys = theirs.map.keys();
    for key in &keys {
        lookup(case, key, &theirs, &things, &mut own)?;
    }
    let mut listed = Vec::new();
    while let Ok(next) = own.ours.next_key(listed.last().map(Vec::as_slice)) {
        listed.push(next);
    }
    prop_assert_eq!(keys, listed);
    Ok(case.steps.len() as u64 + 1)
}

fn lookup(
    case: &Case,
    key: &[u8],
    theirs: &Theirs,
    things: &Things,
    own: &mut Own,
) -> Result<(), TestCaseError> {
    let ours = own.ours.lookup(key);
    let place = |number: usize| own.read(&case.def, things, number);
    let ours = ours.map(|value| (0..THINGS).find(|number| place(*number) == value));
    let found = theirs.map.lookup(key);
    let found = found.map(|value| things.read.iter().position(|read| *read == value));
    prop_assert_eq!(found, ours);
    Ok(())
}

fn take(
    case: &Case,
    step: &Step,
    theirs: &Theirs,
    things: &Things,
    own: &mut Own,
) -> Result<(), TestCaseError> {
    match *step {
        Step::Lookup(key) => lookup(case, &case.key(key), theirs, things, own)?,
        Step::Update { key, value, flags } => {
            let (key, number) = (case.key(key), usize::from(value) % THINGS);
            let written = &things.written[number];
            let done = own.update(&key, number, flags, written);
            prop_assert_eq!(theirs.map.update(&key, written, flags), done);
        }
        Step::Delete(key) => {
            let key = case.key(key);
            prop_assert_eq!(theirs.map.delete(&key), own.ours.delete(&key));
        }
        Step::Next(key) => {
            let key = key.map(|key| case.key(key));
            let next = own.ours.next_key(key.as_deref());
            prop_assert_eq!(theirs.map.next_key(key.as_deref()), next);
        }
        Step::Take(key) => {
            let key = case.key(key);
            prop_assert_eq!(theirs.map.take(&key).err(), own.ours.take(&key).err());
        }
        Step::Freeze => {
            own.frozen = true;
            prop_assert_eq!(theirs.map.freeze(), raw(own.ours.map().freeze()));
        }
        Step::Run {
            action,
            cpu,
            key,
            value,
            flags,
            ..
        } => {
            let command = Command {
                action: action as u32 % 2,
                cpu: 0,
                flags,
                key: case.key(key),
                value: case.key(value % 8),
            };
            prop_assert_eq!(theirs.run(cpu, &command), own.ours.run(cpu, &command));
        }
    }
    Ok(())
}
