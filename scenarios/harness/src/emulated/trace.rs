//! Runs a plan once more to see what a program executed in one hop.

use std::sync::{Arc, Mutex, PoisonError};

use twinpath_machine::engine::{Checked, Engine, Invocation, Outcome, Step, Trace};
use twinpath_machine::isa::{Insn, disassemble_named, pseudo};
use twinpath_machine::{Environment, Fault, Machine, Program};

use super::{EmulatedError, Emulation, build};
use crate::plan::Plan;
use crate::trace::{HopTrace, SourceLine, TraceStep};

/// So many of the last instructions are told.
const MOST: usize = 24;

/// The end of what a program executed in a hop of the journey of a stimulus, each counted from 0; none where there was
/// no such hop.
///
/// # Errors
/// When the plan cannot be run.
pub fn trace(plan: &Plan, stimulus: usize, hop: usize) -> Result<Option<HopTrace>, EmulatedError> {
    let log = Log::default();
    let engine = log.clone();
    let factory = Box::new(move || Box::new(Traced::new(engine.clone())) as Box<dyn Engine>);
    let mut emulation = build::emulation_with(factory, plan)?;
    for earlier in plan.stimuli.iter().take(stimulus) {
        emulation.step(earlier)?;
    }
    log.take();
    if let Some(stimulus) = plan.stimuli.get(stimulus) {
        emulation.step(stimulus)?;
    }
    // Hops are in the order in which programs end, and so are the runs.
    let trace = log.take().into_iter().nth(hop);
    Ok(trace.map(|trace| told(&emulation, hop, &trace)))
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

fn told(emulation: &Emulation, hop: usize, trace: &Trace) -> HopTrace {
    let machine = &emulation.world.machine;
    let mut steps = Vec::new();
    let mut before: Option<(&Step, Option<SourceLine>)> = None;
    let nexts = trace.steps.iter().skip(1).map(Some).chain([None]);
    for (step, next) in trace.steps.iter().zip(nexts) {
        let Some(program) = machine.program(step.program) else {
            continue;
        };
        let line = line_of(program, step.instruction);
        let is_new = before.as_ref().is_none_or(|(_, other)| *other != line);
        let same_program = before.as_ref().map(|(step, _)| step.program) == Some(step.program);
        steps.push(TraceStep {
            program: (!same_program).then(|| program.name.clone()),
            line: line.clone().filter(|_| is_new),
            slot: step.instruction,
            text: text_of(machine, program, step.instruction),
            changed: next.map_or_else(Vec::new, |next| changed(machine, step, next)),
        });
        before = Some((step, line));
    }
    HopTrace {
        hop,
        count: trace.count,
        steps,
    }
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
