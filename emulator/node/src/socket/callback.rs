//! What `sock_ops` programs of a cgroup are told of its TCP sockets (`tcp_call_bpf`, `bpf_skops_established`).

use twinpath_machine::{AttachType, Fault, FaultKind, SocketId, Task};

use super::calls::SocketCalls;
use super::hook::SocketSubject;
use super::pointer::View;
use crate::context;

/// What happens to a socket (`BPF_SOCK_OPS_*`). Others need segments, or flags that programs cannot set here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callback {
    /// How long to wait for an answer to the first segment; what is replied changes nothing here.
    TimeoutInit = 1,
    /// How large the first window is, likewise.
    WindowInit = 2,
    Connect = 3,
    ActiveEstablished = 4,
    PassiveEstablished = 5,
    /// Whether congestion control wants ECN, likewise.
    NeedsEcn = 6,
    Listen = 11,
}

impl Callback {
    /// Whether the socket may be put into a map now (`sock_map_op_okay`).
    pub(crate) fn lets_into_map(self) -> bool {
        matches!(
            self,
            Self::ActiveEstablished | Self::PassiveEstablished | Self::Listen
        )
    }
}

/// `BPF_SOCK_OPS_RTO_CB_FLAG`, `BPF_SOCK_OPS_RETRANS_CB_FLAG`
const TIMERS: u32 = 1 | 2;

impl SocketCalls<'_> {
    /// Runs the programs of a socket's cgroup, for the task of the socket that made the call. Of a request
    /// they see no full socket.
    pub(super) fn call_back(
        &mut self,
        id: SocketId,
        by: SocketId,
        callbacks: &[Callback],
    ) -> Result<(), Box<Fault>> {
        let hook = AttachType::CgroupSockOps;
        let sockets = &self.net.sockets;
        let (Some(socket), Some(caller)) = (sockets.get(id), sockets.get(by)) else {
            return Ok(());
        };
        let programs = sockets.cgroups.effective(socket.owner.cgroup, hook);
        let Some(first) = programs.first() else {
            return Ok(());
        };
        // Those of timers never come, for no segment is lost.
        if socket.options.callbacks() & !TIMERS != 0 {
            let program = self.machine.program(first.program);
            let name = program.map_or("", |program| &program.name);
            let what = "a callback that TCP_BPF_SOCK_OPS_CB_FLAGS asks for".to_owned();
            return Err(Fault::before_start(name, FaultKind::Unsupported(what)));
        }
        let owner = caller.owner;
        let cgroups = &self.net.sockets.cgroups;
        let path = (0..).map_while(|level| cgroups.ancestor(owner.cgroup, level));
        let task = Task {
            uid: owner.uid,
            cgroups: path.map(|cgroup| cgroup.0).collect(),
            ..self.machine.task.clone()
        };
        let outer = std::mem::replace(&mut self.machine.task, task);
        let mut done = Ok(());
        for callback in callbacks {
            let mut reply = 0;
            for attached in &programs {
                done = done.and_then(|()| self.tell(id, *attached, *callback, &mut reply));
            }
        }
        self.machine.task = outer;
        done
    }

    fn tell(
        &mut self,
        id: SocketId,
        attached: super::cgroup::Attached,
        callback: Callback,
        reply: &mut u32,
    ) -> Result<(), Box<Fault>> {
        let Some(socket) = self.net.sockets.get(id) else {
            return Ok(());
        };
        let mut subject = SocketSubject::new(AttachType::CgroupSockOps, socket.node());
        subject.callback = Some(callback);
        subject.socket = Some(id);
        subject.cgroup = Some(attached.key(subject.hook));
        let at = self.net.next_context();
        let memory = &mut self.machine.memory;
        let object = self.net.sockets.object(memory, id, View::Full);
        let is_full = socket.state.is_full();
        let sk = is_full.then_some(object.base);
        context::write_sock_ops(memory, at, (callback, *reply), socket, sk);
        let bound = [object];
        let bound = if is_full { &bound[..] } else { &[] };
        let result = self.run_recorded(attached.program, &mut subject, bound);
        *reply = context::read_reply(&self.machine.memory, at);
        result.map(drop)
    }
}
