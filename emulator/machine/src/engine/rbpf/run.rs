//! One run, and what the program's stub calls do.

use std::sync::Arc;

use super::cache::{Cache, Compiled};
use super::control;
use crate::engine::callback::{self, Callee, Ended};
use crate::engine::{Invocation, MAX_TAIL_CALLS};
use crate::fault::{Access, Fault, FaultKind, Register};
use crate::helpers::{self, Call, HelperId};
use crate::isa::Code;
use crate::machine::{Cost, Cpu, Environment, Machine};
use crate::memory::{By, Checked, NATIVE_STEP, Pointer};

/// A run under way.
pub(super) struct Run<'a> {
    pub(super) machine: &'a mut Machine,
    pub(super) environment: &'a mut dyn Environment,
    pub(super) cache: &'a mut Cache,
    pub(super) cpu: Cpu,
    pub(super) cost: Cost,
    pub(super) budget: u64,
    tail_calls: u32,
    /// The program that is interpreted.
    current: Arc<Compiled>,
    /// Why the run is over, when a stub call ended it.
    fault: Option<Box<Fault>>,
}

/// Where a program starts: 0 for its first instruction, else the place of a callback in its entries.
type Entry = u64;

impl<'a> Run<'a> {
    pub(super) fn new(
        machine: &'a mut Machine,
        environment: &'a mut dyn Environment,
        cache: &'a mut Cache,
        invocation: &Invocation<'_>,
        budget: u64,
        current: Arc<Compiled>,
    ) -> Self {
        Self {
            machine,
            environment,
            cache,
            cpu: invocation.cpu,
            cost: Cost::default(),
            budget,
            tail_calls: 0,
            current,
            fault: None,
        }
    }

    /// Interprets a program to its end, on the stack below `frame`.
    pub(super) fn execute(
        &mut self,
        program: Arc<Compiled>,
        entry: Entry,
        arguments: [u64; 5],
        frame: u64,
    ) -> Result<u64, Box<Fault>> {
        let mut block = [0; 56];
        let words = std::iter::once(frame).chain(arguments).chain([entry]);
        for (word, bytes) in words.zip(block.as_chunks_mut::<8>().0) {
            *bytes = word.to_ne_bytes();
        }
        let outer = std::mem::replace(&mut self.current, Arc::clone(&program));
        let result = program.vm.execute(self, &block);
        let result = match self.fault.take() {
            Some(fault) => Err(fault),
            None => result.map_err(|error| self.refused(&error)),
        };
        self.current = outer;
        result
    }

    /// What the program asks for at the operation that the control block names.
    pub(super) fn stub(&mut self, args: [u64; 5]) -> u64 {
        let site = control::get32(&self.machine.memory, control::SITE) as usize;
        let program = Arc::clone(&self.current);
        let op = program.program.decoded.ops[site];
        let slot = program.program.decoded.slots[site];
        let result = match op.code {
            Code::CallHelper => self.helper(HelperId(op.imm as u32), slot, args),
            Code::CallRegister => self.call_register(slot, args),
            Code::TailCall => self.tail_call(slot, args).map_err(Ended::Kind),
            Code::LoadAbs8 | Code::LoadInd8 => Ok(self.load_packet::<1>(args[0])),
            Code::LoadAbs16 | Code::LoadInd16 => Ok(self.load_packet::<2>(args[0])),
            Code::LoadAbs32 | Code::LoadInd32 => Ok(self.load_packet::<4>(args[0])),
            // A backward jump without fuel.
            _ => Err(Ended::Kind(self.out_of_fuel())),
        };
        match result {
            Ok(value) => value,
            Err(Ended::Kind(kind)) => self.stop(*kind, slot, args),
            Err(Ended::Fault(fault)) => self.end(fault),
        }
    }

    #[cold]
    fn out_of_fuel(&self) -> Box<FaultKind> {
        let budget = self.budget;
        Box::new(FaultKind::Budget { budget })
    }

    /// Ends the run for what happened at a slot of the current program.
    #[cold]
    fn stop(&mut self, kind: FaultKind, slot: u32, args: [u64; 5]) -> u64 {
        let mut registers = [None; 11];
        for (register, value) in registers[1..].iter_mut().zip(args) {
            *register = Some(Register::new(value, &self.machine.memory));
        }
        registers[10] = Some(Register::new(self.frame(), &self.machine.memory));
        self.end(Box::new(Fault {
            kind,
            id: self.machine.program_id(&self.current.program),
            program: self.current.program.name.clone(),
            instruction: slot,
            registers,
        }))
    }

    /// Ends the run: each function of the program returns at once.
    #[cold]
    fn end(&mut self, fault: Box<Fault>) -> u64 {
        control::set32(&mut self.machine.memory, control::STATE, control::STOPPED);
        self.fault.get_or_insert(fault);
        0
    }

    /// The frame pointer of the function that made the stub call.
    fn frame(&self) -> u64 {
        control::get64(&self.machine.memory, control::FRAME)
    }

    fn helper(&mut self, helper: HelperId, slot: u32, args: [u64; 5]) -> Result<u64, Ended> {
        self.cost.helpers += 1;
        if callback::calls_back(helper) {
            let frame = self.frame();
            return callback::call(&mut Calling { run: self, frame }, helper, slot, args);
        }
        let program = Arc::clone(&self.current);
        let mut call = Call {
            machine: self.machine,
            cost: &mut self.cost,
            program: &program.program,
            helper,
            at: slot,
            cpu: self.cpu,
            args,
        };
        let result = match helpers::call(&mut call, self.environment) {
            Some(result) => result,
            None => self.environment.helper(&mut call),
        };
        Ok(result?)
    }

    /// `callx` with something that is no function of the program: the number of a helper.
    fn call_register(&mut self, slot: u32, args: [u64; 5]) -> Result<u64, Ended> {
        const SPILLED: u32 = 520;
        let place = (self.frame() as u32).wrapping_sub(SPILLED);
        let target = u64::from_le_bytes(self.machine.memory.raw_array(place));
        let helper = HelperId(target.try_into().unwrap_or(u32::MAX));
        let kind = self.current.program.kind;
        if helpers::provides(helper) || self.environment.provides(helper, kind) {
            self.helper(helper, slot, args)
        } else {
            let name = helper.to_string();
            Err(Ended::Kind(Box::new(FaultKind::Unsupported(name))))
        }
    }

    /// `bpf_tail_call`: runs the other program in the frame of the function that calls, which then
    /// returns the other program's result.
    fn tail_call(&mut self, slot: u32, args: [u64; 5]) -> Checked<u64> {
        self.cost.helpers += 1;
        self.cost.map_operations += 1;
        let program = Arc::clone(&self.current);
        let mut call = Call {
            machine: self.machine,
            cost: &mut self.cost,
            program: &program.program,
            helper: HelperId::TAIL_CALL,
            at: slot,
            cpu: self.cpu,
            args,
        };
        call.context(1)?;
        call.machine.references.settled()?;
        let map = call.map(2)?;
        let target = call.machine.maps[map].program_at(args[2] as u32);
        let target = target.map_err(|problem| call.refuse(2, problem))?;
        let target = target.and_then(|id| self.machine.program(id).cloned());
        let Some(next) = target.filter(|_| self.tail_calls < MAX_TAIL_CALLS) else {
            return Ok(0);
        };
        self.tail_calls += 1;
        let next = self
            .cache
            .get(&next, &self.machine.memory)
            .map_err(|error| Box::new(error.into()))?;
        let frame = self.frame();
        if self.machine.memory.native_frames_below(frame) + 1 < next.frames() {
            return Err(Box::new(FaultKind::CallDepth));
        }
        let frames = next.frames();
        self.machine.memory.clear_native_frames(frame, frames);
        match self.execute(next, 0, [args[0], 0, 0, 0, 0], frame) {
            Ok(result) => {
                control::set32(&mut self.machine.memory, control::STATE, control::REPLACED);
                Ok(result)
            }
            Err(fault) => Ok(self.end(fault)),
        }
    }

    /// A packet load of classic BPF; outside the packet it ends the function with 0.
    fn load_packet<const N: usize>(&mut self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        let loaded = self
            .environment
            .load_packet(self.machine, offset as i32, &mut bytes[8 - N..]);
        if loaded.is_none() {
            control::set32(&mut self.machine.memory, control::STATE, control::REPLACED);
            return 0;
        }
        u64::from_be_bytes(bytes)
    }

    /// The fault of an access that rbpf refused, from its message: it has no other way to say so.
    #[cold]
    fn refused(&mut self, error: &std::io::Error) -> Box<Fault> {
        let message = error.to_string();
        let slot = number_after(&message, "insn #", 10).map(|place| self.current.slot_of(place));
        let kind = self.memory_fault(&message, slot.unwrap_or(0));
        let kind = kind.unwrap_or(FaultKind::Engine {
            engine: super::NAME,
            message,
        });
        Box::new(Fault {
            kind,
            id: self.machine.program_id(&self.current.program),
            program: self.current.program.name.clone(),
            instruction: slot.unwrap_or(0),
            registers: [None; 11],
        })
    }

    fn memory_fault(&mut self, message: &str, slot: u32) -> Option<FaultKind> {
        let access = if message.contains("memory load") {
            Access::Read
        } else {
            Access::Write
        };
        let pointer = Pointer(number_after(message, "addr 0x", 16)?);
        let size = number_after(message, "size ", 10)? as u32;
        let by = By::program(slot);
        let checked = self.machine.memory.check(pointer, size, access, by);
        checked.err().map(|kind| *kind)
    }
}

/// A run in a helper that calls functions of the program.
struct Calling<'a, 'b> {
    run: &'a mut Run<'b>,
    /// The frame pointer of the function that calls the helper.
    frame: u64,
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
        let program = Arc::clone(&self.run.current);
        with(&mut Call {
            machine: self.run.machine,
            cost: &mut self.run.cost,
            program: &program.program,
            helper,
            at,
            cpu: self.run.cpu,
            args,
        })
    }

    fn call_back(&mut self, function: Pointer, args: [u64; 5]) -> Result<u64, Ended> {
        let run = &mut *self.run;
        let program = Arc::clone(&run.current);
        let start = function.address();
        let entries = &program.entries;
        let Some(place) = entries.iter().position(|entry| entry.start == start) else {
            return Err(Ended::Kind(Box::new(FaultKind::Wild)));
        };
        let entry = entries[place];
        if run.machine.memory.native_frames_below(self.frame) < entry.depth {
            return Err(Ended::Kind(Box::new(FaultKind::CallDepth)));
        }
        if !control::charge(&mut run.machine.memory, entry.len as u64) {
            return Err(Ended::Kind(run.out_of_fuel()));
        }
        let frame = self.frame - NATIVE_STEP;
        Ok(run.execute(program, place as u64 + 1, args, frame)?)
    }
}

fn number_after(text: &str, label: &str, radix: u32) -> Option<u64> {
    let (_, rest) = text.split_once(label)?;
    let end = rest
        .find(|c: char| !c.is_digit(radix))
        .unwrap_or(rest.len());
    u64::from_str_radix(&rest[..end], radix).ok()
}
