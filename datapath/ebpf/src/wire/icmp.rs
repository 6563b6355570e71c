//! ICMP, ICMPv6 and neighbour discovery.

use core::mem::offset_of;

use twinpath_abi::{Address, Mac, Port};

use crate::packet::Header;

/// What all ICMP (RFC 792) and ICMPv6 (RFC 4443) messages begin with, and the identifier that those of an
/// echo have next.
#[repr(C)]
pub struct Icmp {
    pub(super) r#type: u8,
    pub(super) code: u8,
    pub(super) check: u16,
    pub(super) id: u16,
    pub(super) sequence: u16,
}

/// A neighbour solicitation or advertisement (RFC 4861) with one option, an Ethernet address.
#[repr(C)]
pub struct NeighbourMessage {
    pub(super) r#type: u8,
    pub(super) code: u8,
    pub(super) check: u16,
    pub(super) flags: u16,
    pub(super) reserved: u16,
    pub(super) target: [u32; 4],
    pub(super) option: [u16; 4],
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
