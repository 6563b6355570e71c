//! Programs as a machine holds them.

use std::sync::Arc;

use crate::isa::{Decoded, Insn};
use crate::object::AttachType;
use crate::uapi::uapi_enum;

/// A program of a machine, by order of loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgramId(pub u32);

/// A loaded program: one entry point with all functions that it can call.
#[derive(Debug)]
pub struct Program {
    /// The entry function's name.
    pub name: String,
    /// The ELF section that it came from, such as `xdp` or `classifier`.
    pub section: String,
    /// The type, which decides context, helpers and verdicts.
    pub kind: ProgramType,
    /// The place that the section's name gives it, such as an entry of a devmap.
    pub attach: Option<AttachType>,
    /// The instructions; pseudo sources refer to the machine's maps by [`MapId`](crate::MapId).
    pub insns: Vec<Insn>,
    /// The same for the checked engine.
    pub decoded: Decoded,
    /// Where the instructions come from, by ascending slot; empty without BTF line info.
    pub lines: Vec<Line>,
    /// The functions, by ascending slot; the entry first.
    pub functions: Vec<Function>,
}

/// A source line of a program, which goes on to the next one's slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The first slot.
    pub slot: u32,
    /// The file's path as the compiler saw it.
    pub file: Arc<str>,
    /// From 1; 0 when unknown.
    pub line: u32,
    /// From 1; 0 when unknown.
    pub column: u32,
    /// The line's text; empty when the compiler left it out.
    pub text: Arc<str>,
}

/// A function of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The first slot.
    pub slot: u32,
    /// The name.
    pub name: String,
}

uapi_enum! {
    /// The type of a program (`enum bpf_prog_type`).
    ProgramType {
        0 Unspecified "unspec",
        1 SocketFilter "socket_filter",
        2 Kprobe "kprobe",
        3 SchedCls "sched_cls",
        4 SchedAct "sched_act",
        5 Tracepoint "tracepoint",
        6 Xdp "xdp",
        7 PerfEvent "perf_event",
        8 CgroupSkb "cgroup_skb",
        9 CgroupSock "cgroup_sock",
        10 LwtIn "lwt_in",
        11 LwtOut "lwt_out",
        12 LwtXmit "lwt_xmit",
        13 SockOps "sock_ops",
        14 SkSkb "sk_skb",
        15 CgroupDevice "cgroup_device",
        16 SkMsg "sk_msg",
        17 RawTracepoint "raw_tracepoint",
        18 CgroupSockAddr "cgroup_sock_addr",
        19 LwtSeg6Local "lwt_seg6local",
        20 LircMode2 "lirc_mode2",
        21 SkReusePort "sk_reuseport",
        22 FlowDissector "flow_dissector",
        23 CgroupSysctl "cgroup_sysctl",
        24 RawTracepointWritable "raw_tracepoint_writable",
        25 CgroupSockopt "cgroup_sockopt",
        26 Tracing "tracing",
        27 StructOps "struct_ops",
        28 Ext "ext",
        29 Lsm "lsm",
        30 SkLookup "sk_lookup",
        31 Syscall "syscall",
        32 Netfilter "netfilter",
    }
}

impl Program {
    /// The source line of a slot.
    pub fn line_at(&self, slot: u32) -> Option<&Line> {
        let after = self.lines.partition_point(|line| line.slot <= slot);
        self.lines.get(after.checked_sub(1)?)
    }

    /// The function that a slot belongs to.
    pub fn function_at(&self, slot: u32) -> Option<&Function> {
        let after = self
            .functions
            .partition_point(|function| function.slot <= slot);
        self.functions.get(after.checked_sub(1)?)
    }
}
