//! Finds what compiles for the BPF target: a compiler with the sources of `core`, bpf-linker and
//! llvm-strip.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::paths;
use crate::process;

/// LLVM's programs on Debian; bpf-linker is built against this version.
const DEBIAN_LLVM: &str = "/usr/lib/llvm-22/bin";

/// What compiles the programs.
pub struct Toolchain {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    pub linker: PathBuf,
    pub strip: PathBuf,
    /// Where the sources of `core` are.
    pub rust_src: PathBuf,
}

impl Toolchain {
    /// Finds one, or says what was tried.
    pub fn find() -> Result<Self, Error> {
        let mut tried = String::new();
        let compiler = [debian as fn() -> Candidate, nightly]
            .into_iter()
            .find_map(|candidate| {
                candidate()
                    .map_err(|reason| tried += &format!("  {reason}\n"))
                    .ok()
            });
        let Some((cargo, rustc, rust_src)) = compiler else {
            return Err(Error::NoCompiler { tried });
        };
        let own = paths::target().join("bpf-toolchain/bin");
        Ok(Self {
            cargo,
            rustc,
            rust_src,
            linker: find("bpf-linker", &own).ok_or(Error::NoTool {
                tool: "bpf-linker",
                hint: "neither in target/bpf-toolchain nor on PATH",
            })?,
            strip: find("llvm-strip", Path::new(DEBIAN_LLVM)).ok_or(Error::NoTool {
                tool: "llvm-strip",
                hint: "neither in /usr/lib/llvm-22/bin nor on PATH",
            })?,
        })
    }

    /// The versions that decide what comes out, on one line.
    pub fn describe(&self) -> Result<String, Error> {
        let rustc = output(Command::new(&self.rustc).arg("--version"))?;
        let linker = output(Command::new(&self.linker).arg("--version"))?;
        Ok(format!("{rustc}, {linker}"))
    }
}

/// Cargo, rustc and the sources; or why they cannot be used.
type Candidate = Result<(PathBuf, PathBuf, PathBuf), String>;

/// The compiler of Debian's rustc-web.
fn debian() -> Candidate {
    let rustc = PathBuf::from("/usr/bin/rustc");
    let rust_src = sources(Command::new(&rustc)).map_err(|why| format!("/usr/bin/rustc: {why}"))?;
    Ok((PathBuf::from("/usr/bin/cargo"), rustc, rust_src))
}

/// The nightly that rustup manages.
fn nightly() -> Candidate {
    let which = |tool| {
        output(Command::new("rustup").args(["which", "--toolchain", "nightly", tool]))
            .map(PathBuf::from)
            .map_err(|error| format!("rustup's nightly: {error}"))
    };
    let (cargo, rustc) = (which("cargo")?, which("rustc")?);
    let rust_src =
        sources(Command::new(&rustc)).map_err(|why| format!("rustup's nightly: {why}"))?;
    Ok((cargo, rustc, rust_src))
}

/// Where a compiler keeps the sources of `core`.
fn sources(mut rustc: Command) -> Result<PathBuf, String> {
    let sysroot = output(rustc.args(["--print", "sysroot"])).map_err(|error| error.to_string())?;
    let sources = Path::new(&sysroot).join("lib/rustlib/src/rust");
    if sources.join("library/core/Cargo.toml").is_file() {
        Ok(sources)
    } else {
        Err(format!("no sources of core in {}", sources.display()))
    }
}

/// A program in `first`, or else on PATH.
fn find(program: &str, first: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(first.to_path_buf())
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// What a command prints, without the last newline.
fn output(command: &mut Command) -> Result<String, process::Error> {
    let output = process::output(command)?;
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
}
