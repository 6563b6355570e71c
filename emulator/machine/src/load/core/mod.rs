//! CO-RE: adapting a program to the layout of the types of the kernel that it runs on
//! (`tools/lib/bpf/relo_core.c`).
//!
//! A relocation names a type of the object, a path to a field or an enumerator in it, and what the
//! instruction wants to know of it. The same path is looked for in all types of the target with that
//! name; all of them must give the same answer. What is not found exists not, has type size 0 and so on;
//! an instruction that asks for the place of a field that does not exist is *poisoned*: it becomes a
//! call of a helper that no kernel has. libbpf leaves it to the verifier to refuse the program if it can
//! get there; here [`check`](super::check) does it.

mod compatible;
mod field;
mod matches;
mod patch;
mod spec;

pub(super) use patch::{is_poison, poison};

use std::collections::{BTreeMap, BTreeSet};

use crate::isa::Insn;
use crate::object::btf::{Btf, CoreKind, CoreRelocation, Kind, Type, TypeId};
use compatible::same_kind;
use patch::Patch;
use spec::Spec;

/// Types of the target by their names without flavour.
type Candidates<'a> = BTreeMap<&'a str, Vec<TypeId>>;

/// How many types all relocations of a load may look at: real objects need thousands. BTF can be made
/// such that a search never ends.
#[derive(Debug)]
pub(super) struct Effort(u32);

impl Default for Effort {
    fn default() -> Self {
        Self(20_000_000)
    }
}

impl Effort {
    fn spend(&mut self) -> Result<(), String> {
        let left = self.0.checked_sub(1);
        self.0 = left.ok_or("the types are too entangled to be compared")?;
        Ok(())
    }
}

/// What relocating a program found.
#[derive(Debug, Default)]
pub(super) struct Relocated {
    /// Poisoned instructions, with what the target lacks.
    pub(super) poisoned: BTreeMap<u32, String>,
    /// Relocations that cannot be done at all.
    pub(super) failed: Vec<(u32, String)>,
}

/// The types to relocate from and to.
pub(super) struct Relocator<'a> {
    local: &'a Btf,
    target: &'a Btf,
    candidates: Candidates<'a>,
    effort: Effort,
}

impl<'a> Relocator<'a> {
    /// Finds the candidates for all relocations at once.
    pub(super) fn new(
        local: &'a Btf,
        target: &'a Btf,
        relocations: impl Iterator<Item = CoreRelocation>,
    ) -> Self {
        let names: BTreeSet<&str> = relocations
            .map(|relocation| without_flavour(local.get(relocation.of).name))
            .filter(|name| !name.is_empty())
            .collect();
        let mut candidates = Candidates::new();
        for (id, of) in target.types() {
            let name = without_flavour(of.name);
            if names.contains(name) {
                candidates.entry(name).or_default().push(id);
            }
        }
        Self {
            local,
            target,
            candidates,
            effort: Effort::default(),
        }
    }

    /// Relocates a program's instructions.
    pub(super) fn relocate(
        &mut self,
        insns: &mut [Insn],
        relocations: &[(u32, CoreRelocation)],
    ) -> Relocated {
        let mut relocated = Relocated::default();
        for (slot, relocation) in relocations {
            let insns = &mut insns[*slot as usize..];
            let done = self.answer(relocation).and_then(|patch| match patch {
                Patch::Poison(lack) => Ok(Some(lack)),
                Patch::Values(values) => patch::apply(insns, relocation, &values),
            });
            match done {
                Ok(None) => {}
                Ok(Some(lack)) => {
                    poison(insns);
                    relocated.poisoned.insert(*slot, lack);
                }
                Err(problem) => {
                    let text = describe(self.local, relocation);
                    relocated
                        .failed
                        .push((*slot, format!("CO-RE relocation {text}: {problem}")));
                }
            }
        }
        relocated
    }

    /// What an instruction is to become.
    fn answer(&mut self, relocation: &CoreRelocation) -> Result<Patch, String> {
        let local = Spec::local(self.local, relocation)?;
        if relocation.kind == CoreKind::TypeIdLocal {
            return Ok(Patch::unchecked(u64::from(relocation.of.0)));
        }
        let before = field::answer(&local, relocation.kind)?;
        let mut found: Option<(u64, Patch)> = None;
        for id in self.candidates(relocation.of) {
            let matched =
                matches::find(&local, self.target, id, relocation.kind, &mut self.effort)?;
            let Some(matched) = matched else {
                continue;
            };
            let patch = Patch::between(&local, &before, Some(&matched), relocation)?;
            match &found {
                None => found = Some((matched.bit_offset, patch)),
                Some((offset, known)) if *offset == matched.bit_offset && known.agrees(&patch) => {}
                Some(_) => return Err("several types of this name give different answers".into()),
            }
        }
        match found {
            Some((_, patch)) => Ok(patch),
            None => Patch::between(&local, &before, None, relocation),
        }
    }

    fn candidates(&self, of: TypeId) -> Vec<TypeId> {
        let local = self.local.get(of);
        let named = self.candidates.get(without_flavour(local.name));
        let named = named.into_iter().flatten().copied();
        named
            .filter(|id| same_kind(&local, &self.target.get(*id)))
            .collect()
    }
}

/// A name without what follows the last `___`: `sk_buff___old` stands for `sk_buff`
/// (`bpf_core_essential_name_len`).
fn without_flavour(name: &str) -> &str {
    let bytes = name.as_bytes();
    let at = (1..bytes.len().saturating_sub(3))
        .rev()
        .find(|&at| &bytes[at..at + 3] == b"___" && bytes[at - 1] != b'_' && bytes[at + 3] != b'_');
    at.map_or(name, |at| &name[..at])
}

/// A relocation in words, such as `byte_off of struct sk_buff 0:1`.
pub(crate) fn describe(btf: &Btf, relocation: &CoreRelocation) -> String {
    let of = btf.get(relocation.of);
    let path = btf.string(relocation.path);
    let kind = relocation.kind.name();
    match Spec::local(btf, relocation) {
        Ok(spec) => format!("{kind} of {spec}"),
        Err(_) => format!("{kind} of {} {path}", type_name(&of)),
    }
}

/// A type as C names it.
fn type_name(of: &Type<'_>) -> String {
    let keyword = match of.kind {
        Kind::Struct(_) => "struct ",
        Kind::Union(_) => "union ",
        Kind::Enum { .. } | Kind::Enum64 { .. } => "enum ",
        _ => "",
    };
    let name = if of.name.is_empty() {
        "(anonymous)"
    } else {
        of.name
    };
    format!("{keyword}{name}")
}

#[cfg(test)]
mod tests {
    use super::without_flavour;

    #[test]
    fn flavours_are_cut() {
        let cases = [
            ("sk_buff", "sk_buff"),
            ("sk_buff___old", "sk_buff"),
            ("a___b___c", "a___b"),
            ("a____b", "a____b"),
            ("___a", "___a"),
            ("a___", "a___"),
            ("", ""),
            ("_", "_"),
        ];
        for (name, expected) in cases {
            assert_eq!(without_flavour(name), expected);
        }
    }
}
