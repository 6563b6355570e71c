//! Random steps of programs: helpers with their arguments, context fields, loads from the packet.

use proptest::prelude::*;
use proptest::sample::select;
use twinpath_machine::memory::{Field, FieldValue, Widths};
use twinpath_machine::{HelperId as H, ProgramType};
use twinpath_node::layout;

use crate::structures;
use crate::support::asm::Width;
use crate::support::case::{Arg, Step};
use crate::support::maps::Name;
use crate::support::network;

pub type Steps = BoxedStrategy<Vec<Step>>;
pub type Number = BoxedStrategy<u64>;

/// A context, numbers.
fn numbers(list: Vec<Number>) -> BoxedStrategy<Vec<Arg>> {
    list.prop_map(|numbers| {
        let numbers = numbers.into_iter().map(Arg::Number);
        std::iter::once(Arg::Context).chain(numbers).collect()
    })
    .boxed()
}

/// A buffer of `len` bytes and its length, as two arguments.
fn buffer() -> BoxedStrategy<(Arg, Arg)> {
    let len = prop_oneof![4 => 1..40u64, 1 => 40..256u64];
    (0..256u16, len)
        .prop_map(|(at, len)| (Arg::Buffer(at), Arg::Number(len)))
        .boxed()
}

/// Offsets into a packet: in it, at its end, far off.
fn offset() -> Number {
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
pub fn change(max: i64) -> Number {
    prop_oneof![
        4 => -64..64i64,
        2 => -max..max,
        1 => any::<i32>().prop_map(i64::from),
    ]
    .prop_map(|value| value as u64)
    .boxed()
}

/// Mostly valid flags out of `bits`, sometimes any.
pub fn flags(bits: &'static [u64]) -> Number {
    let valid = prop::sample::subsequence(bits, 0..=bits.len())
        .prop_map(|bits| bits.into_iter().fold(0, |all, bit| all | bit));
    prop_oneof![10 => valid, 1 => any::<u64>(), 1 => 0..1024u64].boxed()
}

pub fn rarely() -> Number {
    prop_oneof![9 => Just(0u64), 1 => any::<u64>()].boxed()
}

fn any_number() -> Number {
    any::<u64>().boxed()
}

pub fn ifindex() -> Number {
    select(&network::INDEXES[..]).prop_map(u64::from).boxed()
}

fn protocol() -> Number {
    prop_oneof![
        4 => Just(0x0008u64),
        4 => Just(0xdd86u64),
        2 => Just(0x0081u64),
        2 => Just(0xa888u64),
        1 => any::<u64>(),
    ]
    .boxed()
}

fn csum_diff() -> BoxedStrategy<Vec<Arg>> {
    let half = prop_oneof![
        1 => Just((Arg::Null, Arg::Number(0))),
        5 => (0..128u16, 0..64u64).prop_map(|(at, words)| (Arg::Buffer(at), Arg::Number(words * 4))),
        1 => (0..128u16, 0..128u64).prop_map(|(at, len)| (Arg::Buffer(at), Arg::Number(len))),
    ];
    (half.clone(), half, any::<u64>())
        .prop_map(|((from, from_len), (to, to_len), seed)| {
            vec![from, from_len, to, to_len, Arg::Number(seed)]
        })
        .boxed()
}

fn csum_replace(bits: &'static [u64]) -> BoxedStrategy<Vec<Arg>> {
    let size = prop_oneof![3 => Just(0u64), 3 => Just(2u64), 3 => Just(4u64), 1 => 0..16u64];
    let from = prop_oneof![2 => Just(0u64), 1 => 0..0x1_0000u64, 1 => any::<u64>()];
    let at = prop_oneof![8 => (7..40u64).prop_map(|word| word * 2), 1 => offset()];
    let flags = (flags(bits), size).prop_map(|(flags, size)| flags & !0xf | size);
    numbers(vec![
        at.boxed(),
        from.clone().boxed(),
        from.boxed(),
        flags.boxed(),
    ])
}

/// An offset, a buffer, and what follows.
fn bytes(rest: Option<Number>) -> BoxedStrategy<Vec<Arg>> {
    let rest = rest.map_or(Just(None).boxed(), |rest| rest.prop_map(Some).boxed());
    (offset(), buffer(), rest)
        .prop_map(|(at, (to, len), rest)| {
            let mut args = vec![Arg::Context, Arg::Number(at), to, len];
            args.extend(rest.map(Arg::Number));
            args
        })
        .boxed()
}

/// Calls of a helper, with what prepares them.
pub fn calls(helper: H) -> Steps {
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
    let args = match helper {
        H::XDP_ADJUST_HEAD | H::XDP_ADJUST_META => numbers(vec![change(300)]),
        H::XDP_ADJUST_TAIL => numbers(vec![change(4000)]),
        H::XDP_LOAD_BYTES | H::XDP_STORE_BYTES | H::SKB_LOAD_BYTES => bytes(None),
        H::SKB_LOAD_BYTES_RELATIVE => bytes(Some((0..3u64).boxed())),
        H::SKB_STORE_BYTES => bytes(Some(flags(&[1, 2]))),
        H::SKB_PULL_DATA => numbers(vec![offset()]),
        H::L3_CSUM_REPLACE => csum_replace(&[]),
        H::L4_CSUM_REPLACE => csum_replace(&[1 << 4, 1 << 5, 1 << 6, 1 << 7]),
        H::CSUM_DIFF => csum_diff(),
        H::CSUM_UPDATE | H::SET_HASH => numbers(vec![any_number()]),
        H::SKB_ANCESTOR_CGROUP_ID => {
            numbers(vec![prop_oneof![4 => 0..3u64, 1 => any::<u64>()].boxed()])
        }
        H::CSUM_LEVEL => numbers(vec![(0..5u64).boxed()]),
        H::SKB_CHANGE_PROTO => numbers(vec![protocol(), rarely()]),
        H::SKB_CHANGE_TAIL => numbers(vec![length(16000..16100), rarely()]),
        H::SKB_CHANGE_HEAD => numbers(vec![length(14000..16100), rarely()]),
        H::SKB_ADJUST_ROOM => numbers(vec![
            change(4200),
            prop_oneof![5 => Just(0u64), 5 => Just(1u64), 1 => 0..4u64].boxed(),
            flags(ROOM),
        ]),
        H::SKB_VLAN_PUSH => numbers(vec![protocol(), any_number()]),
        H::SKB_CHANGE_TYPE => numbers(vec![(0..6u64).boxed()]),
        H::SKB_SET_TSTAMP => numbers(vec![
            prop_oneof![Just(0u64), any::<u64>()].boxed(),
            (0..4u64).boxed(),
        ]),
        H::REDIRECT | H::REDIRECT_PEER => without_context(vec![ifindex(), flags(&[1])]),
        H::CLONE_REDIRECT => numbers(vec![ifindex(), flags(&[1])]),
        H::REDIRECT_MAP => redirect_map(),
        H::PERF_EVENT_OUTPUT => event(),
        H::SKB_UNDER_CGROUP => (0..4u64)
            .prop_map(|index| vec![Arg::Context, Arg::Map(Name::Cgroups), Arg::Number(index)])
            .boxed(),
        H::REDIRECT_NEIGH => return structures::redirect_neigh(),
        H::CHECK_MTU => return structures::check_mtu(),
        H::FIB_LOOKUP => return structures::fib_lookup(),
        H::SKB_SET_TUNNEL_KEY => return structures::set_tunnel_key(),
        H::SKB_GET_TUNNEL_KEY => {
            structures::tunnel(&[44, 28, 24, 22, 8], Some(flags(&[1 << 0, 1 << 4])))
        }
        H::SKB_SET_TUNNEL_OPT | H::SKB_GET_TUNNEL_OPT => structures::tunnel(&[4, 8, 64, 252], None),
        _ => numbers(vec![]),
    };
    args.prop_map(move |args| vec![Step::Call(helper, args)])
        .boxed()
}

/// Lengths of packets, but not those that only the kernel has buffers for.
fn length(long: std::ops::Range<u64>) -> Number {
    const OURS: u32 = 64 << 10;
    const KERNELS: u32 = 8 << 20;
    let far = any::<u64>().prop_filter("a length between both", |len| {
        !(OURS..KERNELS).contains(&(*len as u32))
    });
    prop_oneof![6 => 0..200u64, 2 => 0..5000u64, 1 => long, 1 => far].boxed()
}

fn without_context(list: Vec<Number>) -> BoxedStrategy<Vec<Arg>> {
    list.prop_map(|numbers| numbers.into_iter().map(Arg::Number).collect())
        .boxed()
}

fn redirect_map() -> BoxedStrategy<Vec<Arg>> {
    let map = select(vec![
        Name::Devices,
        Name::DevicesByKey,
        Name::Cpus,
        Name::XdpSockets,
    ]);
    let key = prop_oneof![8 => 0..9u64, 1 => Just(0xffff_ffffu64), 1 => any::<u64>()];
    (map, key, flags(&[1, 2, 8, 16]))
        .prop_map(|(map, key, flags)| vec![Arg::Map(map), Arg::Number(key), Arg::Number(flags)])
        .boxed()
}

/// An event with bytes of the packet.
fn event() -> BoxedStrategy<Vec<Arg>> {
    let index = prop_oneof![6 => Just(0xffff_ffffu64), 2 => Just(0u64), 1 => 0..4u64];
    let packet = prop_oneof![
        1 => Just(0u64),
        5 => 1..100u64,
        2 => 100..2000u64,
        1 => Just(0xf_ffffu64),
        // Beyond the mask.
        1 => Just(0x10_0000u64),
    ];
    (index, packet, buffer())
        .prop_map(|(index, packet, (from, len))| {
            let flags = Arg::Number(packet << 32 | index);
            vec![Arg::Context, Arg::Map(Name::Events), flags, from, len]
        })
        .boxed()
}

const WIDTHS: [Width; 4] = [Width::B, Width::H, Width::W, Width::D];

/// Reads and writes of the context's numbers.
pub fn fields(kind: ProgramType) -> Steps {
    let layout = layout(kind, None).unwrap();
    let at = |allowed: fn(&Field) -> Widths| {
        let mut found = Vec::new();
        let plain =
            |field: &&Field| !matches!(field.value, FieldValue::Packet | FieldValue::Object);
        for field in layout.fields.iter().filter(plain) {
            for width in WIDTHS {
                let bytes = width.bytes() as u32;
                let offsets = u32::from(field.offset)..u32::from(field.offset + field.size);
                let fits = |at: &u32| allowed(field).contains(bytes) && field.covers(*at, bytes);
                found.extend(offsets.filter(fits).map(|at| (width, at as i16)));
            }
        }
        found
    };
    let reads = at(|field| field.read);
    let writes = at(|field| field.write);
    let read = select(reads).prop_map(|(width, at)| Step::Read(width, at));
    if writes.is_empty() {
        return read.prop_map(|step| vec![step]).boxed();
    }
    let value = prop_oneof![any::<u64>(), 0..0x2_0000u64];
    let write =
        (select(writes), value).prop_map(|((width, at), value)| Step::Write(width, at, value));
    prop_oneof![read, write].prop_map(|step| vec![step]).boxed()
}

/// Reads of the packet's socket, as which types of programs may look at.
pub fn sockets(kind: ProgramType) -> Steps {
    /// Fields of `struct bpf_sock` that any socket has, and those of a full one besides. Not
    /// `rx_queue_mapping`: without a queue it is a -1 of 64 bits, even where 32 are loaded.
    const COMMON: [i16; 12] = [0, 4, 24, 28, 32, 36, 40, 44, 52, 56, 68, 72];
    const FULL: [i16; 4] = [8, 12, 16, 20];
    let common = select(&COMMON[..]).prop_map(|at| (false, at));
    let full = select([&COMMON[..], &FULL].concat()).prop_map(|at| (true, at));
    let full = match kind {
        ProgramType::SchedCls | ProgramType::SchedAct | ProgramType::CgroupSkb => full.boxed(),
        _ => common.clone().boxed(),
    };
    prop_oneof![common, full]
        .prop_map(|(full, at)| vec![Step::Socket { full, at }])
        .boxed()
}

/// Loads from the packet as classic BPF has them.
pub fn loads() -> Steps {
    let width = select(vec![Width::B, Width::H, Width::W]);
    let offset = prop_oneof![
        8 => 0..80i32,
        2 => 0..2000i32,
        3 => -0x10_0000..-0x10_0000 + 80,
        3 => -0x20_0000..-0x20_0000 + 80,
        1 => -0x20_0100..-0x0f_0000i32,
        1 => any::<i32>(),
    ];
    let by = prop_oneof![4 => 0..60u64, 1 => any::<u64>()];
    let absolute =
        (width.clone(), offset.clone()).prop_map(|(width, at)| Step::Absolute(width, at));
    let indirect = (width, offset, by).prop_map(|(width, at, by)| Step::Indirect(width, at, by));
    prop_oneof![absolute, indirect]
        .prop_map(|step| vec![step])
        .boxed()
}
