//! The objects in datapath/objects: written, or checked.
#![allow(clippy::print_stdout, reason = "a chore tells what it does")]

use std::fs;

use crate::build;
use crate::digest::Digests;
use crate::error::Error;
use crate::io_error::IoError;
#[cfg(target_os = "linux")]
use crate::kernel;
use crate::paths;
use crate::toolchain::Toolchain;

/// Compiles the programs into datapath/objects and records what they were made from.
pub fn write() -> Result<(), Error> {
    let toolchain = Toolchain::find()?;
    let folder = paths::objects();
    fs::create_dir_all(&folder).map_err(IoError::on("create", &folder))?;
    for (name, object) in build::run(&toolchain)? {
        let path = folder.join(name).with_extension("o");
        fs::write(&path, &object).map_err(IoError::on("write", &path))?;
        println!("{name}.o: {} bytes", object.len());
    }
    let path = folder.join("SOURCES.sha256");
    let mut digests = current()?;
    digests.toolchain = toolchain.describe()?;
    Ok(fs::write(&path, digests.render()).map_err(IoError::on("write", &path))?)
}

/// Checks that the committed objects are what the sources say, and that the kernel takes a rebuild.
pub fn check() -> Result<(), Error> {
    let recorded = recorded()?;
    check_current(&recorded)?;
    println!("objects are newer than their sources");

    let toolchain = Toolchain::find()?;
    let same_compiler = toolchain.describe()? == recorded.toolchain;
    for (name, rebuilt) in build::run(&toolchain)? {
        let object = format!("{name}.o");
        if same_compiler {
            compare(&object, &rebuilt)?;
            println!("{object}: a rebuild is the same, byte for byte");
        } else {
            println!("{object}: not compared with a rebuild, as the compiler is another one");
        }
        #[cfg(target_os = "linux")]
        kernel::check(&object, &rebuilt)?;
    }
    Ok(())
}

/// The digests of the sources and the objects as they are now.
fn current() -> Result<Digests, Error> {
    let root = paths::root();
    let mut digests = Digests::of_sources(&root)?;
    for name in build::OBJECTS {
        digests.add(&root, &paths::objects().join(name).with_extension("o"))?;
    }
    Ok(digests)
}

fn recorded() -> Result<Digests, Error> {
    let path = paths::objects().join("SOURCES.sha256");
    Digests::parse(&fs::read_to_string(&path).map_err(IoError::on("read", &path))?)
}

fn check_current(recorded: &Digests) -> Result<(), Error> {
    let changes = recorded.changes(&current()?);
    if changes.is_empty() {
        Ok(())
    } else {
        Err(Error::Stale { changes })
    }
}

fn compare(object: &str, rebuilt: &[u8]) -> Result<(), Error> {
    let path = paths::objects().join(object);
    let committed = fs::read(&path).map_err(IoError::on("read", &path))?;
    if committed == rebuilt {
        return Ok(());
    }
    let common = committed.iter().zip(rebuilt).take_while(|(a, b)| a == b);
    Err(Error::NotReproduced {
        object: object.to_owned(),
        offset: common.count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_objects_are_newer_than_their_sources() {
        if let Err(error) = recorded().and_then(|recorded| check_current(&recorded)) {
            panic!("{error}");
        }
    }
}
