//! Events on one line each, with names, as `hubble observe` prints them in its compact form.
//!
//! ```text
//! shop/frontend:40000 (ID:257) -> shop/backend:8080 (ID:256) policy-verdict:L3-L4 INGRESS ALLOWED BY shop/backend (TCP Flags: SYN)
//! 198.51.100.9:4242 (world-ipv4) <> shop/backend:8080 (ID:256) Policy denied DROPPED BY shop/deny-all (TCP Flags: SYN)
//! shop/frontend:40000 (ID:257) <- shop/backend:8080 (ID:256) to-endpoint FORWARDED (TCP Flags: SYN, ACK)
//! ```

use std::net::IpAddr;

use twinpath_abi::{Direction, Identity, Protocol, TracePoint, TraceReason};

use super::summary::socket;
use super::{Event, Layer4, Summary, monitor, reason_text};
use crate::describe::named;
use crate::names::Names;
use crate::policy::icmp_name;

impl Event {
    /// The event with the names of pods, and with the policies that decided.
    pub fn observe(&self, names: &Names) -> String {
        let summary = Summary::new(self.packet());
        let ends = self.ends(&summary, names);
        let what = match self {
            Self::Drop(record) => format!("{} DROPPED", reason_text(record.notify.head.subtype)),
            Self::Trace(record) => {
                let point = record.notify.head.subtype;
                let name = TracePoint::from_code(point).map(TracePoint::name);
                format!("{} FORWARDED", named(name, point))
            }
            Self::Verdict(record) => {
                let notify = &record.notify;
                let direction = monitor::direction(notify).to_uppercase();
                let done = match monitor::action(notify) {
                    "allow" => "ALLOWED",
                    "redirect" => "REDIRECTED",
                    "audit" => "AUDITED",
                    _ => "DENIED",
                };
                format!(
                    "policy-verdict:{} {direction} {done}",
                    monitor::matched(notify)
                )
            }
            Self::Debug(_) => return self.to_string(),
        };
        let by = names.decided(self).map(|by| format!(" BY {by}"));
        format!(
            "{ends} {what}{} ({})",
            by.unwrap_or_default(),
            content(&summary)
        )
    }

    /// Both ends. Whoever opened the connection is on the left, as far as that is known.
    fn ends(&self, summary: &Summary, names: &Names) -> String {
        let end = |ip: IpAddr, port: Option<u16>| match (names.address(ip), port) {
            (None, port) => socket(ip, port),
            (Some(name), None) => name.to_owned(),
            (Some(name), Some(port)) => format!("{name}:{port}"),
        };
        let Some((mut from, mut to)) = summary.ends(end) else {
            return summary.to_string();
        };
        if let Some((source, destination)) = self.known_identities(summary, names) {
            from = format!("{from} ({})", identity(source));
            to = format!("{to} ({})", identity(destination));
        }
        match self.is_reply() {
            None => format!("{from} <> {to}"),
            Some(false) => format!("{from} -> {to}"),
            Some(true) => format!("{to} <- {from}"),
        }
    }

    /// A policy verdict says the identity of the other end alone; that of its own endpoint is known by number.
    fn known_identities(&self, summary: &Summary, names: &Names) -> Option<(Identity, Identity)> {
        let Self::Verdict(record) = self else {
            return self.identities();
        };
        let Summary::Ip { .. } = summary else {
            return None;
        };
        let own = names.identity(record.notify.head.source)?;
        let remote = record.notify.remote_label;
        match record.notify.flags.direction()? {
            Direction::Ingress => Some((remote, own)),
            Direction::Egress => Some((own, remote)),
        }
    }

    /// Whether the packet answers another one; none if nobody knows.
    fn is_reply(&self) -> Option<bool> {
        match self {
            Self::Trace(record) => match TraceReason::from_code(record.notify.reason)? {
                TraceReason::Reply => Some(true),
                TraceReason::New | TraceReason::Established => Some(false),
                TraceReason::Related | TraceReason::Unknown => None,
            },
            // Only new connections are decided about.
            Self::Verdict(record) => (record.notify.verdict >= 0).then_some(false),
            Self::Drop(_) | Self::Debug(_) => None,
        }
    }
}

fn identity(identity: Identity) -> String {
    match identity.reserved_name() {
        Some(name) => name.to_owned(),
        None => format!("ID:{identity}"),
    }
}

fn content(summary: &Summary) -> String {
    let Summary::Ip { layer4, .. } = summary else {
        return summary.to_string();
    };
    match layer4 {
        Layer4::Tcp { flags, .. } => format!("TCP Flags: {}", flags.names().join(", ")),
        Layer4::Ports { protocol, .. } => protocol.to_string().to_uppercase(),
        Layer4::Icmp {
            protocol, r#type, ..
        } => {
            let family = if *protocol == Protocol::ICMP {
                "ICMPv4"
            } else {
                "ICMPv6"
            };
            let name = icmp_name(*protocol, *r#type);
            format!("{family} {}", named(name, format!("type {type}")))
        }
        Layer4::Other(text) => text.clone(),
    }
}
