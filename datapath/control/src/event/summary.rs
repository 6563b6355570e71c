//! A packet in a few words, as `cilium monitor` ends its lines.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice};
use twinpath_abi::Protocol;

/// What a frame is, as far as its head shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Summary {
    /// An IP packet.
    Ip {
        /// Who sent it.
        source: IpAddr,
        /// Whom it is for.
        destination: IpAddr,
        /// What is in it.
        layer4: Layer4,
    },
    /// Anything else, in words.
    Other(String),
}

/// What is in an IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer4 {
    /// A TCP segment.
    Tcp {
        /// The sender's port and the receiver's.
        ports: (u16, u16),
        /// Its flags.
        flags: TcpFlags,
    },
    /// A datagram of UDP or SCTP.
    Ports {
        /// Which of the two.
        protocol: Protocol,
        /// The sender's port and the receiver's.
        ports: (u16, u16),
    },
    /// A message of ICMP or ICMPv6.
    Icmp {
        /// Which of the two.
        protocol: Protocol,
        /// The type.
        r#type: u8,
        /// The code.
        code: u8,
    },
    /// Something whose header cannot be read, in words.
    Other(String),
}

/// Flags of a TCP segment. Its `Display` has those that are set, in the order in which Cilium prints them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags([bool; 6]);

impl Summary {
    /// Reads a frame, which may be cut short.
    pub fn new(frame: &[u8]) -> Self {
        let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else {
            return Self::Other(format!("frame of {} bytes", frame.len()));
        };
        match packet.net.as_ref().and_then(addresses) {
            Some((source, destination)) => Self::Ip {
                source,
                destination,
                layer4: layer4(&packet),
            },
            None => Self::Other(link(&packet)),
        }
    }

    /// Who sent it and whom it is for, each written as `end` writes an address and, where there is one, a port.
    pub(super) fn ends(
        &self,
        end: impl Fn(IpAddr, Option<u16>) -> String,
    ) -> Option<(String, String)> {
        let Self::Ip {
            source,
            destination,
            layer4,
        } = self
        else {
            return None;
        };
        let (from, to) = layer4.ports().unzip();
        Some((end(*source, from), end(*destination, to)))
    }
}

impl Layer4 {
    /// The sender's port and the receiver's.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self {
            Self::Tcp { ports, .. } | Self::Ports { ports, .. } => Some(*ports),
            Self::Icmp { .. } | Self::Other(_) => None,
        }
    }

    /// Protocol and port as policies have them; of ICMP, the type is the port.
    pub(crate) fn policy_key(&self) -> Option<(Protocol, u16)> {
        match self {
            Self::Tcp { ports, .. } => Some((Protocol::TCP, ports.1)),
            Self::Ports { protocol, ports } => Some((*protocol, ports.1)),
            Self::Icmp {
                protocol, r#type, ..
            } => Some((*protocol, u16::from(*r#type))),
            Self::Other(_) => None,
        }
    }
}

/// An address and port, as sockets are written.
pub(super) fn socket(ip: IpAddr, port: Option<u16>) -> String {
    match port {
        Some(port) => SocketAddr::new(ip, port).to_string(),
        None => ip.to_string(),
    }
}

/// `10.0.0.1:1234 -> 10.0.0.2:80 tcp SYN`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ends(socket), self) {
            (Some((from, to)), Self::Ip { layer4, .. }) => write!(f, "{from} -> {to} {layer4}"),
            (_, Self::Ip { layer4, .. }) => layer4.fmt(f),
            (_, Self::Other(text)) => f.write_str(text),
        }
    }
}

impl fmt::Display for Layer4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { flags, .. } if flags.is_empty() => f.write_str("tcp"),
            Self::Tcp { flags, .. } => write!(f, "tcp {flags}"),
            Self::Ports { protocol, .. } => protocol.fmt(f),
            Self::Icmp {
                protocol,
                r#type,
                code,
            } => write!(f, "{protocol} type {type} code {code}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl TcpFlags {
    const NAMES: [&'static str; 6] = ["SYN", "ACK", "RST", "FIN", "PSH", "URG"];

    fn new(tcp: &TcpSlice<'_>) -> Self {
        Self([
            tcp.syn(),
            tcp.ack(),
            tcp.rst(),
            tcp.fin(),
            tcp.psh(),
            tcp.urg(),
        ])
    }

    fn is_empty(self) -> bool {
        !self.0.contains(&true)
    }

    /// The names of those that are set.
    pub(super) fn names(self) -> Vec<&'static str> {
        let flags = self.0.into_iter().zip(Self::NAMES);
        flags
            .filter_map(|(set, name)| set.then_some(name))
            .collect()
    }
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
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

fn layer4(packet: &LaxSlicedPacket<'_>) -> Layer4 {
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => Layer4::Tcp {
            ports: (tcp.source_port(), tcp.destination_port()),
            flags: TcpFlags::new(tcp),
        },
        Some(TransportSlice::Udp(udp)) => Layer4::Ports {
            protocol: Protocol::UDP,
            ports: (udp.source_port(), udp.destination_port()),
        },
        Some(TransportSlice::Icmpv4(icmp)) => Layer4::Icmp {
            protocol: Protocol::ICMP,
            r#type: icmp.type_u8(),
            code: icmp.code_u8(),
        },
        Some(TransportSlice::Icmpv6(icmp)) => Layer4::Icmp {
            protocol: Protocol::ICMPV6,
            r#type: icmp.type_u8(),
            code: icmp.code_u8(),
        },
        _ => unread(packet),
    }
}

/// A packet whose transport header is not among those that etherparse reads.
fn unread(packet: &LaxSlicedPacket<'_>) -> Layer4 {
    let Some(payload) = packet.net.as_ref().and_then(LaxNetSlice::ip_payload_ref) else {
        return Layer4::Other("unreadable".to_owned());
    };
    let number = payload.ip_number.0;
    match *payload.payload {
        _ if payload.fragmented => Layer4::Other(format!("fragment of protocol {number}")),
        // RFC 9260, section 3.1.
        [a, b, c, d, ..] if number == Protocol::SCTP.0 => Layer4::Ports {
            protocol: Protocol::SCTP,
            ports: (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
        },
        _ => Layer4::Other(format!("protocol {number}")),
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
