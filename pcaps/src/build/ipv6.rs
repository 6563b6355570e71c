//! IPv6 packets and their extension headers.

use std::net::Ipv6Addr;

use etherparse::{
    IpAuthHeader, IpNumber, Ipv6FlowLabel, Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader,
};

use super::checksum::Ends;
use super::error::len16;
use super::{BuildError, Piece, Transport};

/// An IPv6 packet (RFC 8200), to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// Hop limit.
    pub hop_limit: u8,
    /// Traffic class.
    pub traffic_class: u8,
    /// Flow label.
    pub flow_label: Ipv6FlowLabel,
    /// Extension headers, in their order.
    pub extensions: Vec<Extension>,
    /// What the header claims to be the payload's length; none is the truth.
    pub payload_len: Option<u16>,
    /// What it carries. Its checksum covers `destination`, also when a routing header tells
    /// another one.
    pub body: Transport,
}

/// An IPv6 extension header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options; padded with PadN.
    HopByHop(Vec<u8>),
    /// Destination options; padded with PadN.
    Destination(Vec<u8>),
    /// Routing header.
    Routing {
        /// Which kind of routing.
        kind: u8,
        /// Segments left.
        segments_left: u8,
        /// What follows: 4 bytes, or 12, 20, ...
        data: Vec<u8>,
    },
    /// Fragment header: only this part of what follows is sent.
    Fragment {
        /// Identification.
        id: u32,
        /// Which part.
        piece: Piece,
    },
    /// Authentication header (RFC 4302).
    Authentication {
        /// Security parameters index.
        spi: u32,
        /// Sequence number.
        sequence: u32,
        /// Integrity check value: a multiple of 4 bytes.
        icv: Vec<u8>,
    },
}

impl Ipv6 {
    /// A packet with a hop limit of 64.
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr, body: Transport) -> Self {
        Self {
            source,
            destination,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            extensions: Vec::new(),
            payload_len: None,
            body,
        }
    }

    /// The packet's bytes, without a link layer.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BuildError> {
        let ends = Ends::V6(self.source, self.destination);
        let mut next = self.body.protocol(false);
        let mut payload = self.body.to_bytes(ends)?;
        for extension in self.extensions.iter().rev() {
            payload = extension.before(next, &payload)?;
            next = extension.number();
        }
        let len = len16("IPv6 payload", payload.len())?;
        let header = Ipv6Header {
            traffic_class: self.traffic_class,
            flow_label: self.flow_label,
            payload_length: self.payload_len.unwrap_or(len),
            next_header: next,
            hop_limit: self.hop_limit,
            source: self.source.octets(),
            destination: self.destination.octets(),
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.append(&mut payload);
        Ok(bytes)
    }
}

impl Extension {
    fn number(&self) -> IpNumber {
        match self {
            Self::HopByHop(_) => IpNumber::IPV6_HEADER_HOP_BY_HOP,
            Self::Destination(_) => IpNumber::IPV6_DESTINATION_OPTIONS,
            Self::Routing { .. } => IpNumber::IPV6_ROUTE_HEADER,
            Self::Fragment { .. } => IpNumber::IPV6_FRAGMENTATION_HEADER,
            Self::Authentication { .. } => IpNumber::AUTHENTICATION_HEADER,
        }
    }

    /// This header and what it stands before.
    fn before(&self, next: IpNumber, payload: &[u8]) -> Result<Vec<u8>, BuildError> {
        match self {
            Self::HopByHop(options) => {
                raw_header("hop-by-hop options", next, &padded(options), payload)
            }
            Self::Destination(options) => {
                raw_header("destination options", next, &padded(options), payload)
            }
            Self::Routing {
                kind,
                segments_left,
                data,
            } => {
                let content = [&[*kind, *segments_left], &data[..]].concat();
                raw_header("routing header data", next, &content, payload)
            }
            Self::Fragment { id, piece } => {
                let cut = piece.cut_from(payload)?;
                let header = Ipv6FragmentHeader::new(next, cut.offset, cut.more, *id);
                Ok([&header.to_bytes(), cut.bytes].concat())
            }
            Self::Authentication { spi, sequence, icv } => {
                let header = IpAuthHeader::new(next, *spi, *sequence, icv).map_err(|_| {
                    BuildError::Length {
                        what: "integrity check value",
                        len: icv.len(),
                        expected: "a multiple of 4, at most 1016",
                    }
                })?;
                Ok([&header.to_bytes(), payload].concat())
            }
        }
    }
}

fn raw_header(
    what: &'static str,
    next: IpNumber,
    content: &[u8],
    payload: &[u8],
) -> Result<Vec<u8>, BuildError> {
    let header = Ipv6RawExtHeader::new_raw(next, content).map_err(|_| BuildError::Length {
        what,
        len: content.len() - 2,
        expected: "8n + 4, at most 2044",
    })?;
    Ok([&header.to_bytes(), payload].concat())
}

/// `options` with Pad1 or PadN behind, so that the header's length is a multiple of 8.
fn padded(options: &[u8]) -> Vec<u8> {
    let len = (2 + options.len()).next_multiple_of(8) - 2;
    let mut bytes = options.to_vec();
    match len - options.len() {
        0 => {}
        1 => bytes.push(0),
        pad => {
            bytes.extend_from_slice(&[1, (pad - 2) as u8]);
            bytes.resize(len, 0);
        }
    }
    bytes
}
