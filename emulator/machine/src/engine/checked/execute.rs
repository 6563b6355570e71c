//! The loop.

use std::sync::Arc;

use super::frames::{Frames, Saved};
use super::{Run, Step, alu};
use crate::engine::MAX_TAIL_CALLS;
use crate::fault::{Fault, FaultKind};
use crate::helpers::{self, Call, HelperId};
use crate::isa::{Code, Op};
use crate::memory::{Checked, Pointer, Tag};
use crate::program::Program;

/// Registers; a power of two, so that a decoded register number needs no bounds check.
type Registers = [u64; 16];

/// What a helper did to the flow of control.
enum Flow {
    /// The next instruction follows.
    Next,
    /// Another program takes this function's place.
    Enter(Arc<Program>),
}

impl Run<'_> {
    /// Executes from an operation of `program` to the exit of the function that it starts in.
    pub(super) fn execute(
        &mut self,
        program: Arc<Program>,
        entry: usize,
        depth: usize,
        arguments: [u64; 5],
    ) -> Result<u64, Box<Fault>> {
        let mut regs: Registers = [0; 16];
        regs[1..6].copy_from_slice(&arguments);
        regs[10] = self.machine.memory.push_frame(depth).0;
        let mut frames = Frames::new(program, depth);
        let mut pc = entry;
        loop {
            let Some(program) = frames.program().cloned() else {
                return Ok(regs[0]);
            };
            match self.function(&program, &mut frames, &mut regs, pc)? {
                Exit::Run => return Ok(regs[0]),
                Exit::Resume(at) => pc = at,
                Exit::Enter(next) => {
                    frames.replace(next);
                    regs[10] = self.machine.memory.push_frame(frames.depth()).0;
                    pc = 0;
                }
            }
        }
    }

    /// Executes as long as the same program goes on.
    #[allow(clippy::too_many_lines)] // One arm for each operation; splitting it would cost a call each.
    fn function(
        &mut self,
        program: &Arc<Program>,
        frames: &mut Frames,
        regs: &mut Registers,
        entry: usize,
    ) -> Result<Exit, Box<Fault>> {
        let ops = program.decoded.ops.as_slice();
        let mut depth = frames.depth();
        let mut pc = entry;
        // Where the straight run of operations began that has not been counted yet.
        let mut start = entry;

        macro_rules! dst {
            ($op:ident) => {
                regs[usize::from($op.dst & 15)]
            };
        }
        macro_rules! src {
            ($op:ident) => {
                regs[usize::from($op.src & 15)]
            };
        }
        macro_rules! check {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(kind) => {
                        self.cost.instructions += (pc - start) as u64;
                        return Err(self.fault(*kind, program, pc - 1, regs));
                    }
                }
            };
        }
        macro_rules! goto {
            ($target:expr) => {{
                self.cost.instructions += (pc - start) as u64;
                if self.cost.instructions > self.budget {
                    let budget = self.budget;
                    return Err(self.fault(FaultKind::Budget { budget }, program, pc - 1, regs));
                }
                pc = $target as usize;
                start = pc;
            }};
        }
        macro_rules! alu64 {
            ($op:ident, $rhs:expr, |$a:ident, $b:ident| $result:expr) => {{
                let ($a, $b) = (dst!($op), $rhs);
                dst!($op) = $result;
            }};
        }
        macro_rules! alu32 {
            ($op:ident, $rhs:expr, |$a:ident, $b:ident| $result:expr) => {{
                let ($a, $b) = (dst!($op) as u32, $rhs as u32);
                dst!($op) = u64::from($result);
            }};
        }
        macro_rules! jump {
            ($op:ident, $holds:expr) => {
                if $holds {
                    goto!($op.off);
                }
            };
        }
        macro_rules! address {
            ($register:expr, $op:ident) => {
                $register.wrapping_add($op.off as i32 as i64 as u64)
            };
        }
        macro_rules! load {
            ($op:ident, $size:literal) => {{
                let pointer = address!(src!($op), $op);
                check!(self.machine.memory.load::<$size>(pointer, pc as u32 - 1))
            }};
        }
        macro_rules! store {
            ($op:ident, $size:literal, $value:expr) => {{
                let (pointer, value) = (address!(dst!($op), $op), $value);
                check!(
                    self.machine
                        .memory
                        .store::<$size>(pointer, value, pc as u32 - 1)
                );
            }};
        }
        macro_rules! load_frame {
            ($op:ident, $size:literal) => {{
                let memory = &mut self.machine.memory;
                dst!($op) = check!(memory.load_frame::<$size>(depth, $op.off, pc as u32 - 1));
            }};
        }
        macro_rules! store_frame {
            ($op:ident, $size:literal, $value:expr) => {{
                let value = $value;
                self.machine
                    .memory
                    .store_frame::<$size>(depth, $op.off, value);
            }};
        }
        macro_rules! atomic {
            ($op:ident, $size:literal, $width:ty) => {{
                let pointer = address!(dst!($op), $op);
                let old = check!(self.machine.memory.load::<$size>(pointer, pc as u32 - 1));
                let operand = u64::from(src!($op) as $width);
                let expected = u64::from(regs[0] as $width);
                let new = alu::atomic($op.imm, old, operand, expected);
                // A failed compare-and-exchange needs a writable place all the same.
                let new = new.unwrap_or(old);
                check!(
                    self.machine
                        .memory
                        .store::<$size>(pointer, new, pc as u32 - 1)
                );
                match $op.imm {
                    0xf1 => regs[0] = old,
                    operation if operation & 1 != 0 => src!($op) = old,
                    _ => {}
                }
            }};
        }
        macro_rules! load_packet {
            ($op:ident, $size:literal, $offset:expr) => {{
                let mut bytes = [0; 8];
                let into = &mut bytes[8 - $size..];
                match self
                    .environment
                    .load_packet(self.machine, $offset as i32, into)
                {
                    Some(()) => regs[0] = u64::from_be_bytes(bytes),
                    None => {
                        self.cost.instructions += (pc - start) as u64;
                        regs[0] = 0;
                        return Ok(Exit::Run);
                    }
                }
            }};
        }

        loop {
            let Some(&op) = ops.get(pc) else {
                self.cost.instructions += (pc - start) as u64;
                return Err(self.fault(FaultKind::Wild, program, pc, regs));
            };
            pc += 1;
            if self.trace.is_some() {
                self.record(program, pc - 1, regs);
            }
            match op.code {
                Code::Add64K => alu64!(op, op.imm, |a, b| a.wrapping_add(b)),
                Code::Add64X => alu64!(op, src!(op), |a, b| a.wrapping_add(b)),
                Code::Sub64K => alu64!(op, op.imm, |a, b| a.wrapping_sub(b)),
                Code::Sub64X => alu64!(op, src!(op), |a, b| a.wrapping_sub(b)),
                Code::Mul64K => alu64!(op, op.imm, |a, b| a.wrapping_mul(b)),
                Code::Mul64X => alu64!(op, src!(op), |a, b| a.wrapping_mul(b)),
                Code::Div64K => alu64!(op, op.imm, |a, b| alu::div64(a, b)),
                Code::Div64X => alu64!(op, src!(op), |a, b| alu::div64(a, b)),
                Code::SDiv64K => alu64!(op, op.imm, |a, b| alu::sdiv64(a, b)),
                Code::SDiv64X => alu64!(op, src!(op), |a, b| alu::sdiv64(a, b)),
                Code::Mod64K => alu64!(op, op.imm, |a, b| alu::mod64(a, b)),
                Code::Mod64X => alu64!(op, src!(op), |a, b| alu::mod64(a, b)),
                Code::SMod64K => alu64!(op, op.imm, |a, b| alu::smod64(a, b)),
                Code::SMod64X => alu64!(op, src!(op), |a, b| alu::smod64(a, b)),
                Code::Or64K => alu64!(op, op.imm, |a, b| a | b),
                Code::Or64X => alu64!(op, src!(op), |a, b| a | b),
                Code::And64K => alu64!(op, op.imm, |a, b| a & b),
                Code::And64X => alu64!(op, src!(op), |a, b| a & b),
                Code::Xor64K => alu64!(op, op.imm, |a, b| a ^ b),
                Code::Xor64X => alu64!(op, src!(op), |a, b| a ^ b),
                Code::Lsh64K => alu64!(op, op.imm, |a, b| a << (b & 63)),
                Code::Lsh64X => alu64!(op, src!(op), |a, b| a << (b & 63)),
                Code::Rsh64K => alu64!(op, op.imm, |a, b| a >> (b & 63)),
                Code::Rsh64X => alu64!(op, src!(op), |a, b| a >> (b & 63)),
                Code::Arsh64K => alu64!(op, op.imm, |a, b| ((a as i64) >> (b & 63)) as u64),
                Code::Arsh64X => alu64!(op, src!(op), |a, b| ((a as i64) >> (b & 63)) as u64),
                Code::Mov64K => dst!(op) = op.imm,
                Code::Mov64X => dst!(op) = src!(op),
                Code::Neg64 => dst!(op) = dst!(op).wrapping_neg(),
                Code::MovSx8To64 => dst!(op) = src!(op) as i8 as u64,
                Code::MovSx16To64 => dst!(op) = src!(op) as i16 as u64,
                Code::MovSx32To64 => dst!(op) = src!(op) as i32 as u64,
                Code::Add32K => alu32!(op, op.imm, |a, b| a.wrapping_add(b)),
                Code::Add32X => alu32!(op, src!(op), |a, b| a.wrapping_add(b)),
                Code::Sub32K => alu32!(op, op.imm, |a, b| a.wrapping_sub(b)),
                Code::Sub32X => alu32!(op, src!(op), |a, b| a.wrapping_sub(b)),
                Code::Mul32K => alu32!(op, op.imm, |a, b| a.wrapping_mul(b)),
                Code::Mul32X => alu32!(op, src!(op), |a, b| a.wrapping_mul(b)),
                Code::Div32K => alu32!(op, op.imm, |a, b| alu::div32(a, b)),
                Code::Div32X => alu32!(op, src!(op), |a, b| alu::div32(a, b)),
                Code::SDiv32K => alu32!(op, op.imm, |a, b| alu::sdiv32(a, b)),
                Code::SDiv32X => alu32!(op, src!(op), |a, b| alu::sdiv32(a, b)),
                Code::Mod32K => alu32!(op, op.imm, |a, b| alu::mod32(a, b)),
                Code::Mod32X => alu32!(op, src!(op), |a, b| alu::mod32(a, b)),
                Code::SMod32K => alu32!(op, op.imm, |a, b| alu::smod32(a, b)),
                Code::SMod32X => alu32!(op, src!(op), |a, b| alu::smod32(a, b)),
                Code::Or32K => alu32!(op, op.imm, |a, b| a | b),
                Code::Or32X => alu32!(op, src!(op), |a, b| a | b),
                Code::And32K => alu32!(op, op.imm, |a, b| a & b),
                Code::And32X => alu32!(op, src!(op), |a, b| a & b),
                Code::Xor32K => alu32!(op, op.imm, |a, b| a ^ b),
                Code::Xor32X => alu32!(op, src!(op), |a, b| a ^ b),
                Code::Lsh32K => alu32!(op, op.imm, |a, b| a << (b & 31)),
                Code::Lsh32X => alu32!(op, src!(op), |a, b| a << (b & 31)),
                Code::Rsh32K => alu32!(op, op.imm, |a, b| a >> (b & 31)),
                Code::Rsh32X => alu32!(op, src!(op), |a, b| a >> (b & 31)),
                Code::Arsh32K => alu32!(op, op.imm, |a, b| ((a as i32) >> (b & 31)) as u32),
                Code::Arsh32X => alu32!(op, src!(op), |a, b| ((a as i32) >> (b & 31)) as u32),
                Code::Mov32K => dst!(op) = u64::from(op.imm as u32),
                Code::Mov32X => dst!(op) = u64::from(src!(op) as u32),
                Code::Neg32 => dst!(op) = u64::from((dst!(op) as u32).wrapping_neg()),
                Code::MovSx8To32 => dst!(op) = u64::from(src!(op) as i8 as u32),
                Code::MovSx16To32 => dst!(op) = u64::from(src!(op) as i16 as u32),
                Code::Le16 => dst!(op) = u64::from(dst!(op) as u16),
                Code::Le32 => dst!(op) = u64::from(dst!(op) as u32),
                Code::Le64 => {}
                Code::Be16 => dst!(op) = u64::from((dst!(op) as u16).swap_bytes()),
                Code::Be32 => dst!(op) = u64::from((dst!(op) as u32).swap_bytes()),
                Code::Be64 => dst!(op) = dst!(op).swap_bytes(),
                Code::Imm64 => dst!(op) = op.imm,

                Code::Jump => goto!(op.off),
                Code::Jeq64K => jump!(op, dst!(op) == op.imm),
                Code::Jeq64X => jump!(op, dst!(op) == src!(op)),
                Code::Jne64K => jump!(op, dst!(op) != op.imm),
                Code::Jne64X => jump!(op, dst!(op) != src!(op)),
                Code::Jgt64K => jump!(op, dst!(op) > op.imm),
                Code::Jgt64X => jump!(op, dst!(op) > src!(op)),
                Code::Jge64K => jump!(op, dst!(op) >= op.imm),
                Code::Jge64X => jump!(op, dst!(op) >= src!(op)),
                Code::Jlt64K => jump!(op, dst!(op) < op.imm),
                Code::Jlt64X => jump!(op, dst!(op) < src!(op)),
                Code::Jle64K => jump!(op, dst!(op) <= op.imm),
                Code::Jle64X => jump!(op, dst!(op) <= src!(op)),
                Code::Jsgt64K => jump!(op, dst!(op) as i64 > op.imm as i64),
                Code::Jsgt64X => jump!(op, dst!(op) as i64 > src!(op) as i64),
                Code::Jsge64K => jump!(op, dst!(op) as i64 >= op.imm as i64),
                Code::Jsge64X => jump!(op, dst!(op) as i64 >= src!(op) as i64),
                Code::Jslt64K => jump!(op, (dst!(op) as i64) < op.imm as i64),
                Code::Jslt64X => jump!(op, (dst!(op) as i64) < src!(op) as i64),
                Code::Jsle64K => jump!(op, dst!(op) as i64 <= op.imm as i64),
                Code::Jsle64X => jump!(op, dst!(op) as i64 <= src!(op) as i64),
                Code::Jset64K => jump!(op, dst!(op) & op.imm != 0),
                Code::Jset64X => jump!(op, dst!(op) & src!(op) != 0),
                Code::Jeq32K => jump!(op, dst!(op) as u32 == op.imm as u32),
                Code::Jeq32X => jump!(op, dst!(op) as u32 == src!(op) as u32),
                Code::Jne32K => jump!(op, dst!(op) as u32 != op.imm as u32),
                Code::Jne32X => jump!(op, dst!(op) as u32 != src!(op) as u32),
                Code::Jgt32K => jump!(op, dst!(op) as u32 > op.imm as u32),
                Code::Jgt32X => jump!(op, dst!(op) as u32 > src!(op) as u32),
                Code::Jge32K => jump!(op, dst!(op) as u32 >= op.imm as u32),
                Code::Jge32X => jump!(op, dst!(op) as u32 >= src!(op) as u32),
                Code::Jlt32K => jump!(op, (dst!(op) as u32) < op.imm as u32),
                Code::Jlt32X => jump!(op, (dst!(op) as u32) < src!(op) as u32),
                Code::Jle32K => jump!(op, dst!(op) as u32 <= op.imm as u32),
                Code::Jle32X => jump!(op, dst!(op) as u32 <= src!(op) as u32),
                Code::Jsgt32K => jump!(op, dst!(op) as i32 > op.imm as i32),
                Code::Jsgt32X => jump!(op, dst!(op) as i32 > src!(op) as i32),
                Code::Jsge32K => jump!(op, dst!(op) as i32 >= op.imm as i32),
                Code::Jsge32X => jump!(op, dst!(op) as i32 >= src!(op) as i32),
                Code::Jslt32K => jump!(op, (dst!(op) as i32) < op.imm as i32),
                Code::Jslt32X => jump!(op, (dst!(op) as i32) < src!(op) as i32),
                Code::Jsle32K => jump!(op, dst!(op) as i32 <= op.imm as i32),
                Code::Jsle32X => jump!(op, dst!(op) as i32 <= src!(op) as i32),
                Code::Jset32K => jump!(op, (dst!(op) & op.imm) as u32 != 0),
                Code::Jset32X => jump!(op, (dst!(op) & src!(op)) as u32 != 0),
                Code::MayGoto => match self.iterations.checked_sub(1) {
                    Some(left) => self.iterations = left,
                    None => goto!(op.off),
                },

                Code::Load8 => dst!(op) = load!(op, 1),
                Code::Load16 => dst!(op) = load!(op, 2),
                Code::Load32 => dst!(op) = load!(op, 4),
                Code::Load64 => dst!(op) = load!(op, 8),
                Code::LoadSx8 => dst!(op) = load!(op, 1) as i8 as u64,
                Code::LoadSx16 => dst!(op) = load!(op, 2) as i16 as u64,
                Code::LoadSx32 => dst!(op) = load!(op, 4) as i32 as u64,
                Code::LoadFrame8 => load_frame!(op, 1),
                Code::LoadFrame16 => load_frame!(op, 2),
                Code::LoadFrame32 => load_frame!(op, 4),
                Code::LoadFrame64 => load_frame!(op, 8),
                Code::Store8K => store!(op, 1, op.imm),
                Code::Store16K => store!(op, 2, op.imm),
                Code::Store32K => store!(op, 4, op.imm),
                Code::Store64K => store!(op, 8, op.imm),
                Code::Store8X => store!(op, 1, src!(op)),
                Code::Store16X => store!(op, 2, src!(op)),
                Code::Store32X => store!(op, 4, src!(op)),
                Code::Store64X => store!(op, 8, src!(op)),
                Code::StoreFrame8K => store_frame!(op, 1, op.imm),
                Code::StoreFrame16K => store_frame!(op, 2, op.imm),
                Code::StoreFrame32K => store_frame!(op, 4, op.imm),
                Code::StoreFrame64K => store_frame!(op, 8, op.imm),
                Code::StoreFrame8X => store_frame!(op, 1, src!(op)),
                Code::StoreFrame16X => store_frame!(op, 2, src!(op)),
                Code::StoreFrame32X => store_frame!(op, 4, src!(op)),
                Code::StoreFrame64X => store_frame!(op, 8, src!(op)),
                Code::Atomic32 => atomic!(op, 4, u32),
                Code::Atomic64 => atomic!(op, 8, u64),
                Code::LoadAcquire8 => dst!(op) = load!(op, 1),
                Code::LoadAcquire16 => dst!(op) = load!(op, 2),
                Code::LoadAcquire32 => dst!(op) = load!(op, 4),
                Code::LoadAcquire64 => dst!(op) = load!(op, 8),
                Code::StoreRelease8 => store!(op, 1, src!(op)),
                Code::StoreRelease16 => store!(op, 2, src!(op)),
                Code::StoreRelease32 => store!(op, 4, src!(op)),
                Code::StoreRelease64 => store!(op, 8, src!(op)),
                Code::LoadAbs8 => load_packet!(op, 1, op.imm),
                Code::LoadAbs16 => load_packet!(op, 2, op.imm),
                Code::LoadAbs32 => load_packet!(op, 4, op.imm),
                Code::LoadInd8 => load_packet!(op, 1, op.imm.wrapping_add(src!(op))),
                Code::LoadInd16 => load_packet!(op, 2, op.imm.wrapping_add(src!(op))),
                Code::LoadInd32 => load_packet!(op, 4, op.imm.wrapping_add(src!(op))),

                Code::CallHelper => {
                    let helper = HelperId(op.imm as u32);
                    check!(self.helper(helper, program, pc - 1, regs));
                }
                Code::CallLocal => {
                    let saved = Saved {
                        resume: pc,
                        callee_saved: [regs[6], regs[7], regs[8], regs[9]],
                    };
                    if !frames.push(saved) {
                        check!(Err(Box::new(FaultKind::CallDepth)));
                    }
                    depth = frames.depth();
                    regs[10] = self.machine.memory.push_frame(depth).0;
                    goto!(op.off);
                }
                Code::CallRegister => {
                    let target = Pointer(dst!(op));
                    if target.tag() != Tag::FUNCTION {
                        let helper = HelperId(target.0.try_into().unwrap_or(u32::MAX));
                        check!(self.provided(helper, program));
                        check!(self.helper(helper, program, pc - 1, regs));
                        continue;
                    }
                    let saved = Saved {
                        resume: pc,
                        callee_saved: [regs[6], regs[7], regs[8], regs[9]],
                    };
                    if !frames.push(saved) {
                        check!(Err(Box::new(FaultKind::CallDepth)));
                    }
                    depth = frames.depth();
                    regs[10] = self.machine.memory.push_frame(depth).0;
                    goto!(target.address());
                }
                Code::TailCall => match check!(self.tail_call(program, pc - 1, regs)) {
                    Flow::Next => {}
                    Flow::Enter(next) => {
                        self.cost.instructions += (pc - start) as u64;
                        return Ok(Exit::Enter(next));
                    }
                },
                Code::Exit => {
                    self.cost.instructions += (pc - start) as u64;
                    self.machine.memory.pop_frame(depth);
                    let switch = frames.caller_differs();
                    let Some(saved) = frames.pop() else {
                        if depth == 0 {
                            check!(self.machine.references.settled());
                        }
                        return Ok(Exit::Run);
                    };
                    depth = frames.depth();
                    regs[6..10].copy_from_slice(&saved.callee_saved);
                    regs[10] = self.machine.memory.frame_pointer(depth).0;
                    if switch {
                        return Ok(Exit::Resume(saved.resume));
                    }
                    pc = saved.resume;
                    start = pc;
                }
            }
        }
    }

    /// Calls a helper; its result is in r0.
    fn helper(
        &mut self,
        helper: HelperId,
        program: &Arc<Program>,
        op: usize,
        regs: &mut Registers,
    ) -> Checked<()> {
        self.cost.helpers += 1;
        let mut call = Call {
            machine: self.machine,
            cost: &mut self.cost,
            program,
            helper,
            at: program.decoded.slots[op],
            cpu: self.cpu,
            args: [regs[1], regs[2], regs[3], regs[4], regs[5]],
        };
        regs[0] = match helpers::call(&mut call, self.environment) {
            Some(result) => result?,
            None => self.environment.helper(&mut call)?,
        };
        Ok(())
    }

    /// Refuses a helper that was not known at load.
    fn provided(&self, helper: HelperId, program: &Program) -> Checked<()> {
        if helpers::provides(helper) || self.environment.provides(helper, program.kind) {
            Ok(())
        } else {
            Err(Box::new(FaultKind::Unsupported(helper.to_string())))
        }
    }

    /// `bpf_tail_call`: goes on after the call when there is no program under the index.
    fn tail_call(
        &mut self,
        program: &Arc<Program>,
        op: usize,
        regs: &mut Registers,
    ) -> Checked<Flow> {
        self.cost.helpers += 1;
        self.cost.map_operations += 1;
        let mut call = Call {
            machine: self.machine,
            cost: &mut self.cost,
            program,
            helper: HelperId::TAIL_CALL,
            at: program.decoded.slots[op],
            cpu: self.cpu,
            args: [regs[1], regs[2], regs[3], regs[4], regs[5]],
        };
        call.context(1)?;
        call.machine.references.settled()?;
        let map = call.map(2)?;
        let index = regs[3] as u32;
        let target = call.machine.maps[map].program_at(index);
        let target = target.map_err(|problem| call.refuse(2, problem))?;
        let target = target.and_then(|id| self.machine.program(id).cloned());
        let Some(next) = target.filter(|_| self.tail_calls < MAX_TAIL_CALLS) else {
            return Ok(Flow::Next);
        };
        self.tail_calls += 1;
        Ok(Flow::Enter(next))
    }

    #[cold]
    fn record(&mut self, program: &Program, op: usize, regs: &Registers) {
        let step = Step {
            program: self.tail_calls,
            instruction: program.decoded.slots[op],
            registers: std::array::from_fn(|register| regs[register]),
        };
        if let Some(trace) = &mut self.trace {
            trace.push(step);
        }
    }

    #[cold]
    fn fault(&self, kind: FaultKind, program: &Program, op: usize, regs: &Registers) -> Box<Fault> {
        Box::new(Fault {
            kind,
            program: program.name.clone(),
            instruction: program.decoded.slots.get(op).copied().unwrap_or(0),
            registers: std::array::from_fn(|register| Some(regs[register])),
        })
    }
}

/// Why [`Run::function`] returned.
enum Exit {
    /// The first function ended.
    Run,
    /// The caller of the function that ended executes another program: on to this operation of it.
    Resume(usize),
    /// A tail call.
    Enter(Arc<Program>),
}

const _: () = assert!(size_of::<Op>() == 16);
