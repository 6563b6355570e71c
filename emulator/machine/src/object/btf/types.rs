//! Decoding one type (`struct btf_type` and what follows it).

use super::Btf;

/// A type by its number in its [`Btf`]; 0 is `void`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// `void`
    pub const VOID: Self = Self(0);
}

/// A type.
#[derive(Debug, Clone, Copy)]
pub struct Type<'a> {
    /// Empty for types without a name.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind<'a>,
}

/// What a type is (`BTF_KIND_*`).
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum Kind<'a> {
    Void,
    Int(Int),
    Pointer(TypeId),
    Array {
        element: TypeId,
        len: u32,
    },
    Struct(Composite<'a>),
    Union(Composite<'a>),
    Enum {
        size: u32,
        signed: bool,
        values: Records<'a, EnumValue>,
    },
    Enum64 {
        size: u32,
        signed: bool,
        values: Records<'a, EnumValue64>,
    },
    Forward {
        is_union: bool,
    },
    Typedef(TypeId),
    Volatile(TypeId),
    Const(TypeId),
    Restrict(TypeId),
    TypeTag(TypeId),
    Function {
        prototype: TypeId,
        linkage: Linkage,
    },
    Prototype {
        result: TypeId,
        parameters: Records<'a, Parameter>,
    },
    Variable {
        of: TypeId,
        linkage: Linkage,
    },
    DataSection {
        size: u32,
        variables: Records<'a, Variable>,
    },
    Float {
        size: u32,
    },
    DeclTag {
        of: TypeId,
        component: i32,
    },
}

/// An integer type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Int {
    /// Bytes.
    pub size: u32,
    /// Bits in use.
    pub bits: u8,
    /// The first bit.
    pub offset: u8,
    /// Whether it has a sign.
    pub signed: bool,
    /// `char`
    pub is_char: bool,
    /// `bool`
    pub is_bool: bool,
}

/// A structure or union.
#[derive(Debug, Clone, Copy)]
pub struct Composite<'a> {
    /// Bytes.
    pub size: u32,
    members: Records<'a, RawMember>,
    has_bitfields: bool,
    btf: &'a Btf,
}

/// A member of a structure or union.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Empty for anonymous members.
    pub name: &'a str,
    /// Its type.
    pub of: TypeId,
    /// Bits from the start of the structure.
    pub bit_offset: u32,
    /// Bits of a bit field; 0 for other members.
    pub bit_size: u32,
}

/// Who can see a function or variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Linkage {
    Static,
    Global,
    Extern,
}

/// Records of fixed size that follow a type.
pub struct Records<'a, T: Record> {
    bytes: &'a [u8],
    of: std::marker::PhantomData<T>,
}

impl<T: Record> Clone for Records<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Record> Copy for Records<'_, T> {}

/// A record of `WORDS` 32-bit words.
pub trait Record: Sized {
    /// Its length.
    const WORDS: usize;
    /// Makes one of its words.
    fn from_words(words: &[u32; 3]) -> Self;
}

impl<'a, T: Record> Records<'a, T> {
    fn new(bytes: &'a [u8], count: usize) -> Self {
        let end = count * T::WORDS * 4;
        Self {
            bytes: bytes.get(..end).unwrap_or(&[]),
            of: std::marker::PhantomData,
        }
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.bytes.len() / (T::WORDS * 4)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// The record at an index.
    pub fn get(self, index: usize) -> Option<T> {
        let size = T::WORDS * 4;
        let record = self.bytes.get(index.checked_mul(size)?..)?.get(..size)?;
        Some(Self::decode(record))
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = T> + 'a
    where
        T: 'a,
    {
        self.bytes.chunks_exact(T::WORDS * 4).map(Self::decode)
    }

    fn decode(record: &[u8]) -> T {
        let mut words = [0; 3];
        for (at, word) in words.iter_mut().take(T::WORDS).enumerate() {
            *word = word_at(record, at * 4);
        }
        T::from_words(&words)
    }
}

impl<T: Record> std::fmt::Debug for Records<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} records", self.bytes.len() / (T::WORDS * 4))
    }
}

/// `struct btf_member`
#[derive(Debug, Clone, Copy)]
struct RawMember([u32; 3]);

impl Record for RawMember {
    const WORDS: usize = 3;
    fn from_words(words: &[u32; 3]) -> Self {
        Self(*words)
    }
}

/// An enumerator of up to 32 bits.
#[derive(Debug, Clone, Copy)]
pub struct EnumValue {
    /// Offset of the name.
    pub(crate) name: u32,
    /// The low 32 bits of the value.
    pub value: u32,
}

impl Record for EnumValue {
    const WORDS: usize = 2;
    fn from_words(words: &[u32; 3]) -> Self {
        Self {
            name: words[0],
            value: words[1],
        }
    }
}

/// An enumerator of 64 bits.
#[derive(Debug, Clone, Copy)]
pub struct EnumValue64 {
    /// Offset of the name.
    pub(crate) name: u32,
    /// The value.
    pub value: u64,
}

impl Record for EnumValue64 {
    const WORDS: usize = 3;
    fn from_words(words: &[u32; 3]) -> Self {
        Self {
            name: words[0],
            value: u64::from(words[1]) | u64::from(words[2]) << 32,
        }
    }
}

/// A parameter of a function.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its type.
    pub of: TypeId,
}

impl Record for Parameter {
    const WORDS: usize = 2;
    fn from_words(words: &[u32; 3]) -> Self {
        Self {
            of: TypeId(words[1]),
        }
    }
}

/// A variable in a section.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// A [`Kind::Variable`], or a [`Kind::Function`] in a section of kernel symbols.
    pub of: TypeId,
    /// Bytes from the section's start; compilers leave it at 0 and mean the symbol's.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

impl Record for Variable {
    const WORDS: usize = 3;
    fn from_words(words: &[u32; 3]) -> Self {
        Self {
            of: TypeId(words[0]),
            offset: words[1],
            size: words[2],
        }
    }
}

impl<'a> Type<'a> {
    pub(super) const VOID: Self = Type {
        name: "",
        kind: Kind::Void,
    };
}

impl<'a> Composite<'a> {
    /// The members in order.
    pub fn members(self) -> impl Iterator<Item = Member<'a>> {
        (0..self.members.len()).filter_map(move |index| self.member(index))
    }

    /// How many members there are.
    pub fn len(self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(self) -> bool {
        self.members.is_empty()
    }

    /// The member at an index.
    pub fn member(self, index: usize) -> Option<Member<'a>> {
        let RawMember([name, of, offset]) = self.members.get(index)?;
        Some(Member {
            name: self.btf.string(name),
            of: TypeId(of),
            bit_offset: if self.has_bitfields {
                offset & 0xff_ffff
            } else {
                offset
            },
            bit_size: if self.has_bitfields { offset >> 24 } else { 0 },
        })
    }
}

/// The numbers of kinds, `BTF_KIND_*` of `linux/btf.h`.
#[allow(missing_docs, reason = "the kernel's names")]
pub mod number {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FWD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// Bytes of `struct btf_type`.
pub const HEADER: usize = 12;

/// Bytes of a type with all that follows it; none for an unknown kind.
pub(super) fn encoded_size(info: u32) -> Option<usize> {
    let count = (info & 0xffff) as usize;
    let follows = match info >> 24 & 0x1f {
        number::INT | number::VAR | number::DECL_TAG => 4,
        number::ARRAY => 12,
        number::STRUCT | number::UNION | number::DATASEC | number::ENUM64 => count * 12,
        number::ENUM | number::FUNC_PROTO => count * 8,
        number::PTR..=number::TYPE_TAG => 0,
        _ => return None,
    };
    Some(HEADER + follows)
}

/// The little-endian word at an offset; 0 beyond the end.
pub fn word_at(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
    word.map_or(0, |word| u32::from_le_bytes(*word))
}

/// Decodes the type at the start of `bytes`, which was found to be whole.
pub(super) fn decode<'a>(bytes: &'a [u8], btf: &'a Btf) -> Type<'a> {
    let (name, info, of) = (word_at(bytes, 0), word_at(bytes, 4), word_at(bytes, 8));
    let rest = &bytes[HEADER..];
    let count = (info & 0xffff) as usize;
    let flag = info >> 31 != 0;
    let (size, id) = (of, TypeId(of));
    let kind = match info >> 24 & 0x1f {
        number::INT => Kind::Int(int(size, word_at(rest, 0))),
        number::PTR => Kind::Pointer(id),
        number::ARRAY => Kind::Array {
            element: TypeId(word_at(rest, 0)),
            len: word_at(rest, 8),
        },
        number::STRUCT => Kind::Struct(composite(rest, count, size, flag, btf)),
        number::UNION => Kind::Union(composite(rest, count, size, flag, btf)),
        number::ENUM => Kind::Enum {
            size,
            signed: flag,
            values: Records::new(rest, count),
        },
        number::ENUM64 => Kind::Enum64 {
            size,
            signed: flag,
            values: Records::new(rest, count),
        },
        number::FWD => Kind::Forward { is_union: flag },
        number::TYPEDEF => Kind::Typedef(id),
        number::VOLATILE => Kind::Volatile(id),
        number::CONST => Kind::Const(id),
        number::RESTRICT => Kind::Restrict(id),
        number::TYPE_TAG => Kind::TypeTag(id),
        number::FUNC => Kind::Function {
            prototype: id,
            linkage: linkage(info & 0xffff),
        },
        number::FUNC_PROTO => Kind::Prototype {
            result: id,
            parameters: Records::new(rest, count),
        },
        number::VAR => Kind::Variable {
            of: id,
            linkage: linkage(word_at(rest, 0)),
        },
        number::DATASEC => Kind::DataSection {
            size,
            variables: Records::new(rest, count),
        },
        number::FLOAT => Kind::Float { size },
        number::DECL_TAG => Kind::DeclTag {
            of: id,
            component: word_at(rest, 0) as i32,
        },
        _ => Kind::Void,
    };
    Type {
        name: btf.string(name),
        kind,
    }
}

fn int(size: u32, encoding: u32) -> Int {
    let flags = encoding >> 24 & 15;
    Int {
        size,
        bits: encoding as u8,
        offset: (encoding >> 16) as u8,
        signed: flags & 1 != 0,
        is_char: flags & 2 != 0,
        is_bool: flags & 4 != 0,
    }
}

fn composite<'a>(
    rest: &'a [u8],
    count: usize,
    size: u32,
    has_bitfields: bool,
    btf: &'a Btf,
) -> Composite<'a> {
    Composite {
        size,
        members: Records::new(rest, count),
        has_bitfields,
        btf,
    }
}

fn linkage(number: u32) -> Linkage {
    match number {
        0 => Linkage::Static,
        1 => Linkage::Global,
        _ => Linkage::Extern,
    }
}
