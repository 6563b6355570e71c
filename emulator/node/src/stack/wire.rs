//! Headers as they are on the wire.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{v4_at, v6_at};
use crate::packet::Sum;

/// Protocol numbers (IANA).
pub(crate) mod proto {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const IGMP: u8 = 2;
    pub(crate) const IPIP: u8 = 4;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const NONE: u8 = 59;
    pub(crate) const DESTINATION: u8 = 60;
    pub(crate) const PIM: u8 = 103;
    pub(crate) const UDP_LITE: u8 = 136;
}

/// Bytes of an IPv4 header without options.
pub(crate) const IPV4: usize = 20;
/// Bytes of an IPv6 header.
pub(crate) const IPV6: usize = 40;

/// An IPv4 header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ipv4 {
    /// Bytes of the header with options.
    pub(crate) len: usize,
    pub(crate) tos: u8,
    /// Bytes of the packet.
    pub(crate) total: usize,
    pub(crate) id: u16,
    pub(crate) dont_fragment: bool,
    pub(crate) more_fragments: bool,
    /// Where the payload belongs in the whole packet's, in bytes.
    pub(crate) offset: usize,
    pub(crate) ttl: u8,
    pub(crate) protocol: u8,
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
}

impl Ipv4 {
    /// Reads a header; none when it is cut off or says nonsense (`ip_rcv_core`).
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let fixed: &[u8; IPV4] = bytes.first_chunk()?;
        let len = usize::from(fixed[0] & 0xf) * 4;
        let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if fixed[0] >> 4 != 4 || len < IPV4 || bytes.len() < len {
            return None;
        }
        let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
        Some(Self {
            len,
            tos: fixed[1],
            total,
            id: u16::from_be_bytes([fixed[4], fixed[5]]),
            dont_fragment: fragment & 0x4000 != 0,
            more_fragments: fragment & 0x2000 != 0,
            offset: usize::from(fragment & 0x1fff) * 8,
            ttl: fixed[8],
            protocol: fixed[9],
            source: v4_at(fixed, 12),
            destination: v4_at(fixed, 16),
        })
    }

    pub(super) const fn is_fragment(&self) -> bool {
        self.more_fragments || self.offset != 0
    }

    /// Appends the header without options, its checksum filled in.
    pub(crate) fn write(&self, into: &mut Vec<u8>) {
        let start = into.len();
        let fragment = u16::from(self.dont_fragment) << 14
            | u16::from(self.more_fragments) << 13
            | (self.offset / 8) as u16;
        into.extend_from_slice(&[0x45, self.tos]);
        into.extend_from_slice(&(self.total as u16).to_be_bytes());
        into.extend_from_slice(&self.id.to_be_bytes());
        into.extend_from_slice(&fragment.to_be_bytes());
        into.extend_from_slice(&[self.ttl, self.protocol, 0, 0]);
        into.extend_from_slice(&self.source.octets());
        into.extend_from_slice(&self.destination.octets());
        fill_header_checksum(&mut into[start..]);
    }
}

/// An IPv6 header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ipv6 {
    pub(crate) class: u8,
    pub(crate) label: u32,
    /// Bytes behind the header.
    pub(crate) payload: usize,
    pub(crate) next: u8,
    pub(crate) hop_limit: u8,
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
}

impl Ipv6 {
    /// Reads a header; none when it is cut off or of another version.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let fixed: &[u8; IPV6] = bytes.first_chunk()?;
        let word = u32::from_be_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]);
        (word >> 28 == 6).then(|| Self {
            class: (word >> 20) as u8,
            label: word & 0xf_ffff,
            payload: usize::from(u16::from_be_bytes([fixed[4], fixed[5]])),
            next: fixed[6],
            hop_limit: fixed[7],
            source: v6_at(fixed, 8),
            destination: v6_at(fixed, 24),
        })
    }

    /// Appends the header.
    pub(crate) fn write(&self, into: &mut Vec<u8>) {
        let word = 6 << 28 | u32::from(self.class) << 20 | self.label;
        into.extend_from_slice(&word.to_be_bytes());
        into.extend_from_slice(&(self.payload as u16).to_be_bytes());
        into.extend_from_slice(&[self.next, self.hop_limit]);
        into.extend_from_slice(&self.source.octets());
        into.extend_from_slice(&self.destination.octets());
    }
}

/// Writes the checksum of an IPv4 header.
pub(super) fn fill_header_checksum(header: &mut [u8]) {
    let len = usize::from(header[0] & 0xf) * 4;
    header[10..12].fill(0);
    let sum = Sum::of(&header[..len], Sum(0)).fold();
    header[10..12].copy_from_slice(&sum.to_le_bytes());
}

/// Whether a checksum with its seed fits the bytes that contain it.
pub(super) fn sums_up(bytes: &[u8], seed: Sum) -> bool {
    Sum::of(bytes, seed).fold() == 0
}

/// The sum of the pseudo-header of an upper-layer protocol.
pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> Sum {
    let sum = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Sum::of(&destination.octets(), Sum::of(&source.octets(), Sum(0)))
        }
        _ => {
            let octets = |address: IpAddr| match address {
                IpAddr::V6(address) => address.octets(),
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            };
            Sum::of(&octets(destination), Sum::of(&octets(source), Sum(0)))
        }
    };
    let [a, b, c, d] = (len as u32).to_be_bytes();
    Sum::of(&[a, b, c, d, 0, 0, 0, protocol], sum)
}
