//! What the taps write: a head of fixed size, then the packet.

use std::net::IpAddr;
use std::ops::Range;

use crate::frame;
use crate::plan::{DeviceName, Joined, NodePlan};
use twinpath_node::{EtherType, Metadata, TunnelKey, Vlan};

/// Bytes of a record's head.
pub const HEAD: usize = 184;
/// Where the number of the tap stands.
pub const TAP: i16 = 0;
/// Not zero before the program runs, zero behind it.
pub const BEFORE: i16 = 4;
/// Where the program's return value stands.
pub const CODE: i16 = 8;
/// Where the index of the device stands that received the packet, at a far end or for a stack.
pub const IFINDEX: i16 = 12;
/// Where the packet's length stands.
pub const LENGTH: i16 = 16;
/// Where the number of program runs stands that had begun before this one.
pub const BEGUN_BEFORE: i16 = 20;
/// Where the number of program runs stands that had begun when this one was over.
pub const BEGUN: i16 = 24;
/// Where the protocol of the skb's VLAN tag stands, in network byte order.
pub const VLAN_PROTOCOL: i16 = 28;
/// Where the rest of the tag stands.
pub const VLAN_CONTROL: i16 = 30;
/// Not zero if the skb has a tag.
pub const VLAN_PRESENT: i16 = 32;
/// Where the skb's mark stands.
pub const MARK: i16 = 36;
/// Where the skb's priority stands.
pub const PRIORITY: i16 = 40;
/// Where the skb's `tc_index` stands.
pub const TC_INDEX: i16 = 44;
/// Where the five words of `cb` stand.
pub const CB: i16 = 48;
/// Where the results of `bpf_skb_get_tunnel_key` stand, for IPv4 and IPv6: zero where there was a key.
pub const TUNNEL_RESULTS: [i16; 2] = [72, 128];
/// Where the keys stand.
pub const TUNNEL_KEYS: [i16; 2] = [80, 136];
/// `sizeof(struct bpf_tunnel_key)`
pub const TUNNEL_KEY: i32 = 44;

/// The number of the tap at the far ends.
pub const FAR_END: u32 = u32::MAX;
/// The number of the tap behind that one: what comes there was not received, but put there
/// (`bpf_redirect_peer`).
pub const BEHIND_FAR_END: u32 = u32::MAX - 1;
/// The number of the taps in switches, which show that something is still under way.
pub const SWITCH: u32 = u32::MAX - 2;
/// The number of the tap before the stack of the first node; the next node has the next one.
pub const INTAKE: u32 = 1 << 31;

/// The longest packet that a record can hold: a perf record has a length of 16 bits.
pub const MAX_PACKET: usize = Joined::LONGEST;

/// A record of a tap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which tap wrote it.
    pub tap: u32,
    /// Whether the program is yet to run.
    pub before: bool,
    /// The program's return value.
    pub code: i32,
    /// At a far end or before a stack: the device that received the packet.
    pub ifindex: u32,
    /// Program runs that had begun before this one, and when it was over, this one and those inside it included.
    pub runs: Range<u32>,
    /// What the kernel keeps beside the packet, as the program left it. Of what arrives somewhere, the VLAN tag alone.
    pub metadata: Metadata,
    /// The packet as the program found or left it.
    pub packet: Vec<u8>,
}

impl Record {
    /// Reads a record from the bytes of a perf sample, which may be padded.
    pub fn parse(sample: &[u8]) -> Option<Self> {
        let head = Head(sample.first_chunk()?);
        let length = head.word(LENGTH) as usize;
        Some(Self {
            tap: head.word(TAP),
            before: head.word(BEFORE) != 0,
            code: head.word(CODE) as i32,
            ifindex: head.word(IFINDEX),
            runs: head.word(BEGUN_BEFORE)..head.word(BEGUN),
            metadata: head.metadata(),
            packet: sample.get(HEAD..HEAD + length)?.to_vec(),
        })
    }
}

impl Record {
    /// With its packet as recordings have those of a device.
    pub fn at(mut self, node: &NodePlan, device: &DeviceName) -> Self {
        let device = node.device(device);
        if device.is_some_and(|device| !device.kind.has_link_header()) {
            self.packet = frame::below_header(&self.packet);
        }
        self
    }
}

struct Head<'a>(&'a [u8; HEAD]);

impl Head<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|index| self.0[at + index])
    }

    fn word(&self, at: i16) -> u32 {
        u32::from_ne_bytes(self.bytes(at as usize))
    }

    fn metadata(&self) -> Metadata {
        let vlan = Vlan {
            protocol: EtherType::from_wire(self.bytes(VLAN_PROTOCOL as usize)),
            tci: u16::from_ne_bytes(self.bytes(VLAN_CONTROL as usize)),
        };
        Metadata {
            mark: self.word(MARK),
            priority: self.word(PRIORITY),
            tc_index: self.word(TC_INDEX) as u16,
            cb: self.bytes(CB as usize),
            vlan: (self.word(VLAN_PRESENT) != 0).then_some(vlan),
            tunnel: self.tunnel_ipv4().or_else(|| self.tunnel_ipv6()),
        }
    }

    fn tunnel_ipv4(&self) -> Option<TunnelKey> {
        self.tunnel(0, |at| {
            IpAddr::from(u32::from_ne_bytes(self.bytes(at)).to_be_bytes())
        })
    }

    fn tunnel_ipv6(&self) -> Option<TunnelKey> {
        self.tunnel(1, |at| IpAddr::from(self.bytes::<16>(at)))
    }

    /// What the helper calls remote is the source of the packet that came, and of one to be sent, too.
    fn tunnel(&self, family: usize, address: impl Fn(usize) -> IpAddr) -> Option<TunnelKey> {
        const REMOTE: usize = 4;
        const TOS: usize = 20;
        const TTL: usize = 21;
        const LABEL: i16 = 24;
        const LOCAL: usize = 28;
        let key = TUNNEL_KEYS[family] as usize;
        (self.word(TUNNEL_RESULTS[family]) == 1).then(|| TunnelKey {
            id: self.word(TUNNEL_KEYS[family]),
            source: address(key + REMOTE),
            destination: address(key + LOCAL),
            tos: self.0[key + TOS],
            ttl: self.0[key + TTL],
            label: self.word(TUNNEL_KEYS[family] + LABEL),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(words: &[(i16, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; HEAD];
        for (at, word) in words {
            let at = *at as usize;
            bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        bytes.extend([0xaa, 0xbb, 0, 0]);
        bytes
    }

    #[test]
    fn reads_a_head_and_a_padded_packet() {
        let mut bytes = sample(&[
            (TAP, 7),
            (CODE, -1i32 as u32),
            (IFINDEX, 3),
            (LENGTH, 2),
            (BEGUN_BEFORE, 4),
            (BEGUN, 6),
            (VLAN_PRESENT, 1),
            (MARK, 0xab),
            (TUNNEL_RESULTS[0], 1),
            (TUNNEL_KEYS[0], 9),
            (TUNNEL_KEYS[0] + 4, 0x0a00_0001),
        ]);
        bytes[VLAN_PROTOCOL as usize..][..2].copy_from_slice(&[0x81, 0]);
        bytes[VLAN_CONTROL as usize..][..2].copy_from_slice(&5u16.to_ne_bytes());
        let expected = Record {
            tap: 7,
            before: false,
            code: -1,
            ifindex: 3,
            runs: 4..6,
            metadata: Metadata {
                mark: 0xab,
                vlan: Some(Vlan {
                    protocol: EtherType::VLAN,
                    tci: 5,
                }),
                tunnel: Some(TunnelKey {
                    id: 9,
                    source: IpAddr::from([10, 0, 0, 1]),
                    destination: IpAddr::from([0, 0, 0, 0]),
                    tos: 0,
                    ttl: 0,
                    label: 0,
                }),
                ..Metadata::default()
            },
            packet: vec![0xaa, 0xbb],
        };
        assert_eq!(Record::parse(&bytes), Some(expected));
        let untagged = Record::parse(&sample(&[(LENGTH, 2)])).unwrap();
        assert_eq!(untagged.metadata, Metadata::default());
        assert_eq!(Record::parse(&sample(&[(LENGTH, 5)])), None);
        assert_eq!(Record::parse(&[]), None);
    }
}
