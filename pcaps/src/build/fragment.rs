//! Fragments: pieces of an IP payload.

use etherparse::IpFragOffset;

use super::BuildError;

/// Which part of an IP payload is sent.
///
/// A piece is cut out of the whole payload, so a transport header is in the first one alone, and
/// its checksum covers all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins, in bytes: a multiple of 8.
    pub offset: usize,
    /// How long it is; none is all the rest.
    pub len: Option<usize>,
    /// Whether it says that more pieces follow.
    pub more: More,
}

/// The "more fragments" bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum More {
    /// Set unless the piece reaches the end of the payload.
    #[default]
    Derived,
    /// Set.
    Yes,
    /// Not set.
    No,
}

/// A piece that was cut out.
pub(super) struct Cut<'a> {
    pub bytes: &'a [u8],
    pub offset: IpFragOffset,
    pub more: bool,
}

impl Piece {
    /// All of a payload.
    pub(super) const WHOLE: Self = Self {
        offset: 0,
        len: None,
        more: More::Derived,
    };

    pub(super) fn cut_from<'a>(&self, payload: &'a [u8]) -> Result<Cut<'a>, BuildError> {
        let start = self.offset;
        let offset = u16::try_from(start / 8)
            .ok()
            .filter(|_| start.is_multiple_of(8))
            .and_then(|units| IpFragOffset::try_new(units).ok())
            .ok_or(BuildError::FragmentOffset(start))?;
        let end = self
            .len
            .map_or(payload.len(), |len| start.saturating_add(len));
        let bytes = payload.get(start..end).ok_or(BuildError::FragmentRange {
            start,
            end,
            len: payload.len(),
        })?;
        let more = match self.more {
            More::Derived => end < payload.len(),
            More::Yes => true,
            More::No => false,
        };
        Ok(Cut {
            bytes,
            offset,
            more,
        })
    }
}
