//! The command `twinpath`; see [`twinpath::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    twinpath::cli::main()
}
