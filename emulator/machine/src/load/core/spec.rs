//! The path that a relocation names (`bpf_core_parse_spec`).

use std::fmt;

use super::type_name;
use crate::object::btf::{Btf, CoreKind, CoreRelocation, Kind, Type, TypeId};

/// A path in a type of one BTF.
#[derive(Debug, Clone)]
pub(super) struct Spec<'a> {
    pub(super) btf: &'a Btf,
    pub(super) root: TypeId,
    /// The steps that a program's author wrote: array elements and named members.
    pub(super) steps: Vec<Step<'a>>,
    /// Bits from the start of the root.
    pub(super) bit_offset: u64,
}

/// One step of a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    /// Of a member or enumerator the type that has it; of an element its own type.
    pub(super) of: TypeId,
    /// Which member, enumerator or element.
    pub(super) index: u32,
    /// The name of a member or enumerator; none of an element.
    pub(super) name: Option<&'a str>,
}

/// `BPF_CORE_SPEC_MAX_LEN`
const MAX_LEN: usize = 64;

impl<'a> Spec<'a> {
    /// The path in the object's own types.
    pub(super) fn local(btf: &'a Btf, relocation: &CoreRelocation) -> Result<Self, String> {
        let text = btf.string(relocation.path);
        let path: Option<Vec<u32>> = text.split(':').map(|index| index.parse().ok()).collect();
        let path = path.filter(|path| path.len() <= MAX_LEN);
        let path = path.ok_or_else(|| format!("path `{text}`, expected up to 64 numbers"))?;
        let mut spec = Self {
            btf,
            root: relocation.of,
            steps: Vec::new(),
            bit_offset: 0,
        };
        if relocation.kind.is_of_field() {
            spec.walk(&path)?;
        } else if relocation.kind.is_of_enumerator() {
            let (of, kind) = btf.strip(relocation.of);
            let index = path[0];
            let name = enumerator(btf, &kind, index);
            let name = Some(name.ok_or("no such enumerator in the object's own type")?);
            spec.steps.push(Step { of, index, name });
        } else if path != [0] {
            return Err(format!("path `{text}` to a type, expected `0`"));
        }
        Ok(spec)
    }

    fn walk(&mut self, path: &[u32]) -> Result<(), String> {
        let broken = || "the path leaves the object's own type".to_owned();
        let (mut of, _) = self.btf.strip(self.root);
        self.element(of, path[0]).ok_or_else(broken)?;
        for &index in &path[1..] {
            let (id, kind) = self.btf.strip(of);
            match kind.kind {
                Kind::Struct(composite) | Kind::Union(composite) => {
                    let member = composite.member(index as usize).ok_or_else(broken)?;
                    self.bit_offset += u64::from(member.bit_offset);
                    // Anonymous members are steps of the compiler, not of the author.
                    if !member.name.is_empty() {
                        let name = Some(member.name);
                        self.steps.push(Step {
                            of: id,
                            index,
                            name,
                        });
                    }
                    of = member.of;
                }
                Kind::Array { element, len } => {
                    if index >= len && !self.ends_with_flexible(len) {
                        return Err(broken());
                    }
                    (of, _) = self.btf.strip(element);
                    self.element(of, index).ok_or_else(broken)?;
                }
                _ => return Err(broken()),
            }
        }
        Ok(())
    }

    /// Adds the step to an element of an array, or of memory that is treated as one.
    pub(super) fn element(&mut self, of: TypeId, index: u32) -> Option<()> {
        let size = u64::from(self.btf.size_of(of)?);
        let bits = size.checked_mul(8)?.checked_mul(u64::from(index))?;
        self.bit_offset = self.bit_offset.checked_add(bits)?;
        self.steps.push(Step {
            of,
            index,
            name: None,
        });
        Some(())
    }

    /// Whether the last step is to an array without a length at the end of its structure, which may
    /// have any number of elements (`is_flex_arr`).
    pub(super) fn ends_with_flexible(&self, len: u32) -> bool {
        let Some(Step {
            of,
            index,
            name: Some(_),
        }) = self.steps.last()
        else {
            return false;
        };
        match self.btf.get(*of).kind {
            Kind::Struct(composite) | Kind::Union(composite) => {
                len == 0 && *index as usize + 1 == composite.len()
            }
            _ => false,
        }
    }
}

/// The name of an enumerator.
pub(super) fn enumerator<'a>(btf: &'a Btf, kind: &Type<'a>, index: u32) -> Option<&'a str> {
    let index = index as usize;
    match kind.kind {
        Kind::Enum { values, .. } => Some(btf.string(values.get(index)?.name)),
        Kind::Enum64 { values, .. } => Some(btf.string(values.get(index)?.name)),
        _ => None,
    }
}

impl fmt::Display for Spec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = self.btf.get(self.root);
        f.write_str(&type_name(&root))?;
        for (position, step) in self.steps.iter().enumerate() {
            match step.name {
                Some(name) if matches!(root.kind, Kind::Enum { .. } | Kind::Enum64 { .. }) => {
                    write!(f, "::{name}")?;
                }
                Some(name) => write!(f, ".{name}")?,
                None if position == 0 && step.index == 0 => {}
                None => write!(f, "[{}]", step.index)?,
            }
        }
        Ok(())
    }
}

impl CoreKind {
    pub(super) fn is_of_field(self) -> bool {
        matches!(
            self,
            Self::FieldByteOffset
                | Self::FieldByteSize
                | Self::FieldExists
                | Self::FieldSigned
                | Self::FieldLeftShift
                | Self::FieldRightShift
        )
    }

    pub(super) fn is_of_enumerator(self) -> bool {
        matches!(self, Self::EnumValue | Self::EnumValueExists)
    }
}
