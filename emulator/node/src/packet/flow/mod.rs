//! Which flow a packet belongs to (`net/core/flow_dissector.c`, as far as hashes need it).

use twinpath_machine::memory::Memory;

use super::{EtherType, Hash, Skb, Vlan};

/// Headers that are looked at (`MAX_FLOW_DISSECT_HDRS`).
const MAX_HEADERS: usize = 15;

/// What makes two packets one flow (`struct flow_keys`, as far as `flow_keys_dissector` fills it in).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Flow {
    protocol: EtherType,
    ip_protocol: u8,
    label: u32,
    vlan: VlanKey,
    /// The key of a GRE header.
    key: [u8; 4],
    /// The lower one first, so that both directions are one flow.
    ports: [[u8; 2]; 2],
    ends: Ends,
}

/// The outermost VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct VlanKey {
    /// Priority and identifier.
    tci: u16,
    protocol: EtherType,
    inner: EtherType,
}

/// Both addresses, the lower one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ends {
    #[default]
    None,
    V4([[u8; 4]; 2]),
    V6([[u8; 16]; 2]),
}

/// The hash of an skb's flow: the same for both directions and on each host, never 0.
///
/// The kernel keys its hash with a number that it draws at boot, so that no two boots agree; only what
/// has the same hash is the same here and there.
pub(crate) fn hash(skb: &Skb, memory: &Memory) -> Hash {
    let mut dissector = Dissector {
        bytes: skb.frame.bytes(memory),
        at: skb.network_offset().max(0) as usize,
        flow: Flow::default(),
        tagged: false,
    };
    if let Some(vlan) = skb.vlan {
        dissector.tag(vlan, skb.protocol);
    }
    Hash {
        value: dissector.dissect(skb.protocol).hash(),
        known: true,
    }
}

/// The hash of the flow of a frame that begins with an Ethernet header, whatever its tags.
pub(crate) fn hash_frame(frame: &[u8]) -> u32 {
    let mut at = 12;
    while let Some(&[high, low]) = frame.get(at..at + 2) {
        at += 2;
        let protocol = EtherType::from_wire([high, low]);
        if !protocol.is_vlan() {
            let dissector = Dissector {
                bytes: frame,
                at,
                flow: Flow::default(),
                tagged: true,
            };
            return dissector.dissect(protocol).hash();
        }
        at += 2;
    }
    Flow::default().hash()
}

/// What follows a header.
enum Next {
    /// A header of this EtherType.
    Network(EtherType),
    /// A header of this IP protocol.
    Transport,
    /// Nothing that is looked at.
    End,
}

/// A walk over the headers (`__skb_flow_dissect`).
struct Dissector<'a> {
    bytes: &'a [u8],
    at: usize,
    flow: Flow,
    /// Whether a tag has been seen.
    tagged: bool,
}

impl Dissector<'_> {
    fn header<const N: usize>(&self, at: usize) -> Option<&[u8; N]> {
        self.bytes.get(at..)?.first_chunk()
    }

    fn dissect(mut self, protocol: EtherType) -> Flow {
        self.flow.protocol = protocol;
        let mut next = Next::Network(protocol);
        let mut headers = 0;
        loop {
            let (after, network) = match next {
                Next::End => return self.flow,
                Next::Network(protocol) => (self.network(protocol), true),
                Next::Transport => (self.transport(), false),
            };
            // A header that is cut off ends the walk as well.
            let after = after.unwrap_or(Next::End);
            if let Next::Network(protocol) = after {
                self.flow.protocol = protocol;
            }
            // A network header and the protocol behind it count as one.
            if !(network && matches!(after, Next::Transport)) {
                headers += 1;
            }
            if headers > MAX_HEADERS {
                return self.flow;
            }
            next = after;
        }
    }

    fn tag(&mut self, vlan: Vlan, inner: EtherType) {
        /// All but the drop eligibility.
        const KEPT: u16 = 0xefff;
        if !std::mem::replace(&mut self.tagged, true) {
            self.flow.vlan = VlanKey {
                tci: vlan.tci & KEPT,
                protocol: vlan.protocol,
                inner,
            };
        }
    }

    fn network(&mut self, protocol: EtherType) -> Option<Next> {
        match protocol {
            EtherType::IPV4 => self.ipv4(),
            EtherType::IPV6 => self.ipv6(),
            EtherType::VLAN | EtherType::SERVICE_VLAN => {
                let &[a, b, c, d] = self.header(self.at)?;
                self.at += 4;
                let inner = EtherType::from_wire([c, d]);
                let tci = u16::from_be_bytes([a, b]);
                self.tag(Vlan { protocol, tci }, inner);
                Some(Next::Network(inner))
            }
            EtherType::PPPOE_SESSION => self.pppoe(),
            _ => Some(Next::End),
        }
    }

    fn ipv4(&mut self) -> Option<Next> {
        const FRAGMENT: u16 = 0x3fff;
        let &header: &[u8; 20] = self.header(self.at)?;
        let words = usize::from(header[0] & 0xf);
        if words < 5 {
            return None;
        }
        self.at += words * 4;
        self.flow.ip_protocol = header[9];
        let address = |at| std::array::from_fn(|byte| header[at + byte]);
        let mut ends = [address(12), address(16)];
        ends.sort_unstable();
        self.flow.ends = Ends::V4(ends);
        let fragment = u16::from_be_bytes([header[6], header[7]]) & FRAGMENT != 0;
        Some(if fragment { Next::End } else { Next::Transport })
    }

    fn ipv6(&mut self) -> Option<Next> {
        let &header: &[u8; 40] = self.header(self.at)?;
        self.at += 40;
        self.flow.ip_protocol = header[6];
        let address = |at| std::array::from_fn(|byte| header[at + byte]);
        let mut ends = [address(8), address(24)];
        ends.sort_unstable();
        self.flow.ends = Ends::V6(ends);
        let label = u32::from_be_bytes([0, header[1] & 0xf, header[2], header[3]]);
        // The sender's label stands for the ports (FLOW_DISSECTOR_F_STOP_AT_FLOW_LABEL).
        if label != 0 {
            self.flow.label = label;
            return Some(Next::End);
        }
        Some(Next::Transport)
    }

    fn pppoe(&mut self) -> Option<Next> {
        const VERSION_AND_TYPE: u8 = 0x11;
        let &[kind, code, .., high, low] = self.header::<8>(self.at)?;
        if kind != VERSION_AND_TYPE || code != 0 {
            return None;
        }
        // The protocol's first byte may be left out.
        let protocol = if high & 1 != 0 {
            self.at += 7;
            u16::from(high)
        } else {
            self.at += 8;
            u16::from_be_bytes([high, low])
        };
        Some(ppp(protocol).map_or(Next::End, Next::Network))
    }

    fn transport(&mut self) -> Option<Next> {
        const GRE: u8 = 47;
        const IPV4: u8 = 4;
        const IPV6: u8 = 41;
        const HOP_BY_HOP: u8 = 0;
        const ROUTING: u8 = 43;
        const FRAGMENT: u8 = 44;
        const DESTINATION: u8 = 60;
        const MPLS: u8 = 137;
        let in_ipv6 = self.flow.protocol == EtherType::IPV6;
        match self.flow.ip_protocol {
            GRE => self.gre(),
            HOP_BY_HOP | ROUTING | DESTINATION if in_ipv6 => {
                let &[next, len] = self.header(self.at)?;
                self.flow.ip_protocol = next;
                self.at += (usize::from(len) + 1) * 8;
                Some(Next::Transport)
            }
            FRAGMENT if in_ipv6 => {
                let &[next, ..] = self.header::<8>(self.at)?;
                self.flow.ip_protocol = next;
                Some(Next::End)
            }
            IPV4 => Some(Next::Network(EtherType::IPV4)),
            IPV6 => Some(Next::Network(EtherType::IPV6)),
            MPLS => Some(Next::Network(EtherType::MPLS)),
            protocol => {
                self.ports(protocol);
                Some(Next::End)
            }
        }
    }

    /// Protocols whose header has two ports, or what stands for them (`skb_flow_get_ports`).
    fn ports(&mut self, protocol: u8) {
        const TCP: u8 = 6;
        const UDP: u8 = 17;
        const DCCP: u8 = 33;
        const ESP: u8 = 50;
        const AH: u8 = 51;
        const SCTP: u8 = 132;
        const UDP_LITE: u8 = 136;
        let offset = match protocol {
            TCP | UDP | DCCP | ESP | SCTP | UDP_LITE => 0,
            AH => 4,
            _ => return,
        };
        if let Some(&[a, b, c, d]) = self.header(self.at + offset) {
            self.flow.ports = [[a, b], [c, d]];
            self.flow.ports.sort_unstable();
        }
    }

    /// `__skb_flow_dissect_gre`
    fn gre(&mut self) -> Option<Next> {
        const CSUM: u16 = 0x8000;
        const ROUTING: u16 = 0x4000;
        const KEY: u16 = 0x2000;
        const SEQ: u16 = 0x1000;
        const ACK: u16 = 0x0080;
        const VERSION: u16 = 0x0007;
        const PPTP: EtherType = EtherType(0x880b);
        let &[a, b, c, d] = self.header(self.at)?;
        let flags = u16::from_be_bytes([a, b]);
        let version = flags & VERSION;
        if flags & ROUTING != 0 || version > 1 {
            return Some(Next::End);
        }
        let mut protocol = EtherType::from_wire([c, d]);
        // What ends here is what the header says.
        self.flow.protocol = protocol;
        if version == 1 && (protocol != PPTP || flags & KEY == 0) {
            return Some(Next::End);
        }
        let mut at = self.at + 4;
        if flags & CSUM != 0 {
            at += 4;
        }
        if flags & KEY != 0 {
            let &[a, b, c, d] = self.header(at)?;
            self.flow.key = if version == 0 {
                [a, b, c, d]
            } else {
                [0, 0, c, d]
            };
            at += 4;
        }
        if flags & SEQ != 0 {
            at += 4;
        }
        if version == 1 {
            if flags & ACK != 0 {
                at += 4;
            }
            let &[_, _, high, low] = self.header(at)?;
            protocol = ppp(u16::from_be_bytes([high, low])).unwrap_or(protocol);
            at += 4;
        } else if protocol == EtherType::ETHERNET {
            let &[.., high, low] = self.header::<14>(at)?;
            protocol = EtherType::from_wire([high, low]);
            at += 14;
        }
        self.at = at;
        Some(Next::Network(protocol))
    }
}

/// What a PPP frame of a protocol carries.
const fn ppp(protocol: u16) -> Option<EtherType> {
    match protocol {
        0x0021 => Some(EtherType::IPV4),
        0x0057 => Some(EtherType::IPV6),
        0x0281 => Some(EtherType::MPLS),
        _ => None,
    }
}

impl Flow {
    /// FNV-1a, whose halves are folded.
    fn hash(&self) -> u32 {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let mix = |hash: u64, bytes: &[u8]| {
            let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
            bytes.iter().fold(hash, step)
        };
        let mut hash = mix(OFFSET, &self.protocol.to_wire());
        hash = mix(hash, &[self.ip_protocol]);
        hash = mix(hash, &self.label.to_be_bytes());
        hash = mix(hash, &self.vlan.tci.to_be_bytes());
        hash = mix(hash, &self.vlan.protocol.to_wire());
        hash = mix(hash, &self.vlan.inner.to_wire());
        hash = mix(hash, &self.key);
        hash = mix(hash, self.ports.as_flattened());
        hash = match &self.ends {
            Ends::None => hash,
            Ends::V4(ends) => mix(hash, ends.as_flattened()),
            Ends::V6(ends) => mix(hash, ends.as_flattened()),
        };
        ((hash >> 32) as u32 ^ hash as u32).max(1)
    }
}

#[cfg(test)]
mod tests;
