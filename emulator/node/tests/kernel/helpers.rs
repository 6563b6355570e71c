//! The packet helpers against the running kernel: random packets, random arguments, several calls in a
//! row, by `BPF_PROG_TEST_RUN`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;
use twinpath_machine::{HelperId, ProgramType};

use crate::steps::{Steps, calls, fields, loads, sockets};
use crate::support::asm::Width;
use crate::support::case::{Case, Step};
use crate::support::packets;
use crate::support::runner::{hold_engines_equal, hold_equal};

/// Whether programs of a type have the packet loads of classic BPF.
fn has_loads(kind: ProgramType) -> bool {
    matches!(
        kind,
        ProgramType::SchedCls | ProgramType::SchedAct | ProgramType::SocketFilter
    )
}

/// Steps of a program of that type.
fn any_step(kind: ProgramType) -> Steps {
    let helpers = tested(kind).map(|helper| (4, calls(helper)));
    let mut all: Vec<_> = helpers.collect();
    let many = all.len() as u32;
    all.push((2 * many + 1, fields(kind)));
    if kind != ProgramType::Xdp {
        all.push((many / 2 + 1, sockets(kind)));
    }
    if has_loads(kind) {
        all.push((many / 2 + 1, loads()));
    }
    // Narrow fields have tests of their own: with them a case runs on the checked engine alone.
    let wide = move |mut steps: Vec<Step>| {
        steps.retain(|step| !step.meets_narrow_field(kind));
        steps
    };
    Union::new_weighted(all).prop_map(wide).boxed()
}

/// Where `struct __sk_buff` has `gso_size`.
const GSO_SIZE: std::ops::Range<usize> = 176..180;

/// Cases in which one kind of step is among others.
fn cases(kind: ProgramType, focus: Steps) -> BoxedStrategy<Case> {
    let input = match kind {
        ProgramType::Xdp => packets::xdp().boxed(),
        _ => packets::skb().boxed(),
    };
    let others = vec(any_step(kind), 0..3);
    let steps = (others.clone(), focus, others).prop_map(|(before, focus, after)| {
        let mut steps = before.concat();
        steps.extend(focus);
        steps.extend(after.concat());
        steps
    });
    (steps, vec(input, 4), vec(any::<u8>(), 512))
        .prop_map(move |(mut steps, mut inputs, buffers)| {
            let recalculates =
                |step: &Step| matches!(step, Step::Call(HelperId::GET_HASH_RECALC, _));
            if steps.iter().any(recalculates) {
                // The kernel's hash has a key of its own, so that only the whole of it can be told.
                let whole = |step: &Step| matches!(step, Step::Read(Width::W, _));
                steps.retain(|step| whole(step) || !step.reads_hash());
            }
            // Linux 6.18 crashes when it checks the complete sum of a packet that was cut off before
            // its network header (skb_checksum's BUG_ON, from bpf_prog_test_run_skb).
            let calls = |helper| {
                let this = |step: &Step| matches!(step, Step::Call(called, _) if *called == helper);
                steps.iter().any(this)
            };
            let cut = calls(HelperId::SKB_CHANGE_TAIL);
            // The emulator does not segment what it sends.
            let segmented = calls(HelperId::CLONE_REDIRECT)
                && (calls(HelperId::SKB_CHANGE_PROTO) || calls(HelperId::SKB_ADJUST_ROOM));
            for input in &mut inputs {
                input.checksum_complete &= !cut;
                if segmented && let Some(size) = input.context.get_mut(GSO_SIZE) {
                    size.fill(0);
                }
            }
            Case {
                kind,
                steps,
                inputs,
                buffers,
            }
        })
        .boxed()
}

macro_rules! helpers {
    ($($name:ident: $kind:ident $helper:ident,)*) => {
        /// The helpers that are tested in programs of a type.
        fn tested(kind: ProgramType) -> impl Iterator<Item = HelperId> {
            let all = [$((ProgramType::$kind, HelperId::$helper)),*];
            // A classifier's and an action's are the same.
            let kind = if kind == ProgramType::SchedAct { ProgramType::SchedCls } else { kind };
            all.into_iter().filter(move |(of, _)| *of == kind).map(|(_, helper)| helper)
        }

        $(
            #[test]
            fn $name() {
                let focus = || cases(ProgramType::$kind, calls(HelperId::$helper));
                hold_equal(stringify!($name), focus);
            }
        )*
    };
}

helpers! {
    xdp_adjust_head: Xdp XDP_ADJUST_HEAD,
    xdp_adjust_meta: Xdp XDP_ADJUST_META,
    xdp_adjust_tail: Xdp XDP_ADJUST_TAIL,
    xdp_get_buff_len: Xdp XDP_GET_BUFF_LEN,
    xdp_load_bytes: Xdp XDP_LOAD_BYTES,
    xdp_store_bytes: Xdp XDP_STORE_BYTES,
    xdp_csum_diff: Xdp CSUM_DIFF,
    xdp_redirect: Xdp REDIRECT,
    xdp_check_mtu: Xdp CHECK_MTU,
    xdp_fib_lookup: Xdp FIB_LOOKUP,
    xdp_redirect_map: Xdp REDIRECT_MAP,
    xdp_perf_event_output: Xdp PERF_EVENT_OUTPUT,
    skb_load_bytes: SchedCls SKB_LOAD_BYTES,
    skb_load_bytes_relative: SchedCls SKB_LOAD_BYTES_RELATIVE,
    skb_store_bytes: SchedCls SKB_STORE_BYTES,
    skb_pull_data: SchedCls SKB_PULL_DATA,
    l3_csum_replace: SchedCls L3_CSUM_REPLACE,
    l4_csum_replace: SchedCls L4_CSUM_REPLACE,
    csum_diff: SchedCls CSUM_DIFF,
    csum_update: SchedCls CSUM_UPDATE,
    csum_level: SchedCls CSUM_LEVEL,
    skb_change_proto: SchedCls SKB_CHANGE_PROTO,
    skb_change_tail: SchedCls SKB_CHANGE_TAIL,
    skb_change_head: SchedCls SKB_CHANGE_HEAD,
    skb_adjust_room: SchedCls SKB_ADJUST_ROOM,
    skb_vlan_push: SchedCls SKB_VLAN_PUSH,
    skb_vlan_pop: SchedCls SKB_VLAN_POP,
    get_hash_recalc: SchedCls GET_HASH_RECALC,
    set_hash_invalid: SchedCls SET_HASH_INVALID,
    set_hash: SchedCls SET_HASH,
    skb_change_type: SchedCls SKB_CHANGE_TYPE,
    skb_set_tstamp: SchedCls SKB_SET_TSTAMP,
    skb_ecn_set_ce: SchedCls SKB_ECN_SET_CE,
    redirect: SchedCls REDIRECT,
    redirect_neigh: SchedCls REDIRECT_NEIGH,
    redirect_peer: SchedCls REDIRECT_PEER,
    clone_redirect: SchedCls CLONE_REDIRECT,
    check_mtu: SchedCls CHECK_MTU,
    fib_lookup: SchedCls FIB_LOOKUP,
    skb_set_tunnel_key: SchedCls SKB_SET_TUNNEL_KEY,
    skb_get_tunnel_key: SchedCls SKB_GET_TUNNEL_KEY,
    skb_set_tunnel_opt: SchedCls SKB_SET_TUNNEL_OPT,
    skb_get_tunnel_opt: SchedCls SKB_GET_TUNNEL_OPT,
    get_route_realm: SchedCls GET_ROUTE_REALM,
    perf_event_output: SchedCls PERF_EVENT_OUTPUT,
    skb_under_cgroup: SchedCls SKB_UNDER_CGROUP,
    skb_cgroup_classid: SchedCls SKB_CGROUP_CLASSID,
    skb_cgroup_id: SchedCls SKB_CGROUP_ID,
    skb_ancestor_cgroup_id: SchedCls SKB_ANCESTOR_CGROUP_ID,
    get_socket_uid: SchedCls GET_SOCKET_UID,
    get_cgroup_classid: SchedCls GET_CGROUP_CLASSID,
    socket_filter_load_bytes: SocketFilter SKB_LOAD_BYTES,
    socket_filter_load_bytes_relative: SocketFilter SKB_LOAD_BYTES_RELATIVE,
    cgroup_load_bytes: CgroupSkb SKB_LOAD_BYTES,
    cgroup_load_bytes_relative: CgroupSkb SKB_LOAD_BYTES_RELATIVE,
    cgroup_ecn_set_ce: CgroupSkb SKB_ECN_SET_CE,
    cgroup_perf_event_output: CgroupSkb PERF_EVENT_OUTPUT,
    lwt_xmit_perf_event_output: LwtXmit PERF_EVENT_OUTPUT,
    socket_filter_perf_event_output: SocketFilter PERF_EVENT_OUTPUT,
    lwt_in_skb_under_cgroup: LwtIn SKB_UNDER_CGROUP,
    cgroup_skb_cgroup_id: CgroupSkb SKB_CGROUP_ID,
    cgroup_skb_ancestor_cgroup_id: CgroupSkb SKB_ANCESTOR_CGROUP_ID,
    cgroup_get_socket_uid: CgroupSkb GET_SOCKET_UID,
    socket_filter_get_socket_uid: SocketFilter GET_SOCKET_UID,
    lwt_in_load_bytes: LwtIn SKB_LOAD_BYTES,
    lwt_in_pull_data: LwtIn SKB_PULL_DATA,
    lwt_in_csum_diff: LwtIn CSUM_DIFF,
    lwt_in_get_hash_recalc: LwtIn GET_HASH_RECALC,
    lwt_in_get_route_realm: LwtIn GET_ROUTE_REALM,
    lwt_in_get_cgroup_classid: LwtIn GET_CGROUP_CLASSID,
    lwt_out_load_bytes: LwtOut SKB_LOAD_BYTES,
    lwt_out_pull_data: LwtOut SKB_PULL_DATA,
    lwt_out_csum_diff: LwtOut CSUM_DIFF,
    lwt_out_get_hash_recalc: LwtOut GET_HASH_RECALC,
    lwt_out_skb_under_cgroup: LwtOut SKB_UNDER_CGROUP,
    lwt_out_perf_event_output: LwtOut PERF_EVENT_OUTPUT,
    lwt_xmit_load_bytes: LwtXmit SKB_LOAD_BYTES,
    lwt_xmit_pull_data: LwtXmit SKB_PULL_DATA,
    lwt_xmit_csum_diff: LwtXmit CSUM_DIFF,
    lwt_xmit_get_hash_recalc: LwtXmit GET_HASH_RECALC,
    lwt_xmit_set_tunnel_key: LwtXmit SKB_SET_TUNNEL_KEY,
    lwt_xmit_get_tunnel_key: LwtXmit SKB_GET_TUNNEL_KEY,
    lwt_xmit_set_tunnel_opt: LwtXmit SKB_SET_TUNNEL_OPT,
    lwt_xmit_get_tunnel_opt: LwtXmit SKB_GET_TUNNEL_OPT,
    lwt_xmit_redirect: LwtXmit REDIRECT,
    lwt_xmit_clone_redirect: LwtXmit CLONE_REDIRECT,
    lwt_xmit_change_tail: LwtXmit SKB_CHANGE_TAIL,
    lwt_xmit_change_head: LwtXmit SKB_CHANGE_HEAD,
    lwt_xmit_store_bytes: LwtXmit SKB_STORE_BYTES,
    lwt_xmit_csum_update: LwtXmit CSUM_UPDATE,
    lwt_xmit_csum_level: LwtXmit CSUM_LEVEL,
    lwt_xmit_l3_csum_replace: LwtXmit L3_CSUM_REPLACE,
    lwt_xmit_l4_csum_replace: LwtXmit L4_CSUM_REPLACE,
    lwt_xmit_set_hash_invalid: LwtXmit SET_HASH_INVALID,
}

macro_rules! contexts {
    ($($name:ident: $kind:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let kind = ProgramType::$kind;
                hold_equal(stringify!($name), || cases(kind, fields(kind)));
            }
        )*
    };
}

contexts! {
    xdp_context: Xdp,
    sched_cls_context: SchedCls,
    sched_act_context: SchedAct,
    socket_filter_context: SocketFilter,
    cgroup_skb_context: CgroupSkb,
    lwt_in_context: LwtIn,
    lwt_out_context: LwtOut,
    lwt_xmit_context: LwtXmit,
}

#[test]
fn packet_sockets() {
    hold_equal("packet_sockets", || {
        cases(ProgramType::SchedCls, sockets(ProgramType::SchedCls))
    });
}

#[test]
fn cgroup_packet_sockets() {
    hold_equal("cgroup_packet_sockets", || {
        cases(ProgramType::CgroupSkb, sockets(ProgramType::CgroupSkb))
    });
}

#[test]
fn packet_loads() {
    hold_equal("packet_loads", || cases(ProgramType::SchedCls, loads()));
}

#[test]
fn socket_filter_packet_loads() {
    hold_equal("socket_filter_packet_loads", || {
        cases(ProgramType::SocketFilter, loads())
    });
}

macro_rules! engines {
    ($($name:ident: $kind:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let kind = ProgramType::$kind;
                hold_engines_equal(stringify!($name), cases(kind, any_step(kind)));
            }
        )*
    };
}

// Without the kernel.
engines! {
    xdp_engines: Xdp,
    sched_cls_engines: SchedCls,
    socket_filter_engines: SocketFilter,
    cgroup_skb_engines: CgroupSkb,
    lwt_in_engines: LwtIn,
    lwt_out_engines: LwtOut,
    lwt_xmit_engines: LwtXmit,
}
