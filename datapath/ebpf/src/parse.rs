//! Parsing, from the outside in. Each step says where the next header begins.

use twinpath_abi::{Address, Family, FlowTuple, Mac, Port, Protocol};

use crate::drops::{Drop, drop_packet};
use crate::packet::{Header, Packet};
use crate::wire::{Ethernet, Extension, Ipv4, Ipv6, Tcp, Udp, Vlan, ethertype, extension};

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
    /// The packet is an IPv4 fragment, the first one or another.
    pub fragment: bool,
}

/// The transport layer, where it has ports.
#[derive(Clone, Copy)]
pub struct L4 {
    pub protocol: Protocol,
    pub sport: Port,
    pub dport: Port,
    /// The checksum in the packet.
    pub check: u16,
    /// Where the header begins.
    pub offset: usize,
}

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
        fragment: ip.is_fragment(),
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
        fragment: false,
    })
}

/// TCP or UDP; `None` for ICMP, which has no ports. What cannot be read is a drop, if the caller
/// has any use for the ports.
#[inline(always)]
pub fn l4(packet: &Packet, l3: &L3) -> Result<Option<L4>, Drop> {
    if l3.fragment {
        return Err(drop_packet!(Parse, FragmentNotSupported));
    }
    let (protocol, offset) = match l3.family {
        Family::V6 => extensions(packet, l3)?,
        _ => (l3.protocol, l3.header_end),
    };
    match protocol {
        Protocol::TCP => tcp(packet, l3, offset).map(Some),
        Protocol::UDP => udp(packet, l3, offset).map(Some),
        Protocol::ICMP if l3.family == Family::V4 => Ok(None),
        Protocol::ICMPV6 if l3.family == Family::V6 => Ok(None),
        _ => Err(drop_packet!(Parse, UnknownL4)),
    }
}

/// The first header which is no extension (RFC 8200, RFC 4302), and where it begins.
#[inline(always)]
fn extensions(packet: &Packet, l3: &L3) -> Result<(Protocol, usize), Drop> {
    let mut next = l3.protocol;
    let mut offset = l3.header_end;
    for _ in 0..MAX_EXTENSIONS {
        let unit = match next.0 {
            extension::HOP_BY_HOP | extension::ROUTING | extension::DESTINATION => 8,
            extension::FRAGMENT => 0,
            extension::AUTH => 4,
            _ => return Ok((next, offset)),
        };
        let short = drop_packet!(Parse, InvalidExtensionHeader);
        let header: Header<Extension> = packet.header(offset).ok_or(short)?;
        offset += match unit {
            8 => (header.len() + 1) * 8,
            4 => (header.len() + 2) * 4,
            _ if header.is_fragment() => return Err(drop_packet!(Parse, FragmentNotSupported)),
            _ => 8,
        };
        if offset > l3.end {
            return Err(drop_packet!(Parse, InvalidExtensionHeader));
        }
        next = header.next_header();
    }
    match next.0 {
        extension::HOP_BY_HOP
        | extension::ROUTING
        | extension::DESTINATION
        | extension::FRAGMENT
        | extension::AUTH => Err(drop_packet!(Parse, InvalidExtensionHeader)),
        _ => Ok((next, offset)),
    }
}

#[inline(always)]
fn tcp(packet: &Packet, l3: &L3, offset: usize) -> Result<L4, Drop> {
    let short = drop_packet!(Parse, CtInvalidHeader);
    let tcp: Header<Tcp> = packet.header(offset).ok_or(short)?;
    let header_len = tcp.header_len();
    if header_len < size_of::<Tcp>() || offset + header_len > l3.end {
        return Err(drop_packet!(Parse, CtInvalidHeader));
    }
    Ok(L4 {
        protocol: Protocol::TCP,
        sport: tcp.src(),
        dport: tcp.dst(),
        check: tcp.check(),
        offset,
    })
}

#[inline(always)]
fn udp(packet: &Packet, l3: &L3, offset: usize) -> Result<L4, Drop> {
    let short = drop_packet!(Parse, CtInvalidHeader);
    let udp: Header<Udp> = packet.header(offset).ok_or(short)?;
    let len = udp.len();
    if len < size_of::<Udp>() || offset + len > l3.end {
        return Err(drop_packet!(Parse, CtInvalidHeader));
    }
    Ok(L4 {
        protocol: Protocol::UDP,
        sport: udp.src(),
        dport: udp.dst(),
        check: udp.check(),
        offset,
    })
}
