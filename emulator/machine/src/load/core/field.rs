//! What a relocation asks for, of a path in the types of one side (`bpf_core_calc_field_relo`,
//! `bpf_core_calc_type_relo`, `bpf_core_calc_enumval_relo`).

use super::spec::Spec;
use crate::object::btf::{CoreKind, Kind, Member, TypeId};

/// An answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answer {
    pub(super) value: u64,
    /// Whether the compiler is sure to have put the same value into the instruction.
    pub(super) certain: bool,
    /// Of a field that is loaded or stored as a whole: its size and type.
    pub(super) access: Option<(u32, TypeId)>,
}

impl Answer {
    fn certain(value: u64) -> Self {
        Self {
            value,
            certain: true,
            access: None,
        }
    }
}

/// What a relocation asks for, of what was found.
pub(super) fn answer(spec: &Spec<'_>, kind: CoreKind) -> Result<Answer, String> {
    let size = |of| {
        let size = spec.btf.size_of(of);
        size.ok_or_else(|| "a type without a size".to_owned())
    };
    match kind {
        CoreKind::FieldExists | CoreKind::TypeExists | CoreKind::TypeMatches => {
            Ok(Answer::certain(1))
        }
        CoreKind::EnumValueExists => Ok(Answer::certain(1)),
        CoreKind::TypeSize => Ok(Answer::certain(u64::from(size(spec.root)?))),
        CoreKind::TypeIdTarget | CoreKind::TypeIdLocal => Ok(Answer {
            value: u64::from(spec.root.0),
            ..Answer::default()
        }),
        CoreKind::EnumValue => enumerator(spec),
        CoreKind::Unknown => Err("of a kind that does not exist".into()),
        _ => field(spec, kind, size),
    }
}

fn enumerator(spec: &Spec<'_>) -> Result<Answer, String> {
    let step = spec.steps.first().ok_or("no enumerator")?;
    let index = step.index as usize;
    let value = match spec.btf.get(step.of).kind {
        // As the kernel's structure has it: a signed number, whatever the type says.
        Kind::Enum { values, .. } => values
            .get(index)
            .map(|value| i64::from(value.value as i32) as u64),
        Kind::Enum64 { values, .. } => values.get(index).map(|value| value.value),
        _ => None,
    };
    Ok(Answer::certain(value.ok_or("no enumerator")?))
}

fn field(
    spec: &Spec<'_>,
    kind: CoreKind,
    size: impl Fn(TypeId) -> Result<u32, String>,
) -> Result<Answer, String> {
    let step = spec.steps.last().ok_or("an empty path")?;
    let offset = spec.bit_offset / 8;
    if step.name.is_none() {
        let size = size(step.of)?;
        return match kind {
            CoreKind::FieldByteOffset => Ok(Answer {
                access: Some((size, step.of)),
                ..Answer::certain(offset)
            }),
            CoreKind::FieldByteSize => Ok(Answer::certain(u64::from(size))),
            _ => Err("does not apply to an element of an array".into()),
        };
    }
    let member = match spec.btf.get(step.of).kind {
        Kind::Struct(composite) | Kind::Union(composite) => composite.member(step.index as usize),
        _ => None,
    };
    let member = member.ok_or("no such member")?;
    if member.bit_size != 0 {
        return bit_field(spec, kind, &member, size);
    }
    let (of, _) = spec.btf.strip(member.of);
    let bytes = size(of)?;
    Ok(match kind {
        CoreKind::FieldByteOffset => {
            let (size, of) = single(spec, of, &size)?;
            Answer {
                access: Some((size, of)),
                ..Answer::certain(offset)
            }
        }
        CoreKind::FieldByteSize => Answer::certain(u64::from(bytes)),
        CoreKind::FieldSigned => Answer::certain(u64::from(is_signed(spec, of))),
        CoreKind::FieldLeftShift | CoreKind::FieldRightShift => {
            Answer::certain(64u64.wrapping_sub(u64::from(bytes) * 8))
        }
        _ => return Err("of a kind that does not exist".into()),
    })
}

/// The size and type of what one load of a field loads: of an array, one element.
fn single(
    spec: &Spec<'_>,
    mut of: TypeId,
    size: impl Fn(TypeId) -> Result<u32, String>,
) -> Result<(u32, TypeId), String> {
    for _ in 0..32 {
        match spec.btf.get(of).kind {
            Kind::Array { element, .. } => (of, _) = spec.btf.strip(element),
            _ => break,
        }
    }
    Ok((size(of)?, of))
}

/// A bit field is loaded by the smallest aligned integer that holds it. The compiler may have chosen
/// another one, so that only its sign and its width are certain.
fn bit_field(
    spec: &Spec<'_>,
    kind: CoreKind,
    member: &Member<'_>,
    size: impl Fn(TypeId) -> Result<u32, String>,
) -> Result<Answer, String> {
    let (of, _) = spec.btf.strip(member.of);
    let (start, width) = (spec.bit_offset, u64::from(member.bit_size));
    let mut bytes = u64::from(size(of)?).max(1);
    let mut offset = start / 8 / bytes * bytes;
    while start + width - offset * 8 > bytes * 8 {
        if bytes >= 8 {
            return Err("a bit field that no load of 8 bytes holds".into());
        }
        bytes *= 2;
        offset = start / 8 / bytes * bytes;
    }
    let (value, certain) = match kind {
        CoreKind::FieldByteOffset => (offset, false),
        CoreKind::FieldByteSize => (bytes, false),
        CoreKind::FieldSigned => (u64::from(is_signed(spec, of)), true),
        CoreKind::FieldLeftShift => (64u64.wrapping_sub(start + width - offset * 8), false),
        CoreKind::FieldRightShift => (64u64.wrapping_sub(width), true),
        _ => return Err("of a kind that does not exist".into()),
    };
    Ok(Answer {
        value,
        certain,
        access: None,
    })
}

fn is_signed(spec: &Spec<'_>, of: TypeId) -> bool {
    match spec.btf.get(of).kind {
        Kind::Int(int) => int.signed,
        Kind::Enum { signed, .. } | Kind::Enum64 { signed, .. } => signed,
        _ => false,
    }
}
