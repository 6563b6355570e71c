//! How a packet is to be sent through a tunnel, or came through one (`struct ip_tunnel_info`).

use std::net::IpAddr;

use crate::net::TunnelKey;

/// Bits of [`Tunnel::flags`] (`IP_TUNNEL_*_BIT`).
pub(crate) mod flag {
    pub(crate) const CSUM: u32 = 1 << 0;
    pub(crate) const KEY: u32 = 1 << 2;
    pub(crate) const SEQ: u32 = 1 << 3;
    pub(crate) const DONT_FRAGMENT: u32 = 1 << 8;
    pub(crate) const GENEVE_OPT: u32 = 1 << 11;
    pub(crate) const VXLAN_OPT: u32 = 1 << 12;
    pub(crate) const NOCACHE: u32 = 1 << 13;
    pub(crate) const ERSPAN_OPT: u32 = 1 << 14;
    pub(crate) const GTP_OPT: u32 = 1 << 15;
    pub(crate) const PFCP_OPT: u32 = 1 << 18;
    /// Any kind of options (`IP_TUNNEL_OPTIONS_PRESENT`).
    pub(crate) const OPTIONS: u32 = GENEVE_OPT | VXLAN_OPT | ERSPAN_OPT | GTP_OPT | PFCP_OPT;
}

/// A tunnel's key and options.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tunnel {
    /// Whether a program set it for sending.
    pub(crate) set: bool,
    /// Whether the outer header is IPv6.
    pub(crate) ipv6: bool,
    /// The network identifier.
    pub(crate) id: u32,
    /// The outer source; of an IPv4 one the first four bytes.
    pub(crate) source: [u8; 16],
    /// The outer destination.
    pub(crate) destination: [u8; 16],
    /// Type of service or traffic class.
    pub(crate) tos: u8,
    /// Time to live or hop limit.
    pub(crate) ttl: u8,
    /// The flow label.
    pub(crate) label: u32,
    /// Bits of [`flag`].
    pub(crate) flags: u32,
    /// Options of the tunnel's protocol.
    pub(crate) options: Vec<u8>,
}

impl Tunnel {
    /// What programs see of it.
    pub(crate) fn key(&self) -> TunnelKey {
        let address = |bytes: [u8; 16]| match self.ipv6 {
            true => IpAddr::from(bytes),
            false => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
        };
        TunnelKey {
            id: self.id,
            source: address(self.source),
            destination: address(self.destination),
            tos: self.tos,
            ttl: self.ttl,
            label: if self.ipv6 { self.label } else { 0 },
        }
    }
}
