//! The initramfs: the first process, the command, the modules, and the files that it works on.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use cpio::newc::{self, ModeFileType};

use super::error::Error;
use super::kernel::Kernel;
use crate::io_error::IoError;
use crate::paths;
use crate::process;

/// What a VM gets of the repository, at the same places below its `/twinpath`.
const FOLDERS: [&str; 3] = ["scenarios/suite", "pcaps/corpus", "datapath/objects"];

const EXECUTABLE: u32 = 0o755;
const READABLE: u32 = 0o644;

/// The static binaries that go into an image.
pub struct Binaries {
    /// `ci/vm-init`.
    pub init: PathBuf,
    /// The command `twinpath`.
    pub twinpath: PathBuf,
}

/// Writes the initramfs in which `twinpath` runs with the arguments of each of these commands.
pub fn write(
    path: &Path,
    kernel: &Kernel,
    binaries: &Binaries,
    commands: &[Vec<OsString>],
) -> Result<(), Error> {
    let mut archive = Archive::create(path)?;
    for folder in ["dev", "proc", "sys", "tmp", "twinpath", "vm", "vm/modules"] {
        archive.folder(folder)?;
    }
    archive.file("init", EXECUTABLE, &read(&binaries.init)?)?;
    archive.file("bin/twinpath", EXECUTABLE, &read(&binaries.twinpath)?)?;
    archive.folder("vm/commands")?;
    for (number, arguments) in commands.iter().enumerate() {
        let name = format!("vm/commands/{number:03}");
        archive.file(&name, READABLE, &command(arguments))?;
    }
    archive.file("vm/environment", READABLE, &environment())?;
    for (number, (name, bytes)) in kernel.modules()?.into_iter().enumerate() {
        archive.file(&format!("vm/modules/{number:03}-{name}"), READABLE, &bytes)?;
    }
    for file in repository_files()? {
        archive.file(
            &format!("twinpath/{file}"),
            READABLE,
            &read(&paths::root().join(&file))?,
        )?;
    }
    archive.finish()
}

fn command(arguments: &[OsString]) -> Vec<u8> {
    nul_terminated(
        [OsStr::new("/bin/twinpath")]
            .into_iter()
            .chain(arguments.iter().map(OsString::as_os_str)),
    )
}

/// What tunes the command here tunes it there.
fn environment() -> Vec<u8> {
    let mut variables = vec![OsString::from("PATH=/bin")];
    for (name, value) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("TWINPATH_")
            || matches!(&*text, "RUST_BACKTRACE" | "NO_COLOR" | "CLICOLOR_FORCE")
        {
            let mut variable = name;
            variable.push("=");
            variable.push(value);
            variables.push(variable);
        }
    }
    nul_terminated(variables.iter().map(OsString::as_os_str))
}

fn nul_terminated<'a>(words: impl Iterator<Item = &'a OsStr>) -> Vec<u8> {
    words
        .flat_map(|word| word.as_bytes().iter().copied().chain([0]))
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    Ok(fs::read(path).map_err(IoError::on("read", path))?)
}

/// The files below [`FOLDERS`] that git would commit.
fn repository_files() -> Result<Vec<String>, Error> {
    let mut git = Command::new("git");
    git.current_dir(paths::root())
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .args(FOLDERS);
    let output = process::output(&mut git)?;
    let names = String::from_utf8_lossy(&output);
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// A cpio archive under way.
struct Archive {
    path: PathBuf,
    file: BufWriter<File>,
    inode: u32,
    folders: BTreeSet<String>,
}

impl Archive {
    fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(IoError::on("create", path))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            inode: 0,
            folders: BTreeSet::new(),
        })
    }

    /// Adds a file, behind the folders above it that are not there yet.
    fn file(&mut self, name: &str, permissions: u32, bytes: &[u8]) -> Result<(), Error> {
        for (end, _) in name.match_indices('/') {
            self.folder(&name[..end])?;
        }
        self.entry(name, ModeFileType::Regular, permissions, bytes)
    }

    fn folder(&mut self, name: &str) -> Result<(), Error> {
        if !self.folders.insert(name.to_owned()) {
            return Ok(());
        }
        self.entry(name, ModeFileType::Directory, EXECUTABLE, &[])
    }

    fn entry(
        &mut self,
        name: &str,
        kind: ModeFileType,
        permissions: u32,
        bytes: &[u8],
    ) -> Result<(), Error> {
        self.inode += 1;
        let entry = newc::Builder::new(name)
            .ino(self.inode)
            .mode(permissions)
            .set_mode_file_type(kind);
        let written = (|| {
            let size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            let mut writer = entry.write(&mut self.file, size);
            writer.write_all(bytes)?;
            writer.finish().map(drop)
        })();
        Ok(written.map_err(IoError::on("write", &self.path))?)
    }

    fn finish(mut self) -> Result<(), Error> {
        let ended = newc::trailer(&mut self.file).and_then(|file| file.flush());
        Ok(ended.map_err(IoError::on("write", &self.path))?)
    }
}
