//! Parsing, from the outside in. Each step says where the next header begins.

use core::mem::MaybeUninit;

use twinpath_abi::{Family, FlowTuple, Port, Protocol};

use crate::drops::{Drop, drop_packet};
use crate::layers::{L2, L3, L4, Transport, is_vlan};
use crate::packet::{Header, Packet, Source};
use crate::wire::{
    Ethernet, Extension, Fragment, Icmp, Ipv4, Ipv6, Ports, Tcp, Udp, Vlan, ethertype, extension,
    icmp_type,
};

/// How many VLAN tags are looked behind: 802.1Q, or QinQ.
const MAX_VLAN_TAGS: usize = 2;

/// How many IPv6 extension headers are looked behind (Cilium's `IPV6_MAX_HEADERS`).
const MAX_EXTENSIONS: usize = 4;

/// Ethernet and its VLAN tags.
#[inline(always)]
pub fn l2(packet: &Packet) -> Result<L2, Drop> {
    let short = drop_packet!(Parse, InvalidPacket);
    let header: Header<Ethernet> = packet.header(0).ok_or(short)?;
    let mut l2 = L2 {
        dst: header.dst(),
        src: header.src(),
        ethertype: header.ethertype(),
        end: size_of::<Ethernet>() as u16,
    };
    for _ in 0..MAX_VLAN_TAGS {
        if !is_vlan(l2.ethertype) {
            break;
        }
        let short = drop_packet!(Parse, InvalidPacket);
        let vlan: Header<Vlan> = packet.header(usize::from(l2.end)).ok_or(short)?;
        l2.ethertype = vlan.ethertype();
        l2.end += size_of::<Vlan>() as u16;
    }
    Ok(l2)
}

/// IPv4 or IPv6, and its flow as far as the network layer knows it; `None` if it is neither.
#[inline(always)]
pub fn l3(packet: &Packet, l2: &L2, flow: &mut FlowTuple) -> Result<Option<L3>, Drop> {
    match l2.ethertype {
        ethertype::IPV4 => ipv4(packet, l2.end, flow).map(Some),
        ethertype::IPV6 => ipv6(packet, l2.end, flow).map(Some),
        _ => Ok(None),
    }
}

#[inline(always)]
fn ipv4(packet: &Packet, begin: u16, flow: &mut FlowTuple) -> Result<L3, Drop> {
    let offset = usize::from(begin);
    let short = drop_packet!(Parse, InvalidPacket);
    let ip: Header<Ipv4> = packet.header(offset).ok_or(short)?;
    let header_len = ip.header_len();
    if ip.version() != 4 || header_len < size_of::<Ipv4>() {
        return Err(drop_packet!(Parse, InvalidPacket));
    }
    let total_len = ip.total_len();
    if total_len < header_len || offset + total_len > packet.len() {
        return Err(drop_packet!(Parse, InvalidPacket));
    }
    *flow = FlowTuple {
        saddr: ip.src(),
        daddr: ip.dst(),
        proto: ip.protocol(),
        family: Family::V4,
        ..FlowTuple::UNKNOWN
    };
    Ok(L3 {
        family: Family::V4,
        protocol: ip.protocol(),
        ttl: ip.ttl(),
        offset: begin,
        header_end: begin + header_len as u16,
        end: (offset + total_len) as u32,
        fragment: ip.fragment(),
        unused: 0,
    })
}

#[inline(always)]
fn ipv6(packet: &Packet, begin: u16, flow: &mut FlowTuple) -> Result<L3, Drop> {
    let offset = usize::from(begin);
    let short = drop_packet!(Parse, InvalidPacket);
    let ip: Header<Ipv6> = packet.header(offset).ok_or(short)?;
    if ip.version() != 6 {
        return Err(drop_packet!(Parse, InvalidPacket));
    }
    let end = offset + size_of::<Ipv6>() + ip.payload_len();
    if end > packet.len() {
        return Err(drop_packet!(Parse, InvalidPacket));
    }
    *flow = FlowTuple {
        saddr: ip.src(),
        daddr: ip.dst(),
        proto: ip.next_header(),
        family: Family::V6,
        ..FlowTuple::UNKNOWN
    };
    Ok(L3 {
        family: Family::V6,
        protocol: ip.next_header(),
        ttl: ip.hop_limit(),
        offset: begin,
        header_end: begin + size_of::<Ipv6>() as u16,
        end: end as u32,
        fragment: Fragment::NONE,
        unused: 0,
    })
}

/// The first header which is no extension (RFC 8200, RFC 4302).
#[inline(always)]
pub fn transport<S: Source>(source: &S, l3: &L3) -> Result<Transport, Drop> {
    match l3.family {
        Family::V6 => extensions(source, l3),
        _ => Ok(Transport::after(l3)),
    }
}

/// The first header behind IPv6's extension headers.
#[inline(always)]
pub fn extensions<S: Source>(source: &S, l3: &L3) -> Result<Transport, Drop> {
    let mut transport = Transport::after(l3);
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(transport.protocol) {
            return Ok(transport);
        }
        let mut room = MaybeUninit::uninit();
        let short = drop_packet!(Parse, InvalidExtensionHeader);
        let header: Header<Extension> = source.read(transport.offset, &mut room).ok_or(short)?;
        transport.offset += match transport.protocol.0 {
            extension::FRAGMENT => size_of::<Extension>(),
            extension::AUTH => (header.len() + 2) * 4,
            _ => (header.len() + 1) * 8,
        };
        if transport.offset > l3.end() {
            return Err(drop_packet!(Parse, InvalidExtensionHeader));
        }
        if transport.protocol.0 == extension::FRAGMENT {
            transport.fragment = header.fragment();
        }
        transport.protocol = header.next_header();
        // What follows is the middle of something.
        if transport.fragment.is_later() {
            return Ok(transport);
        }
    }
    if is_extension(transport.protocol) {
        return Err(drop_packet!(Parse, InvalidExtensionHeader));
    }
    Ok(transport)
}

/// Whether an extension header of IPv6 follows.
#[inline(always)]
pub fn is_extension(protocol: Protocol) -> bool {
    matches!(
        protocol.0,
        extension::HOP_BY_HOP
            | extension::ROUTING
            | extension::DESTINATION
            | extension::FRAGMENT
            | extension::AUTH
    )
}

/// The transport header. Protocols without ports have those of 0.
#[inline(always)]
pub fn l4<S: Source>(source: &S, l3: &L3, transport: &Transport) -> Result<L4, Drop> {
    match (transport.protocol, l3.family) {
        (Protocol::TCP, _) => tcp(source, l3, transport),
        (Protocol::UDP, _) => udp(source, l3, transport),
        (Protocol::SCTP, _) => sctp(source, transport),
        (Protocol::ICMP, Family::V4) | (Protocol::ICMPV6, Family::V6) => {
            icmp(source, l3, transport)
        }
        _ => Ok(L4::without_header(transport)),
    }
}

#[inline(always)]
fn tcp<S: Source>(source: &S, l3: &L3, transport: &Transport) -> Result<L4, Drop> {
    let mut room = MaybeUninit::uninit();
    let short = drop_packet!(Parse, CtInvalidHeader);
    let tcp: Header<Tcp> = source.read(transport.offset, &mut room).ok_or(short)?;
    let header_len = tcp.header_len();
    if header_len < size_of::<Tcp>() || transport.offset + header_len > l3.end() {
        return Err(drop_packet!(Parse, CtInvalidHeader));
    }
    Ok(L4 {
        sport: tcp.src(),
        dport: tcp.dst(),
        check: tcp.check(),
        tcp_flags: tcp.flags(),
        has_header: true,
        ..L4::without_header(transport)
    })
}

#[inline(always)]
fn udp<S: Source>(source: &S, l3: &L3, transport: &Transport) -> Result<L4, Drop> {
    let mut room = MaybeUninit::uninit();
    let short = drop_packet!(Parse, CtInvalidHeader);
    let udp: Header<Udp> = source.read(transport.offset, &mut room).ok_or(short)?;
    let len = udp.len();
    // The length is that of the whole packet, which a fragment does not have.
    let too_long = transport.fragment.is_whole() && transport.offset + len > l3.end();
    if len < size_of::<Udp>() || too_long {
        return Err(drop_packet!(Parse, CtInvalidHeader));
    }
    Ok(L4 {
        sport: udp.src(),
        dport: udp.dst(),
        check: udp.check(),
        has_header: true,
        ..L4::without_header(transport)
    })
}

/// Its checksum covers no address, so it is not read.
#[inline(always)]
fn sctp<S: Source>(source: &S, transport: &Transport) -> Result<L4, Drop> {
    let mut room = MaybeUninit::uninit();
    let short = drop_packet!(Parse, CtInvalidHeader);
    let ports: Header<Ports> = source.read(transport.offset, &mut room).ok_or(short)?;
    Ok(L4 {
        sport: ports.src(),
        dport: ports.dst(),
        has_header: true,
        ..L4::without_header(transport)
    })
}

/// The identifier of an echo stands in for the port of who asks.
#[inline(always)]
fn icmp<S: Source>(source: &S, l3: &L3, transport: &Transport) -> Result<L4, Drop> {
    let mut room = MaybeUninit::uninit();
    let short = drop_packet!(Parse, CtInvalidHeader);
    let icmp: Header<Icmp> = source.read(transport.offset, &mut room).ok_or(short)?;
    if transport.offset + size_of::<Icmp>() > l3.end() {
        return Err(drop_packet!(Parse, CtInvalidHeader));
    }
    let (sport, dport) = echo_ports(l3.family, &icmp);
    Ok(L4 {
        sport,
        dport,
        check: icmp.check(),
        icmp_type: icmp.r#type(),
        has_header: true,
        ..L4::without_header(transport)
    })
}

/// The ports of a transport header of which there may be only the first eight bytes.
#[inline(always)]
pub fn ports<S: Source>(
    source: &S,
    family: Family,
    protocol: Protocol,
    offset: usize,
) -> Option<(Port, Port)> {
    match protocol {
        Protocol::TCP | Protocol::UDP | Protocol::SCTP => {
            let mut room = MaybeUninit::uninit();
            let ports: Header<Ports> = source.read(offset, &mut room)?;
            Some((ports.src(), ports.dst()))
        }
        Protocol::ICMP | Protocol::ICMPV6 => {
            let mut room = MaybeUninit::uninit();
            let icmp: Header<Icmp> = source.read(offset, &mut room)?;
            Some(echo_ports(family, &icmp))
        }
        _ => Some((Port::new(0), Port::new(0))),
    }
}

#[inline(always)]
fn echo_ports(family: Family, icmp: &Header<Icmp>) -> (Port, Port) {
    let none = Port::new(0);
    match (family, icmp.r#type()) {
        (Family::V4, icmp_type::ECHO_REQUEST) | (Family::V6, icmp_type::V6_ECHO_REQUEST) => {
            (icmp.id(), none)
        }
        (Family::V4, icmp_type::ECHO_REPLY) | (Family::V6, icmp_type::V6_ECHO_REPLY) => {
            (none, icmp.id())
        }
        _ => (none, none),
    }
}
