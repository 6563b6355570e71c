//! The object file that a user names.

use std::collections::BTreeMap;
use std::path::Path;

use twinpath_machine::{Object, ObjectProgram};

use super::error::CliError;
use crate::replay;
use crate::scenario::{Place, suggest};

/// Reads an object file; its bytes, and what is in them.
///
/// # Errors
/// When the file cannot be read or is no eBPF object.
pub fn read(path: &Path) -> Result<(Vec<u8>, Object), CliError> {
    let shown = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| CliError::Input(format!("failed to read {shown}: {error}")))?;
    let object =
        Object::parse(&bytes).map_err(|error| CliError::Input(format!("{shown} {error}")))?;
    Ok((bytes, object))
}

/// A program of the object, by name.
///
/// # Errors
/// When the object has none of that name; what it has, and what was probably meant.
pub fn program<'a>(
    object: &'a Object,
    path: &Path,
    name: &str,
) -> Result<&'a ObjectProgram, CliError> {
    let programs = object.programs();
    programs
        .iter()
        .find(|program| program.name == name)
        .ok_or_else(|| {
            let known = || programs.iter().map(|program| program.name.as_str());
            unknown(path, "program", name, known)
        })
}

/// How many entries maps of the object are to have, by name.
///
/// # Errors
/// When the object has no map of a name.
pub fn entries(
    given: &[(String, u32)],
    object: &Object,
    path: &Path,
) -> Result<BTreeMap<String, u32>, CliError> {
    let names = || object.maps().iter().map(|map| map.name.as_str());
    for (name, _) in given {
        if !names().any(|known| known == name) {
            return Err(unknown(path, "map", name, names));
        }
    }
    Ok(given.iter().cloned().collect())
}

/// Values of global variables of the object, by name.
///
/// # Errors
/// When the object has no variable of a name, or a text is no value for one.
pub fn globals(
    given: &[(String, String)],
    object: &Object,
    path: &Path,
) -> Result<BTreeMap<String, Vec<u8>>, CliError> {
    let all = object.globals();
    let mut values = BTreeMap::new();
    for (name, text) in given {
        let found = all.iter().find(|global| global.name == *name);
        let found = found.ok_or_else(|| {
            let named = || all.iter().filter(|global| !global.is_anonymous());
            let known = || named().map(|global| global.name.as_str());
            unknown(path, "global variable", name, known)
        })?;
        let of = object.btf().zip(found.of);
        let place = Place::new(format!("the variable `{name}`"), found.size as usize, of);
        let value = replay::global(text, &place)
            .map_err(|error| CliError::Input(format!("--set {name}: {error}")))?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// A name that the object does not have.
pub fn unknown<'a, I: Iterator<Item = &'a str>>(
    path: &Path,
    what: &str,
    name: &str,
    known: impl Fn() -> I,
) -> CliError {
    let meant = suggest::nearest(name, known())
        .map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
    CliError::Input(format!(
        "{} has no {what} `{name}`: expected {}{meant}",
        path.display(),
        suggest::list(known())
    ))
}
