//! Socket calls, cgroups and attachments of a world.

use std::net::IpAddr;

use twinpath_machine::{
    AttachType, Errno, HelperId, Placement, ProgramId, ProgramType, SocketId, isa,
};

use super::calls::SocketCalls;
use super::cgroup::{AttachMode, CgroupId};
use super::hook::SocketRun;
use super::options::SocketOptions;
use super::socket::Socket;
use super::types::Protocol;
use crate::context;
use crate::helpers;
use crate::net::{DeviceId, NodeId};
use crate::world::World;

/// Why a program is not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The machine has no such program.
    #[error("attach program number {}: the machine has no such program", .0.0)]
    NoProgram(ProgramId),
    /// The hook takes programs of another type.
    #[error("attach {program:?} to {hook}: it is a {kind} program")]
    WrongType {
        /// The program's name.
        program: String,
        /// Its type.
        kind: ProgramType,
        /// The hook.
        hook: AttachType,
    },
    /// The emulator does not run programs at this hook.
    #[error("attach {program:?} to {hook}: the emulator does not support this hook")]
    Unsupported {
        /// The program's name.
        program: String,
        /// The hook.
        hook: AttachType,
    },
    /// Programs of this attach type may not call a helper that the program calls.
    #[error("attach {program:?} to {hook}: programs there may not call {helper}")]
    Helper {
        /// The program's name.
        program: String,
        /// The helper.
        helper: HelperId,
        /// The hook.
        hook: AttachType,
    },
    /// The kernel would refuse.
    #[error("attach a program to {hook}: {errno}")]
    Refused {
        /// The hook.
        hook: AttachType,
        /// The kernel's error.
        errno: Errno,
    },
}

impl World {
    /// Gives a device an address, with the prefix that is on its link. Loopback devices have theirs.
    ///
    /// # Panics
    /// When the device is of another world.
    pub fn add_address(&mut self, device: DeviceId, address: IpAddr, prefix: u8) {
        let device = self.net.device(device);
        let (node, ifindex) = (device.node(), device.ifindex());
        let namespace = self.net.sockets.namespace_mut(node);
        namespace.add_address(ifindex, address, prefix);
    }

    /// Gives a namespace a number for another one, by which programs can ask for its sockets.
    pub fn set_netns_id(&mut self, node: NodeId, id: i32, other: NodeId) {
        self.net
            .sockets
            .namespace_mut(node)
            .others
            .insert(id, other);
    }

    /// Whether listeners of a namespace use SYN cookies (`net.ipv4.tcp_syncookies`): 0 for never, 1 for
    /// when their queue is full, 2 for always.
    pub fn set_syn_cookies(&mut self, node: NodeId, mode: u8) {
        self.net.sockets.namespace_mut(node).syn_cookies = mode;
    }

    /// Adds a cgroup inside another one.
    ///
    /// # Errors
    /// `ENOENT` when there is no such cgroup.
    pub fn add_cgroup(&mut self, parent: CgroupId) -> Result<CgroupId, Errno> {
        self.net.sockets.cgroups.add(parent).ok_or(Errno::ENOENT)
    }

    /// Attaches a `cgroup/sock`, `cgroup/sock_addr`, `cgroup/skb` or `sock_ops` program to a cgroup.
    ///
    /// # Errors
    /// When it is no program for that hook, or what the kernel would refuse.
    pub fn attach_cgroup(
        &mut self,
        cgroup: CgroupId,
        hook: AttachType,
        program: ProgramId,
        mode: AttachMode,
    ) -> Result<(), AttachError> {
        self.check_attach(program, hook)?;
        let done = self.net.sockets.cgroups.attach(cgroup, hook, program, mode);
        done.map_err(|errno| AttachError::Refused { hook, errno })
    }

    /// Detaches a program from a cgroup; whether it was attached.
    pub fn detach_cgroup(
        &mut self,
        cgroup: CgroupId,
        hook: AttachType,
        program: ProgramId,
    ) -> bool {
        self.net.sockets.cgroups.detach(cgroup, hook, program)
    }

    /// Attaches a `sk_lookup` program to a namespace, after those that are attached.
    ///
    /// # Errors
    /// When it is no such program.
    pub fn attach_sk_lookup(
        &mut self,
        node: NodeId,
        program: ProgramId,
    ) -> Result<(), AttachError> {
        self.check_attach(program, AttachType::SkLookup)?;
        self.net.sockets.namespace_mut(node).lookups.push(program);
        Ok(())
    }

    /// Detaches all `sk_lookup` programs from a namespace.
    pub fn detach_sk_lookups(&mut self, node: NodeId) {
        self.net.sockets.namespace_mut(node).lookups.clear();
    }

    fn check_attach(&self, id: ProgramId, hook: AttachType) -> Result<(), AttachError> {
        use AttachType as A;
        let program = self.machine.program(id).ok_or(AttachError::NoProgram(id))?;
        // What sock_ops programs may not read here only an engine can tell that knows what it reads.
        let blind = self.machine.memory.placement() == Placement::Identity;
        if matches!(
            hook,
            A::CgroupGetsockopt | A::CgroupSetsockopt | A::CgroupSysctl | A::CgroupDevice
        ) || hook == A::CgroupSockOps && blind
        {
            return Err(AttachError::Unsupported {
                program: program.name.clone(),
                hook,
            });
        }
        let filter = matches!(hook, A::CgroupInetIngress | A::CgroupInetEgress);
        let fits = match program.kind {
            ProgramType::CgroupSkb => filter,
            kind => context::layout(kind, Some(hook)).is_some(),
        };
        if !fits {
            return Err(AttachError::WrongType {
                program: program.name.clone(),
                kind: program.kind,
                hook,
            });
        }
        let mut calls = program
            .insns
            .iter()
            .filter(|insn| insn.code == isa::CALL && insn.src == 0);
        let refused = calls.find(|insn| !helpers::allows(HelperId(insn.imm as u32), hook));
        match refused {
            None => Ok(()),
            Some(insn) => Err(AttachError::Helper {
                program: program.name.clone(),
                helper: HelperId(insn.imm as u32),
                hook,
            }),
        }
    }

    /// Socket calls, as tasks of this world make them.
    pub fn sockets(&mut self) -> SocketCalls<'_> {
        self.net.expect_packets();
        SocketCalls::new(&mut self.net, &mut self.machine)
    }

    /// A socket that is open, or what is left of a connection.
    pub fn socket(&self, id: SocketId) -> Option<&Socket> {
        self.net.sockets.get(id)
    }

    /// What is set on a socket, to be changed before it is bound or connected.
    pub fn socket_options(&mut self, id: SocketId) -> Option<&mut SocketOptions> {
        self.net
            .sockets
            .get_mut(id)
            .map(|socket| &mut socket.options)
    }

    /// Says whether the task that makes calls on a socket from now on has the capabilities that
    /// [`Task::privileged`](crate::Task) is about.
    pub fn set_socket_privileged(&mut self, id: SocketId, privileged: bool) {
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.owner.privileged = privileged;
        }
    }

    /// All sockets, in the order in which they came about.
    pub fn all_sockets(&self) -> impl Iterator<Item = &Socket> {
        let sockets = self.net.sockets.iter();
        sockets.filter(|socket| socket.protocol() != Protocol::None)
    }

    /// The last run of a program at a socket's hook that nobody has taken.
    pub fn last_socket_run(&self) -> Option<&SocketRun> {
        self.net.sockets.runs.last()
    }

    /// What would have had to be done for a packet that arrived at a socket and is not supported, if there was one since
    /// this was asked last. The packet ends as dropped.
    pub fn take_unsupported(&mut self) -> Option<&'static str> {
        self.net.sockets.unsupported.take()
    }

    /// The runs of programs at sockets' hooks since this was asked last.
    pub fn take_socket_runs(&mut self) -> Vec<SocketRun> {
        std::mem::take(&mut self.net.sockets.runs)
    }
}
