//! What two honest runs may differ in: numbers that Linux draws at random.

use std::net::{IpAddr, Ipv4Addr};

use super::frames::fill_header;
use super::net::Network;

const ETHERNET: usize = 14;

/// Frames that Linux sends of its own accord: multicast listener reports, router solicitations.
pub fn is_unsolicited(frame: &[u8]) -> bool {
    const UNSOLICITED: [u8; 5] = [130, 131, 132, 133, 143];
    if let Some(inner) = inner(frame) {
        return is_unsolicited(inner);
    }
    // A generic XDP program that meets such a packet on its way back to the host sends it without a header.
    let headless = frame.first() == Some(&0x60) && frame.get(8..24) == Some(&[0; 16]);
    let packet = match frame.get(12..ETHERNET) {
        _ if headless => frame,
        Some([0x86, 0xdd]) => &frame[ETHERNET..],
        _ => return false,
    };
    let kind = match packet.get(6) {
        Some(0) if packet.get(40) == Some(&58) => packet.get(48),
        Some(58) => packet.get(40),
        _ => None,
    };
    kind.is_some_and(|kind| UNSOLICITED.contains(kind))
}

/// The inner frame of what a node sends through a tunnel.
fn inner(frame: &[u8]) -> Option<&[u8]> {
    let udp = match frame.get(12..ETHERNET)? {
        [8, 0] if frame.get(ETHERNET + 9) == Some(&17) => ETHERNET + 20,
        [0x86, 0xdd] if frame.get(ETHERNET + 6) == Some(&17) => ETHERNET + 40,
        _ => return None,
    };
    let to_tunnel = frame.get(udp + 2..udp + 4)? == 4789u16.to_be_bytes();
    frame.get(udp + 16..).filter(|_| to_tunnel)
}

/// Blanks what is random: the identification of IPv4 packets and IPv6 fragments that a node made.
pub fn canonical(network: &Network, frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if let Some(inner) = inner(&frame) {
        // The identification and the checksum over it change by the same, so that no other does.
        let inside = canonical(network, inner);
        let start = frame.len() - inside.len();
        frame[start..].copy_from_slice(&inside);
    }
    match frame.get(12..ETHERNET) {
        Some([8, 0]) => ipv4(network, &mut frame, ETHERNET),
        Some([0x86, 0xdd]) => ipv6(network, &mut frame, ETHERNET),
        _ => {}
    }
    frame
}

fn is_own(network: &Network, address: IpAddr) -> bool {
    let devices = network.nodes.iter().flat_map(|node| &node.devices);
    let mut addresses = devices.flat_map(|device| &device.addresses);
    addresses.any(|(own, _)| *own == address)
}

fn ipv4(network: &Network, frame: &mut [u8], at: usize) {
    let header = &frame[at..];
    if header.len() < 20 {
        return;
    }
    let source = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
    let chosen = header[4..6] != [0, 0];
    if is_own(network, source.into()) && chosen {
        frame[at + 4..at + 6].copy_from_slice(&[0xff, 0xff]);
        fill_header(frame, at);
    }
    let header = &frame[at..];
    let first = header[6] & 0x1f == 0 && header[7] == 0;
    if header[9] == 17 && first && header.len() >= 36 {
        vxlan(network, frame, at, 20);
    }
}

fn ipv6(network: &Network, frame: &mut [u8], at: usize) {
    let header = &frame[at..];
    if header.len() < 48 {
        return;
    }
    let mut source = [0; 16];
    source.copy_from_slice(&header[8..24]);
    if header[6] == 44 && is_own(network, source.into()) {
        frame[at + 44..at + 48].copy_from_slice(&[0xff; 4]);
    }
    if frame[at + 6] == 17 {
        vxlan(network, frame, at, 40);
    }
}

/// Blanks the source port of a tunnel's datagram, which is a hash with a random key, and corrects the
/// checksum.
fn vxlan(network: &Network, frame: &mut [u8], at: usize, head: usize) {
    let udp = at + head;
    if frame.len() < udp + 8 || frame[udp + 2..udp + 4] != 4789u16.to_be_bytes() {
        return;
    }
    let tunnelled = network.nodes.iter().flat_map(|node| &node.devices);
    let mut tunnels =
        tunnelled.filter(|device| matches!(device.kind, twinpath_node::DeviceKind::Vxlan(_)));
    if tunnels.next().is_none() {
        return;
    }
    let pair = |frame: &[u8], at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let (port, check) = (pair(frame, udp), pair(frame, udp + 6));
    let in_range = (32768..=60999).contains(&port);
    assert!(in_range, "a tunnel's source port is {port}");
    frame[udp..udp + 2].copy_from_slice(&[0xff, 0xff]);
    if check != 0 {
        // RFC 1624, with the new port 0xffff: ~(~check + ~port + 0xffff)
        let mut sum = u32::from(!check) + u32::from(!port) + 0xffff;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        frame[udp + 6..udp + 8].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    }
}
