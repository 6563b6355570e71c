//! Turns instruction slots into [`Op`]s and refuses what the kernel's verifier refuses by form alone:
//! unknown codes, reserved fields that are not zero, jumps to nowhere (`check_alu_op`,
//! `check_cond_jmp_op`, `resolve_pseudo_ldimm64` and their neighbours in `kernel/bpf/verifier.c`).

use super::insn::{self, Insn, SOURCE_X, class, pseudo};
use super::op::{Code, Op, Reg};
use crate::memory::FRAME_SIZE;

/// An instruction that cannot be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("instruction {slot}: {problem}")]
pub struct DecodeError {
    /// The slot, counted from the program's start.
    pub slot: u32,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Why an instruction cannot be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Problem {
    #[error("unknown opcode {0:#04x}")]
    UnknownCode(u8),
    #[error("opcode {0:#04x} with reserved fields set")]
    Reserved(u8),
    #[error("register r{0} does not exist")]
    Register(u8),
    #[error("the frame pointer r10 is read-only")]
    FramePointer,
    #[error("jump to slot {0}, which is outside the program or inside a 64-bit immediate")]
    Target(i64),
    #[error("the second slot of a 64-bit immediate is missing or malformed")]
    Wide,
    #[error("unknown kind {0} of 64-bit immediate")]
    WideKind(u8),
    #[error("the last instruction of the program is neither exit nor a jump")]
    FallsOff,
    #[error("an empty program")]
    Empty,
    #[error("a program of {0} instructions; the most is {MAX_INSNS}")]
    TooLong(usize),
    #[error("atomic operation {0:#x} does not exist")]
    Atomic(i32),
    #[error("stack access at r10{0:+}, outside the frame of 512 bytes")]
    Frame(i32),
    #[error("address-space cast, which needs a map of type arena")]
    AddressSpaceCast,
    #[error("call of a kernel function (kfunc) that the emulator does not have")]
    Kfunc,
}

/// The longest program that the kernel takes (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MAX_INSNS: usize = 1_000_000;

/// A program's decoded form.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// The operations.
    pub ops: Vec<Op>,
    /// The slot of each operation.
    pub slots: Vec<u32>,
}

/// Gives the value of a 64-bit immediate load whose source field is `kind`, from both immediates.
///
/// For [`pseudo::FUNC`] it is called with the target's `Op` index.
pub type Resolve<'a> = dyn Fn(u8, i32, i32) -> Option<u64> + 'a;

/// Decodes a whole program.
///
/// # Errors
/// Each instruction that cannot be executed.
pub fn decode(insns: &[Insn], resolve: &Resolve<'_>) -> Result<Decoded, Vec<DecodeError>> {
    if insns.len() > MAX_INSNS {
        let problem = Problem::TooLong(insns.len());
        return Err(vec![DecodeError { slot: 0, problem }]);
    }
    let mut decoder = Decoder::new(insns, resolve);
    let mut errors = Vec::new();
    let mut slot = 0;
    while let Some(&insn) = insns.get(slot as usize) {
        match decoder.op(slot, insn) {
            Ok(op) => {
                decoder.out.ops.push(op);
                decoder.out.slots.push(slot);
            }
            Err(problem) => errors.push(DecodeError { slot, problem }),
        }
        slot += if insn.is_wide() { 2 } else { 1 };
    }
    if let Some(problem) = decoder.falls_off() {
        let slot = insns.len().saturating_sub(1) as u32;
        errors.push(DecodeError { slot, problem });
    }
    if errors.is_empty() {
        Ok(decoder.out)
    } else {
        Err(errors)
    }
}

struct Decoder<'a> {
    insns: &'a [Insn],
    resolve: &'a Resolve<'a>,
    /// The index of the operation that starts at a slot; none in the middle of a wide one.
    index: Vec<Option<u32>>,
    out: Decoded,
}

impl<'a> Decoder<'a> {
    fn new(insns: &'a [Insn], resolve: &'a Resolve<'a>) -> Self {
        let mut index = Vec::with_capacity(insns.len());
        let mut next = 0;
        while index.len() < insns.len() {
            let wide = insns[index.len()].is_wide();
            index.push(Some(next));
            next += 1;
            if wide && index.len() < insns.len() {
                index.push(None);
            }
        }
        Self {
            insns,
            resolve,
            index,
            out: Decoded::default(),
        }
    }

    fn falls_off(&self) -> Option<Problem> {
        match self.insns.last() {
            None => Some(Problem::Empty),
            Some(last) if last.code == insn::EXIT || matches!(last.code, 0x05 | 0x06) => None,
            Some(_) => Some(Problem::FallsOff),
        }
    }

    fn op(&self, slot: u32, insn: Insn) -> Result<Op, Problem> {
        for register in [insn.dst, insn.src] {
            if register > 10 {
                return Err(Problem::Register(register));
            }
        }
        match insn.class() {
            class::ALU | class::ALU64 => alu(insn),
            class::JMP | class::JMP32 => self.jump(slot, insn),
            class::LD => self.load_immediate(slot, insn),
            class::LDX => load(insn),
            class::ST => store_immediate(insn),
            _ => store_register(insn),
        }
    }

    /// The operation at `slot + 1 + offset`.
    fn target(&self, slot: u32, offset: i32) -> Result<u32, Problem> {
        let target = i64::from(slot) + 1 + i64::from(offset);
        usize::try_from(target)
            .ok()
            .and_then(|slot| self.index.get(slot).copied().flatten())
            .ok_or(Problem::Target(target))
    }

    fn jump(&self, slot: u32, insn: Insn) -> Result<Op, Problem> {
        let wide = insn.class() == class::JMP;
        match (insn.code & 0xf0, wide) {
            (0x00, _) => {
                let offset = if wide { i32::from(insn.off) } else { insn.imm };
                let unused = if wide { insn.imm } else { i32::from(insn.off) };
                reserved(insn, insn.dst == 0 && insn.src == 0 && unused == 0)?;
                if insn.code & SOURCE_X != 0 {
                    return Err(Problem::UnknownCode(insn.code));
                }
                op(Code::Jump, insn).to(self.target(slot, offset)?)
            }
            (0x80, true) => self.call(slot, insn),
            (0x90, true) => {
                let plain = insn.dst == 0 && insn.src == 0 && insn.off == 0 && insn.imm == 0;
                reserved(insn, plain)?;
                if insn.code != insn::EXIT {
                    return Err(Problem::UnknownCode(insn.code));
                }
                Ok(op(Code::Exit, insn))
            }
            (0xe0, true) => {
                if insn.code != 0xe5 || insn.src != 0 {
                    return Err(Problem::UnknownCode(insn.code));
                }
                reserved(insn, insn.dst == 0 && insn.imm == 0)?;
                op(Code::MayGoto, insn).to(self.target(slot, i32::from(insn.off))?)
            }
            _ => {
                let code = conditional(insn)?;
                let by_register = insn.code & SOURCE_X != 0;
                reserved(
                    insn,
                    if by_register {
                        insn.imm == 0
                    } else {
                        insn.src == 0
                    },
                )?;
                op(code, insn).to(self.target(slot, i32::from(insn.off))?)
            }
        }
    }

    fn call(&self, slot: u32, insn: Insn) -> Result<Op, Problem> {
        if insn.code == insn::CALLX {
            // clang before 19 puts the register into the immediate, later ones into `dst`, some
            // assemblers into `src`.
            let fields = [i32::from(insn.dst), i32::from(insn.src), insn.imm];
            let named = fields.iter().filter(|&&field| field != 0).count();
            reserved(insn, insn.off == 0 && named <= 1)?;
            let register: i32 = fields.iter().sum();
            let register = u8::try_from(register).unwrap_or(u8::MAX);
            let dst = Reg::new(register).ok_or(Problem::Register(register))?;
            return Ok(Op {
                dst,
                ..op(Code::CallRegister, insn)
            });
        }
        reserved(
            insn,
            insn.dst == 0 && (insn.off == 0 || insn.src == pseudo::KFUNC_CALL),
        )?;
        match insn.src {
            0 if insn.imm == 12 => Ok(op(Code::TailCall, insn)),
            0 => Ok(op(Code::CallHelper, insn)),
            pseudo::CALL => op(Code::CallLocal, insn).to(self.target(slot, insn.imm)?),
            pseudo::KFUNC_CALL => Err(Problem::Kfunc),
            _ => Err(Problem::Reserved(insn.code)),
        }
    }

    fn load_immediate(&self, slot: u32, insn: Insn) -> Result<Op, Problem> {
        let code = match insn.code {
            insn::LD_IMM64 => return self.wide(slot, insn),
            0x30 => Code::LoadAbs8,
            0x28 => Code::LoadAbs16,
            0x20 => Code::LoadAbs32,
            0x50 => Code::LoadInd8,
            0x48 => Code::LoadInd16,
            0x40 => Code::LoadInd32,
            code => return Err(Problem::UnknownCode(code)),
        };
        let indirect = insn.code & 0xe0 == 0x40;
        reserved(
            insn,
            insn.dst == 0 && insn.off == 0 && (indirect || insn.src == 0),
        )?;
        Ok(op(code, insn))
    }

    fn wide(&self, slot: u32, insn: Insn) -> Result<Op, Problem> {
        let second = self.insns.get(slot as usize + 1).ok_or(Problem::Wide)?;
        let plain = second.code == 0 && second.dst == 0 && second.src == 0 && second.off == 0;
        if !plain {
            return Err(Problem::Wide);
        }
        reserved(insn, insn.off == 0)?;
        writable(insn)?;
        let imm = match insn.src {
            0 => u64::from(insn.imm as u32) | u64::from(second.imm as u32) << 32,
            pseudo::FUNC => {
                let target = self.target(slot, insn.imm)?;
                (self.resolve)(insn.src, target as i32, 0).ok_or(Problem::WideKind(insn.src))?
            }
            kind => (self.resolve)(kind, insn.imm, second.imm).ok_or(Problem::WideKind(kind))?,
        };
        Ok(Op {
            imm,
            ..op(Code::Imm64, insn)
        })
    }
}

fn op(code: Code, insn: Insn) -> Op {
    // Both numbers were checked before; what is no register here is another kind of source.
    let register = |number| Reg::new(number).unwrap_or(Reg::R0);
    Op {
        code,
        dst: register(insn.dst),
        src: register(insn.src),
        off: i32::from(insn.off) as u32,
        imm: i64::from(insn.imm) as u64,
    }
}

impl Op {
    fn to(self, target: u32) -> Result<Self, Problem> {
        Ok(Self {
            off: target,
            ..self
        })
    }
}

fn reserved(insn: Insn, clear: bool) -> Result<(), Problem> {
    if clear {
        Ok(())
    } else {
        Err(Problem::Reserved(insn.code))
    }
}

fn writable(insn: Insn) -> Result<(), Problem> {
    if insn.dst == 10 {
        Err(Problem::FramePointer)
    } else {
        Ok(())
    }
}

fn alu(insn: Insn) -> Result<Op, Problem> {
    use Code::*;
    writable(insn)?;
    let wide = insn.class() == class::ALU64;
    let by_register = insn.code & SOURCE_X != 0;
    let pick = |codes: [Code; 4]| codes[usize::from(!wide) * 2 + usize::from(by_register)];
    let signed = insn.off == 1;
    let code = match insn.code & 0xf0 {
        0x00 => pick([Add64K, Add64X, Add32K, Add32X]),
        0x10 => pick([Sub64K, Sub64X, Sub32K, Sub32X]),
        0x20 => pick([Mul64K, Mul64X, Mul32K, Mul32X]),
        0x30 if signed => pick([SDiv64K, SDiv64X, SDiv32K, SDiv32X]),
        0x30 => pick([Div64K, Div64X, Div32K, Div32X]),
        0x40 => pick([Or64K, Or64X, Or32K, Or32X]),
        0x50 => pick([And64K, And64X, And32K, And32X]),
        0x60 => pick([Lsh64K, Lsh64X, Lsh32K, Lsh32X]),
        0x70 => pick([Rsh64K, Rsh64X, Rsh32K, Rsh32X]),
        0x80 => return negate(insn, wide),
        0x90 if signed => pick([SMod64K, SMod64X, SMod32K, SMod32X]),
        0x90 => pick([Mod64K, Mod64X, Mod32K, Mod32X]),
        0xa0 => pick([Xor64K, Xor64X, Xor32K, Xor32X]),
        0xb0 => return mov(insn, wide, by_register),
        0xc0 => pick([Arsh64K, Arsh64X, Arsh32K, Arsh32X]),
        0xd0 => return swap(insn, wide),
        _ => return Err(Problem::UnknownCode(insn.code)),
    };
    let divides = matches!(insn.code & 0xf0, 0x30 | 0x90);
    let offset_clear = insn.off == 0 || (divides && signed);
    let source_clear = if by_register {
        insn.imm == 0
    } else {
        insn.src == 0
    };
    reserved(insn, offset_clear && source_clear)?;
    Ok(op(code, insn))
}

fn negate(insn: Insn, wide: bool) -> Result<Op, Problem> {
    reserved(insn, insn.src == 0 && insn.off == 0 && insn.imm == 0)?;
    if insn.code & SOURCE_X != 0 {
        return Err(Problem::UnknownCode(insn.code));
    }
    Ok(op(if wide { Code::Neg64 } else { Code::Neg32 }, insn))
}

fn mov(insn: Insn, wide: bool, by_register: bool) -> Result<Op, Problem> {
    let code = match (wide, by_register, insn.off) {
        (true, false, 0) => Code::Mov64K,
        (false, false, 0) => Code::Mov32K,
        (true, true, 0) => Code::Mov64X,
        (false, true, 0) => Code::Mov32X,
        (true, true, 8) => Code::MovSx8To64,
        (true, true, 16) => Code::MovSx16To64,
        (true, true, 32) => Code::MovSx32To64,
        (false, true, 8) => Code::MovSx8To32,
        (false, true, 16) => Code::MovSx16To32,
        (true, true, 1) => return Err(Problem::AddressSpaceCast),
        _ => return Err(Problem::Reserved(insn.code)),
    };
    reserved(
        insn,
        if by_register {
            insn.imm == 0
        } else {
            insn.src == 0
        },
    )?;
    Ok(op(code, insn))
}

fn swap(insn: Insn, wide: bool) -> Result<Op, Problem> {
    let to_big = insn.code & SOURCE_X != 0;
    let code = match (wide, to_big, insn.imm) {
        (false, false, 16) => Code::Le16,
        (false, false, 32) => Code::Le32,
        (false, false, 64) => Code::Le64,
        (false, true, 16) | (true, false, 16) => Code::Be16,
        (false, true, 32) | (true, false, 32) => Code::Be32,
        (false, true, 64) | (true, false, 64) => Code::Be64,
        (true, true, _) => return Err(Problem::UnknownCode(insn.code)),
        _ => return Err(Problem::Reserved(insn.code)),
    };
    reserved(insn, insn.src == 0 && insn.off == 0)?;
    Ok(op(code, insn))
}

fn conditional(insn: Insn) -> Result<Code, Problem> {
    use Code::*;
    let wide = insn.class() == class::JMP;
    let by_register = insn.code & SOURCE_X != 0;
    let pick = |codes: [Code; 4]| codes[usize::from(!wide) * 2 + usize::from(by_register)];
    Ok(match insn.code & 0xf0 {
        0x10 => pick([Jeq64K, Jeq64X, Jeq32K, Jeq32X]),
        0x20 => pick([Jgt64K, Jgt64X, Jgt32K, Jgt32X]),
        0x30 => pick([Jge64K, Jge64X, Jge32K, Jge32X]),
        0x40 => pick([Jset64K, Jset64X, Jset32K, Jset32X]),
        0x50 => pick([Jne64K, Jne64X, Jne32K, Jne32X]),
        0x60 => pick([Jsgt64K, Jsgt64X, Jsgt32K, Jsgt32X]),
        0x70 => pick([Jsge64K, Jsge64X, Jsge32K, Jsge32X]),
        0xa0 => pick([Jlt64K, Jlt64X, Jlt32K, Jlt32X]),
        0xb0 => pick([Jle64K, Jle64X, Jle32K, Jle32X]),
        0xc0 => pick([Jslt64K, Jslt64X, Jslt32K, Jslt32X]),
        0xd0 => pick([Jsle64K, Jsle64X, Jsle32K, Jsle32X]),
        _ => return Err(Problem::UnknownCode(insn.code)),
    })
}

/// An access through r10: `framed` at its place in the frame, or `plain` where it is not aligned, which the
/// kernel does not allow.
fn in_frame(insn: Insn, framed: [Code; 4], plain: [Code; 4]) -> Result<Op, Problem> {
    let (code, width) = by_width(insn, framed);
    let offset = i32::from(insn.off);
    let from_low_end = FRAME_SIZE as i32 + offset;
    if from_low_end < 0 || offset + width as i32 > 0 {
        return Err(Problem::Frame(offset));
    }
    if !(from_low_end as u32).is_multiple_of(width) {
        return Ok(op(by_width(insn, plain).0, insn));
    }
    op(code, insn).to(from_low_end as u32)
}

/// Which of four codes an access has by its width, and the width; the size is in bits 3 and 4.
fn by_width(insn: Insn, codes: [Code; 4]) -> (Code, u32) {
    match insn.code & 0x18 {
        0x10 => (codes[0], 1),
        0x08 => (codes[1], 2),
        0x00 => (codes[2], 4),
        _ => (codes[3], 8),
    }
}

fn load(insn: Insn) -> Result<Op, Problem> {
    use Code::*;
    writable(insn)?;
    reserved(insn, insn.imm == 0)?;
    match insn.code & 0xe0 {
        0x60 if insn.src == 10 => {
            let framed = [LoadFrame8, LoadFrame16, LoadFrame32, LoadFrame64];
            in_frame(insn, framed, [Load8, Load16, Load32, Load64])
        }
        0x60 => Ok(op(by_width(insn, [Load8, Load16, Load32, Load64]).0, insn)),
        0x80 if insn.code & 0x18 != 0x18 => Ok(op(
            by_width(insn, [LoadSx8, LoadSx16, LoadSx32, Load64]).0,
            insn,
        )),
        _ => Err(Problem::UnknownCode(insn.code)),
    }
}

fn store_immediate(insn: Insn) -> Result<Op, Problem> {
    use Code::*;
    if insn.code & 0xe0 != 0x60 {
        return Err(Problem::UnknownCode(insn.code));
    }
    reserved(insn, insn.src == 0)?;
    if insn.dst == 10 {
        let framed = [StoreFrame8K, StoreFrame16K, StoreFrame32K, StoreFrame64K];
        return in_frame(insn, framed, [Store8K, Store16K, Store32K, Store64K]);
    }
    Ok(op(
        by_width(insn, [Store8K, Store16K, Store32K, Store64K]).0,
        insn,
    ))
}

fn store_register(insn: Insn) -> Result<Op, Problem> {
    use Code::*;
    match insn.code & 0xe0 {
        0x60 => {
            reserved(insn, insn.imm == 0)?;
            if insn.dst == 10 {
                let framed = [StoreFrame8X, StoreFrame16X, StoreFrame32X, StoreFrame64X];
                return in_frame(insn, framed, [Store8X, Store16X, Store32X, Store64X]);
            }
            Ok(op(
                by_width(insn, [Store8X, Store16X, Store32X, Store64X]).0,
                insn,
            ))
        }
        0xc0 => atomic(insn),
        _ => Err(Problem::UnknownCode(insn.code)),
    }
}

/// Load-acquire and store-release come with each width; the others with 4 and 8 bytes.
fn atomic(insn: Insn) -> Result<Op, Problem> {
    use Code::*;
    let code = match insn.imm {
        0x100 => {
            writable(insn)?;
            by_width(
                insn,
                [LoadAcquire8, LoadAcquire16, LoadAcquire32, LoadAcquire64],
            )
            .0
        }
        0x110 => {
            by_width(
                insn,
                [
                    StoreRelease8,
                    StoreRelease16,
                    StoreRelease32,
                    StoreRelease64,
                ],
            )
            .0
        }
        0x00 | 0x40 | 0x50 | 0xa0 | 0x01 | 0x41 | 0x51 | 0xa1 | 0xe1 | 0xf1 => {
            match insn.code & 0x18 {
                0x00 => Atomic32,
                0x18 => Atomic64,
                _ => return Err(Problem::UnknownCode(insn.code)),
            }
        }
        other => return Err(Problem::Atomic(other)),
    };
    let fetches = insn.imm & 1 != 0 && insn.imm != 0xf1;
    if fetches && insn.src == 10 {
        return Err(Problem::FramePointer);
    }
    Ok(op(code, insn))
}
