//! Random arguments that are structures in the buffers: of neighbours, lengths, routes, tunnels.

use std::net::Ipv6Addr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use twinpath_machine::HelperId as H;

use crate::steps::{Number, Steps, change, flags, ifindex, rarely};
use crate::support::case::{Arg, Step};
use crate::support::network;

pub fn redirect_neigh() -> Steps {
    let family = prop_oneof![4 => Just(2u32), 4 => Just(10), 1 => any::<u32>()];
    let params = prop_oneof![
        2 => Just((Arg::Null, 0)),
        4 => Just((Arg::Buffer(0), 20)),
        1 => (1..40u64).prop_map(|len| (Arg::Buffer(0), len)),
    ];
    (ifindex(), family, any::<[u8; 16]>(), params, rarely())
        .prop_map(|(index, family, address, (at, len), flags)| {
            let mut bytes = family.to_le_bytes().to_vec();
            bytes.extend(address);
            let args = vec![Arg::Number(index), at, Arg::Number(len), Arg::Number(flags)];
            vec![Step::Fill(0, bytes), Step::Call(H::REDIRECT_NEIGH, args)]
        })
        .boxed()
}

pub fn check_mtu() -> Steps {
    let given = prop_oneof![3 => Just(0u32), 4 => 0..2000u32, 1 => any::<u32>()];
    (ifindex(), given, change(2000), flags(&[1]))
        .prop_map(|(index, given, by, flags)| {
            let args = vec![
                Arg::Context,
                Arg::Number(index),
                Arg::Buffer(0),
                Arg::Number(by),
                Arg::Number(flags),
            ];
            let fill = Step::Fill(0, given.to_le_bytes().to_vec());
            vec![fill, Step::Call(H::CHECK_MTU, args)]
        })
        .boxed()
}

/// `struct bpf_fib_lookup`.
pub fn fib_lookup() -> Steps {
    let ipv4 = select(&network::IPV4[..]).prop_map(|address| {
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&address);
        octets
    });
    let ipv6 = select(&network::IPV6[..])
        .prop_map(|address| address.parse::<Ipv6Addr>().unwrap().octets());
    let question = prop_oneof![
        6 => (Just(2u8), ipv4.clone(), ipv4.clone()),
        6 => (Just(10u8), ipv6.clone(), ipv6),
        1 => (any::<u8>(), ipv4.clone(), ipv4),
    ];
    let len = prop_oneof![3 => Just(0u16), 4 => 200..1600u16, 1 => any::<u16>()];
    let size = prop_oneof![12 => Just(64u64), 1 => 1..100u64];
    let table = select(vec![0u32, 77, 253, 254, 255, 9999]);
    let bits: &[u64] = &[1, 2, 4, 8, 16, 32];
    (
        question,
        len,
        ifindex(),
        table,
        any::<u32>(),
        size,
        flags(bits),
    )
        .prop_map(
            |((family, from, to), len, index, table, mark, size, flags)| {
                let mut bytes = vec![family, 6, 0, 80, 1, 2];
                bytes.extend(len.to_le_bytes());
                bytes.extend((index as u32).to_le_bytes());
                bytes.extend([0; 4]);
                bytes.extend(from);
                bytes.extend(to);
                bytes.extend(table.to_le_bytes());
                bytes.extend(mark.to_le_bytes());
                bytes.extend([0xee; 8]);
                let args = vec![
                    Arg::Context,
                    Arg::Buffer(0),
                    Arg::Number(size),
                    Arg::Number(flags),
                ];
                vec![Step::Fill(0, bytes), Step::Call(H::FIB_LOOKUP, args)]
            },
        )
        .boxed()
}

/// A buffer of one of these sizes, mostly, and flags.
pub fn tunnel(sizes: &'static [u64], flags: Option<Number>) -> BoxedStrategy<Vec<Arg>> {
    let size = prop_oneof![8 => select(sizes), 1 => 1..300u64];
    let flags = flags.map_or(Just(None).boxed(), |flags| flags.prop_map(Some).boxed());
    (size, flags)
        .prop_map(|(size, flags)| {
            let mut args = vec![Arg::Context, Arg::Buffer(128), Arg::Number(size)];
            args.extend(flags.map(Arg::Number));
            args
        })
        .boxed()
}

/// `struct bpf_tunnel_key`.
pub fn set_tunnel_key() -> Steps {
    let label = prop_oneof![4 => Just(0u32), 1 => any::<u32>()];
    let ext = prop_oneof![8 => Just(0u16), 1 => any::<u16>()];
    let bits: &[u64] = &[1, 2, 4, 8, 16];
    (
        vec(any::<u8>(), 22),
        ext,
        label,
        vec(any::<u8>(), 16),
        tunnel(&[44, 28, 24, 22, 8], Some(flags(bits))),
    )
        .prop_map(|(mut bytes, ext, label, local, mut args)| {
            bytes.extend(ext.to_le_bytes());
            bytes.extend(label.to_le_bytes());
            bytes.extend(local);
            args[1] = Arg::Buffer(0);
            vec![
                Step::Fill(0, bytes),
                Step::Call(H::SKB_SET_TUNNEL_KEY, args),
            ]
        })
        .boxed()
}
