//! Whether types of two BTFs stand for the same thing: loosely (`__bpf_core_types_are_compat`,
//! `bpf_core_fields_are_compat`) or strictly (`__bpf_core_types_match`).

use super::{Effort, spec, without_flavour};
use crate::object::btf::{Btf, Composite, Kind, Type, TypeId};

/// A type with the BTF that it is from.
#[derive(Clone, Copy)]
pub(super) struct Of<'a>(pub(super) &'a Btf, pub(super) TypeId);

impl<'a> Of<'a> {
    fn strip(self) -> Type<'a> {
        self.0.strip(self.1).1
    }

    fn to(self, id: TypeId) -> Self {
        Self(self.0, id)
    }
}

/// How deep types are compared.
const MAX_DEPTH: u32 = 32;

/// Whether types are of the same kind, all enumerations being one (`btf_kind_core_compat`).
pub(super) fn same_kind(local: &Type<'_>, target: &Type<'_>) -> bool {
    let is_enum = |of: &Type<'_>| matches!(of.kind, Kind::Enum { .. } | Kind::Enum64 { .. });
    is_enum(local) && is_enum(target)
        || std::mem::discriminant(&local.kind) == std::mem::discriminant(&target.kind)
}

/// Whether a program that knows a field under one type can use it under another.
pub(super) fn fields(local: Of<'_>, target: Of<'_>, effort: &mut Effort) -> Result<bool, String> {
    let (mut local, mut target) = (local, target);
    for _ in 0..MAX_DEPTH {
        effort.spend()?;
        let (of_local, of_target) = (local.strip(), target.strip());
        let composite = |of: &Type<'_>| matches!(of.kind, Kind::Struct(_) | Kind::Union(_));
        if composite(&of_local) && composite(&of_target) {
            return Ok(true);
        }
        if !same_kind(&of_local, &of_target) {
            return Ok(false);
        }
        match (of_local.kind, of_target.kind) {
            (Kind::Pointer(_) | Kind::Float { .. }, _) => return Ok(true),
            (Kind::Forward { .. } | Kind::Enum { .. } | Kind::Enum64 { .. }, _) => {
                let (a, b) = (
                    without_flavour(of_local.name),
                    without_flavour(of_target.name),
                );
                return Ok(a.is_empty() || b.is_empty() || a == b);
            }
            (Kind::Int(a), Kind::Int(b)) => return Ok(a.offset == 0 && b.offset == 0),
            (Kind::Array { element: a, .. }, Kind::Array { element: b, .. }) => {
                (local, target) = (local.to(a), target.to(b));
            }
            _ => return Ok(false),
        }
    }
    Err("the types are nested too deep".into())
}

/// Whether types that have the same name may stand for each other.
pub(super) fn types(
    local: Of<'_>,
    target: Of<'_>,
    depth: u32,
    effort: &mut Effort,
) -> Result<bool, String> {
    let (mut local, mut target) = (local, target);
    for _ in depth..MAX_DEPTH {
        effort.spend()?;
        let (of_local, of_target) = (local.strip(), target.strip());
        if !same_kind(&of_local, &of_target) {
            return Ok(false);
        }
        match (of_local.kind, of_target.kind) {
            (Kind::Int(a), Kind::Int(b)) => return Ok(a.offset == 0 && b.offset == 0),
            (Kind::Pointer(a), Kind::Pointer(b))
            | (Kind::Array { element: a, .. }, Kind::Array { element: b, .. }) => {
                (local, target) = (local.to(a), target.to(b));
            }
            (
                Kind::Prototype {
                    result: a,
                    parameters: of_a,
                },
                Kind::Prototype {
                    result: b,
                    parameters: of_b,
                },
            ) => {
                if of_a.len() != of_b.len() {
                    return Ok(false);
                }
                for (a, b) in of_a.iter().zip(of_b.iter()) {
                    if !types(local.to(a.of), target.to(b.of), depth + 1, effort)? {
                        return Ok(false);
                    }
                }
                (local, target) = (local.to(a), target.to(b));
            }
            (
                Kind::Void
                | Kind::Struct(_)
                | Kind::Union(_)
                | Kind::Enum { .. }
                | Kind::Enum64 { .. }
                | Kind::Forward { .. },
                _,
            ) => return Ok(true),
            _ => return Ok(false),
        }
    }
    Err("the types are nested too deep".into())
}

/// Whether all that the object knows of a type is there in the target's and the same.
pub(super) fn matching(
    local: Of<'_>,
    target: Of<'_>,
    behind_pointer: bool,
    depth: u32,
    effort: &mut Effort,
) -> Result<bool, String> {
    let (mut local, mut target, mut behind_pointer) = (local, target, behind_pointer);
    for _ in depth..MAX_DEPTH {
        effort.spend()?;
        let (of_local, of_target) = (local.strip(), target.strip());
        if without_flavour(of_local.name) != without_flavour(of_target.name) {
            return Ok(false);
        }
        match (of_local.kind, of_target.kind) {
            (Kind::Void, Kind::Void) => return Ok(true),
            (Kind::Int(a), Kind::Int(b)) => return Ok(a.size == b.size && a.signed == b.signed),
            (Kind::Enum { .. } | Kind::Enum64 { .. }, Kind::Enum { .. } | Kind::Enum64 { .. }) => {
                return enumerations(local.0, &of_local, target.0, &of_target, effort);
            }
            (Kind::Forward { is_union: a }, Kind::Forward { is_union: b }) => return Ok(a == b),
            (Kind::Forward { is_union }, other) | (other, Kind::Forward { is_union }) => {
                let fits = match other {
                    Kind::Struct(_) => !is_union,
                    Kind::Union(_) => is_union,
                    _ => false,
                };
                return Ok(behind_pointer && fits);
            }
            (Kind::Struct(_), Kind::Struct(_)) | (Kind::Union(_), Kind::Union(_))
                if behind_pointer =>
            {
                return Ok(true);
            }
            (Kind::Struct(a), Kind::Struct(b)) | (Kind::Union(a), Kind::Union(b)) => {
                return members(local, a, target, b, depth, effort);
            }
            (Kind::Pointer(a), Kind::Pointer(b)) => {
                behind_pointer = true;
                (local, target) = (local.to(a), target.to(b));
            }
            (
                Kind::Array { element: a, len },
                Kind::Array {
                    element: b,
                    len: other,
                },
            ) => {
                if len != other {
                    return Ok(false);
                }
                (local, target) = (local.to(a), target.to(b));
            }
            (
                Kind::Prototype {
                    result: a,
                    parameters: of_a,
                },
                Kind::Prototype {
                    result: b,
                    parameters: of_b,
                },
            ) => {
                if of_a.len() != of_b.len() {
                    return Ok(false);
                }
                for (a, b) in of_a.iter().zip(of_b.iter()) {
                    let (a, b) = (local.to(a.of), target.to(b.of));
                    if !matching(a, b, behind_pointer, depth + 1, effort)? {
                        return Ok(false);
                    }
                }
                (local, target) = (local.to(a), target.to(b));
            }
            _ => return Ok(false),
        }
    }
    Err("the types are nested too deep".into())
}

/// Whether all local enumerators are in the target; their values may differ.
fn enumerations(
    local: &Btf,
    of_local: &Type<'_>,
    target: &Btf,
    of_target: &Type<'_>,
    effort: &mut Effort,
) -> Result<bool, String> {
    let names = |btf, of| (0..).map_while(move |index| spec::enumerator(btf, of, index));
    let mut known = std::collections::BTreeSet::new();
    for name in names(target, of_target) {
        effort.spend()?;
        known.insert(without_flavour(name));
    }
    Ok(names(local, of_local).all(|name| known.contains(without_flavour(name))))
}

/// Whether all local members are in the target with matching types.
fn members(
    local: Of<'_>,
    of_local: Composite<'_>,
    target: Of<'_>,
    of_target: Composite<'_>,
    depth: u32,
    effort: &mut Effort,
) -> Result<bool, String> {
    if of_local.len() > of_target.len() {
        return Ok(false);
    }
    for member in of_local.members() {
        let mut found = false;
        for other in of_target.members() {
            effort.spend()?;
            if without_flavour(member.name) == without_flavour(other.name) {
                let (a, b) = (local.to(member.of), target.to(other.of));
                if matching(a, b, false, depth + 1, effort)? {
                    found = true;
                    break;
                }
            }
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}
