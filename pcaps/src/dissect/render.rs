//! Values for people.

use etherparse::{EtherType, IpNumber};

/// How many bytes of a payload are shown.
const SHOWN: usize = 16;

/// Bytes in hexadecimal, the first of them.
pub(super) fn hex(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let mut text: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    if shown.len() < bytes.len() {
        text.push('…');
    }
    text
}

/// Bytes of any content: how many, and the first of them, as text if they are text.
pub(super) fn opaque(bytes: &[u8]) -> String {
    const TEXT_SHOWN: usize = 40;
    let shown = &bytes[..bytes.len().min(TEXT_SHOWN)];
    let is_text = shown
        .iter()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t'));
    let unit = if bytes.len() == 1 { "byte" } else { "bytes" };
    match is_text {
        true => {
            let dots = if shown.len() < bytes.len() { "…" } else { "" };
            format!("{} {unit} \"{}\"{dots}", bytes.len(), shown.escape_ascii())
        }
        false => format!("{} {unit} {}", bytes.len(), hex(bytes)),
    }
}

pub(super) fn ether_type(value: u64) -> String {
    let name = match EtherType(value as u16) {
        EtherType::IPV4 => "IPv4",
        EtherType::IPV6 => "IPv6",
        EtherType::ARP => "ARP",
        EtherType::VLAN_TAGGED_FRAME => "802.1Q",
        EtherType::PROVIDER_BRIDGING => "802.1ad",
        EtherType::VLAN_DOUBLE_TAGGED_FRAME => "QinQ",
        _ => return format!("{value:#06x}"),
    };
    format!("{value:#06x} ({name})")
}

/// The name of an IP protocol in lower case, as tcpdump prints it; its number for the others.
pub(super) fn protocol_name(number: u8) -> Option<&'static str> {
    Some(match IpNumber(number) {
        IpNumber::IPV6_HEADER_HOP_BY_HOP => "hop-by-hop",
        IpNumber::ICMP => "icmp",
        IpNumber::IGMP => "igmp",
        IpNumber::IPV4 => "ipip",
        IpNumber::TCP => "tcp",
        IpNumber::UDP => "udp",
        IpNumber::IPV6 => "ipv6",
        IpNumber::IPV6_ROUTE_HEADER => "routing",
        IpNumber::IPV6_FRAGMENTATION_HEADER => "fragment",
        IpNumber::GRE => "gre",
        IpNumber::ENCAPSULATING_SECURITY_PAYLOAD => "esp",
        IpNumber::AUTHENTICATION_HEADER => "ah",
        IpNumber::IPV6_ICMP => "icmp6",
        IpNumber::IPV6_NO_NEXT_HEADER => "none",
        IpNumber::IPV6_DESTINATION_OPTIONS => "dstopts",
        IpNumber::SCTP => "sctp",
        _ => return None,
    })
}

pub(super) fn protocol(value: u64) -> String {
    match protocol_name(value as u8) {
        Some(name) => format!("{value} ({name})"),
        None => value.to_string(),
    }
}

pub(super) fn ecn(value: u64) -> String {
    let name = ["Not-ECT", "ECT(1)", "ECT(0)", "CE"][(value & 3) as usize];
    format!("{value} ({name})")
}

/// Number and name.
pub(super) fn named(value: u64, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{value} ({name})"),
        None => value.to_string(),
    }
}

/// The names of the set bits among `names`, joined by commas.
pub(super) fn flags(value: u64, names: &[(u64, &str)]) -> String {
    let set: Vec<&str> = names
        .iter()
        .filter(|(bit, _)| value & bit != 0)
        .map(|(_, name)| *name)
        .collect();
    match set.is_empty() {
        true => "none".to_owned(),
        false => set.join(","),
    }
}

pub(super) fn hex16(value: u64) -> String {
    format!("{value:#06x}")
}
