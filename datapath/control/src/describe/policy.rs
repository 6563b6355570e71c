//! Entries of policies.

use twinpath_abi::{
    Direction, Identity, POLICY_STATIC_BITS, PolicyData, PolicyEntry, PolicyFlags, PolicyKey,
};

use super::Fields;

/// `endpoint 1, ingress, identity 1001, tcp 80/16`.
pub(super) fn key(key: &PolicyKey) -> Fields {
    let data = key.data;
    let direction = if data.egress == PolicyData::EGRESS {
        Direction::Egress
    } else {
        Direction::Ingress
    };
    let mut fields = vec![
        ("endpoint", data.endpoint.to_string()),
        ("", direction.name().to_owned()),
        match data.identity {
            Identity::UNKNOWN => ("", "anybody".to_owned()),
            identity => ("identity", identity.to_string()),
        },
    ];
    match key.prefix_len.saturating_sub(POLICY_STATIC_BITS) {
        0 => fields.push(("", "all".to_owned())),
        bits => {
            let port = bits.saturating_sub(8);
            let text = if port == 0 {
                data.protocol.to_string()
            } else {
                format!("{} {}/{port}", data.protocol, data.dport)
            };
            fields.push(("", text));
        }
    }
    fields
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
