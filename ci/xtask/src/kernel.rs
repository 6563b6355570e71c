//! Loads an object into this kernel: the verifier has the last word.
#![allow(clippy::print_stdout, reason = "a chore tells what it does")]

use std::collections::BTreeMap;

use twinpath::kernel::test_run::Object;
use twinpath_machine::Object as Parsed;

use crate::error::Error;
use crate::io_error::IoError;

/// Loads every program of an object, as a run does. Without root there is nothing to do, unless
/// `TWINPATH_KERNEL=require` says that it must be done.
pub fn check(object: &str, bytes: &[u8]) -> Result<(), Error> {
    if !nix::unistd::geteuid().is_root() {
        if std::env::var_os("TWINPATH_KERNEL").is_some_and(|value| value == "require") {
            return Err(Error::NeedsRoot);
        }
        println!("{object}: not loaded, as that needs root");
        return Ok(());
    }
    let mut loaded = Object::load(object, bytes, &BTreeMap::new())?;
    for program in Parsed::parse(bytes)?.programs() {
        let name = &program.name;
        let info = loaded.program(name)?.info();
        let info = info.map_err(IoError::on("ask the kernel about", name))?;
        println!(
            "{object}: the kernel takes {name} ({} instructions verified, {} bytes of machine code)",
            info.verified, info.machine_code
        );
    }
    Ok(())
}
