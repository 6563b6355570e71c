//! One run of a program at a hook.

use twinpath_machine::engine::{Context, Engine, Invocation, Outcome};
use twinpath_machine::memory::Memory;
use twinpath_machine::{
    Call, Checked, Environment, Fault, FaultKind, HelperId, Machine, ProgramId, ProgramType,
};

use super::{DeviceId, HookKind, Hop, Metadata, Net};
use crate::packet::{Skb, Xdp};
use crate::{context, helpers};

/// The packet that a program runs on.
#[derive(Debug)]
pub(crate) enum Subject {
    Xdp(Xdp),
    Skb(Skb),
}

/// Where a program runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    pub(crate) device: DeviceId,
    pub(crate) hook: HookKind,
}

/// What surrounds one run.
struct Scope<'a> {
    net: &'a mut Net,
    subject: &'a mut Subject,
    context: u32,
}

impl Environment for Scope<'_> {
    fn provides(&self, helper: HelperId, program: ProgramType) -> bool {
        helpers::provides(helper, program)
    }

    fn helper(&mut self, call: &mut Call<'_>) -> Checked<u64> {
        helpers::call(self.net, self.subject, self.context, call)
    }

    fn load_packet(&mut self, machine: &Machine, offset: i32, into: &mut [u8]) -> Option<()> {
        self.subject.load(&machine.memory, offset, into)
    }
}

impl Net {
    /// Runs a program at a hook and records the hop. None after a fault.
    pub(crate) fn run(
        &mut self,
        machine: &mut Machine,
        program: ProgramId,
        subject: &mut Subject,
        site: Site,
    ) -> Option<i32> {
        let outcome = self.execute(machine, program, subject);
        let memory = &machine.memory;
        let frame = self.journey.keep(|into| subject.write_frame(memory, into));
        let (result, cost, warnings) = match outcome {
            Ok(outcome) => (
                Ok(outcome.result as i32),
                outcome.counted.then_some(outcome.cost),
                outcome.warnings,
            ),
            Err(fault) => (Err(fault), None, Vec::new()),
        };
        let returned = result.as_ref().ok().copied();
        self.journey.hops.push(Hop {
            device: site.device,
            hook: site.hook,
            program,
            result,
            cost,
            warnings,
            frame,
            metadata: subject.metadata(),
        });
        returned
    }

    /// Runs a program.
    pub(crate) fn execute(
        &mut self,
        machine: &mut Machine,
        program: ProgramId,
        subject: &mut Subject,
    ) -> Result<Outcome, Box<Fault>> {
        let kind = machine.program(program).map(|program| program.kind);
        let Some(layout) = kind.and_then(context::layout) else {
            return Err(unsupported(machine, program));
        };
        let context = self.contexts[self.level];
        subject.publish(&mut machine.memory, context);
        let invocation = Invocation {
            program,
            cpu: self.cpu,
            context: Context::Struct(context, layout),
            packet: Some(subject.reach()),
            bound: &[],
        };
        let mut engine = self.take_engine();
        self.level += 1;
        let mut scope = Scope {
            net: self,
            subject,
            context,
        };
        let outcome = engine.run(machine, &mut scope, &invocation);
        self.level -= 1;
        self.engines[self.level] = Some(engine);
        subject.absorb(&machine.memory, context);
        outcome
    }

    fn take_engine(&mut self) -> Box<dyn Engine> {
        if self.engines.len() == self.level {
            self.engines.push(None);
        }
        self.engines[self.level]
            .take()
            .unwrap_or_else(|| (self.factory)())
    }
}

impl Subject {
    fn publish(&self, memory: &mut Memory, context: u32) {
        match self {
            Self::Xdp(xdp) => xdp.publish(memory, context),
            Self::Skb(skb) => skb.publish(memory, context),
        }
    }

    fn absorb(&mut self, memory: &Memory, context: u32) {
        match self {
            Self::Xdp(xdp) => xdp.absorb(memory, context),
            Self::Skb(skb) => skb.absorb(memory, context),
        }
    }

    fn reach(&self) -> (u32, u32) {
        match self {
            Self::Xdp(xdp) => xdp.reach(),
            Self::Skb(skb) => skb.reach(),
        }
    }

    fn metadata(&self) -> Metadata {
        match self {
            Self::Xdp(_) => Metadata::default(),
            Self::Skb(skb) => Metadata {
                mark: skb.mark,
                priority: skb.priority,
                tc_index: skb.tc_index,
                cb: skb.cb,
                vlan: skb.vlan,
            },
        }
    }

    fn write_frame(&self, memory: &Memory, into: &mut Vec<u8>) {
        match self {
            Self::Xdp(xdp) => into.extend_from_slice(xdp.frame.bytes(memory)),
            Self::Skb(skb) => skb.write_frame(memory, skb.frame.data(), into),
        }
    }

    fn load(&self, memory: &Memory, offset: i32, into: &mut [u8]) -> Option<()> {
        match self {
            Self::Xdp(_) => None,
            Self::Skb(skb) => skb.load(memory, offset, into),
        }
    }
}

#[cold]
fn unsupported(machine: &Machine, id: ProgramId) -> Box<Fault> {
    let program = machine.program(id);
    let what = program.map_or_else(
        || format!("program number {}", id.0),
        |program| format!("a {} program at this hook", program.kind),
    );
    Box::new(Fault {
        kind: FaultKind::Unsupported(what),
        program: program
            .map(|program| program.name.clone())
            .unwrap_or_default(),
        instruction: 0,
        registers: [None; 11],
    })
}
