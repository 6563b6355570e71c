//! Parsing, from the outside in. Each step says where the next header begins.

use core::mem::MaybeUninit;

use twinpath_abi::{Address, Family, FlowTuple, Mac, Port, Protocol};

use crate::drops::{Drop, drop_packet};
use crate::packet::{Header, Packet, Source};
use crate::wire::{
    Ethernet, Extension, Fragment, Icmp, Ipv4, Ipv6, Ports, Tcp, Udp, Vlan, ethertype, extension,
    icmp_type,
};

/// How many VLAN tags are looked behind: 802.1Q, or QinQ.
const MAX_VLAN_TAGS: usize = 2;

/// How many IPv6 extension headers are looked behind (Cilium's `IPV6_MAX_HEADERS`).
const MAX_EXTENSIONS: usize = 4;

/// The link layer.
pub struct L2 {
    pub header: Header<Ethernet>,
    pub dst: Mac,
    pub src: Mac,
    /// The innermost ethertype. A VLAN's, if there are more tags than we look behind.
    pub ethertype: u16,
    /// Where the next header begins.
    pub end: usize,
}

/// The network layer.
#[derive(Clone, Copy)]
pub struct L3 {
    pub family: Family,
    pub saddr: Address,
    pub daddr: Address,
    /// IPv4's protocol, or IPv6's first next header.
    pub protocol: Protocol,
    pub ttl: u8,
    /// Where the header begins.
    pub offset: usize,
    /// Where the fixed header and IPv4's options end.
    pub header_end: usize,
    /// Where the packet ends, by its own length; what follows is padding.
    pub end: usize,
    /// Which part of a larger packet this is by IPv4's header.
    pub fragment: Fragment,
}

/// Where the transport layer begins.
#[derive(Clone, Copy)]
pub struct Transport {
    pub protocol: Protocol,
    pub offset: usize,
    /// Which part of a larger packet this is.
    pub fragment: Fragment,
}

/// The transport layer.
#[derive(Clone, Copy)]
pub struct L4 {
    pub protocol: Protocol,
    /// 0 where the protocol has none; of an ICMP echo request, its identifier.
    pub sport: Port,
    /// 0 where the protocol has none; of an ICMP echo reply, its identifier.
    pub dport: Port,
    /// The checksum in the packet.
    pub check: u16,
    /// Of TCP.
    pub tcp_flags: u8,
    /// Of ICMP and ICMPv6.
    pub icmp_type: u8,
    /// The header is in this packet, and not in another fragment.
    pub has_header: bool,
    /// Where the header begins.
    pub offset: u32,
    #[expect(
        dead_code,
        reason = "the compiler copies padding, too, which nobody has written"
    )]
    pub unused: [u8; 2],
}

const _: () = assert!(size_of::<L4>() == 16);

impl L2 {
    /// Whether the frame is for more than one receiver.
    #[inline(always)]
    pub fn is_multicast(&self) -> bool {
        self.dst.0[0] & 1 != 0
    }

    /// Whether a VLAN tag stands in the frame.
    #[inline(always)]
    pub fn is_tagged(&self) -> bool {
        self.end != size_of::<Ethernet>() || is_vlan(self.ethertype)
    }
}

impl L3 {
    /// The flow as far as the network layer knows it.
    #[inline(always)]
    pub fn flow(&self) -> FlowTuple {
        FlowTuple {
            saddr: self.saddr,
            daddr: self.daddr,
            sport: Port::new(0),
            dport: Port::new(0),
            proto: self.protocol,
        }
    }
}

impl L4 {
    /// Nothing but the protocol.
    #[inline(always)]
    pub fn without_header(transport: &Transport) -> Self {
        Self {
            protocol: transport.protocol,
            sport: Port::new(0),
            dport: Port::new(0),
            check: 0,
            tcp_flags: 0,
            icmp_type: 0,
            has_header: false,
            offset: transport.offset as u32,
            unused: [0; 2],
        }
    }

    /// Where the header begins, or what stands there that a helper changes.
    #[inline(always)]
    pub fn at(&self, field: usize) -> usize {
        self.offset as usize + field
    }

    /// What policies call the port: the receiver's, or the type of an ICMP message.
    #[inline(always)]
    pub fn policy_port(&self) -> Port {
        match self.protocol {
            Protocol::ICMP | Protocol::ICMPV6 => Port::new(u16::from(self.icmp_type)),
            _ => self.dport,
        }
    }

    /// The flow, with ports.
    #[inline(always)]
    pub fn flow(&self, l3: &L3) -> FlowTuple {
        FlowTuple {
            sport: self.sport,
            dport: self.dport,
            proto: self.protocol,
            ..l3.flow()
        }
    }
}

#[inline(always)]
fn is_vlan(ethertype: u16) -> bool {
    matches!(ethertype, ethertype::VLAN | ethertype::QINQ)
}

/// Ethernet and its VLAN tags.
#[inline(always)]
pub fn l2(packet: &Packet) -> Result<L2, Drop> {
    let short = drop_packet!(Parse, InvalidPacket);
    let header: Header<Ethernet> = packet.header(0).ok_or(short)?;
    let mut l2 = L2 {
        dst: header.dst(),
        src: header.src(),
        ethertype: header.ethertype(),
        header,
        end: size_of::<Ethernet>(),
    };
    for _ in 0..MAX_VLAN_TAGS {
        if !is_vlan(l2.ethertype) {
            break;
        }
        let short = drop_packet!(Parse, InvalidPacket);
        let vlan: Header<Vlan> = packet.header(l2.end).ok_or(short)?;
        l2.ethertype = vlan.ethertype();
        l2.end += size_of::<Vlan>();
    }
    Ok(l2)
}

/// IPv4 or IPv6; `None` if it is neither.
#[inline(always)]
pub fn l3(packet: &Packet, l2: &L2) -> Result<Option<L3>, Drop> {
    match l2.ethertype {
        ethertype::IPV4 => ipv4(packet, l2.end).map(Some),
        ethertype::IPV6 => ipv6(packet, l2.end).map(Some),
        _ => Ok(None),
    }
}

#[inline(always)]
fn ipv4(packet: &Packet, offset: usize) -> Result<L3, Drop> {
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
    Ok(L3 {
        family: Family::V4,
        saddr: ip.src(),
        daddr: ip.dst(),
        protocol: ip.protocol(),
        ttl: ip.ttl(),
        offset,
        header_end: offset + header_len,
        end: offset + total_len,
        fragment: ip.fragment(),
    })
}

#[inline(always)]
fn ipv6(packet: &Packet, offset: usize) -> Result<L3, Drop> {
    let short = drop_packet!(Parse, InvalidPacket);
    let ip: Header<Ipv6> = packet.header(offset).ok_or(short)?;
    if ip.version() != 6 {
        return Err(drop_packet!(Parse, InvalidPacket));
    }
    let header_end = offset + size_of::<Ipv6>();
    let end = header_end + ip.payload_len();
    if end > packet.len() {
        return Err(drop_packet!(Parse, InvalidPacket));
    }
    Ok(L3 {
        family: Family::V6,
        saddr: ip.src(),
        daddr: ip.dst(),
        protocol: ip.next_header(),
        ttl: ip.hop_limit(),
        offset,
        header_end,
        end,
        fragment: Fragment::NONE,
    })
}

/// The first header which is no extension (RFC 8200, RFC 4302).
#[inline(always)]
pub fn transport<S: Source>(source: &S, l3: &L3) -> Result<Transport, Drop> {
    match l3.family {
        Family::V6 => extensions(source, l3),
        _ => Ok(Transport {
            protocol: l3.protocol,
            offset: l3.header_end,
            fragment: l3.fragment,
        }),
    }
}

#[inline(always)]
fn extensions<S: Source>(source: &S, l3: &L3) -> Result<Transport, Drop> {
    let mut transport = Transport {
        protocol: l3.protocol,
        offset: l3.header_end,
        fragment: Fragment::NONE,
    };
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
        if transport.offset > l3.end {
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

#[inline(always)]
fn is_extension(protocol: Protocol) -> bool {
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
    if header_len < size_of::<Tcp>() || transport.offset + header_len > l3.end {
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
    let too_long = transport.fragment.is_whole() && transport.offset + len > l3.end;
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
    if transport.offset + size_of::<Icmp>() > l3.end {
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
