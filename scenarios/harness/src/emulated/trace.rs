//! Runs a plan once more to see what a program executed in one hop.

use std::sync::{Arc, Mutex, PoisonError};

use twinpath_machine::engine::{Checked, Engine, Invocation, Outcome, Step, Trace};
use twinpath_machine::isa::{Insn, class, disassemble_named, pseudo};
use twinpath_machine::{Environment, Fault, Machine, Program, ProgramId};
use twinpath_pcaps::dissect;

use super::{EmulatedError, build};
use crate::plan::Plan;
use crate::recording::Journey;
use crate::trace::{FieldWrites, HopTrace, SourceLine, TraceStep};

/// So many of the last instructions are told.
const MOST: usize = 24;

/// The end of what a program executed in a hop of the journey of a stimulus, each counted from 0, and what of it wrote to
/// these fields of the frame, as the program left it; none where there was no such hop.
///
/// # Errors
/// When the plan cannot be run.
pub fn trace(
    plan: &Plan,
    stimulus: usize,
    hop: usize,
    fields: &[&str],
) -> Result<Option<HopTrace>, EmulatedError> {
    let log = Log::default();
    let engine = log.clone();
    let factory = Box::new(move || Box::new(Traced::new(engine.clone())) as Box<dyn Engine>);
    let mut emulation = build::emulation_with(factory, plan)?;
    for earlier in plan.stimuli.iter().take(stimulus) {
        emulation.step(earlier)?;
    }
    log.take();
    let journey = match plan.stimuli.get(stimulus) {
        Some(stimulus) => emulation.step(stimulus)?,
        None => Journey::default(),
    };
    // Hops are in the order in which programs end, and so are the runs.
    let trace = log.take().into_iter().nth(hop);
    let frame = journey.hops.get(hop).map(|hop| hop.bytes.as_slice());
    let machine = &emulation.world.machine;
    Ok(trace.map(|trace| HopTrace {
        hop,
        count: trace.count,
        steps: steps(machine, &trace),
        writes: writes(machine, &trace, frame.unwrap_or_default(), fields),
    }))
}

/// The ends of what programs executed, in the order in which they ended.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<Trace>>>);

impl Log {
    fn add(&self, trace: Trace) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(trace);
    }

    fn take(&self) -> Vec<Trace> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The checked engine, with a trace of each run.
#[derive(Debug)]
struct Traced {
    engine: Checked,
    log: Log,
}

impl Traced {
    fn new(log: Log) -> Self {
        Self {
            engine: Checked::default(),
            log,
        }
    }
}

impl Engine for Traced {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn run(
        &mut self,
        machine: &mut Machine,
        environment: &mut dyn Environment,
        invocation: &Invocation<'_>,
    ) -> Result<Outcome, Box<Fault>> {
        self.engine.start_trace(MOST);
        let result = self.engine.run(machine, environment, invocation);
        self.log.add(self.engine.take_trace());
        result
    }
}

/// Tells steps one after another: a program and a source line where they are others than before.
struct Teller<'a> {
    machine: &'a Machine,
    before: Option<(ProgramId, Option<SourceLine>)>,
}

impl<'a> Teller<'a> {
    fn new(machine: &'a Machine) -> Self {
        Self {
            machine,
            before: None,
        }
    }

    fn tell(&mut self, step: &Step, registers: Vec<(String, String)>) -> Option<TraceStep> {
        let program = self.machine.program(step.program)?;
        let line = line_of(program, step.instruction);
        let before = self.before.replace((step.program, line.clone()));
        let (same_program, same_line) = before.map_or((false, false), |(program, other)| {
            (program == step.program, other == line)
        });
        Some(TraceStep {
            program: (!same_program).then(|| program.name.clone()),
            line: line.filter(|_| !same_line),
            slot: step.instruction,
            text: text_of(self.machine, program, step.instruction),
            registers,
        })
    }
}

fn steps(machine: &Machine, trace: &Trace) -> Vec<TraceStep> {
    let mut teller = Teller::new(machine);
    let nexts = trace.steps.iter().skip(1).map(Some).chain([None]);
    let steps = trace.steps.iter().zip(nexts);
    let changed =
        |step, next: Option<&Step>| next.map_or_else(Vec::new, |next| changed(machine, step, next));
    steps
        .filter_map(|(step, next)| teller.tell(step, changed(step, next)))
        .collect()
}

/// What wrote last to each of these fields that the frame has.
fn writes(machine: &Machine, trace: &Trace, frame: &[u8], fields: &[&str]) -> Vec<FieldWrites> {
    let (start, packet) = trace.packet();
    // Metadata stands before the frame.
    let mut starts = 0..=packet.len().saturating_sub(frame.len());
    let Some(metadata) = starts.find(|at| packet.get(*at..*at + frame.len()) == Some(frame)) else {
        return Vec::new();
    };
    let first = start + metadata as u32;
    let address = |byte: usize| first + byte as u32;
    let dissected = dissect::dissect(frame);
    let there = dissected
        .iter()
        .filter(|field| fields.contains(&field.path().as_str()));
    there
        .map(|field| {
            let bytes = field.bytes();
            let writes = trace.last_writes(address(bytes.start)..address(bytes.end));
            let mut teller = Teller::new(machine);
            let mut told = |step| teller.tell(step, used(machine, step));
            let last = writes
                .iter()
                .filter_map(|write| Some((write.number, told(&write.step)?)));
            FieldWrites {
                field: field.path(),
                last: last.collect(),
            }
        })
        .collect()
}

/// The registers that an instruction uses that stores.
fn used(machine: &Machine, step: &Step) -> Vec<(String, String)> {
    let program = machine.program(step.program);
    let insn = program.and_then(|program| program.insns.get(step.instruction as usize));
    let used = match insn {
        Some(insn) if insn.class() == class::ST => vec![insn.dst],
        Some(insn) if insn.class() == class::STX => vec![insn.dst, insn.src],
        _ => Vec::new(),
    };
    let register = |number: u8| {
        let register = step.registers.get(usize::from(number))?;
        Some((format!("r{number}"), register.text(machine)))
    };
    used.into_iter().filter_map(register).collect()
}

fn line_of(program: &Program, slot: u32) -> Option<SourceLine> {
    program.line_at(slot).map(|line| SourceLine {
        file: line.file.to_string(),
        line: line.line,
        text: line.text.trim().to_owned(),
    })
}

fn text_of(machine: &Machine, program: &Program, slot: u32) -> String {
    let insn = |slot: u32| program.insns.get(slot as usize).copied();
    let Some(this) = insn(slot) else {
        return String::new();
    };
    disassemble_named(
        this,
        insn(slot + 1),
        name_of(machine, program, slot, this).as_deref(),
    )
}

/// The name of what an instruction refers to.
fn name_of(machine: &Machine, program: &Program, slot: u32, insn: Insn) -> Option<String> {
    let map = || {
        let mut maps = machine.maps.iter();
        let map = maps.find(|(id, _)| id.0 == insn.imm as u32);
        map.map(|(_, map)| map.def().name.clone())
    };
    match insn.src {
        pseudo::MAP_FD if insn.is_wide() => Some(format!("map[{}]", map()?)),
        pseudo::MAP_VALUE if insn.is_wide() => Some(format!("map[{}][0]", map()?)),
        pseudo::CALL if insn.code == twinpath_machine::isa::CALL => {
            let target = (i64::from(slot) + 1 + i64::from(insn.imm)) as u32;
            program
                .function_at(target)
                .map(|function| function.name.clone())
        }
        _ => None,
    }
}

fn changed(machine: &Machine, step: &Step, next: &Step) -> Vec<(String, String)> {
    let pairs = step.registers.iter().zip(&next.registers).enumerate();
    pairs
        .filter(|(_, (before, after))| before.value != after.value)
        .map(|(number, (_, after))| (format!("r{number}"), after.text(machine)))
        .collect()
}
