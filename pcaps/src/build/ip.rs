//! IP packets of either version.

use std::net::IpAddr;

use etherparse::EtherType;

use super::{BuildError, Ipv4, Ipv6, Transport};
use crate::MacAddr;

/// An IP packet, to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ip {
    /// IPv4.
    V4(Ipv4),
    /// IPv6.
    V6(Ipv6),
}

impl Ip {
    /// A packet from one address to another; none when they are of different versions.
    pub fn new(source: IpAddr, destination: IpAddr, body: Transport) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Some(Self::V4(Ipv4::new(source, destination, body)))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Some(Self::V6(Ipv6::new(source, destination, body)))
            }
            _ => None,
        }
    }

    /// What it carries.
    pub fn body(&self) -> &Transport {
        match self {
            Self::V4(ip) => &ip.body,
            Self::V6(ip) => &ip.body,
        }
    }

    /// What it carries.
    pub fn body_mut(&mut self) -> &mut Transport {
        match self {
            Self::V4(ip) => &mut ip.body,
            Self::V6(ip) => &mut ip.body,
        }
    }

    /// The packet's bytes, without a link layer.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BuildError> {
        match self {
            Self::V4(ip) => ip.to_bytes(),
            Self::V6(ip) => ip.to_bytes(),
        }
    }

    pub(super) fn ether_type(&self) -> EtherType {
        match self {
            Self::V4(_) => EtherType::IPV4,
            Self::V6(_) => EtherType::IPV6,
        }
    }

    /// The MAC address of its destination, when that is a group.
    pub(super) fn group_mac(&self) -> Option<MacAddr> {
        match self {
            Self::V4(ip) if ip.destination.is_broadcast() => Some(MacAddr::BROADCAST),
            Self::V4(ip) if ip.destination.is_multicast() => {
                Some(MacAddr::of_ipv4_group(ip.destination))
            }
            Self::V6(ip) if ip.destination.is_multicast() => {
                Some(MacAddr::of_ipv6_group(ip.destination))
            }
            _ => None,
        }
    }
}
