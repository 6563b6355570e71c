//! Objects of others: C programs in the styles of several projects, compiled by an old and a new clang, and what
//! distributions ship. libbpf (by bpftool) loads them into the kernel, the emulator into a world; both run each
//! program over the same packets, and verdicts, bytes and maps must be equal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)] // These are tests.

mod kernel;
mod packets;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kernel::KernelObject;
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

/// Why objects cannot be compared.
fn missing() -> Option<String> {
    twinpath_bpf::missing().or_else(|| {
        let bpftool = std::process::Command::new("bpftool")
            .arg("version")
            .output();
        bpftool.err().map(|error| {
            format!("bpftool, which loads objects into the kernel, does not run: {error}")
        })
    })
}

/// Runs all programs of an object on both sides and says what differs.
fn compare(path: &Path) -> Vec<String> {
    let kernel = match KernelObject::load(path) {
        Ok(kernel) => kernel,
        Err(log) => return vec![format!("libbpf does not load it: {log}")],
    };
    let mut emulator = match WorldObject::load(path) {
        Ok(emulator) => emulator,
        Err(error) => return vec![format!("the emulator does not load it: {error}")],
    };
    let mut found = Vec::new();
    let names: Vec<_> = emulator.programs().collect();
    for (name, _) in kernel
        .programs
        .iter()
        .filter(|(name, _)| !names.contains(name))
    {
        found.push(format!("the emulator lacks program {name}"));
    }
    for name in &names {
        let Some(program) = kernel.programs.get(name) else {
            found.push(format!("the kernel lacks program {name}"));
            continue;
        };
        for (number, packet) in packets::all().iter().enumerate() {
            let (theirs, ours) = (kernel::run(program, packet), emulator.run(name, packet));
            match ours {
                Ok(ours) if ours == theirs => {}
                Ok(ours) => found.push(format!(
                    "{name}, packet {number}: the kernel {}, the emulator {}",
                    show(&theirs),
                    show(&ours)
                )),
                Err(fault) => found.push(format!("{name}, packet {number}: {fault}")),
            }
        }
    }
    // Where in its map a value of the configuration stands is the loader's own business.
    let maps = emulator.maps().into_iter();
    for (name, contents) in maps.filter(|(name, _)| name != ".kconfig") {
        match kernel.contents(&name) {
            Some(theirs) if theirs == contents => {}
            Some(theirs) => found.push(format!(
                "map {name}: the kernel {theirs:02x?}, the emulator {contents:02x?}"
            )),
            None => found.push(format!("the kernel lacks map {name}")),
        }
    }
    found
}

fn show(ran: &Ran) -> String {
    match ran {
        Ok((verdict, bytes)) => format!("returns {verdict} and {} bytes {bytes:02x?}", bytes.len()),
        Err(errno) => format!("refuses with errno {errno}"),
    }
}

fn hold_equal(objects: &[PathBuf]) {
    let mut found = Vec::new();
    for path in objects {
        let differences = compare(path);
        let differences = differences.iter().take(8);
        found.extend(differences.map(|text| format!("{}: {text}", path.display())));
    }
    eprintln!(
        "{} objects, {} packets for each program",
        objects.len(),
        packets::all().len()
    );
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn in_the_styles_of_others() {
    if let Some(reason) = missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    twinpath_bpf::one_process_at_a_time();
    hold_equal(&own());
}
