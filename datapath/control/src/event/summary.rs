//! A packet in a few words, as `cilium monitor` ends its lines.

use std::net::{IpAddr, SocketAddr};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice};

/// What a frame is: `10.0.0.1:1234 -> 10.0.0.2:80 tcp SYN`. The frame may be cut short.
pub fn summary(frame: &[u8]) -> String {
    let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else {
        return format!("frame of {} bytes", frame.len());
    };
    let Some((source, destination)) = packet.net.as_ref().and_then(addresses) else {
        return link(&packet);
    };
    let ports = |source_port, destination_port| {
        let source = SocketAddr::new(source, source_port);
        let destination = SocketAddr::new(destination, destination_port);
        format!("{source} -> {destination}")
    };
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let ends = ports(tcp.source_port(), tcp.destination_port());
            format!("{ends} tcp{}", flags(tcp))
        }
        Some(TransportSlice::Udp(udp)) => {
            format!("{} udp", ports(udp.source_port(), udp.destination_port()))
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            let (kind, code) = (icmp.type_u8(), icmp.code_u8());
            format!("{source} -> {destination} icmp type {kind} code {code}")
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let (kind, code) = (icmp.type_u8(), icmp.code_u8());
            format!("{source} -> {destination} icmpv6 type {kind} code {code}")
        }
        _ => format!("{source} -> {destination} {}", protocol(&packet)),
    }
}

fn addresses(net: &LaxNetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            Some((
                header.source_addr().into(),
                header.destination_addr().into(),
            ))
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            Some((
                header.source_addr().into(),
                header.destination_addr().into(),
            ))
        }
        LaxNetSlice::Arp(_) => None,
    }
}

/// The protocol of a packet whose transport header cannot be read.
fn protocol(packet: &LaxSlicedPacket<'_>) -> String {
    match packet.net.as_ref().and_then(LaxNetSlice::ip_payload_ref) {
        Some(payload) if payload.fragmented => {
            format!("fragment of protocol {}", payload.ip_number.0)
        }
        Some(payload) => format!("protocol {}", payload.ip_number.0),
        None => "unreadable".to_owned(),
    }
}

/// A frame without an IP packet that can be read.
fn link(packet: &LaxSlicedPacket<'_>) -> String {
    match (&packet.net, packet.ether_payload()) {
        (Some(LaxNetSlice::Arp(_)), _) => "arp".to_owned(),
        (_, Some(payload)) => format!("ethertype {:#06x}", payload.ether_type.0),
        (_, None) => "unreadable frame".to_owned(),
    }
}

/// The flags that are set, in the order in which Cilium prints them.
fn flags(tcp: &TcpSlice<'_>) -> String {
    [
        (tcp.syn(), " SYN"),
        (tcp.ack(), " ACK"),
        (tcp.rst(), " RST"),
        (tcp.fin(), " FIN"),
        (tcp.psh(), " PSH"),
        (tcp.urg(), " URG"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect()
}
