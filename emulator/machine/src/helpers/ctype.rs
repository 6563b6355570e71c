//! Classes of characters as the kernel has them (`lib/ctype.c`): Latin-1.

/// `isspace`
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, 9..=13 | b' ' | 0xa0)
}

/// `ispunct`
pub(super) const fn is_punctuation(byte: u8) -> bool {
    byte.is_ascii_punctuation() || matches!(byte, 0xa1..=0xbf | 0xd7 | 0xf7)
}

/// `isalnum`
pub(super) const fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || (byte >= 0xc0 && !matches!(byte, 0xd7 | 0xf7))
}
