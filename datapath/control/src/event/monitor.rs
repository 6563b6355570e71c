//! Events on one line each, as `cilium monitor` prints them (`pkg/monitor` of cilium/cilium).
//!
//! ```text
//! xx drop (Policy denied) flow 0x1bc4a9f2 to endpoint 2, ifindex 4, file policy.rs:24, identity 257->256: 10.0.1.9:4242 -> 10.0.1.10:80 tcp SYN
//! -> endpoint 212 flow 0x3000e251, identity ingress->61131 state new ifindex 7: 10.0.0.192:34219 -> 10.0.0.164:9080 tcp SYN
//! Policy verdict log: flow 0x1f3ac2b1 local EP ID 1420, remote ID 41022, proto 6, ingress, action deny, auth: disabled, match none, 10.244.3.55:38104 -> 10.244.1.201:8080 tcp SYN
//! ```

use std::fmt;

use twinpath_abi::{
    Address, DebugNotify, DebugPoint, Direction, DropNotify, Family, NotifyFlags, PolicyMatch,
    SourceFile, TraceNotify, TracePoint, TraceReason, VerdictNotify,
};

use super::{Event, Summary, reason_text};
use crate::describe::named;

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop(record) => dropped(&record.notify, f)?,
            Self::Trace(record) => traced(&record.notify, f)?,
            Self::Verdict(record) => decided(&record.notify, f)?,
            Self::Debug(notify) => return debug(notify, f),
        }
        Summary::new(self.packet()).fmt(f)
    }
}

fn dropped(notify: &DropNotify, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "xx drop ({}) flow {:#x} to endpoint {}, ifindex {}, file {}, identity {}->{}: ",
        reason_text(notify.head.subtype),
        notify.head.hash,
        notify.dst_id,
        notify.ifindex,
        place(notify),
        notify.src_label,
        notify.dst_label,
    )
}

/// The place that dropped the packet: `file:line`.
pub(super) fn place(notify: &DropNotify) -> String {
    let file = SourceFile::from_code(notify.file).map(SourceFile::name);
    format!("{}:{}", named(file, notify.file), notify.line)
}

fn traced(notify: &TraceNotify, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "{} flow {:#x}, identity {}->{} state {} ifindex {}",
        point(notify),
        notify.head.hash,
        notify.src_label,
        notify.dst_label,
        state(notify),
        notify.ifindex,
    )?;
    if let Some(ip) = origin(notify) {
        write!(f, " orig-ip {ip}")?;
    }
    f.write_str(": ")
}

/// Where the packet is: `-> endpoint 212`.
fn point(notify: &TraceNotify) -> String {
    let Some(point) = TracePoint::from_code(notify.head.subtype) else {
        return format!("trace point {}", notify.head.subtype);
    };
    let arrow = if point.is_arrival() { "<-" } else { "->" };
    let (_, whom) = point.name().split_once('-').unwrap_or_default();
    match point {
        TracePoint::ToEndpoint => format!("-> endpoint {}", notify.dst_id),
        TracePoint::ToProxy => format!("-> proxy port {}", notify.dst_id),
        TracePoint::FromEndpoint => format!("<- endpoint {}", notify.head.source),
        _ => format!("{arrow} {whom}"),
    }
}

pub(super) fn state(notify: &TraceNotify) -> String {
    named(
        TraceReason::from_code(notify.reason).map(TraceReason::name),
        notify.reason,
    )
}

/// The source address before a translation.
pub(super) fn origin(notify: &TraceNotify) -> Option<std::net::IpAddr> {
    let family = if notify.flags.0 & NotifyFlags::IS_IPV6.0 == 0 {
        Family::V4
    } else {
        Family::V6
    };
    let translated = notify.orig_ip != Address::UNSPECIFIED;
    translated.then(|| notify.orig_ip.to_ip(family)).flatten()
}

fn decided(notify: &VerdictNotify, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let auth = match notify.auth_type {
        0 => "disabled".to_owned(),
        1 => "spire".to_owned(),
        2 => "test-always-fail".to_owned(),
        kind => kind.to_string(),
    };
    write!(
        f,
        "Policy verdict log: flow {:#x} local EP ID {}, remote ID {}, proto {}, {}, action {}, \
         auth: {auth}, match {}, ",
        notify.head.hash,
        notify.head.source,
        notify.remote_label,
        notify.proto.0,
        direction(notify),
        action(notify),
        matched(notify),
    )
}

pub(super) fn direction(notify: &VerdictNotify) -> String {
    let flags = notify.flags;
    named(flags.direction().map(Direction::name), flags.0 & 3)
}

/// `allow`, `deny`, `redirect`, or `audit` for what is allowed only because it is not enforced.
pub(super) fn action(notify: &VerdictNotify) -> &'static str {
    match notify.verdict {
        _ if notify.flags.is_audited() => "audit",
        0 => "allow",
        1.. => "redirect",
        _ => "deny",
    }
}

/// What the entry looked at.
pub(super) fn matched(notify: &VerdictNotify) -> String {
    named(
        notify.flags.found().map(PolicyMatch::name),
        notify.flags.0 >> 3 & 7,
    )
}

fn debug(notify: &DebugNotify, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let DebugNotify {
        head,
        arg1,
        arg2,
        arg3,
    } = notify;
    let point = DebugPoint::from_code(head.subtype).map(DebugPoint::text);
    write!(
        f,
        "DEBUG: endpoint {} flow {:#x}, {}: {arg1:#x} {arg2:#x} {arg3:#x}",
        head.source,
        head.hash,
        named(point, format!("point {}", head.subtype)),
    )
}
