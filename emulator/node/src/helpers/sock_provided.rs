//! Which helpers for sockets each program type has (`*_func_proto` in `net/core/filter.c`,
//! `cgroup_common_func_proto`).

use twinpath_machine::{AttachType, HelperId as H, ProgramType};

use super::{sock_skb, sock_xdp, socket};

/// `bpf_sk_base_func_proto`
const BASE: &[H] = &[
    H::SKC_TO_TCP6_SOCK,
    H::SKC_TO_TCP_SOCK,
    H::SKC_TO_TCP_TIMEWAIT_SOCK,
    H::SKC_TO_TCP_REQUEST_SOCK,
    H::SKC_TO_UDP6_SOCK,
    H::SKC_TO_UNIX_SOCK,
    H::SKC_TO_MPTCP_SOCK,
];

/// `sk_filter_func_proto`
const FILTER: &[H] = &[H::GET_SOCKET_COOKIE, H::GET_SOCKET_UID, H::GET_NETNS_COOKIE];

/// `cgroup_common_func_proto`
const CGROUP: &[H] = &[H::GET_LOCAL_STORAGE, H::GET_RETVAL, H::SET_RETVAL];

/// What looks sockets up.
const LOOKUP: &[H] = &[
    H::SK_LOOKUP_TCP,
    H::SK_LOOKUP_UDP,
    H::SKC_LOOKUP_TCP,
    H::SK_RELEASE,
];

/// What `cgroup/skb` and tc programs have in common.
const SKB: &[H] = &[
    H::SK_FULLSOCK,
    H::SK_STORAGE_GET,
    H::SK_STORAGE_DELETE,
    H::SKB_CGROUP_ID,
    H::SKB_ANCESTOR_CGROUP_ID,
    H::TCP_SOCK,
    H::GET_LISTENER_SOCK,
];

/// `cg_skb_func_proto`
const CGROUP_SKB: &[H] = &[H::SK_CGROUP_ID, H::SK_ANCESTOR_CGROUP_ID];

/// `tc_cls_act_func_proto`
const TC: &[H] = &[H::SKB_UNDER_CGROUP, H::SK_ASSIGN];

/// `lwt_out_func_proto`
const LWT: &[H] = &[H::SKB_UNDER_CGROUP];

const SYN_COOKIES: &[H] = &[
    H::TCP_CHECK_SYNCOOKIE,
    H::TCP_GEN_SYNCOOKIE,
    H::TCP_RAW_GEN_SYNCOOKIE_IPV4,
    H::TCP_RAW_GEN_SYNCOOKIE_IPV6,
    H::TCP_RAW_CHECK_SYNCOOKIE_IPV4,
    H::TCP_RAW_CHECK_SYNCOOKIE_IPV6,
];

/// `sock_addr_func_proto`
const SOCK_ADDR: &[H] = &[
    H::BIND,
    H::GET_SOCKET_COOKIE,
    H::GET_NETNS_COOKIE,
    H::SK_STORAGE_GET,
    H::SK_STORAGE_DELETE,
    H::SETSOCKOPT,
    H::GETSOCKOPT,
];

/// `sock_filter_func_proto`
const SOCK: &[H] = &[H::GET_SOCKET_COOKIE, H::GET_NETNS_COOKIE, H::SK_STORAGE_GET];

/// `sock_ops_func_proto`
const SOCK_OPS: &[H] = &[
    H::SETSOCKOPT,
    H::GETSOCKOPT,
    H::SOCK_MAP_UPDATE,
    H::SOCK_HASH_UPDATE,
    H::GET_SOCKET_COOKIE,
    H::GET_NETNS_COOKIE,
    H::SK_STORAGE_GET,
    H::SK_STORAGE_DELETE,
    H::TCP_SOCK,
];

/// `sk_lookup_func_proto`
const SK_LOOKUP: &[H] = &[H::SK_ASSIGN, H::SK_RELEASE];

/// Those whose values are the machine's.
const STORAGE: &[H] = &[
    H::GET_LOCAL_STORAGE,
    H::SK_STORAGE_GET,
    H::SK_STORAGE_DELETE,
    H::SOCK_MAP_UPDATE,
    H::SOCK_HASH_UPDATE,
];

/// Whether programs of a type have a helper for sockets.
pub(super) fn provides(helper: H, program: ProgramType) -> bool {
    use ProgramType as P;
    let lists: &[&[H]] = match program {
        P::Xdp => &[LOOKUP, SYN_COOKIES, BASE],
        P::SchedCls | P::SchedAct => &[FILTER, SKB, TC, LOOKUP, SYN_COOKIES, BASE],
        P::SocketFilter => &[FILTER, BASE],
        P::CgroupSkb => &[CGROUP, FILTER, SKB, CGROUP_SKB, LOOKUP, BASE],
        P::CgroupSockAddr => &[CGROUP, SOCK_ADDR, LOOKUP, BASE],
        P::CgroupSock => &[CGROUP, SOCK],
        P::SockOps => &[CGROUP, SOCK_OPS, BASE],
        P::SkLookup => &[SK_LOOKUP, BASE],
        P::LwtIn | P::LwtOut | P::LwtXmit => &[LWT, BASE],
        _ => &[],
    };
    let here = match program {
        P::Xdp => sock_xdp::HELPERS,
        P::CgroupSockAddr | P::CgroupSock | P::SockOps | P::SkLookup => socket::HELPERS,
        _ => sock_skb::HELPERS,
    };
    lists.iter().any(|list| list.contains(&helper))
        && (here.contains(&helper) || STORAGE.contains(&helper))
}

/// Whether programs of an attach type may call a helper that their program type has
/// (`sock_addr_func_proto`, `cgroup_common_func_proto`).
pub(crate) fn allows(helper: H, attach: AttachType) -> bool {
    use AttachType as A;
    match helper {
        H::BIND => matches!(attach, A::CgroupInet4Connect | A::CgroupInet6Connect),
        H::GET_RETVAL | H::SET_RETVAL => !matches!(
            attach,
            A::CgroupInetIngress
                | A::CgroupInetEgress
                | A::CgroupSockOps
                | A::CgroupUdp4Recvmsg
                | A::CgroupUdp6Recvmsg
                | A::CgroupInet4Getpeername
                | A::CgroupInet6Getpeername
                | A::CgroupInet4Getsockname
                | A::CgroupInet6Getsockname
        ),
        _ => true,
    }
}
