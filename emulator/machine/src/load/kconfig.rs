//! Values of kernel configuration (`set_kcfg_value_tri`, `set_kcfg_value_str`, `set_kcfg_value_num` in
//! `tools/lib/bpf/libbpf.c`).

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::{LoadError, LoadOptions};
use crate::object::btf::{Btf, Int, Kind, TypeId};
use crate::object::{ExternKind, Global, Object};

/// The kernel whose behaviour the emulator has: 6.18.0.
const LINUX_KERNEL_VERSION: u32 = 6 << 16 | 18 << 8;

/// What the type of a variable makes of its value (`enum kcfg_type`).
enum Shape {
    Bool,
    Tristate,
    Char { signed: bool },
    Text,
    Integer { signed: bool },
}

/// The running kernel's configuration, from where libbpf reads it, for
/// [`LoadOptions::kconfig`](super::LoadOptions::kconfig); empty if the object asks for none, or there is none.
pub fn running_kconfig(object: &Object) -> BTreeMap<String, String> {
    let mut externs = object.externs().iter();
    if !externs.any(|wanted| wanted.kind == ExternKind::Kconfig) {
        return BTreeMap::new();
    }
    let lines = text_of_running().unwrap_or_default();
    let values = lines.lines().filter_map(|line| line.split_once('='));
    let values = values.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    values.collect()
}

fn text_of_running() -> std::io::Result<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let boot = format!("/boot/config-{}", release.trim());
    std::fs::read_to_string(boot).or_else(|_| {
        let mut text = String::new();
        let packed = std::fs::File::open("/proc/config.gz")?;
        MultiGzDecoder::new(packed).read_to_string(&mut text)?;
        Ok(text)
    })
}

/// The value of a configuration, as in a `.config` file.
pub(super) fn value(name: &str, options: &LoadOptions) -> Option<String> {
    if let Some(value) = options.kconfig.get(name) {
        return Some(value.clone());
    }
    match name {
        "LINUX_KERNEL_VERSION" => Some(LINUX_KERNEL_VERSION.to_string()),
        // Of the host's tracing; libbpf finds them out by trying.
        "LINUX_HAS_BPF_COOKIE" | "LINUX_HAS_SYSCALL_WRAPPER" => Some("1".to_owned()),
        _ => None,
    }
}

/// All values of the map of kernel configuration. What has none is zero.
pub(super) fn image(
    object: &Object,
    position: usize,
    size: u32,
    options: &LoadOptions,
) -> Result<Vec<u8>, LoadError> {
    let mut image = vec![0; size as usize];
    for global in object
        .globals()
        .iter()
        .filter(|global| global.map == position)
    {
        if let Some(value) = value(&global.name, options) {
            let encoded = encode(object, global, value.trim());
            let encoded = encoded.map_err(|problem| LoadError::global(&global.name, problem))?;
            let start = global.offset as usize;
            image[start..start + encoded.len()].copy_from_slice(&encoded);
        }
    }
    Ok(image)
}

fn encode(object: &Object, global: &Global, value: &str) -> Result<Vec<u8>, String> {
    let shape = object
        .btf()
        .zip(global.of)
        .and_then(|(btf, of)| shape(btf, of));
    let shape = shape.ok_or("is of a type that no kernel configuration has")?;
    let size = global.size as usize;
    let is = |number: u64| number.to_le_bytes()[..size.min(8)].to_vec();
    match (shape, value) {
        (Shape::Bool, "y") | (Shape::Tristate, "y") => Ok(is(1)),
        (Shape::Bool | Shape::Tristate, "n") => Ok(is(0)),
        (Shape::Tristate, "m") => Ok(is(2)),
        (Shape::Bool, _) => match number(value) {
            Some(value @ (0 | 1)) => Ok(is(value)),
            _ => Err(format!("is `{value}`, expected y or n, or 1 or 0")),
        },
        (Shape::Tristate, _) => Err(format!("is `{value}`, expected y, n or m")),
        (Shape::Char { .. }, "y" | "n" | "m") => Ok(value.as_bytes().to_vec()),
        (Shape::Text, _) => text(value, size),
        (Shape::Char { signed } | Shape::Integer { signed }, _) => integer(value, size, signed),
    }
}

/// A string in quotes; what is too long is cut, as libbpf does it.
fn text(value: &str, size: usize) -> Result<Vec<u8>, String> {
    let text = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    let text = text.ok_or_else(|| format!("is `{value}`, expected a string in double quotes"))?;
    let mut bytes = text.as_bytes().to_vec();
    bytes.truncate(size.saturating_sub(1));
    bytes.resize(size, 0);
    Ok(bytes)
}

/// A number as C has it; of eight bytes any that these can hold, with a sign or without, whatever the type says.
fn integer(value: &str, size: usize, signed: bool) -> Result<Vec<u8>, String> {
    let parsed = number(value).ok_or_else(|| format!("is `{value}`, expected a number"))?;
    let bits = 8 * size as u32;
    let fits = match (size, signed) {
        (8, _) => true,
        (_, true) => parsed.wrapping_add(1 << (bits - 1)) < 1 << bits,
        (_, false) => parsed < 1 << bits,
    };
    if !fits {
        let kind = if signed { "a signed" } else { "an unsigned" };
        return Err(format!(
            "is {value}, which is no number for {kind} integer of {size} bytes"
        ));
    }
    Ok(parsed.to_le_bytes()[..size].to_vec())
}

/// `strtoull` with base 0: decimal, octal behind a 0, hexadecimal behind 0x; a negative number wraps around.
fn number(value: &str) -> Option<u64> {
    let (negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    let hexadecimal = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
    let (digits, radix) = match (hexadecimal, digits.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (digits, 10),
    };
    // A second sign would be taken.
    let number = u64::from_str_radix(digits, radix).ok();
    let number = number.filter(|_| !digits.starts_with('+'))?;
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

fn shape(btf: &Btf, of: TypeId) -> Option<Shape> {
    let (_, of) = btf.strip(of);
    match of.kind {
        Kind::Int(Int {
            is_bool: true,
            size,
            ..
        }) => (size == 1).then_some(Shape::Bool),
        Kind::Int(Int {
            size: 1, signed, ..
        }) => Some(Shape::Char { signed }),
        Kind::Int(Int { size, signed, .. }) => {
            matches!(size, 2 | 4 | 8).then_some(Shape::Integer { signed })
        }
        Kind::Enum { size: 4, .. } if of.name == "libbpf_tristate" => Some(Shape::Tristate),
        Kind::Array { element, len } if len > 0 => {
            matches!(shape(btf, element), Some(Shape::Char { .. })).then_some(Shape::Text)
        }
        _ => None,
    }
}
