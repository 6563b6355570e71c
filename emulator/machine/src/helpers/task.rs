//! Helpers that say on whose behalf a program runs (`kernel/bpf/helpers.c`).

use super::{Call, HelperId};
use crate::fault::Access;
use crate::memory::Checked;
use crate::program::ProgramType;

/// The helpers of this module. Programs on an skb ask for the class of the packet, not of the task:
/// the environment answers them.
pub(super) const HELPERS: &[HelperId] = &[
    HelperId::GET_CURRENT_PID_TGID,
    HelperId::GET_CURRENT_UID_GID,
    HelperId::GET_CURRENT_COMM,
    HelperId::GET_CURRENT_CGROUP_ID,
    HelperId::GET_CURRENT_ANCESTOR_CGROUP_ID,
    HelperId::GET_CGROUP_CLASSID,
];

/// Bytes of a task's name with its closing zero (`TASK_COMM_LEN`).
const COMM_LEN: usize = 16;

/// The task that programs see as the current one. A packet that arrives interrupts whatever ran, so
/// that the default is what an idle CPU shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The thread (`pid` in the kernel).
    pub pid: u32,
    /// The process (`tgid` in the kernel).
    pub tgid: u32,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The name, of which 15 bytes are kept; none for `swapper/` and the CPU.
    pub comm: Option<String>,
    /// The cgroups that it is in, from the root down, at least one.
    pub cgroups: Vec<u64>,
    /// The class of its cgroup v1 (`net_cls.classid`).
    pub classid: u32,
}

impl Default for Task {
    fn default() -> Self {
        Self {
            pid: 0,
            tgid: 0,
            uid: 0,
            gid: 0,
            comm: None,
            cgroups: vec![1],
            classid: 0,
        }
    }
}

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    let task = &call.machine.task;
    let two = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    Some(Ok(match call.helper {
        HelperId::GET_CURRENT_PID_TGID => two(task.tgid, task.pid),
        HelperId::GET_CURRENT_UID_GID => two(task.gid, task.uid),
        HelperId::GET_CURRENT_COMM => return Some(name(call)),
        HelperId::GET_CURRENT_CGROUP_ID => task.cgroups.last().copied().unwrap_or(0),
        HelperId::GET_CURRENT_ANCESTOR_CGROUP_ID => {
            let level = usize::try_from(call.arg(1) as i32).ok();
            let id = level.and_then(|level| task.cgroups.get(level));
            id.copied().unwrap_or(0)
        }
        HelperId::GET_CGROUP_CLASSID if !is_of_packet(call.program.kind) => u64::from(task.classid),
        _ => return None,
    }))
}

/// Whether `bpf_get_cgroup_classid` is about the packet's socket.
const fn is_of_packet(kind: ProgramType) -> bool {
    use ProgramType as P;
    matches!(
        kind,
        P::SchedCls | P::SchedAct | P::LwtIn | P::LwtOut | P::LwtXmit | P::LwtSeg6Local
    )
}

/// `bpf_get_current_comm(buf, size_of_buf)`: the name, cut to the buffer, and zeroes behind it.
fn name(call: &mut Call<'_>) -> Checked<u64> {
    let size = call.nonzero_size(2)?;
    let into = call.range(1, size, Access::Write)?;
    let machine = &mut *call.machine;
    let idle;
    let name = match &machine.task.comm {
        Some(name) => name.as_bytes(),
        None => {
            idle = format!("swapper/{}", call.cpu.0);
            idle.as_bytes()
        }
    };
    let buffer = machine.memory.raw_mut(into, size);
    let len = name.len().min(COMM_LEN - 1).min(buffer.len() - 1);
    buffer.fill(0);
    buffer[..len].copy_from_slice(&name[..len]);
    Ok(0)
}
