//! From one header to the next, down to the payload.

use std::ops::Range;

use super::checksum::Covered;
use super::field::{ChecksumState, Field, Protocol};
use super::{arp, ethernet, icmp, icmpv6, ipv4, ipv6, render, tcp, udp};

/// Headers that are followed; what lies deeper is payload. More than any tunnel nests.
const MAX_LAYERS: usize = 32;

/// What comes next, and where.
pub(super) enum Next {
    /// An Ethernet frame.
    Frame(Range<usize>),
    /// What an EtherType tells, in the frame of the header `owner`.
    EtherType {
        ether_type: u16,
        range: Range<usize>,
        owner: Layer,
    },
    /// What an IP header's protocol number tells.
    Protocol {
        number: u8,
        range: Range<usize>,
        over: Over,
    },
    /// Bytes that no header claims.
    Payload(Range<usize>),
    /// Nothing: the header took everything.
    Nothing,
}

/// The IP header that a transport header stands in.
#[derive(Clone)]
pub(super) struct Over {
    pub version: Version,
    pub layer: Layer,
    pub covered: Covered,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// A header of the frame, which may own bytes behind what follows it.
#[derive(Clone, Copy)]
pub(super) struct Layer {
    pub protocol: Protocol,
    pub index: usize,
    pub nth: usize,
}

/// A dissection under way.
pub(super) struct Walk<'a> {
    frame: &'a [u8],
    fields: Vec<Field>,
    layers: Vec<Protocol>,
}

impl<'a> Walk<'a> {
    /// All fields of `frame`, in the order of their bits.
    pub fn over(frame: &'a [u8]) -> Vec<Field> {
        let mut walk = Walk {
            frame,
            fields: Vec::new(),
            layers: Vec::new(),
        };
        let mut next = Next::Frame(0..frame.len());
        loop {
            next = match (next, walk.layers.len()) {
                (Next::Nothing, _) => break,
                (next, MAX_LAYERS) => walk.payload(next.range()),
                (next, _) => walk.step(next),
            };
        }
        walk.fields.sort_by_key(|field| field.bits.start);
        walk.fields
    }

    fn step(&mut self, next: Next) -> Next {
        match next {
            Next::Frame(range) => ethernet::frame(self, range),
            Next::EtherType {
                ether_type,
                range,
                owner,
            } => match ether_type {
                0x8100 | 0x88a8 | 0x9100 => ethernet::vlan(self, range, owner),
                0x0800 => ipv4::header(self, range, owner),
                0x86dd => ipv6::header(self, range, owner),
                0x0806 => arp::packet(self, range, owner),
                _ => self.payload(range),
            },
            Next::Protocol {
                number,
                range,
                over,
            } => self.protocol(number, range, over),
            Next::Payload(range) => self.payload(range),
            Next::Nothing => Next::Nothing,
        }
    }

    fn protocol(&mut self, number: u8, range: Range<usize>, over: Over) -> Next {
        match (number, over.version) {
            (0 | 43 | 44 | 60, Version::V6) => ipv6::extension(self, number, range, over),
            (51, _) => ipv6::authentication(self, range, over),
            (1, Version::V4) => icmp::message(self, range, over),
            (58, Version::V6) => icmpv6::message(self, range, over),
            (6, _) => tcp::segment(self, range, over),
            (17, _) => udp::datagram(self, range, over),
            (4, _) => ipv4::header(self, range, over.layer),
            (41, _) => ipv6::header(self, range, over.layer),
            _ => self.payload(range),
        }
    }

    fn payload(&mut self, range: Range<usize>) -> Next {
        if range.is_empty() {
            return Next::Nothing;
        }
        let mut header = self.header(Protocol::Payload, range);
        header.opaque_rest("payload");
        Next::Nothing
    }

    /// Begins a header, which lies in `range` and may leave some of it.
    pub fn header(&mut self, protocol: Protocol, range: Range<usize>) -> Header<'_, 'a> {
        let nth = 1 + self.layers.iter().filter(|it| **it == protocol).count();
        let layer = Layer {
            protocol,
            index: self.layers.len(),
            nth,
        };
        self.layers.push(protocol);
        Header {
            walk: self,
            layer,
            range,
            bits: 0,
        }
    }

    /// The bytes of `range` lie behind all that `owner` tells the length of.
    pub fn trailer(&mut self, owner: Layer, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let value = render::opaque(&self.frame[range.clone()]);
        let field = Field {
            protocol: owner.protocol,
            nth: owner.nth,
            name: owner.protocol.trailer(),
            bits: range.start * 8..range.end * 8,
            value,
            checksum: None,
            layer: owner.index,
            opaque: true,
        };
        self.fields.push(field);
    }

    pub fn bytes(&self, range: Range<usize>) -> &'a [u8] {
        &self.frame[range]
    }
}

impl Next {
    fn range(self) -> Range<usize> {
        match self {
            Self::Frame(range) | Self::Payload(range) => range,
            Self::EtherType { range, .. } | Self::Protocol { range, .. } => range,
            Self::Nothing => 0..0,
        }
    }
}

/// A header whose fields are being named, from its first bit on.
pub(super) struct Header<'w, 'a> {
    walk: &'w mut Walk<'a>,
    pub layer: Layer,
    range: Range<usize>,
    bits: usize,
}

impl<'a> Header<'_, 'a> {
    /// Are there `len` bytes from the start of the header on?
    pub fn has(&self, len: usize) -> bool {
        len <= self.range.len()
    }

    /// The whole range that the header lies in.
    pub fn all(&self) -> &'a [u8] {
        self.walk.bytes(self.range.clone())
    }

    /// Where the header and what may follow it lie.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// What is not named yet.
    pub fn rest(&self) -> Range<usize> {
        self.range.start + self.bits / 8..self.range.end
    }

    /// The next `bits` bits, at most 64 of them, which [`Header::has`] said are there.
    fn take(&mut self, bits: usize) -> (Range<usize>, u64) {
        let start = self.range.start * 8 + self.bits;
        self.bits += bits;
        let value = (start..start + bits).fold(0, |value, bit| {
            let set = self.walk.frame[bit / 8] >> (7 - bit % 8) & 1;
            value << 1 | u64::from(set)
        });
        (start..start + bits, value)
    }

    fn push(
        &mut self,
        name: &'static str,
        bits: Range<usize>,
        value: String,
        checksum: Option<ChecksumState>,
        opaque: bool,
    ) {
        self.walk.fields.push(Field {
            protocol: self.layer.protocol,
            nth: self.layer.nth,
            name,
            bits,
            value,
            checksum,
            layer: self.layer.index,
            opaque,
        });
    }

    /// A number of `bits` bits.
    pub fn number(&mut self, name: &'static str, bits: usize) -> u64 {
        self.number_as(name, bits, |value| value.to_string())
    }

    /// A number of `bits` bits, shown in another way.
    pub fn number_as(
        &mut self,
        name: &'static str,
        bits: usize,
        show: impl FnOnce(u64) -> String,
    ) -> u64 {
        let (bits, value) = self.take(bits);
        self.push(name, bits, show(value), None, false);
        value
    }

    /// A checksum of 16 bits.
    pub fn checksum(&mut self, name: &'static str, state: ChecksumState) {
        let (bits, value) = self.take(16);
        let value = format!("{value:#06x} {state}");
        self.push(name, bits, value, Some(state), false);
    }

    /// `len` bytes, or as many as there are.
    pub fn bytes_as(
        &mut self,
        name: &'static str,
        len: usize,
        show: impl FnOnce(&[u8]) -> String,
    ) -> &'a [u8] {
        let rest = self.rest();
        let range = rest.start..rest.start.saturating_add(len).min(rest.end);
        let bytes = self.walk.bytes(range.clone());
        self.bits += bytes.len() * 8;
        if !bytes.is_empty() {
            let bits = range.start * 8..range.end * 8;
            self.push(name, bits, show(bytes), None, false);
        }
        bytes
    }

    /// An address or another `N` bytes.
    pub fn array<const N: usize>(
        &mut self,
        name: &'static str,
        show: impl FnOnce([u8; N]) -> String,
    ) -> [u8; N] {
        let mut array = [0; N];
        self.bytes_as(name, N, |bytes| {
            array[..bytes.len()].copy_from_slice(bytes);
            show(array)
        });
        array
    }

    /// All the rest, without a structure.
    pub fn opaque_rest(&mut self, name: &'static str) {
        let range = self.rest();
        if !range.is_empty() {
            let value = render::opaque(self.walk.bytes(range.clone()));
            self.bits = self.range.len() * 8;
            self.push(name, range.start * 8..range.end * 8, value, None, true);
        }
    }

    /// The header is cut short or impossible: what is left of it has no structure.
    pub fn truncated(mut self) -> Next {
        self.opaque_rest(self.layer.protocol.truncated());
        Next::Nothing
    }

    /// The walk, for what comes after the header.
    pub fn walk(&mut self) -> &mut Walk<'a> {
        self.walk
    }
}
