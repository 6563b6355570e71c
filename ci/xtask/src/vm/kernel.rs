//! A kernel that a VM can boot: its image, and its modules in the order in which they can be loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::Error;
use crate::io_error::IoError;
use crate::paths;
use crate::process;

/// What the kernel half of a run leans on. A kernel that has one of these built in, or not at all, gets
/// no module for it: what is missing is for the run to find out and say.
const WANTED: [&str; 12] = [
    "veth",
    "sch_ingress",
    "cls_bpf",
    "act_bpf",
    "vxlan",
    "geneve",
    "bridge",
    "dummy",
    "ipip",
    "ip6_tunnel",
    "sit",
    "vrf",
];

/// An unpacked kernel package.
pub struct Kernel {
    /// What it is called on the command line: `6.1`.
    pub name: String,
    /// The bootable image.
    pub image: PathBuf,
    /// `lib/modules/VERSION`.
    modules: PathBuf,
}

impl Kernel {
    /// Finds a kernel below `target/vm/kernels`.
    pub fn find(name: &str) -> Result<Self, Error> {
        let folder = paths::target().join("vm/kernels");
        let missing = || Error::NoKernel {
            name: name.to_owned(),
            folder: folder.clone(),
        };
        let unpacked = folder.join(name);
        Ok(Self {
            name: name.to_owned(),
            image: only_entry(&unpacked.join("boot"), "vmlinuz").ok_or_else(missing)?,
            modules: only_entry(&unpacked.join("lib/modules"), "").ok_or_else(missing)?,
        })
    }

    /// The modules to load, each behind those that it depends on: a name, and the uncompressed file.
    pub fn modules(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let path = self.modules.join("modules.dep");
        let text = fs::read_to_string(&path).map_err(IoError::on("read", &path))?;
        let dependencies =
            Dependencies::parse(&text).map_err(|line| Error::BadDependencies { path, line })?;
        dependencies
            .closure(&WANTED)
            .into_iter()
            .map(|module| Ok((module_name(module).to_owned(), self.read_module(module)?)))
            .collect()
    }

    fn read_module(&self, module: &str) -> Result<Vec<u8>, Error> {
        let path = self.modules.join(module);
        if !module.ends_with(".xz") {
            return Ok(fs::read(&path).map_err(IoError::on("read", path))?);
        }
        Ok(process::output(Command::new("xz").arg("-dc").arg(&path))?)
    }
}

/// The first entry of a folder, by name, that starts so.
fn only_entry(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .min()
}

/// `kernel/net/sched/cls_bpf.ko.xz` is `cls_bpf`.
fn module_name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file)
}

/// depmod's `modules.dep`: a module's path, and those of all that must be loaded before it, the ones
/// needed first standing last.
struct Dependencies<'a>(BTreeMap<&'a str, (&'a str, Vec<&'a str>)>);

impl<'a> Dependencies<'a> {
    /// Fails with the number of the line that is not of that form.
    fn parse(text: &'a str) -> Result<Self, usize> {
        let mut modules = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let (module, needs) = line.split_once(':').ok_or(number + 1)?;
            let needs = needs.split_whitespace().collect();
            modules.insert(module_name(module), (module, needs));
        }
        Ok(Self(modules))
    }

    fn closure(&self, wanted: &[&str]) -> Vec<&'a str> {
        let mut seen = BTreeSet::new();
        let mut order = Vec::new();
        for (module, needs) in wanted.iter().filter_map(|name| self.0.get(name)) {
            for path in needs.iter().rev().chain([module]) {
                if seen.insert(*path) {
                    order.push(*path);
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_behind_what_they_need() {
        let text = "kernel/net/vxlan.ko.xz: kernel/net/udp_tunnel.ko.xz kernel/net/ip_tunnel.ko.xz\n\
                    kernel/net/udp_tunnel.ko.xz: kernel/net/ip_tunnel.ko.xz\n\
                    kernel/net/ip_tunnel.ko.xz:\n\
                    kernel/fs/ext4.ko.xz:\n";
        let dependencies = Dependencies::parse(text).expect("well formed");
        let names: Vec<_> = dependencies
            .closure(&["udp_tunnel", "absent", "vxlan"])
            .into_iter()
            .map(module_name)
            .collect();
        assert_eq!(names, ["ip_tunnel", "udp_tunnel", "vxlan"]);
    }

    #[test]
    fn a_line_without_a_colon_is_named() {
        assert_eq!(Dependencies::parse("a.ko:\nb.ko\n").err(), Some(2));
    }
}
