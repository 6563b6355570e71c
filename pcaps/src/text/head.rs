//! The head of a description: what it is, between whom.

use std::net::SocketAddr;

use super::clause::{Draft, clauses};
use super::cursor::{Cursor, Port};
use super::error::TextError;
use super::icmp;
use crate::MacAddr;
use crate::build::{Arp, EtherBody, EtherType, Ethernet, Ip, IpNumber, Tcp, Transport, Udp, Vni};

const PACKETS: &str = "tcp, udp, icmp, icmp6, ip, vxlan, ipip";

/// A frame: a head, then clauses.
pub(super) fn frame(cursor: &mut Cursor<'_>) -> Result<Ethernet, TextError> {
    let (source, destination) = (Ethernet::DEFAULT_SOURCE, Ethernet::DEFAULT_DESTINATION);
    frame_between(cursor, source, destination)
}

/// A frame between these two, unless a clause says otherwise.
pub(super) fn frame_between(
    cursor: &mut Cursor<'_>,
    source: MacAddr,
    destination: MacAddr,
) -> Result<Ethernet, TextError> {
    let mut frame = match cursor.peek() {
        Some("arp") => arp(cursor)?,
        Some("ether") => ether(cursor)?,
        _ => {
            let expected = format!("one of {PACKETS}, arp, ether");
            Ethernet::new(EtherBody::Ip(ip(cursor, &expected)?))
        }
    };
    if frame.source == Ethernet::DEFAULT_SOURCE {
        frame.source = source;
    }
    if frame.destination == Ethernet::DEFAULT_DESTINATION {
        frame.destination = destination;
    }
    let mut draft = Draft::Frame(frame);
    clauses(cursor, &mut draft)?;
    match draft {
        Draft::Frame(frame) => Ok(frame),
        Draft::Packet(packet) => Ok(Ethernet::new(EtherBody::Ip(packet))),
    }
}

/// An IP packet without a link layer: inside a tunnel, quoted by an ICMP error.
pub(super) fn packet(cursor: &mut Cursor<'_>) -> Result<Ip, TextError> {
    let mut draft = Draft::Packet(ip(cursor, &format!("one of {PACKETS}"))?);
    clauses(cursor, &mut draft)?;
    match draft {
        Draft::Packet(packet) => Ok(packet),
        Draft::Frame(_) => Err(cursor.expected("a packet")),
    }
}

fn ip(cursor: &mut Cursor<'_>, expected: &str) -> Result<Ip, TextError> {
    let head = cursor.peek().unwrap_or_default();
    match head {
        "tcp" => tcp(cursor),
        "udp" => udp(cursor),
        "icmp" | "icmp6" => icmp::message(cursor, head == "icmp6"),
        "ip" => raw_ip(cursor),
        "vxlan" => vxlan(cursor),
        "ipip" => ipip(cursor),
        _ => Err(cursor.expected(expected)),
    }
}

/// The two ends of a packet, of the same IP version.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

impl Ends {
    /// Goes past the head's name and reads `A > B`.
    pub fn read(cursor: &mut Cursor<'_>, ports: [Port; 2]) -> Result<Self, TextError> {
        cursor.skip();
        let source = cursor.endpoint(ports[0])?;
        cursor.arrow()?;
        let version = if source.is_ipv4() { "IPv4" } else { "IPv6" };
        let mismatch = cursor.expected(format!("an {version} address, as the source is"));
        let destination = cursor.endpoint(ports[1])?;
        match source.is_ipv4() == destination.is_ipv4() {
            true => Ok(Self {
                source,
                destination,
            }),
            false => Err(mismatch),
        }
    }

    /// A packet from one to the other.
    pub fn packet(self, cursor: &Cursor<'_>, body: Transport) -> Result<Ip, TextError> {
        Ip::new(self.source.ip(), self.destination.ip(), body)
            .ok_or_else(|| cursor.expected("addresses of the same IP version"))
    }
}

fn tcp(cursor: &mut Cursor<'_>) -> Result<Ip, TextError> {
    let ends = Ends::read(cursor, [Port::Always; 2])?;
    let flags = cursor.value("TCP flags, such as SYN or SYN,ACK or none")?;
    let tcp = Tcp::new(ends.source.port(), ends.destination.port(), flags);
    ends.packet(cursor, Transport::Tcp(tcp))
}

fn udp(cursor: &mut Cursor<'_>) -> Result<Ip, TextError> {
    let ends = Ends::read(cursor, [Port::Always; 2])?;
    let udp = Udp::new(ends.source.port(), ends.destination.port(), Vec::new());
    ends.packet(cursor, Transport::Udp(udp))
}

fn raw_ip(cursor: &mut Cursor<'_>) -> Result<Ip, TextError> {
    let ends = Ends::read(cursor, [Port::Never; 2])?;
    cursor.word("proto")?;
    let body = Transport::Raw {
        protocol: IpNumber(cursor.number(0..=u8::MAX)?),
        payload: Vec::new(),
    };
    ends.packet(cursor, body)
}

fn vxlan(cursor: &mut Cursor<'_>) -> Result<Ip, TextError> {
    // The first of the source ports that RFC 7348 recommends.
    let ports = [49152, Udp::VXLAN_PORT].map(Port::Default);
    let ends = Ends::read(cursor, ports)?;
    cursor.word("vni")?;
    let vni = cursor.parse("a number from 0 to 16777215", |word| {
        word.parse().ok().and_then(Vni::new)
    })?;
    cursor.open()?;
    let span = cursor.span();
    let inner = frame(cursor)?;
    cursor.close()?;
    let mut udp = Udp::vxlan(ends.source.port(), vni, &inner)
        .map_err(|error| cursor.unbuildable(span, error))?;
    udp.destination_port = ends.destination.port();
    ends.packet(cursor, Transport::Udp(udp))
}

fn ipip(cursor: &mut Cursor<'_>) -> Result<Ip, TextError> {
    let ends = Ends::read(cursor, [Port::Never; 2])?;
    cursor.open()?;
    let inner = packet(cursor)?;
    cursor.close()?;
    ends.packet(cursor, Transport::Ip(Box::new(inner)))
}

fn arp(cursor: &mut Cursor<'_>) -> Result<Ethernet, TextError> {
    const IPV4: &str = "an IPv4 address";
    cursor.skip();
    let arp = if cursor.take("who-has") {
        let target = cursor.value(IPV4)?;
        cursor.word("tell")?;
        let sender = cursor.value(IPV4)?;
        let mac = optional_mac(cursor, "at")?.unwrap_or(Ethernet::DEFAULT_SOURCE);
        Arp::request(target, sender, mac)
    } else if cursor.take("reply") {
        let sender = cursor.value(IPV4)?;
        cursor.word("is-at")?;
        let mac = cursor.value(MAC)?;
        cursor.word("to")?;
        let target = cursor.value(IPV4)?;
        let target_mac = optional_mac(cursor, "at")?.unwrap_or(Ethernet::DEFAULT_DESTINATION);
        Arp::reply(sender, mac, target, target_mac)
    } else {
        return Err(cursor.expected("who-has or reply"));
    };
    let source = arp.sender_mac;
    Ok(Ethernet {
        source,
        ..Ethernet::new(EtherBody::Arp(arp))
    })
}

pub(super) const MAC: &str = "a MAC address, such as 02:00:00:00:00:01";

pub(super) fn optional_mac(
    cursor: &mut Cursor<'_>,
    word: &str,
) -> Result<Option<MacAddr>, TextError> {
    match cursor.take(word) {
        true => cursor.value(MAC).map(Some),
        false => Ok(None),
    }
}

fn ether(cursor: &mut Cursor<'_>) -> Result<Ethernet, TextError> {
    cursor.skip();
    Ok(Ethernet::new(EtherBody::Raw {
        ether_type: EtherType(cursor.number(0..=u16::MAX)?),
        payload: Vec::new(),
    }))
}
