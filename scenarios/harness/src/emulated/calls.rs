//! Socket calls of a plan, made in the emulator.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use twinpath_machine::{AttachType, Errno, ProgramId, SocketId};
use twinpath_node::{
    AttachMode, CgroupId, Connected, NodeId, Protocol, Reach, Socket, SocketError, SocketRun,
    State, Task, World,
};

use super::record::{explain, warn};
use super::{EmulatedError, Emulation, unknown};
use crate::plan::{NodeName, NodePlan, SocketName};
use crate::recording::{Journey, ProgramFault, SocketHop};
use crate::socket::{CallResult, Called, SocketCall, SocketSetting};

/// How many connections may wait for `accept()`.
const BACKLOG: u32 = 8;
/// Bytes that one call receives at most.
const ROOM: usize = 2048;

/// The tasks that make calls, one on each node and in each pod that has a namespace, and their sockets.
#[derive(Debug, Default)]
pub(super) struct Callers {
    tasks: BTreeMap<NodeName, Caller>,
    /// Whose tasks are in a cgroup.
    cgroups: BTreeMap<CgroupId, NodeName>,
    sockets: BTreeMap<SocketName, SocketId>,
}

/// A task with the privileges of root, alone in a cgroup.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(Task);

impl Callers {
    /// Adds the task of a node.
    pub(super) fn add(
        &mut self,
        world: &mut World,
        name: &NodeName,
        node: NodeId,
    ) -> Result<Caller, EmulatedError> {
        let cgroup = world.add_cgroup(CgroupId::ROOT);
        let cgroup = cgroup.map_err(|_| unknown("cgroup", &"the root"))?;
        let caller = Caller(Task {
            node,
            cgroup,
            uid: 0,
            privileged: true,
        });
        self.tasks.insert(name.clone(), caller);
        self.cgroups.insert(cgroup, name.clone());
        Ok(caller)
    }

    /// Adds the task of a pod, in the cgroup of the node that it is on.
    pub(super) fn add_pod(
        &mut self,
        name: &NodeName,
        node: NodeId,
        host: &NodeName,
    ) -> Result<(), EmulatedError> {
        let Caller(task) = *self.tasks.get(host).ok_or_else(|| unknown("node", host))?;
        self.tasks
            .insert(name.clone(), Caller(Task { node, ..task }));
        Ok(())
    }

    /// The node whose program ran at a socket.
    fn attached_at(&self, run: &SocketRun) -> NodeName {
        let by_cgroup = run.cgroup.and_then(|cgroup| self.cgroups.get(&cgroup));
        let by_node = || {
            let mut tasks = self.tasks.iter();
            let found = tasks.find(|(_, Caller(task))| task.node == run.node);
            found.map(|(name, _)| name)
        };
        by_cgroup
            .or_else(by_node)
            .map_or_else(NodeName::only, Clone::clone)
    }
}

impl Caller {
    /// Attaches a program after those that are there: to the task's cgroup, or to its node.
    pub(super) fn attach(
        self,
        world: &mut World,
        hook: AttachType,
        program: ProgramId,
    ) -> Result<(), EmulatedError> {
        match hook {
            AttachType::SkLookup => world.attach_sk_lookup(self.0.node, program)?,
            hook => world.attach_cgroup(self.0.cgroup, hook, program, AttachMode::Multi)?,
        }
        Ok(())
    }
}

/// Why a call gave nothing.
enum Ended {
    /// It failed.
    Call(SocketError),
    /// The emulator cannot tell what it would have given.
    Unsupported(&'static str),
}

impl From<SocketError> for Ended {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Unsupported(what) => Self::Unsupported(what),
            error => Self::Call(error),
        }
    }
}

impl From<Errno> for Ended {
    fn from(errno: Errno) -> Self {
        Self::Call(errno.into())
    }
}

const FOR_ALL: Ended = Ended::Unsupported("datagrams of sockets to groups and to everybody");

impl Emulation {
    /// A call happens, and everything that it causes.
    pub(super) fn call(
        &mut self,
        node: &NodeName,
        name: &SocketName,
        call: &SocketCall,
    ) -> Result<Journey, EmulatedError> {
        let refused = |what| EmulatedError::Sockets {
            call: call.line(name),
            what,
        };
        let plan = self.plan.node(node).ok_or_else(|| unknown("node", node))?;
        if let Some(what) = unsupported(plan) {
            return Err(refused(what));
        }
        let made = self.make(node, name, call);
        let called = match made {
            Ok(called) => called,
            Err(Ended::Unsupported(what)) => return Err(refused(what)),
            Err(Ended::Call(error)) => Called::just(self.failed(error)),
        };
        let subject = match call {
            SocketCall::Accept(new) if called.result == CallResult::Done => new,
            _ => name,
        };
        let journey = self.world.take_journey();
        Ok(Journey {
            called: Some(self.with_addresses(subject, called)),
            ..self.recorded(&journey)?
        })
    }

    /// Of a connection that was only begun when the call returned, what has come of it when all is quiet. One that nobody
    /// has answered is given up; its addresses are those that it would have had.
    pub(super) fn follow_up(
        &mut self,
        name: &SocketName,
        call: &SocketCall,
        journey: &mut Journey,
    ) -> Result<(), EmulatedError> {
        let (SocketCall::Connect(to), Some(called)) = (call, &journey.called) else {
            return Ok(());
        };
        let Some(id) = self.callers.sockets.get(name).copied() else {
            return Ok(());
        };
        if !called.is_under_way() {
            return Ok(());
        }
        let mut sockets = self.world.sockets();
        let connected = sockets.connect(id, *to);
        let result = match connected.map_err(|error| error.errno()) {
            Ok(_) => CallResult::Done,
            Err(Some(Errno::EALREADY)) => CallResult::Failed(Errno::EINPROGRESS),
            Err(Some(errno)) => CallResult::Failed(errno),
            Err(None) => return Ok(()),
        };
        let mut called = self.with_addresses(name, Called::just(result));
        // A connection of which nothing has come has no segments to end it.
        if called.is_under_way()
            && let Err(error) = self.world.sockets().disconnect(id)
        {
            called = Called::just(self.failed(error));
        }
        journey.called = Some(called);
        Ok(())
    }

    /// What programs at sockets did since this was asked last, with their warnings kept. What else they did shows in what
    /// they tell.
    pub(super) fn socket_hops(&mut self) -> Vec<SocketHop> {
        let runs = self.world.take_socket_runs();
        let machine = &self.world.machine;
        let warnings = runs.iter().flat_map(|run| &run.warnings);
        self.warnings
            .extend(warnings.map(|warning| warn(machine, warning)));
        let hop = |run: &SocketRun| SocketHop {
            node: self.callers.attached_at(run),
            hook: run.hook,
            program: machine
                .program(run.program)
                .map(|program| program.name.clone())
                .unwrap_or_default(),
            returned: match &run.result {
                Ok(code) => Ok(*code as i32),
                Err(fault) => Err(explain(machine, run.program, fault)),
            },
            cost: run.cost.map(Into::into),
        };
        runs.iter().map(hop).collect()
    }

    /// The end of a call that gave nothing.
    fn failed(&self, error: SocketError) -> CallResult {
        match error {
            SocketError::Errno(errno) => CallResult::Failed(errno),
            SocketError::Returned(number) => CallResult::Returned(number),
            SocketError::Unsupported(what) => CallResult::Fault(ProgramFault(what.to_owned())),
            SocketError::Fault(fault) => {
                let program = self.world.last_socket_run().map(|run| run.program);
                let program = program.unwrap_or(ProgramId(u32::MAX));
                CallResult::Fault(explain(&self.world.machine, program, &fault))
            }
        }
    }

    fn make(
        &mut self,
        node: &NodeName,
        name: &SocketName,
        call: &SocketCall,
    ) -> Result<Called, Ended> {
        if let SocketCall::Open(family, protocol) = call {
            self.close(name)?;
            let task = self.callers.tasks.get(node).ok_or(Errno::EBADF)?.0;
            let socket = self.world.sockets().open(task, *family, *protocol)?;
            self.callers.sockets.insert(name.clone(), socket);
            return Ok(Called::just(CallResult::Done));
        }
        let id = self
            .callers
            .sockets
            .get(name)
            .copied()
            .ok_or(Errno::EBADF)?;
        let protocol = self.world.socket(id).map(Socket::protocol);
        let tcp = protocol == Some(Protocol::Tcp);
        let mut called = Called::just(CallResult::Done);
        let mut sockets = self.world.sockets();
        match call {
            SocketCall::Open(..) => {}
            SocketCall::Set(setting) => self.set(id, *setting)?,
            SocketCall::Bind(address) => sockets.bind(id, *address)?,
            SocketCall::Listen => sockets.listen(id, BACKLOG)?,
            SocketCall::Connect(address) => match sockets.connect(id, *address)? {
                Connected::Done => {}
                Connected::Waiting => return Err(Errno::EINPROGRESS.into()),
            },
            SocketCall::Disconnect => sockets.disconnect(id)?,
            SocketCall::Accept(new) => {
                let accepted = sockets.accept(id)?;
                self.close(new)?;
                self.callers.sockets.insert(new.clone(), accepted);
            }
            SocketCall::Send { bytes, .. } if tcp => sockets.write(id, bytes)?,
            SocketCall::Send { to, bytes } => {
                if sockets.send(id, *to, bytes)?.reach == Reach::Beyond {
                    return Err(FOR_ALL);
                }
            }
            SocketCall::Receive if tcp => called.received = Some(sockets.read(id, ROOM)?),
            SocketCall::Receive => {
                let datagram = sockets.receive(id)?;
                called.address = Some(datagram.from);
                called.received = Some(datagram.bytes);
            }
            SocketCall::Shutdown(how) => sockets.shutdown(id, *how)?,
            SocketCall::LocalName => called.address = Some(sockets.local_name(id)?),
            SocketCall::PeerName => called.address = Some(sockets.peer_name(id)?),
            SocketCall::Put { map, key } => self.put(node, id, map, key)?,
            SocketCall::Close => self.close(name)?,
        }
        Ok(called)
    }

    /// Puts a socket into a map of its node, if its state allows it (`sock_map_sk_state_allowed`).
    fn put(&mut self, node: &NodeName, id: SocketId, map: &str, key: &[u8]) -> Result<(), Ended> {
        let host = self.plan.host_of(node);
        let mut maps = self.maps.iter();
        let store = maps.find(|(name, _)| name.node == *host && name.map == map);
        let (_, store) = store.ok_or(Ended::Unsupported("maps that the node's objects lack"))?;
        let socket = self.world.socket(id).ok_or(Errno::EBADF)?;
        let allowed = match socket.protocol() {
            Protocol::Tcp => matches!(
                socket.state(),
                State::Established | State::CloseWait | State::Listen
            ),
            _ => true,
        };
        if !allowed {
            return Err(Errno::EOPNOTSUPP.into());
        }
        Ok(self.world.machine.maps[*store].set_socket(key, id, 0)?)
    }

    /// Closes the socket of a name, if there is one.
    fn close(&mut self, name: &SocketName) -> Result<(), SocketError> {
        match self.callers.sockets.remove(name) {
            Some(id) => self.world.sockets().close(id),
            None => Ok(()),
        }
    }

    fn set(&mut self, id: SocketId, setting: SocketSetting) -> Result<(), Errno> {
        let options = self.world.socket_options(id).ok_or(Errno::EBADF)?;
        match setting {
            SocketSetting::ReuseAddress => options.reuse_address = true,
            SocketSetting::ReusePort => options.reuse_port = true,
            SocketSetting::V6Only => options.v6_only = true,
            SocketSetting::Broadcast => options.broadcast = true,
            SocketSetting::Mark(mark) => options.mark = mark,
        }
        Ok(())
    }

    /// Adds the addresses that the kernel lists for a socket (`tcp4_seq_show`, `udp4_seq_show`): it lists those that
    /// receive.
    fn with_addresses(&self, name: &SocketName, called: Called) -> Called {
        let id = self.callers.sockets.get(name);
        let socket = id.and_then(|id| self.world.socket(*id));
        let is_there = |address: &SocketAddr| address.port() != 0;
        let listed = socket.filter(|socket| match socket.protocol() {
            Protocol::Tcp => socket.state() != State::Closed,
            _ => true,
        });
        Called {
            local: listed.map(Socket::local).filter(is_there),
            peer: listed.map(Socket::remote).filter(is_there),
            ..called
        }
    }
}

/// What sockets would need on such a node.
fn unsupported(node: &NodePlan) -> Option<&'static str> {
    let down = !node.settings.loopback;
    down.then_some("sockets on a node without a loopback device that is up")
}
