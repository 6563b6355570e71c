//! Changing an instruction (`bpf_core_calc_relo`, `bpf_core_patch_insn`).

use super::field::{self, Answer};
use super::spec::Spec;
use crate::isa::{CALL, Insn, SOURCE_X, class};
use crate::object::btf::{Btf, CoreKind, CoreRelocation, Kind, TypeId};

/// The number of a helper that does not exist, in the place of an instruction that cannot be relocated.
const POISON: i32 = 0x0bad_2310;

/// What is done to an instruction.
#[derive(Debug)]
pub(super) enum Patch {
    /// It gets a new value.
    Values(Values),
    /// It must not be reached: the target lacks this.
    Poison(String),
}

/// Values of an instruction.
#[derive(Debug)]
pub(super) struct Values {
    /// What the instruction holds; none when that is not certain.
    before: Option<u64>,
    after: u64,
    /// The sizes of the field before and after, where they differ.
    sizes: Option<(u32, u32)>,
    /// Whether a load of the new size gives the same value.
    resizable: bool,
}

impl Patch {
    /// A value that the instruction gets whatever it holds.
    pub(super) fn unchecked(after: u64) -> Self {
        Self::Values(Values {
            before: None,
            after,
            sizes: None,
            resizable: true,
        })
    }

    /// From what the object's types say and what the target's say.
    pub(super) fn between(
        local: &Spec<'_>,
        before: &Answer,
        target: Option<&Spec<'_>>,
        relocation: &CoreRelocation,
    ) -> Result<Self, String> {
        let after = match target {
            Some(target) => field::answer(target, relocation.kind)?,
            None => match relocation.kind {
                CoreKind::FieldExists
                | CoreKind::EnumValueExists
                | CoreKind::TypeExists
                | CoreKind::TypeMatches
                | CoreKind::TypeSize
                | CoreKind::TypeIdTarget => Answer::default(),
                _ => {
                    return Ok(Self::Poison(format!(
                        "{local}, which the kernel's types lack"
                    )));
                }
            },
        };
        let accesses = before.access.zip(after.access);
        let sizes = accesses.map(|(before, after)| (before.0, after.0));
        let sizes = sizes.filter(|(before, after)| before != after);
        let resizable = match (accesses, target) {
            (Some((before, after)), Some(target)) => {
                widens((local.btf, before.1), (target.btf, after.1))
            }
            _ => true,
        };
        Ok(Self::Values(Values {
            before: before.certain.then_some(before.value),
            after: after.value,
            sizes,
            resizable,
        }))
    }

    /// Whether two candidates lead to the same instruction.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Values(a), Self::Values(b)) => a.after == b.after,
            (Self::Poison(_), Self::Poison(_)) => true,
            _ => false,
        }
    }
}

/// Whether a value keeps its meaning when it is loaded by another size: pointers and unsigned integers.
fn widens(before: (&Btf, TypeId), after: (&Btf, TypeId)) -> bool {
    match (before.0.get(before.1).kind, after.0.get(after.1).kind) {
        (Kind::Pointer(_), Kind::Pointer(_)) => true,
        (Kind::Int(a), Kind::Int(b)) => !a.signed && !b.signed,
        _ => false,
    }
}

/// Makes an instruction, both slots of a wide one, a call that the verifier refuses.
pub(in crate::load) fn poison(insns: &mut [Insn]) {
    let slots = if insns.first().is_some_and(|insn| insn.is_wide()) {
        2
    } else {
        1
    };
    for insn in insns.iter_mut().take(slots) {
        *insn = Insn {
            code: CALL,
            imm: POISON,
            ..Insn::default()
        };
    }
}

/// Whether an instruction stands where one could not be relocated.
pub(in crate::load) fn is_poison(insn: Insn) -> bool {
    insn.code == CALL && insn.imm == POISON
}

/// Puts the new value into the instruction; gives what is lacking if that would change its meaning.
pub(super) fn apply(
    insns: &mut [Insn],
    relocation: &CoreRelocation,
    values: &Values,
) -> Result<Option<String>, String> {
    let Some((insn, rest)) = insns.split_first_mut() else {
        return Err("of an instruction that does not exist".into());
    };
    let expect = |held: u64| match values.before {
        Some(before) if before != held => Err(format!(
            "the instruction holds {held}, but the object's own types say {before}"
        )),
        _ => Ok(()),
    };
    let too_large = |_| format!("{} does not fit into the instruction", values.after);
    match insn.class() {
        class::ALU | class::ALU64 if insn.code & SOURCE_X == 0 => {
            // The instruction holds 32 bits of it.
            if let Some(before) = values.before
                && before as u32 != insn.imm as u32
            {
                expect(u64::from(insn.imm as u32))?;
            }
            insn.imm = values.after as i32;
        }
        class::LDX | class::ST | class::STX => {
            expect(i64::from(insn.off) as u64)?;
            if let Some((before, after)) = values.sizes {
                if !values.resizable {
                    return Ok(Some(format!(
                        "a field of {before} bytes that is {after} bytes in the kernel's types and \
                         neither a pointer nor an unsigned integer"
                    )));
                }
                resize(insn, before, after)?;
            }
            insn.off = i16::try_from(values.after).map_err(too_large)?;
        }
        class::LD => match rest.first_mut() {
            Some(second) if insn.is_wide() && insn.src == 0 && second.code == 0 => {
                expect(u64::from(insn.imm as u32) | u64::from(second.imm as u32) << 32)?;
                insn.imm = values.after as i32;
                second.imm = (values.after >> 32) as i32;
            }
            _ => return Err("of an instruction that it does not apply to".into()),
        },
        code => {
            let kind = relocation.kind.name();
            return Err(format!(
                "{kind} of an instruction of class {code}, which has no such value"
            ));
        }
    }
    Ok(None)
}

/// Changes the width of a load or store.
fn resize(insn: &mut Insn, before: u32, after: u32) -> Result<(), String> {
    let width = |size| match size {
        1 => Some(0x10),
        2 => Some(0x08),
        4 => Some(0x00),
        8 => Some(0x18),
        _ => None,
    };
    const SIZE: u8 = 0x18;
    if width(before) != Some(insn.code & SIZE) {
        return Err(format!(
            "the instruction does not access the {before} bytes of the field"
        ));
    }
    let new = width(after).ok_or_else(|| format!("no instruction accesses {after} bytes"))?;
    insn.code = insn.code & !SIZE | new;
    Ok(())
}
