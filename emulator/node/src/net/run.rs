//! One run of a program at a hook.

use twinpath_machine::engine::{Context, Engine, Invocation, Outcome};
use twinpath_machine::{
    Call, CgroupKey, Checked, Environment, Fault, FaultKind, HelperId, Machine, Pointer, ProgramId,
    ProgramType, SocketId, SocketRef,
};

use super::{DeviceId, HookKind, Hop, Net, Subject};
use crate::packet::{Skb, Xdp};
use crate::socket::View;
use crate::{context, helpers};

/// Where a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    /// The device.
    pub device: DeviceId,
    /// Where on the device's path.
    pub hook: HookKind,
}

/// What surrounds one run.
struct Scope<'a> {
    net: &'a mut Net,
    subject: &'a mut Subject,
    context: u32,
}

/// The cgroup of programs on packets, which run as `BPF_PROG_TEST_RUN` runs them: for their values, one that there is
/// during the run only.
pub(crate) const NO_CGROUP: CgroupKey = CgroupKey {
    cgroup: u64::MAX,
    attach_type: 0,
};

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

    fn socket(&mut self, machine: &Machine, pointer: Pointer) -> Option<SocketRef> {
        self.net.socket_behind(&machine.memory, pointer)
    }

    fn hold_socket(&mut self, call: &mut Call<'_>, socket: SocketId) -> Checked<u64> {
        Ok(self.net.sockets.hold(call, socket, View::Full))
    }

    fn cgroup(&mut self, _machine: &Machine) -> Option<CgroupKey> {
        Some(self.net.filtering.unwrap_or(NO_CGROUP))
    }

    fn packet_bytes(&mut self, machine: &Machine, len: u32, into: &mut Vec<u8>) -> bool {
        let bytes = self.subject.frame().slice(&machine.memory, 0, len);
        bytes.map(|bytes| into.extend_from_slice(bytes)).is_some()
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
        let found = subject.metadata();
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
            site,
            program,
            result,
            cost,
            warnings,
            frame,
            found,
            metadata: subject.metadata(),
        });
        returned
    }

    /// Runs a program on an skb at a hook.
    pub(super) fn run_skb(
        &mut self,
        machine: &mut Machine,
        program: ProgramId,
        mut skb: Skb,
        site: Site,
    ) -> (Skb, Option<i32>) {
        skb.met = Some(site);
        let mut subject = Subject::Skb(skb);
        let result = self.run(machine, program, &mut subject, site);
        match subject {
            Subject::Skb(skb) => (skb, result),
            _ => unreachable!("a run does not change the kind of its subject"),
        }
    }

    /// Runs a program on an XDP packet at a hook.
    pub(super) fn run_xdp(
        &mut self,
        machine: &mut Machine,
        program: ProgramId,
        xdp: Xdp,
        site: Site,
    ) -> (Xdp, Option<i32>) {
        let mut subject = Subject::Xdp(xdp);
        let result = self.run(machine, program, &mut subject, site);
        match subject {
            Subject::Xdp(xdp) => (xdp, result),
            _ => unreachable!("a run does not change the kind of its subject"),
        }
    }

    /// Runs a program.
    pub(crate) fn execute(
        &mut self,
        machine: &mut Machine,
        program: ProgramId,
        subject: &mut Subject,
    ) -> Result<Outcome, Box<Fault>> {
        let kind = machine.program(program).map(|program| program.kind);
        let attach = subject.attach();
        let layout = kind.and_then(|kind| context::layout(kind, attach));
        let (Some(kind), Some(layout)) = (kind, layout) else {
            return Err(unsupported(machine, program));
        };
        let context = self.next_context();
        subject.publish(&mut machine.memory, context);
        let bound = subject.bound();
        let invocation = Invocation {
            program,
            cpu: self.cpu,
            context: Context::Struct(context, layout),
            packet: subject.reach(kind),
            bound: bound.as_slice(),
        };
        let mut engine = self.enter();
        let mut scope = Scope {
            net: self,
            subject,
            context,
        };
        let outcome = engine.run(machine, &mut scope, &invocation);
        self.leave(engine);
        subject.absorb(&machine.memory, context);
        outcome
    }

    /// Where the context of the next run goes; runs nest.
    pub(crate) fn next_context(&self) -> u32 {
        self.contexts[self.level]
    }

    /// Begins a run; the engine is given back to [`Net::leave`].
    pub(crate) fn enter(&mut self) -> Box<dyn Engine> {
        if self.engines.len() == self.level {
            self.engines.push(None);
        }
        let engine = self.engines[self.level].take();
        self.level += 1;
        self.sockets.enter();
        engine.unwrap_or_else(|| (self.factory)())
    }

    /// Ends the run that `engine` was returned for.
    pub(crate) fn leave(&mut self, engine: Box<dyn Engine>) {
        self.level -= 1;
        self.sockets.leave();
        self.engines[self.level] = Some(engine);
    }
}

/// The fault of a program that the node has no context for.
#[cold]
pub(crate) fn unsupported(machine: &Machine, id: ProgramId) -> Box<Fault> {
    let program = machine.program(id);
    let what = program.map_or_else(
        || format!("program number {}", id.0),
        |program| format!("a {} program at this hook", program.kind),
    );
    let name = program.map_or("", |program| &program.name);
    Fault::before_start(name, FaultKind::Unsupported(what))
}
