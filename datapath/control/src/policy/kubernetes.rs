//! Kubernetes' `NetworkPolicy`, networking.k8s.io/v1.

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::ports::Style;
use super::selector::{Here, selector};
use super::{Action, Direction, Origin, Peer, Policy, Ports, Rule, Subject, Traffic, ports};
use crate::kubernetes::{ManifestError, Placed};
use crate::labels::{Key, NAMESPACE, NAMESPACE_LABELS, Operator, Selector};

type At<'a> = Here<'a, NetworkPolicy>;

impl Policy {
    /// Reads a `NetworkPolicy`.
    ///
    /// # Errors
    /// A field whose value is not as the API has it.
    pub fn from_kubernetes(placed: &Placed<NetworkPolicy>) -> Result<Self, ManifestError> {
        let here = Here::root(placed);
        let metadata = &placed.object.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or("default");
        let Some(spec) = &placed.object.spec else {
            return Err(here.error("expected `spec`"));
        };
        let at = here.field("spec");
        let empty = LabelSelector::default();
        let pods = spec.pod_selector.as_ref().unwrap_or(&empty);
        let mut subject = selector(&at.field("podSelector"), pods, |name| Some(Key::k8s(name)))?;
        subject.require_value(Key::k8s(NAMESPACE), namespace);
        let default_deny = directions(&at, spec)?;
        let mut rules = Vec::new();
        for direction in &default_deny {
            rules.extend(section(&at, spec, *direction, namespace)?);
        }
        Ok(Self {
            origin: Origin {
                namespace: Some(namespace.to_owned()),
                name: metadata.name.clone().unwrap_or_default(),
            },
            subject: Subject::Endpoints(subject),
            default_deny,
            rules,
        })
    }
}

/// The directions that the policy is about: `policyTypes`, or else ingress, and egress if there is such a
/// section.
fn directions(here: &At<'_>, spec: &NetworkPolicySpec) -> Result<Vec<Direction>, ManifestError> {
    let Some(types) = spec.policy_types.as_ref().filter(|types| !types.is_empty()) else {
        let mut directions = vec![Direction::Ingress];
        directions.extend(spec.egress.as_ref().map(|_| Direction::Egress));
        return Ok(directions);
    };
    let mut directions = Vec::new();
    for (index, name) in types.iter().enumerate() {
        directions.push(match name.as_str() {
            "Ingress" => Direction::Ingress,
            "Egress" => Direction::Egress,
            _ => {
                let at = here.field("policyTypes").index(index);
                return Err(at.error("expected Ingress or Egress"));
            }
        });
    }
    directions.sort();
    directions.dedup();
    Ok(directions)
}

fn section(
    here: &At<'_>,
    spec: &NetworkPolicySpec,
    direction: Direction,
    namespace: &str,
) -> Result<Vec<Rule>, ManifestError> {
    let (name, peers_name) = match direction {
        Direction::Ingress => ("ingress", "from"),
        Direction::Egress => ("egress", "to"),
    };
    let parts: Vec<_> = match direction {
        Direction::Ingress => {
            let rules = spec.ingress.iter().flatten();
            rules.map(|rule| (&rule.from, &rule.ports)).collect()
        }
        Direction::Egress => {
            let rules = spec.egress.iter().flatten();
            rules.map(|rule| (&rule.to, &rule.ports)).collect()
        }
    };
    let rules = parts
        .into_iter()
        .enumerate()
        .map(|(index, (peers, ports))| {
            let at = here.field(name).index(index);
            Ok(Rule {
                direction,
                action: Action::Allow,
                peers: all(&at.field(peers_name), peers, |at, each| {
                    peer(at, each, namespace)
                })?,
                traffic: all(&at.field("ports"), ports, traffic)?,
            })
        });
    rules.collect()
}

/// What a list says; an absent or empty one says nothing, and so restricts nothing.
fn all<T, U>(
    here: &At<'_>,
    list: &Option<Vec<T>>,
    read: impl Fn(&At<'_>, &T) -> Result<U, ManifestError>,
) -> Result<Option<Vec<U>>, ManifestError> {
    let Some(list) = list.as_ref().filter(|list| !list.is_empty()) else {
        return Ok(None);
    };
    let values = list.iter().enumerate();
    values
        .map(|(index, value)| read(&here.index(index), value))
        .collect::<Result<_, _>>()
        .map(Some)
}

fn peer(here: &At<'_>, peer: &NetworkPolicyPeer, namespace: &str) -> Result<Peer, ManifestError> {
    match (&peer.ip_block, &peer.pod_selector, &peer.namespace_selector) {
        (Some(block), None, None) => ip_block(&here.field("ipBlock"), block),
        (Some(_), ..) => Err(here.error("expected nothing else beside `ipBlock`")),
        (None, None, None) => {
            Err(here.error("expected `podSelector`, `namespaceSelector` or `ipBlock`"))
        }
        (None, pods, namespaces) => {
            let mut selected = Selector::default();
            if let Some(pods) = pods {
                selected = selector(&here.field("podSelector"), pods, |name| {
                    Some(Key::k8s(name))
                })?;
            }
            match namespaces {
                None => selected.require_value(Key::k8s(NAMESPACE), namespace),
                Some(namespaces) => {
                    let label = |name: &str| Some(Key::k8s(format!("{NAMESPACE_LABELS}{name}")));
                    let at = here.field("namespaceSelector");
                    selected.extend(selector(&at, namespaces, label)?);
                    // Any namespace, but a namespace: not the world.
                    selected.require(Key::k8s(NAMESPACE), Operator::Exists);
                }
            }
            Ok(Peer::Labels(selected))
        }
    }
}

fn ip_block(here: &At<'_>, block: &IPBlock) -> Result<Peer, ManifestError> {
    let net = cidr(&here.field("cidr"), &block.cidr)?;
    let mut except = Vec::new();
    for (index, text) in block.except.iter().flatten().enumerate() {
        let at = here.field("except").index(index);
        let hole = cidr(&at, text)?;
        if !net.contains(&hole) || hole == net {
            return Err(at.error(format!("expected a part of {net}")));
        }
        except.push(hole);
    }
    Ok(Peer::Cidr { net, except })
}

pub fn cidr<T>(here: &Here<'_, T>, text: &str) -> Result<IpNet, ManifestError> {
    let net: IpNet = text
        .parse()
        .map_err(|_| here.error("expected addresses such as 192.0.2.0/24"))?;
    Ok(net.trunc())
}

fn traffic(here: &At<'_>, port: &NetworkPolicyPort) -> Result<Traffic, ManifestError> {
    let protocol = ports::protocol(port.protocol.as_deref().unwrap_or("TCP"))
        .ok_or_else(|| here.field("protocol").error("expected TCP, UDP or SCTP"))?;
    let ports = match (&port.port, port.end_port) {
        (None, None) => Ports::All,
        (None, Some(_)) => return Err(here.error("expected `port` beside `endPort`")),
        (Some(number), end) => {
            ports::ports(number, end, Style::Kubernetes).map_err(|(end, expected)| {
                here.field(if end { "endPort" } else { "port" })
                    .error(expected)
            })?
        }
    };
    Ok(Traffic::Ports { protocol, ports })
}
