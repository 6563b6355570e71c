//! The packet helpers against the running kernel: random packets, random arguments, several calls in a
//! row, by `BPF_PROG_TEST_RUN`.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // A test that cannot set itself up has failed.

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use twinpath_machine::{HelperId, ProgramType};

use support::case::{Arg, Case, Step};
use support::packets;
use support::runner::hold_equal;

type Steps = BoxedStrategy<Step>;

fn step(helper: HelperId, args: impl Strategy<Value = Vec<Arg>> + 'static) -> Steps {
    args.prop_map(move |args| Step { helper, args }).boxed()
}

fn number(values: impl Strategy<Value = u64> + 'static) -> BoxedStrategy<Arg> {
    values.prop_map(Arg::Number).boxed()
}

fn context() -> BoxedStrategy<Arg> {
    Just(Arg::Context).boxed()
}

/// Args in order.
fn args(list: Vec<BoxedStrategy<Arg>>) -> BoxedStrategy<Vec<Arg>> {
    list.boxed()
}

/// A buffer of `len` bytes and its length, as two arguments.
fn buffer() -> BoxedStrategy<(Arg, Arg)> {
    let len = prop_oneof![4 => 1..40u64, 1 => 40..256u64];
    (0..256u16, len)
        .prop_map(|(at, len)| (Arg::Buffer(at), Arg::Number(len)))
        .boxed()
}

/// Offsets into a packet: in it, at its end, far off.
fn offset() -> BoxedStrategy<u64> {
    prop_oneof![
        8 => 0..64u64,
        3 => 64..1600u64,
        1 => Just(0xffffu64),
        1 => Just(0x1_0000u64),
        1 => Just(0x7fff_ffffu64),
        1 => Just(0x8000_0000u64),
        1 => any::<u64>(),
    ]
    .boxed()
}

/// A signed change of length, as a register holds it.
fn change(max: i64) -> BoxedStrategy<u64> {
    prop_oneof![
        4 => -64..64i64,
        2 => -max..max,
        1 => any::<i32>().prop_map(i64::from),
    ]
    .prop_map(|value| value as u64)
    .boxed()
}

/// Mostly valid flags out of `bits`, sometimes any.
fn flags(bits: &'static [u64]) -> BoxedStrategy<u64> {
    let valid = prop::sample::subsequence(bits, 0..=bits.len())
        .prop_map(|bits| bits.into_iter().fold(0, |all, bit| all | bit));
    prop_oneof![10 => valid, 1 => any::<u64>(), 1 => 0..1024u64].boxed()
}

fn xdp_steps() -> Vec<Steps> {
    use HelperId as H;
    vec![
        step(
            H::XDP_ADJUST_HEAD,
            args(vec![context(), number(change(300))]),
        ),
        step(
            H::XDP_ADJUST_META,
            args(vec![context(), number(change(300))]),
        ),
        step(
            H::XDP_ADJUST_TAIL,
            args(vec![context(), number(change(4000))]),
        ),
        step(H::XDP_GET_BUFF_LEN, args(vec![context()])),
        step(
            H::XDP_LOAD_BYTES,
            (offset(), buffer())
                .prop_map(|(at, (to, len))| vec![Arg::Context, Arg::Number(at), to, len]),
        ),
        step(
            H::XDP_STORE_BYTES,
            (offset(), buffer())
                .prop_map(|(at, (from, len))| vec![Arg::Context, Arg::Number(at), from, len]),
        ),
        csum_diff_steps(),
        step(
            H::REDIRECT,
            args(vec![
                number(0..10u64),
                number(prop_oneof![Just(0u64), any::<u64>()]),
            ]),
        ),
    ]
}

fn csum_diff_steps() -> Steps {
    let half = prop_oneof![
        1 => Just((Arg::Null, Arg::Number(0))),
        5 => (0..128u16, 0..64u64).prop_map(|(at, words)| (Arg::Buffer(at), Arg::Number(words * 4))),
        1 => (0..128u16, 0..128u64).prop_map(|(at, len)| (Arg::Buffer(at), Arg::Number(len))),
    ];
    step(
        HelperId::CSUM_DIFF,
        (half.clone(), half, any::<u64>()).prop_map(|((from, from_len), (to, to_len), seed)| {
            vec![from, from_len, to, to_len, Arg::Number(seed)]
        }),
    )
}

fn csum_replace(helper: HelperId, bits: &'static [u64]) -> Steps {
    let size = prop_oneof![3 => Just(0u64), 3 => Just(2u64), 3 => Just(4u64), 1 => 0..16u64];
    let from = prop_oneof![2 => Just(0u64), 1 => 0..0x1_0000u64, 1 => any::<u64>()];
    let at = prop_oneof![8 => (7..40u64).prop_map(|word| word * 2), 1 => offset()];
    step(
        helper,
        (at, from.clone(), from, flags(bits), size).prop_map(|(at, from, to, flags, size)| {
            let flags = Arg::Number(flags & !0xf | size);
            vec![
                Arg::Context,
                Arg::Number(at),
                Arg::Number(from),
                Arg::Number(to),
                flags,
            ]
        }),
    )
}

fn protocol() -> BoxedStrategy<u64> {
    prop_oneof![
        4 => Just(0x0008u64),
        4 => Just(0xdd86u64),
        2 => Just(0x0081u64),
        2 => Just(0xa888u64),
        1 => any::<u64>(),
    ]
    .boxed()
}

fn skb_steps() -> Vec<Steps> {
    use HelperId as H;
    const ROOM: &[u64] = &[
        1 << 0,
        1 << 1,
        1 << 2,
        1 << 3,
        1 << 4,
        1 << 5,
        1 << 6,
        1 << 7,
        1 << 8,
        14 << 56,
        20 << 56,
    ];
    let rarely = || prop_oneof![9 => Just(0u64), 1 => any::<u64>()];
    vec![
        step(
            H::SKB_LOAD_BYTES,
            (offset(), buffer())
                .prop_map(|(at, (to, len))| vec![Arg::Context, Arg::Number(at), to, len]),
        ),
        step(
            H::SKB_LOAD_BYTES_RELATIVE,
            (offset(), buffer(), 0..3u64).prop_map(|(at, (to, len), start)| {
                vec![Arg::Context, Arg::Number(at), to, len, Arg::Number(start)]
            }),
        ),
        step(
            H::SKB_STORE_BYTES,
            (offset(), buffer(), flags(&[1, 2])).prop_map(|(at, (from, len), flags)| {
                vec![Arg::Context, Arg::Number(at), from, len, Arg::Number(flags)]
            }),
        ),
        step(H::SKB_PULL_DATA, args(vec![context(), number(offset())])),
        csum_replace(H::L3_CSUM_REPLACE, &[]),
        csum_replace(H::L4_CSUM_REPLACE, &[1 << 4, 1 << 5, 1 << 6, 1 << 7]),
        csum_diff_steps(),
        step(H::CSUM_UPDATE, args(vec![context(), number(any::<u64>())])),
        step(H::CSUM_LEVEL, args(vec![context(), number(0..5u64)])),
        step(
            H::SKB_CHANGE_PROTO,
            args(vec![context(), number(protocol()), number(rarely())]),
        ),
        step(
            H::SKB_CHANGE_TAIL,
            args(vec![
                context(),
                number(
                    prop_oneof![6 => 0..200u64, 2 => 0..5000u64, 1 => 16000..16100u64, 1 => any::<u64>()],
                ),
                number(rarely()),
            ]),
        ),
        step(
            H::SKB_CHANGE_HEAD,
            args(vec![
                context(),
                number(
                    prop_oneof![6 => 0..200u64, 2 => 0..5000u64, 1 => 14000..16100u64, 1 => any::<u64>()],
                ),
                number(rarely()),
            ]),
        ),
        step(
            H::SKB_ADJUST_ROOM,
            args(vec![
                context(),
                number(change(4200)),
                number(prop_oneof![5 => Just(0u64), 5 => Just(1u64), 1 => 0..4u64]),
                number(flags(ROOM)),
            ]),
        ),
        step(
            H::SKB_VLAN_PUSH,
            args(vec![context(), number(protocol()), number(any::<u64>())]),
        ),
        step(H::SKB_VLAN_POP, args(vec![context()])),
        step(H::SET_HASH_INVALID, args(vec![context()])),
        step(H::SET_HASH, args(vec![context(), number(any::<u64>())])),
        step(H::SKB_CHANGE_TYPE, args(vec![context(), number(0..6u64)])),
        step(
            H::SKB_SET_TSTAMP,
            args(vec![
                context(),
                number(prop_oneof![Just(0u64), any::<u64>()]),
                number(0..4u64),
            ]),
        ),
        step(H::SKB_ECN_SET_CE, args(vec![context()])),
        step(
            H::REDIRECT,
            args(vec![
                number(0..10u64),
                number(prop_oneof![Just(0u64), Just(1u64), any::<u64>()]),
            ]),
        ),
    ]
}

/// Cases in which one helper is called among others.
fn cases(kind: ProgramType, helper: HelperId) -> impl Strategy<Value = Case> {
    let (all, input): (_, BoxedStrategy<_>) = match kind {
        ProgramType::Xdp => (xdp_steps(), packets::xdp().boxed()),
        _ => (skb_steps(), packets::skb().boxed()),
    };
    let probe = |steps: &Steps| {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let tree = steps.new_tree(&mut runner).unwrap();
        proptest::strategy::ValueTree::current(&tree).helper
    };
    let focus = all
        .iter()
        .find(|steps| probe(steps) == helper)
        .unwrap()
        .clone();
    let others = vec(prop::strategy::Union::new(all), 0..3);
    let steps = (others.clone(), focus, others).prop_map(|(mut before, focus, after)| {
        before.push(focus);
        before.extend(after);
        before
    });
    (steps, vec(input, 4), vec(any::<u8>(), 512)).prop_map(move |(steps, mut inputs, buffers)| {
        // Linux 6.18 crashes when it checks the complete sum of a packet that was cut off before
        // its network header (skb_checksum's BUG_ON, from bpf_prog_test_run_skb).
        let cut = |step: &Step| step.helper == HelperId::SKB_CHANGE_TAIL;
        for input in &mut inputs {
            input.checksum_complete &= !steps.iter().any(cut);
        }
        Case {
            kind,
            steps,
            inputs,
            buffers,
        }
    })
}

macro_rules! helpers {
    ($($name:ident: $kind:ident $helper:ident,)*) => {
        $(
            #[test]
            fn $name() {
                hold_equal(stringify!($name), cases(ProgramType::$kind, HelperId::$helper));
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
    set_hash_invalid: SchedCls SET_HASH_INVALID,
    set_hash: SchedCls SET_HASH,
    skb_change_type: SchedCls SKB_CHANGE_TYPE,
    skb_set_tstamp: SchedCls SKB_SET_TSTAMP,
    skb_ecn_set_ce: SchedCls SKB_ECN_SET_CE,
    redirect: SchedCls REDIRECT,
}
