//! What an IP packet carries.

use etherparse::IpNumber;

use super::checksum::Ends;
use super::{BuildError, Icmp, Ip, Tcp, Udp};

/// What an IP packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp(Tcp),
    /// UDP, and VXLAN in it ([`Udp::vxlan`]).
    Udp(Udp),
    /// ICMP in IPv4, ICMPv6 in IPv6.
    Icmp(Icmp),
    /// Another IP packet: IPIP, 6in4, IPv4 or IPv6 in IPv6.
    Ip(Box<Ip>),
    /// Anything else.
    Raw {
        /// The number in the IP header.
        protocol: IpNumber,
        /// Its bytes.
        payload: Vec<u8>,
    },
}

impl Transport {
    /// Its number in the IP header before it.
    pub(super) fn protocol(&self, over_v4: bool) -> IpNumber {
        match self {
            Self::Tcp(_) => IpNumber::TCP,
            Self::Udp(_) => IpNumber::UDP,
            Self::Icmp(_) if over_v4 => IpNumber::ICMP,
            Self::Icmp(_) => IpNumber::IPV6_ICMP,
            Self::Ip(ip) => match **ip {
                Ip::V4(_) => IpNumber::IPV4,
                Ip::V6(_) => IpNumber::IPV6,
            },
            Self::Raw { protocol, .. } => *protocol,
        }
    }

    pub(super) fn to_bytes(&self, ends: Ends) -> Result<Vec<u8>, BuildError> {
        match self {
            Self::Tcp(tcp) => Ok(tcp.to_bytes(ends)),
            Self::Udp(udp) => udp.to_bytes(ends),
            Self::Icmp(icmp) => Ok(icmp.to_bytes(ends)),
            Self::Ip(ip) => ip.to_bytes(),
            Self::Raw { payload, .. } => Ok(payload.clone()),
        }
    }
}
