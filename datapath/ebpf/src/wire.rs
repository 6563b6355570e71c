//! Headers as they stand in a packet: the types give the places of the fields, the accessors what they
//! mean. Fields whose name says nothing else are in the machine's byte order once read.

use core::mem::offset_of;

use twinpath_abi::{Address, Mac, Port, Protocol};

use crate::packet::Header;

/// Ethernet II.
#[repr(C)]
pub struct Ethernet {
    dst: [u16; 3],
    src: [u16; 3],
    ethertype: u16,
}

/// What follows the ethertype 802.1Q or 802.1ad.
#[repr(C)]
pub struct Vlan {
    tci: u16,
    ethertype: u16,
}

/// IPv4 without options (RFC 791).
#[repr(C)]
pub struct Ipv4 {
    version_ihl: u8,
    tos: u8,
    total_len: u16,
    id: u16,
    fragment: u16,
    ttl: u8,
    protocol: u8,
    check: u16,
    src: u32,
    dst: u32,
}

/// IPv6 (RFC 8200).
#[repr(C)]
pub struct Ipv6 {
    version_class: u8,
    class_flow: [u8; 3],
    payload_len: u16,
    next_header: u8,
    hop_limit: u8,
    src: [u32; 4],
    dst: [u32; 4],
}

/// The start of an IPv6 extension header, none of which is shorter: of a fragment header, all of it.
#[repr(C)]
pub struct Extension {
    next_header: u8,
    len: u8,
    fragment: u16,
    id: u32,
}

/// TCP without options (RFC 9293).
#[repr(C)]
pub struct Tcp {
    src: u16,
    dst: u16,
    seq: u32,
    ack: u32,
    data_offset: u8,
    flags: u8,
    window: u16,
    check: u16,
    urgent: u16,
}

/// UDP (RFC 768).
#[repr(C)]
pub struct Udp {
    src: u16,
    dst: u16,
    len: u16,
    check: u16,
}

const _: () = {
    assert!(size_of::<Ethernet>() == 14 && size_of::<Vlan>() == 4);
    assert!(size_of::<Ipv4>() == 20 && size_of::<Ipv6>() == 40 && size_of::<Extension>() == 8);
    assert!(size_of::<Tcp>() == 20 && size_of::<Udp>() == 8 && size_of::<Icmp>() == 8);
    assert!(size_of::<Ports>() == 4 && size_of::<Arp>() == 28);
    assert!(size_of::<NeighbourMessage>() == 32);
};

/// The ports, where every protocol that has some has them.
#[repr(C)]
pub struct Ports {
    src: u16,
    dst: u16,
}

/// What all ICMP (RFC 792) and ICMPv6 (RFC 4443) messages begin with, and the identifier that those of an
/// echo have next.
#[repr(C)]
pub struct Icmp {
    r#type: u8,
    code: u8,
    check: u16,
    id: u16,
    sequence: u16,
}

/// ARP for IPv4 over Ethernet (RFC 826). Its addresses are not aligned.
#[repr(C)]
pub struct Arp {
    hardware: u16,
    protocol: u16,
    hardware_len: u8,
    protocol_len: u8,
    operation: u16,
    sender_mac: [u16; 3],
    sender_ip: [u16; 2],
    target_mac: [u16; 3],
    target_ip: [u16; 2],
}

/// A neighbour solicitation or advertisement (RFC 4861) with one option, an Ethernet address.
#[repr(C)]
pub struct NeighbourMessage {
    r#type: u8,
    code: u8,
    check: u16,
    flags: u16,
    reserved: u16,
    target: [u32; 4],
    option: [u16; 4],
}

/// Where the fields are that helpers write.
pub mod at {
    use super::{Ethernet, Icmp, Ipv4, Ipv6, NeighbourMessage, offset_of};

    pub const ETHERNET_DST: usize = offset_of!(Ethernet, dst);
    pub const ETHERNET_SRC: usize = offset_of!(Ethernet, src);
    pub const IPV4_TTL: usize = offset_of!(Ipv4, ttl);
    pub const IPV4_CHECK: usize = offset_of!(Ipv4, check);
    pub const IPV4_SRC: usize = offset_of!(Ipv4, src);
    pub const IPV4_DST: usize = offset_of!(Ipv4, dst);
    pub const IPV6_HOP_LIMIT: usize = offset_of!(Ipv6, hop_limit);
    pub const IPV6_SRC: usize = offset_of!(Ipv6, src);
    pub const IPV6_DST: usize = offset_of!(Ipv6, dst);
    pub const ICMP_CHECK: usize = offset_of!(Icmp, check);
    pub const NEIGHBOUR_FLAGS: usize = offset_of!(NeighbourMessage, flags);
    pub const NEIGHBOUR_OPTION: usize = offset_of!(NeighbourMessage, option);
}

/// Which part of a larger packet a packet is. Not an `Option`: the compiler would copy an identification that
/// nobody has written where there is none.
#[derive(Clone, Copy)]
pub struct Fragment {
    /// What all parts have in common, as it stands in the header; of a whole packet, anything.
    pub id: u32,
    pub part: Part,
}

/// What of a packet is in this one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// The part that has the transport header.
    First,
    Later,
}

impl Part {
    #[inline(always)]
    fn new(has_offset: bool, more_follow: bool) -> Self {
        match (has_offset, more_follow) {
            (false, false) => Self::Whole,
            (false, true) => Self::First,
            (true, _) => Self::Later,
        }
    }
}

impl Fragment {
    pub const NONE: Self = Self {
        id: 0,
        part: Part::Whole,
    };

    #[inline(always)]
    pub fn is_whole(self) -> bool {
        self.part == Part::Whole
    }

    #[inline(always)]
    pub fn is_later(self) -> bool {
        self.part == Part::Later
    }
}

/// Flags of TCP.
pub mod tcp_flag {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 1 << 1;
    pub const RST: u8 = 1 << 2;
}

/// Types of ICMP and ICMPv6 messages.
pub mod icmp_type {
    pub const ECHO_REPLY: u8 = 0;
    pub const UNREACHABLE: u8 = 3;
    pub const ECHO_REQUEST: u8 = 8;
    pub const TIME_EXCEEDED: u8 = 11;
    pub const PARAMETER_PROBLEM: u8 = 12;

    pub const V6_UNREACHABLE: u8 = 1;
    pub const V6_PARAMETER_PROBLEM: u8 = 4;
    pub const V6_ECHO_REQUEST: u8 = 128;
    pub const V6_ECHO_REPLY: u8 = 129;
    pub const V6_NEIGHBOUR_SOLICITATION: u8 = 135;
    pub const V6_NEIGHBOUR_ADVERTISEMENT: u8 = 136;
}

/// Ethertypes.
pub mod ethertype {
    /// What is lower is a length (IEEE 802.3).
    pub const LOWEST: u16 = 0x0600;
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    pub const VLAN: u16 = 0x8100;
    pub const IPV6: u16 = 0x86dd;
    pub const QINQ: u16 = 0x88a8;
}

/// IPv6 extension headers.
pub mod extension {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AUTH: u8 = 51;
    pub const DESTINATION: u8 = 60;
}

impl<T> Header<T> {
    #[inline(always)]
    fn mac<const A: usize, const B: usize, const C: usize>(&self) -> Mac {
        Mac::from_halves([self.u16::<A>(), self.u16::<B>(), self.u16::<C>()])
    }

    /// An IPv6 address, by the places of its words.
    #[inline(always)]
    fn v6<const A: usize, const B: usize, const C: usize, const D: usize>(&self) -> Address {
        Address::from_words([
            self.u32::<A>(),
            self.u32::<B>(),
            self.u32::<C>(),
            self.u32::<D>(),
        ])
    }

    #[inline(always)]
    fn be16<const AT: usize>(&self) -> u16 {
        u16::from_be(self.u16::<AT>())
    }

    #[inline(always)]
    fn port<const AT: usize>(&self) -> Port {
        Port::from_network_order(self.u16::<AT>())
    }
}

impl Header<Ethernet> {
    #[inline(always)]
    pub fn dst(&self) -> Mac {
        self.mac::<0, 2, 4>()
    }

    #[inline(always)]
    pub fn src(&self) -> Mac {
        self.mac::<6, 8, 10>()
    }

    #[inline(always)]
    pub fn ethertype(&self) -> u16 {
        self.be16::<{ offset_of!(Ethernet, ethertype) }>()
    }

    #[inline(always)]
    pub fn set_dst(&self, mac: Mac) {
        let [a, b, c] = mac.halves();
        self.set_u16::<0>(a);
        self.set_u16::<2>(b);
        self.set_u16::<4>(c);
    }

    #[inline(always)]
    pub fn set_src(&self, mac: Mac) {
        let [a, b, c] = mac.halves();
        self.set_u16::<6>(a);
        self.set_u16::<8>(b);
        self.set_u16::<10>(c);
    }
}

impl Header<Vlan> {
    #[inline(always)]
    pub fn ethertype(&self) -> u16 {
        self.be16::<{ offset_of!(Vlan, ethertype) }>()
    }
}

impl Header<Ipv4> {
    #[inline(always)]
    pub fn version(&self) -> u8 {
        self.u8::<{ offset_of!(Ipv4, version_ihl) }>() >> 4
    }

    /// The header's length in bytes, as it says itself.
    #[inline(always)]
    pub fn header_len(&self) -> usize {
        usize::from(self.u8::<{ offset_of!(Ipv4, version_ihl) }>() & 0xf) * 4
    }

    #[inline(always)]
    pub fn total_len(&self) -> usize {
        usize::from(self.be16::<{ offset_of!(Ipv4, total_len) }>())
    }

    /// Which part of a larger packet it is.
    #[inline(always)]
    pub fn fragment(&self) -> Fragment {
        let word = self.be16::<{ offset_of!(Ipv4, fragment) }>();
        Fragment {
            id: u32::from(self.u16::<{ offset_of!(Ipv4, id) }>()),
            part: Part::new(word & 0x1fff != 0, word & 0x2000 != 0),
        }
    }

    #[inline(always)]
    pub fn ttl(&self) -> u8 {
        self.u8::<{ offset_of!(Ipv4, ttl) }>()
    }

    #[inline(always)]
    pub fn protocol(&self) -> Protocol {
        Protocol(self.u8::<{ offset_of!(Ipv4, protocol) }>())
    }

    #[inline(always)]
    pub fn check(&self) -> u16 {
        self.u16::<{ offset_of!(Ipv4, check) }>()
    }

    #[inline(always)]
    pub fn src(&self) -> Address {
        Address::from_words([self.u32::<{ offset_of!(Ipv4, src) }>(), 0, 0, 0])
    }

    #[inline(always)]
    pub fn dst(&self) -> Address {
        Address::from_words([self.u32::<{ offset_of!(Ipv4, dst) }>(), 0, 0, 0])
    }

    #[inline(always)]
    pub fn set_ttl(&self, ttl: u8) {
        self.set_u8::<{ offset_of!(Ipv4, ttl) }>(ttl);
    }

    #[inline(always)]
    pub fn set_check(&self, check: u16) {
        self.set_u16::<{ offset_of!(Ipv4, check) }>(check);
    }

    #[inline(always)]
    pub fn set_dst(&self, address: Address) {
        let [word, ..] = address.words();
        self.set_u32::<{ offset_of!(Ipv4, dst) }>(word);
    }
}

impl Header<Ipv6> {
    #[inline(always)]
    pub fn version(&self) -> u8 {
        self.u8::<{ offset_of!(Ipv6, version_class) }>() >> 4
    }

    #[inline(always)]
    pub fn payload_len(&self) -> usize {
        usize::from(self.be16::<{ offset_of!(Ipv6, payload_len) }>())
    }

    #[inline(always)]
    pub fn next_header(&self) -> Protocol {
        Protocol(self.u8::<{ offset_of!(Ipv6, next_header) }>())
    }

    #[inline(always)]
    pub fn hop_limit(&self) -> u8 {
        self.u8::<{ offset_of!(Ipv6, hop_limit) }>()
    }

    #[inline(always)]
    pub fn src(&self) -> Address {
        self.v6::<8, 12, 16, 20>()
    }

    #[inline(always)]
    pub fn dst(&self) -> Address {
        self.v6::<24, 28, 32, 36>()
    }

    #[inline(always)]
    pub fn set_hop_limit(&self, hop_limit: u8) {
        self.set_u8::<{ offset_of!(Ipv6, hop_limit) }>(hop_limit);
    }

    #[inline(always)]
    pub fn set_dst(&self, address: Address) {
        let [a, b, c, d] = address.words();
        self.set_u32::<24>(a);
        self.set_u32::<28>(b);
        self.set_u32::<32>(c);
        self.set_u32::<36>(d);
    }
}

impl Header<Extension> {
    #[inline(always)]
    pub fn next_header(&self) -> Protocol {
        Protocol(self.u8::<{ offset_of!(Extension, next_header) }>())
    }

    /// The length field; what it counts depends on the header.
    #[inline(always)]
    pub fn len(&self) -> usize {
        usize::from(self.u8::<{ offset_of!(Extension, len) }>())
    }

    /// Of a fragment header: which part of a larger packet it is. RFC 6946: a fragment which is all of its
    /// packet is none.
    #[inline(always)]
    pub fn fragment(&self) -> Fragment {
        let word = self.be16::<{ offset_of!(Extension, fragment) }>();
        Fragment {
            id: self.u32::<{ offset_of!(Extension, id) }>(),
            part: Part::new(word & 0xfff8 != 0, word & 1 != 0),
        }
    }
}

impl Header<Tcp> {
    #[inline(always)]
    pub fn src(&self) -> Port {
        self.port::<{ offset_of!(Tcp, src) }>()
    }

    #[inline(always)]
    pub fn dst(&self) -> Port {
        self.port::<{ offset_of!(Tcp, dst) }>()
    }

    /// The header's length in bytes, as it says itself.
    #[inline(always)]
    pub fn header_len(&self) -> usize {
        usize::from(self.u8::<{ offset_of!(Tcp, data_offset) }>() >> 4) * 4
    }

    /// FIN, SYN, RST and so on, from the lowest bit.
    #[inline(always)]
    pub fn flags(&self) -> u8 {
        self.u8::<{ offset_of!(Tcp, flags) }>()
    }

    #[inline(always)]
    pub fn check(&self) -> u16 {
        self.u16::<{ offset_of!(Tcp, check) }>()
    }

    #[inline(always)]
    pub fn set_dst(&self, port: Port) {
        self.set_u16::<{ offset_of!(Tcp, dst) }>(port.network_order());
    }

    #[inline(always)]
    pub fn set_check(&self, check: u16) {
        self.set_u16::<{ offset_of!(Tcp, check) }>(check);
    }
}

impl Header<Ports> {
    #[inline(always)]
    pub fn src(&self) -> Port {
        self.port::<{ offset_of!(Ports, src) }>()
    }

    #[inline(always)]
    pub fn dst(&self) -> Port {
        self.port::<{ offset_of!(Ports, dst) }>()
    }
}

impl Header<Icmp> {
    #[inline(always)]
    pub fn r#type(&self) -> u8 {
        self.u8::<{ offset_of!(Icmp, r#type) }>()
    }

    #[inline(always)]
    pub fn check(&self) -> u16 {
        self.u16::<{ offset_of!(Icmp, check) }>()
    }

    /// The identifier of an echo, which stands in for a port.
    #[inline(always)]
    pub fn id(&self) -> Port {
        self.port::<{ offset_of!(Icmp, id) }>()
    }
}

impl Header<Arp> {
    /// Whether somebody asks for the Ethernet address of an IPv4 address.
    #[inline(always)]
    pub fn is_request(&self) -> bool {
        let kind = self.be16::<{ offset_of!(Arp, hardware) }>() == 1
            && self.be16::<{ offset_of!(Arp, protocol) }>() == ethertype::IPV4;
        let lengths = self.be16::<{ offset_of!(Arp, hardware_len) }>() == 0x0604;
        kind && lengths && self.be16::<{ offset_of!(Arp, operation) }>() == 1
    }

    #[inline(always)]
    pub fn sender_mac(&self) -> Mac {
        self.mac::<8, 10, 12>()
    }

    #[inline(always)]
    pub fn sender_ip(&self) -> Address {
        v4_of_halves([self.u16::<14>(), self.u16::<16>()])
    }

    #[inline(always)]
    pub fn target_ip(&self) -> Address {
        v4_of_halves([self.u16::<24>(), self.u16::<26>()])
    }
}

#[inline(always)]
fn v4_of_halves([a, b]: [u16; 2]) -> Address {
    let ([a, b], [c, d]) = (a.to_ne_bytes(), b.to_ne_bytes());
    Address::v4([a, b, c, d])
}

impl Arp {
    /// The answer of who has an address to who asked for it.
    #[inline(always)]
    pub fn reply(mac: Mac, ip: Address, to_mac: Mac, to_ip: Address) -> [u8; size_of::<Self>()] {
        let (Mac([m0, m1, m2, m3, m4, m5]), [i0, i1, i2, i3, ..]) = (mac, ip.octets());
        let (Mac([t0, t1, t2, t3, t4, t5]), [j0, j1, j2, j3, ..]) = (to_mac, to_ip.octets());
        [
            0, 1, 8, 0, 6, 4, 0, 2, //
            m0, m1, m2, m3, m4, m5, i0, i1, i2, i3, //
            t0, t1, t2, t3, t4, t5, j0, j1, j2, j3,
        ]
    }
}

impl Header<NeighbourMessage> {
    #[inline(always)]
    pub fn flags(&self) -> u16 {
        self.u16::<{ offset_of!(NeighbourMessage, flags) }>()
    }

    #[inline(always)]
    pub fn target(&self) -> Address {
        self.v6::<8, 12, 16, 20>()
    }
}

impl NeighbourMessage {
    /// The flags of an advertisement by a router who was asked.
    pub const SOLICITED: u16 = 0xc000_u16.to_be();

    /// The option of an advertisement: the target's Ethernet address.
    #[inline(always)]
    pub fn target_option(Mac([a, b, c, d, e, f]): Mac) -> [u8; 8] {
        [2, 1, a, b, c, d, e, f]
    }
}

impl Header<Udp> {
    #[inline(always)]
    pub fn src(&self) -> Port {
        self.port::<{ offset_of!(Udp, src) }>()
    }

    #[inline(always)]
    pub fn dst(&self) -> Port {
        self.port::<{ offset_of!(Udp, dst) }>()
    }

    #[inline(always)]
    pub fn len(&self) -> usize {
        usize::from(self.be16::<{ offset_of!(Udp, len) }>())
    }

    #[inline(always)]
    pub fn check(&self) -> u16 {
        self.u16::<{ offset_of!(Udp, check) }>()
    }

    #[inline(always)]
    pub fn set_dst(&self, port: Port) {
        self.set_u16::<{ offset_of!(Udp, dst) }>(port.network_order());
    }

    #[inline(always)]
    pub fn set_check(&self, check: u16) {
        self.set_u16::<{ offset_of!(Udp, check) }>(check);
    }
}
