//! Who may speak with whom, said a second time: straight from the API's objects, packet by packet. It knows nothing
//! of identities, maps, prefixes or precedence.
//!
//! Written from the documentation of `NetworkPolicy` (networking.k8s.io/v1) and of Cilium's policies (the pages
//! "Layer 3", "Layer 4", "Deny policies", "Policy enforcement modes" and "Kubernetes constructs").

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use twinpath_control::kubernetes::Objects;
use twinpath_control::kubernetes::cilium::{
    CidrSet, CiliumPolicy, Egress, Icmps, Ingress, Kind, Ports, Rule,
};
use twinpath_control::policy::Direction;

/// Somebody who speaks.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    /// A pod on the cluster's network.
    Pod(&'a Pod),
    /// The node of the pod in question.
    Host,
    /// The same, which serves the API.
    HostApiServer,
    /// Another node.
    RemoteNode,
    /// Another node, which serves the API.
    ApiServer,
    /// Anybody outside of the cluster.
    Outside(IpAddr),
}

/// What is spoken; for ICMP the type stands for the port.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    pub protocol: &'static str,
    pub port: u16,
}

pub struct Oracle<'a> {
    pub objects: &'a Objects,
}

/// What a rule's lists say: absent ones restrict nothing, nor do empty ones of ports and ICMP types. Empty ones of peers
/// match nobody.
struct Lists<'a> {
    endpoints: Option<&'a Vec<LabelSelector>>,
    cidr: Option<&'a Vec<String>>,
    cidr_set: Option<&'a Vec<CidrSet>>,
    entities: Option<&'a Vec<String>>,
    ports: Option<&'a Vec<Ports>>,
    icmps: Option<&'a Vec<Icmps>>,
}

/// What policies say of a packet.
#[derive(Default)]
struct Said {
    isolated: bool,
    allowed: bool,
    denied: bool,
}

impl Said {
    fn or(self, isolated: bool, allowed: bool) -> Self {
        Self {
            isolated: self.isolated || isolated,
            allowed: self.allowed || allowed,
            ..self
        }
    }

    /// Nobody keeps a node from its own pods, but by a denial.
    fn permits(&self, direction: Direction, other: End<'_>) -> bool {
        let from_host = matches!(
            (direction, other),
            (Direction::Ingress, End::Host | End::HostApiServer)
        );
        !self.denied && (self.allowed || from_host || !self.isolated)
    }
}

impl<'a> End<'a> {
    /// A node, as seen by the pods of another one or by its own.
    pub fn node(objects: &Objects, address: IpAddr, own: bool) -> End<'a> {
        let slices = objects.api_servers.iter().map(|placed| &placed.object);
        let mut servers = slices.flat_map(|slice| &slice.endpoints);
        let node = |node: &Node| node.status.clone().unwrap_or_default().addresses;
        let nodes = objects.nodes.iter().map(|placed| node(&placed.object));
        let mut of_node = nodes.flatten().filter(|addresses| {
            addresses
                .iter()
                .any(|known| known.address.parse() == Ok(address))
        });
        let all = of_node.next().unwrap_or_default();
        // Others know a node by the address, and its own pods by the node.
        let is_server = |text: &String| match own {
            true => all.iter().any(|known| known.address == *text),
            false => text.parse() == Ok(address),
        };
        match (
            servers.any(|server| server.addresses.iter().any(is_server)),
            own,
        ) {
            (false, true) => End::Host,
            (true, true) => End::HostApiServer,
            (false, false) => End::RemoteNode,
            (true, false) => End::ApiServer,
        }
    }
}

impl Oracle<'_> {
    /// Whether the pod's policy lets a packet pass that comes from, or goes to, the other end.
    pub fn allows(&self, pod: &Pod, direction: Direction, other: End<'_>, packet: Packet) -> bool {
        let receiver = match direction {
            Direction::Ingress => End::Pod(pod),
            Direction::Egress => other,
        };
        let mut isolated = false;
        let mut allowed = false;
        for policy in self
            .objects
            .network_policies
            .iter()
            .map(|placed| &placed.object)
        {
            if self.selects(policy, pod) && speaks_of(policy, direction) {
                isolated = true;
                allowed |= self.network_policy_allows(policy, direction, other, receiver, packet);
            }
        }
        let selects = |policy: &_, rule: &_| self.rule_selects(policy, rule, pod);
        let said = self.cilium_says(selects, direction, other, receiver, packet);
        said.or(isolated, allowed).permits(direction, other)
    }

    /// Whether the node's policy lets a packet pass that comes from, or goes to, the other end.
    pub fn allows_node(
        &self,
        node: &Node,
        direction: Direction,
        other: End<'_>,
        packet: Packet,
    ) -> bool {
        let receiver = match direction {
            Direction::Ingress => End::Host,
            Direction::Egress => other,
        };
        let labels = node.metadata.labels.clone().unwrap_or_default();
        let selects = |_: &_, rule: &Rule| {
            let label = |key: &str| {
                let key = key.split_once(':').map_or(key, |(_, key)| key);
                labels.get(key).cloned()
            };
            let mut selector = rule.node_selector.iter();
            selector.any(|selector| matches(selector, label))
        };
        let said = self.cilium_says(selects, direction, other, receiver, packet);
        said.permits(direction, other)
    }

    /// What Cilium's policies say of whom they select.
    fn cilium_says(
        &self,
        selects: impl Fn(&CiliumPolicy, &Rule) -> bool,
        direction: Direction,
        other: End<'_>,
        receiver: End<'_>,
        packet: Packet,
    ) -> Said {
        let mut said = Said::default();
        for policy in self
            .objects
            .cilium_policies
            .iter()
            .map(|placed| &placed.object)
        {
            for rule in policy.spec.iter().chain(&policy.specs) {
                if !selects(policy, rule) {
                    continue;
                }
                said.isolated |= isolates(rule, direction);
                let (allowing, denying) = sections(rule, direction);
                let matches =
                    |lists: &Lists<'_>| self.lists_match(policy, lists, other, receiver, packet);
                said.allowed |= allowing.iter().any(matches);
                said.denied |= denying.iter().any(matches);
            }
        }
        said
    }

    fn selects(&self, policy: &NetworkPolicy, pod: &Pod) -> bool {
        let selector = policy
            .spec
            .as_ref()
            .and_then(|spec| spec.pod_selector.as_ref());
        namespace(pod) == policy.metadata.namespace.as_deref().unwrap_or("default")
            && selector.is_none_or(|selector| matches(selector, |key| label(pod, key)))
    }

    fn network_policy_allows(
        &self,
        policy: &NetworkPolicy,
        direction: Direction,
        other: End<'_>,
        receiver: End<'_>,
        packet: Packet,
    ) -> bool {
        let Some(spec) = &policy.spec else {
            return false;
        };
        let peer_matches = |peers: &Option<Vec<NetworkPolicyPeer>>| {
            let peers = peers.iter().flatten().collect::<Vec<_>>();
            peers.is_empty() || peers.iter().any(|peer| self.is_peer(policy, peer, other))
        };
        let port_matches = |ports: &Option<Vec<NetworkPolicyPort>>| {
            let ports = ports.iter().flatten().collect::<Vec<_>>();
            ports.is_empty() || ports.iter().any(|port| is_port(port, receiver, packet))
        };
        match direction {
            Direction::Ingress => spec
                .ingress
                .iter()
                .flatten()
                .any(|rule| peer_matches(&rule.from) && port_matches(&rule.ports)),
            Direction::Egress => spec
                .egress
                .iter()
                .flatten()
                .any(|rule| peer_matches(&rule.to) && port_matches(&rule.ports)),
        }
    }

    fn is_peer(&self, policy: &NetworkPolicy, peer: &NetworkPolicyPeer, other: End<'_>) -> bool {
        if let Some(block) = &peer.ip_block {
            let except = block.except.clone().unwrap_or_default();
            return matches!(other, End::Outside(address) if within(address, &block.cidr, &except));
        }
        let End::Pod(pod) = other else { return false };
        let in_namespace = match &peer.namespace_selector {
            None => namespace(pod) == policy.metadata.namespace.as_deref().unwrap_or("default"),
            Some(selector) => matches(selector, |key| self.namespace_label(namespace(pod), key)),
        };
        let selector = peer.pod_selector.as_ref();
        in_namespace && selector.is_none_or(|selector| matches(selector, |key| label(pod, key)))
    }

    fn namespace_label(&self, namespace: &str, key: &str) -> Option<String> {
        let object = self.objects.namespaces.iter().map(|placed| &placed.object);
        let mut object = object.filter(|object| object.metadata.name.as_deref() == Some(namespace));
        let labels = object
            .next()
            .and_then(|object| object.metadata.labels.clone());
        let given = labels.and_then(|labels| labels.get(key).cloned());
        given.or_else(|| (key == "kubernetes.io/metadata.name").then(|| namespace.to_owned()))
    }

    fn rule_selects(&self, policy: &CiliumPolicy, rule: &Rule, pod: &Pod) -> bool {
        let in_namespace = match policy.kind {
            Kind::Clusterwide => true,
            Kind::Namespaced => {
                namespace(pod) == policy.metadata.namespace.as_deref().unwrap_or("default")
            }
        };
        let selector = rule.endpoint_selector.as_ref();
        in_namespace
            && selector.is_some_and(|selector| {
                matches(selector, |key| self.cilium_label(End::Pod(pod), key))
            })
    }

    fn lists_match(
        &self,
        policy: &CiliumPolicy,
        lists: &Lists<'_>,
        other: End<'_>,
        receiver: End<'_>,
        packet: Packet,
    ) -> bool {
        let peers_given = lists.endpoints.is_some()
            || lists.cidr.is_some()
            || lists.cidr_set.is_some()
            || lists.entities.is_some();
        let none_of_a_list = [
            lists.endpoints.map(Vec::len),
            lists.cidr.map(Vec::len),
            lists.cidr_set.map(Vec::len),
            lists.entities.map(Vec::len),
        ]
        .contains(&Some(0));
        if none_of_a_list {
            return false;
        }
        let traffic_given = lists.ports.is_some_and(|list| !list.is_empty())
            || lists.icmps.is_some_and(|list| !list.is_empty());
        let peer = lists.endpoints.into_iter().flatten().any(|selector| self.is_endpoint(policy, selector, other))
            || lists.cidr.into_iter().flatten().any(|cidr| {
                matches!(other, End::Outside(address) if within(address, cidr, &[]))
            })
            || lists.cidr_set.into_iter().flatten().any(|set| {
                matches!(other, End::Outside(address) if within(address, &set.cidr, &set.except))
            })
            || lists.entities.into_iter().flatten().any(|entity| is_entity(entity, other));
        let traffic = lists
            .ports
            .into_iter()
            .flatten()
            .flat_map(|ports| &ports.ports)
            .any(|port| {
                let protocol = port.protocol.as_deref().unwrap_or("ANY");
                let any = protocol == "ANY" && matches!(packet.protocol, "TCP" | "UDP" | "SCTP");
                (any || protocol == packet.protocol)
                    && port_is(&port.port, port.end_port, receiver, packet, true)
            })
            || lists
                .icmps
                .into_iter()
                .flatten()
                .flat_map(|icmps| &icmps.fields)
                .any(|icmp| {
                    let protocol = if icmp.family.as_deref() == Some("IPv6") {
                        "ICMPv6"
                    } else {
                        "ICMP"
                    };
                    let echo = IntOrString::String("EchoRequest".to_owned());
                    let is_echo = matches!((protocol, packet.port), ("ICMP", 8) | ("ICMPv6", 128));
                    protocol == packet.protocol
                        && (icmp.r#type == IntOrString::Int(i32::from(packet.port))
                            || icmp.r#type == echo && is_echo)
                });
        // A rule that says nothing allows nothing: it only isolates.
        (peers_given || traffic_given) && (peer || !peers_given) && (traffic || !traffic_given)
    }

    fn is_endpoint(&self, policy: &CiliumPolicy, selector: &LabelSelector, other: End<'_>) -> bool {
        let keys = selector
            .match_labels
            .iter()
            .flatten()
            .map(|(key, _)| key.as_str());
        let keys = keys.chain(
            selector
                .match_expressions
                .iter()
                .flatten()
                .map(|each| each.key.as_str()),
        );
        let keys: Vec<_> = keys.collect();
        let plain = |key: &str| {
            key.split_once(':')
                .map_or(key.to_owned(), |(_, key)| key.to_owned())
        };
        let names_namespace = keys.iter().any(|key| {
            let key = plain(key);
            key == "io.kubernetes.pod.namespace"
                || key.starts_with("io.cilium.k8s.namespace.labels.")
        });
        let reserved = keys.iter().any(|key| key.starts_with("reserved:"));
        let in_scope = names_namespace
            || reserved
            || match (policy.kind, other) {
                (_, End::Pod(pod)) if policy.kind == Kind::Namespaced => {
                    namespace(pod) == policy.metadata.namespace.as_deref().unwrap_or("default")
                }
                (Kind::Clusterwide, End::Pod(_)) => true,
                _ => false,
            };
        in_scope && matches(selector, |key| self.cilium_label(other, key))
    }

    fn cilium_label(&self, end: End<'_>, key: &str) -> Option<String> {
        let (source, key) = key.split_once(':').unwrap_or(("any", key));
        let reserved = match end {
            End::Pod(_) => &[][..],
            End::Host => &["host"],
            End::HostApiServer => &["host", "kube-apiserver"],
            End::RemoteNode => &["remote-node"],
            End::ApiServer => &["kube-apiserver", "remote-node"],
            End::Outside(IpAddr::V4(_)) => &["world-ipv4"],
            End::Outside(IpAddr::V6(_)) => &["world-ipv6"],
        };
        if source != "k8s" && reserved.contains(&key) {
            return Some(String::new());
        }
        let End::Pod(pod) = end else { return None };
        if source == "reserved" {
            return None;
        }
        match key {
            "io.kubernetes.pod.namespace" => return Some(namespace(pod).to_owned()),
            // There is but one.
            "io.cilium.k8s.policy.cluster" => return Some("default".to_owned()),
            "io.cilium.k8s.policy.serviceaccount" => {
                let spec = pod.spec.as_ref();
                let account = spec.and_then(|spec| spec.service_account_name.clone());
                return account.or_else(|| Some("default".to_owned()));
            }
            _ => {}
        }
        match key.strip_prefix("io.cilium.k8s.namespace.labels.") {
            Some(key) => self.namespace_label(namespace(pod), key),
            None => label(pod, key),
        }
    }
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

fn label(pod: &Pod, key: &str) -> Option<String> {
    pod.metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(key))
        .cloned()
}

fn matches(selector: &LabelSelector, value: impl Fn(&str) -> Option<String>) -> bool {
    let empty = BTreeMap::new();
    let labels = selector.match_labels.as_ref().unwrap_or(&empty);
    let labels = labels
        .iter()
        .all(|(key, wanted)| value(key).as_ref() == Some(wanted));
    labels
        && selector
            .match_expressions
            .iter()
            .flatten()
            .all(|expression| {
                let values = expression.values.clone().unwrap_or_default();
                let value = value(&expression.key);
                match expression.operator.as_str() {
                    "In" => value.is_some_and(|value| values.contains(&value)),
                    "NotIn" => value.is_none_or(|value| !values.contains(&value)),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    other => panic!("no operator {other}"),
                }
            })
}

fn within(address: IpAddr, cidr: &str, except: &[String]) -> bool {
    let holds = |text: &str| {
        let net: IpNet = text
            .parse()
            .or_else(|_| text.parse().map(|ip: IpAddr| ip.into()))
            .expect("a range");
        net.contains(&address)
    };
    holds(cidr) && !except.iter().any(|hole| holds(hole))
}

fn speaks_of(policy: &NetworkPolicy, direction: Direction) -> bool {
    let Some(spec) = &policy.spec else {
        return false;
    };
    let types = spec.policy_types.clone().unwrap_or_default();
    match direction {
        Direction::Ingress => types.is_empty() || types.iter().any(|each| each == "Ingress"),
        Direction::Egress if types.is_empty() => spec.egress.is_some(),
        Direction::Egress => types.iter().any(|each| each == "Egress"),
    }
}

fn is_port(port: &NetworkPolicyPort, receiver: End<'_>, packet: Packet) -> bool {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    protocol == packet.protocol
        && port
            .port
            .as_ref()
            .is_none_or(|number| port_is(number, port.end_port, receiver, packet, false))
}

fn port_is(
    port: &IntOrString,
    end: Option<i32>,
    receiver: End<'_>,
    packet: Packet,
    digits: bool,
) -> bool {
    let first = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => match text.parse() {
            Ok(number) if digits => number,
            _ => return has_port(receiver, text, packet),
        },
    };
    let last = end.unwrap_or(first);
    first == 0 || (first..=last).contains(&i32::from(packet.port))
}

fn has_port(receiver: End<'_>, name: &str, packet: Packet) -> bool {
    let End::Pod(pod) = receiver else {
        return false;
    };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .flat_map(|container| container.ports.iter().flatten())
        .any(|port| {
            port.name.as_deref() == Some(name)
                && port.protocol.as_deref().unwrap_or("TCP") == packet.protocol
                && port.container_port == i32::from(packet.port)
        })
}

fn isolates(rule: &Rule, direction: Direction) -> bool {
    let (said, filled) = match direction {
        Direction::Ingress => (
            rule.enable_default_deny.ingress,
            [&rule.ingress, &rule.ingress_deny]
                .into_iter()
                .flatten()
                .any(|list| !list.is_empty()),
        ),
        Direction::Egress => (
            rule.enable_default_deny.egress,
            [&rule.egress, &rule.egress_deny]
                .into_iter()
                .flatten()
                .any(|list| !list.is_empty()),
        ),
    };
    said.unwrap_or(filled)
}

/// The sections that allow, and those that deny.
fn sections(rule: &Rule, direction: Direction) -> (Vec<Lists<'_>>, Vec<Lists<'_>>) {
    fn lists<'a, T>(sections: &'a Option<Vec<T>>) -> Vec<Lists<'a>>
    where
        Lists<'a>: From<&'a T>,
    {
        sections.iter().flatten().map(Lists::from).collect()
    }
    match direction {
        Direction::Ingress => (lists(&rule.ingress), lists(&rule.ingress_deny)),
        Direction::Egress => (lists(&rule.egress), lists(&rule.egress_deny)),
    }
}

impl<'a> From<&'a Ingress> for Lists<'a> {
    fn from(section: &'a Ingress) -> Self {
        Self {
            endpoints: section.from_endpoints.as_ref(),
            cidr: section.from_cidr.as_ref(),
            cidr_set: section.from_cidr_set.as_ref(),
            entities: section.from_entities.as_ref(),
            ports: section.to_ports.as_ref(),
            icmps: section.icmps.as_ref(),
        }
    }
}

impl<'a> From<&'a Egress> for Lists<'a> {
    fn from(section: &'a Egress) -> Self {
        Self {
            endpoints: section.to_endpoints.as_ref(),
            cidr: section.to_cidr.as_ref(),
            cidr_set: section.to_cidr_set.as_ref(),
            entities: section.to_entities.as_ref(),
            ports: section.to_ports.as_ref(),
            icmps: section.icmps.as_ref(),
        }
    }
}

fn is_entity(entity: &str, other: End<'_>) -> bool {
    match entity {
        "all" => true,
        "world" => matches!(other, End::Outside(_)),
        "world-ipv4" => matches!(other, End::Outside(IpAddr::V4(_))),
        "world-ipv6" => matches!(other, End::Outside(IpAddr::V6(_))),
        "cluster" => !matches!(other, End::Outside(_)),
        "host" => matches!(other, End::Host | End::HostApiServer),
        "remote-node" => matches!(other, End::RemoteNode | End::ApiServer),
        "kube-apiserver" => matches!(other, End::ApiServer | End::HostApiServer),
        _ => false,
    }
}
