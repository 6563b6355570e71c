//! Cilium's `CiliumNetworkPolicy` and `CiliumClusterwideNetworkPolicy`.
//!
//! What a policy of a namespace selects is within that namespace unless it names another one; what a policy of
//! the cluster selects as peers are endpoints (`getEndpointSelector` in `pkg/k8s/apis/cilium.io/utils`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::kubernetes::cidr;
use super::ports::Style;
use super::selector::{Here, selector};
use super::{Action, Direction, Entity, Origin, Peer, Policy, Rule, Subject, Traffic, ports};
use crate::kubernetes::cilium::{self as api, CiliumPolicy, Kind, Section};
use crate::kubernetes::{ManifestError, Placed};
use crate::labels::{Key, NAMESPACE, NAMESPACE_LABELS, Operator, Selector, Source};

type At<'a> = Here<'a, CiliumPolicy>;

impl Policy {
    /// Reads a policy of Cilium: one of ours for each of its rules.
    ///
    /// # Errors
    /// A field whose value is not as the API has it.
    pub fn from_cilium(placed: &Placed<CiliumPolicy>) -> Result<Vec<Self>, ManifestError> {
        let here = Here::root(placed);
        let object = &placed.object;
        let namespace = match object.kind {
            Kind::Namespaced => Some(object.metadata.namespace.as_deref().unwrap_or("default")),
            Kind::Clusterwide => None,
        };
        let reader = Reader {
            namespace,
            origin: Origin {
                namespace: namespace.map(str::to_owned),
                name: object.metadata.name.clone().unwrap_or_default(),
            },
        };
        if object.kind == Kind::Clusterwide && object.metadata.namespace.is_some() {
            let at = here.field("metadata").field("namespace");
            return Err(at.error("expected no namespace, as the policy is of the whole cluster"));
        }
        let spec = object.spec.iter().map(|rule| (here.field("spec"), rule));
        let specs = object.specs.iter().enumerate();
        let specs = specs.map(|(index, rule)| (here.field("specs").index(index), rule));
        let rules: Vec<_> = spec.chain(specs).collect();
        if rules.is_empty() {
            return Err(here.error("expected `spec` or `specs`"));
        }
        rules
            .iter()
            .map(|(at, rule)| reader.policy(at, rule))
            .collect()
    }
}

/// What the rules of one object have in common.
struct Reader<'a> {
    namespace: Option<&'a str>,
    origin: Origin,
}

impl Reader<'_> {
    fn policy(&self, here: &At<'_>, rule: &api::Rule) -> Result<Policy, ManifestError> {
        let subject = self.subject(here, rule)?;
        if !has_sections(rule) {
            let expected = "expected at least one of `ingress`, `ingressDeny`, `egress` and `egressDeny` that is not empty; without, Cilium takes no rule";
            return Err(here.error(expected));
        }
        let mut rules = Vec::new();
        let ingress = [
            ("ingress", Action::Allow, &rule.ingress),
            ("ingressDeny", Action::Deny, &rule.ingress_deny),
        ];
        for (name, action, sections) in ingress {
            for (index, section) in sections.iter().flatten().enumerate() {
                let at = here.field(name).index(index);
                rules.extend(self.rule(&at, Direction::Ingress, action, &section.section())?);
            }
        }
        let egress = [
            ("egress", Action::Allow, &rule.egress),
            ("egressDeny", Action::Deny, &rule.egress_deny),
        ];
        for (name, action, sections) in egress {
            for (index, section) in sections.iter().flatten().enumerate() {
                let at = here.field(name).index(index);
                rules.extend(self.rule(&at, Direction::Egress, action, &section.section())?);
            }
        }
        Ok(Policy {
            origin: self.origin.clone(),
            subject,
            default_deny: default_deny(rule),
            rules,
        })
    }

    fn subject(&self, here: &At<'_>, rule: &api::Rule) -> Result<Subject, ManifestError> {
        match (&rule.endpoint_selector, &rule.node_selector) {
            (Some(endpoints), None) => {
                let mut selected =
                    selector(&here.field("endpointSelector"), endpoints, Key::parse)?;
                if let Some(namespace) = self.namespace {
                    own_namespace(&here.field("endpointSelector"), endpoints, namespace)?;
                    selected.require_value(Key::k8s(NAMESPACE), namespace);
                }
                Ok(Subject::Endpoints(selected))
            }
            (None, Some(_)) if self.namespace.is_some() => {
                let at = here.field("nodeSelector");
                Err(at.error("expected a CiliumClusterwideNetworkPolicy around it"))
            }
            (None, Some(nodes)) => {
                selector(&here.field("nodeSelector"), nodes, Key::parse).map(Subject::Nodes)
            }
            _ => Err(here.error("expected either `endpointSelector` or `nodeSelector`")),
        }
    }

    /// None for a section that says nothing: it puts its subject into default deny, and that is all.
    fn rule(
        &self,
        here: &At<'_>,
        direction: Direction,
        action: Action,
        section: &Section<'_>,
    ) -> Result<Option<Rule>, ManifestError> {
        let peers = self.peers(here, section)?;
        let traffic = traffic(here, section)?;
        if peers.is_none() && traffic.is_none() {
            return Ok(None);
        }
        Ok(Some(Rule {
            direction,
            action,
            peers,
            traffic,
        }))
    }

    fn peers(
        &self,
        here: &At<'_>,
        section: &Section<'_>,
    ) -> Result<Option<Vec<Peer>>, ManifestError> {
        let [endpoints, cidrs, cidr_sets, entities] = section.names;
        let given = [
            (endpoints, section.endpoints.map(<[_]>::len)),
            (cidrs, section.cidr.map(<[_]>::len)),
            (cidr_sets, section.cidr_set.map(<[_]>::len)),
            (entities, section.entities.map(<[_]>::len)),
        ];
        let mut filled = given
            .iter()
            .filter(|(_, len)| len.is_some_and(|len| len > 0));
        if let (Some((first, _)), Some((second, _))) = (filled.next(), filled.next()) {
            let combined = format!("expected a rule of its own, as `{first}` stands beside it");
            return Err(here.field(second).error(combined));
        }
        if given.iter().all(|(_, len)| len.is_none()) {
            return Ok(None);
        }
        // An empty list selects nobody, whatever stands beside it.
        if given.iter().any(|(_, len)| *len == Some(0)) {
            return Ok(Some(Vec::new()));
        }
        let mut peers = Vec::new();
        for (index, selector) in section.endpoints.into_iter().flatten().enumerate() {
            let at = here.field(endpoints).index(index);
            peers.push(Peer::Labels(self.endpoints(&at, selector)?));
        }
        for (index, text) in section.cidr.into_iter().flatten().enumerate() {
            let net = address_or_cidr(&here.field(cidrs).index(index), text)?;
            peers.push(Peer::Cidr {
                net,
                except: Vec::new(),
            });
        }
        for (index, set) in section.cidr_set.into_iter().flatten().enumerate() {
            peers.push(cidr_set(&here.field(cidr_sets).index(index), set)?);
        }
        for (index, name) in section.entities.into_iter().flatten().enumerate() {
            let at = here.field(entities).index(index);
            peers.push(Peer::Entity(
                entity(name).ok_or_else(|| at.error(ENTITIES))?,
            ));
        }
        Ok(Some(peers))
    }

    fn endpoints(
        &self,
        here: &At<'_>,
        endpoints: &LabelSelector,
    ) -> Result<Selector, ManifestError> {
        let mut selected = selector(here, endpoints, Key::parse)?;
        let names_one = selected
            .keys()
            .any(|key| key.name == NAMESPACE || key.name.starts_with(NAMESPACE_LABELS));
        let reserved = selected
            .keys()
            .any(|key| key.source == Some(Source::Reserved));
        if !names_one && !reserved {
            match self.namespace {
                Some(namespace) => selected.require_value(Key::k8s(NAMESPACE), namespace),
                None => selected.require(Key::k8s(NAMESPACE), Operator::Exists),
            }
        }
        Ok(selected)
    }
}

fn has_sections(rule: &api::Rule) -> bool {
    let ingress = [&rule.ingress, &rule.ingress_deny].into_iter().flatten();
    let egress = [&rule.egress, &rule.egress_deny].into_iter().flatten();
    ingress
        .map(Vec::len)
        .chain(egress.map(Vec::len))
        .any(|len| len > 0)
}

/// A policy of a namespace is for what is in it; Cilium takes another namespace out of its selector.
fn own_namespace(
    here: &At<'_>,
    endpoints: &LabelSelector,
    namespace: &str,
) -> Result<(), ManifestError> {
    let names_it = |key: &str| Key::parse(key).is_some_and(|key| key.name == NAMESPACE);
    let labels = endpoints.match_labels.iter().flatten();
    match labels.into_iter().find(|(key, _)| names_it(key)) {
        Some((key, value)) if value != namespace => {
            let at = here.field("matchLabels").field(key);
            Err(at.error(format!("expected the policy's own namespace, {namespace}")))
        }
        _ => Ok(()),
    }
}

/// The directions that the rule has sections for, unless it says otherwise.
fn default_deny(rule: &api::Rule) -> Vec<Direction> {
    let any = |lists: [bool; 2]| lists.into_iter().any(|filled| filled);
    let ingress = any([
        rule.ingress.as_ref().is_some_and(|list| !list.is_empty()),
        rule.ingress_deny
            .as_ref()
            .is_some_and(|list| !list.is_empty()),
    ]);
    let egress = any([
        rule.egress.as_ref().is_some_and(|list| !list.is_empty()),
        rule.egress_deny
            .as_ref()
            .is_some_and(|list| !list.is_empty()),
    ]);
    let said = rule.enable_default_deny;
    let mut directions = Vec::new();
    directions.extend(
        said.ingress
            .unwrap_or(ingress)
            .then_some(Direction::Ingress),
    );
    directions.extend(said.egress.unwrap_or(egress).then_some(Direction::Egress));
    directions
}

fn cidr_set(here: &At<'_>, set: &api::CidrSet) -> Result<Peer, ManifestError> {
    let net = cidr(&here.field("cidr"), &set.cidr)?;
    let mut except = Vec::new();
    for (index, text) in set.except.iter().enumerate() {
        let at = here.field("except").index(index);
        let hole = cidr(&at, text)?;
        if !net.contains(&hole) {
            return Err(at.error(format!("expected a part of {net}")));
        }
        except.push(hole);
    }
    Ok(Peer::Cidr { net, except })
}

/// `toCIDR` takes single addresses too.
fn address_or_cidr(here: &At<'_>, text: &str) -> Result<ipnet::IpNet, ManifestError> {
    match text.parse::<std::net::IpAddr>() {
        Ok(address) => Ok(address.into()),
        Err(_) => cidr(here, text),
    }
}

/// An empty list says nothing, as an absent one.
fn traffic(here: &At<'_>, section: &Section<'_>) -> Result<Option<Vec<Traffic>>, ManifestError> {
    let ports = section.ports.filter(|list| !list.is_empty());
    let icmps = section.icmps.filter(|list| !list.is_empty());
    match (ports, icmps) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(here
            .field("icmps")
            .error("expected a rule of its own, as `toPorts` stands beside it")),
        (Some(ports), None) => with_ports(&here.field("toPorts"), ports).map(Some),
        (None, Some(icmps)) => icmp_types(&here.field("icmps"), icmps).map(Some),
    }
}

fn with_ports(here: &At<'_>, lists: &[api::Ports]) -> Result<Vec<Traffic>, ManifestError> {
    let mut traffic = Vec::new();
    for (index, list) in lists.iter().enumerate() {
        let at = here.index(index);
        if list.ports.is_empty() {
            return Err(at.error("expected at least one of `ports`"));
        }
        for (index, port) in list.ports.iter().enumerate() {
            let at = at.field("ports").index(index);
            let ports = ports::ports(&port.port, port.end_port, Style::Cilium).map_err(
                |(end, expected)| {
                    at.field(if end { "endPort" } else { "port" })
                        .error(expected)
                },
            )?;
            let protocols = ports::protocols(port.protocol.as_deref().unwrap_or("ANY"))
                .ok_or_else(|| at.field("protocol").error("expected TCP, UDP, SCTP or ANY"))?;
            traffic.extend(protocols.into_iter().map(|protocol| Traffic::Ports {
                protocol,
                ports: ports.clone(),
            }));
        }
    }
    Ok(traffic)
}

fn icmp_types(here: &At<'_>, lists: &[api::Icmps]) -> Result<Vec<Traffic>, ManifestError> {
    let mut traffic = Vec::new();
    for (index, list) in lists.iter().enumerate() {
        for (field, icmp) in list.fields.iter().enumerate() {
            let at = here.index(index).field("fields").index(field);
            let read = ports::icmp(icmp.family.as_deref(), &icmp.r#type);
            traffic.push(read.map_err(|(of_type, expected)| {
                at.field(if of_type { "type" } else { "family" })
                    .error(expected)
            })?);
        }
    }
    Ok(traffic)
}

const ENTITIES: &str = "expected all, world, world-ipv4, world-ipv6, cluster, host, remote-node, \
                        kube-apiserver, init, health, unmanaged, ingress or none";

fn entity(name: &str) -> Option<Entity> {
    Some(match name {
        "all" => Entity::All,
        "world" => Entity::World,
        "world-ipv4" => Entity::WorldIpv4,
        "world-ipv6" => Entity::WorldIpv6,
        "cluster" => Entity::Cluster,
        "host" => Entity::Host,
        "remote-node" => Entity::RemoteNode,
        "kube-apiserver" => Entity::KubeApiserver,
        "init" => Entity::Init,
        "health" => Entity::Health,
        "unmanaged" => Entity::Unmanaged,
        "ingress" => Entity::Ingress,
        "none" => Entity::None,
        _ => return None,
    })
}
