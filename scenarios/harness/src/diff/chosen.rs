//! Numbers that the network stacks of nodes choose, blanked before frames are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use twinpath_node::{Prefix, RouteKind};

use crate::plan::{DeviceKind, Plan};

use super::rule::Rule;

/// Whose numbers are chosen by a stack: those of packets from the addresses of a plan's nodes.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    own: BTreeSet<IpAddr>,
    /// UDP ports of tunnels.
    tunnels: BTreeSet<u16>,
    /// Ports that sockets were given, and what stands for each.
    ports: BTreeMap<u16, u16>,
    /// The numbers of first bytes that TCP has drawn, in the order of their connections.
    sequences: Vec<u32>,
}

const IPIP_NUMBER: u8 = 4;
const TCP_NUMBER: u8 = 6;
const UDP_NUMBER: u8 = 17;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
const VXLAN: usize = 8;
const FRAGMENT: usize = 8;
/// ICMP of both versions, up to the packet that an error is about.
const ICMP: usize = 8;
const BLANK: [u8; 2] = [0xff, 0xff];

impl Chosen {
    /// The numbers that a plan's nodes choose.
    pub fn of(plan: &Plan) -> Self {
        let devices = || plan.nodes.iter().flat_map(|node| &node.devices);
        let addresses = devices().flat_map(|device| &device.addresses);
        let tunnels = devices().filter_map(|device| match &device.kind {
            DeviceKind::Vxlan(vxlan) => Some(vxlan.port),
            _ => None,
        });
        // A node also has what a route says is its own.
        let routes = plan.nodes.iter().flat_map(|node| &node.routes);
        let local = routes.filter(|route| route.kind == RouteKind::Local);
        let local = local.map(|route| route.to).filter(is_address);
        Self {
            own: addresses
                .map(|address| address.addr())
                .chain(local.map(|to| to.address()))
                .collect(),
            tunnels: tunnels.collect(),
            ports: BTreeMap::new(),
            sequences: Vec::new(),
        }
    }

    /// Has bytes be counted from the first ones of their connections.
    pub(super) fn count_from(&mut self, sequences: Vec<u32>) {
        self.sequences = sequences;
    }

    /// Has the port of a socket stand as the one of a number.
    pub(super) fn stand_in(&mut self, port: u16, number: u16) {
        /// Behind those that nodes choose from.
        const FIRST: u16 = 61_000;
        self.ports.insert(port, FIRST.saturating_add(number));
    }

    /// The frame with blanks where a stack chose a number, by rules that are added to those used. Each checksum stays as
    /// right or wrong as it was.
    pub fn blank(&self, frame: &[u8], rules: &mut BTreeSet<Rule>) -> Vec<u8> {
        let mut frame = frame.to_vec();
        let nothing = self.own.is_empty() && self.ports.is_empty() && self.sequences.is_empty();
        if !nothing {
            self.ethernet(&mut frame, rules);
        }
        frame
    }

    fn ethernet(&self, frame: &mut [u8], rules: &mut BTreeSet<Rule>) {
        const TAG: usize = 4;
        let mut at = 12;
        while let Some([0x81, 0x00] | [0x88, 0xa8]) = frame.get(at..at + 2) {
            at += TAG;
        }
        if frame.len() >= at + 2 {
            self.packet(&mut frame[at + 2..], rules);
        }
    }

    fn packet(&self, packet: &mut [u8], rules: &mut BTreeSet<Rule>) {
        match packet.first().map(|first| first >> 4) {
            Some(4) if packet.len() >= IPV4 => self.ipv4(packet, rules),
            Some(6) if packet.len() >= IPV6 => self.ipv6(packet, rules),
            _ => {}
        }
    }

    fn ipv4(&self, packet: &mut [u8], rules: &mut BTreeSet<Rule>) {
        const ICMP_NUMBER: u8 = 1;
        let header = 4 * usize::from(packet[0] & 0xf);
        let source: [u8; 4] = [packet[12], packet[13], packet[14], packet[15]];
        let source = Ipv4Addr::from(source);
        let own = source.is_loopback() || self.own.contains(&source.into());
        let first = packet[6] & 0x1f == 0 && packet[7] == 0;
        let total = [packet[2], packet[3]];
        let protocol = packet[9];
        let body = packet.get(header..).filter(|_| header >= IPV4);
        let tunnel = protocol == IPIP_NUMBER
            || first && protocol == UDP_NUMBER && body.is_some_and(|body| self.is_tunnel(body));
        // Zero is no choice where fragments are forbidden (`ip_select_ident_segs`), unless a tunnel sends
        // (`iptunnel_xmit`).
        let dont_fragment = packet[6] & 0x40 != 0;
        if own && (packet[4..6] != [0, 0] || tunnel || !dont_fragment) {
            rewrite(packet, 4, &BLANK, Some(10));
            rules.insert(Rule::Identification);
        }
        // What a datagram in pieces sums up to does not show: only whole ones are left to a device.
        let whole = packet[6] & 0x20 == 0;
        let addresses = whole.then(|| sum(&packet[12..20]));
        let Some(body) = packet.get_mut(header..).filter(|_| first && header >= IPV4) else {
            return;
        };
        let length = usize::from(u16::from_be_bytes(total)).saturating_sub(header);
        self.transport(protocol, body, (addresses, length), rules);
        match protocol {
            UDP_NUMBER => self.udp(body, own, addresses, rules),
            IPIP_NUMBER => self.packet(body, rules),
            ICMP_NUMBER if matches!(body.first(), Some(3 | 4 | 5 | 11 | 12)) => {
                self.quote(body, rules);
            }
            _ => {}
        }
    }

    fn ipv6(&self, packet: &mut [u8], rules: &mut BTreeSet<Rule>) {
        const FRAGMENT_NUMBER: u8 = 44;
        const ICMP_NUMBER: u8 = 58;
        let mut source = [0; 16];
        source.copy_from_slice(&packet[8..24]);
        let own = self.own.contains(&IpAddr::V6(Ipv6Addr::from(source)));
        let next = packet[6];
        let addresses = Some(sum(&packet[8..40]));
        let length = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
        let body = &mut packet[IPV6..];
        self.transport(next, body, (addresses, length), rules);
        match next {
            FRAGMENT_NUMBER if own && body.len() >= FRAGMENT => {
                body[4..8].fill(0xff);
                rules.insert(Rule::Identification);
            }
            UDP_NUMBER => self.udp(body, own, addresses, rules),
            ICMP_NUMBER if matches!(body.first(), Some(1..=4)) => self.quote(body, rules),
            _ => {}
        }
    }

    /// The ports of a segment or a datagram of `length` bytes, or of what is quoted of one. A checksum that is wrong stays
    /// so; that of what is quoted in part is taken to be right if the device was not to fill it in.
    fn transport(
        &self,
        protocol: u8,
        body: &mut [u8],
        (addresses, length): (Option<u16>, usize),
        rules: &mut BTreeSet<Rule>,
    ) {
        let check = match protocol {
            UDP_NUMBER => 6,
            TCP_NUMBER => 16,
            _ => return,
        };
        let right = addresses.is_none_or(|addresses| match body.get(check..check + 2) {
            Some(&[high, low]) if body.len() < length => {
                let left_to_device = u64::from(addresses) + u64::from(protocol) + length as u64;
                u16::from_be_bytes([high, low]) != fold(left_to_device)
            }
            _ => is_right(protocol, body, addresses),
        });
        let unused = protocol == UDP_NUMBER && body.get(check..check + 2) == Some(&[0, 0]);
        let checksum = (right && !unused).then_some(check);
        for at in [0, 2] {
            let Some(&[high, low]) = body.get(at..at + 2) else {
                return;
            };
            if let Some(stand_in) = self.ports.get(&u16::from_be_bytes([high, low])) {
                rewrite(body, at, &stand_in.to_be_bytes(), checksum);
                rules.insert(Rule::SocketPort);
            }
        }
        if protocol == TCP_NUMBER {
            self.sequence(body, checksum, rules);
        }
    }

    /// The numbers of a segment, which is this near to the first byte of its connection.
    fn sequence(&self, body: &mut [u8], checksum: Option<usize>, rules: &mut BTreeSet<Rule>) {
        const NEAR: u32 = 1 << 16;
        const ACK: u8 = 16;
        let acknowledges = body.get(13).is_some_and(|flags| flags & ACK != 0);
        for at in if acknowledges { &[4, 8][..] } else { &[4] } {
            let Some(number) = body.get(*at..at + 4).and_then(<[u8]>::first_chunk) else {
                return;
            };
            let number = u32::from_be_bytes(*number);
            let connections = (0..).zip(&self.sequences);
            let counts = connections.map(|(place, first)| (place, number.wrapping_sub(*first)));
            let near = counts.filter(|(_, count)| *count < NEAR);
            if let Some((place, count)) = near.min_by_key(|(_, count)| *count) {
                let counted = NEAR.wrapping_mul(place) | count;
                rewrite(body, *at, &counted.to_be_bytes(), checksum);
                rules.insert(Rule::Sequence);
            }
        }
    }

    /// The source port of a tunnel is a hash with a key of the kernel's. `addresses` is the sum of the packet's. A
    /// checksum that does not account for the datagram yet, because the device is to do that, stays as it is.
    fn udp(
        &self,
        datagram: &mut [u8],
        own: bool,
        addresses: Option<u16>,
        rules: &mut BTreeSet<Rule>,
    ) {
        let Some([.., high, low]) = datagram.first_chunk::<UDP>() else {
            return;
        };
        let check = [*high, *low];
        if !self.is_tunnel(datagram) {
            return;
        }
        let right = addresses.is_none_or(|addresses| is_right(UDP_NUMBER, datagram, addresses));
        let checksum = (right && check != [0, 0]).then_some(6);
        if own {
            rewrite(datagram, 0, &BLANK, checksum);
            rules.insert(Rule::TunnelPort);
        }
        if let Some(inner) = datagram.get(UDP + VXLAN..) {
            let mut blanked = inner.to_vec();
            self.ethernet(&mut blanked, rules);
            rewrite(datagram, UDP + VXLAN, &blanked, checksum);
        }
    }

    /// Whether a datagram goes to a tunnel's port.
    fn is_tunnel(&self, datagram: &[u8]) -> bool {
        matches!(*datagram, [_, _, high, low, ..] if self.tunnels.contains(&u16::from_be_bytes([high, low])))
    }

    /// The packet that an error is about.
    fn quote(&self, error: &mut [u8], rules: &mut BTreeSet<Rule>) {
        if let Some(packet) = error.get(ICMP..) {
            let mut blanked = packet.to_vec();
            self.packet(&mut blanked, rules);
            rewrite(error, ICMP, &blanked, Some(2));
        }
    }
}

/// Whether it is a single address.
fn is_address(network: &Prefix) -> bool {
    let bits = if network.address().is_ipv4() { 32 } else { 128 };
    network.len() == bits
}

/// Whether the checksum of a transport's packet is right; `addresses` is the sum of those.
fn is_right(protocol: u8, packet: &[u8], addresses: u16) -> bool {
    let head = u64::from(addresses) + u64::from(protocol) + packet.len() as u64;
    fold(head + u64::from(sum(packet))) == 0xffff
}

/// Writes bytes at an even place, and corrects a checksum over them by the difference (RFC 1624).
fn rewrite(bytes: &mut [u8], at: usize, new: &[u8], checksum: Option<usize>) {
    let old = bytes[at..at + new.len()].to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    let Some(check) = checksum.filter(|check| bytes.len() >= check + 2 && old != new) else {
        return;
    };
    let before = u16::from_be_bytes([bytes[check], bytes[check + 1]]);
    let after = !fold(u64::from(!before) + u64::from(!sum(&old)) + u64::from(sum(new)));
    bytes[check..check + 2].copy_from_slice(&after.to_be_bytes());
}

/// The one's complement sum of words of 16 bits.
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| match word {
        [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
        rest => rest.first().map_or(0, |high| u64::from(*high) << 8),
    });
    fold(words.sum())
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinpath_pcaps::{dissect, text};

    fn chosen() -> Chosen {
        Chosen {
            own: ["10.0.0.1".parse(), "fd00::1".parse()]
                .into_iter()
                .map(Result::unwrap)
                .collect(),
            tunnels: [4789].into(),
            ports: [(40_000, 61_000), (50_000, 61_000)].into(),
            sequences: Vec::new(),
        }
    }

    fn blank(text: &str) -> (Vec<u8>, Vec<&'static str>) {
        blank_by(&chosen(), text)
    }

    fn blank_by(chosen: &Chosen, text: &str) -> (Vec<u8>, Vec<&'static str>) {
        let mut rules = BTreeSet::new();
        let frame = chosen.blank(&text::frame(text).unwrap(), &mut rules);
        (frame, rules.into_iter().map(Rule::name).collect())
    }

    #[test]
    fn bytes_are_counted_from_the_first_of_their_connection() {
        let counted = |first: [u32; 2], text: &str| {
            let mut chosen = chosen();
            chosen.count_from(first.to_vec());
            blank_by(&chosen, text)
        };
        let left = "tcp 10.0.0.3:1 > 10.0.0.2:2 ACK seq 1001 ack 70001";
        let right = "tcp 10.0.0.3:1 > 10.0.0.2:2 ACK seq 4294967295 ack 5";
        let (left, used) = counted([1000, 70_000], left);
        assert_eq!(used, ["tcp-sequence"]);
        assert_eq!(left, counted([4_294_967_294, 4], right).0);
        assert_eq!(dissect::wrong_checksums(&left), []);
        assert_ne!(left, counted([4_294_967_293, 4], right).0);
    }

    #[test]
    fn what_a_stack_chose_does_not_count_and_all_else_does() {
        let equal = [
            (
                "udp 10.0.0.1:1 > 10.0.0.2:2 ipid 5",
                "udp 10.0.0.1:1 > 10.0.0.2:2 ipid 6",
                vec!["ip-id"],
            ),
            (
                "vxlan 10.0.0.1:33000 > 10.0.0.2 vni 1 { udp 10.0.0.1:1 > 10.0.0.2:2 ipid 5 } ipid 9",
                "vxlan 10.0.0.1:33001 > 10.0.0.2 vni 1 { udp 10.0.0.1:1 > 10.0.0.2:2 ipid 6 } ipid 8",
                vec!["ip-id", "tunnel-port"],
            ),
            (
                "udp 10.0.0.1:1 > 10.0.0.2:2 ipid 0",
                "udp 10.0.0.1:1 > 10.0.0.2:2 ipid 6",
                vec!["ip-id"],
            ),
            (
                "vxlan 10.0.0.1:33000 > 10.0.0.2 vni 1 { udp 10.0.0.3:1 > 10.0.0.2:2 } ipid 0 df",
                "vxlan 10.0.0.1:33000 > 10.0.0.2 vni 1 { udp 10.0.0.3:1 > 10.0.0.2:2 } ipid 8 df",
                vec!["ip-id", "tunnel-port"],
            ),
            (
                "vxlan [fd00::1]:33000 > [fd00::2] vni 1 { udp 10.0.0.3:1 > 10.0.0.2:2 }",
                "vxlan [fd00::1]:33001 > [fd00::2] vni 1 { udp 10.0.0.3:1 > 10.0.0.2:2 }",
                vec!["tunnel-port"],
            ),
            (
                "udp 10.0.0.3:40000 > 10.0.0.2:2",
                "udp 10.0.0.3:50000 > 10.0.0.2:2",
                vec!["socket-port"],
            ),
            (
                "tcp [fd00::3]:2 > [fd00::2]:40000 SYN",
                "tcp [fd00::3]:2 > [fd00::2]:50000 SYN",
                vec!["socket-port"],
            ),
            (
                "icmp 10.0.0.3 > 10.0.0.2 unreachable port quote { udp 10.0.0.3:40000 > 10.0.0.2:2 }",
                "icmp 10.0.0.3 > 10.0.0.2 unreachable port quote { udp 10.0.0.3:50000 > 10.0.0.2:2 }",
                vec!["socket-port"],
            ),
            (
                "icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 10.0.0.1:1 > 10.0.0.2:2 ipid 5 } ipid 3",
                "icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 10.0.0.1:1 > 10.0.0.2:2 ipid 7 } ipid 4",
                vec!["ip-id"],
            ),
        ];
        for (left, right, rules) in equal {
            let (left, used) = blank(left);
            assert_eq!(used, rules, "{right}");
            assert_eq!(dissect::diff(&left, &blank(right).0), [], "{right}");
            assert_eq!(dissect::wrong_checksums(&left), [], "{right}");
        }
        let unequal = [
            (
                "udp 10.0.0.2:1 > 10.0.0.1:2 ipid 5",
                "udp 10.0.0.2:1 > 10.0.0.1:2 ipid 6",
            ),
            (
                "vxlan 10.0.0.2:33000 > 10.0.0.1 vni 1 { udp 10.0.0.3:1 > 10.0.0.2:2 }",
                "vxlan 10.0.0.2:33001 > 10.0.0.1 vni 1 { udp 10.0.0.3:1 > 10.0.0.2:2 }",
            ),
            (
                "udp 10.0.0.1:1 > 10.0.0.2:2 ipid 0 df",
                "udp 10.0.0.1:1 > 10.0.0.2:2 ipid 6 df",
            ),
            (
                "udp 10.0.0.1:1 > 10.0.0.2:2 ipid 5",
                "udp 10.0.0.1:1 > 10.0.0.2:2 ipid 5 ipcsum bad",
            ),
            (
                "udp 10.0.0.3:40000 > 10.0.0.2:2",
                "udp 10.0.0.3:50001 > 10.0.0.2:2",
            ),
            (
                "udp 10.0.0.3:40000 > 10.0.0.2:2",
                "udp 10.0.0.3:50000 > 10.0.0.2:2 csum bad",
            ),
        ];
        for (left, right) in unequal {
            assert_ne!(blank(left).0, blank(right).0, "{right}");
        }
    }
}
