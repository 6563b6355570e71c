//! Ethernet, its VLAN tags, and ARP over it.

use core::mem::offset_of;

use twinpath_abi::{Address, Mac};

use crate::packet::Header;

/// Ethernet II.
#[repr(C)]
pub struct Ethernet {
    pub(super) dst: [u16; 3],
    pub(super) src: [u16; 3],
    pub(super) ethertype: u16,
}

/// What follows the ethertype 802.1Q or 802.1ad.
#[repr(C)]
pub struct Vlan {
    pub(super) tci: u16,
    pub(super) ethertype: u16,
}

/// ARP for IPv4 over Ethernet (RFC 826). Its addresses are not aligned.
#[repr(C)]
pub struct Arp {
    pub(super) hardware: u16,
    pub(super) protocol: u16,
    pub(super) hardware_len: u8,
    pub(super) protocol_len: u8,
    pub(super) operation: u16,
    pub(super) sender_mac: [u16; 3],
    pub(super) sender_ip: [u16; 2],
    pub(super) target_mac: [u16; 3],
    pub(super) target_ip: [u16; 2],
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
