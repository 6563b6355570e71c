//! UDP datagrams, and VXLAN in them.

use etherparse::{IpNumber, UdpHeader};

use super::checksum::Ends;
use super::error::len16;
use super::{BuildError, Checksum, Ethernet};

const CHECKSUM: usize = 6;

/// A VXLAN network identifier: 24 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vni(u32);

impl Vni {
    /// The identifier `id`; none above 2^24 - 1.
    pub const fn new(id: u32) -> Option<Self> {
        match id >> 24 {
            0 => Some(Self(id)),
            _ => None,
        }
    }

    /// The identifier as a number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A UDP datagram (RFC 768), to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// What the header claims to be the datagram's length; none is the truth.
    pub len: Option<u16>,
    /// The checksum.
    pub checksum: Checksum,
    /// Data.
    pub payload: Vec<u8>,
}

impl Udp {
    /// IANA's port of VXLAN.
    pub const VXLAN_PORT: u16 = 4789;

    /// A datagram.
    pub fn new(source_port: u16, destination_port: u16, payload: Vec<u8>) -> Self {
        Self {
            source_port,
            destination_port,
            len: None,
            checksum: Checksum::Right,
            payload,
        }
    }

    /// A datagram to [`Udp::VXLAN_PORT`] with a VXLAN header (RFC 7348) and a frame.
    pub fn vxlan(source_port: u16, vni: Vni, frame: &Ethernet) -> Result<Self, BuildError> {
        const VNI_IS_VALID: u32 = 0x0800_0000;
        let header = [VNI_IS_VALID.to_be_bytes(), (vni.get() << 8).to_be_bytes()];
        let payload = [header.as_flattened(), &frame.to_bytes()?].concat();
        Ok(Self::new(source_port, Self::VXLAN_PORT, payload))
    }

    pub(super) fn to_bytes(&self, ends: Ends) -> Result<Vec<u8>, BuildError> {
        let len = len16("UDP datagram", UdpHeader::LEN + self.payload.len())?;
        let header = UdpHeader {
            source_port: self.source_port,
            destination_port: self.destination_port,
            length: self.len.unwrap_or(len),
            checksum: 0,
        };
        let mut bytes = [&header.to_bytes(), &self.payload[..]].concat();
        let sum = ends.pseudo_header(IpNumber::UDP, bytes.len());
        self.checksum.seal_udp(&mut bytes, CHECKSUM, sum);
        Ok(bytes)
    }
}
