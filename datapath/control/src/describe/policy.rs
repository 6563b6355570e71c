//! Entries of policies.

use twinpath_abi::{
    Direction, EndpointId, Identity, POLICY_STATIC_BITS, PolicyData, PolicyEntry, PolicyFlags,
    PolicyKey, Protocol,
};

use super::Fields;

/// `endpoint 1, ingress, identity 1001, 80/tcp`: of several ports, the first and the last.
pub(super) fn key(key: &PolicyKey) -> Fields {
    let data = key.data;
    let direction = if data.egress == PolicyData::EGRESS {
        Direction::Egress
    } else {
        Direction::Ingress
    };
    let endpoint = match data.endpoint {
        EndpointId::HOST => "host".to_owned(),
        id => id.to_string(),
    };
    let identity = match data.identity {
        Identity::UNKNOWN => "any".to_owned(),
        identity => identity.to_string(),
    };
    vec![
        ("endpoint", endpoint),
        ("", direction.name().to_owned()),
        ("identity", identity),
        ("", layer4(key)),
    ]
}

fn layer4(key: &PolicyKey) -> String {
    let PolicyData {
        protocol, dport, ..
    } = key.data;
    let bits = key.prefix_len.saturating_sub(POLICY_STATIC_BITS);
    let icmp = protocol == Protocol::ICMP || protocol == Protocol::ICMPV6;
    let first = u32::from(dport.get());
    match bits.checked_sub(8) {
        None => "any".to_owned(),
        Some(0) => protocol.to_string(),
        Some(16..) if icmp => format!("{protocol} type {first}"),
        Some(16..) => format!("{first}/{protocol}"),
        Some(bits) => format!("{first}-{}/{protocol}", first | (0xffff >> bits)),
    }
}

pub(super) fn value(entry: &PolicyEntry) -> Fields {
    let denies = entry.flags.has(PolicyFlags::DENY);
    let mut fields = vec![("", if denies { "deny" } else { "allow" }.to_owned())];
    let optional = [
        ("proxy", u32::from(entry.proxy_port.get())),
        ("auth", u32::from(entry.auth_type)),
        ("precedence", u32::from(entry.precedence)),
        ("cookie", entry.cookie),
    ];
    let given = optional.into_iter().filter(|(_, number)| *number != 0);
    fields.extend(given.map(|(name, number)| (name, number.to_string())));
    fields
}
