//! Policies: who may speak with an endpoint. The entry that decides is Cilium's choice (`bpf/lib/policy.h`):
//! of the narrowest entries for the identity and for anybody, one that denies; else the one of the higher
//! precedence; else the narrower one; else the identity's.

use twinpath_abi::{
    Direction, DropReason, EndpointId, Identity, PolicyData, PolicyEntry, PolicyFlags, PolicyMatch,
    Port,
};

use crate::apart::plain;
use crate::config;
use crate::layers::L4;
use crate::maps;

/// Bits of protocol and port that an entry counts which has a protocol and no port.
const PROTOCOL_BITS: u8 = 8;

plain! {
    /// Whose policy is asked, and about whom.
    pub struct Subject {
        pub endpoint: EndpointId,
        /// What the policy denies goes on all the same.
        pub audit: bool,
        pub direction: Direction,
        /// The other end.
        pub remote: Identity,
    }
}

plain! {
    /// What a policy says of a packet.
    pub struct Verdict {
        /// Why not.
        pub denial: Option<DropReason>,
        pub found: PolicyMatch,
        /// The port of a proxy; 0 for none.
        pub proxy_port: Port,
        pub cookie: u32,
        pub auth_type: u8,
        pub unused: [u8; 3],
    }
}

impl Subject {
    /// Whether what the policy denies goes on all the same.
    #[inline(always)]
    pub fn audits(&self) -> bool {
        self.audit || config::audits()
    }
}

/// Asks the policy.
#[inline(always)]
pub fn check(subject: &Subject, l4: &L4) -> Verdict {
    let own = find(subject, subject.remote, l4);
    if let Some(own) = own
        && denies(own)
    {
        return decide(own, true);
    }
    match (own, find(subject, Identity::UNKNOWN, l4)) {
        (None, None) => Verdict {
            denial: Some(DropReason::PolicyDenied),
            found: PolicyMatch::None,
            proxy_port: Port::new(0),
            cookie: 0,
            auth_type: 0,
            unused: [0; 3],
        },
        (None, Some(any)) => decide(any, false),
        (Some(own), Some(any)) if goes_before(any, own) => decide(any, false),
        (Some(own), _) => decide(own, true),
    }
}

/// The narrowest entry for an identity.
#[inline(always)]
fn find(subject: &Subject, identity: Identity, l4: &L4) -> Option<&'static PolicyEntry> {
    maps::policy(PolicyData::new(
        subject.endpoint,
        subject.direction,
        identity,
        l4.protocol,
        l4.policy_port(),
    ))
}

#[inline(always)]
fn denies(entry: &PolicyEntry) -> bool {
    entry.flags.has(PolicyFlags::DENY)
}

/// Whether the entry for anybody decides, and not the one for the identity, which allows.
#[inline(always)]
fn goes_before(any: &PolicyEntry, own: &PolicyEntry) -> bool {
    let rank =
        |entry: &PolicyEntry| u16::from(entry.precedence) << 8 | u16::from(entry.lpm_prefix_length);
    denies(any) || rank(any) > rank(own)
}

#[inline(always)]
fn decide(entry: &PolicyEntry, for_identity: bool) -> Verdict {
    let denial = if denies(entry) {
        Some(DropReason::PolicyDeny)
    } else if entry.auth_type != 0 {
        Some(DropReason::AuthRequired)
    } else {
        None
    };
    let found = match (for_identity, entry.lpm_prefix_length) {
        (true, 0) => PolicyMatch::L3Only,
        (true, bits) if bits <= PROTOCOL_BITS => PolicyMatch::L3Proto,
        (true, _) => PolicyMatch::L3L4,
        (false, 0) => PolicyMatch::All,
        (false, bits) if bits <= PROTOCOL_BITS => PolicyMatch::ProtoOnly,
        (false, _) => PolicyMatch::L4Only,
    };
    Verdict {
        denial,
        proxy_port: entry.proxy_port,
        found,
        cookie: entry.cookie,
        auth_type: entry.auth_type,
        unused: [0; 3],
    }
}
