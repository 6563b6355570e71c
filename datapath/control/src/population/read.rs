//! Pods, nodes and the API's servers, as manifests have them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{self as core, Container};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use twinpath_abi::{ClusterId, Protocol};

use super::{Node, Pod};
use crate::clusters::ClusterInfo;
use crate::kubernetes::cilium::Kind;
use crate::kubernetes::{ManifestError, Objects, Path, Placed};
use crate::labels::{
    CLUSTER, Labels, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT, Source, makes_identity,
};
use crate::policy;

/// The label of a slice that says whose it is.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

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

/// What no two pods, or nodes, may have in common.
#[derive(Default)]
pub(super) struct Taken {
    names: BTreeSet<(ClusterId, String, String)>,
    nodes: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

/// The pods of a cluster.
pub(super) fn pods(
    objects: &Objects,
    cluster: &ClusterInfo,
    taken: &mut Taken,
) -> Result<Vec<Pod>, ManifestError> {
    let namespaces = namespaces(objects);
    let pods = objects.pods.iter().map(|placed| {
        let pod = pod(placed, cluster, &namespaces)?;
        taken.take(placed, &pod)?;
        Ok(pod)
    });
    pods.collect()
}

/// The nodes of a cluster.
pub(super) fn nodes(
    objects: &Objects,
    cluster: &ClusterInfo,
    taken: &mut Taken,
) -> Result<Vec<Node>, ManifestError> {
    let nodes = objects.nodes.iter().map(|placed| {
        let node = node(placed, cluster)?;
        taken.take_node(placed, &node)?;
        Ok(node)
    });
    nodes.collect()
}

/// Notes which pods of several clusters have one namespace and name.
pub(super) fn find_twins(pods: &mut [Pod]) {
    let mut times: BTreeMap<_, usize> = BTreeMap::new();
    for pod in &*pods {
        *times
            .entry((pod.namespace.clone(), pod.name.clone()))
            .or_default() += 1;
    }
    for pod in pods {
        let name = (pod.namespace.clone(), pod.name.clone());
        pod.has_twin = times.get(&name).is_some_and(|times| *times > 1);
    }
}

/// Two policies of one kind with one name contradict each other: a cluster keeps the one that it was told last.
pub(super) fn policy_names(objects: &Objects) -> Result<(), ManifestError> {
    let of_kubernetes = objects.network_policies.iter();
    unique(of_kubernetes, |policy| (&policy.metadata, true))?;
    for kind in [Kind::Namespaced, Kind::Clusterwide] {
        let of_kind = objects
            .cilium_policies
            .iter()
            .filter(|placed| placed.object.kind == kind);
        unique(of_kind, |policy| {
            (&policy.metadata, kind == Kind::Namespaced)
        })?;
    }
    Ok(())
}

/// Objects of a kind, with their metadata, and whether they are of a namespace.
fn unique<'a, T: 'a>(
    objects: impl Iterator<Item = &'a Placed<T>>,
    metadata: impl Fn(&T) -> (&ObjectMeta, bool),
) -> Result<(), ManifestError> {
    let mut names = BTreeSet::new();
    for placed in objects {
        let (metadata, namespaced) = metadata(&placed.object);
        let namespace = namespaced.then(|| metadata.namespace.as_deref().unwrap_or("default"));
        let at = Path::default().field("metadata");
        let Some(name) = metadata.name.as_deref() else {
            return Err(placed.error(&at, "expected `name`"));
        };
        let at = at.field("name");
        if !names.insert((namespace.map(str::to_owned), name.to_owned())) {
            let slash = namespace
                .map(|namespace| format!("{namespace}/"))
                .unwrap_or_default();
            return Err(placed.error(
                &at,
                format!("there is another policy {slash}{name} of this kind"),
            ));
        }
    }
    Ok(())
}

fn pod(
    placed: &Placed<core::Pod>,
    cluster: &ClusterInfo,
    namespaces: &NamespaceLabels,
) -> Result<Pod, ManifestError> {
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
        cluster: cluster.clone(),
        has_twin: false,
        labels: labels(&namespace, placed, cluster, &spec, namespaces),
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
    cluster: &ClusterInfo,
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
    labels.insert(Source::K8s, CLUSTER, &cluster.name);
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

fn node(placed: &Placed<core::Node>, cluster: &ClusterInfo) -> Result<Node, ManifestError> {
    let root = Path::default();
    let metadata = &placed.object.metadata;
    let mut labels = Labels::reserved("host");
    let own = metadata.labels.iter().flatten();
    for (key, value) in own.filter(|(key, _)| makes_identity(key)) {
        labels.insert(Source::K8s, key, value);
    }
    labels.insert(Source::K8s, CLUSTER, &cluster.name);
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
    let Some(name) = metadata.name.clone() else {
        return Err(placed.error(&root.field("metadata"), "expected `name`"));
    };
    Ok(Node {
        name,
        cluster: cluster.id,
        labels,
        addresses,
        pod_cidrs: pod_cidrs(placed)?,
    })
}

/// The addresses of the service that is the API.
pub(super) fn api_servers(
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

impl Taken {
    /// Two pods with one name or one address contradict each other; pods on their node's network share its address.
    fn take(&mut self, placed: &Placed<core::Pod>, pod: &Pod) -> Result<(), ManifestError> {
        let root = Path::default();
        let name = (pod.cluster.id, pod.namespace.clone(), pod.name.clone());
        if !self.names.insert(name) {
            let taken = format!("there is another pod {pod}");
            return Err(placed.error(&root.field("metadata").field("name"), taken));
        }
        for address in pod.addresses.iter().filter(|_| !pod.host_network) {
            if !self.addresses.insert(*address) {
                let taken = format!("another pod has {address}");
                return Err(placed.error(&root.field("status"), taken));
            }
        }
        Ok(())
    }

    /// Nodes are told apart by their names, in all clusters of a mesh.
    fn take_node(&mut self, placed: &Placed<core::Node>, node: &Node) -> Result<(), ManifestError> {
        if !self.nodes.insert(node.name.clone()) {
            let at = Path::default().field("metadata").field("name");
            let taken = format!(
                "there is another node {}; expected a name of its own, in other clusters too",
                node.name
            );
            return Err(placed.error(&at, taken));
        }
        Ok(())
    }
}
