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

/// The start of an IPv6 extension header.
#[repr(C)]
pub struct Extension {
    next_header: u8,
    len: u8,
    fragment: u16,
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
    assert!(size_of::<Ipv4>() == 20 && size_of::<Ipv6>() == 40 && size_of::<Extension>() == 4);
    assert!(size_of::<Tcp>() == 20 && size_of::<Udp>() == 8);
};

/// Where the fields are that helpers write.
pub mod at {
    use super::{Ethernet, Ipv4, Ipv6, offset_of};

    pub const ETHERNET_DST: usize = offset_of!(Ethernet, dst);
    pub const ETHERNET_SRC: usize = offset_of!(Ethernet, src);
    pub const IPV4_TTL: usize = offset_of!(Ipv4, ttl);
    pub const IPV4_CHECK: usize = offset_of!(Ipv4, check);
    pub const IPV6_HOP_LIMIT: usize = offset_of!(Ipv6, hop_limit);
}

/// Ethertypes.
pub mod ethertype {
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

    /// Whether the packet is a part of a larger one: an offset, or more to come.
    #[inline(always)]
    pub fn is_fragment(&self) -> bool {
        self.be16::<{ offset_of!(Ipv4, fragment) }>() & 0x3fff != 0
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
        let (a, b, c, d) = (
            self.u32::<8>(),
            self.u32::<12>(),
            self.u32::<16>(),
            self.u32::<20>(),
        );
        Address::from_words([a, b, c, d])
    }

    #[inline(always)]
    pub fn dst(&self) -> Address {
        let (a, b, c, d) = (
            self.u32::<24>(),
            self.u32::<28>(),
            self.u32::<32>(),
            self.u32::<36>(),
        );
        Address::from_words([a, b, c, d])
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

    /// Of a fragment header: whether the packet is a part of a larger one. RFC 6946: a fragment
    /// which is all of its packet is none.
    #[inline(always)]
    pub fn is_fragment(&self) -> bool {
        self.be16::<{ offset_of!(Extension, fragment) }>() & 0xfff9 != 0
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
