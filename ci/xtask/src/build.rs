//! Compiles the programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::io_error::IoError;
use crate::paths;
use crate::process;
use crate::toolchain::Toolchain;

/// The objects: one for each binary of the crate.
pub const OBJECTS: [&str; 1] = ["twinpath"];

/// Compiles the programs; returns the object of each binary, stripped of DWARF. BTF and its line
/// information stay.
pub fn run(toolchain: &Toolchain) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
    let target = paths::target().join("bpf");
    let mut cargo = Command::new(&toolchain.cargo);
    cargo
        .current_dir(paths::datapath())
        .args(["build", "--release", "--locked", "--quiet"])
        .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(&target)
        // A stable compiler takes -Z options only under this name.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", &toolchain.rustc)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            rustflags(toolchain).join("\u{1f}"),
        )
        // Set by the cargo that runs us, meant for the other compiler.
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTFLAGS");
    process::run(&mut cargo)?;
    OBJECTS
        .into_iter()
        .map(|name| {
            let built = target.join("bpfel-unknown-none/release").join(name);
            strip(toolchain, &built).map(|object| (name, object))
        })
        .collect()
}

fn rustflags(toolchain: &Toolchain) -> Vec<String> {
    let mut flags = vec![
        // ISA v3: 32-bit arithmetic and jumps, as kernels have since 5.1.
        "-Ctarget-cpu=v3".to_owned(),
        "-Cdebuginfo=2".to_owned(),
        format!("-Clinker={}", toolchain.linker.display()),
        "-Clink-arg=--btf".to_owned(),
        // Otherwise every zeroed field becomes a call of a loop.
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
    ];
    for (from, to) in remapped(toolchain) {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    flags
}

/// Paths of this machine, which must not reach the objects, and what stands for them.
///
/// Our own sources become relative to the folder that Cargo compiles in. So LLVM finds them and puts
/// the text of each line beside its number, where the verifier's log and the emulator show it.
fn remapped(toolchain: &Toolchain) -> Vec<(PathBuf, String)> {
    let mut paths = vec![
        (toolchain.rust_src.clone(), "rust".to_owned()),
        (paths::datapath(), ".".to_owned()),
    ];
    if let Ok(real) = fs::canonicalize(&toolchain.rust_src) {
        paths.push((real, "rust".to_owned()));
    }
    let sources = cargo_home().join("registry/src");
    for registry in fs::read_dir(&sources).into_iter().flatten().flatten() {
        paths.push((registry.path(), "crates".to_owned()));
    }
    paths
}

fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(
        || std::env::home_dir().unwrap_or_default().join(".cargo"),
        PathBuf::from,
    )
}

fn strip(toolchain: &Toolchain, built: &Path) -> Result<Vec<u8>, Error> {
    let stripped = built.with_extension("o");
    process::run(
        Command::new(&toolchain.strip)
            .arg("--strip-debug")
            .arg(built)
            .arg("-o")
            .arg(&stripped),
    )?;
    Ok(fs::read(&stripped).map_err(IoError::on("read", &stripped))?)
}
