//! One run: calls, helpers, and what ends a function.

use super::frames::{Frames, Known, Saved};
use super::state::{State, Stop};
use super::trace::{Step, Trace};
use crate::engine::callback::{self, Callee, Ended};
use crate::engine::{MAX_TAIL_CALLS, UninitializedStack};
use crate::fault::{Fault, FaultKind, Register};
use crate::helpers::{self, Call, HelperId};
use crate::isa::{Code, Op, Reg};
use crate::machine::{Cost, Cpu, Environment, Machine};
use crate::memory::{Checked, Pointer, Tag};
use crate::program::ProgramId;

/// What a run may still do.
pub(super) struct Limits {
    /// Instructions; below zero when they are used up.
    pub(super) instructions: i64,
    /// Iterations of `may_goto`.
    pub(super) iterations: u32,
}

/// A run under way.
pub(super) struct Run<'a> {
    pub(super) machine: &'a mut Machine,
    pub(super) environment: &'a mut dyn Environment,
    pub(super) known: &'a mut Known,
    pub(super) frames: &'a mut Frames,
    pub(super) trace: Option<&'a mut Trace>,
    pub(super) cpu: Cpu,
    pub(super) cost: Cost,
    pub(super) budget: u64,
    pub(super) limits: Limits,
    pub(super) tail_calls: u32,
    /// Reads of stack that was never written.
    pub(super) warnings: Vec<UninitializedStack>,
}

/// How a function goes on after an operation that is none of the loop's.
enum Next {
    /// With the next operation.
    Operation,
    /// Its caller does.
    Return,
}

/// The function that is executed.
pub(super) struct Function {
    program: ProgramId,
    pub(super) state: State,
    /// The depth of the first function of this [`Run::call`].
    base: usize,
}

impl Run<'_> {
    /// The function that begins at an operation, in a frame of its own.
    #[inline(always)]
    pub(super) fn function(&mut self, program: ProgramId, entry: usize) -> Function {
        let base = self.frames.depth();
        let memory = &mut self.machine.memory;
        let frame = memory.push_frame(base);
        Function {
            program,
            base,
            state: State::new(memory, frame, entry, self.cpu),
        }
    }

    /// Executes a function to its end, with all that it calls.
    pub(super) fn call(&mut self, function: &mut Function) -> Result<u64, Box<Fault>> {
        let result = loop {
            let advanced = match self.trace.is_some() {
                true => self.traced(function),
                false => self.advance::<false>(function),
            };
            match advanced {
                Ok(None) => {}
                Ok(Some(result)) => break Ok(result),
                Err(fault) => break Err(fault),
            }
        };
        self.cost.helpers += function.state.lookups;
        self.cost.map_operations += function.state.lookups;
        result
    }

    /// Executes up to the next operation that is none of the loop's, and that one; the result when it
    /// ended the first function.
    #[inline]
    fn advance<const TRACED: bool>(
        &mut self,
        function: &mut Function,
    ) -> Result<Option<u64>, Box<Fault>> {
        let Some(learnt) = self.known.get(function.program) else {
            return Err(self.fault(FaultKind::Wild, function));
        };
        let (machine, left) = (&mut *self.machine, &mut self.limits.instructions);
        let state = &mut function.state;
        let stop = match TRACED {
            true => learnt.stepping().execute::<true>(machine, left, state),
            false => learnt.code.execute::<false>(machine, left, state),
        };
        let op = match stop {
            Stop::Exit => {
                let result = self.exit(function);
                return result.map_err(|kind| self.fault(*kind, function));
            }
            Stop::Leave => learnt.program.decoded.ops[state.pc - 1],
            Stop::Step => return Ok(None),
            Stop::Fault(kind) => return Err(self.fault(*kind, function)),
            Stop::Budget => {
                let budget = self.budget;
                return Err(self.fault(FaultKind::Budget { budget }, function));
            }
            Stop::Wild => return Err(self.fault(FaultKind::Wild, function)),
        };
        match self.leave(function, op) {
            Ok(Next::Operation) => Ok(None),
            Ok(Next::Return) => {
                let result = self.exit(function);
                result.map_err(|kind| self.fault(*kind, function))
            }
            Err(Ended::Kind(kind)) => Err(self.fault(*kind, function)),
            Err(Ended::Fault(fault)) => Err(fault),
        }
    }

    /// Executes one operation and adds it to the trace.
    fn traced(&mut self, function: &mut Function) -> Result<Option<u64>, Box<Fault>> {
        let memory = &self.machine.memory;
        let learnt = self.known.get(function.program);
        let step = learnt.and_then(|learnt| {
            Step::of(function.program, &learnt.program, &function.state, memory)
        });
        let begun = self.trace.as_mut().zip(step);
        let begun = begun.map(|(trace, step)| trace.begin(step, memory));
        let result = self.advance::<true>(function);
        if let Some((trace, begun)) = self.trace.as_mut().zip(begun) {
            trace.end(begun, &self.machine.memory);
        }
        result
    }

    /// An operation that is none of the loop's.
    fn leave(&mut self, function: &mut Function, op: Op) -> Result<Next, Ended> {
        let registers = &function.state.registers;
        match op.code {
            Code::CallHelper => self.helper(HelperId(op.imm as u32), function)?,
            Code::CallLocal => self.enter(op.off as usize, function)?,
            Code::CallRegister => {
                let target = Pointer(registers[op.dst]);
                if target.tag() == Tag::FUNCTION {
                    self.enter(target.address() as usize, function)?;
                } else {
                    let helper = HelperId(target.0.try_into().unwrap_or(u32::MAX));
                    self.provided(helper, function)?;
                    self.helper(helper, function)?;
                }
            }
            Code::TailCall => self.tail_call(function)?,
            Code::MayGoto => self.may_goto(function, op.off as usize)?,
            Code::LoadAbs8 => return Ok(self.load_packet::<1>(function, op.imm)),
            Code::LoadAbs16 => return Ok(self.load_packet::<2>(function, op.imm)),
            Code::LoadAbs32 => return Ok(self.load_packet::<4>(function, op.imm)),
            Code::LoadInd8 | Code::LoadInd16 | Code::LoadInd32 => {
                let offset = op.imm.wrapping_add(registers[op.src]);
                return Ok(match op.code {
                    Code::LoadInd8 => self.load_packet::<1>(function, offset),
                    Code::LoadInd16 => self.load_packet::<2>(function, offset),
                    _ => self.load_packet::<4>(function, offset),
                });
            }
            _ => return Ok(Next::Return),
        }
        Ok(Next::Operation)
    }

    /// Enters another function of the program.
    #[inline]
    fn enter(&mut self, entry: usize, function: &mut Function) -> Checked<()> {
        let saved = Saved {
            program: function.program,
            resume: function.state.pc,
            callee_saved: function.state.registers.callee_saved(),
        };
        if !self.frames.push(saved) {
            return Err(Box::new(FaultKind::CallDepth));
        }
        function.state.pc = entry;
        self.new_frame(function);
        Ok(())
    }

    /// Gives a function the frame at the current depth.
    #[inline]
    fn new_frame(&mut self, function: &mut Function) {
        let memory = &mut self.machine.memory;
        let frame = memory.push_frame(self.frames.depth());
        function.state.set_frame(memory, frame);
    }

    /// Leaves a function; the result when it was the first.
    #[inline]
    fn exit(&mut self, function: &mut Function) -> Checked<Option<u64>> {
        let depth = self.frames.depth();
        let state = &mut function.state;
        if depth == function.base {
            // Callbacks may have no jump, at which the loop would look at the budget.
            if self.limits.instructions < 0 {
                let budget = self.budget;
                return Err(Box::new(FaultKind::Budget { budget }));
            }
            if depth == 0 {
                self.machine.references.settled()?;
            }
            self.machine.memory.pop_frame(depth);
            let result = state.registers[Reg::R0];
            if depth == 0 {
                self.note_warnings(function.program);
            }
            return Ok(Some(result));
        }
        self.machine.memory.pop_frame(depth);
        if let Some(saved) = self.frames.pop() {
            if saved.program != function.program {
                self.note_warnings(function.program);
            }
            function.program = saved.program;
            state.pc = saved.resume;
            state.registers.restore(saved.callee_saved);
            let memory = &mut self.machine.memory;
            let frame = memory.frame(depth - 1);
            state.set_frame(memory, frame);
        }
        Ok(None)
    }

    /// Calls a helper; its result is in r0.
    #[inline]
    fn helper(&mut self, helper: HelperId, function: &mut Function) -> Result<(), Ended> {
        self.cost.helpers += 1;
        if callback::calls_back(helper) {
            return self.calling_back(helper, function);
        }
        let Some(program) = self.known.program(function.program) else {
            return Err(Ended::Kind(Box::new(FaultKind::Wild)));
        };
        let mut call = Call {
            machine: self.machine,
            cost: &mut self.cost,
            program,
            helper,
            at: program.decoded.slots[function.state.pc - 1],
            cpu: self.cpu,
            args: function.state.registers.arguments(),
        };
        function.state.registers[Reg::R0] = match helpers::call(&mut call, self.environment) {
            Some(result) => result?,
            None => self.environment.helper(&mut call)?,
        };
        Ok(())
    }

    /// Calls a helper that calls a function of the program.
    fn calling_back(&mut self, helper: HelperId, function: &mut Function) -> Result<(), Ended> {
        let args = function.state.registers.arguments();
        let at = self.slot(function);
        let saved = Saved {
            program: function.program,
            resume: function.state.pc,
            callee_saved: function.state.registers.callee_saved(),
        };
        if !self.frames.push(saved) {
            return Err(Ended::Kind(Box::new(FaultKind::CallDepth)));
        }
        let mut callee = Calling {
            run: self,
            program: function.program,
        };
        let result = callback::call(&mut callee, helper, at, args);
        self.frames.pop();
        function.state.registers[Reg::R0] = result?;
        Ok(())
    }

    /// Takes the warnings that memory has gathered for those of a program.
    #[inline]
    fn note_warnings(&mut self, program: ProgramId) {
        if self.machine.memory.has_warnings() {
            self.take_warnings(program);
        }
    }

    #[cold]
    fn take_warnings(&mut self, program: ProgramId) {
        for (instruction, offset, size) in self.machine.memory.take_warnings() {
            self.warnings.push(UninitializedStack {
                program,
                instruction,
                offset,
                size,
            });
        }
    }

    /// Refuses a helper that was not known at load.
    fn provided(&self, helper: HelperId, function: &Function) -> Checked<()> {
        let program = self.known.program(function.program);
        let kind = program.map(|program| program.kind);
        let provided = helpers::provides(helper)
            || kind.is_some_and(|kind| self.environment.provides(helper, kind));
        if provided {
            Ok(())
        } else {
            Err(Box::new(FaultKind::Unsupported(helper.to_string())))
        }
    }

    /// `bpf_tail_call`: goes on after the call when there is no program under the index.
    fn tail_call(&mut self, function: &mut Function) -> Checked<()> {
        self.cost.helpers += 1;
        self.cost.map_operations += 1;
        let Some(program) = self.known.program(function.program) else {
            return Err(Box::new(FaultKind::Wild));
        };
        let mut call = Call {
            machine: self.machine,
            cost: &mut self.cost,
            program,
            helper: HelperId::TAIL_CALL,
            at: program.decoded.slots[function.state.pc - 1],
            cpu: self.cpu,
            args: function.state.registers.arguments(),
        };
        call.context(1)?;
        call.machine.references.settled()?;
        let map = call.map(2)?;
        let target = call.machine.maps[map].program_at(call.args[2] as u32);
        let target = target.map_err(|problem| call.refuse(2, problem))?;
        let target = target.filter(|_| self.tail_calls < MAX_TAIL_CALLS);
        let Some(target) = target else { return Ok(()) };
        if self.known.learn(self.machine, target).is_some() {
            self.tail_calls += 1;
            self.note_warnings(function.program);
            self.frames.replace();
            function.program = target;
            function.state.pc = 0;
            self.new_frame(function);
        }
        Ok(())
    }

    /// Goes elsewhere when there is no iteration left.
    fn may_goto(&mut self, function: &mut Function, target: usize) -> Checked<()> {
        match self.limits.iterations.checked_sub(1) {
            Some(left) => self.limits.iterations = left,
            None if self.limits.instructions < 0 => {
                let budget = self.budget;
                return Err(Box::new(FaultKind::Budget { budget }));
            }
            None => function.state.pc = target,
        }
        Ok(())
    }

    /// A packet load of classic BPF: big-endian; outside the packet it ends the function with 0.
    fn load_packet<const N: usize>(&mut self, function: &mut Function, offset: u64) -> Next {
        let mut bytes = [0; 8];
        let into = &mut bytes[8 - N..];
        let loaded = self
            .environment
            .load_packet(self.machine, offset as i32, into);
        function.state.registers[Reg::R0] = match loaded {
            Some(()) => u64::from_be_bytes(bytes),
            None => 0,
        };
        match loaded {
            Some(()) => Next::Operation,
            None => Next::Return,
        }
    }

    /// The slot of the operation that was executed last.
    fn slot(&self, function: &Function) -> u32 {
        let last = function.state.pc.saturating_sub(1);
        let program = self.known.program(function.program);
        program
            .and_then(|program| program.decoded.slots.get(last).copied())
            .unwrap_or(0)
    }

    #[cold]
    fn fault(&self, kind: FaultKind, function: &Function) -> Box<Fault> {
        let memory = &self.machine.memory;
        let registers = function.state.registers.all();
        let program = self.known.program(function.program);
        Box::new(Fault {
            kind,
            id: Some(function.program),
            program: program
                .map(|program| program.name.clone())
                .unwrap_or_default(),
            instruction: self.slot(function),
            registers: registers.map(|value| Some(Register::new(value, memory))),
        })
    }
}

/// A run in a helper that calls functions of a program.
struct Calling<'a, 'b> {
    run: &'a mut Run<'b>,
    program: ProgramId,
}

impl Callee for Calling<'_, '_> {
    fn machine(&mut self) -> &mut Machine {
        self.run.machine
    }

    fn with_call<T>(
        &mut self,
        helper: HelperId,
        at: u32,
        args: [u64; 5],
        with: impl FnOnce(&mut Call<'_>) -> Checked<T>,
    ) -> Checked<T> {
        let Some(program) = self.run.known.program(self.program) else {
            return Err(Box::new(FaultKind::Wild));
        };
        with(&mut Call {
            machine: self.run.machine,
            cost: &mut self.run.cost,
            program,
            helper,
            at,
            cpu: self.run.cpu,
            args,
        })
    }

    fn call_back(&mut self, function: Pointer, args: [u64; 5]) -> Result<u64, Ended> {
        let entry = function.address() as usize;
        let mut function = self.run.function(self.program, entry);
        function.state.registers.set_arguments(args);
        Ok(self.run.call(&mut function)?)
    }
}
