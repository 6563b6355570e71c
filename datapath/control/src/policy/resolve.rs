//! From the policies that select an endpoint to the entries of its map.

use std::collections::BTreeSet;

use twinpath_abi::{Identity, Protocol};

use super::entry::{Key, Layer4, PolicyMap, PortPrefix};
use super::{Action, DIRECTIONS, Direction, Entity, Peer, Policy, Ports, Rule, Traffic};
use crate::identity::{self, Host, Identities};

/// Looks up the numbers of a container's ports by name.
pub trait NamedPorts {
    /// The ports of this name that endpoints of an identity have.
    fn of_identity(&self, identity: Identity, name: &str, protocol: Protocol) -> BTreeSet<u16>;
}

/// The entries for an endpoint, from all policies that are for it.
///
/// `own` has the endpoint's own ports by name: an ingress rule is about them, an egress rule about those of the
/// peers; `host` is what the endpoint's node is to it. In a direction in which no policy puts the endpoint into default deny, all is allowed that is not
/// denied. A node may always speak with its endpoints.
pub fn resolve<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    identities: &Identities,
    host: Host,
    own: &dyn Fn(&str, Protocol) -> BTreeSet<u16>,
    ports: &dyn NamedPorts,
) -> PolicyMap {
    let mut map = PolicyMap::default();
    for policy in policies {
        for direction in &policy.default_deny {
            map.table_mut(*direction).deny_by_default(&policy.origin);
        }
        for rule in &policy.rules {
            let peers = peers(rule, identities, host);
            let table = map.table_mut(rule.direction);
            for key in keys(rule, &peers, own, ports, identities) {
                table.insert(key, rule.action, Some(&policy.origin));
            }
        }
    }
    for direction in DIRECTIONS {
        let table = map.table_mut(direction);
        if table.default_deny().is_empty() {
            table.insert(Key::ALL, Action::Allow, None);
        } else if direction == Direction::Ingress {
            let host = Key {
                identity: Some(Identity::HOST),
                layer4: Layer4::Any,
            };
            table.insert(host, Action::Allow, None);
        }
        table.let_deny_win();
    }
    map
}

/// Whom a rule speaks of: none for anybody.
type Peers = Option<BTreeSet<Identity>>;

fn peers(rule: &Rule, identities: &Identities, host: Host) -> Peers {
    let peers = rule.peers.as_ref()?;
    if peers.contains(&Peer::Entity(Entity::All)) {
        return None;
    }
    Some(
        peers
            .iter()
            .flat_map(|peer| peer_identities(peer, identities, host))
            .collect(),
    )
}

fn peer_identities(peer: &Peer, identities: &Identities, host: Host) -> Vec<Identity> {
    match peer {
        Peer::Labels(selector) => {
            let endpoints = identities.endpoints();
            let endpoints = endpoints.filter(|(labels, _)| selector.matches(labels));
            let reserved = identity::RESERVED.into_iter();
            let reserved = reserved
                .filter(|identity| selector.matches(&identity::reserved_labels(*identity, host)));
            // An address of a range is no less of the world than one of none.
            let ranges = identities
                .ranges()
                .filter(|(net, _)| selector.matches(&identity::range_labels(*net)));
            endpoints
                .map(|(_, identity)| identity)
                .chain(reserved)
                .chain(ranges.map(|(_, identity)| identity))
                .collect()
        }
        Peer::Entity(entity) => entity_identities(*entity, identities, host),
        Peer::Cidr { net, except } => {
            let within = identities.ranges().filter(|(range, _)| {
                net.contains(range) && !except.iter().any(|hole| hole.contains(range))
            });
            let whole = net.prefix_len() == 0 && !except.contains(net);
            let whole = whole.then(|| identity::world(net.addr().is_ipv4()));
            within.map(|(_, identity)| identity).chain(whole).collect()
        }
    }
}

fn entity_identities(entity: Entity, identities: &Identities, host: Host) -> Vec<Identity> {
    let ranges = |ipv4: bool, ipv6: bool| {
        let ranges = identities.ranges();
        let ranges = ranges.filter(move |(net, _)| if net.addr().is_ipv4() { ipv4 } else { ipv6 });
        ranges.map(|(_, identity)| identity)
    };
    match entity {
        Entity::All => identity::RESERVED.into(),
        Entity::World => [Identity::WORLD, Identity::WORLD_IPV4, Identity::WORLD_IPV6]
            .into_iter()
            .chain(ranges(true, true))
            .collect(),
        Entity::WorldIpv4 => [Identity::WORLD_IPV4]
            .into_iter()
            .chain(ranges(true, false))
            .collect(),
        Entity::WorldIpv6 => [Identity::WORLD_IPV6]
            .into_iter()
            .chain(ranges(false, true))
            .collect(),
        Entity::Cluster => [
            Identity::HOST,
            Identity::UNMANAGED,
            Identity::HEALTH,
            Identity::INIT,
            Identity::REMOTE_NODE,
            Identity::KUBE_APISERVER,
            Identity::INGRESS,
        ]
        .into_iter()
        .chain(
            identities
                .endpoints()
                .map(|(_, identity)| identity)
                .filter(|identity| identity.cluster() == Some(host.cluster)),
        )
        .collect(),
        Entity::Host => vec![Identity::HOST],
        Entity::RemoteNode => vec![Identity::REMOTE_NODE, Identity::KUBE_APISERVER],
        Entity::KubeApiserver if host.serves_api => vec![Identity::KUBE_APISERVER, Identity::HOST],
        Entity::KubeApiserver => vec![Identity::KUBE_APISERVER],
        Entity::Init => vec![Identity::INIT],
        Entity::Health => vec![Identity::HEALTH],
        Entity::Unmanaged => vec![Identity::UNMANAGED],
        Entity::Ingress => vec![Identity::INGRESS],
        Entity::None => Vec::new(),
    }
}

fn keys(
    rule: &Rule,
    peers: &Peers,
    own: &dyn Fn(&str, Protocol) -> BTreeSet<u16>,
    ports: &dyn NamedPorts,
    identities: &Identities,
) -> Vec<Key> {
    let everybody = || match peers {
        None => vec![None],
        Some(peers) => peers.iter().copied().map(Some).collect(),
    };
    let Some(traffic) = &rule.traffic else {
        let any = everybody().into_iter();
        return any
            .map(|identity| Key {
                identity,
                layer4: Layer4::Any,
            })
            .collect();
    };
    let mut keys = Vec::new();
    for traffic in traffic {
        match (traffic, rule.direction) {
            // The receiver's ports differ from one identity to another.
            (
                Traffic::Ports {
                    protocol,
                    ports: Ports::Named(name),
                },
                Direction::Egress,
            ) => {
                let receivers: Vec<_> = match peers {
                    None => identities
                        .endpoints()
                        .map(|(_, identity)| identity)
                        .collect(),
                    Some(peers) => peers.iter().copied().collect(),
                };
                for identity in receivers {
                    let numbers = ports.of_identity(identity, name, *protocol);
                    keys.extend(numbers.into_iter().map(|port| Key {
                        identity: Some(identity),
                        layer4: Layer4::Ports(*protocol, PortPrefix::exact(port)),
                    }));
                }
            }
            (traffic, _) => {
                let layer4 = layer4(traffic, own);
                for identity in everybody() {
                    keys.extend(layer4.iter().map(|layer4| Key {
                        identity,
                        layer4: *layer4,
                    }));
                }
            }
        }
    }
    keys
}

fn layer4(traffic: &Traffic, own: &dyn Fn(&str, Protocol) -> BTreeSet<u16>) -> Vec<Layer4> {
    match traffic {
        Traffic::Icmp { protocol, r#type } => {
            vec![Layer4::Ports(
                *protocol,
                PortPrefix::exact(u16::from(*r#type)),
            )]
        }
        Traffic::Ports { protocol, ports } => match ports {
            Ports::All => vec![Layer4::Protocol(*protocol)],
            Ports::Range(first, last) => PortPrefix::range(*first, *last)
                .into_iter()
                .map(|ports| Layer4::Ports(*protocol, ports))
                .collect(),
            Ports::Named(name) => own(name, *protocol)
                .into_iter()
                .map(|port| Layer4::Ports(*protocol, PortPrefix::exact(port)))
                .collect(),
        },
    }
}
