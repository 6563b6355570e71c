//! Random packets of the protocols that networks carry, tunnels and truncation included.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::network;

pub type Bytes = BoxedStrategy<Vec<u8>>;
/// The number by which the layer below names it, and the bytes.
type Named<T> = BoxedStrategy<(T, Vec<u8>)>;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ETHERNET: u16 = 0x6558;

/// Tunnels in tunnels.
const DEPTH: u32 = 2;

/// An Ethernet frame, whole or cut off at any byte behind its header.
pub fn frame() -> Bytes {
    (ethernet(DEPTH), prop::option::weighted(0.2, any::<u16>()))
        .prop_map(|(mut frame, cut)| {
            if let Some(cut) = cut {
                let rest = frame.len() - 14;
                frame.truncate(14 + usize::from(cut) % (rest + 1));
            }
            frame
        })
        .boxed()
}

/// Nothing much, a little, as much as a frame holds, and a jumbo frame.
fn payload() -> Bytes {
    prop_oneof![
        3 => vec(any::<u8>(), 0..8),
        6 => vec(any::<u8>(), 8..64),
        1 => vec(any::<u8>(), 1200..1460),
        1 => (any::<u8>(), prop_oneof![3 => 2800..3700usize, 1 => Just(8900usize)])
            .prop_map(|(byte, len)| vec![byte; len]),
    ]
    .boxed()
}

fn ethernet(depth: u32) -> Bytes {
    let tag = (select(vec![[0x81, 0], [0x88, 0xa8]]), any::<[u8; 2]>());
    let tags = prop_oneof![6 => Just(0usize), 2 => Just(1), 2 => Just(2), 1 => Just(3)]
        .prop_flat_map(move |count| vec(tag.clone(), count));
    let to = prop_oneof![
        4 => Just([0; 6]),
        1 => Just([0xff; 6]),
        1 => Just([0x33, 0x33, 0, 0, 0, 1]),
        2 => any::<[u8; 6]>(),
    ];
    (to, any::<[u8; 6]>(), tags, network(depth))
        .prop_map(|(to, from, tags, (kind, payload))| {
            let mut frame = [to, from].concat();
            for (kind, tci) in tags {
                frame.extend([kind, tci].concat());
            }
            frame.extend(kind.to_be_bytes());
            frame.extend(payload);
            frame
        })
        .boxed()
}

/// IPv4, IPv6, ARP, MPLS before IP.
fn network(depth: u32) -> Named<u16> {
    let ip = prop_oneof![ipv4(depth), ipv6(depth)];
    let arp = vec(any::<u8>(), 20).prop_map(|rest| {
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
        arp.extend(rest);
        (0x0806u16, arp)
    });
    let labelled = (any::<[u8; 3]>(), ip.clone()).prop_map(|([a, b, c], (_, inner))| {
        let mut label = vec![a, b, c | 1, 64];
        label.extend(inner);
        (0x8847, label)
    });
    prop_oneof![12 => ip, 1 => arp, 1 => labelled].boxed()
}

fn ipv4_address() -> impl Strategy<Value = [u8; 4]> {
    prop_oneof![3 => select(&network::IPV4[..]), 1 => any::<[u8; 4]>()]
}

fn ipv6_address() -> impl Strategy<Value = [u8; 16]> {
    let known = select(&network::IPV6[..]);
    let known = known.prop_map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets());
    prop_oneof![3 => known, 1 => any::<[u8; 16]>()]
}

/// The sum of RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|word| match word {
        [high, low] => u32::from(*high) << 8 | u32::from(*low),
        word => u32::from(word[0]) << 8,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

fn ipv4(depth: u32) -> Named<u16> {
    let options = prop_oneof![5 => Just(0usize), 1 => 1..11usize]
        .prop_flat_map(|words| vec(any::<u8>(), words * 4));
    let fragment = prop_oneof![6 => Just(0x4000u16), 2 => Just(0), 1 => any::<u16>()];
    let ends = (ipv4_address(), ipv4_address());
    (
        any::<u8>(),
        any::<u16>(),
        fragment,
        ends,
        options,
        transport(depth, false),
    )
        .prop_map(
            |(tos, id, fragment, (from, to), options, (protocol, payload))| {
                let len = (20 + options.len() + payload.len()) as u16;
                let mut header = vec![0x45 + (options.len() / 4) as u8, tos];
                for word in [len, id, fragment] {
                    header.extend(word.to_be_bytes());
                }
                header.extend([64, protocol, 0, 0]);
                header.extend([from, to].concat());
                header.extend(options);
                let sum = checksum(&header);
                header[10..12].copy_from_slice(&sum);
                header.extend(payload);
                (IPV4, header)
            },
        )
        .boxed()
}

fn ipv6(depth: u32) -> Named<u16> {
    // Hop-by-hop options, routing, fragment, destination options: the next header comes first.
    let extension = (select(vec![0u8, 43, 44, 60]), any::<[u8; 7]>()).prop_map(|(kind, rest)| {
        let mut header = vec![0];
        header.extend(rest);
        if kind != 44 {
            header[1] &= 1;
            header.resize(8 + usize::from(header[1]) * 8, 1);
        }
        (kind, header)
    });
    let extensions = prop_oneof![4 => Just(0usize), 2 => 1..4usize]
        .prop_flat_map(move |count| vec(extension.clone(), count));
    let ends = (ipv6_address(), ipv6_address());
    (any::<[u8; 3]>(), ends, extensions, transport(depth, true))
        .prop_map(|(label, (from, to), extensions, (protocol, payload))| {
            let mut rest = payload;
            let mut next = protocol;
            for (kind, mut header) in extensions.into_iter().rev() {
                header[0] = next;
                next = kind;
                header.extend(rest);
                rest = header;
            }
            let mut packet = vec![0x60 | label[0] & 0xf, label[1], label[2], 7];
            packet.extend((rest.len() as u16).to_be_bytes());
            packet.extend([next, 64]);
            packet.extend([from, to].concat());
            packet.extend(rest);
            (IPV6, packet)
        })
        .boxed()
}

fn ports() -> impl Strategy<Value = Vec<u8>> {
    let port = || prop_oneof![select(vec![53u16, 80, 443, 8080]), any::<u16>()];
    (port(), port()).prop_map(|(from, to)| [from.to_be_bytes(), to.to_be_bytes()].concat())
}

/// What follows a network header.
fn transport(depth: u32, ipv6: bool) -> Named<u8> {
    let tcp = (
        ports(),
        any::<[u8; 8]>(),
        5..9u8,
        any::<[u8; 7]>(),
        payload(),
    )
        .prop_map(|(mut tcp, numbers, words, rest, payload)| {
            tcp.extend(numbers);
            tcp.push(words << 4);
            tcp.extend(rest);
            tcp.resize(usize::from(words) * 4, 1);
            tcp.extend(payload);
            (6u8, tcp)
        });
    let udp = (ports(), any::<[u8; 2]>(), payload())
        .prop_map(|(ports, sum, payload)| (17, datagram(ports, sum, &payload)));
    let sctp = (ports(), any::<[u8; 8]>(), payload())
        .prop_map(|(ports, rest, payload)| (132, [ports, rest.to_vec(), payload].concat()));
    let other = (select(vec![0u8, 50, 51, 89, 136, 255]), payload());
    let plain = prop_oneof![4 => tcp, 4 => udp, 1 => sctp, 1 => other];
    if depth == 0 {
        return plain.boxed();
    }
    prop_oneof![6 => plain, 1 => icmp_error(depth, ipv6), 3 => tunnelled(depth)].boxed()
}

fn datagram(ports: Vec<u8>, sum: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    [&ports, &len.to_be_bytes()[..], &sum, payload].concat()
}

/// An error that quotes the packet that caused it.
fn icmp_error(depth: u32, ipv6: bool) -> Named<u8> {
    let quote = if ipv6 {
        self::ipv6(depth - 1)
    } else {
        ipv4(depth - 1)
    };
    let kinds = if ipv6 { [1u8, 2, 3] } else { [3, 11, 12] };
    (select(kinds.to_vec()), 0..5u8, any::<[u8; 4]>(), quote)
        .prop_map(move |(kind, code, rest, (_, quote))| {
            let mut error = vec![kind, code, 0, 0];
            error.extend(rest);
            error.extend(&quote[..quote.len().min(128)]);
            let sum = checksum(&error);
            error[2..4].copy_from_slice(&sum);
            (if ipv6 { 58 } else { 1 }, error)
        })
        .boxed()
}

/// VXLAN, Geneve, GRE, IP in IP.
fn tunnelled(depth: u32) -> Named<u8> {
    let inner = depth - 1;
    let identifier = any::<[u8; 3]>();
    let vxlan = (any::<u16>(), identifier, ethernet(inner)).prop_map(|(from, [a, b, c], frame)| {
        let payload = [&[8, 0, 0, 0, a, b, c, 0], &frame[..]].concat();
        let ports = [from.to_be_bytes(), 4789u16.to_be_bytes()].concat();
        (17u8, datagram(ports, [0; 2], &payload))
    });
    let options =
        prop_oneof![Just(0usize), 1..5usize].prop_flat_map(|words| vec(any::<u8>(), words * 4));
    let geneve = (any::<u16>(), identifier, options, ethernet(inner)).prop_map(
        |(from, [a, b, c], options, frame)| {
            let header = [(options.len() / 4) as u8, 0, 0x65, 0x58, a, b, c, 0];
            let payload = [&header[..], &options, &frame].concat();
            let ports = [from.to_be_bytes(), 6081u16.to_be_bytes()].concat();
            (17, datagram(ports, [0; 2], &payload))
        },
    );
    let inside = prop_oneof![
        network(inner),
        ethernet(inner).prop_map(|frame| (ETHERNET, frame)),
    ];
    // With a checksum, a key and a sequence number, each of four bytes.
    let gre = (
        select(vec![0u8, 0x20, 0x80, 0xb0]),
        any::<[u8; 12]>(),
        inside,
    )
        .prop_map(|(flags, fields, (kind, inner))| {
            let len = (flags & 0xb0).count_ones() as usize * 4;
            let [high, low] = kind.to_be_bytes();
            (
                47,
                [&[flags, 0, high, low], &fields[..len], &inner].concat(),
            )
        });
    let ip = prop_oneof![
        ipv4(inner).prop_map(|(_, packet)| (4, packet)),
        ipv6(inner).prop_map(|(_, packet)| (41, packet)),
    ];
    prop_oneof![vxlan, geneve, gre, ip].boxed()
}
