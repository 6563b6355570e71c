//! The instruction set (RFC 9669 and the kernel's `Documentation/bpf/standardization`).

mod decode;
mod disasm;
mod form;
mod insn;
mod joined;
mod op;

pub use decode::{DecodeError, Decoded, Problem, Resolve, decode};
pub use disasm::{disassemble, disassemble_named};
pub use form::{FormError, FormProblem, check_constants, check_form};
pub use insn::{CALL, CALLX, EXIT, Insn, LD_IMM64, SLOT, SOURCE_X, class, encode, parse, pseudo};
pub(crate) use joined::Joined;
pub use op::{Code, Op, Reg};
