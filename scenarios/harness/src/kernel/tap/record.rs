//! What the taps write: a head of fixed size, then the packet.

use std::ops::Range;

use crate::kernel::sys::packet::VlanTag;

/// Bytes of a record's head. The stack of a tap counts against the stack of the program that it calls, in steps
/// of 32 bytes, so this is as long as it can be for that price.
pub const HEAD: usize = 32;
/// Where the number of the tap stands.
pub const TAP: i16 = 0;
/// Where the program's return value stands.
pub const CODE: i16 = 4;
/// Where the index of the device stands that received the packet, at a far end or for a stack.
pub const IFINDEX: i16 = 8;
/// Where the packet's length stands.
pub const LENGTH: i16 = 12;
/// Where the protocol of the skb's VLAN tag stands, in network byte order.
pub const VLAN_PROTOCOL: i16 = 16;
/// Where the rest of the tag stands.
pub const VLAN_CONTROL: i16 = 18;
/// Not zero if the skb has a tag.
pub const VLAN_PRESENT: i16 = 20;
/// Where the number of program runs stands that had begun before this one.
pub const BEGUN_BEFORE: i16 = 24;
/// Where the number of program runs stands that had begun when this one was over.
pub const BEGUN: i16 = 28;

/// The number of the tap at the far ends.
pub const FAR_END: u32 = u32::MAX;
/// The number of the tap behind that one: what comes there was not received, but put there
/// (`bpf_redirect_peer`).
pub const BEHIND_FAR_END: u32 = u32::MAX - 1;
/// The number of the tap before the stack of the first node; the next node has the next one.
pub const INTAKE: u32 = 1 << 31;

/// The longest packet that a record can hold: a perf record has a length of 16 bits.
pub const MAX_PACKET: usize = 0xff00;

/// A record of a tap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which tap wrote it.
    pub tap: u32,
    /// The program's return value.
    pub code: i32,
    /// At a far end or before a stack: the device that received the packet.
    pub ifindex: u32,
    /// Program runs that had begun before this one, and when it was over, this one and those inside it included.
    pub runs: Range<u32>,
    /// The VLAN tag that an skb carried beside its data.
    pub tag: Option<VlanTag>,
    /// The packet as the program left it.
    pub packet: Vec<u8>,
}

impl Record {
    /// Reads a record from the bytes of a perf sample, which may be padded.
    pub fn parse(sample: &[u8]) -> Option<Self> {
        let word = |at: i16| {
            let bytes = sample.get(at as usize..)?.first_chunk()?;
            Some(u32::from_ne_bytes(*bytes))
        };
        let half = |at: i16| sample.get(at as usize..)?.first_chunk().copied();
        let tag = VlanTag {
            protocol: u16::from_be_bytes(half(VLAN_PROTOCOL)?),
            control: u16::from_ne_bytes(half(VLAN_CONTROL)?),
        };
        let length = word(LENGTH)? as usize;
        Some(Self {
            tap: word(TAP)?,
            code: word(CODE)? as i32,
            ifindex: word(IFINDEX)?,
            runs: word(BEGUN_BEFORE)?..word(BEGUN)?,
            tag: (word(VLAN_PRESENT)? != 0).then_some(tag),
            packet: sample.get(HEAD..HEAD + length)?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(present: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [7u32, -1i32 as u32, 3, 2] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend([0x81, 0]);
        bytes.extend(5u16.to_ne_bytes());
        bytes.extend(present.to_ne_bytes());
        bytes.extend([4u32, 6].map(u32::to_ne_bytes).concat());
        bytes.extend([0xaa, 0xbb, 0, 0]);
        bytes
    }

    #[test]
    fn reads_a_head_and_a_padded_packet() {
        let tag = VlanTag {
            protocol: 0x8100,
            control: 5,
        };
        let expected = Record {
            tap: 7,
            code: -1,
            ifindex: 3,
            runs: 4..6,
            tag: Some(tag),
            packet: vec![0xaa, 0xbb],
        };
        assert_eq!(Record::parse(&sample(1)), Some(expected));
        assert_eq!(Record::parse(&sample(0)).unwrap().tag, None);
        assert_eq!(Record::parse(&sample(1)[..33]), None);
        assert_eq!(Record::parse(&[]), None);
    }
}
