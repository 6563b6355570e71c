//! IPv4, IPv6 and its extension headers.

use core::mem::offset_of;

use twinpath_abi::{Address, Protocol};

use crate::apart::plain;
use crate::packet::Header;

/// IPv4 without options (RFC 791).
#[repr(C)]
pub struct Ipv4 {
    pub(super) version_ihl: u8,
    pub(super) tos: u8,
    pub(super) total_len: u16,
    pub(super) id: u16,
    pub(super) fragment: u16,
    pub(super) ttl: u8,
    pub(super) protocol: u8,
    pub(super) check: u16,
    pub(super) src: u32,
    pub(super) dst: u32,
}

/// IPv6 (RFC 8200).
#[repr(C)]
pub struct Ipv6 {
    pub(super) version_class: u8,
    pub(super) class_flow: [u8; 3],
    pub(super) payload_len: u16,
    pub(super) next_header: u8,
    pub(super) hop_limit: u8,
    pub(super) src: [u32; 4],
    pub(super) dst: [u32; 4],
}

/// The start of an IPv6 extension header, none of which is shorter: of a fragment header, all of it.
#[repr(C)]
pub struct Extension {
    pub(super) next_header: u8,
    pub(super) len: u8,
    pub(super) fragment: u16,
    pub(super) id: u32,
}

plain! {
    /// Which part of a larger packet a packet is.
    pub struct Fragment {
        /// What all parts have in common, as it stands in the header; of a whole packet, anything.
        pub id: u32,
        pub part: Part,
    }
}

/// What of a packet is in this one.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
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

/// IPv6 extension headers.
pub mod extension {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AUTH: u8 = 51;
    pub const DESTINATION: u8 = 60;
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
