//! The checksums of a frame, of what it carries in a tunnel, and of what its ICMP errors quote.

use etherparse::checksum::Sum16BitWords;
use etherparse::{
    Icmpv4Slice, LaxNetSlice, LaxSlicedPacket, NetSlice, SlicedPacket, TransportSlice, UdpSlice,
};

const VXLAN_PORT: u16 = 4789;
const VXLAN_HEADER: usize = 8;

/// The addresses that a pseudo-header has.
#[derive(Clone, Copy)]
enum Ends {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

/// The checksums that are wrong, by name. What cannot be read has none.
pub fn wrong(frame: &[u8]) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Ok(sliced) = SlicedPacket::from_ethernet(frame) {
        look_at(&sliced, &mut wrong);
    }
    wrong
}

/// Whether an ICMP message of this type quotes a packet.
pub fn quotes4(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 5 | 11 | 12)
}

/// The same of ICMPv6.
pub fn quotes6(kind: u8) -> bool {
    (1..=4).contains(&kind)
}

fn look_at(sliced: &SlicedPacket<'_>, wrong: &mut Vec<String>) {
    let ends = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            if header.to_header().calc_header_checksum() != header.header_checksum() {
                wrong.push("ip".to_owned());
            }
            Ends::V4(header.source(), header.destination())
        }
        Some(NetSlice::Ipv6(ip)) => Ends::V6(ip.header().source(), ip.header().destination()),
        Some(NetSlice::Arp(_)) | None => return,
    };
    let Some(transport) = &sliced.transport else {
        return;
    };
    if !is_right(transport, ends) {
        wrong.push(name(transport).to_owned());
    }
    match transport {
        TransportSlice::Udp(udp) if udp.destination_port() == VXLAN_PORT => {
            let inner = udp.payload().get(VXLAN_HEADER..).map(self::wrong);
            wrong.extend(
                inner
                    .into_iter()
                    .flatten()
                    .map(|name| format!("inner {name}")),
            );
        }
        TransportSlice::Icmpv4(icmp) if quotes4(icmp.type_u8()) => quote(icmp.payload(), wrong),
        TransportSlice::Icmpv6(icmp) if quotes6(icmp.type_u8()) => quote(icmp.payload(), wrong),
        _ => {}
    }
}

/// A quoted packet: as much of it as there is.
fn quote(bytes: &[u8], wrong: &mut Vec<String>) {
    let Ok(sliced) = LaxSlicedPacket::from_ip(bytes) else {
        return;
    };
    let ends = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            if header.to_header().calc_header_checksum() != header.header_checksum() {
                wrong.push("quoted ip".to_owned());
            }
            Ends::V4(header.source(), header.destination())
        }
        Some(LaxNetSlice::Ipv6(ip)) => Ends::V6(ip.header().source(), ip.header().destination()),
        _ => return,
    };
    // The checksum of what was cut off cannot be told.
    let whole = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => !ip.payload().incomplete,
        Some(LaxNetSlice::Ipv6(ip)) => !ip.payload().incomplete,
        _ => false,
    };
    if let (true, Some(transport)) = (whole, &sliced.transport)
        && !is_right(transport, ends)
    {
        wrong.push(format!("quoted {}", name(transport)));
    }
}

fn is_right(transport: &TransportSlice<'_>, ends: Ends) -> bool {
    match (transport, ends) {
        (TransportSlice::Tcp(tcp), Ends::V4(from, to)) => {
            tcp.calc_checksum_ipv4(from, to) == Ok(tcp.checksum())
        }
        (TransportSlice::Tcp(tcp), Ends::V6(from, to)) => {
            tcp.calc_checksum_ipv6(from, to) == Ok(tcp.checksum())
        }
        (TransportSlice::Udp(udp), _) => is_right_udp(udp, ends),
        (TransportSlice::Icmpv4(icmp), _) => is_right_icmp(icmp),
        (TransportSlice::Icmpv6(icmp), Ends::V6(from, to)) => icmp.is_checksum_valid(from, to),
        // Nobody sums ICMPv6 over the other family, and no packet here is IGMP.
        (TransportSlice::Icmpv6(_), Ends::V4(..)) | (TransportSlice::Igmp(_), _) => true,
    }
}

/// Over IPv4 a sender may leave it out.
fn is_right_udp(udp: &UdpSlice<'_>, ends: Ends) -> bool {
    let header = udp.to_header();
    let expected = match ends {
        Ends::V4(..) if udp.checksum() == 0 => return true,
        Ends::V4(from, to) => header.calc_checksum_ipv4_raw(from, to, udp.payload()),
        Ends::V6(from, to) => header.calc_checksum_ipv6_raw(from, to, udp.payload()),
    };
    expected == Ok(udp.checksum())
}

fn is_right_icmp(icmp: &Icmpv4Slice<'_>) -> bool {
    Sum16BitWords::new()
        .add_slice(icmp.slice())
        .ones_complement()
        == 0
}

fn name(transport: &TransportSlice<'_>) -> &'static str {
    match transport {
        TransportSlice::Tcp(_) => "tcp",
        TransportSlice::Udp(_) => "udp",
        TransportSlice::Icmpv4(_) => "icmp",
        TransportSlice::Icmpv6(_) => "icmpv6",
        TransportSlice::Igmp(_) => "igmp",
    }
}

#[test]
fn a_wrong_bit_is_found() {
    let frames = [
        "tcp 10.0.0.1:1 > 10.0.0.2:80 SYN len 9",
        "udp [fd00::1]:1 > [fd00::2]:53 len 9 hopopt 010400000000",
        "icmp 10.0.0.1 > 10.0.0.2 echo id 1 seq 1 len 9",
        "icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 10.0.0.2:53 > 10.0.0.1:1 len 9 }",
        "icmp fd00::1 > fd00::2 too-big mtu 1280 quote { tcp [fd00::2]:80 > [fd00::1]:1 ACK }",
        "vxlan 192.168.0.1:9 > 192.168.0.2:4789 vni 7 { tcp 10.0.0.1:1 > 10.0.0.2:80 SYN }",
    ];
    for text in frames {
        let mut frame = twinpath_pcaps::text::frame(text).expect("a frame");
        assert!(wrong(&frame).is_empty(), "{text}: {:?}", wrong(&frame));
        // The last byte is under the checksum of whatever is in the frame.
        *frame.last_mut().expect("bytes") ^= 0x10;
        assert!(!wrong(&frame).is_empty(), "{text}");
    }
}
