//! Maps that hold programs or are looked at by them belong to programs of one kind (`__bpf_prog_map_compatible` in
//! `kernel/bpf/core.c`).

use std::collections::BTreeMap;
use std::fmt;

use super::{Draft, Missing, RefusedBy};
use crate::maps::MapType;
use crate::object::{AttachType, Object, Reference};
use crate::program::ProgramType;

/// What all programs that refer to such a map have in common with the first one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Owner {
    kind: ProgramType,
    fragments: bool,
    /// For program arrays only; none is the same as number 0.
    attach: Option<AttachType>,
}

/// Notes programs that refer to a map which belongs to programs of another kind.
pub(super) fn check(object: &Object, drafts: &[Draft<'_>], missing: &mut Vec<Missing>) {
    let mut owners: BTreeMap<usize, (&str, Owner)> = BTreeMap::new();
    for draft in drafts {
        if draft.kind == ProgramType::Unspecified {
            continue;
        }
        for reference in draft.assembly.references.values() {
            let Reference::Map(map) = *reference else {
                continue;
            };
            let def = &object.maps()[map];
            let is_array = match def.kind {
                MapType::ProgArray => true,
                MapType::DevMap | MapType::DevMapHash | MapType::CpuMap => false,
                _ => continue,
            };
            let attach = draft.program.attach;
            let own = Owner {
                kind: draft.kind,
                fragments: draft.program.fragments,
                attach: attach.filter(|attach| is_array && *attach as u32 != 0),
            };
            let (first, owner) = *owners.entry(map).or_insert((&draft.program.name, own));
            if owner != own {
                let (ours, theirs) = (own.to_string(), owner.to_string());
                missing.push(Missing {
                    by: RefusedBy::Kernel,
                    program: draft.program.name.clone(),
                    what: format!(
                        "map {} is that of {first}, a program of {theirs}, and this is one of {ours}",
                        def.name
                    ),
                    wanted_by: None,
                });
                break;
            }
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {}", self.kind)?;
        if self.fragments {
            f.write_str(" with xdp.frags")?;
        }
        match self.attach {
            Some(attach) => write!(f, " for {}", attach.name()),
            None => Ok(()),
        }
    }
}
