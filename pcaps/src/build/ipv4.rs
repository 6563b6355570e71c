//! IPv4 packets.

use std::net::Ipv4Addr;

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpDscp, IpEcn, IpFragOffset, Ipv4Header};

use super::checksum::Ends;
use super::error::len16;
use super::{BuildError, Checksum, Piece, Transport};

const CHECKSUM: usize = 10;

/// An IPv4 packet (RFC 791), to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Time to live.
    pub ttl: u8,
    /// Differentiated services.
    pub dscp: IpDscp,
    /// Congestion notification.
    pub ecn: IpEcn,
    /// Identification.
    pub id: u16,
    /// The "don't fragment" bit.
    pub dont_fragment: bool,
    /// Only this part of the body is sent.
    pub fragment: Option<Piece>,
    /// Options, at most 40 bytes, padded with zeros.
    pub options: Vec<u8>,
    /// What the header claims to be its length, in words of 4 bytes; none is the truth.
    pub header_words: Option<u8>,
    /// What the header claims to be the packet's length; none is the truth.
    pub total_len: Option<u16>,
    /// The header's checksum.
    pub checksum: Checksum,
    /// What it carries.
    pub body: Transport,
}

impl Ipv4 {
    /// A packet with a time to live of 64.
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, body: Transport) -> Self {
        Self {
            source,
            destination,
            ttl: 64,
            dscp: IpDscp::ZERO,
            ecn: IpEcn::ZERO,
            id: 0,
            dont_fragment: false,
            fragment: None,
            options: Vec::new(),
            header_words: None,
            total_len: None,
            checksum: Checksum::Right,
            body,
        }
    }

    /// The packet's bytes, without a link layer.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BuildError> {
        let ends = Ends::V4(self.source, self.destination);
        let whole = self.body.to_bytes(ends)?;
        let cut = self.fragment.unwrap_or(Piece::WHOLE).cut_from(&whole)?;
        let mut bytes = self.header(cut.bytes.len(), cut.offset, cut.more)?;
        bytes.extend_from_slice(cut.bytes);
        Ok(bytes)
    }

    fn header(
        &self,
        payload_len: usize,
        fragment_offset: IpFragOffset,
        more_fragments: bool,
    ) -> Result<Vec<u8>, BuildError> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let options = options[..].try_into().map_err(|_| BuildError::TooLong {
            what: "IPv4 options",
            len: self.options.len(),
            max: 40,
        })?;
        let mut header = Ipv4Header {
            dscp: self.dscp,
            ecn: self.ecn,
            total_len: 0,
            identification: self.id,
            dont_fragment: self.dont_fragment,
            more_fragments,
            fragment_offset,
            time_to_live: self.ttl,
            protocol: self.body.protocol(true),
            header_checksum: 0,
            source: self.source.octets(),
            destination: self.destination.octets(),
            options,
        };
        let len = len16("IPv4 packet", header.header_len() + payload_len)?;
        header.total_len = self.total_len.unwrap_or(len);
        let mut bytes = header.to_bytes().to_vec();
        if let Some(words) = self.header_words {
            bytes[0] = 0x40 | (words & 0xf);
        }
        self.checksum
            .seal(&mut bytes, CHECKSUM, Sum16BitWords::new());
        Ok(bytes)
    }
}
