//! The second walk: the text.

use super::Out;
use super::arguments::{Prepared, Reader, symbol};
use super::parse::{Kind, Layout, Piece, Pieces};

impl Prepared<'_> {
    /// The second walk: writes the text.
    pub(in crate::helpers) fn write(&self, out: &mut Out<'_>) {
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
