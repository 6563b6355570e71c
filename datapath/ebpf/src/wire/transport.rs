//! TCP and UDP.

use core::mem::offset_of;

use twinpath_abi::Port;

use crate::packet::Header;

/// TCP without options (RFC 9293).
#[repr(C)]
pub struct Tcp {
    pub(super) src: u16,
    pub(super) dst: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) data_offset: u8,
    pub(super) flags: u8,
    pub(super) window: u16,
    pub(super) check: u16,
    pub(super) urgent: u16,
}

/// UDP (RFC 768).
#[repr(C)]
pub struct Udp {
    pub(super) src: u16,
    pub(super) dst: u16,
    pub(super) len: u16,
    pub(super) check: u16,
}

/// The ports, where every protocol that has some has them.
#[repr(C)]
pub struct Ports {
    pub(super) src: u16,
    pub(super) dst: u16,
}

/// Flags of TCP.
pub mod tcp_flag {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 1 << 1;
    pub const RST: u8 = 1 << 2;
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
