//! Format strings as the kernel's programs write them (`bpf_bprintf_prepare` in `kernel/bpf/helpers.c`,
//! `bstr_printf` in `lib/vsprintf.c`).
//!
//! The kernel walks a format twice: once to check it and to copy what its conversions refer to into a
//! buffer of 512 bytes, and once to write the text. So a format that is wrong at its end writes nothing.

mod arguments;
mod out;
mod parse;
mod write;

pub(super) use arguments::{Failed, Prepared, Referred, prepare};
pub(super) use out::Out;
pub(super) use parse::check;

/// The most conversions that a call can have (`MAX_BPRINTF_VARARGS`).
pub(super) const MAX_ARGUMENTS: usize = 12;
