//! What an object's programs are and need, without loading them.

use super::assemble::Assembly;
use super::image::Images;
use super::{Draft, LoadError, LoadOptions, Missing, check, create, owners, prepare, reach};
use crate::machine::{Environment, Machine, MachineOptions};
use crate::object::{Object, ObjectProgram};
use crate::program::ProgramType;

/// A program as it would be loaded.
pub(crate) struct Surveyed<'a> {
    pub(crate) program: &'a ObjectProgram,
    pub(crate) kind: ProgramType,
    pub(crate) assembly: Assembly,
    /// For each slot whether the program can get there.
    pub(crate) reached: Vec<bool>,
    pub(crate) missing: Vec<Missing>,
}

/// All programs as they would be loaded, and what the emulator lacks for the maps.
pub(crate) fn survey<'a>(
    object: &'a Object,
    options: &LoadOptions,
    environment: &dyn Environment,
) -> Result<(Vec<Surveyed<'a>>, Vec<Missing>), LoadError> {
    let mut missing = Vec::new();
    let images = Images::new(object, options)?;
    // Maps are made for nothing but to see whether they can be.
    let mut scratch = Machine::new(MachineOptions::default()).map_err(LoadError::Machine)?;
    let drafts = prepare(object, options, environment, &scratch, &mut missing)?;
    let mut of_maps = Vec::new();
    create::maps(
        &mut scratch,
        object,
        options,
        &images,
        &drafts,
        &mut of_maps,
    )?;
    owners::check(object, &drafts, &mut of_maps);
    let rules = check::Rules::new(object, options, environment);
    let surveyed = drafts.into_iter().map(|mut draft| {
        let mut of_program: Vec<_> = missing
            .iter()
            .filter(|missing| missing.program == draft.program.name)
            .cloned()
            .collect();
        let reached = reach::reachable(&draft.assembly, &images);
        rules.check(&mut draft, &reached, &mut of_program);
        of_program.sort();
        of_program.dedup();
        let Draft {
            program,
            kind,
            assembly,
        } = draft;
        Surveyed {
            program,
            kind,
            assembly,
            reached,
            missing: of_program,
        }
    });
    Ok((surveyed.collect(), of_maps))
}
