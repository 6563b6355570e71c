//! Built frames, against etherparse and against the dissector.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{LaxPacketHeaders, LaxPayloadSlice, NetHeaders, PacketHeaders, TransportHeader};
use proptest::prelude::*;
use twinpath_pcaps::build::{
    Checksum, EtherBody, Ethernet, Extension, Icmp, Ip, IpNumber, Ipv4, Ipv6, Piece, Tcp,
    Transport, Udp, VlanId, VlanTag, Vni,
};
use twinpath_pcaps::dissect::{self, ChecksumState, Field};
use twinpath_pcaps::{MacAddr, TcpFlags};

/// Any payload, which may be empty or of odd length.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..100)
}

prop_compose! {
    fn tcp()(
        source in any::<u16>(), destination in any::<u16>(), flags in 0..0x200u16,
        sequence in any::<u32>(), acknowledgement in any::<u32>(), window in any::<u16>(),
        payload in payload(),
    ) -> Tcp {
        Tcp {
            sequence,
            acknowledgement,
            window,
            payload,
            ..Tcp::new(source, destination, TcpFlags::from_bits(flags))
        }
    }
}

fn transport() -> impl Strategy<Value = Transport> {
    let udp = (any::<u16>(), 1..4789u16, payload())
        .prop_map(|(source, destination, payload)| Udp::new(source, destination, payload));
    let icmp = (128..=129u8, any::<u8>(), any::<[u8; 4]>(), payload())
        .prop_map(|(kind, code, rest, payload)| Icmp::new(kind, code, rest, payload));
    prop_oneof![
        tcp().prop_map(Transport::Tcp),
        udp.prop_map(Transport::Udp),
        icmp.prop_map(Transport::Icmp),
        payload().prop_map(|payload| Transport::Raw {
            protocol: IpNumber(253),
            payload
        }),
    ]
}

fn extension() -> impl Strategy<Value = Extension> {
    prop_oneof![
        payload().prop_map(Extension::Destination),
        (0..8u8, any::<[u8; 12]>()).prop_map(|(kind, data)| Extension::Routing {
            kind,
            segments_left: 0,
            data: data.to_vec(),
        }),
        (any::<u32>(), any::<u32>(), any::<[u8; 8]>()).prop_map(|(spi, sequence, icv)| {
            Extension::Authentication {
                spi,
                sequence,
                icv: icv.to_vec(),
            }
        }),
    ]
}

fn ip() -> impl Strategy<Value = Ip> {
    let v4 = (
        any::<[u8; 4]>(),
        any::<[u8; 4]>(),
        any::<u8>(),
        0..=40usize,
        transport(),
    );
    let v6 = (
        any::<[u8; 16]>(),
        any::<[u8; 16]>(),
        any::<u8>(),
        prop::collection::vec(extension(), 0..3),
        transport(),
    );
    prop_oneof![
        v4.prop_map(|(source, destination, ttl, options, body)| Ip::V4(Ipv4 {
            ttl,
            options: vec![1; options],
            ..Ipv4::new(source.into(), destination.into(), body)
        })),
        v6.prop_map(
            |(source, destination, hop_limit, extensions, body)| Ip::V6(Ipv6 {
                hop_limit,
                extensions,
                ..Ipv6::new(source.into(), destination.into(), body)
            })
        ),
    ]
}

fn frame_of(body: EtherBody, tags: Vec<u16>) -> Ethernet {
    let tags = tags
        .into_iter()
        .map(|id| VlanTag::new(VlanId::try_new(id).unwrap()));
    Ethernet {
        tags: tags.collect(),
        ..Ethernet::new(body)
    }
}

prop_compose! {
    fn frame()(ip in ip(), tags in prop::collection::vec(0..4096u16, 0..3)) -> Ethernet {
        frame_of(EtherBody::Ip(ip), tags)
    }
}

fn value<'a>(fields: &'a [Field], path: &str) -> &'a str {
    match fields.iter().find(|field| field.path() == path) {
        Some(field) => &field.value,
        None => panic!("no {path}"),
    }
}

/// Equal in one's complement.
fn same_sum(left: u16, right: u16) -> bool {
    let canonical = |sum: u16| if sum == 0xffff { 0 } else { sum };
    canonical(left) == canonical(right)
}

proptest! {
    /// etherparse parses the frame strictly and finds the checksums that it would have written.
    #[test]
    fn etherparse_agrees(frame in frame()) {
        let bytes = frame.to_bytes().unwrap();
        let headers = PacketHeaders::from_ethernet_slice(&bytes).unwrap();
        let payload = headers.payload.slice();
        if let Some(NetHeaders::Ipv4(ip, _)) = &headers.net {
            prop_assert!(same_sum(ip.header_checksum, ip.calc_header_checksum()));
        }
        let expected = match (&headers.net, &headers.transport) {
            (Some(NetHeaders::Ipv4(ip, _)), Some(TransportHeader::Tcp(tcp))) => {
                Some((tcp.checksum, tcp.calc_checksum_ipv4(ip, payload).unwrap()))
            }
            (Some(NetHeaders::Ipv6(ip, _)), Some(TransportHeader::Tcp(tcp))) => {
                Some((tcp.checksum, tcp.calc_checksum_ipv6(ip, payload).unwrap()))
            }
            (Some(NetHeaders::Ipv4(ip, _)), Some(TransportHeader::Udp(udp))) => {
                Some((udp.checksum, udp.calc_checksum_ipv4(ip, payload).unwrap()))
            }
            (Some(NetHeaders::Ipv6(ip, _)), Some(TransportHeader::Udp(udp))) => {
                Some((udp.checksum, udp.calc_checksum_ipv6(ip, payload).unwrap()))
            }
            (_, Some(TransportHeader::Icmpv4(icmp))) => {
                Some((icmp.checksum, icmp.icmp_type.calc_checksum(payload)))
            }
            (Some(NetHeaders::Ipv6(ip, _)), Some(TransportHeader::Icmpv6(icmp))) => Some((
                icmp.checksum,
                icmp.icmp_type.calc_checksum(ip.source, ip.destination, payload).unwrap(),
            )),
            _ => None,
        };
        if let Some((found, expected)) = expected {
            prop_assert!(same_sum(found, expected), "{found:#x} {expected:#x}");
        }
    }

    /// The dissector finds what was put in, and nothing wrong.
    #[test]
    fn the_dissector_agrees(frame in frame(), mac in any::<[u8; 6]>()) {
        let frame = Ethernet { source: MacAddr(mac), ..frame };
        let bytes = frame.to_bytes().unwrap();
        let fields = dissect::dissect(&bytes);
        prop_assert_eq!(value(&fields, "eth.src"), MacAddr(mac).to_string());
        for (index, tag) in frame.tags.iter().enumerate() {
            let path = if index == 0 { "vlan.id".into() } else { format!("vlan.id#{}", index + 1) };
            prop_assert_eq!(value(&fields, &path), tag.id.value().to_string());
        }
        let EtherBody::Ip(ip) = &frame.body else { unreachable!() };
        match ip {
            Ip::V4(ip) => {
                prop_assert_eq!(value(&fields, "ip.src"), ip.source.to_string());
                prop_assert_eq!(value(&fields, "ip.dst"), ip.destination.to_string());
                prop_assert_eq!(value(&fields, "ip.ttl"), ip.ttl.to_string());
            }
            Ip::V6(ip) => {
                prop_assert_eq!(value(&fields, "ipv6.src"), ip.source.to_string());
                prop_assert_eq!(value(&fields, "ipv6.dst"), ip.destination.to_string());
                prop_assert_eq!(value(&fields, "ipv6.hlim"), ip.hop_limit.to_string());
            }
        }
        match ip.body() {
            Transport::Tcp(tcp) => {
                prop_assert_eq!(value(&fields, "tcp.srcport"), tcp.source_port.to_string());
                prop_assert_eq!(value(&fields, "tcp.dstport"), tcp.destination_port.to_string());
                prop_assert_eq!(value(&fields, "tcp.flags"), tcp.flags.to_string());
                prop_assert_eq!(value(&fields, "tcp.seq_raw"), tcp.sequence.to_string());
                prop_assert_eq!(value(&fields, "tcp.ack_raw"), tcp.acknowledgement.to_string());
            }
            Transport::Udp(udp) => {
                prop_assert_eq!(value(&fields, "udp.srcport"), udp.source_port.to_string());
                prop_assert_eq!(value(&fields, "udp.dstport"), udp.destination_port.to_string());
                prop_assert_eq!(
                    value(&fields, "udp.length"),
                    (8 + udp.payload.len()).to_string()
                );
            }
            _ => {}
        }
        for field in dissect::checksums(&bytes) {
            prop_assert_eq!(field.checksum, Some(ChecksumState::Right), "{}", field);
        }
    }

    #[test]
    fn a_broken_checksum_is_found(frame in frame()) {
        let mut frame = frame;
        let EtherBody::Ip(ip) = &mut frame.body else { unreachable!() };
        let mut expected = vec![];
        if let Ip::V4(ip) = ip {
            ip.checksum = Checksum::Wrong;
            expected.push("ip.checksum");
        }
        let is_v4 = matches!(ip, Ip::V4(_));
        match ip.body_mut() {
            Transport::Tcp(tcp) => {
                tcp.checksum = Checksum::Wrong;
                expected.push("tcp.checksum");
            }
            Transport::Udp(udp) => {
                udp.checksum = Checksum::Wrong;
                expected.push("udp.checksum");
            }
            Transport::Icmp(icmp) => {
                icmp.checksum = Checksum::Wrong;
                expected.push(if is_v4 { "icmp.checksum" } else { "icmpv6.checksum" });
            }
            _ => {}
        }
        let wrong = dissect::wrong_checksums(&frame.to_bytes().unwrap());
        let names: Vec<_> = wrong.iter().map(|field| field.name).collect();
        prop_assert_eq!(names, expected);
    }

    /// Fragments put together are the packet.
    #[test]
    fn fragments_make_the_whole(
        body in transport(),
        v4 in any::<bool>(),
        cuts in prop::collection::btree_set(1..16usize, 0..5),
    ) {
        let packet = |fragment: Option<Piece>| {
            let frame = Ethernet::new(EtherBody::Ip(if v4 {
                let ends = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
                Ip::V4(Ipv4 { fragment, ..Ipv4::new(ends[0], ends[1], body.clone()) })
            } else {
                let ends = [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED];
                let fragment = fragment.map(|piece| Extension::Fragment { id: 7, piece });
                Ip::V6(Ipv6 {
                    extensions: fragment.into_iter().collect(),
                    ..Ipv6::new(ends[0], ends[1], body.clone())
                })
            }));
            frame.to_bytes().unwrap()
        };
        let header = 14 + if v4 { 20 } else { 40 };
        let whole = packet(None)[header..].to_vec();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut * 8).filter(|cut| *cut < whole.len()).collect();
        cuts.insert(0, 0);
        let mut together = vec![];
        for (index, offset) in cuts.iter().copied().enumerate() {
            let end = cuts.get(index + 1).copied();
            let piece = Piece { offset, len: end.map(|end| end - offset), more: Default::default() };
            let bytes = packet(Some(piece));
            let header = if v4 { header } else { header + 8 };
            together.extend_from_slice(&bytes[header..]);
            let lax = LaxPacketHeaders::from_ethernet(&bytes).unwrap();
            let is_fragment = matches!(lax.payload, LaxPayloadSlice::Ip(ip) if ip.fragmented);
            let (more, offset) = fragment_fields(&dissect::dissect(&bytes), v4);
            prop_assert_eq!(is_fragment, offset > 0 || more);
            prop_assert_eq!((more, offset), (end.is_some(), cuts[index]));
        }
        prop_assert_eq!(together, whole);
    }

    /// A tunnelled frame is found whole inside.
    #[test]
    fn tunnels_hold_the_frame(frame in frame(), vni in 0..1u32 << 24, v4 in any::<bool>()) {
        let inner = frame.to_bytes().unwrap();
        let ends: [IpAddr; 2] = match v4 {
            true => [Ipv4Addr::new(1, 1, 1, 1).into(), Ipv4Addr::new(2, 2, 2, 2).into()],
            false => [Ipv6Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into()],
        };
        let vxlan = Udp::vxlan(5, Vni::new(vni).unwrap(), &frame).unwrap();
        let EtherBody::Ip(packet) = frame.body.clone() else { unreachable!() };
        let bodies = [Transport::Udp(vxlan), Transport::Ip(Box::new(packet.clone()))];
        let insides = [inner, packet.to_bytes().unwrap()];
        for (body, inside) in bodies.into_iter().zip(insides) {
            let ip = Ip::new(ends[0], ends[1], body).unwrap();
            let outer = Ethernet::new(EtherBody::Ip(ip)).to_bytes().unwrap();
            prop_assert!(outer.ends_with(&inside));
            prop_assert!(dissect::wrong_checksums(&outer).is_empty());
            let direct = dissect::dissect(&insides_frame(&frame));
            let nested = dissect::dissect(&outer);
            let [direct, nested] = [direct, nested].map(|fields| {
                fields.last().map(|field| (field.name, field.value.clone()))
            });
            prop_assert_eq!(direct, nested);
        }
    }
}

fn insides_frame(frame: &Ethernet) -> Vec<u8> {
    frame.to_bytes().unwrap()
}

fn fragment_fields(fields: &[Field], v4: bool) -> (bool, usize) {
    let offset = if v4 {
        "ip.frag_offset"
    } else {
        "ipv6.fraghdr.offset"
    };
    let more = match v4 {
        true => value(fields, "ip.flags").contains("MF"),
        false => value(fields, "ipv6.fraghdr.more") == "1",
    };
    (more, value(fields, offset).parse().unwrap())
}

#[test]
fn addresses_of_both_versions_make_no_packet() {
    let body = Transport::Raw {
        protocol: IpNumber(253),
        payload: vec![],
    };
    let v4 = Ipv4Addr::LOCALHOST.into();
    let v6 = Ipv6Addr::LOCALHOST.into();
    assert_eq!(Ip::new(v4, v6, body), None);
    assert_eq!(Vni::new(1 << 24), None);
}
