//! `cargo xtask vm`: the kernel half on other kernels, under qemu.
//!
//! A kernel boots with an initramfs that holds a static `twinpath`, the suite with its captures and
//! objects, and the modules that they need (`image.rs`). The first process, `ci/vm-init`, runs one command and
//! sends home its output, its exit code and what it wrote below `/out`. KVM is used where it works.
//!
//! Without a command the suite runs on the kernel of this machine and on each of the others, and a table
//! shows every scenario on every kernel (`table.rs`).

mod error;
mod image;
mod kernel;
mod machine;
mod table;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Args;

use crate::paths;
pub use error::Error;
use image::Binaries;
use kernel::Kernel;
use machine::{Machine, Streams};

const TRIPLE: &str = "x86_64-unknown-linux-gnu";
const PROFILE: &str = "vm";

/// Run twinpath on other kernels, under qemu
#[derive(Args)]
pub struct Vm {
    /// A kernel that ci/setup-vm.sh has fetched; may be given several times
    #[arg(long = "kernel", value_name = "SERIES", default_values_t = ["6.1".to_owned(), "6.12".to_owned()])]
    kernels: Vec<String>,
    /// How many seconds a VM may take
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    limit: u64,
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
    let kernels: Vec<_> = vm
        .kernels
        .iter()
        .map(|name| Kernel::find(name))
        .collect::<Result<_, _>>()?;
    let binaries = build()?;
    if vm.arguments.is_empty() {
        return table::run(vm, &kernels, &binaries);
    }
    let mut worst = 0;
    for kernel in &kernels {
        let code = boot(
            vm,
            kernel,
            &binaries,
            &vm.arguments,
            Streams {
                stdout: &mut io::stdout(),
                stderr: &mut io::stderr(),
            },
        )?;
        worst = worst.max(code);
    }
    Ok(ExitCode::from(worst))
}

/// Runs twinpath with these arguments on a kernel and returns its exit code.
fn boot(
    vm: &Vm,
    kernel: &Kernel,
    binaries: &Binaries,
    arguments: &[OsString],
    streams: Streams<'_>,
) -> Result<u8, Error> {
    let folder = paths::target().join("vm/runs").join(&kernel.name);
    fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let initramfs = folder.join("initramfs.cpio");
    image::write(&initramfs, kernel, binaries, arguments)?;
    let machine = Machine {
        kernel,
        initramfs: &initramfs,
        folder: &folder,
        limit: Duration::from_secs(vm.limit),
    };
    let (code, archive) = machine.run(streams)?;
    if let Some(results) = &vm.results {
        let target = results.join(&kernel.name);
        let archive = File::open(&archive).map_err(Error::io("open", &archive))?;
        tar::Archive::new(archive)
            .unpack(&target)
            .map_err(Error::io("unpack into", &target))?;
    }
    Ok(code)
}

/// Builds the binaries that need nothing of the system that they run on.
fn build() -> Result<Binaries, Error> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(paths::root())
        .args(["build", "--quiet", "--target", TRIPLE, "--profile", PROFILE])
        .args(["--package", "vm-init", "--package", "twinpath"])
        .arg("--target-dir")
        .arg(paths::target())
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    let status = cargo.status().map_err(|source| Error::Spawn {
        command: "cargo".to_owned(),
        source,
    })?;
    if !status.success() {
        return Err(Error::Command {
            command: "cargo build".to_owned(),
            detail: status.to_string(),
        });
    }
    let built = paths::target().join(TRIPLE).join(PROFILE);
    Ok(Binaries {
        init: built.join("vm-init"),
        twinpath: built.join("twinpath"),
    })
}
