//! An object in the kernel, loaded by libbpf.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use twinpath_bpf::{BpfFs, Map, Program, TestInput, open_pinned};
use twinpath_machine::MapType;

use super::{Contents, Ran};

pub struct KernelObject {
    pub programs: BTreeMap<String, Program>,
    maps: BTreeMap<String, Map>,
}

impl KernelObject {
    /// Loads an object, or gives bpftool's words why not.
    pub fn load(path: &Path) -> Result<Self, String> {
        let pins = BpfFs::new().map_err(|error| error.to_string())?;
        let (programs, maps) = (pins.path().join("programs"), pins.path().join("maps"));
        let bpftool = Command::new("bpftool")
            .args(["prog", "loadall"])
            .args([path, &programs])
            .arg("pinmaps")
            .arg(&maps)
            .output()
            .map_err(|error| error.to_string())?;
        if !bpftool.status.success() {
            return Err(String::from_utf8_lossy(&bpftool.stderr).into_owned());
        }
        let programs = pinned(&programs)?.into_iter();
        let maps = pinned(&maps)?.into_iter().map(|(name, fd)| {
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

    /// What a map holds, by its name in the object; that of global data has the section's name behind the
    /// beginning of the object's.
    pub fn contents(&self, name: &str) -> Option<Contents> {
        let pinned = name.replace('.', "_");
        let global = |other: &str| name.starts_with('.') && other.ends_with(&pinned);
        let mut maps = self.maps.iter();
        let (_, map) = maps.find(|(other, _)| **other == pinned || global(other))?;
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

/// What has a name in a folder of a BPF file system.
fn pinned(folder: &Path) -> Result<Vec<(String, std::os::fd::OwnedFd)>, String> {
    let files = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut pinned = Vec::new();
    for file in files {
        let file = file.map_err(|error| error.to_string())?;
        let fd = open_pinned(&file.path()).map_err(|error| error.to_string())?;
        pinned.push((file.file_name().to_string_lossy().into_owned(), fd));
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
