//! Why a frame cannot be.

/// Why a frame cannot be built as it is described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Something is longer than its length field can tell, or than its place.
    #[error("{what} of {len} bytes; expected at most {max}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The longest that it can be.
        max: usize,
    },
    /// An extension header whose content does not fill its 8-byte units.
    #[error("{what} of {len} bytes; expected {expected}")]
    Length {
        /// What has a wrong length.
        what: &'static str,
        /// Its length.
        len: usize,
        /// Which lengths it can have.
        expected: &'static str,
    },
    /// A fragment begins where none can begin.
    #[error("fragment at offset {0}; expected a multiple of 8 below 65536")]
    FragmentOffset(usize),
    /// A fragment reaches beyond the payload that it is cut from.
    #[error("fragment from {start} to {end}; expected a part of the {len} bytes of the payload")]
    FragmentRange {
        /// Its first byte.
        start: usize,
        /// Behind its last byte.
        end: usize,
        /// Length of the IP payload.
        len: usize,
    },
}

/// `len` as the 16-bit length of a `what`.
pub(super) fn len16(what: &'static str, len: usize) -> Result<u16, BuildError> {
    u16::try_from(len).map_err(|_| BuildError::TooLong {
        what,
        len,
        max: usize::from(u16::MAX),
    })
}
