//! Which helpers each program type has (`*_func_proto`).

use twinpath_machine::{Call, Checked, Environment, FaultKind, HelperId as H, ProgramType};

use super::{skb, sock_provided, xdp};

/// The node's helpers as an environment to load objects for; nothing runs in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Helpers;

impl Environment for Helpers {
    fn provides(&self, helper: H, program: ProgramType) -> bool {
        provides(helper, program)
    }

    fn helper(&mut self, call: &mut Call<'_>) -> Checked<u64> {
        let name = format!("{} outside of a world", call.helper);
        Err(Box::new(FaultKind::Unsupported(name)))
    }
}

/// Of the helpers on an skb, those of socket filters and `cgroup/skb` programs
/// (`sk_filter_func_proto`).
const SOCKET_FILTER: &[H] = &[
    H::SKB_LOAD_BYTES,
    H::SKB_LOAD_BYTES_RELATIVE,
    H::DYNPTR_FROM_SKB,
];

/// What `cgroup/skb` programs have besides (`cg_skb_func_proto`).
const CGROUP_SKB: &[H] = &[H::SKB_ECN_SET_CE];

/// Those of light-weight tunnels (`lwt_out_func_proto`).
const LWT: &[H] = &[
    H::SKB_LOAD_BYTES,
    H::SKB_PULL_DATA,
    H::CSUM_DIFF,
    H::GET_CGROUP_CLASSID,
    H::GET_ROUTE_REALM,
    H::GET_HASH_RECALC,
    H::DYNPTR_FROM_SKB,
];

/// What they have besides on transmission (`lwt_xmit_func_proto`).
const LWT_XMIT: &[H] = &[
    H::SKB_GET_TUNNEL_KEY,
    H::SKB_SET_TUNNEL_KEY,
    H::SKB_GET_TUNNEL_OPT,
    H::SKB_SET_TUNNEL_OPT,
    H::REDIRECT,
    H::CLONE_REDIRECT,
    H::SKB_CHANGE_TAIL,
    H::SKB_CHANGE_HEAD,
    H::SKB_STORE_BYTES,
    H::CSUM_UPDATE,
    H::CSUM_LEVEL,
    H::L3_CSUM_REPLACE,
    H::L4_CSUM_REPLACE,
    H::SET_HASH_INVALID,
];

/// Whether the node has this helper for programs of this type.
pub(crate) fn provides(helper: H, program: ProgramType) -> bool {
    use ProgramType as P;
    let own: &[&[H]] = match program {
        P::Xdp => &[xdp::HELPERS],
        P::SchedCls | P::SchedAct => &[skb::HELPERS],
        P::SocketFilter => &[SOCKET_FILTER],
        P::CgroupSkb => &[SOCKET_FILTER, CGROUP_SKB],
        P::LwtIn | P::LwtOut => &[LWT],
        P::LwtXmit => &[LWT, LWT_XMIT],
        _ => &[],
    };
    own.iter().any(|helpers| helpers.contains(&helper)) || sock_provided::provides(helper, program)
}
