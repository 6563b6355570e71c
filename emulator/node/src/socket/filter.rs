//! `cgroup/skb` programs at datagrams (`__cgroup_bpf_run_filter_skb`): on the way out of the sender's cgroup, and on
//! the way into the receiver's.

use std::net::SocketAddr;

use twinpath_machine::{AttachType, Errno, Fault, FaultKind, ProgramType, SocketId};

use super::calls::SocketCalls;
use super::cgroup::Attached;
use super::hook::Recorded;
use super::transmit::Marks;
use super::types::{Protocol, SocketError, State};
use crate::context;
use crate::net::Subject;
use crate::packet::Skb;

/// What programs make of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    Goes,
    /// It is lost, of which the sender may hear.
    Lost(Option<Errno>),
}

impl SocketCalls<'_> {
    /// Refuses a call whose packets are none here, when programs would meet them.
    pub(super) fn refuse_filters(&self, id: SocketId, what: &str) -> Result<(), SocketError> {
        let sockets = &self.net.sockets;
        let Some(socket) = sockets.get(id) else {
            return Ok(());
        };
        let hooks = [AttachType::CgroupInetEgress, AttachType::CgroupInetIngress];
        let met = |hook| sockets.cgroups.effective(socket.owner.cgroup, hook);
        match hooks.into_iter().flat_map(met).next() {
            None => Ok(()),
            Some(attached) => {
                let program = self.machine.program(attached.program);
                let name = program.map_or("", |program| &program.name);
                let kind = FaultKind::Unsupported(format!("a cgroup/skb program at {what}"));
                Err(SocketError::Fault(Fault::before_start(name, kind)))
            }
        }
    }

    /// The same for segments between a socket and the other end of its connection on the same node.
    pub(super) fn refuse_segments(&self, id: SocketId) -> Result<(), SocketError> {
        let socket = self.net.sockets.get(id);
        if socket.is_some_and(|socket| socket.sequence.is_some()) {
            return Ok(());
        }
        let peer = socket.and_then(|socket| socket.peer);
        let mut ends = std::iter::once(id).chain(peer);
        ends.try_for_each(|id| self.refuse_filters(id, "a segment of TCP"))
    }

    /// The same for what the end of a socket sends: the end of the connection, or a reset.
    pub(super) fn refuse_end(&self, id: SocketId) -> Result<(), SocketError> {
        let socket = self.net.sockets.get(id);
        let Some(socket) = socket.filter(|socket| socket.protocol == Protocol::Tcp) else {
            return Ok(());
        };
        match socket.state {
            State::Established | State::SynReceived | State::CloseWait => self.refuse_segments(id),
            State::FinWait1 | State::FinWait2 if !socket.stream.is_empty() => {
                self.refuse_segments(id)
            }
            State::Listen => {
                let mut waiting = socket.accepted.iter();
                waiting.try_for_each(|child| self.refuse_segments(*child))
            }
            _ => Ok(()),
        }
    }

    /// Asks the programs of a socket's cgroup about a datagram between sockets of one node, as loopback carries it.
    pub(super) fn filter(
        &mut self,
        id: SocketId,
        hook: AttachType,
        ends: (SocketAddr, SocketAddr),
        marks: Marks,
        bytes: &[u8],
    ) -> Result<Passage, SocketError> {
        if !self.has_filters(id, hook) {
            return Ok(Passage::Goes);
        }
        let mut skb = self.datagram(marks, None, ends, bytes)?;
        if hook == AttachType::CgroupInetIngress {
            skb.ingress = skb.ifindex;
        }
        let (skb, passage) = self.filter_packet(id, hook, skb);
        skb.frame.free(&mut self.net.pool);
        passage
    }

    /// Whether a socket's cgroup has programs at a hook.
    pub(super) fn has_filters(&self, id: SocketId, hook: AttachType) -> bool {
        !self.filters(id, hook).is_empty()
    }

    /// The programs of a socket's cgroup at a hook.
    fn filters(&self, id: SocketId, hook: AttachType) -> Vec<Attached> {
        let sockets = &self.net.sockets;
        sockets.get(id).map_or_else(Vec::new, |socket| {
            sockets.cgroups.effective(socket.owner.cgroup, hook)
        })
    }

    /// Asks the programs of a socket's cgroup about a packet that it sends or gets, which begins with its network
    /// header. It shows that socket to them, and afterwards the one that it showed before.
    pub(super) fn filter_packet(
        &mut self,
        id: SocketId,
        hook: AttachType,
        mut skb: Skb,
    ) -> (Skb, Result<Passage, SocketError>) {
        let programs = self.filters(id, hook);
        if programs.is_empty() {
            return (skb, Ok(Passage::Goes));
        }
        let (socket, owner, cb) = (skb.socket, skb.owner, skb.cb);
        self.net.show_socket(self.machine, id, &mut skb);
        let is_egress = hook == AttachType::CgroupInetEgress;
        let (mut passes, mut flags) = (true, 0);
        let mut subject = Subject::Skb(skb);
        let mut fault = None;
        for attached in programs {
            let returned = match self.run_filter(id, hook, attached, &mut subject) {
                Ok(returned) => returned,
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            };
            if is_egress {
                flags |= returned >> 1;
            }
            let verdict = if is_egress { returned & 1 } else { returned };
            passes &= verdict != 0;
        }
        let Subject::Skb(mut skb) = subject else {
            unreachable!("a program leaves what it runs on in its kind");
        };
        // bpf_prog_run_save_cb
        (skb.socket, skb.owner, skb.cb) = (socket, owner, cb);
        // A connection sends less at once then (`tcp_enter_cwr`).
        let socket = self.net.sockets.get(id);
        if flags & 1 != 0 && socket.is_some_and(|socket| socket.protocol == Protocol::Tcp) {
            self.net.sockets.unsupported = Some("programs that tell a connection of congestion");
        }
        // With the bit for congestion the sender is told nothing of a loss.
        let passage = match (fault, passes, flags & 1) {
            (Some(fault), ..) => Err(SocketError::Fault(fault)),
            (None, true, _) => Ok(Passage::Goes),
            (None, false, 0) if is_egress => Ok(Passage::Lost(Some(Errno::EPERM))),
            (None, false, _) => Ok(Passage::Lost(None)),
        };
        (skb, passage)
    }

    fn run_filter(
        &mut self,
        id: SocketId,
        hook: AttachType,
        attached: Attached,
        subject: &mut Subject,
    ) -> Result<u32, Box<Fault>> {
        let Some(socket) = self.net.sockets.get(id) else {
            return Ok(1);
        };
        let node = socket.node();
        let at = self.net.next_context();
        let size = context::layout(ProgramType::CgroupSkb, None).map_or(0, |layout| layout.size);
        subject.publish(&mut self.machine.memory, at);
        let by = Recorded {
            hook,
            program: attached.program,
            node,
            socket: Some(id),
            cgroup: Some(attached.cgroup),
        };
        self.record(by, (at, size), |calls| {
            calls.net.filtering = Some(attached.key(hook));
            let outcome = calls.net.execute(calls.machine, attached.program, subject);
            calls.net.filtering = None;
            outcome
        })
    }
}
