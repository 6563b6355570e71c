//! Guest pointers: an address and the object that it belongs to.

use std::fmt;

/// A pointer as a register holds it.
///
/// The low half is the guest address. The high half is the *tag*: the index of the object that the
/// pointer was made for, in the run's [object table](super::Memory). Adding and subtracting offsets
/// leaves the tag alone, so that a pointer that has wandered out of its object is told from one into
/// its neighbour. Native engines have no tags; their pointers are plain addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pointer(pub u64);

/// The index of an object in the run's object table; the upper half of a [`Pointer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(pub u32);

impl Tag {
    /// No object: numbers that were never pointers, null among them, and every native pointer.
    pub const NONE: Self = Self(0);
    /// The stack frame of the program itself; callees follow.
    pub const FRAME: Self = Self(1);
    /// The context.
    pub const CONTEXT: Self = Self(1 + super::MAX_FRAMES as u32);
    /// A reference to a map: the address is the map's number, nothing can be loaded from it.
    pub const MAP: Self = Self(Self::CONTEXT.0 + 1);
    /// A reference to a function: the address is the number of its first instruction.
    pub const FUNCTION: Self = Self(Self::CONTEXT.0 + 2);
    /// The first tag without a fixed meaning.
    pub(crate) const FIRST_FREE: usize = Self::CONTEXT.0 as usize + 3;
}

impl Pointer {
    /// The null pointer.
    pub const NULL: Self = Self(0);

    /// Joins a tag and an address.
    #[inline]
    pub const fn new(tag: Tag, address: u32) -> Self {
        Self((tag.0 as u64) << 32 | address as u64)
    }

    /// The upper half.
    #[inline]
    pub const fn tag(self) -> Tag {
        Tag((self.0 >> 32) as u32)
    }

    /// The lower half.
    #[inline]
    pub const fn address(self) -> u32 {
        self.0 as u32
    }

    /// Whether this is the null pointer.
    #[inline]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}:{:#x}", self.tag().0, self.address())
    }
}
