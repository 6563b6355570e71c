//! Frames to send.

use std::net::IpAddr;

use twinpath_node::Mac;

/// An Ethernet frame.
pub fn ethernet(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to.0[..], &from.0, &kind.to_be_bytes(), payload].concat()
}

/// An IP packet in a frame: what follows the IP header is `payload`.
#[derive(Debug, Clone)]
pub struct Packet {
    pub to: Mac,
    pub from: Mac,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub ttl: u8,
    pub tos: u8,
    pub id: u16,
    /// Flags and offset of an IPv4 packet.
    pub fragment: u16,
    /// IPv4 options, or an IPv6 extension header with its next header.
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

pub const DONT_FRAGMENT: u16 = 0x4000;
pub const MORE_FRAGMENTS: u16 = 0x2000;

impl Packet {
    pub fn new(source: &str, destination: &str, protocol: u8, payload: Vec<u8>) -> Self {
        Self {
            to: Mac([2, 0, 0, 0, 0, 0]),
            from: super::net::host(1),
            source: super::net::ip(source),
            destination: super::net::ip(destination),
            protocol,
            ttl: 64,
            tos: 0,
            id: 0x1234,
            fragment: 0,
            options: Vec::new(),
            payload,
        }
    }

    /// A UDP datagram.
    pub fn udp(source: &str, destination: &str, ports: (u16, u16), data: &[u8]) -> Self {
        let mut payload = Vec::new();
        payload.extend_from_slice(&ports.0.to_be_bytes());
        payload.extend_from_slice(&ports.1.to_be_bytes());
        payload.extend_from_slice(&(8 + data.len() as u16).to_be_bytes());
        payload.extend_from_slice(&[0, 0]);
        payload.extend_from_slice(data);
        Self::new(source, destination, 17, payload).summed(6)
    }

    /// A TCP segment.
    pub fn tcp(source: &str, destination: &str, ports: (u16, u16), flags: u8, data: &[u8]) -> Self {
        let mut payload = Vec::new();
        payload.extend_from_slice(&ports.0.to_be_bytes());
        payload.extend_from_slice(&ports.1.to_be_bytes());
        payload.extend_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 5 << 4, flags, 16, 0, 0, 0, 0, 0]);
        payload.extend_from_slice(data);
        Self::new(source, destination, 6, payload).summed(16)
    }

    /// An echo request.
    pub fn ping(source: &str, destination: &str, len: usize) -> Self {
        let ipv6 = destination.contains(':');
        let (kind, protocol) = if ipv6 { (128, 58) } else { (8, 1) };
        let mut payload = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1];
        payload.extend((0..len).map(|byte| byte as u8));
        Self::new(source, destination, protocol, payload).summed(2)
    }

    /// Fills in the checksum at a place in the payload.
    pub fn summed(mut self, at: usize) -> Self {
        self.payload[at..at + 2].fill(0);
        let seed = match self.protocol {
            1 => 0,
            _ => self.pseudo_header(),
        };
        let sum = match !fold(sum(&self.payload, seed)) {
            0 if self.protocol == 17 => 0xffff,
            sum => sum,
        };
        self.payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        self
    }

    /// Puts the sum of the pseudo-header where the checksum goes, for a device to go on from.
    pub fn half_summed(mut self, at: usize) -> Self {
        let sum = fold(self.pseudo_header());
        self.payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        self
    }

    fn pseudo_header(&self) -> u64 {
        let len = self.payload.len() as u64;
        let octets = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let addresses = [octets(self.source), octets(self.destination)].concat();
        sum(&addresses, len + u64::from(self.protocol))
    }

    /// The IP packet.
    pub fn packet(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let len = 20 + self.options.len();
                let total = (len + self.payload.len()) as u16;
                bytes.extend_from_slice(&[0x40 | (len / 4) as u8, self.tos]);
                bytes.extend_from_slice(&total.to_be_bytes());
                bytes.extend_from_slice(&self.id.to_be_bytes());
                bytes.extend_from_slice(&self.fragment.to_be_bytes());
                bytes.extend_from_slice(&[self.ttl, self.protocol, 0, 0]);
                bytes.extend_from_slice(&source.octets());
                bytes.extend_from_slice(&destination.octets());
                bytes.extend_from_slice(&self.options);
                let check = !fold(sum(&bytes, 0));
                bytes[10..12].copy_from_slice(&check.to_be_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let len = (self.options.len() + self.payload.len()) as u16;
                let word = 6u32 << 28 | u32::from(self.tos) << 20;
                bytes.extend_from_slice(&word.to_be_bytes());
                bytes.extend_from_slice(&len.to_be_bytes());
                // The caller's extension header says what follows it.
                let next = match self.options.first() {
                    Some(_) => self.id as u8,
                    None => self.protocol,
                };
                bytes.extend_from_slice(&[next, self.ttl]);
                bytes.extend_from_slice(&source.octets());
                bytes.extend_from_slice(&destination.octets());
                bytes.extend_from_slice(&self.options);
            }
            _ => panic!("addresses of two families"),
        }
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    pub fn frame(&self) -> Vec<u8> {
        let kind = if self.destination.is_ipv4() {
            0x0800
        } else {
            0x86dd
        };
        ethernet(self.to, self.from, kind, &self.packet())
    }

    /// The pieces of an IPv4 packet, none with more than `step` bytes of payload, a multiple of 8.
    pub fn pieces(&self, step: usize) -> Vec<Self> {
        let count = self.payload.len().div_ceil(step);
        let pieces = self.payload.chunks(step).enumerate();
        pieces
            .map(|(number, payload)| Self {
                fragment: (number * step / 8) as u16
                    | if number + 1 == count {
                        0
                    } else {
                        MORE_FRAGMENTS
                    },
                payload: payload.to_vec(),
                ..self.clone()
            })
            .collect()
    }
}

fn sum(bytes: &[u8], seed: u64) -> u64 {
    let pairs = bytes.chunks(2);
    pairs.fold(seed, |sum, pair| {
        sum + u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]))
    })
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Fills in a checksum as a device does.
pub fn fill(frame: &mut [u8], start: usize, offset: usize) {
    let value = match !fold(sum(&frame[start..], 0)) {
        0 => 0xffff,
        value => value,
    };
    frame[start + offset..start + offset + 2].copy_from_slice(&value.to_be_bytes());
}

/// Fills in the checksum of an IPv4 header in a frame.
pub fn fill_header(frame: &mut [u8], at: usize) {
    let len = usize::from(frame[at] & 0xf) * 4;
    frame[at + 10..at + 12].fill(0);
    let check = !fold(sum(&frame[at..at + len], 0));
    frame[at + 10..at + 12].copy_from_slice(&check.to_be_bytes());
}
