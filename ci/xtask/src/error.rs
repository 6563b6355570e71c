//! What can go wrong; each message finishes "failed to build the objects: ...".

use crate::io_error::IoError;
use crate::process;

/// A chore that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] IoError),

    #[error(
        "no compiler for bpfel-unknown-none:\n{tried}\n\
         run ci/setup-bpf-toolchain.sh. On Debian it installs rustc-web, cargo-web and rust-web-src; \
         elsewhere a nightly with rust-src:\n  \
         rustup toolchain install nightly --component rust-src"
    )]
    NoCompiler { tried: String },

    #[error("{tool} is missing ({hint}); run ci/setup-bpf-toolchain.sh")]
    NoTool {
        tool: &'static str,
        hint: &'static str,
    },

    #[error(transparent)]
    Process(#[from] process::Error),

    #[error(
        "datapath/objects is older than its sources:\n{changes}run `cargo xtask objects` and commit \
         what it writes"
    )]
    Stale { changes: String },

    #[error(
        "a rebuild of {object} differs from the committed one from byte {offset} on, with the same \
         sources and the same compiler; run `cargo xtask objects` and commit what it writes"
    )]
    NotReproduced { object: String, offset: usize },

    #[error("datapath/objects/SOURCES.sha256 line {line}: expected `<sha256>  <path>`")]
    BadDigest { line: usize },

    #[error(transparent)]
    Object(#[from] twinpath_machine::ObjectError),

    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Kernel(#[from] twinpath::kernel::Error),

    #[error("the kernel half of the check needs root, and TWINPATH_KERNEL=require is set")]
    NeedsRoot,
}
