//! Programs at the hooks of sockets: one run of each, in the kernel's order.

use twinpath_machine::engine::{Context, Invocation, Outcome, UninitializedStack};
use twinpath_machine::memory::{Layout, Object, Pointer};
use twinpath_machine::{
    AttachType, Call, CgroupKey, Checked, Cost, Environment, Errno, Fault, HelperId, Machine,
    ProgramId, ProgramType, SocketId, SocketRef,
};

use super::callback::Callback;
use super::calls::SocketCalls;
use super::cgroup::{Attached, CgroupId};
use super::pointer::View;
use super::types::{Flow, SocketError};
use crate::context::{self, SockAddr};
use crate::helpers;
use crate::net::{Net, NodeId, unsupported};

/// One run of a program at a hook of a socket.
#[derive(Debug, Clone)]
pub struct SocketRun {
    /// The hook.
    pub hook: AttachType,
    /// The program.
    pub program: ProgramId,
    /// The namespace of the socket or the packet.
    pub node: NodeId,
    /// The socket that the call was about; none for `sk_lookup`.
    pub socket: Option<SocketId>,
    /// The cgroup that the program is attached to; none for `sk_lookup`.
    pub cgroup: Option<CgroupId>,
    /// The context before and after, in the kernel's layout; where it has pointers, guest addresses.
    pub before: Vec<u8>,
    /// See `before`.
    pub after: Vec<u8>,
    /// What the program returned, or the fault that ended it.
    pub result: Result<u32, Box<Fault>>,
    /// What the run cost, if the engine counts.
    pub cost: Option<Cost>,
    /// Reads of stack that was never written.
    pub warnings: Vec<UninitializedStack>,
}

/// Which program a run is of, and what it is about: the first fields of [`SocketRun`].
pub(super) struct Recorded {
    pub(super) hook: AttachType,
    pub(super) program: ProgramId,
    pub(super) node: NodeId,
    pub(super) socket: Option<SocketId>,
    pub(super) cgroup: Option<CgroupId>,
}

/// What a program at a socket's hook runs on.
#[derive(Debug)]
pub(crate) struct SocketSubject {
    pub(crate) hook: AttachType,
    /// The namespace of the socket or the packet.
    pub(crate) node: NodeId,
    /// The socket of the context; none for `sk_lookup`.
    pub(crate) socket: Option<SocketId>,
    /// What the call will return, so far (`bpf_set_retval`).
    pub(crate) returned: i32,
    /// What a `sk_lookup` program has chosen.
    pub(crate) choice: Choice,
    /// The flow that a `sk_lookup` program is asked about.
    pub(crate) flow: Option<Flow>,
    /// What a `sock_ops` program is told of.
    pub(crate) callback: Option<Callback>,
    pub(super) cgroup: Option<CgroupKey>,
}

/// The socket that `sk_lookup` programs have chosen for a packet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Choice {
    pub(crate) socket: Option<SocketId>,
    /// Whether it gets the packet even if it shares its port with others.
    pub(crate) alone: bool,
}

impl SocketSubject {
    pub(super) fn new(hook: AttachType, node: NodeId) -> Self {
        Self {
            hook,
            node,
            socket: None,
            returned: 0,
            choice: Choice::default(),
            flow: None,
            callback: None,
            cgroup: None,
        }
    }
}

/// What surrounds one run.
struct Scope<'a> {
    net: &'a mut Net,
    subject: &'a mut SocketSubject,
    context: u32,
}

impl Environment for Scope<'_> {
    fn provides(&self, helper: HelperId, program: ProgramType) -> bool {
        helpers::provides(helper, program)
    }

    fn helper(&mut self, call: &mut Call<'_>) -> Checked<u64> {
        helpers::call_socket(self.net, self.subject, self.context, call)
    }

    fn socket(&mut self, machine: &Machine, pointer: Pointer) -> Option<SocketRef> {
        if self.subject.is_sock() && pointer == machine.memory.context() {
            let id = self.subject.socket?;
            return Some(SocketRef { id, full: true });
        }
        self.net.socket_behind(&machine.memory, pointer)
    }

    fn context_socket(&mut self, _machine: &Machine) -> Option<SocketId> {
        let callback = self.subject.callback?;
        self.subject.socket.filter(|_| callback.lets_into_map())
    }

    fn hold_socket(&mut self, call: &mut Call<'_>, socket: SocketId) -> Checked<u64> {
        Ok(self.net.sockets.hold(call, socket, View::Full))
    }

    fn cgroup(&mut self, _machine: &Machine) -> Option<CgroupKey> {
        self.subject.cgroup
    }
}

/// What the programs at a hook of a cgroup decided.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Verdict {
    /// Upper bits of what they returned.
    pub(super) flags: u32,
}

impl SocketCalls<'_> {
    /// Runs the programs of a socket's cgroup at a hook (`bpf_prog_run_array_cg`), for the task that the
    /// socket is of. `address` is what `cgroup/sock_addr` programs see and may change.
    pub(super) fn run_cgroup(
        &mut self,
        id: SocketId,
        hook: AttachType,
        address: Option<&mut SockAddr>,
    ) -> Result<Verdict, SocketError> {
        let Some(socket) = self.net.sockets.get(id) else {
            return Err(Errno::EBADF.into());
        };
        let owner = socket.owner;
        let cgroups = &self.net.sockets.cgroups;
        let path = (0..).map_while(|level| cgroups.ancestor(owner.cgroup, level));
        let task = twinpath_machine::Task {
            uid: owner.uid,
            cgroups: path.map(|cgroup| cgroup.0).collect(),
            ..self.machine.task.clone()
        };
        let outer = std::mem::replace(&mut self.machine.task, task);
        let verdict = self.run_effective(id, hook, owner.cgroup, address);
        self.machine.task = outer;
        verdict
    }

    /// Runs the programs that a cgroup has at a hook.
    fn run_effective(
        &mut self,
        id: SocketId,
        hook: AttachType,
        cgroup: CgroupId,
        mut address: Option<&mut SockAddr>,
    ) -> Result<Verdict, SocketError> {
        let Some(socket) = self.net.sockets.get(id) else {
            return Err(Errno::EBADF.into());
        };
        let mut subject = SocketSubject::new(hook, socket.node());
        subject.socket = Some(id);
        let has_flags = matches!(
            hook,
            AttachType::CgroupInet4Bind | AttachType::CgroupInet6Bind
        );
        let mut flags = 0;
        for attached in self.net.sockets.cgroups.effective(cgroup, hook) {
            let returned = self.run_attached(attached, &mut subject, address.as_deref_mut());
            let mut returned = returned.map_err(SocketError::Fault)?;
            if has_flags {
                flags |= returned >> 1;
                returned &= 1;
            }
            if returned == 0 && !is_error(subject.returned) {
                subject.returned = -Errno::EPERM.get();
            }
        }
        match subject.returned {
            0 => Ok(Verdict { flags }),
            returned if returned > 0 => Err(SocketError::Returned(returned)),
            returned => {
                let errno = Errno::from_raw(returned.saturating_neg());
                Err(errno.unwrap_or(Errno::EINVAL).into())
            }
        }
    }

    /// One program of a cgroup, with its context before and after.
    fn run_attached(
        &mut self,
        attached: Attached,
        subject: &mut SocketSubject,
        address: Option<&mut SockAddr>,
    ) -> Result<u32, Box<Fault>> {
        subject.cgroup = Some(attached.key(subject.hook));
        let at = self.net.next_context();
        let id = subject.socket.unwrap_or(SocketId(0));
        let memory = &mut self.machine.memory;
        let object = self.net.sockets.object(memory, id, View::Full);
        if let Some(socket) = self.net.sockets.get(id) {
            match &address {
                Some(address) => address.write(memory, at, socket, object.base),
                None => context::write_sock(memory, at, socket),
            }
        }
        let result = self.run_recorded(attached.program, subject, &[object]);
        match address {
            Some(address) => address.read(&self.machine.memory, at),
            None if subject.is_open() => {
                if let Some(socket) = self.net.sockets.get_mut(id) {
                    context::read_sock(&self.machine.memory, at, socket);
                }
            }
            None => {}
        }
        result
    }

    /// Runs a program whose context is written, and records it.
    pub(super) fn run_recorded(
        &mut self,
        program: ProgramId,
        subject: &mut SocketSubject,
        bound: &[Object],
    ) -> Result<u32, Box<Fault>> {
        let at = self.net.next_context();
        let (hook, node, socket) = (subject.hook, subject.node, subject.socket);
        let kind = self.machine.program(program).map(|program| program.kind);
        let Some(layout) = kind.and_then(|kind| context::layout(kind, Some(hook))) else {
            return Err(unsupported(self.machine, program));
        };
        let by = Recorded {
            hook,
            program,
            node,
            socket,
            cgroup: subject.cgroup.map(|key| CgroupId(key.cgroup)),
        };
        self.record(by, (at, layout.size), |calls| {
            calls.run_program(program, subject, (at, layout), bound)
        })
    }

    /// Runs a program, and records its context (address and bytes) before and after.
    pub(super) fn record(
        &mut self,
        by: Recorded,
        (at, size): (u32, u32),
        run: impl FnOnce(&mut Self) -> Result<Outcome, Box<Fault>>,
    ) -> Result<u32, Box<Fault>> {
        let before = self.machine.memory.raw(at, size).to_vec();
        let outcome = run(self);
        let after = self.machine.memory.raw(at, size).to_vec();
        let (result, cost, warnings) = match outcome {
            Ok(outcome) => (
                Ok(outcome.result as u32),
                outcome.counted.then_some(outcome.cost),
                outcome.warnings,
            ),
            Err(fault) => (Err(fault), None, Vec::new()),
        };
        self.net.sockets.runs.push(SocketRun {
            hook: by.hook,
            program: by.program,
            node: by.node,
            socket: by.socket,
            cgroup: by.cgroup,
            before,
            after,
            result: result.clone(),
            cost,
            warnings,
        });
        result
    }

    fn run_program(
        &mut self,
        program: ProgramId,
        subject: &mut SocketSubject,
        (context, layout): (u32, &'static Layout),
        bound: &[Object],
    ) -> Result<Outcome, Box<Fault>> {
        let invocation = Invocation {
            program,
            cpu: self.net.cpu,
            context: Context::Struct(context, layout),
            packet: None,
            bound,
        };
        let mut engine = self.net.enter();
        let mut scope = Scope {
            net: self.net,
            subject,
            context,
        };
        let outcome = engine.run(self.machine, &mut scope, &invocation);
        self.net.leave(engine);
        outcome
    }
}

impl SocketSubject {
    /// Whether the context is the socket itself (`struct bpf_sock`).
    pub(crate) fn is_sock(&self) -> bool {
        matches!(
            self.hook,
            AttachType::CgroupInetSockCreate
                | AttachType::CgroupInetSockRelease
                | AttachType::CgroupInet4PostBind
                | AttachType::CgroupInet6PostBind
        )
    }

    /// Whether the program may write the socket's fields.
    fn is_open(&self) -> bool {
        matches!(
            self.hook,
            AttachType::CgroupInetSockCreate | AttachType::CgroupInetSockRelease
        )
    }
}

/// `IS_ERR_VALUE`
fn is_error(returned: i32) -> bool {
    const MAX_ERRNO: i32 = 4095;
    (-MAX_ERRNO..0).contains(&returned)
}
