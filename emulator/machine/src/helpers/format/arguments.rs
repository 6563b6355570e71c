//! The first walk: what conversions refer to, in the kernel's buffer.

use super::parse::{Kind, Piece, Pieces};
use crate::errno::Errno;

/// Bytes for the arguments of a call (`MAX_BPRINTF_BIN_ARGS`).
const ARGUMENT_BYTES: usize = 512;

/// A checked format with its arguments in the kernel's form: numbers aligned to 4 bytes, texts as they
/// are, each with a zero behind it.
#[derive(Debug)]
pub(in crate::helpers) struct Prepared<'a> {
    pub(super) format: &'a [u8],
    pub(super) arguments: [u8; ARGUMENT_BYTES],
}

/// What the arguments of conversions refer to.
pub(in crate::helpers) trait Referred {
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
pub(in crate::helpers) enum Failed<S> {
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

/// The first walk: checks the format and copies what the arguments refer to.
pub(in crate::helpers) fn prepare<'a, R: Referred>(
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

/// The arguments of a call while they are read back.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8; ARGUMENT_BYTES],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> &'a [u8] {
        let start = self.at.min(ARGUMENT_BYTES);
        let end = (self.at + len).min(ARGUMENT_BYTES);
        self.at += len;
        &self.bytes[start..end]
    }

    pub(super) fn number(&mut self, size: usize) -> u64 {
        self.at = self.at.next_multiple_of(4);
        let bytes = self.take(size).iter().rev();
        bytes.fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    pub(super) fn text(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().take_while(|&&byte| byte != 0).count();
        self.at += len + 1;
        &rest[..len]
    }
}

/// An address that is no symbol of the kernel's, as none is here (`sprint_symbol`).
pub(super) fn symbol(address: u64) -> String {
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
