//! Which programs of an object are loaded.

use std::collections::BTreeSet;

use super::assemble::{Assembly, TooLong, assemble};
use super::{Draft, LoadError, LoadOptions};
use crate::object::{Entry, Object, ObjectProgram, Reference};
use crate::program::ProgramType;

/// The programs to load, each with all that it calls.
pub(super) fn drafts<'a>(
    object: &'a Object,
    options: &LoadOptions,
) -> Result<Vec<Draft<'a>>, LoadError> {
    let mut wanted = wanted(object, options)?;
    let mut drafts = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some(program) = wanted.pop_front() {
        if seen.insert(&program.name) {
            let assembly = assemble(object, program.function);
            let assembly = assembly.map_err(|TooLong| LoadError::TooLong(program.name.clone()))?;
            if options.programs.is_some() {
                wanted.extend(tail_called(object, &assembly));
            }
            drafts.push(Draft {
                program,
                kind: ProgramType::Unspecified,
                assembly,
            });
        }
    }
    types(&mut drafts, options)?;
    Ok(drafts)
}

type Wanted<'a> = std::collections::VecDeque<&'a ObjectProgram>;

fn wanted<'a>(object: &'a Object, options: &LoadOptions) -> Result<Wanted<'a>, LoadError> {
    let all = object.programs();
    let Some(names) = &options.programs else {
        return Ok(all.iter().filter(|program| !program.optional).collect());
    };
    let mut wanted = Wanted::new();
    for name in names {
        let before = wanted.len();
        let named = all
            .iter()
            .filter(|program| program.name == *name || program.section == *name);
        wanted.extend(named);
        if wanted.len() == before {
            return Err(LoadError::NoProgram {
                name: name.clone(),
                known: all.iter().map(|program| program.name.clone()).collect(),
            });
        }
    }
    Ok(wanted)
}

/// The programs in the program arrays that a program refers to.
fn tail_called<'a>(object: &'a Object, assembly: &Assembly) -> Vec<&'a ObjectProgram> {
    let mut programs = Vec::new();
    let mut seen = BTreeSet::new();
    for reference in assembly.references.values() {
        if let Reference::Map(map) = reference
            && seen.insert(*map)
        {
            for (_, entry) in &object.sources[*map].entries {
                if let Entry::Function(function) = entry {
                    let all = object.programs().iter();
                    programs.extend(all.filter(|program| program.function == *function));
                }
            }
        }
    }
    programs
}

/// Gives each program its type. One whose section tells none, as with objects made for `tc`, is of
/// the type of the others if these have the same: only such programs can call each other.
fn types(drafts: &mut [Draft<'_>], options: &LoadOptions) -> Result<(), LoadError> {
    for draft in &mut *drafts {
        let program = draft.program;
        let given = options
            .types
            .get(&program.name)
            .or_else(|| options.types.get(&program.section));
        draft.kind = given.copied().unwrap_or(program.kind);
    }
    match drafts
        .iter()
        .find(|draft| draft.kind == ProgramType::Unspecified)
    {
        None => Ok(()),
        Some(draft) => Err(LoadError::Untyped {
            program: draft.program.name.clone(),
            section: draft.program.section.clone(),
        }),
    }
}
