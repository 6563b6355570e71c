//! Who lives in a cluster: its pods and nodes, their identities, and the policies that are for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{self as core, Container};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use twinpath_abi::{Identity, Protocol};

use crate::identity::{Host, Identities};
use crate::kubernetes::{ManifestError, Objects, Path, Placed};
use crate::labels::{
    CLUSTER, CLUSTER_NAME, Labels, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT, Source,
    makes_identity,
};
use crate::policy::{self, NamedPorts, Peer, Policy, PolicyMap, Subject};

/// The label of a slice that says whose it is.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name, unique in the namespace.
    pub name: String,
    /// The labels that make its identity.
    pub labels: Labels,
    /// Its addresses, at most one a family; none before it has been started.
    pub addresses: Vec<IpAddr>,
    /// The node that it runs on.
    pub node: Option<String>,
    /// It shares its node's network, and so its node's identity.
    pub host_network: bool,
    /// Its containers' ports by protocol and name.
    pub ports: BTreeMap<(Protocol, String), u16>,
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Why a name is not that of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodName {
    /// No pod has it.
    None,
    /// Pods of several namespaces have it: those.
    Several(Vec<String>),
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels, for policies that select nodes.
    pub labels: Labels,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The ranges that its pods get their addresses from.
    pub pod_cidrs: Vec<IpNet>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Population {
    /// In the order of the manifests.
    pub pods: Vec<Pod>,
    /// In the order of the manifests.
    pub nodes: Vec<Node>,
    /// Addresses of nodes that serve the API.
    pub api_servers: BTreeSet<IpAddr>,
    /// Of every kind, in the order of the manifests.
    pub policies: Vec<Policy>,
    /// Who has which identity.
    pub identities: Identities,
}

impl Population {
    /// Reads all objects.
    ///
    /// # Errors
    /// A field whose value is not as the API has it, or two objects that contradict each other.
    pub fn new(objects: &Objects) -> Result<Self, ManifestError> {
        let namespaces = namespaces(objects);
        let pods: Vec<_> = objects
            .pods
            .iter()
            .map(|placed| pod(placed, &namespaces))
            .collect::<Result<_, _>>()?;
        unique(&objects.pods, &pods)?;
        let nodes: Vec<_> = objects.nodes.iter().map(node).collect::<Result<_, _>>()?;
        let api_servers = api_servers(&objects.api_servers, &nodes)?;
        let mut policies = Vec::new();
        for placed in &objects.network_policies {
            policies.push(Policy::from_kubernetes(placed)?);
        }
        for placed in &objects.cilium_policies {
            policies.extend(Policy::from_cilium(placed)?);
        }
        let labels = pods.iter().filter(|pod| !pod.host_network);
        let labels: Vec<_> = labels.map(|pod| pod.labels.clone()).collect();
        let identities = Identities::allocate(labels, ranges(&policies));
        Ok(Self {
            pods,
            nodes,
            api_servers,
            policies,
            identities,
        })
    }

    /// The pod of a name: `NAMESPACE/NAME`, or `NAME` alone if only one pod has it.
    ///
    /// # Errors
    /// No pod has the name, or more than one.
    pub fn pod(&self, name: &str) -> Result<&Pod, PodName> {
        let named: Vec<_> = match name.split_once('/') {
            Some((namespace, name)) => {
                let pods = self.pods.iter();
                pods.filter(|pod| pod.namespace == namespace && pod.name == name)
                    .collect()
            }
            None => self.pods.iter().filter(|pod| pod.name == name).collect(),
        };
        match named[..] {
            [] => Err(PodName::None),
            [pod] => Ok(pod),
            _ => Err(PodName::Several(
                named.iter().map(ToString::to_string).collect(),
            )),
        }
    }

    /// A node of a name, which gets these addresses if the manifests have none for it.
    pub fn house(&mut self, name: &str, addresses: [IpAddr; 2]) -> &Node {
        let place = self.nodes.iter().position(|node| node.name == name);
        let place = place.unwrap_or_else(|| {
            self.nodes.push(Node {
                name: name.to_owned(),
                labels: Labels::reserved("host"),
                addresses: Vec::new(),
                pod_cidrs: Vec::new(),
            });
            self.nodes.len() - 1
        });
        let node = &mut self.nodes[place];
        if node.addresses.is_empty() {
            node.addresses = addresses.to_vec();
        }
        node
    }

    /// A pod's identity, as others see it.
    pub fn identity(&self, pod: &Pod) -> Identity {
        if pod.host_network {
            return Identity::REMOTE_NODE;
        }
        let of_labels = self.identities.of_labels(&pod.labels);
        of_labels.unwrap_or(Identity::UNMANAGED)
    }

    /// The identity of an address as a node sees it: its own are the host's, other nodes' are remote.
    pub fn identity_of(&self, address: IpAddr, here: Option<&str>) -> Identity {
        let own = |addresses: &[IpAddr]| addresses.contains(&address);
        if let Some(node) = self.nodes.iter().find(|node| own(&node.addresses)) {
            return self.node_identity(address, Some(node.name.as_str()) == here);
        }
        let pod = self.pods.iter().find(|pod| own(&pod.addresses));
        pod.map_or_else(
            || self.identities.of_address(address),
            |pod| self.identity(pod),
        )
    }

    /// The identity of a node's address, as that node or another one sees it.
    pub fn node_identity(&self, address: IpAddr, own: bool) -> Identity {
        if own {
            Identity::HOST
        } else if self.api_servers.contains(&address) {
            Identity::KUBE_APISERVER
        } else {
            Identity::REMOTE_NODE
        }
    }

    /// What a node is to its own endpoints.
    fn host(&self, name: Option<&str>) -> Host {
        let mut nodes = self.nodes.iter();
        let node = nodes.find(|node| Some(node.name.as_str()) == name);
        let serves = |node: &Node| {
            node.addresses
                .iter()
                .any(|ip| self.api_servers.contains(ip))
        };
        Host {
            serves_api: node.is_some_and(serves),
        }
    }

    /// The policy of a pod.
    pub fn policy(&self, pod: &Pod) -> PolicyMap {
        let selecting = self.policies.iter().filter(|policy| {
            matches!(&policy.subject, Subject::Endpoints(selector) if selector.matches(&pod.labels))
        });
        let own = |name: &str, protocol: Protocol| {
            let port = pod.ports.get(&(protocol, name.to_owned()));
            port.copied().into_iter().collect::<BTreeSet<_>>()
        };
        let host = self.host(pod.node.as_deref());
        policy::resolve(selecting, &self.identities, host, &own, self)
    }

    /// The policy of a node's own traffic.
    pub fn host_policy(&self, node: &Node) -> PolicyMap {
        let selecting = self.policies.iter().filter(|policy| {
            matches!(&policy.subject, Subject::Nodes(selector) if selector.matches(&node.labels))
        });
        let none = |_: &str, _| BTreeSet::new();
        let host = self.host(Some(&node.name));
        policy::resolve(selecting, &self.identities, host, &none, self)
    }
}

impl NamedPorts for Population {
    fn of_identity(&self, identity: Identity, name: &str, protocol: Protocol) -> BTreeSet<u16> {
        let pods = self
            .pods
            .iter()
            .filter(|pod| self.identity(pod) == identity);
        let ports = pods.filter_map(|pod| pod.ports.get(&(protocol, name.to_owned())));
        ports.copied().collect()
    }
}

/// The ranges that policies speak of.
fn ranges(policies: &[Policy]) -> Vec<IpNet> {
    let rules = policies.iter().flat_map(|policy| &policy.rules);
    let peers = rules.flat_map(|rule| rule.peers.iter().flatten());
    let nets = peers.flat_map(|peer| match peer {
        Peer::Cidr { net, except } => [*net].into_iter().chain(except.clone()).collect(),
        Peer::Labels(_) | Peer::Entity(_) => Vec::new(),
    });
    nets.collect()
}

type NamespaceLabels = BTreeMap<String, BTreeMap<String, String>>;

/// The labels of each namespace. Kubernetes itself gives each one its name as a label.
fn namespaces(objects: &Objects) -> NamespaceLabels {
    let namespaces = objects.namespaces.iter();
    namespaces
        .map(|placed| {
            let metadata = &placed.object.metadata;
            let labels = metadata.labels.clone().unwrap_or_default();
            (metadata.name.clone().unwrap_or_default(), labels)
        })
        .collect()
}

fn pod(placed: &Placed<core::Pod>, namespaces: &NamespaceLabels) -> Result<Pod, ManifestError> {
    let root = Path::default();
    let metadata = &placed.object.metadata;
    let Some(name) = metadata.name.clone() else {
        return Err(placed.error(&root.field("metadata"), "expected `name`"));
    };
    let namespace = metadata
        .namespace
        .clone()
        .unwrap_or_else(|| "default".to_owned());
    let spec = placed.object.spec.clone().unwrap_or_default();
    Ok(Pod {
        labels: labels(&namespace, placed, &spec, namespaces),
        addresses: pod_addresses(placed)?,
        host_network: spec.host_network == Some(true),
        ports: named_ports(&spec.containers),
        node: spec.node_name,
        namespace,
        name,
    })
}

fn labels(
    namespace: &str,
    placed: &Placed<core::Pod>,
    spec: &core::PodSpec,
    namespaces: &NamespaceLabels,
) -> Labels {
    let mut labels = Labels::default();
    let own = placed.object.metadata.labels.iter().flatten();
    for (key, value) in own.filter(|(key, _)| makes_identity(key)) {
        labels.insert(Source::K8s, key, value);
    }
    let name = (
        "kubernetes.io/metadata.name".to_owned(),
        namespace.to_owned(),
    );
    let of_namespace = namespaces.get(namespace).into_iter().flatten();
    let of_namespace = of_namespace.map(|(key, value)| (key.clone(), value.clone()));
    for (key, value) in [name].into_iter().chain(of_namespace) {
        labels.insert(Source::K8s, format!("{NAMESPACE_LABELS}{key}"), value);
    }
    let account = spec.service_account_name.as_deref().unwrap_or("default");
    labels.insert(Source::K8s, NAMESPACE, namespace);
    labels.insert(Source::K8s, CLUSTER, CLUSTER_NAME);
    labels.insert(Source::K8s, SERVICE_ACCOUNT, account);
    labels
}

fn pod_addresses(placed: &Placed<core::Pod>) -> Result<Vec<IpAddr>, ManifestError> {
    let Some(status) = &placed.object.status else {
        return Ok(Vec::new());
    };
    let at = Path::default().field("status");
    let mut texts: Vec<_> = status
        .pod_ips
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, ip)| (at.field("podIPs").index(index).field("ip"), ip.ip.as_str()))
        .collect();
    if texts.is_empty() {
        texts.extend(status.pod_ip.as_deref().map(|ip| (at.field("podIP"), ip)));
    }
    texts
        .into_iter()
        .map(|(at, text)| address(placed, &at, text))
        .collect()
}

fn address<T>(placed: &Placed<T>, at: &Path, text: &str) -> Result<IpAddr, ManifestError> {
    text.parse()
        .map_err(|_| placed.error(at, "expected an IPv4 or IPv6 address"))
}

fn named_ports(containers: &[Container]) -> BTreeMap<(Protocol, String), u16> {
    let ports = containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten());
    let named = ports.filter_map(|port| {
        let protocol = policy::protocol(port.protocol.as_deref().unwrap_or("TCP"))?;
        let number = u16::try_from(port.container_port).ok()?;
        Some(((protocol, port.name.as_ref()?.to_ascii_lowercase()), number))
    });
    named.collect()
}

fn node(placed: &Placed<core::Node>) -> Result<Node, ManifestError> {
    let root = Path::default();
    let metadata = &placed.object.metadata;
    let mut labels = Labels::reserved("host");
    for (key, value) in metadata.labels.iter().flatten() {
        labels.insert(Source::K8s, key, value);
    }
    let status = placed.object.status.as_ref();
    let given = status.and_then(|status| status.addresses.as_ref());
    let mut addresses = Vec::new();
    for (index, given) in given.into_iter().flatten().enumerate() {
        if matches!(given.type_.as_str(), "InternalIP" | "ExternalIP") {
            let at = root
                .field("status")
                .field("addresses")
                .index(index)
                .field("address");
            addresses.push(address(placed, &at, &given.address)?);
        }
    }
    Ok(Node {
        name: metadata.name.clone().unwrap_or_default(),
        labels,
        addresses,
        pod_cidrs: pod_cidrs(placed)?,
    })
}

/// The addresses of the service that is the API.
fn api_servers(
    slices: &[Placed<EndpointSlice>],
    nodes: &[Node],
) -> Result<BTreeSet<IpAddr>, ManifestError> {
    let root = Path::default();
    let mut servers = BTreeSet::new();
    for placed in slices {
        let metadata = &placed.object.metadata;
        let labels = metadata.labels.as_ref();
        let service = labels
            .and_then(|labels| labels.get(SERVICE_NAME))
            .or(metadata.name.as_ref());
        let namespace = metadata.namespace.as_deref().unwrap_or("default");
        if (namespace, service.map(String::as_str)) != ("default", Some("kubernetes")) {
            let expected =
                "expected the slice of the service default/kubernetes; no other is supported";
            return Err(placed.error(&root.field("metadata"), expected));
        }
        for (index, endpoint) in placed.object.endpoints.iter().enumerate() {
            let at = root.field("endpoints").index(index).field("addresses");
            for (index, text) in endpoint.addresses.iter().enumerate() {
                let at = at.index(index);
                let server = address(placed, &at, text)?;
                if !nodes.iter().any(|node| node.addresses.contains(&server)) {
                    let expected = "expected an address of a node; no other is supported";
                    return Err(placed.error(&at, expected));
                }
                servers.insert(server);
            }
        }
    }
    Ok(servers)
}

fn pod_cidrs(placed: &Placed<core::Node>) -> Result<Vec<IpNet>, ManifestError> {
    let Some(spec) = &placed.object.spec else {
        return Ok(Vec::new());
    };
    let at = Path::default().field("spec");
    let mut texts: Vec<_> = spec
        .pod_cidrs
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, cidr)| (at.field("podCIDRs").index(index), cidr))
        .collect();
    if texts.is_empty() {
        texts.extend(spec.pod_cidr.iter().map(|cidr| (at.field("podCIDR"), cidr)));
    }
    let nets = texts.into_iter().map(|(at, text)| {
        text.parse()
            .map_err(|_| placed.error(&at, "expected addresses such as 10.0.1.0/24"))
    });
    nets.collect()
}

/// Two pods with one name or one address contradict each other; pods on their node's network share its address.
fn unique(placed: &[Placed<core::Pod>], pods: &[Pod]) -> Result<(), ManifestError> {
    let mut names = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for (placed, pod) in placed.iter().zip(pods) {
        let root = Path::default();
        if !names.insert((&pod.namespace, &pod.name)) {
            let taken = format!("there is another pod {}/{}", pod.namespace, pod.name);
            return Err(placed.error(&root.field("metadata").field("name"), taken));
        }
        for address in pod.addresses.iter().filter(|_| !pod.host_network) {
            if !addresses.insert(address) {
                let taken = format!("another pod has {address}");
                return Err(placed.error(&root.field("status"), taken));
            }
        }
    }
    Ok(())
}
