//! Objects that packages of other projects bring.

use std::path::{Path, PathBuf};

/// Where packages put them.
const FOLDERS: [&str; 7] = [
    "/usr/lib/x86_64-linux-gnu/bpf", // libxdp and xdp-tools on Debian
    "/usr/lib/aarch64-linux-gnu/bpf",
    "/usr/lib64/bpf", // the same elsewhere
    "/usr/lib/bpf",
    "/usr/lib/suricata/ebpf",
    "/usr/libexec/suricata/ebpf",
    "/var/lib/cilium/bpf",
];

/// All that are installed, in order, or those of the folders in `TWINPATH_OBJECTS`, which has a colon between two.
pub fn objects() -> Vec<PathBuf> {
    let wanted = std::env::var("TWINPATH_OBJECTS").ok();
    let folders: Vec<_> = match &wanted {
        Some(wanted) => wanted.split(':').collect(),
        None => FOLDERS.to_vec(),
    };
    let folders = folders
        .into_iter()
        .filter_map(|folder| Path::new(folder).read_dir().ok());
    let mut objects: Vec<_> = folders
        .flatten()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "o"))
        .collect();
    objects.sort();
    objects
}

/// What to do where there are none.
pub fn missing(objects: &[PathBuf]) -> Option<String> {
    objects.is_empty().then(|| {
        format!(
            "no objects are in {}; install Debian's package xdp-tools",
            FOLDERS.join(", ")
        )
    })
}
