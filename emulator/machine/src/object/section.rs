//! What a section's name says about the programs in it (`section_defs` in `tools/lib/bpf/libbpf.c`).

use crate::program::ProgramType;
use crate::uapi::uapi_enum;

uapi_enum! {
    /// The place that a program expects to be attached to (`enum bpf_attach_type`).
    AttachType {
        0 CgroupInetIngress "cgroup_inet_ingress",
        1 CgroupInetEgress "cgroup_inet_egress",
        2 CgroupInetSockCreate "cgroup_inet_sock_create",
        3 CgroupSockOps "cgroup_sock_ops",
        4 SkSkbStreamParser "sk_skb_stream_parser",
        5 SkSkbStreamVerdict "sk_skb_stream_verdict",
        6 CgroupDevice "cgroup_device",
        7 SkMsgVerdict "sk_msg_verdict",
        8 CgroupInet4Bind "cgroup_inet4_bind",
        9 CgroupInet6Bind "cgroup_inet6_bind",
        10 CgroupInet4Connect "cgroup_inet4_connect",
        11 CgroupInet6Connect "cgroup_inet6_connect",
        12 CgroupInet4PostBind "cgroup_inet4_post_bind",
        13 CgroupInet6PostBind "cgroup_inet6_post_bind",
        14 CgroupUdp4Sendmsg "cgroup_udp4_sendmsg",
        15 CgroupUdp6Sendmsg "cgroup_udp6_sendmsg",
        16 LircMode2 "lirc_mode2",
        17 FlowDissector "flow_dissector",
        18 CgroupSysctl "cgroup_sysctl",
        19 CgroupUdp4Recvmsg "cgroup_udp4_recvmsg",
        20 CgroupUdp6Recvmsg "cgroup_udp6_recvmsg",
        21 CgroupGetsockopt "cgroup_getsockopt",
        22 CgroupSetsockopt "cgroup_setsockopt",
        23 TraceRawTp "trace_raw_tp",
        24 TraceFentry "trace_fentry",
        25 TraceFexit "trace_fexit",
        26 ModifyReturn "modify_return",
        27 LsmMac "lsm_mac",
        28 TraceIter "trace_iter",
        29 CgroupInet4Getpeername "cgroup_inet4_getpeername",
        30 CgroupInet6Getpeername "cgroup_inet6_getpeername",
        31 CgroupInet4Getsockname "cgroup_inet4_getsockname",
        32 CgroupInet6Getsockname "cgroup_inet6_getsockname",
        33 XdpDevmap "xdp_devmap",
        34 CgroupInetSockRelease "cgroup_inet_sock_release",
        35 XdpCpumap "xdp_cpumap",
        36 SkLookup "sk_lookup",
        37 Xdp "xdp",
        38 SkSkbVerdict "sk_skb_verdict",
        39 SkReuseportSelect "sk_reuseport_select",
        40 SkReuseportSelectOrMigrate "sk_reuseport_select_or_migrate",
        41 PerfEvent "perf_event",
        42 TraceKprobeMulti "trace_kprobe_multi",
        43 LsmCgroup "lsm_cgroup",
        44 StructOps "struct_ops",
        45 Netfilter "netfilter",
        46 TcxIngress "tcx_ingress",
        47 TcxEgress "tcx_egress",
        48 TraceUprobeMulti "trace_uprobe_multi",
        49 CgroupUnixConnect "cgroup_unix_connect",
        50 CgroupUnixSendmsg "cgroup_unix_sendmsg",
        51 CgroupUnixRecvmsg "cgroup_unix_recvmsg",
        52 CgroupUnixGetpeername "cgroup_unix_getpeername",
        53 CgroupUnixGetsockname "cgroup_unix_getsockname",
        54 NetkitPrimary "netkit_primary",
        55 NetkitPeer "netkit_peer",
        56 TraceKprobeSession "trace_kprobe_session",
    }
}

/// What a section's name says about a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SectionKind {
    pub(super) kind: ProgramType,
    pub(super) attach: Option<AttachType>,
    /// What follows the type's name: a function, a tracepoint, a label.
    pub(super) target: Option<String>,
    /// `.frags`: the program knows packets of several buffers.
    pub(super) fragments: bool,
    /// `.s`: the program may sleep.
    pub(super) sleepable: bool,
    /// `?`: only loaded when it is asked for.
    pub(super) optional: bool,
}

/// A rule of the table: a name that ends in `+` may be followed by `/` and a target.
type Rule = (&'static str, ProgramType, Option<AttachType>);

#[rustfmt::skip]
const RULES: &[Rule] = {
    use AttachType as A;
    use ProgramType as P;
    &[
        ("socket", P::SocketFilter, None),
        ("sk_reuseport/migrate", P::SkReusePort, Some(A::SkReuseportSelectOrMigrate)),
        ("sk_reuseport", P::SkReusePort, Some(A::SkReuseportSelect)),
        ("kprobe+", P::Kprobe, None),
        ("uprobe+", P::Kprobe, None),
        ("uprobe.s+", P::Kprobe, None),
        ("kretprobe+", P::Kprobe, None),
        ("uretprobe+", P::Kprobe, None),
        ("uretprobe.s+", P::Kprobe, None),
        ("kprobe.multi+", P::Kprobe, Some(A::TraceKprobeMulti)),
        ("kretprobe.multi+", P::Kprobe, Some(A::TraceKprobeMulti)),
        ("kprobe.session+", P::Kprobe, Some(A::TraceKprobeSession)),
        ("uprobe.multi+", P::Kprobe, Some(A::TraceUprobeMulti)),
        ("uretprobe.multi+", P::Kprobe, Some(A::TraceUprobeMulti)),
        ("uprobe.multi.s+", P::Kprobe, Some(A::TraceUprobeMulti)),
        ("uretprobe.multi.s+", P::Kprobe, Some(A::TraceUprobeMulti)),
        ("ksyscall+", P::Kprobe, None),
        ("kretsyscall+", P::Kprobe, None),
        ("usdt+", P::Kprobe, None),
        ("usdt.s+", P::Kprobe, None),
        ("tc/ingress", P::SchedCls, Some(A::TcxIngress)),
        ("tc/egress", P::SchedCls, Some(A::TcxEgress)),
        ("tcx/ingress", P::SchedCls, Some(A::TcxIngress)),
        ("tcx/egress", P::SchedCls, Some(A::TcxEgress)),
        ("tc", P::SchedCls, None),
        ("classifier", P::SchedCls, None),
        ("action", P::SchedAct, None),
        ("netkit/primary", P::SchedCls, Some(A::NetkitPrimary)),
        ("netkit/peer", P::SchedCls, Some(A::NetkitPeer)),
        ("tracepoint+", P::Tracepoint, None),
        ("tp+", P::Tracepoint, None),
        ("raw_tracepoint+", P::RawTracepoint, None),
        ("raw_tp+", P::RawTracepoint, None),
        ("raw_tracepoint.w+", P::RawTracepointWritable, None),
        ("raw_tp.w+", P::RawTracepointWritable, None),
        ("tp_btf+", P::Tracing, Some(A::TraceRawTp)),
        ("fentry+", P::Tracing, Some(A::TraceFentry)),
        ("fmod_ret+", P::Tracing, Some(A::ModifyReturn)),
        ("fexit+", P::Tracing, Some(A::TraceFexit)),
        ("fentry.s+", P::Tracing, Some(A::TraceFentry)),
        ("fmod_ret.s+", P::Tracing, Some(A::ModifyReturn)),
        ("fexit.s+", P::Tracing, Some(A::TraceFexit)),
        ("freplace+", P::Ext, None),
        ("lsm+", P::Lsm, Some(A::LsmMac)),
        ("lsm.s+", P::Lsm, Some(A::LsmMac)),
        ("lsm_cgroup+", P::Lsm, Some(A::LsmCgroup)),
        ("iter+", P::Tracing, Some(A::TraceIter)),
        ("iter.s+", P::Tracing, Some(A::TraceIter)),
        ("syscall", P::Syscall, None),
        ("xdp.frags/devmap", P::Xdp, Some(A::XdpDevmap)),
        ("xdp/devmap", P::Xdp, Some(A::XdpDevmap)),
        ("xdp.frags/cpumap", P::Xdp, Some(A::XdpCpumap)),
        ("xdp/cpumap", P::Xdp, Some(A::XdpCpumap)),
        ("xdp.frags", P::Xdp, Some(A::Xdp)),
        ("xdp", P::Xdp, Some(A::Xdp)),
        ("perf_event", P::PerfEvent, None),
        ("lwt_in", P::LwtIn, None),
        ("lwt_out", P::LwtOut, None),
        ("lwt_xmit", P::LwtXmit, None),
        ("lwt_seg6local", P::LwtSeg6Local, None),
        ("sockops", P::SockOps, Some(A::CgroupSockOps)),
        ("sk_skb/stream_parser", P::SkSkb, Some(A::SkSkbStreamParser)),
        ("sk_skb/stream_verdict", P::SkSkb, Some(A::SkSkbStreamVerdict)),
        ("sk_skb/verdict", P::SkSkb, Some(A::SkSkbVerdict)),
        ("sk_skb", P::SkSkb, None),
        ("sk_msg", P::SkMsg, Some(A::SkMsgVerdict)),
        ("lirc_mode2", P::LircMode2, Some(A::LircMode2)),
        ("flow_dissector", P::FlowDissector, Some(A::FlowDissector)),
        ("cgroup_skb/ingress", P::CgroupSkb, Some(A::CgroupInetIngress)),
        ("cgroup_skb/egress", P::CgroupSkb, Some(A::CgroupInetEgress)),
        ("cgroup/skb", P::CgroupSkb, None),
        // aya's name for it.
        ("cgroup_skb", P::CgroupSkb, None),
        ("cgroup/sock_create", P::CgroupSock, Some(A::CgroupInetSockCreate)),
        ("cgroup/sock_release", P::CgroupSock, Some(A::CgroupInetSockRelease)),
        ("cgroup/sock", P::CgroupSock, Some(A::CgroupInetSockCreate)),
        ("cgroup/post_bind4", P::CgroupSock, Some(A::CgroupInet4PostBind)),
        ("cgroup/post_bind6", P::CgroupSock, Some(A::CgroupInet6PostBind)),
        ("cgroup/bind4", P::CgroupSockAddr, Some(A::CgroupInet4Bind)),
        ("cgroup/bind6", P::CgroupSockAddr, Some(A::CgroupInet6Bind)),
        ("cgroup/connect4", P::CgroupSockAddr, Some(A::CgroupInet4Connect)),
        ("cgroup/connect6", P::CgroupSockAddr, Some(A::CgroupInet6Connect)),
        ("cgroup/connect_unix", P::CgroupSockAddr, Some(A::CgroupUnixConnect)),
        ("cgroup/sendmsg4", P::CgroupSockAddr, Some(A::CgroupUdp4Sendmsg)),
        ("cgroup/sendmsg6", P::CgroupSockAddr, Some(A::CgroupUdp6Sendmsg)),
        ("cgroup/sendmsg_unix", P::CgroupSockAddr, Some(A::CgroupUnixSendmsg)),
        ("cgroup/recvmsg4", P::CgroupSockAddr, Some(A::CgroupUdp4Recvmsg)),
        ("cgroup/recvmsg6", P::CgroupSockAddr, Some(A::CgroupUdp6Recvmsg)),
        ("cgroup/recvmsg_unix", P::CgroupSockAddr, Some(A::CgroupUnixRecvmsg)),
        ("cgroup/getpeername4", P::CgroupSockAddr, Some(A::CgroupInet4Getpeername)),
        ("cgroup/getpeername6", P::CgroupSockAddr, Some(A::CgroupInet6Getpeername)),
        ("cgroup/getpeername_unix", P::CgroupSockAddr, Some(A::CgroupUnixGetpeername)),
        ("cgroup/getsockname4", P::CgroupSockAddr, Some(A::CgroupInet4Getsockname)),
        ("cgroup/getsockname6", P::CgroupSockAddr, Some(A::CgroupInet6Getsockname)),
        ("cgroup/getsockname_unix", P::CgroupSockAddr, Some(A::CgroupUnixGetsockname)),
        ("cgroup/sysctl", P::CgroupSysctl, Some(A::CgroupSysctl)),
        ("cgroup/getsockopt", P::CgroupSockopt, Some(A::CgroupGetsockopt)),
        ("cgroup/setsockopt", P::CgroupSockopt, Some(A::CgroupSetsockopt)),
        ("cgroup/dev", P::CgroupDevice, Some(A::CgroupDevice)),
        ("struct_ops+", P::StructOps, None),
        ("struct_ops.s+", P::StructOps, None),
        ("sk_lookup", P::SkLookup, Some(A::SkLookup)),
        ("netfilter", P::Netfilter, Some(A::Netfilter)),
    ]
};

impl SectionKind {
    /// Reads a section's name. A name that libbpf 1 does not know is tried as libbpf 0 did, by its
    /// beginning: `xdp_drop`, `tc/tail`, `socket1`. What is no type's name either is of unspecified
    /// type, as sections of objects for `tc` are: the one who loads it says what it is.
    pub(super) fn of(section: &str) -> Self {
        let (name, optional) = match section.strip_prefix('?') {
            Some(name) => (name, true),
            None => (section, false),
        };
        let found = RULES.iter().find_map(|rule| exact(rule, name));
        let found = found.or_else(|| RULES.iter().find_map(|rule| beginning(rule, name)));
        let (rule, target) = found.unwrap_or((("", ProgramType::Unspecified, None), None));
        Self {
            kind: rule.1,
            attach: rule.2,
            target: target.map(str::to_owned),
            fragments: rule.0.starts_with("xdp.frags"),
            sleepable: rule.0.contains(".s") && rule.0.trim_end_matches('+').ends_with(".s")
                || rule.0 == "syscall",
            optional,
        }
    }
}

/// libbpf 1's rule (`sec_def_matches`).
fn exact<'a>(rule: &Rule, name: &'a str) -> Option<(Rule, Option<&'a str>)> {
    let Some(prefix) = rule.0.strip_suffix('+') else {
        return (rule.0 == name).then_some((*rule, None));
    };
    match name.strip_prefix(prefix)? {
        "" => Some((*rule, None)),
        rest => rest.strip_prefix('/').map(|target| (*rule, Some(target))),
    }
}

fn beginning<'a>(rule: &Rule, name: &'a str) -> Option<(Rule, Option<&'a str>)> {
    let rest = name.strip_prefix(rule.0.trim_end_matches('+'))?;
    if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let target = rest.trim_start_matches(['/', '_', '.']);
    Some((*rule, (!target.is_empty()).then_some(target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_types() {
        use AttachType as A;
        use ProgramType as P;
        let cases = [
            ("xdp", P::Xdp, Some(A::Xdp), None),
            ("xdp.frags", P::Xdp, Some(A::Xdp), None),
            ("xdp/devmap", P::Xdp, Some(A::XdpDevmap), None),
            ("xdp_drop", P::Xdp, Some(A::Xdp), Some("drop")),
            ("xdp/foo", P::Xdp, Some(A::Xdp), Some("foo")),
            ("tc", P::SchedCls, None, None),
            ("?tc", P::SchedCls, None, None),
            ("tc/tail", P::SchedCls, None, Some("tail")),
            ("tc/ingress", P::SchedCls, Some(A::TcxIngress), None),
            ("tcx/egress", P::SchedCls, Some(A::TcxEgress), None),
            ("classifier/from", P::SchedCls, None, Some("from")),
            ("action", P::SchedAct, None, None),
            ("socket", P::SocketFilter, None, None),
            ("socket1", P::SocketFilter, None, Some("1")),
            ("sockops", P::SockOps, Some(A::CgroupSockOps), None),
            ("cgroup/skb", P::CgroupSkb, None, None),
            (
                "cgroup_skb/egress",
                P::CgroupSkb,
                Some(A::CgroupInetEgress),
                None,
            ),
            (
                "cgroup/connect4",
                P::CgroupSockAddr,
                Some(A::CgroupInet4Connect),
                None,
            ),
            (
                "cgroup/sock_create",
                P::CgroupSock,
                Some(A::CgroupInetSockCreate),
                None,
            ),
            (
                "cgroup/sock",
                P::CgroupSock,
                Some(A::CgroupInetSockCreate),
                None,
            ),
            ("sk_lookup", P::SkLookup, Some(A::SkLookup), None),
            ("sk_lookup/a", P::SkLookup, Some(A::SkLookup), Some("a")),
            (
                "sk_skb/stream_verdict",
                P::SkSkb,
                Some(A::SkSkbStreamVerdict),
                None,
            ),
            ("lwt_xmit", P::LwtXmit, None, None),
            ("freplace/entry", P::Ext, None, Some("entry")),
            ("fentry.s/x", P::Tracing, Some(A::TraceFentry), Some("x")),
            ("tcp_prog", P::Unspecified, None, None),
            ("from-container", P::Unspecified, None, None),
            ("2/5", P::Unspecified, None, None),
        ];
        for (name, kind, attach, target) in cases {
            let section = SectionKind::of(name);
            assert_eq!(
                (section.kind, section.attach, section.target.as_deref()),
                (kind, attach, target),
                "{name}"
            );
            assert_eq!(section.optional, name.starts_with('?'), "{name}");
            assert_eq!(section.fragments, name == "xdp.frags", "{name}");
            assert_eq!(section.sleepable, name == "fentry.s/x", "{name}");
        }
    }
}
