//! Arithmetic on what is known of registers before a program runs.

use crate::isa::{Insn, SOURCE_X, class};

/// What is known of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// Anything but a pointer into the function's own frame.
    Unknown,
    Number(u64),
    /// An offset in global data: the map's position in the object.
    Place(usize, u64),
    /// An offset from the function's frame pointer.
    Frame(i64),
    /// Anything, and it may point into the frame.
    Anything,
}

use Value::{Anything, Frame, Number, Place, Unknown};

impl Value {
    pub(super) fn join(self, other: Self) -> Self {
        match self == other {
            true => self,
            false if self.may_point_into_frame() || other.may_point_into_frame() => Anything,
            false => Unknown,
        }
    }

    pub(super) fn may_point_into_frame(self) -> bool {
        matches!(self, Frame(_) | Anything)
    }

    /// The value as another function sees it, whose frame is another one.
    pub(super) fn of_another_frame(self) -> Self {
        if self.may_point_into_frame() {
            Unknown
        } else {
            self
        }
    }

    fn number(self) -> Option<u64> {
        match self {
            Number(number) => Some(number),
            _ => None,
        }
    }
}

fn register(registers: &[Value; 11], number: u8) -> Value {
    registers
        .get(usize::from(number))
        .copied()
        .unwrap_or(Unknown)
}

/// The second operand of an arithmetic instruction or comparison.
fn operand(insn: Insn, registers: &[Value; 11]) -> Value {
    if insn.code & SOURCE_X != 0 {
        register(registers, insn.src)
    } else {
        Number(i64::from(insn.imm) as u64)
    }
}

/// What the destination holds after an arithmetic instruction.
pub(super) fn alu(insn: Insn, registers: &[Value; 11]) -> Value {
    let wide = insn.class() == class::ALU64;
    let (a, b) = (register(registers, insn.dst), operand(insn, registers));
    match (insn.code & 0xf0, a, b) {
        (0xb0, _, value @ (Place(..) | Frame(_) | Anything)) if wide && insn.off == 0 => value,
        (0x00, Place(map, at), Number(more)) | (0x00, Number(more), Place(map, at)) if wide => {
            Place(map, at.wrapping_add(more))
        }
        (0x10, Place(map, at), Number(less)) if wide => Place(map, at.wrapping_sub(less)),
        (0x00, Frame(at), Number(more)) | (0x00, Number(more), Frame(at)) if wide => {
            Frame(at.wrapping_add(more as i64))
        }
        (0x10, Frame(at), Number(less)) if wide => Frame(at.wrapping_sub(less as i64)),
        (0xb0, _, Number(value)) => moved(insn, wide, value),
        (operation, Number(a), Number(b)) if insn.off == 0 => {
            let result = if wide {
                compute64(operation, a, b)
            } else {
                compute32(operation, a as u32, b as u32).map(u64::from)
            };
            result.map_or(Unknown, Number)
        }
        (0xb0, _, _) => Unknown,
        // Half a pointer is none.
        (_, a, b) if wide && (a.may_point_into_frame() || b.may_point_into_frame()) => Anything,
        _ => Unknown,
    }
}

/// A move, which may extend the sign of 8, 16 or 32 bits.
fn moved(insn: Insn, wide: bool, value: u64) -> Value {
    let extended = match insn.off {
        0 => value,
        8 => i64::from(value as i8) as u64,
        16 => i64::from(value as i16) as u64,
        32 => i64::from(value as i32) as u64,
        _ => return Unknown,
    };
    Number(if wide {
        extended
    } else {
        u64::from(extended as u32)
    })
}

/// Of constants the verifier follows these, and no division (`adjust_scalar_min_max_vals`).
fn compute64(operation: u8, a: u64, b: u64) -> Option<u64> {
    Some(match operation {
        0x00 => a.wrapping_add(b),
        0x10 => a.wrapping_sub(b),
        0x20 => a.wrapping_mul(b),
        0x40 => a | b,
        0x50 => a & b,
        0x60 => a.wrapping_shl(b as u32),
        0x70 => a.wrapping_shr(b as u32),
        0xa0 => a ^ b,
        0xc0 => (a as i64).wrapping_shr(b as u32) as u64,
        _ => return None,
    })
}

fn compute32(operation: u8, a: u32, b: u32) -> Option<u32> {
    Some(match operation {
        0x00 => a.wrapping_add(b),
        0x10 => a.wrapping_sub(b),
        0x20 => a.wrapping_mul(b),
        0x40 => a | b,
        0x50 => a & b,
        0x60 => a.wrapping_shl(b),
        0x70 => a.wrapping_shr(b),
        0xa0 => a ^ b,
        0xc0 => (a as i32).wrapping_shr(b) as u32,
        _ => return None,
    })
}

/// Whether the condition of a jump holds, if that is known.
pub(super) fn condition(insn: Insn, registers: &[Value; 11]) -> Option<bool> {
    let a = register(registers, insn.dst);
    let b = operand(insn, registers);
    if let (Place(..) | Frame(_), Number(0)) = (a, b) {
        // The address of global data or of the stack is never null.
        return match insn.code & 0xf0 {
            0x10 => Some(false),
            0x50 => Some(true),
            _ => None,
        };
    }
    let (a, b) = (a.number()?, b.number()?);
    if insn.class() == class::JMP {
        compare(insn.code & 0xf0, a, b, a as i64, b as i64)
    } else {
        let (a, b) = (a as u32, b as u32);
        compare(
            insn.code & 0xf0,
            u64::from(a),
            u64::from(b),
            i64::from(a as i32),
            i64::from(b as i32),
        )
    }
}

fn compare(operation: u8, a: u64, b: u64, signed_a: i64, signed_b: i64) -> Option<bool> {
    Some(match operation {
        0x10 => a == b,
        0x20 => a > b,
        0x30 => a >= b,
        0x40 => a & b != 0,
        0x50 => a != b,
        0x60 => signed_a > signed_b,
        0x70 => signed_a >= signed_b,
        0xa0 => a < b,
        0xb0 => a <= b,
        0xc0 => signed_a < signed_b,
        0xd0 => signed_a <= signed_b,
        _ => return None,
    })
}

/// What is known on one of the two ways after a jump: where a register equals a number, it is that.
pub(super) fn assume(insn: Insn, registers: &[Value; 11], taken: bool) -> [Value; 11] {
    let mut registers = *registers;
    let equal = match insn.code & 0xf0 {
        0x10 => taken,
        0x50 => !taken,
        _ => false,
    };
    if equal
        && insn.class() == class::JMP
        && let Number(number) = operand(insn, &registers)
        && let Some(register) = registers.get_mut(usize::from(insn.dst))
        && *register == Unknown
    {
        *register = Number(number);
    }
    registers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insn(code: u8, src: u8, off: i16, imm: i32) -> Insn {
        Insn {
            code,
            dst: 1,
            src,
            off,
            imm,
        }
    }

    #[test]
    fn arithmetic() {
        let mut registers = [Unknown; 11];
        registers[1] = Number(7);
        registers[2] = Number(u64::MAX);
        registers[3] = Place(2, 16);
        let cases = [
            (insn(0x07, 0, 0, -8), Number(u64::MAX)),
            (insn(0x04, 0, 0, -8), Number(0xffff_ffff)),
            (insn(0xb7, 0, 0, -1), Number(u64::MAX)),
            (insn(0xb4, 0, 0, -1), Number(0xffff_ffff)),
            (insn(0xbf, 2, 8, 0), Number(u64::MAX)),
            (insn(0xbc, 2, 8, 0), Number(0xffff_ffff)),
            (insn(0xbf, 3, 0, 0), Place(2, 16)),
            (insn(0x0f, 3, 0, 0), Place(2, 23)),
            (insn(0xbc, 3, 0, 0), Unknown),
            (insn(0x67, 0, 0, 60), Number(7 << 60)),
            (insn(0x37, 0, 0, 2), Unknown),
            (insn(0x0f, 4, 0, 0), Unknown),
        ];
        for (insn, expected) in cases {
            assert_eq!(alu(insn, &registers), expected, "{insn:?}");
        }
    }

    #[test]
    fn conditions() {
        let mut registers = [Unknown; 11];
        registers[1] = Number(u64::MAX);
        let cases = [
            (insn(0x15, 0, 0, -1), Some(true)),
            (insn(0x16, 0, 0, -1), Some(true)),
            (insn(0x25, 0, 0, 5), Some(true)),
            (insn(0x65, 0, 0, 5), Some(false)),
            (insn(0x1d, 2, 0, 0), None),
        ];
        for (insn, expected) in cases {
            assert_eq!(condition(insn, &registers), expected, "{insn:?}");
        }
        registers[1] = Unknown;
        assert_eq!(assume(insn(0x15, 0, 0, 4), &registers, true)[1], Number(4));
        assert_eq!(assume(insn(0x15, 0, 0, 4), &registers, false)[1], Unknown);
        assert_eq!(assume(insn(0x16, 0, 0, 4), &registers, true)[1], Unknown);
    }
}
