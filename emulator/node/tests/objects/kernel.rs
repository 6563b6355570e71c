//! An object in the kernel, loaded by libbpf.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use twinpath_bpf::{Map, Program, TestInput, open_pinned};
use twinpath_machine::MapType;

use super::{Contents, Ran};

pub struct KernelObject {
    pub programs: BTreeMap<String, Program>,
    maps: BTreeMap<String, Map>,
}

/// Loads an object and pins all of it in a BPF file system that nobody else sees, where libbpf also has the maps that
/// pin themselves; then waits to be looked into.
const LOAD: &str = "mount -t bpf bpf /sys/fs/bpf &&
    bpftool prog loadall \"$1\" /sys/fs/bpf/programs pinmaps /sys/fs/bpf &&
    echo loaded && read line";

impl KernelObject {
    /// Loads an object, or gives the last of bpftool's words why not.
    pub fn load(path: &Path) -> Result<Self, String> {
        let mut loader = Command::new("unshare")
            .args(["--mount", "sh", "-c", &format!("{{ {LOAD}; }} 2>&1"), "sh"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let lines = BufReader::new(loader.stdout.take().unwrap()).lines();
        let said = lines
            .map_while(Result::ok)
            .take_while(|line| line != "loaded");
        let said: Vec<_> = said.collect();
        let root = format!("/proc/{}/root/sys/fs/bpf", loader.id());
        let object = Self::pinned_in(Path::new(&root));
        drop(loader.stdin.take());
        loader.wait().unwrap();
        let last = &said[said.len().saturating_sub(4)..];
        object.map_err(|error| format!("{}\n{error}", last.join("\n")))
    }

    fn pinned_in(root: &Path) -> Result<Self, String> {
        let programs = pinned(&root.join("programs"))?.into_iter();
        let maps = pinned(root)?.into_iter().map(|(name, fd)| {
            let map = Map::from_fd(fd).map_err(|error| error.to_string())?;
            Ok((name, map))
        });
        Ok(Self {
            programs: programs
                .map(|(name, fd)| (name, Program::from_fd(fd)))
                .collect(),
            maps: maps.collect::<Result<_, String>>()?,
        })
    }

    /// A map by its name in the object; that of global data has the section's name behind the beginning of the
    /// object's.
    pub fn map(&self, name: &str) -> Option<&Map> {
        let pinned = name.replace('.', "_");
        let global = |other: &str| name.starts_with('.') && other.ends_with(&pinned);
        let mut maps = self.maps.iter();
        let found = maps.find(|(other, _)| **other == pinned || global(other));
        found.map(|(_, map)| map)
    }

    /// What a map holds. Queues and stacks are empty afterwards.
    pub fn contents(&mut self, name: &str) -> Option<Contents> {
        let map = self.map(name)?;
        if map.shape().key_size == 0 {
            return Some(taken(map));
        }
        let keys = map.keys().unwrap().into_iter();
        let value = |key: &[u8]| map.lookup(key).unwrap().unwrap();
        Some(keys.map(|key| (key.clone(), value(&key))).collect())
    }
}

/// What a queue or stack holds, by number.
fn taken(map: &Map) -> Contents {
    let mut contents = Contents::new();
    while let Some(value) = map.take(&[]).unwrap() {
        contents.insert(contents.len().to_be_bytes().to_vec(), value);
    }
    contents
}

/// What is pinned in a folder of a BPF file system. The kernel's own files there have a dot in their names.
fn pinned(folder: &Path) -> Result<Vec<(String, std::os::fd::OwnedFd)>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut pinned = Vec::new();
    for file in std::fs::read_dir(folder).map_err(failed)? {
        let file = file.map_err(failed)?;
        let name = file.file_name().to_string_lossy().into_owned();
        if file.file_type().map_err(failed)?.is_file() && !name.contains('.') {
            pinned.push((name, open_pinned(&file.path()).map_err(failed)?));
        }
    }
    Ok(pinned)
}

/// Runs a program once over a packet.
pub fn run(program: &Program, packet: &[u8]) -> Ran {
    // The emulator's test run is on the first CPU.
    twinpath_bpf::run_on(0).unwrap();
    match program.test_run(TestInput::packet(packet)) {
        Ok(output) => Ok((output.code as u32, output.packet)),
        Err(error) => Err(error.raw_os_error().unwrap_or(0)),
    }
}

/// Whether a map's elements are plain bytes.
pub fn holds_bytes(kind: MapType) -> bool {
    matches!(
        kind,
        MapType::Array
            | MapType::Hash
            | MapType::PerCpuArray
            | MapType::PerCpuHash
            | MapType::LruHash
            | MapType::LruPerCpuHash
            | MapType::LpmTrie
            | MapType::Queue
            | MapType::Stack
    )
}
