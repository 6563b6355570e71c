//! Objects of others: C programs in the styles of several projects, compiled by an old and a new clang, and what
//! distributions ship. libbpf (by bpftool) loads them into the kernel, the emulator into a world; both run each
//! program over the same packets, and verdicts, bytes and maps must be equal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)] // These are tests.

mod filling;
mod kernel;
mod packets;
mod shipped;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kernel::KernelObject;
use twinpath_machine::Placement;
use twinpath_machine::engine::{Checked, Rbpf};
use world::WorldObject;

/// What a program made of a packet: its verdict and the packet, or the error number of the run.
type Ran = Result<(u32, Vec<u8>), i32>;
/// Keys and values of a map.
type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// The objects beside this file.
fn own() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
    let files = std::fs::read_dir(folder).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut objects: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "o"))
        .collect();
    objects.sort();
    objects
}

/// Why objects cannot be compared, `further` among the reasons.
fn missing(further: impl FnOnce() -> Option<String>) -> Option<String> {
    twinpath_bpf::missing_with(|| {
        let bpftool = std::process::Command::new("bpftool")
            .arg("version")
            .output();
        let bpftool = bpftool.err().map(|error| {
            format!(
                "bpftool, which loads objects into the kernel, does not run: {error}; \
                 install Debian's package bpftool"
            )
        });
        bpftool.or_else(further)
    })
}

/// Whether maps begin as the object says, or with elements that the packets meet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    AsLoaded,
    Filled,
}

/// Runs all programs of an object in the kernel and on both engines, and says what differs; none when the kernel
/// does not load it.
fn compare(path: &Path, start: Start) -> Result<Vec<String>, String> {
    let mut kernel = KernelObject::load(path)?;
    let worlds = [
        WorldObject::load::<Checked>(path, Placement::Anywhere),
        WorldObject::load::<Rbpf>(path, Placement::Identity),
    ];
    let mut worlds = match worlds.into_iter().collect::<Result<Vec<_>, _>>() {
        Ok(worlds) => worlds,
        Err(error) => return Ok(vec![format!("the emulator does not load it: {error}")]),
    };
    if start == Start::Filled {
        for world in &mut worlds {
            filling::fill(&kernel, world);
        }
    }
    let mut found = run(&kernel, &mut worlds);
    found.extend(compare_maps(&mut kernel, &mut worlds));
    Ok(found)
}

fn run(kernel: &KernelObject, worlds: &mut [WorldObject]) -> Vec<String> {
    let names: Vec<_> = worlds[0].programs().collect();
    let lacking = kernel.programs.keys().filter(|name| !names.contains(name));
    let mut found: Vec<_> = lacking
        .map(|name| format!("the emulator lacks program {name}"))
        .collect();
    for name in &names {
        let Some(program) = kernel.programs.get(name) else {
            found.push(format!("the kernel lacks program {name}"));
            continue;
        };
        for (number, packet) in packets::all().iter().enumerate() {
            let theirs = kernel::run(program, packet);
            for world in &mut *worlds {
                let engine = world.engine;
                match world.run(name, packet) {
                    Ok(ours) if ours == theirs => {}
                    Ok(ours) => found.push(format!(
                        "{name}, packet {number}: the kernel {}, {engine} {}",
                        show(&theirs),
                        show(&ours)
                    )),
                    Err(fault) => {
                        found.push(format!("{name}, packet {number}, {engine}: {fault}"));
                    }
                }
            }
        }
    }
    found
}

fn compare_maps(kernel: &mut KernelObject, worlds: &mut [WorldObject]) -> Vec<String> {
    let mut found = Vec::new();
    let mut read = BTreeMap::new();
    for world in worlds {
        // Where in its map a value of the configuration stands is the loader's own business.
        let maps = world.contents().into_iter();
        for (name, ours) in maps.filter(|(name, _)| name != ".kconfig") {
            // Reading empties queues.
            let theirs = read
                .entry(name.clone())
                .or_insert_with(|| kernel.contents(&name));
            match theirs {
                Some(theirs) if *theirs == ours => {}
                Some(theirs) => found.push(format!("map {name}: {}", differing(theirs, &ours))),
                None => found.push(format!("the kernel lacks map {name}")),
            }
        }
    }
    found
}

/// The first element that differs.
fn differing(theirs: &Contents, ours: &Contents) -> String {
    let mut keys = theirs.keys().chain(ours.keys());
    let key = keys.find(|key| theirs.get(*key) != ours.get(*key)).unwrap();
    let (theirs, ours) = (theirs.get(key), ours.get(key));
    format!("under {key:02x?} the kernel has {theirs:02x?}, the emulator {ours:02x?}")
}

fn show(ran: &Ran) -> String {
    match ran {
        Ok((verdict, bytes)) => format!("returns {verdict} and {} bytes {bytes:02x?}", bytes.len()),
        Err(errno) => format!("refuses with errno {errno}"),
    }
}

/// Holds objects equal. What the kernel does not load is told, and is a failure where all must be loaded.
fn hold_equal(objects: &[PathBuf], start: Start) {
    let (mut found, mut refused) = (Vec::new(), 0);
    for path in objects {
        match compare(path, start) {
            Ok(differences) => {
                let differences = differences.iter().take(8);
                found.extend(differences.map(|text| format!("{}: {text}", path.display())));
            }
            Err(log) => {
                refused += 1;
                eprintln!("{}: libbpf does not load it: {log}", path.display());
            }
        }
    }
    eprintln!(
        "{} objects in the kernel and on both engines, {} packets for each program",
        objects.len() - refused,
        packets::all().len()
    );
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    match start {
        Start::AsLoaded => assert_eq!(refused, 0, "objects that libbpf does not load"),
        Start::Filled => assert!(refused < objects.len(), "libbpf loads none of them"),
    }
}

#[test]
fn in_the_styles_of_others() {
    if let Some(reason) = missing(|| None) {
        eprintln!("skipped: {reason}");
        return;
    }
    twinpath_bpf::one_process_at_a_time();
    hold_equal(&own(), Start::AsLoaded);
}

#[test]
fn shipped_by_distributions() {
    let objects = shipped::objects();
    if let Some(reason) = missing(|| shipped::missing(&objects)) {
        eprintln!("skipped: {reason}");
        return;
    }
    twinpath_bpf::one_process_at_a_time();
    hold_equal(&objects, Start::Filled);
}
