//! Policies and identities in the datapath's own terms, as entries of `policy` and `ipcache`.

use std::num::NonZeroU16;

use twinpath_abi::{
    Direction, EndpointId, Identity, PolicyData, PolicyEntry, PolicyKey, Port, PrefixKey, Protocol,
    RemoteEndpoint, map,
};

use crate::endpoints;
use crate::entries::Entry;
use crate::model::{Cluster, Endpoint, Known, ModelError, Place, PolicyRule, Problem};
use crate::policy::PortPrefix;

/// Both ways.
const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Bits of protocol and port that a key counts which has a protocol and no port.
const PROTOCOL_BITS: u8 = 8;

/// The policies of all endpoints. One that no rule of a direction names may speak with everybody that way.
pub(crate) fn policies(cluster: &Cluster) -> Result<Vec<Entry>, ModelError> {
    let mut entries = Vec::new();
    for (index, endpoint) in cluster.endpoints.iter().enumerate() {
        let id = endpoints::id(index, endpoint)?;
        for direction in DIRECTIONS {
            let names = |rule: &&PolicyRule| {
                rule.endpoint == endpoint.name && rule.direction.number() == direction
            };
            if !cluster.policies.iter().any(|rule| names(&rule)) {
                let data = data(id, direction, None, Protocol::ANY, 0);
                let key = PolicyKey::new(data, 0);
                entries.push(Entry::new(map::POLICY, &key, &PolicyEntry::allow(0)));
            }
        }
    }
    for (index, rule) in cluster.policies.iter().enumerate() {
        let of_rule = of_rule(rule, &cluster.endpoints);
        entries.extend(of_rule.map_err(|problem| ModelError {
            place: Place::Policy { index },
            problem,
        })?);
    }
    Ok(entries)
}

fn data(
    id: NonZeroU16,
    direction: Direction,
    identity: Option<u32>,
    protocol: Protocol,
    port: u16,
) -> PolicyData {
    PolicyData::new(
        EndpointId(id.get()),
        direction,
        identity.map_or(Identity::UNKNOWN, Identity),
        protocol,
        Port::new(port),
    )
}

fn of_rule(rule: &PolicyRule, all: &[Endpoint]) -> Result<Vec<Entry>, Problem> {
    let named = all
        .iter()
        .enumerate()
        .find(|(_, endpoint)| endpoint.name == rule.endpoint);
    let (index, endpoint) = named.ok_or_else(|| Problem::NoEndpoint(rule.endpoint.clone()))?;
    let id = endpoints::id(index, endpoint).map_err(|error| error.problem)?;
    let ports = match (rule.protocol, rule.port, rule.end_port) {
        (_, None, None) => vec![None],
        (None, _, _) | (_, None, Some(_)) => return Err(Problem::PortAlone),
        (Some(_), Some(first), end) => {
            let last = end.unwrap_or(first);
            if last < first {
                return Err(Problem::EmptyRange { first, last });
            }
            let prefixes = PortPrefix::range(first, last);
            prefixes.into_iter().map(Some).collect()
        }
    };
    let direction = rule.direction.number();
    let protocol = rule.protocol.map(|protocol| protocol.number());
    let entry = |prefix: Option<PortPrefix>| {
        let bits = match (protocol, prefix) {
            (None, _) => 0,
            (_, None) => PROTOCOL_BITS,
            (_, Some(prefix)) => PROTOCOL_BITS + prefix.bits(),
        };
        let port = prefix.map_or(0, PortPrefix::first);
        let protocol = protocol.unwrap_or(Protocol::ANY);
        let key = PolicyKey::new(data(id, direction, rule.identity, protocol, port), bits);
        Entry::new(map::POLICY, &key, &value(rule, bits))
    };
    Ok(ports.into_iter().map(entry).collect())
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

/// Who the addresses of this node's endpoints are, and whoever else is known.
pub(crate) fn identities(cluster: &Cluster) -> Vec<Entry> {
    let own = cluster.endpoints.iter().flat_map(|endpoint| {
        let remote = RemoteEndpoint::new(Identity(endpoint.identity), None);
        endpoint.addresses().map(move |ip| {
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            Entry::new(map::IPCACHE, &PrefixKey::new(ip, bits), &remote)
        })
    });
    own.chain(cluster.known.iter().map(known)).collect()
}

fn known(known: &Known) -> Entry {
    let key = PrefixKey::new(known.prefix.addr(), known.prefix.prefix_len());
    let remote = RemoteEndpoint::new(Identity(known.identity), known.tunnel);
    Entry::new(map::IPCACHE, &key, &remote)
}
