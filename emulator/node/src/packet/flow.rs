//! Which flow a packet belongs to (`net/core/flow_dissector.c`, as far as hashes need it).

use twinpath_machine::memory::Memory;

use super::{EtherType, Hash, Skb};

/// What makes two packets one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Flow {
    protocol: u8,
    /// The lower of both ends first, so that both directions are one flow.
    ends: [End; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct End {
    address: [u8; 16],
    port: [u8; 2],
}

/// The hash of an skb's flow: the same for both directions and on each host, never 0.
///
/// The kernel keys its hash with a number that it draws at boot, so that no two boots agree; only what
/// has the same hash is the same here and there.
pub(crate) fn hash(skb: &Skb, memory: &Memory) -> Hash {
    let start = skb.network_offset().max(0) as u32;
    let bytes = skb.frame.bytes(memory).get(start as usize..);
    let protocol = skb.protocol_behind_tags(memory);
    let flow = Flow::of(protocol, bytes.unwrap_or_default());
    Hash {
        value: flow.unwrap_or_default().hash(),
        known: true,
    }
}

/// The hash of the flow of a frame that begins with an Ethernet header.
pub(crate) fn hash_frame(frame: &[u8]) -> u32 {
    let mut at = 12;
    while let Some(&[high, low]) = frame.get(at..at + 2) {
        let protocol = EtherType::from_wire([high, low]);
        if !protocol.is_vlan() {
            let payload = frame.get(at + 2..).unwrap_or_default();
            return Flow::of(protocol, payload).unwrap_or_default().hash();
        }
        at += 4;
    }
    Flow::default().hash()
}

impl Flow {
    fn of(protocol: EtherType, bytes: &[u8]) -> Option<Self> {
        let (protocol, ends, payload) = match protocol {
            EtherType::IPV4 => ipv4(bytes)?,
            EtherType::IPV6 => ipv6(bytes)?,
            _ => return None,
        };
        let mut ends = ends.map(|address| End {
            address,
            port: [0; 2],
        });
        if let (true, Some(&[a, b, c, d])) = (has_ports(protocol), payload.get(..4)) {
            ends[0].port = [a, b];
            ends[1].port = [c, d];
        }
        ends.sort_unstable();
        Some(Self { protocol, ends })
    }

    /// FNV-1a, whose halves are folded.
    fn hash(&self) -> u32 {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let [a, b] = &self.ends;
        let bytes = a.address.iter().chain(&a.port).chain(&b.address);
        let bytes = bytes.chain(&b.port).chain(std::iter::once(&self.protocol));
        let hash = bytes.fold(OFFSET, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
        });
        ((hash >> 32) as u32 ^ hash as u32).max(1)
    }
}

type Dissected<'a> = (u8, [[u8; 16]; 2], &'a [u8]);

fn ipv4(bytes: &[u8]) -> Option<Dissected<'_>> {
    const FRAGMENT: u16 = 0x3fff;
    let header: &[u8; 20] = bytes.first_chunk()?;
    let len = usize::from(header[0] & 0xf) * 4;
    let address = |at: usize| {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&header[at..at + 4]);
        address
    };
    let fragment = u16::from_be_bytes([header[6], header[7]]) & FRAGMENT != 0;
    let payload = if fragment { None } else { bytes.get(len..) };
    let ends = [address(12), address(16)];
    Some((header[9], ends, payload.unwrap_or_default()))
}

fn ipv6(bytes: &[u8]) -> Option<Dissected<'_>> {
    let header: &[u8; 40] = bytes.first_chunk()?;
    let address = |at: usize| {
        let mut address = [0; 16];
        address.copy_from_slice(&header[at..at + 16]);
        address
    };
    Some((header[6], [address(8), address(24)], &bytes[40..]))
}

/// Protocols whose header begins with two ports (`skb_flow_get_ports`).
const fn has_ports(protocol: u8) -> bool {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const DCCP: u8 = 33;
    const SCTP: u8 = 132;
    const UDP_LITE: u8 = 136;
    matches!(protocol, TCP | UDP | DCCP | SCTP | UDP_LITE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(from: u16, to: u16) -> Vec<u8> {
        let mut frame = vec![0; 42];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[23] = 17;
        frame[29] = 1;
        frame[33] = 2;
        frame[34..36].copy_from_slice(&from.to_be_bytes());
        frame[36..38].copy_from_slice(&to.to_be_bytes());
        frame
    }

    #[test]
    fn both_directions_are_one_flow_and_ports_tell_flows_apart() {
        let forth = udp(1000, 53);
        let mut back = udp(53, 1000);
        back.swap(29, 33);
        assert_eq!(hash_frame(&forth), hash_frame(&back));
        assert_ne!(hash_frame(&forth), hash_frame(&udp(1001, 53)));
    }

    #[test]
    fn a_tag_does_not_change_the_flow() {
        let plain = udp(1, 2);
        let mut tagged = plain.clone();
        tagged.splice(12..12, [0x81, 0, 0, 5]);
        assert_eq!(hash_frame(&plain), hash_frame(&tagged));
    }
}
