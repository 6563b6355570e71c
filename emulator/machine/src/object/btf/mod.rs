//! BTF, the types of an object or of a kernel (`Documentation/bpf/btf.rst`, `linux/btf.h`).
//!
//! The types stay in their encoded form, which is checked once as a whole and decoded as it is read:
//! the kernel's own BTF has a hundred thousand of them, of which a load reads a few dozen. (aya-obj
//! reads BTF too, but keeps members, variables and parameters to itself.)

mod ext;
mod read;
mod text;
mod types;
mod value;

pub use read::BtfError;
pub use types::{Composite, EnumValue, Int, Kind, Linkage, Member, Type, TypeId, Variable};
pub use types::{number, word_at};

pub(super) use ext::Ext;
pub(crate) use ext::{CoreKind, CoreRelocation};

use std::collections::BTreeMap;

use types::decode;

/// A set of types.
#[derive(Clone, Default)]
pub struct Btf {
    /// Encoded types, as they stand in the section.
    types: Box<[u8]>,
    /// Names, each ended by a zero byte.
    names: Box<[u8]>,
    /// Where each type starts in `types`; the first is that of type number 1.
    starts: Box<[u32]>,
    /// The sections of variables by name.
    sections: BTreeMap<String, TypeId>,
}

/// How deep types may be nested before they are taken for a cycle (`MAX_RESOLVE_DEPTH`).
const MAX_DEPTH: usize = 32;

impl Btf {
    /// How many types there are, `void` not included.
    pub fn len(&self) -> u32 {
        self.starts.len() as u32
    }

    /// Whether there are no types.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// All types but `void`, by number.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, Type<'_>)> {
        (1..=self.len()).map(|id| (TypeId(id), self.get(TypeId(id))))
    }

    /// A type; `void` for a number that there is not.
    pub fn get(&self, id: TypeId) -> Type<'_> {
        let start = (id.0 as usize).checked_sub(1);
        let start = start.and_then(|index| self.starts.get(index));
        start.map_or(Type::VOID, |start| {
            decode(&self.types[*start as usize..], self)
        })
    }

    /// The types as they are encoded, `void` not included, in the order of their numbers.
    pub fn encoded(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.starts.iter().skip(1).map(|start| *start as usize);
        let ends = ends.chain([self.types.len()]);
        let starts = self.starts.iter().map(|start| *start as usize);
        starts.zip(ends).map(|(start, end)| &self.types[start..end])
    }

    /// The names to which encoded types refer, each ended by a zero byte.
    pub fn names(&self) -> &[u8] {
        &self.names
    }

    /// The string at an offset of the names; empty for a bad offset.
    pub(crate) fn string(&self, offset: u32) -> &str {
        let Some(from) = self.names.get(offset as usize..) else {
            return "";
        };
        let end = from.iter().position(|byte| *byte == 0).unwrap_or(0);
        str::from_utf8(&from[..end]).unwrap_or("")
    }

    /// Looks through typedefs and qualifiers (`skip_mods_and_typedefs`); a cycle of them is `void`.
    pub fn strip(&self, mut id: TypeId) -> (TypeId, Type<'_>) {
        for _ in 0..MAX_DEPTH {
            let kind = self.get(id);
            match kind.kind {
                Kind::Typedef(next)
                | Kind::Volatile(next)
                | Kind::Const(next)
                | Kind::Restrict(next)
                | Kind::TypeTag(next) => id = next,
                _ => return (id, kind),
            }
        }
        (TypeId::VOID, Type::VOID)
    }

    /// Bytes of a value of a type; none for types without a size and sizes beyond 32 bits.
    pub fn size_of(&self, id: TypeId) -> Option<u32> {
        let mut id = id;
        let mut count = 1u32;
        for _ in 0..MAX_DEPTH {
            let (_, stripped) = self.strip(id);
            let size = match stripped.kind {
                Kind::Int(Int { size, .. })
                | Kind::Struct(Composite { size, .. })
                | Kind::Union(Composite { size, .. })
                | Kind::Enum { size, .. }
                | Kind::Enum64 { size, .. }
                | Kind::Float { size }
                | Kind::DataSection { size, .. } => size,
                Kind::Pointer(_) => 8,
                Kind::Array { element, len, .. } => {
                    count = count.checked_mul(len)?;
                    id = element;
                    continue;
                }
                Kind::Variable { of, .. } => {
                    id = of;
                    continue;
                }
                _ => return None,
            };
            return count.checked_mul(size);
        }
        None
    }

    /// The section of variables of that name.
    pub(super) fn data_section(&self, name: &str) -> Option<impl Iterator<Item = Variable> + '_> {
        match self.get(*self.sections.get(name)?).kind {
            Kind::DataSection { variables, .. } => Some(variables.iter()),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Btf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Btf({} types)", self.len())
    }
}
