//! `cargo xtask vm`: the kernel half on other kernels, under qemu.
//!
//! A kernel boots with an initramfs that holds a static `twinpath`, the suite with its captures and
//! objects, and the modules that they need (`image.rs`). The first process, `ci/vm-init`, runs one command and
//! sends home its output, its exit code and what it wrote below `/out`. KVM is used where it works.
//!
//! Without a command the suite runs on the kernel of this machine and on each of the others, and a table
//! shows every scenario on every kernel (`table.rs`). The same boot answers what `cargo xtask complexity` asks.

mod error;
mod image;
mod kernel;
mod machine;
mod table;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Args;

use crate::io_error::IoError;
use crate::paths;
use crate::process;
pub use error::Error;
pub use image::Binaries;
pub use kernel::Kernel;
use machine::Machine;
pub use machine::Streams;

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Kernels to boot
#[derive(Args)]
pub struct Machines {
    /// A kernel that ci/setup-vm.sh has fetched; may be given several times
    #[arg(long = "kernel", value_name = "SERIES", default_values_t = ["6.1".to_owned(), "6.12".to_owned()])]
    kernels: Vec<String>,
    /// How many seconds a VM may take
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    limit: u64,
}

/// Run twinpath on other kernels, under qemu
#[derive(Args)]
pub struct Vm {
    #[command(flatten)]
    machines: Machines,
    /// Where to put what a command writes below /out in the VM: a folder for each kernel
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// The arguments of twinpath, run in a copy of the repository; without any, the suite runs on each
    /// kernel and on this one, and a table shows how it went
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// Boots the kernels one after the other.
pub fn run(vm: &Vm) -> Result<ExitCode, Error> {
    let kernels = vm.machines.find()?;
    let binaries = Binaries::build()?;
    if vm.arguments.is_empty() {
        return table::run(&vm.machines, &kernels, &binaries);
    }
    let mut worst = 0;
    for kernel in &kernels {
        let code = vm.machines.boot(
            kernel,
            &binaries,
            std::slice::from_ref(&vm.arguments),
            vm.results.as_deref(),
            Streams {
                stdout: &mut io::stdout(),
                stderr: &mut io::stderr(),
            },
        )?;
        worst = worst.max(code);
    }
    Ok(ExitCode::from(worst))
}

/// The series of the kernel of this machine: `6.18`.
pub fn series_here() -> String {
    let release = nix::sys::utsname::uname();
    let release = release.map(|name| name.release().to_string_lossy().into_owned());
    let release = release.unwrap_or_else(|_| "here".to_owned());
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}

impl Machines {
    /// Finds the kernels.
    pub fn find(&self) -> Result<Vec<Kernel>, Error> {
        self.kernels.iter().map(|name| Kernel::find(name)).collect()
    }

    /// Runs twinpath on a kernel, with the arguments of each command in turn, and returns the highest exit code.
    pub fn boot(
        &self,
        kernel: &Kernel,
        binaries: &Binaries,
        commands: &[Vec<OsString>],
        results: Option<&Path>,
        streams: Streams<'_>,
    ) -> Result<u8, Error> {
        let folder = paths::target().join("vm/runs").join(&kernel.name);
        fs::create_dir_all(&folder).map_err(IoError::on("create", &folder))?;
        let initramfs = folder.join("initramfs.cpio");
        image::write(&initramfs, kernel, binaries, commands)?;
        let machine = Machine {
            kernel,
            initramfs: &initramfs,
            folder: &folder,
            limit: Duration::from_secs(self.limit),
        };
        let (code, archive) = machine.run(streams)?;
        if let Some(results) = results {
            let target = results.join(&kernel.name);
            let archive = File::open(&archive).map_err(IoError::on("open", &archive))?;
            tar::Archive::new(archive)
                .unpack(&target)
                .map_err(IoError::on("unpack into", &target))?;
        }
        Ok(code)
    }
}

impl Binaries {
    /// Builds the binaries that need nothing of the system that they run on. `.ci/run` builds everything so:
    /// it finds them built.
    pub fn build() -> Result<Self, Error> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(paths::root())
            .args(["build", "--quiet", "--target", TRIPLE])
            .args(["--package", "vm-init", "--package", "twinpath"])
            .arg("--target-dir")
            .arg(paths::target())
            .env("RUSTFLAGS", "-C target-feature=+crt-static");
        process::run(&mut cargo)?;
        let built = paths::target().join(TRIPLE).join("debug");
        Ok(Self {
            init: stripped(&built.join("vm-init"))?,
            twinpath: stripped(&built.join("twinpath"))?,
        })
    }
}

/// A copy of a binary without what a debugger wants of it: the VM holds it in memory.
fn stripped(binary: &Path) -> Result<PathBuf, Error> {
    let stripped = binary.with_extension("stripped");
    process::run(Command::new("strip").arg(binary).arg("-o").arg(&stripped))?;
    Ok(stripped)
}
