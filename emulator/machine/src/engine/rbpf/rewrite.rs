//! Rewrites a program into instructions that rbpf executes as the kernel would.

use super::emit::{Code, Reg, Target};
use super::functions::{Function, Functions};
use super::{RbpfError, control};
use crate::isa::{Code as Op, Insn, SOURCE_X};
use crate::memory::Tag;
use crate::program::Program;

/// A program for rbpf.
pub(super) struct Rewritten {
    /// The instructions.
    pub(super) code: Box<[u8]>,
    /// The slot of each operation in it.
    pub(super) starts: Vec<usize>,
    /// The functions at which callbacks start; the launch block names one by its place, from 1.
    pub(super) entries: Vec<Function>,
    /// Frames that the program's own calls need.
    pub(super) frames: usize,
}

/// Rewrites a program.
///
/// # Errors
/// Why rbpf cannot run it.
pub(super) fn rewrite(program: &Program, control: u32) -> Result<Rewritten, RbpfError> {
    let functions = Functions::of(program)?;
    let mut rewriter = Rewriter {
        program,
        code: Code::new(control),
        entries: functions.pointed_at,
        thunks: Vec::new(),
    };
    rewriter.prologue();
    for op in 0..program.decoded.ops.len() as u32 {
        rewriter.code.start_op();
        rewriter.op(op);
    }
    rewriter.thunks();
    let starts = rewriter.code.starts();
    Ok(Rewritten {
        starts,
        entries: rewriter.entries,
        frames: functions.depth,
        code: rewriter.code.finish()?,
    })
}

struct Rewriter<'a> {
    program: &'a Program,
    code: Code,
    entries: Vec<Function>,
    /// Functions that are called from behind: rbpf adds a call's distance without a sign.
    thunks: Vec<(u32, Target)>,
}

impl Rewriter<'_> {
    /// Takes the registers from the launch block, to which r1 points, and goes to the entry that it names.
    fn prologue(&mut self) {
        let load = |code: &mut Code, reg: Reg, word: i16| code.emit(0x79, reg, 1, word * 8, 0);
        for (word, reg) in [(0, 10), (2, 2), (3, 3), (4, 4), (5, 5), (6, 0), (1, 1)] {
            load(&mut self.code, reg, word);
        }
        for (place, entry) in self.entries.iter().enumerate() {
            let number = place as i32 + 1;
            self.code
                .jump_if(0x15, 0, 0, number, Target::Op(entry.start));
        }
    }

    fn thunks(&mut self) {
        for (function, label) in std::mem::take(&mut self.thunks) {
            self.code.place(label);
            self.code.jump(Target::Op(function));
        }
    }

    fn call_local(&mut self, at: u32, function: u32) {
        if function > at {
            self.code.call_local(Target::Op(function));
        } else {
            let known = self.thunks.iter().find(|(thunk, _)| *thunk == function);
            let label = known.map(|(_, label)| *label).unwrap_or_else(|| {
                let label = self.code.label();
                self.thunks.push((function, label));
                label
            });
            self.code.call_local(label);
        }
        self.code.check_stop();
    }

    fn op(&mut self, index: u32) {
        use Op::*;
        let op = self.program.decoded.ops[index as usize];
        let insn = self.program.insns[self.program.decoded.slots[index as usize] as usize];
        match op.code {
            Jump | Jeq64K | Jeq64X | Jne64K | Jne64X | Jgt64K | Jgt64X | Jge64K | Jge64X
            | Jlt64K | Jlt64X | Jle64K | Jle64X | Jsgt64K | Jsgt64X | Jsge64K | Jsge64X
            | Jslt64K | Jslt64X | Jsle64K | Jsle64X | Jset64K | Jset64X | Jeq32K | Jeq32X
            | Jne32K | Jne32X | Jgt32K | Jgt32X | Jge32K | Jge32X | Jlt32K | Jlt32X | Jle32K
            | Jle32X | Jsgt32K | Jsgt32X | Jsge32K | Jsge32X | Jslt32K | Jslt32X | Jsle32K
            | Jsle32X | Jset32K | Jset32X => self.jump(index, op.code, insn, op.off),
            MayGoto => {
                self.fuel(index, op.off);
                self.code
                    .count_down(control::ITERATIONS, 1, Target::Op(op.off));
            }
            Neg64 => self.code.negate(op.dst.number()),
            MovSx8To64 => self.extend(op.dst.number(), op.src.number(), 56, true),
            MovSx16To64 => self.extend(op.dst.number(), op.src.number(), 48, true),
            MovSx32To64 => self.extend(op.dst.number(), op.src.number(), 32, true),
            MovSx8To32 => self.extend(op.dst.number(), op.src.number(), 24, false),
            MovSx16To32 => self.extend(op.dst.number(), op.src.number(), 16, false),
            Mod32K | Mod32X => {
                self.plain(insn);
                self.truncate(op.dst.number());
            }
            SDiv64K | SDiv64X | SDiv32K | SDiv32X => self.divide_signed(insn, 0x3f),
            SMod64K | SMod64X | SMod32K | SMod32X => self.divide_signed(insn, 0x9f),
            Le16 | Le32 | Le64 => self.code.emit(0xd4, op.dst.number(), 0, 0, insn.imm),
            Be16 | Be32 | Be64 => self.code.emit(0xdc, op.dst.number(), 0, 0, insn.imm),
            Imm64 => self.code.imm64(op.dst.number(), op.imm),
            LoadSx8 => self.load_extended(insn, 0x71, 56),
            LoadSx16 => self.load_extended(insn, 0x69, 48),
            LoadSx32 => self.load_extended(insn, 0x61, 32),
            Atomic32 => self.atomic(insn, false),
            Atomic64 => self.atomic(insn, true),
            LoadAcquire8 => self
                .code
                .emit(0x71, op.dst.number(), op.src.number(), insn.off, 0),
            LoadAcquire16 => self
                .code
                .emit(0x69, op.dst.number(), op.src.number(), insn.off, 0),
            LoadAcquire32 => self
                .code
                .emit(0x61, op.dst.number(), op.src.number(), insn.off, 0),
            LoadAcquire64 => self
                .code
                .emit(0x79, op.dst.number(), op.src.number(), insn.off, 0),
            StoreRelease8 => self
                .code
                .emit(0x73, op.dst.number(), op.src.number(), insn.off, 0),
            StoreRelease16 => self
                .code
                .emit(0x6b, op.dst.number(), op.src.number(), insn.off, 0),
            StoreRelease32 => self
                .code
                .emit(0x63, op.dst.number(), op.src.number(), insn.off, 0),
            StoreRelease64 => self
                .code
                .emit(0x7b, op.dst.number(), op.src.number(), insn.off, 0),
            LoadAbs8 | LoadAbs16 | LoadAbs32 => {
                self.code.emit(0xb7, 1, 0, 0, insn.imm);
                self.code.replace(index);
            }
            LoadInd8 | LoadInd16 | LoadInd32 => {
                self.code.mov(1, op.src.number());
                self.code.emit(0x07, 1, 0, 0, insn.imm);
                self.code.replace(index);
            }
            CallHelper => self.code.stub(index),
            TailCall => self.code.replace(index),
            CallLocal => self.call_local(index, op.off),
            CallRegister => self.call_register(index, op.dst.number()),
            Exit => self.code.exit(),
            _ => self.plain(insn),
        }
    }

    /// An instruction that rbpf does as the kernel does.
    fn plain(&mut self, insn: Insn) {
        self.code
            .emit(insn.code, insn.dst, insn.src, insn.off, insn.imm);
    }

    fn truncate(&mut self, reg: Reg) {
        self.code.emit(0xbc, reg, reg, 0, 0);
    }

    /// Pays for the way back of a backward jump, so that an endless loop ends.
    fn fuel(&mut self, from: u32, to: u32) {
        if to > from {
            return;
        }
        let (empty, next) = (self.code.label(), self.code.label());
        let amount = (from - to + 1) as i32;
        self.code.count_down(control::FUEL, amount, empty);
        self.code.jump(next);
        self.code.place(empty);
        self.code.call_stub(from);
        self.code.exit();
        self.code.place(next);
    }

    fn jump(&mut self, index: u32, code: Op, insn: Insn, to: u32) {
        self.fuel(index, to);
        let target = Target::Op(to);
        if code == Op::Jump {
            return self.code.jump(target);
        }
        let wide = insn.class() == crate::isa::class::JMP;
        let unsigned = matches!(insn.code & 0xf0, 0x10 | 0x20 | 0x30 | 0x50 | 0xa0 | 0xb0);
        if wide && unsigned && insn.code & SOURCE_X == 0 && insn.imm < 0 {
            self.compare_negative(insn, target);
        } else {
            self.code
                .jump_if(insn.code, insn.dst, insn.src, insn.imm, target);
        }
    }

    /// A 64-bit comparison with a negative immediate, which rbpf takes for one below 2^32.
    ///
    /// As an unsigned number the immediate is among the highest, which are the negative ones.
    fn compare_negative(&mut self, insn: Insn, target: Target) {
        const JSGT: u8 = 0x65;
        const JSGE: u8 = 0x75;
        const JSLT: u8 = 0xc5;
        const JSLE: u8 = 0xd5;
        let next = self.code.label();
        // Two signed comparisons, of which the first decides what the second need not see.
        let [first, second] = match insn.code & 0xf0 {
            0x10 => [(JSGT, insn.imm, next), (JSGE, insn.imm, target)],
            0x50 => [(JSGT, insn.imm, target), (JSLT, insn.imm, target)],
            0x20 => [(JSGE, 0, next), (JSGT, insn.imm, target)],
            0x30 => [(JSGE, 0, next), (JSGE, insn.imm, target)],
            0xa0 => [(JSGE, 0, target), (JSLT, insn.imm, target)],
            _ => [(JSGE, 0, target), (JSLE, insn.imm, target)],
        };
        for (code, imm, target) in [first, second] {
            self.code.jump_if(code, insn.dst, 0, imm, target);
        }
        self.code.place(next);
    }

    fn extend(&mut self, dst: Reg, src: Reg, unused_bits: i32, wide: bool) {
        if wide {
            self.code.mov(dst, src);
            self.code.emit(0x67, dst, 0, 0, unused_bits);
            self.code.emit(0xc7, dst, 0, 0, unused_bits);
        } else {
            self.code.emit(0xbc, dst, src, 0, 0);
            self.code.emit(0x64, dst, 0, 0, unused_bits);
            self.code.emit(0xc4, dst, 0, 0, unused_bits);
        }
    }

    fn load_extended(&mut self, insn: Insn, load: u8, unused_bits: i32) {
        self.code.emit(load, insn.dst, insn.src, insn.off, 0);
        self.extend(insn.dst, insn.dst, unused_bits, true);
    }

    /// Signed division or modulo by way of the unsigned one between absolute values.
    fn divide_signed(&mut self, insn: Insn, unsigned: u8) {
        let wide = insn.class() == crate::isa::class::ALU64;
        let (dst, code) = (insn.dst, &mut self.code);
        let divisor = spare(&[dst, insn.src]);
        code.spill(divisor, 0);
        if insn.code & SOURCE_X == 0 {
            code.emit(0xb7, divisor, 0, 0, insn.imm);
        } else {
            code.mov(divisor, insn.src);
        }
        if !wide {
            self.extend(divisor, divisor, 32, true);
            self.extend(dst, dst, 32, true);
        }
        let code = &mut self.code;
        // The sign of the result is that of the dividend, for a quotient times that of the divisor.
        code.spill(divisor, 2);
        if unsigned == 0x3f {
            code.emit(0xaf, divisor, dst, 0, 0);
            code.spill(divisor, 1);
            code.fill(divisor, 2);
        } else {
            code.spill(dst, 1);
        }
        negate_unless_positive(code, divisor, divisor);
        negate_unless_positive(code, dst, dst);
        code.emit(unsigned, dst, divisor, 0, 0);
        code.fill(divisor, 1);
        negate_unless_positive(code, divisor, dst);
        code.fill(divisor, 0);
        if !wide {
            self.truncate(dst);
        }
    }

    /// An atomic operation as plain loads and stores: nothing else runs meanwhile.
    fn atomic(&mut self, insn: Insn, wide: bool) {
        let (dst, src, off, code) = (insn.dst, insn.src, insn.off, &mut self.code);
        let (load, store) = if wide { (0x79, 0x7b) } else { (0x61, 0x63) };
        let value = spare(&[dst, src, 0]);
        code.spill(value, 0);
        code.emit(load, value, dst, off, 0);
        match insn.imm {
            0xe1 => {
                code.emit(store, dst, src, off, 0);
                code.mov(src, value);
            }
            0xf1 => {
                let differs = code.label();
                let compare = if wide { 0x5d } else { 0x5e };
                code.jump_if(compare, value, 0, 0, differs);
                code.emit(store, dst, src, off, 0);
                code.place(differs);
                code.mov(0, value);
            }
            operation => {
                let fetches = operation & 1 != 0;
                let alu = (operation & 0xf0) as u8 | if wide { 0x0f } else { 0x0c };
                if fetches {
                    code.spill(value, 1);
                }
                code.emit(alu, value, src, 0, 0);
                code.emit(store, dst, value, off, 0);
                if fetches {
                    code.fill(src, 1);
                }
            }
        }
        code.fill(value, 0);
    }

    /// A call to the function that a register points to, or of the helper whose number it holds.
    fn call_register(&mut self, index: u32, target: Reg) {
        self.code.spill(target, 0);
        let (helper, done) = (self.code.label(), self.code.label());
        self.code.mov(0, target);
        self.code.emit(0x77, 0, 0, 0, 32);
        let tag = Tag::FUNCTION.0 as i32;
        self.code.jump_if(0x55, 0, 0, tag, helper);
        for function in self.entries.clone() {
            let function = function.start;
            let other = self.code.label();
            self.code.fill(0, 0);
            self.code.jump_if(0x56, 0, 0, function as i32, other);
            self.call_local(index, function);
            self.code.jump(done);
            self.code.place(other);
        }
        self.code.place(helper);
        self.code.stub(index);
        self.code.place(done);
    }
}

fn negate_unless_positive(code: &mut Code, sign: Reg, reg: Reg) {
    let positive = code.label();
    code.jump_if(0x75, sign, 0, 0, positive);
    code.negate(reg);
    code.place(positive);
}

/// A register other than these.
fn spare(used: &[Reg]) -> Reg {
    (0..10).find(|reg| !used.contains(reg)).unwrap_or(0)
}
