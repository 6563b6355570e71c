//! Ethernet and VLAN headers.

use std::fmt;

/// Bytes of an Ethernet header.
pub(crate) const ETH_HLEN: u32 = 14;
/// Bytes of a VLAN tag.
pub(crate) const VLAN_HLEN: u32 = 4;

/// What an Ethernet frame carries (`linux/if_ether.h`), as a number and not as wire bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EtherType(pub u16);

impl EtherType {
    /// `ETH_P_802_3`: a frame of an old Novell protocol.
    pub const NOVELL: Self = Self(0x0001);
    /// `ETH_P_802_2`: a frame with a length and an LLC header.
    pub const LLC: Self = Self(0x0004);
    /// `ETH_P_IP`.
    pub const IPV4: Self = Self(0x0800);
    /// `ETH_P_ARP`.
    pub const ARP: Self = Self(0x0806);
    /// `ETH_P_TEB`: an Ethernet frame.
    pub const ETHERNET: Self = Self(0x6558);
    /// `ETH_P_8021Q`: a VLAN tag.
    pub const VLAN: Self = Self(0x8100);
    /// `ETH_P_IPV6`.
    pub const IPV6: Self = Self(0x86dd);
    /// `ETH_P_MPLS_UC`.
    pub const MPLS: Self = Self(0x8847);
    /// `ETH_P_PPP_SES`: the session of PPP over Ethernet.
    pub const PPPOE_SESSION: Self = Self(0x8864);
    /// `ETH_P_8021AD`: an outer VLAN tag.
    pub const SERVICE_VLAN: Self = Self(0x88a8);

    /// The smallest number that is a type and not a length (`ETH_P_802_3_MIN`).
    const FIRST: u16 = 0x0600;

    /// From the wire's bytes.
    pub const fn from_wire(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes))
    }

    /// The wire's bytes.
    pub const fn to_wire(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// The number as programs see it in a context: the wire's bytes, loaded little-endian.
    pub const fn to_guest(self) -> u16 {
        self.0.swap_bytes()
    }

    /// The inverse of [`EtherType::to_guest`].
    pub const fn from_guest(value: u16) -> Self {
        Self(value.swap_bytes())
    }

    /// Whether a VLAN tag follows (`eth_type_vlan`).
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::SERVICE_VLAN)
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// The protocol behind an Ethernet header or a VLAN tag, whose last two bytes are `field` and which
/// `payload` follows (`eth_type_trans`, `vlan_set_encap_proto`).
pub(crate) fn header_protocol(field: [u8; 2], payload: &[u8]) -> EtherType {
    let field = EtherType::from_wire(field);
    if field.0 >= EtherType::FIRST {
        field
    } else if payload.starts_with(&[0xff, 0xff]) {
        EtherType::NOVELL
    } else {
        EtherType::LLC
    }
}

/// A VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vlan {
    /// Which kind of tag: 802.1Q or 802.1ad.
    pub protocol: EtherType,
    /// Priority, drop eligibility and identifier.
    pub tci: u16,
}
