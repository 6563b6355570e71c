//! Format strings as the kernel's programs write them (`bpf_bprintf_prepare` in `kernel/bpf/helpers.c`,
//! `bstr_printf` in `lib/vsprintf.c`).
//!
//! The kernel walks a format twice: once to check it and to copy what its conversions refer to into a
//! buffer of 512 bytes, and once to write the text. So a format that is wrong at its end writes nothing.

use super::ctype;
use crate::errno::Errno;

/// The most conversions that a call can have (`MAX_BPRINTF_VARARGS`).
pub(super) const MAX_ARGUMENTS: usize = 12;
/// Bytes for the arguments of a call (`MAX_BPRINTF_BIN_ARGS`).
const ARGUMENT_BYTES: usize = 512;

/// How a conversion is padded.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    left: bool,
    zeros: bool,
    plus: bool,
    space: bool,
    /// The field's width; -1 for none.
    width: i32,
}

/// What a conversion makes of its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
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
enum Piece<'a> {
    Verbatim(&'a [u8]),
    Conversion(Layout, Kind),
}

/// The parts of a format without its closing zero.
struct Pieces<'a> {
    rest: &'a [u8],
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

/// A checked format with its arguments in the kernel's form: numbers aligned to 4 bytes, texts as they
/// are, each with a zero behind it.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    format: &'a [u8],
    arguments: [u8; ARGUMENT_BYTES],
}

/// What the arguments of conversions refer to.
pub(super) trait Referred {
    /// Why the run ends.
    type Stop;

    /// Appends the bytes of a string without its closing zero, at most `most`; nothing when the
    /// kernel could not read there.
    fn string(&mut self, pointer: u64, most: usize, into: &mut Vec<u8>) -> Result<(), Self::Stop>;

    /// Reads bytes; those that the kernel could not read are zero.
    fn bytes(&mut self, pointer: u64, into: &mut [u8]) -> Result<(), Self::Stop>;
}

/// Why there is no text.
#[derive(Debug)]
pub(super) enum Failed<S> {
    /// What the helper returns.
    Errno(Errno),
    /// The run ends.
    Stop(S),
    /// The kernel writes beyond its buffer: its texts take more than the 512 bytes.
    Overflow,
}

impl<S> From<Errno> for Failed<S> {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// Checks a format without its closing zero, for so many arguments.
pub(super) fn check(format: &[u8], arguments: usize) -> Result<(), Errno> {
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

/// The first walk: checks the format and copies what the arguments refer to.
pub(super) fn prepare<'a, R: Referred>(
    format: &'a [u8],
    numbers: &[u64],
    referred: &mut R,
) -> Result<Prepared<'a>, Failed<R::Stop>> {
    let mut arguments = Arguments {
        bytes: [0; ARGUMENT_BYTES],
        at: 0,
    };
    let mut numbers = numbers.iter();
    for piece in (Pieces { rest: format }) {
        if let Piece::Conversion(_, kind) = piece? {
            let number = *numbers.next().ok_or(Errno::EINVAL)?;
            arguments.copy(kind, number, referred)?;
        }
    }
    Ok(Prepared {
        format,
        arguments: arguments.bytes,
    })
}

/// The arguments of a call while they are copied.
struct Arguments {
    bytes: [u8; ARGUMENT_BYTES],
    at: usize,
}

impl Arguments {
    fn copy<R: Referred>(
        &mut self,
        kind: Kind,
        number: u64,
        referred: &mut R,
    ) -> Result<(), Failed<R::Stop>> {
        match kind {
            Kind::Signed { long } | Kind::Unsigned { long, .. } => {
                let size = if long { 8 } else { 4 };
                self.number(&number.to_le_bytes()[..size])?;
            }
            Kind::Hashed | Kind::Address | Kind::Symbol => self.number(&number.to_le_bytes())?,
            Kind::Char => self.room(1)?[0] = number as u8,
            Kind::Text | Kind::KernelText | Kind::UserText => {
                let mut text = Vec::new();
                let free = ARGUMENT_BYTES - self.at;
                let most = free.checked_sub(1).ok_or(Errno::ENOSPC)?;
                if kind != Kind::UserText {
                    let stop = referred.string(number, most, &mut text);
                    stop.map_err(Failed::Stop)?;
                }
                self.text(&text)?;
            }
            Kind::Backtrace => self.text(symbol(number).as_bytes())?,
            Kind::Ipv4 { padded } => {
                let mut address = [0; 4];
                self.fits(address.len())?;
                referred.bytes(number, &mut address).map_err(Failed::Stop)?;
                self.text(ipv4(address, padded).as_bytes())?;
            }
            Kind::Ipv6 { colons } => {
                let mut address = [0; 16];
                self.fits(address.len())?;
                referred.bytes(number, &mut address).map_err(Failed::Stop)?;
                self.text(ipv6(address, colons).as_bytes())?;
            }
        }
        Ok(())
    }

    fn fits(&self, size: usize) -> Result<(), Errno> {
        match ARGUMENT_BYTES - self.at < size {
            true => Err(Errno::ENOSPC),
            false => Ok(()),
        }
    }

    fn room(&mut self, size: usize) -> Result<&mut [u8], Errno> {
        self.fits(size)?;
        let start = self.at;
        self.at += size;
        Ok(&mut self.bytes[start..self.at])
    }

    fn number(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.at = self.at.next_multiple_of(4);
        self.room(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// A text that the kernel writes without looking at the room.
    fn text<S>(&mut self, text: &[u8]) -> Result<(), Failed<S>> {
        let room = self.room(text.len() + 1).map_err(|_| Failed::Overflow)?;
        room[..text.len()].copy_from_slice(text);
        Ok(())
    }
}

impl Prepared<'_> {
    /// The second walk: writes the text.
    pub(super) fn write(&self, out: &mut Out<'_>) {
        let mut reader = Reader {
            bytes: &self.arguments,
            at: 0,
        };
        for piece in (Pieces { rest: self.format }).flatten() {
            match piece {
                Piece::Verbatim(text) => out.bytes(text),
                Piece::Conversion(layout, kind) => convert(layout, kind, &mut reader, out),
            }
        }
        out.close();
    }
}

/// The arguments of a call while they are read back.
struct Reader<'a> {
    bytes: &'a [u8; ARGUMENT_BYTES],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let start = self.at.min(ARGUMENT_BYTES);
        let end = (self.at + len).min(ARGUMENT_BYTES);
        self.at += len;
        &self.bytes[start..end]
    }

    fn number(&mut self, size: usize) -> u64 {
        self.at = self.at.next_multiple_of(4);
        let bytes = self.take(size).iter().rev();
        bytes.fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn text(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().take_while(|&&byte| byte != 0).count();
        self.at += len + 1;
        &rest[..len]
    }
}

fn convert(layout: Layout, kind: Kind, arguments: &mut Reader<'_>, out: &mut Out<'_>) {
    match kind {
        Kind::Signed { long } => {
            let value = match long {
                true => arguments.number(8) as i64,
                false => i64::from(arguments.number(4) as i32),
            };
            let sign = match (value < 0, layout.plus, layout.space) {
                (true, ..) => Some(b'-'),
                (_, true, _) => Some(b'+'),
                (_, _, true) => Some(b' '),
                _ => None,
            };
            digits(layout, sign, value.unsigned_abs(), 10, false, out);
        }
        Kind::Unsigned { long, base, upper } => {
            let value = arguments.number(if long { 8 } else { 4 });
            digits(layout, None, value, base, upper, out);
        }
        Kind::Char => padded(layout, arguments.take(1), out),
        Kind::Text => padded(layout, arguments.text(), out),
        // Where the buffer is full, the kernel neither counts such a text nor goes on behind it.
        Kind::KernelText
        | Kind::UserText
        | Kind::Backtrace
        | Kind::Ipv4 { .. }
        | Kind::Ipv6 { .. } => {
            if !out.is_full() {
                out.bytes(arguments.text());
            }
        }
        Kind::Hashed => address(layout, hashed(arguments.number(8)), out),
        Kind::Address => address(layout, arguments.number(8), out),
        Kind::Symbol => padded(layout, symbol(arguments.number(8)).as_bytes(), out),
    }
}

/// `number` in `lib/vsprintf.c`
fn digits(
    layout: Layout,
    sign: Option<u8>,
    mut value: u64,
    base: u64,
    upper: bool,
    out: &mut Out<'_>,
) {
    let alphabet: &[u8; 16] = if upper {
        b"0123456789ABCDEF"
    } else {
        b"0123456789abcdef"
    };
    let mut buffer = [0; 20];
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = alphabet[(value % base) as usize];
        value /= base;
        if value == 0 {
            break;
        }
    }
    let digits = &buffer[at..];
    let len = digits.len() + usize::from(sign.is_some());
    let padding = i64::from(layout.width) - len as i64;
    let zeros = layout.zeros && !layout.left;
    if !zeros && !layout.left {
        out.fill(b' ', padding);
    }
    out.bytes(sign.as_slice());
    if zeros {
        out.fill(b'0', padding);
    }
    out.bytes(digits);
    if layout.left {
        out.fill(b' ', padding);
    }
}

/// A character or string in its field.
fn padded(layout: Layout, text: &[u8], out: &mut Out<'_>) {
    let padding = i64::from(layout.width) - text.len() as i64;
    if !layout.left {
        out.fill(b' ', padding);
    }
    out.bytes(text);
    if layout.left {
        out.fill(b' ', padding);
    }
}

/// `pointer_string` in `lib/vsprintf.c`
fn address(mut layout: Layout, value: u64, out: &mut Out<'_>) {
    if layout.width == -1 {
        layout.width = 16;
        layout.zeros = true;
    }
    digits(layout, None, value, 16, false, out);
}

/// What `%p` shows in place of an address. The kernel's numbers are other ones after each boot; null
/// and error numbers are shown as they are.
fn hashed(value: u64) -> u64 {
    const MAX_ERRNO: u64 = 4095;
    if value == 0 || value >= MAX_ERRNO.wrapping_neg() {
        return value;
    }
    crate::clock::Random::new(value).next_u64() >> 32
}

/// An address that is no symbol of the kernel's, as none is here (`sprint_symbol`).
fn symbol(address: u64) -> String {
    format!("{address:#x}")
}

fn ipv4([a, b, c, d]: [u8; 4], padded: bool) -> String {
    if padded {
        format!("{a:03}.{b:03}.{c:03}.{d:03}")
    } else {
        format!("{a}.{b}.{c}.{d}")
    }
}

fn ipv6(address: [u8; 16], colons: bool) -> String {
    let groups = address.as_chunks().0.iter();
    let groups: Vec<_> = groups
        .map(|group| format!("{:04x}", u16::from_be_bytes(*group)))
        .collect();
    groups.join(if colons { ":" } else { "" })
}

/// A buffer that text is written to, as far as it reaches.
#[derive(Debug)]
pub(super) struct Out<'a> {
    buffer: &'a mut [u8],
    len: u64,
}

impl<'a> Out<'a> {
    pub(super) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Bytes of the whole text without the closing zero, whether or not they had room.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    fn is_full(&self) -> bool {
        self.len >= self.buffer.len() as u64
    }

    fn room(&mut self) -> &mut [u8] {
        let start = self.len.min(self.buffer.len() as u64) as usize;
        &mut self.buffer[start..]
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let room = self.room();
        let fitting = bytes.len().min(room.len());
        room[..fitting].copy_from_slice(&bytes[..fitting]);
        self.len += bytes.len() as u64;
    }

    fn fill(&mut self, byte: u8, count: i64) {
        let Ok(count) = u64::try_from(count) else {
            return;
        };
        let room = self.room();
        let fitting = (room.len() as u64).min(count) as usize;
        room[..fitting].fill(byte);
        self.len += count;
    }

    /// Ends the text with a zero, in place of its last byte when it is too long.
    fn close(&mut self) {
        let at = self.len.min((self.buffer.len() as u64).saturating_sub(1)) as usize;
        if let Some(last) = self.buffer.get_mut(at) {
            *last = 0;
        }
    }
}
