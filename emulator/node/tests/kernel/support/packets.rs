//! Random packets and contexts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::case::Input;
use super::{network, protocols};

/// Packets of protocols, whole or cut off, and bytes that look like one at the front at most.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let cut = vec(any::<u8>(), 0..14);
    prop_oneof![20 => protocols::frame(), 20 => noise(), 1 => cut]
}

/// Bytes behind an Ethernet header, with as many as a test run wants.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        4 => vec(any::<u8>(), 0..120),
        1 => vec(any::<u8>(), 120..1500),
        1 => vec(Just(0u8), 0..100),
        1 => vec(Just(0xffu8), 0..100),
    ];
    (any::<[u8; 12]>(), destination(), kind(), any::<u8>(), body).prop_map(
        |(addresses, to, kind, tos, body)| {
            let mut frame = addresses.to_vec();
            if let Some(to) = to {
                frame[..6].copy_from_slice(&to);
            }
            frame.extend(kind);
            let network = frame.len();
            frame.extend(body);
            if let [.., 8, 0] | [.., 0x86, 0xdd] = frame[..network] {
                // What a test run takes.
                frame.resize(frame.len().max(network + 40), 0);
            }
            // A version and a traffic class that fit the protocol.
            if let (Some(4 | 6), Some(first)) = (Some(tos >> 4), frame.get_mut(network)) {
                *first = tos;
            }
            frame.resize(frame.len().max(14), 0);
            frame
        },
    )
}

fn destination() -> impl Strategy<Value = Option<[u8; 6]>> {
    prop_oneof![
        3 => Just(Some([0; 6])),
        1 => Just(Some([0xff; 6])),
        1 => Just(Some([1, 0, 0x5e, 0, 0, 1])),
        3 => Just(None),
    ]
}

/// The type field, with tags before it.
fn kind() -> impl Strategy<Value = Vec<u8>> {
    let tag = (
        prop_oneof![Just([0x81, 0]), Just([0x88, 0xa8])],
        any::<[u8; 2]>(),
    );
    let protocol = prop_oneof![
        5 => Just([8, 0]),
        5 => Just([0x86, 0xdd]),
        1 => Just([8, 6]),
        1 => any::<[u8; 2]>(),
    ];
    let tags = prop_oneof![
        6 => vec(tag.clone(), 0..1),
        2 => vec(tag.clone(), 1..2),
        1 => vec(tag, 2..4),
    ];
    (tags, protocol).prop_map(|(tags, protocol)| {
        let mut bytes = Vec::new();
        for (kind, tci) in tags {
            bytes.extend(kind);
            bytes.extend(tci);
        }
        bytes.extend(protocol);
        bytes
    })
}

/// What a tc program runs on.
pub fn skb() -> impl Strategy<Value = Input> {
    (frame(), odd(skb_context()), prop::bool::weighted(0.25)).prop_map(
        |(data, context, checksum_complete)| Input {
            data,
            context,
            checksum_complete,
        },
    )
}

/// `struct __sk_buff` with the fields that a test run takes.
fn skb_context() -> impl Strategy<Value = Vec<u8>> {
    let gso = prop_oneof![100 => Just(0u32), 20 => 1..2000u32, 1 => any::<u32>()];
    let wire = prop_oneof![3 => Just(0u32), 1 => 0..70000u32];
    let device = || prop_oneof![3 => Just(1u32), 2 => select(&network::INDEXES[..])];
    (
        any::<[u32; 2]>(),
        any::<[u8; 20]>(),
        prop_oneof![Just(0u64), any::<u64>()],
        any::<u64>(),
        wire,
        (gso.clone(), gso),
        (device(), device()),
    )
        .prop_map(|(marks, cb, tstamp, hwtstamp, wire, gso, devices)| {
            let ((segments, size), (ingress, device)) = (gso, devices);
            let mut context = vec![0; 192];
            let mut put = |at: usize, bytes: &[u8]| {
                context[at..at + bytes.len()].copy_from_slice(bytes);
            };
            put(8, &marks[0].to_le_bytes());
            put(32, &marks[1].to_le_bytes());
            put(36, &ingress.to_le_bytes());
            put(40, &device.to_le_bytes());
            put(48, &cb);
            put(152, &tstamp.to_le_bytes());
            put(160, &wire.to_le_bytes());
            put(164, &segments.to_le_bytes());
            put(176, &size.to_le_bytes());
            put(184, &hwtstamp.to_le_bytes());
            context
        })
}

/// A context as it is, mostly: shorter, longer, none, or with another byte in it.
fn odd(context: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = prop_oneof![
        40 => Just(None),
        1 => any::<(usize, u8)>().prop_map(Some),
    ];
    let len = prop_oneof![40 => Just(None), 1 => (0..300usize).prop_map(Some)];
    (context, change, len).prop_map(|(mut context, change, len)| {
        context.resize(len.unwrap_or(context.len()), 0);
        if let (Some((at, byte)), false) = (change, context.is_empty()) {
            let at = at % context.len();
            context[at] = byte;
        }
        context
    })
}

/// What an XDP program runs on: some bytes of metadata, then a frame.
pub fn xdp() -> impl Strategy<Value = Input> {
    let meta = prop_oneof![
        6 => Just(0usize),
        4 => (0..64usize).prop_map(|words| words * 4),
        1 => 0..300usize,
    ];
    let long = (
        any::<u8>(),
        prop_oneof![4 => 3000..3600usize, 1 => 3600..70000usize, 1 => 70000..80000usize],
    )
        .prop_map(|(byte, len)| vec![byte; len]);
    let device = prop_oneof![4 => Just(0u32), 4 => Just(1), 2 => select(&network::INDEXES[..])];
    let queue = prop_oneof![12 => Just(0u32), 1 => 0..3u32];
    let data = (prop_oneof![12 => frame(), 1 => long], meta);
    data.prop_flat_map(move |(frame, meta)| {
        let mut data = vec![0x5a; meta];
        data.extend(frame);
        let len = data.len() as u32;
        let end = prop_oneof![20 => Just(len), 1 => 0..len + 2];
        let context = (end, device.clone(), queue.clone()).prop_map(move |(end, device, queue)| {
            let fields = [meta as u32, end, 0, device, queue, 0];
            fields.into_iter().flat_map(u32::to_le_bytes).collect()
        });
        (Just(data), odd(context))
    })
    .prop_map(|(data, context)| Input {
        data,
        context,
        checksum_complete: false,
    })
}
