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
    /// A reference to a map: the address is the map's number, nothing can be loaded from it.
    pub const MAP: Self = Self(1);
    /// A reference to a function: the address is the number of its first operation.
    pub const FUNCTION: Self = Self(2);
    /// The first tag without a fixed meaning.
    pub(crate) const FIRST_FREE: usize = 3 + super::stack::LEVELS * Self::PER_LEVEL;
    /// Tags of each level of nested runs: the context, and the frames.
    const PER_LEVEL: usize = 1 + super::stack::RUN_FRAMES;

    /// The context of the run at a level of nesting.
    pub(super) const fn context(level: usize) -> Self {
        Self((3 + level * Self::PER_LEVEL) as u32)
    }

    /// A stack frame of the run at a level of nesting.
    pub(super) const fn frame(level: usize, depth: usize) -> Self {
        Self(Self::context(level).0 + 1 + depth as u32)
    }
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
