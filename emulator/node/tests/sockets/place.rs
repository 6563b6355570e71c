//! A cgroup and a network namespace of a test's own.
#![allow(unsafe_code)] // System calls.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::netlink::Netlink;

/// A device: its name, index, addresses with the lengths of their prefixes.
pub type Device = (&'static str, u32, &'static [(&'static str, u8)]);

/// Devices of the namespace, on both sides.
pub const DEVICES: [Device; 2] = [
    (
        "here",
        10,
        &[("10.1.0.1", 24), ("10.1.0.2", 24), ("fd00:1::1", 64)],
    ),
    ("there", 11, &[("10.2.0.1", 24), ("fd00:2::1", 64)]),
];

const PREFIX: &str = "twinpath-sockets-";

/// Why the kernel cannot be asked; none when it can. `TWINPATH_KERNEL=require` makes it a panic.
pub fn missing() -> Option<String> {
    twinpath_bpf::missing_with(|| {
        let Some(root) = hierarchy() else {
            return Some("no cgroup2 hierarchy is mounted".to_owned());
        };
        let free = fs::OpenOptions::new()
            .write(true)
            .open(root.join("cgroup.procs"));
        free.err()
            .map(|error| format!("cgroups cannot be changed: {error}"))
    })
}

/// Whether a test must be skipped; says why.
pub fn skip(test: &str) -> bool {
    let reason = missing();
    if let Some(reason) = &reason {
        eprintln!("{test}: skipped, {reason}");
    }
    reason.is_some()
}

/// Where the cgroup2 hierarchy is mounted.
fn hierarchy() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut mounts = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = mounts.find(|mount| mount.get(2) == Some(&"cgroup2"))?;
    mount.get(1).map(PathBuf::from)
}

/// Only one test at a time may move the process from cgroup to cgroup, and no other opens sockets meanwhile, which
/// would be in that cgroup too.
static TURN: Mutex<()> = Mutex::new(());

/// A test that opens sockets keeps this while it does.
pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process in a cgroup of its own; it leaves and removes it when this is dropped.
pub struct Cgroup {
    path: PathBuf,
    home: PathBuf,
    directory: fs::File,
    _turn: MutexGuard<'static, ()>,
}

impl Cgroup {
    pub fn enter() -> Self {
        let turn = turn();
        let root = hierarchy().unwrap();
        remove_stale(&root);
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .unwrap()
            .to_owned();
        let home = root.join(own.trim_start_matches('/'));
        let path = root.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let directory = fs::File::open(&path).unwrap();
        let cgroup = Self {
            path,
            home,
            directory,
            _turn: turn,
        };
        fs::write(cgroup.path.join("cgroup.procs"), "0").unwrap();
        cgroup
    }

    pub fn fd(&self) -> RawFd {
        self.directory.as_raw_fd()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.home.join("cgroup.procs"), "0");
        if let Err(error) = fs::remove_dir(&self.path) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

/// Removes the cgroups of test processes that were killed.
fn remove_stale(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Runs something in a thread that is alone in a new network namespace with [`DEVICES`].
pub fn in_namespace<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: changes the namespace of this thread only.
            let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "unshare: {}", std::io::Error::last_os_error());
            stay_on_cpu();
            let netlink = Netlink::open().unwrap();
            netlink.up(1).unwrap();
            let [here, there] = [DEVICES[0], DEVICES[1]];
            netlink
                .add_veth((here.0, here.1), (there.0, there.1))
                .unwrap();
            netlink.up(here.1).unwrap();
            netlink.up(there.1).unwrap();
            for (_, index, addresses) in DEVICES {
                for (address, prefix) in addresses {
                    let address: IpAddr = address.parse().unwrap();
                    netlink.add_address(index, address, *prefix).unwrap();
                }
            }
            wait_for_addresses();
            act()
        });
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Keeps this thread on the CPU that it runs on, whose backlog takes what it sends, one packet behind the other.
fn stay_on_cpu() {
    // SAFETY: a set of CPUs is bits, none of which is set.
    let mut here: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set and its size are as they are said to be.
    let result = unsafe {
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut here);
        libc::sched_setaffinity(0, size_of_val(&here), &here)
    };
    assert_eq!(result, 0, "stay: {}", std::io::Error::last_os_error());
}

/// Waits until all that this thread sent was received, and the answers to that: a busy kernel leaves it to a thread of its
/// own. Connected sockets find each other without any `sk_lookup` program.
pub fn settle() {
    let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    one.connect(other.local_addr().unwrap()).unwrap();
    other.connect(one.local_addr().unwrap()).unwrap();
    for (from, to) in [(&one, &other), (&other, &one)] {
        from.send(&[0]).unwrap();
        to.recv(&mut [0]).unwrap();
    }
}

/// Waits until every IPv6 address has its local route: that is there once the link is.
fn wait_for_addresses() {
    const RTF_LOCAL: u32 = 0x8000_0000;
    let addresses = DEVICES.iter().flat_map(|(_, _, addresses)| *addresses);
    for (address, _) in addresses {
        let Ok(address) = address.parse::<std::net::Ipv6Addr>() else {
            continue;
        };
        let wanted = format!("{:032x} 80 ", u128::from(address));
        let is_there = || {
            let routes = fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap();
            let mut found = routes.lines().filter(|line| line.starts_with(&wanted));
            found.any(|line| {
                let flags = line.split_whitespace().nth(8).unwrap();
                u32::from_str_radix(flags, 16).unwrap() & RTF_LOCAL != 0
            })
        };
        while !is_there() {
            std::thread::yield_now();
        }
    }
}

/// The current thread's network namespace.
pub fn namespace() -> fs::File {
    fs::File::open("/proc/thread-self/ns/net").unwrap()
}
