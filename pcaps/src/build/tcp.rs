//! TCP segments.

use etherparse::{IpNumber, TcpHeader, TcpOptions};

use super::Checksum;
use super::checksum::Ends;
use crate::TcpFlags;

const CHECKSUM: usize = 16;

/// A TCP segment (RFC 9293), to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Flags.
    pub flags: TcpFlags,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// Window.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options.
    pub options: TcpOptions,
    /// What the header claims to be its length, in words of 4 bytes; none is the truth.
    pub header_words: Option<u8>,
    /// The checksum.
    pub checksum: Checksum,
    /// Data.
    pub payload: Vec<u8>,
}

impl Tcp {
    /// A segment without data or options, with a window of 65535.
    pub fn new(source_port: u16, destination_port: u16, flags: TcpFlags) -> Self {
        Self {
            source_port,
            destination_port,
            flags,
            sequence: 0,
            acknowledgement: 0,
            window: u16::MAX,
            urgent: 0,
            options: TcpOptions::new(),
            header_words: None,
            checksum: Checksum::Right,
            payload: Vec::new(),
        }
    }

    pub(super) fn to_bytes(&self, ends: Ends) -> Vec<u8> {
        let mut header = TcpHeader::new(
            self.source_port,
            self.destination_port,
            self.sequence,
            self.window,
        );
        header.acknowledgment_number = self.acknowledgement;
        header.urgent_pointer = self.urgent;
        header.options = self.options.clone();
        let mut bytes = header.to_bytes().to_vec();
        let words = self.header_words.unwrap_or(header.data_offset());
        let word = (u16::from(words & 0xf) << 12) | self.flags.bits();
        bytes[12..14].copy_from_slice(&word.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        let sum = ends.pseudo_header(IpNumber::TCP, bytes.len());
        self.checksum.seal(&mut bytes, CHECKSUM, sum);
        bytes
    }
}
