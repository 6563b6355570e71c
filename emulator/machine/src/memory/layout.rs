//! Structures whose fields have access rules: `struct xdp_md`, `struct __sk_buff`, `struct bpf_sock`, ...
//!
//! The rules are those of the kernel's `*_is_valid_access` functions (`net/core/filter.c`): which
//! fields a program type may read and write, at which widths. The structures lie in guest memory with
//! their UAPI layout (`linux/bpf.h`), little-endian.

/// A structure with rules for each field.
#[derive(Debug)]
pub struct Layout {
    /// The UAPI name, such as `__sk_buff`.
    pub name: &'static str,
    /// Bytes.
    pub size: u32,
    /// By ascending offset, without overlaps. What lies between two fields may not be accessed.
    pub fields: &'static [Field],
}

/// One field of a [`Layout`].
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The UAPI name.
    pub name: &'static str,
    /// Bytes from the start of the structure.
    pub offset: u16,
    /// Bytes; arrays are one field.
    pub size: u16,
    /// Bytes from the field's start at which an access may begin.
    pub reach: u16,
    /// Widths at which a program may read.
    pub read: Widths,
    /// Widths at which a program may write.
    pub write: Widths,
    /// What a load yields.
    pub value: FieldValue,
}

/// What loading a field yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValue {
    /// The bytes as they are.
    Plain,
    /// A number of four bytes of which the kernel keeps only so many, as it does with a narrow field
    /// of its own: the rest of what a program writes is lost, and a read of at least so many bytes
    /// yields the whole number wherever in the field it begins.
    Short(u8),
    /// As two bytes of [`FieldValue::Short`], where a write of 0xffff and more is ignored.
    Queue,
    /// A pointer into the packet, of which the field holds the address.
    Packet,
    /// A pointer to an object that the environment has [bound](super::Memory::bind), of which the
    /// field holds the address, or null.
    Object,
    /// Something that the kernel has and the environment has not: an access is a fault by name.
    Unsupported,
}

/// A set of access widths; an access must be aligned to its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths(u8);

impl Widths {
    /// No access.
    pub const NONE: Self = Self(0);
    /// Four bytes.
    pub const W4: Self = Self(4);
    /// Eight bytes.
    pub const W8: Self = Self(8);
    /// One, two and four bytes.
    pub const UP_TO_4: Self = Self(1 | 2 | 4);
    /// One, two, four and eight bytes.
    pub const UP_TO_8: Self = Self(1 | 2 | 4 | 8);

    /// A set from the widths' sum: `Widths::of(2 | 4)`.
    pub const fn of(widths: u8) -> Self {
        Self(widths)
    }

    /// Whether `width` is in the set.
    pub const fn contains(self, width: u32) -> bool {
        self.0 as u32 & width != 0
    }
}

impl Widths {
    /// The widths in the set, ascending.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..4)
            .map(|bit| 1 << bit)
            .filter(move |&width| self.contains(width))
    }
}

impl Layout {
    /// The field that holds the byte at `offset`.
    #[inline]
    pub fn field_at(&self, offset: u32) -> Option<&'static Field> {
        if let Some(field) = self.nth_word(offset) {
            return Some(field);
        }
        let after = self
            .fields
            .partition_point(|field| u32::from(field.offset) <= offset);
        let field = self.fields.get(after.checked_sub(1)?)?;
        (offset < u32::from(field.offset) + u32::from(field.size)).then_some(field)
    }

    /// The field that begins at `offset`, if all before it have four bytes, as most structures begin.
    #[inline(always)]
    pub(super) fn nth_word(&self, offset: u32) -> Option<&'static Field> {
        let field = self.fields.get(offset as usize / 4)?;
        (u32::from(field.offset) == offset).then_some(field)
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Field {
    /// A field read and written as plain bytes.
    pub const fn plain(
        name: &'static str,
        offset: u16,
        size: u16,
        read: Widths,
        write: Widths,
    ) -> Self {
        Self {
            name,
            offset,
            size,
            reach: size,
            read,
            write,
            value: FieldValue::Plain,
        }
    }

    /// The same field, of whose bytes only the first `reach` may be where an access begins.
    pub const fn reach(self, reach: u16) -> Self {
        Self { reach, ..self }
    }

    /// The same field with only two bytes behind it.
    pub const fn half(self) -> Self {
        self.with(FieldValue::Short(2))
    }

    /// The same field with what it holds.
    pub const fn with(self, value: FieldValue) -> Self {
        Self { value, ..self }
    }

    /// A 32-bit field that holds an address in the packet.
    pub const fn packet(name: &'static str, offset: u16) -> Self {
        Self {
            name,
            offset,
            size: 4,
            reach: 4,
            read: Widths::W4,
            write: Widths::NONE,
            value: FieldValue::Packet,
        }
    }

    /// A 64-bit field that holds the address of a bound object.
    pub const fn object(name: &'static str, offset: u16) -> Self {
        Self {
            name,
            offset,
            size: 8,
            reach: 8,
            read: Widths::W8,
            write: Widths::NONE,
            value: FieldValue::Object,
        }
    }

    /// Whether an access of `width` bytes at `offset` in the structure begins where it may, stays in the
    /// field and is aligned.
    pub const fn covers(&self, offset: u32, width: u32) -> bool {
        offset < self.offset as u32 + self.reach as u32
            && offset + width <= self.offset as u32 + self.size as u32
            && offset.is_multiple_of(width)
    }
}
