//! The parts of a format, and whether it is one.

use super::super::ctype;
use crate::errno::Errno;

/// How a conversion is padded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layout {
    pub(super) left: bool,
    pub(super) zeros: bool,
    pub(super) plus: bool,
    pub(super) space: bool,
    /// The field's width; -1 for none.
    pub(super) width: i32,
}

/// What a conversion makes of its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Signed {
        long: bool,
    },
    Unsigned {
        long: bool,
        base: u64,
        upper: bool,
    },
    Char,
    /// `%s`
    Text,
    /// `%pks`, which has no width.
    KernelText,
    /// `%pus`: no guest address is one of user space.
    UserText,
    /// `%p` and `%pK`
    Hashed,
    /// `%px`
    Address,
    /// `%ps` and `%pS`
    Symbol,
    /// `%pB`, which has no width.
    Backtrace,
    /// `%pI4` and `%pi4`, which have no width.
    Ipv4 {
        padded: bool,
    },
    /// `%pI6` and `%pi6`, which have no width.
    Ipv6 {
        colons: bool,
    },
}

/// A part of a format.
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece<'a> {
    Verbatim(&'a [u8]),
    Conversion(Layout, Kind),
}

/// The parts of a format without its closing zero.
pub(super) struct Pieces<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = *self.rest.first()?;
        Some(if first == b'%' {
            self.conversion().ok_or(Errno::EINVAL)
        } else {
            self.verbatim().ok_or(Errno::EINVAL)
        })
    }
}

impl<'a> Pieces<'a> {
    fn verbatim(&mut self) -> Option<Piece<'a>> {
        let end = self.rest.iter().position(|&byte| byte == b'%');
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let is_text =
            |&byte: &u8| !byte.is_ascii() || ctype::is_space(byte) || (0x20..0x7f).contains(&byte);
        text.iter().all(is_text).then_some(Piece::Verbatim(text))
    }

    /// The byte at a distance; 0 behind the end, as in the kernel's string.
    fn at(&self, at: usize) -> u8 {
        self.rest.get(at).copied().unwrap_or(0)
    }

    fn skip(&mut self, len: usize) {
        self.rest = self.rest.get(len..).unwrap_or_default();
    }

    fn conversion(&mut self) -> Option<Piece<'a>> {
        if self.at(1) == b'%' {
            let percent = &self.rest[..1];
            self.skip(2);
            return Some(Piece::Verbatim(percent));
        }
        self.skip(1);
        let layout = self.layout();
        let kind = match self.at(0) {
            b'p' => {
                self.skip(1);
                self.pointer()?
            }
            b's' => {
                self.skip(1);
                self.text(Kind::Text)?
            }
            b'c' => {
                self.skip(1);
                Kind::Char
            }
            _ => self.number()?,
        };
        Some(Piece::Conversion(layout, kind))
    }

    fn layout(&mut self) -> Layout {
        let mut layout = Layout {
            width: -1,
            ..Layout::default()
        };
        loop {
            match self.at(0) {
                b'-' => layout.left = true,
                b'0' => layout.zeros = true,
                b'+' => layout.plus = true,
                b' ' => layout.space = true,
                _ => break,
            }
            self.skip(1);
        }
        if self.at(0).is_ascii_digit() {
            layout.width = 0;
        }
        while self.at(0).is_ascii_digit() {
            let digit = i32::from(self.at(0) - b'0');
            layout.width = layout.width.wrapping_mul(10).wrapping_add(digit);
            self.skip(1);
        }
        layout
    }

    fn number(&mut self) -> Option<Kind> {
        let longs = self
            .rest
            .iter()
            .take(2)
            .take_while(|&&byte| byte == b'l')
            .count();
        let long = longs > 0;
        let kind = match self.at(longs) {
            b'd' | b'i' => Kind::Signed { long },
            b'u' => Kind::Unsigned {
                long,
                base: 10,
                upper: false,
            },
            letter @ (b'x' | b'X') => Kind::Unsigned {
                long,
                base: 16,
                upper: letter == b'X',
            },
            _ => return None,
        };
        self.skip(longs + 1);
        Some(kind)
    }

    /// A string's conversion ends with it.
    fn text(&mut self, kind: Kind) -> Option<Kind> {
        let next = self.at(0);
        let ends = next == 0 || ctype::is_space(next) || ctype::is_punctuation(next);
        ends.then_some(kind)
    }

    fn pointer(&mut self) -> Option<Kind> {
        let next = self.at(0);
        let of_text = self.at(1) == b's';
        let kind = match next {
            b'k' | b'u' if of_text => {
                self.skip(2);
                return self.text(if next == b'k' {
                    Kind::KernelText
                } else {
                    Kind::UserText
                });
            }
            b'K' => Kind::Hashed,
            b'x' => Kind::Address,
            b's' | b'S' => Kind::Symbol,
            b'B' => Kind::Backtrace,
            b'i' | b'I' => match self.at(1) {
                b'4' => Kind::Ipv4 {
                    padded: next == b'i',
                },
                b'6' => Kind::Ipv6 {
                    colons: next == b'I',
                },
                _ => return None,
            },
            _ if next == 0 || ctype::is_space(next) || ctype::is_punctuation(next) => {
                return Some(Kind::Hashed);
            }
            _ => return None,
        };
        // What else is written there means something to the kernel's own printk, not here.
        let letters = self
            .rest
            .iter()
            .take_while(|&&byte| ctype::is_alphanumeric(byte))
            .count();
        self.skip(letters);
        Some(kind)
    }
}

/// Checks a format without its closing zero, for so many arguments.
pub(in crate::helpers) fn check(format: &[u8], arguments: usize) -> Result<(), Errno> {
    let mut conversions = 0;
    for piece in (Pieces { rest: format }) {
        // The kernel counts before it looks at the conversion; both are EINVAL.
        if let Piece::Conversion(..) = piece? {
            conversions += 1;
            if conversions > arguments {
                return Err(Errno::EINVAL);
            }
        }
    }
    Ok(())
}
