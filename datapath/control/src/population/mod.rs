//! Who lives in a cluster: its pods and nodes, their identities, and the policies that are for them.

mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use twinpath_abi::{ClusterId, Identity, Protocol};

use crate::clusters::ClusterInfo;
use crate::identity::{Host, Identities};
use crate::kubernetes::{ManifestError, Objects};
use crate::labels::Labels;
use crate::policy::{self, NamedPorts, Peer, Policy, PolicyMap, Subject};

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name, unique in the namespace.
    pub name: String,
    /// The cluster that it is in.
    pub cluster: ClusterInfo,
    /// A pod of another cluster has its namespace and name.
    pub has_twin: bool,
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

/// `NAMESPACE/NAME`, with the cluster in front of it where that does not say which pod it is.
impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_twin {
            write!(f, "{}/", self.cluster)?;
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Why a name is not that of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodName {
    /// No pod has it.
    None,
    /// Pods of several namespaces or clusters have it: those.
    Several(Vec<String>),
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The cluster that it is in.
    pub cluster: ClusterId,
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
    /// Addresses of nodes that serve the API of a cluster.
    pub api_servers: BTreeSet<(ClusterId, IpAddr)>,
    /// Of every kind, in the order of the manifests.
    pub policies: Vec<Policy>,
    /// Who has which identity.
    pub identities: Identities,
}

impl Population {
    /// Reads all objects of a cluster that is in no mesh.
    ///
    /// # Errors
    /// A field whose value is not as the API has it, or two objects that contradict each other.
    pub fn new(objects: &Objects) -> Result<Self, ManifestError> {
        Self::mesh([(&ClusterInfo::default(), objects)])
    }

    /// Reads all objects of the clusters of a mesh.
    ///
    /// # Errors
    /// As for one.
    pub fn mesh<'a>(
        clusters: impl IntoIterator<Item = (&'a ClusterInfo, &'a Objects)>,
    ) -> Result<Self, ManifestError> {
        let mut all = Self::default();
        let mut taken = read::Taken::default();
        for (cluster, objects) in clusters {
            let pods = read::pods(objects, cluster, &mut taken)?;
            let nodes = read::nodes(objects, cluster, &mut taken)?;
            let servers = read::api_servers(&objects.api_servers, &nodes)?;
            all.pods.extend(pods);
            all.nodes.extend(nodes);
            let servers = servers.into_iter().map(|server| (cluster.id, server));
            all.api_servers.extend(servers);
            read::policy_names(objects)?;
            for placed in &objects.network_policies {
                let policy = Policy::from_kubernetes(placed)?;
                all.policies.push(policy.within(cluster));
            }
            for placed in &objects.cilium_policies {
                let policies = Policy::from_cilium(placed)?.into_iter();
                all.policies
                    .extend(policies.map(|policy| policy.within(cluster)));
            }
        }
        read::find_twins(&mut all.pods);
        let pods = all.pods.iter().filter(|pod| !pod.host_network);
        let labels = pods.map(|pod| (pod.cluster.id, pod.labels.clone()));
        all.identities = Identities::allocate(labels, ranges(&all.policies));
        Ok(all)
    }

    /// The pod of a name: `NAME` alone, `NAMESPACE/NAME`, or `CLUSTER/NAMESPACE/NAME` where pods of several clusters have
    /// that.
    ///
    /// # Errors
    /// No pod has the name, or more than one.
    pub fn pod(&self, name: &str) -> Result<&Pod, PodName> {
        let is_named = |pod: &&Pod| match name.split_once('/') {
            None => pod.name == name,
            Some((namespace, of_it)) => {
                pod.namespace == namespace && pod.name == of_it || pod.to_string() == name
            }
        };
        let named: Vec<_> = self.pods.iter().filter(is_named).collect();
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
                cluster: self.cluster(Some(name)),
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

    /// The cluster that a node is in: as its manifest or those of its pods have it, or else the first one.
    pub fn cluster(&self, node: Option<&str>) -> ClusterId {
        let nodes = self.nodes.iter();
        let mut own = nodes.filter(|known| Some(known.name.as_str()) == node);
        let pods = self.pods.iter();
        let mut on_it = pods.clone().filter(|pod| pod.node.as_deref() == node);
        let own = own.next().map(|known| known.cluster);
        own.or_else(|| on_it.next().map(|pod| pod.cluster.id))
            .or_else(|| pods.map(|pod| pod.cluster.id).next())
            .unwrap_or_default()
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
            let own = Some(node.name.as_str()) == here;
            return self.node_identity(address, own, self.cluster(here));
        }
        let pod = self.pods.iter().find(|pod| own(&pod.addresses));
        pod.map_or_else(
            || self.identities.of_address(address),
            |pod| self.identity(pod),
        )
    }

    /// The identity of a node's address, as that node sees it, or another one in a cluster.
    pub fn node_identity(&self, address: IpAddr, own: bool, seen_in: ClusterId) -> Identity {
        if own {
            Identity::HOST
        } else if self.api_servers.contains(&(seen_in, address)) {
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
                .any(|ip| self.api_servers.contains(&(node.cluster, *ip)))
        };
        Host {
            cluster: self.cluster(name),
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
