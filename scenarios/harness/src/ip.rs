//! The IP packet in a frame, as far as accounts of where packets went look at it.

use std::net::IpAddr;

use etherparse::{
    ArpOperation, ArpPacketSlice, EtherType, Ethernet2HeaderSlice, IpNumber, Ipv6ExtensionSlice,
    LaxIpSlice, LaxIpv6Slice, TcpSlice,
};

/// A packet, whole or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpPacket<'a> {
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// What the payload is, or is a piece of.
    pub protocol: IpNumber,
    /// Which piece it is, if it is one.
    pub piece: Option<Piece>,
    /// What comes behind the IP headers.
    pub payload: &'a [u8],
}

/// Which piece of a packet it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The packet's identification.
    pub id: u32,
    /// Where it belongs in the payload, in bytes.
    pub offset: usize,
}

impl<'a> IpPacket<'a> {
    /// The packet in an Ethernet frame without a VLAN tag. A payload that is cut off is taken as it is.
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        let ethernet = Ethernet2HeaderSlice::from_slice(frame).ok()?;
        if !matches!(ethernet.ether_type(), EtherType::IPV4 | EtherType::IPV6) {
            return None;
        }
        let (packet, _) = LaxIpSlice::from_slice(&frame[ethernet.slice().len()..]).ok()?;
        let payload = packet.payload();
        Some(Self {
            source: packet.source_addr(),
            destination: packet.destination_addr(),
            protocol: payload.ip_number,
            piece: match &packet {
                LaxIpSlice::Ipv4(packet) => packet.is_payload_fragmented().then(|| Piece {
                    id: packet.header().identification().into(),
                    offset: packet.header().fragments_offset().byte_offset().into(),
                }),
                LaxIpSlice::Ipv6(packet) => ipv6_piece(packet),
            },
            payload: payload.payload,
        })
    }

    /// The destination port of a UDP datagram, if the header is here.
    pub fn udp_port(&self) -> Option<u16> {
        let first = self.piece.is_none_or(|piece| piece.offset == 0);
        let port = self.payload.get(2..4)?.first_chunk()?;
        (self.protocol == IpNumber::UDP && first).then(|| u16::from_be_bytes(*port))
    }

    /// Whether both are pieces of one packet.
    pub fn is_piece_with(&self, other: &Self) -> bool {
        let of = |packet: &Self| {
            let id = packet.piece?.id;
            Some((packet.source, packet.destination, packet.protocol, id))
        };
        of(self).is_some() && of(self) == of(other)
    }

    /// Whether it is for a group, or for everybody.
    pub fn to_group(&self) -> bool {
        match self.destination {
            IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
            IpAddr::V6(address) => address.is_multicast(),
        }
    }
}

/// The data of a TCP segment, or of several that are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpData<'a> {
    /// The source port and the destination port, as on the wire.
    pub ports: &'a [u8],
    /// The number of the first byte.
    pub sequence: u32,
    /// What comes behind the header.
    pub data: &'a [u8],
}

impl<'a> TcpData<'a> {
    /// That of the packet in an Ethernet frame, if it is one of TCP and has the header.
    pub fn of(frame: &'a [u8]) -> Option<Self> {
        let packet = IpPacket::parse(frame)?;
        let first = packet.piece.is_none_or(|piece| piece.offset == 0);
        let header = TcpSlice::from_slice(packet.payload).ok()?;
        (packet.protocol == IpNumber::TCP && first).then(|| Self {
            ports: &packet.payload[..4],
            sequence: header.sequence_number(),
            data: &packet.payload[usize::from(header.data_offset()) * 4..],
        })
    }
}

/// Whether a frame asks who has an address: an ARP request, or a neighbour solicitation.
pub fn asks_for_neighbour(frame: &[u8]) -> bool {
    const SOLICITATION: u8 = 135;
    let is_question = |packet: IpPacket<'_>| {
        packet.protocol == IpNumber::IPV6_ICMP && packet.payload.first() == Some(&SOLICITATION)
    };
    let arp = || {
        let ethernet = Ethernet2HeaderSlice::from_slice(frame).ok()?;
        let rest = &frame[ethernet.slice().len()..];
        let arp = (ethernet.ether_type() == EtherType::ARP).then_some(rest)?;
        ArpPacketSlice::from_slice(arp).ok()
    };
    IpPacket::parse(frame).is_some_and(is_question)
        || arp().is_some_and(|arp| arp.operation() == ArpOperation::REQUEST)
}

fn ipv6_piece(packet: &LaxIpv6Slice<'_>) -> Option<Piece> {
    packet
        .extensions()
        .clone()
        .into_iter()
        .find_map(|extension| match extension {
            Ipv6ExtensionSlice::Fragment(header) => Some(Piece {
                id: header.identification(),
                offset: header.fragment_offset().byte_offset().into(),
            }),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinpath_pcaps::text;

    #[test]
    fn tells_questions_for_neighbours() {
        let cases = [
            ("arp who-has 10.0.0.2 tell 10.0.0.1", true),
            ("udp 10.0.0.1:1 > 10.0.0.2:2", false),
            ("icmp6 fd00::1 > fd00::2 echo id 1 seq 1", false),
        ];
        for (words, asks) in cases {
            let frame = text::frame(words).unwrap_or_else(|error| panic!("{words}: {error}"));
            assert_eq!(asks_for_neighbour(&frame), asks, "{words}");
        }
        let mut solicitation = text::frame("icmp6 fd00::1 > fd00::2 echo id 1 seq 1").unwrap();
        solicitation[54] = 135;
        assert!(asks_for_neighbour(&solicitation));
    }

    #[test]
    fn finds_addresses_ports_and_pieces() {
        let cases = [
            ("udp 10.0.0.1:1 > 10.0.0.2:4789 len 4", Some(4789), None),
            ("tcp 10.0.0.1:1 > 10.0.0.2:80 SYN", None, None),
            (
                "udp [fd00::1]:1 > [fd00::2]:4789 len 4 hopopt 0104",
                Some(4789),
                None,
            ),
            (
                "udp 10.0.0.1:1 > 10.0.0.2:4789 len 40 ipid 7 frag 0..16",
                Some(4789),
                Some(Piece { id: 7, offset: 0 }),
            ),
            (
                "udp 10.0.0.1:1 > 10.0.0.2:4789 len 40 ipid 7 frag 16..",
                None,
                Some(Piece { id: 7, offset: 16 }),
            ),
        ];
        for (words, port, piece) in cases {
            let frame = text::frame(words).unwrap_or_else(|error| panic!("{words}: {error}"));
            let packet = IpPacket::parse(&frame).expect(words);
            assert_eq!((packet.udp_port(), packet.piece), (port, piece), "{words}");
        }
        assert_eq!(IpPacket::parse(&[0; 60]), None);
        assert_eq!(IpPacket::parse(&[0; 3]), None);
    }
}
