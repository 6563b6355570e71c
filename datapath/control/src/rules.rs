//! Policies in the datapath's own terms, as entries of `policy`.

use std::num::NonZeroU16;

use twinpath_abi::{EndpointId, Identity, PolicyData, PolicyEntry, PolicyKey, Port, Protocol, map};

use crate::endpoints::LocalEndpoint;
use crate::entries::Entry;
use crate::model::{Cluster, ModelError, Place, PolicyRule, Problem};
use crate::policy::PortPrefix;

/// Bits of protocol and port that a key counts which has a protocol and no port.
const PROTOCOL_BITS: u8 = 8;

/// The entries of the rules for the node's endpoints, in the order of the rules.
pub(crate) fn entries(
    cluster: &Cluster,
    endpoints: &[LocalEndpoint],
) -> Result<Vec<Entry>, ModelError> {
    let mut entries = Vec::new();
    for (index, rule) in cluster.policies.iter().enumerate() {
        let fail = |problem| ModelError {
            place: Place::Policy { index },
            problem,
        };
        let mut names = cluster.endpoints.iter().map(|endpoint| &endpoint.name);
        if !names.any(|name| *name == rule.endpoint) {
            return Err(fail(Problem::NoEndpoint(rule.endpoint.clone())));
        }
        let ports = ports(rule).map_err(fail)?;
        let mut local = endpoints.iter();
        if let Some(local) = local.find(|local| local.member.name == rule.endpoint) {
            entries.extend(ports.into_iter().map(|ports| entry(rule, local.id, ports)));
        }
    }
    Ok(entries)
}

fn ports(rule: &PolicyRule) -> Result<Vec<Option<PortPrefix>>, Problem> {
    match (rule.protocol, rule.port, rule.end_port) {
        (_, None, None) => Ok(vec![None]),
        (None, _, _) | (_, None, Some(_)) => Err(Problem::PortAlone),
        (Some(_), Some(first), end) => {
            let last = end.unwrap_or(first);
            if last < first {
                return Err(Problem::EmptyRange { first, last });
            }
            let prefixes = PortPrefix::range(first, last);
            Ok(prefixes.into_iter().map(Some).collect())
        }
    }
}

fn entry(rule: &PolicyRule, endpoint: EndpointId, ports: Option<PortPrefix>) -> Entry {
    let protocol = rule.protocol.map(|protocol| protocol.number());
    let bits = match (protocol, ports) {
        (None, _) => 0,
        (_, None) => PROTOCOL_BITS,
        (_, Some(ports)) => PROTOCOL_BITS + ports.bits(),
    };
    let data = PolicyData::new(
        endpoint,
        rule.direction.number(),
        rule.identity.map_or(Identity::UNKNOWN, Identity),
        protocol.unwrap_or(Protocol::ANY),
        Port::new(ports.map_or(0, PortPrefix::first)),
    );
    let key = PolicyKey::new(data, bits);
    Entry::new(map::POLICY, &key, &value(rule, bits))
}

fn value(rule: &PolicyRule, bits: u8) -> PolicyEntry {
    let entry = if rule.deny {
        PolicyEntry::deny(bits)
    } else {
        PolicyEntry::allow(bits)
    };
    PolicyEntry {
        proxy_port: Port::new(rule.proxy.map_or(0, NonZeroU16::get)),
        auth_type: rule.auth,
        precedence: rule.precedence,
        cookie: rule.cookie,
        ..entry
    }
}
