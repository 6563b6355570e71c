//! What a process has open, and what there is on the machine that could be left of a run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::net::if_::if_nameindex;
use twinpath::kernel::{IdKind, loaded_ids};

/// For the kernel, which takes its time to clean up, and for tests in other processes, whose things go when they end.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What this process has: descriptors, threads, the namespace that it is in.
#[derive(Debug, PartialEq, Eq)]
pub struct Own {
    descriptors: usize,
    threads: usize,
    namespace: PathBuf,
}

pub fn own() -> Own {
    let count = |path: &str| fs::read_dir(path).expect("a directory").count();
    Own {
        descriptors: count("/proc/self/fd"),
        threads: count("/proc/self/task"),
        namespace: fs::read_link("/proc/thread-self/ns/net").expect("a link"),
    }
}

/// Something that outlives processes, in words.
pub type Thing = String;

/// Programs, maps and links by number.
pub fn loaded() -> BTreeSet<Thing> {
    let kinds = [
        (IdKind::Program, PROGRAM),
        (IdKind::Map, MAP),
        (IdKind::Link, LINK),
    ];
    let all = kinds.into_iter().flat_map(|(kind, word)| {
        let ids = loaded_ids(kind).expect("ids").into_iter();
        ids.map(move |id| format!("{word} {id}"))
    });
    all.collect()
}

pub const PROGRAM: &str = "program";
const MAP: &str = "map";
const LINK: &str = "link";

/// The programs, maps and links that a process holds, by the kernel's own account.
pub fn held_by(process: u32) -> BTreeSet<Thing> {
    let directory = format!("/proc/{process}/fdinfo");
    let infos = fs::read_dir(directory).into_iter().flatten().flatten();
    let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    let mut held = BTreeSet::new();
    for text in texts {
        for word in [PROGRAM, MAP, LINK] {
            let start = match word {
                PROGRAM => "prog_id:".to_owned(),
                word => format!("{word}_id:"),
            };
            let ids = text.lines().filter_map(|line| line.strip_prefix(&start));
            held.extend(ids.map(|id| format!("{word} {}", id.trim())));
        }
    }
    held
}

/// All that could be left of a run: what is loaded, devices of this namespace, mounts, control groups, namespaces with
/// processes or names, and what is pinned.
pub fn things() -> BTreeSet<Thing> {
    let mut things = loaded();
    let devices = if_nameindex().expect("devices");
    things.extend(
        devices
            .iter()
            .map(|device| format!("device {}", device.name().to_string_lossy())),
    );
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    things.extend(mounts.lines().map(|mount| format!("mount {mount}")));
    folders(Path::new("/sys/fs/cgroup"), &mut things);
    let spaces = entries("/proc").into_iter();
    let spaces = spaces.filter_map(|process| fs::read_link(process.join("ns/net")).ok());
    things.extend(spaces.map(|space| space.display().to_string()));
    for directory in ["/run/netns", "/sys/fs/bpf"] {
        let entries = entries(directory).into_iter();
        things.extend(entries.map(|entry| entry.display().to_string()));
    }
    things
}

/// What a directory contains; nothing if there is no such directory.
fn entries(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn folders(path: &Path, all: &mut BTreeSet<Thing>) {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        folders(&entry.path(), all);
        all.insert(entry.path().display().to_string());
    }
}

/// Waits until nothing of what has come since `before` is there any more.
pub fn assert_gone_since(before: &BTreeSet<Thing>) {
    assert_gone(&things().difference(before).cloned().collect());
}

/// Waits until none of these is there any more.
pub fn assert_gone(gone: &BTreeSet<Thing>) {
    let start = Instant::now();
    loop {
        let left: Vec<Thing> = things().intersection(gone).cloned().collect();
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "left: {left:?}");
        thread::sleep(Duration::from_millis(50));
    }
}
