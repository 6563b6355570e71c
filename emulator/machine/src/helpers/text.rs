//! Helpers that read text: `bpf_strtol`, `bpf_strtoul`, `bpf_strncmp` (`kernel/bpf/helpers.c`,
//! `lib/kstrtox.c`).

use super::{Call, HelperId, ctype};
use crate::errno::Errno;
use crate::fault::Access;
use crate::memory::{Checked, ObjectKind, Placement, Pointer};

/// The helpers of this module.
pub(super) const HELPERS: &[HelperId] = &[HelperId::STRTOL, HelperId::STRTOUL, HelperId::STRNCMP];

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    Some(match call.helper {
        HelperId::STRTOL => convert(call, signed),
        HelperId::STRTOUL => convert(call, unsigned),
        HelperId::STRNCMP => compare(call),
        _ => return None,
    })
}

/// A number that begins a text.
struct Number {
    negative: bool,
    magnitude: u64,
    /// Bytes of the text that belong to it.
    consumed: usize,
}

/// `bpf_strtol(buf, buf_len, flags, res)` and `bpf_strtoul`: the bytes that the number takes.
fn convert(call: &mut Call<'_>, value: fn(&Number) -> Result<u64, Errno>) -> Checked<u64> {
    let len = call.nonzero_size(2)?;
    let text = call.range(1, len, Access::Read)?;
    let result = Pointer(call.arg(4));
    let into = call.range(4, 8, Access::Write)?;
    if !result.address().is_multiple_of(8) {
        return Err(call.refuse(4, "the result is not aligned to 8 bytes"));
    }
    let flags = call.arg(3);
    let memory = &mut call.machine.memory;
    memory.raw_mut(into, 8).fill(0);
    let number = parse(memory.raw(text, len), flags);
    let parsed = number.and_then(|number| Ok((value(&number)?, number.consumed)));
    Ok(match parsed {
        Ok((value, consumed)) => {
            memory
                .raw_mut(into, 8)
                .copy_from_slice(&value.to_le_bytes());
            consumed as u64
        }
        Err(errno) => errno.into(),
    })
}

fn signed(number: &Number) -> Result<u64, Errno> {
    let Number {
        negative,
        magnitude,
        ..
    } = *number;
    match negative {
        true if magnitude > 1 << 63 => Err(Errno::ERANGE),
        true => Ok(magnitude.wrapping_neg()),
        false if magnitude >= 1 << 63 => Err(Errno::ERANGE),
        false => Ok(magnitude),
    }
}

fn unsigned(number: &Number) -> Result<u64, Errno> {
    match number.negative {
        true => Err(Errno::EINVAL),
        false => Ok(number.magnitude),
    }
}

/// `__bpf_strtoull`
fn parse(text: &[u8], flags: u64) -> Result<Number, Errno> {
    /// Bytes of a number that are looked at.
    const LONGEST: usize = 63;
    if !matches!(flags, 0 | 8 | 10 | 16) {
        return Err(Errno::EINVAL);
    }
    let spaces = text.iter().take_while(|&&byte| ctype::is_space(byte));
    let mut consumed = spaces.count();
    let negative = text.get(consumed) == Some(&b'-');
    consumed += usize::from(negative);
    let digits = &text[consumed..];
    if digits.is_empty() {
        return Err(Errno::EINVAL);
    }
    let digits = &digits[..digits.len().min(LONGEST)];
    let (base, prefix) = base(digits, flags);
    let (magnitude, len) = integer(digits.get(prefix..).unwrap_or_default(), base)?;
    Ok(Number {
        negative,
        magnitude,
        consumed: consumed + prefix + len,
    })
}

/// The base of a number and the length of what says so (`_parse_integer_fixup_radix`).
fn base(digits: &[u8], given: u64) -> (u64, usize) {
    let starts_hex = matches!(digits, [b'0', b'x' | b'X', ..]);
    let base = match (given, digits) {
        (0, [b'0', b'x' | b'X', digit, ..]) if digit.is_ascii_hexdigit() => 16,
        (0, [b'0', ..]) => 8,
        (0, _) => 10,
        (given, _) => given,
    };
    let prefix = if base == 16 && starts_hex { 2 } else { 0 };
    (base, prefix)
}

/// `_parse_integer`: the number and how many digits it has.
fn integer(digits: &[u8], base: u64) -> Result<(u64, usize), Errno> {
    let mut value: Option<u64> = Some(0);
    let mut len = 0;
    for &byte in digits {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => match byte | 0x20 {
                letter @ b'a'..=b'f' => letter - b'a' + 10,
                _ => break,
            },
        };
        let digit = u64::from(digit);
        if digit >= base {
            break;
        }
        value = value.and_then(|value| value.checked_mul(base)?.checked_add(digit));
        len += 1;
    }
    match value {
        None => Err(Errno::ERANGE),
        Some(_) if len == 0 => Err(Errno::EINVAL),
        Some(value) => Ok((value, len)),
    }
}

/// `bpf_strncmp(s1, s1_sz, s2)`
fn compare(call: &mut Call<'_>) -> Checked<u64> {
    let size = call.nonzero_size(2)?;
    let first = call.range(1, size, Access::Read)?;
    let second = call.constant_string(3)?;
    let first = call.machine.memory.raw(first, size);
    let second = second.iter().copied().chain([0]);
    let different = first
        .iter()
        .copied()
        .zip(second)
        .find(|(a, b)| a != b || *a == 0);
    Ok(match different {
        Some((a, b)) if a < b => -1i64 as u64,
        Some((a, b)) => u64::from(a > b),
        None => 0,
    })
}

impl Call<'_> {
    /// The string behind an argument without its closing zero: it must be in a map that nobody can
    /// change (`check_reg_const_str`).
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn constant_string(&mut self, number: u8) -> Checked<Vec<u8>> {
        let pointer = Pointer(self.arg(number));
        let memory = &self.machine.memory;
        if memory.placement() == Placement::Anywhere {
            let object = memory.object(pointer);
            let (ObjectKind::Global(map) | ObjectKind::MapValue(map)) = object.kind else {
                return Err(self.refuse(number, "this is not in the value of a map"));
            };
            let def = self.machine.maps[map].def();
            if !def.read_only_for_programs() {
                let problem = format!("programs may change the map {:?}", def.name);
                return Err(self.refuse(number, problem));
            }
        }
        let mut text = Vec::new();
        loop {
            let at = Pointer(pointer.0.wrapping_add(text.len() as u64));
            let memory = &mut self.machine.memory;
            match memory.peek(at, 1, self.at)? {
                None => return Err(self.refuse(number, "this is not a string")),
                Some(address) => match memory.raw(address, 1)[0] {
                    0 => return Ok(text),
                    byte => text.push(byte),
                },
            }
        }
    }
}
