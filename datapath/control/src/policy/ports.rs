//! Ports, protocols and ICMP types as manifests write them.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use twinpath_abi::Protocol;

use super::{Ports, Traffic};

/// Whose way of writing ports it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Numbers are numbers.
    Kubernetes,
    /// Numbers are texts, and 0 is all ports.
    Cilium,
}

/// A port and the end of a range, both as written.
///
/// # Errors
/// What was expected instead, of the port (`false`) or of the end (`true`).
pub fn ports(port: &IntOrString, end: Option<i32>, style: Style) -> Result<Ports, (bool, String)> {
    const NUMBER: &str = "expected a port from 1 to 65535";
    let number = match port {
        IntOrString::Int(number) => *number,
        // No name of a port is all digits.
        IntOrString::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            if style == Style::Kubernetes {
                let expected = format!("expected the number {text} without quotes, or a name");
                return Err((false, expected));
            }
            text.parse().map_err(|_| (false, NUMBER.to_owned()))?
        }
        IntOrString::String(name) if end.is_some() => {
            return Err((
                true,
                format!("expected no end of a range behind the name `{name}`"),
            ));
        }
        IntOrString::String(name) => return port_name(name),
    };
    let first = u16::try_from(number).map_err(|_| (false, NUMBER.to_owned()))?;
    if first == 0 {
        return if style == Style::Cilium && end.is_none_or(|end| end == 0) {
            Ok(Ports::All)
        } else {
            Err((false, NUMBER.to_owned()))
        };
    }
    let last = match end {
        None | Some(0) => first,
        Some(end) => u16::try_from(end)
            .ok()
            .filter(|last| *last >= first)
            .ok_or_else(|| (true, format!("expected a port from {first} to 65535")))?,
    };
    Ok(Ports::Range(first, last))
}

/// RFC 6335, section 5.1.
fn port_name(name: &str) -> Result<Ports, (bool, String)> {
    let known = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let letter = name.bytes().any(|byte| byte.is_ascii_alphabetic());
    if known && letter && name.len() <= 15 {
        // Names are compared without regard to case (`pkg/iana` of cilium/cilium keeps them in lower case).
        Ok(Ports::Named(name.to_ascii_lowercase()))
    } else {
        Err((
            false,
            "expected a port's number, or a name of up to 15 letters, digits and hyphens"
                .to_owned(),
        ))
    }
}

/// The protocol of a name, as Kubernetes writes it.
pub fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "TCP" => Some(Protocol::TCP),
        "UDP" => Some(Protocol::UDP),
        "SCTP" => Some(Protocol::SCTP),
        _ => None,
    }
}

/// The protocols that a name stands for, as Cilium writes it: in any case, and `ANY` for all.
pub fn protocols(name: &str) -> Option<Vec<Protocol>> {
    match name.to_ascii_uppercase().as_str() {
        "ANY" | "" => Some(vec![Protocol::TCP, Protocol::UDP, Protocol::SCTP]),
        name => protocol(name).map(|protocol| vec![protocol]),
    }
}

/// A type of ICMP messages of a family.
///
/// # Errors
/// What was expected instead, of the family (`false`) or of the type (`true`).
pub fn icmp(family: Option<&str>, r#type: &IntOrString) -> Result<Traffic, (bool, String)> {
    let (protocol, names) = match family {
        None | Some("IPv4") => (Protocol::ICMP, ICMP),
        Some("IPv6") => (Protocol::ICMPV6, ICMPV6),
        Some(_) => return Err((false, "expected IPv4 or IPv6".to_owned())),
    };
    let expected = || {
        (
            true,
            "expected a type from 0 to 255, or the name of one".to_owned(),
        )
    };
    let number = match r#type {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(text) => text.parse().ok().or_else(|| {
            let known = names.iter().find(|(name, _)| name == text);
            known.map(|(_, number)| i32::from(*number))
        }),
    };
    let r#type = number
        .and_then(|number| u8::try_from(number).ok())
        .ok_or_else(expected)?;
    Ok(Traffic::Icmp { protocol, r#type })
}

/// The name of a type of ICMP messages, as `hubble observe` prints it.
pub fn icmp_name(protocol: Protocol, r#type: u8) -> Option<&'static str> {
    let names = if protocol == Protocol::ICMP {
        ICMP
    } else {
        ICMPV6
    };
    // Of two names, the later one is the longer one.
    let mut named = names.iter().rev();
    named
        .find(|(_, number)| *number == r#type)
        .map(|(name, _)| *name)
}

/// Types by name, as Cilium's API spells the names of IANA's registry.
const ICMP: &[(&str, u8)] = &[
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEcho Request", 42),
    ("ExtendedEcho Reply", 43),
];

const ICMPV6: &[(&str, u8)] = &[
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
    ("ExtendedEchoRequest", 160),
    ("ExtendedEchoReply", 161),
];
