//! Headers as they stand in a packet: multi-byte fields are in network byte order.

use twinpath_abi::{Address, Mac, Port, Protocol};
use zerocopy::FromBytes;

/// Reads a 16-bit field.
#[inline(always)]
pub const fn be16(field: [u8; 2]) -> u16 {
    u16::from_be_bytes(field)
}

macro_rules! headers {
    ($($item:item)+) => {
        $(
            #[derive(Clone, Copy, FromBytes)]
            #[repr(C, packed)]
            $item
        )+
    };
}

headers! {
    /// Ethernet II.
    pub struct Ethernet {
        pub dst: Mac,
        pub src: Mac,
        pub ethertype: [u8; 2],
    }

    /// What follows the ethertype 802.1Q or 802.1ad.
    pub struct Vlan {
        pub tci: [u8; 2],
        pub ethertype: [u8; 2],
    }

    /// IPv4 without options (RFC 791).
    pub struct Ipv4 {
        pub version_ihl: u8,
        pub tos: u8,
        pub total_len: [u8; 2],
        pub id: [u8; 2],
        pub fragment: [u8; 2],
        pub ttl: u8,
        pub protocol: Protocol,
        pub check: u16,
        pub src: [u8; 4],
        pub dst: [u8; 4],
    }

    /// IPv6 (RFC 8200).
    pub struct Ipv6 {
        pub version_class_flow: [u8; 4],
        pub payload_len: [u8; 2],
        pub next_header: Protocol,
        pub hop_limit: u8,
        pub src: [u8; 16],
        pub dst: [u8; 16],
    }

    /// The part that IPv6 extension headers have in common; the fragment header's offset is in the
    /// other two bytes.
    pub struct Extension {
        pub next_header: Protocol,
        pub len: u8,
        pub rest: [u8; 2],
    }

    /// TCP without options (RFC 9293).
    pub struct Tcp {
        pub src: Port,
        pub dst: Port,
        pub seq: [u8; 4],
        pub ack: [u8; 4],
        pub data_offset: u8,
        pub flags: u8,
        pub window: [u8; 2],
        pub check: u16,
        pub urgent: [u8; 2],
    }

    /// UDP (RFC 768).
    pub struct Udp {
        pub src: Port,
        pub dst: Port,
        pub len: [u8; 2],
        pub check: u16,
    }
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

impl Ipv4 {
    /// The header's length in bytes, as it says itself.
    #[inline(always)]
    pub fn header_len(&self) -> usize {
        usize::from(self.version_ihl & 0xf) * 4
    }

    /// Whether the packet is a part of a larger one: an offset, or more to come.
    #[inline(always)]
    pub fn is_fragment(&self) -> bool {
        be16(self.fragment) & 0x3fff != 0
    }

    #[inline(always)]
    pub fn src(&self) -> Address {
        Address::v4(self.src)
    }

    #[inline(always)]
    pub fn dst(&self) -> Address {
        Address::v4(self.dst)
    }
}
