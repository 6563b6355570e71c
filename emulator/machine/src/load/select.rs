//! Which programs of an object are loaded.

use std::collections::{BTreeMap, BTreeSet};

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
    let mut slots = 0;
    while let Some(program) = wanted.pop_front() {
        if seen.insert(&program.name) {
            let assembly = assemble(object, program.function);
            let assembly = assembly.map_err(|TooLong| LoadError::TooLong(program.name.clone()))?;
            slots += assembly.insns.len();
            if slots > MAX_SLOTS {
                return Err(LoadError::TooLong(program.name.clone()));
            }
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
    types(object, &mut drafts, options);
    Ok(drafts)
}

/// How many slots all programs of an object may have. Each has its own copy of what it calls, so that a
/// small file can ask for a lot.
const MAX_SLOTS: usize = 1 << 23;

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

/// Gives each program its type. One whose section tells none is of the type of a program that can call
/// it through a program array: the kernel allows no other.
fn types(object: &Object, drafts: &mut [Draft<'_>], options: &LoadOptions) {
    let mut known = BTreeMap::new();
    let mut pending = Vec::new();
    for (position, draft) in drafts.iter().enumerate() {
        let program = draft.program;
        let given = options.types.get(&program.name);
        let given = given.or_else(|| options.types.get(&program.section));
        let kind = given.copied().unwrap_or(program.kind);
        if kind != ProgramType::Unspecified {
            known.insert(&program.name, kind);
            pending.push((position, kind));
        }
    }
    let positions: BTreeMap<_, _> = drafts
        .iter()
        .map(|draft| &draft.program.name)
        .zip(0..)
        .collect();
    while let Some((position, kind)) = pending.pop() {
        for called in tail_called(object, &drafts[position].assembly) {
            if let (Some(&called_at), false) = (
                positions.get(&called.name),
                known.contains_key(&called.name),
            ) {
                known.insert(&called.name, kind);
                pending.push((called_at, kind));
            }
        }
    }
    for draft in drafts {
        let kind = known.get(&draft.program.name);
        draft.kind = kind.copied().unwrap_or(ProgramType::Unspecified);
    }
}

/// The first program without a type.
pub(super) fn untyped(drafts: &[Draft<'_>]) -> Option<LoadError> {
    let mut drafts = drafts.iter();
    let draft = drafts.find(|draft| draft.kind == ProgramType::Unspecified)?;
    Some(LoadError::Untyped {
        program: draft.program.name.clone(),
        section: draft.program.section.clone(),
    })
}
