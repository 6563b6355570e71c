//! Values that belong to sockets and cgroups.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use twinpath_bpf::attach_to_cgroup;
use twinpath_machine::isa::pseudo;
use twinpath_machine::{
    CgroupKey, Cpu, HelperId, Machine, MapDef, MapFlags, MapType, ProgramType, SocketId,
};

use super::asm::{exit, lddw, mov};
use super::faces::{Ours, raw};
use super::kernel::map::KernelMap;
use super::kernel::program::load;
use super::program::call;
use super::steps::{self, Case, Step};

/// Storage of sockets, whose keys are descriptors in the kernel.
pub fn sockets(most: usize) -> impl Strategy<Value = Case> {
    (1..=10u32, steps::steps(most)).prop_map(|(words, steps)| {
        let mut def = MapDef::new(MapType::SkStorage, 4, 4 * words, 0);
        def.flags = MapFlags(MapFlags::NO_PREALLOC);
        Case { def, steps }
    })
}

pub fn compare_sockets(case: &Case) -> Result<u64, TestCaseError> {
    let theirs = KernelMap::new(&case.def, None).expect("socket storage");
    let sockets: Vec<_> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a socket"))
        .collect();
    let mut ours = Ours::new(&case.def).expect("socket storage");
    let id = ours.map;
    for step in &case.steps {
        let Machine { maps, memory, .. } = &mut ours.machine;
        let owner = |key: u8| {
            let number = usize::from(key) % sockets.len();
            let fd = sockets[number].as_raw_fd() as u32;
            (fd.to_ne_bytes(), SocketId(number as u64))
        };
        match *step {
            Step::Lookup(key) => {
                let (fd, socket) = owner(key);
                let value = maps[id].socket_value(memory, socket);
                prop_assert_eq!(theirs.lookup(&fd), value.ok_or(libc::ENOENT));
            }
            Step::Update { key, value, flags } => {
                let ((fd, socket), value) = (owner(key), case.value(value));
                let done = raw(maps[id].set_socket_value(memory, socket, &value, flags));
                prop_assert_eq!(theirs.update(&fd, &value, flags), done, "{:?}", step);
            }
            Step::Delete(key) => {
                let (fd, socket) = owner(key);
                prop_assert_eq!(
                    theirs.delete(&fd),
                    raw(maps[id].delete_socket_value(socket))
                );
            }
            Step::Next(_) => {
                prop_assert_eq!(
                    theirs.next_key(None).err(),
                    raw(maps[id].next_key(None)).err()
                );
            }
            Step::Freeze => prop_assert_eq!(theirs.freeze(), raw(maps[id].freeze())),
            Step::Take(_) | Step::Run { .. } => {}
        }
    }
    Ok(case.steps.len() as u64)
}

/// Where the second version of cgroups is mounted.
pub fn cgroups_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mut mounts = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = mounts.find(|fields| fields.get(2) == Some(&"cgroup2"))?;
    Some(PathBuf::from(mount.get(1)?))
}

/// A cgroup that is removed again.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(root: &Path, number: usize) -> Self {
        let name = format!("twinpath-maps-{}-{number}", std::process::id());
        let path = root.join(name);
        // One that an earlier process of this number left behind will do.
        let _ = fs::create_dir(&path);
        Self(path)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// `BPF_CGROUP_INET_EGRESS`
const EGRESS: u32 = 1;

/// Storage of cgroups, which is made when a program is attached.
pub fn cgroups(most: usize) -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        Just(MapType::CgroupStorage),
        Just(MapType::PerCpuCgroupStorage)
    ];
    let key = prop_oneof![Just(8u32), Just(16)];
    (kind, key, 1..=24u32, steps::steps(most)).prop_map(|(kind, key, value, steps)| {
        // Linux 6.18 makes room for the values of CPUs as they are, and reads and writes them rounded
        // up: what lies behind is somebody else's.
        let value = match kind {
            MapType::PerCpuCgroupStorage => value.next_multiple_of(8),
            _ => value,
        };
        let def = MapDef::new(kind, key, value, 0);
        Case { def, steps }
    })
}

pub fn compare_cgroups(case: &Case) -> Result<u64, TestCaseError> {
    let Some(root) = cgroups_root() else {
        return Ok(0);
    };
    let theirs = KernelMap::new(&case.def, None).expect("cgroup storage");
    let mut ours = Ours::new(&case.def).expect("cgroup storage");
    let mut insns = lddw(1, pseudo::MAP_FD, theirs.fd() as u64).to_vec();
    insns.extend([
        mov(2, 0),
        call(HelperId::GET_LOCAL_STORAGE),
        mov(0, 1),
        exit(),
    ]);
    let program = load(ProgramType::CgroupSkb, EGRESS, &insns).expect("a program");
    let cgroup = Cgroup::new(&root, case.steps.len());
    let directory = File::open(&cgroup.0).expect("the cgroup");
    attach_to_cgroup(program.as_fd(), directory.as_fd(), EGRESS).expect("attach");
    let attached = CgroupKey {
        cgroup: directory.metadata().expect("its number").ino(),
        attach_type: EGRESS,
    };
    let id = ours.map;
    let Machine { maps, memory, .. } = &mut ours.machine;
    maps[id]
        .cgroup_storage(memory, attached, Cpu(0))
        .expect("room");
    let key = |number: u8| {
        // Most keys are of the cgroup that has a value.
        let other = CgroupKey {
            cgroup: 1,
            ..attached
        };
        let key = if number == 0 { other } else { attached };
        key.bytes()[..case.def.key_size as usize].to_vec()
    };
    for step in &case.steps {
        match *step {
            Step::Lookup(number) => {
                prop_assert_eq!(theirs.lookup(&key(number)), ours.lookup(&key(number)));
            }
            Step::Update {
                key: number,
                value,
                flags,
            } => {
                let value = case.user_value(value);
                let done = ours.update(&key(number), &value, flags);
                prop_assert_eq!(
                    theirs.update(&key(number), &value, flags),
                    done,
                    "{:?}",
                    step
                );
            }
            Step::Delete(number) => {
                prop_assert_eq!(theirs.delete(&key(number)), ours.delete(&key(number)));
            }
            Step::Next(_) => prop_assert_eq!(theirs.next_key(None), ours.next_key(None)),
            Step::Take(number) => {
                prop_assert_eq!(theirs.take(&key(number)), ours.take(&key(number)));
            }
            Step::Freeze => prop_assert_eq!(theirs.freeze(), raw(ours.map().freeze())),
            Step::Run { .. } => {}
        }
    }
    Ok(case.steps.len() as u64)
}
