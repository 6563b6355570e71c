//! Looking for a path of the object's types in a type of the target (`bpf_core_spec_match`).

use super::compatible::{self, Of};
use super::spec::{Spec, Step, enumerator};
use super::{Effort, without_flavour};
use crate::object::btf::{Btf, CoreKind, Kind, TypeId};

/// `BPF_CORE_SPEC_MAX_LEN`: how deep anonymous members are searched.
const MAX_DEPTH: u32 = 64;

/// The same path in a candidate; none when the candidate does not have it.
pub(super) fn find<'a>(
    local: &Spec<'_>,
    target: &'a Btf,
    candidate: TypeId,
    kind: CoreKind,
    effort: &mut Effort,
) -> Result<Option<Spec<'a>>, String> {
    let mut found = Spec {
        btf: target,
        root: candidate,
        steps: Vec::new(),
        bit_offset: 0,
    };
    let types = (Of(local.btf, local.root), Of(target, candidate));
    let fits = if kind.is_of_field() {
        field(local, &mut found, effort)?
    } else if kind.is_of_enumerator() {
        enumeration(local, &mut found)
    } else if kind == CoreKind::TypeMatches {
        compatible::matching(types.0, types.1, false, 0, effort)?
    } else {
        compatible::types(types.0, types.1, 0, effort)?
    };
    Ok(fits.then_some(found))
}

/// An enumerator of the same name; its value may differ.
fn enumeration(local: &Spec<'_>, found: &mut Spec<'_>) -> bool {
    let name = local
        .steps
        .first()
        .and_then(|step| step.name)
        .unwrap_or_default();
    let (of, kind) = found.btf.strip(found.root);
    let names = (0..).map_while(|index| enumerator(found.btf, &kind, index));
    for (index, other) in (0..).zip(names) {
        if without_flavour(name) == without_flavour(other) {
            let name = Some(other);
            found.steps.push(Step { of, index, name });
            return true;
        }
    }
    false
}

fn field(local: &Spec<'_>, found: &mut Spec<'_>, effort: &mut Effort) -> Result<bool, String> {
    let (mut of, _) = found.btf.strip(found.root);
    for (position, step) in local.steps.iter().enumerate() {
        let (id, kind) = found.btf.strip(of);
        of = id;
        if step.name.is_some() {
            match member(local.btf, step, found, of, 0, effort)? {
                Some(next) => of = next,
                None => return Ok(false),
            }
            continue;
        }
        if position > 0 {
            let Kind::Array { element, len } = kind.kind else {
                return Ok(false);
            };
            if step.index >= len && !found.ends_with_flexible(len) {
                return Ok(false);
            }
            (of, _) = found.btf.strip(element);
        }
        found
            .element(of, step.index)
            .ok_or("an element without a size")?;
    }
    Ok(true)
}

/// The type of the member of the same name, which may lie within anonymous ones.
fn member<'a>(
    local: &Btf,
    step: &Step<'_>,
    found: &mut Spec<'a>,
    of: TypeId,
    depth: u32,
    effort: &mut Effort,
) -> Result<Option<TypeId>, String> {
    if depth == MAX_DEPTH {
        return Err("the types are nested too deep".into());
    }
    let (of, kind) = found.btf.strip(of);
    let (Kind::Struct(composite) | Kind::Union(composite)) = kind.kind else {
        return Ok(None);
    };
    for (index, other) in (0..).zip(composite.members()) {
        effort.spend()?;
        let start = found.bit_offset;
        found.bit_offset += u64::from(other.bit_offset);
        if other.name.is_empty() {
            let inside = member(local, step, found, other.of, depth + 1, effort)?;
            if inside.is_some() {
                return Ok(inside);
            }
        } else if Some(other.name) == step.name {
            let (Kind::Struct(known) | Kind::Union(known)) = local.get(step.of).kind else {
                return Ok(None);
            };
            let Some(known) = known.member(step.index as usize) else {
                return Ok(None);
            };
            let types = (Of(local, known.of), Of(found.btf, other.of));
            if !compatible::fields(types.0, types.1, effort)? {
                return Ok(None);
            }
            let name = Some(other.name);
            found.steps.push(Step { of, index, name });
            return Ok(Some(other.of));
        }
        found.bit_offset = start;
    }
    Ok(None)
}
