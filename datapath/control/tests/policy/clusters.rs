//! Clusters of a mesh: identities have the number of their cluster, and policies select in all of them.

use std::path::Path;

use twinpath_control::abi::{ClusterId, FromBytes as _, Identity, Protocol, RemoteEndpoint, map};
use twinpath_control::kubernetes::Objects;
use twinpath_control::policy::Direction;
use twinpath_control::population::Population;
use twinpath_control::{Cluster, ClusterInfo, Here, MeshError, NodeState};

use crate::maps::devices;

const WEST: &str = "
apiVersion: v1
kind: Node
metadata: {name: w}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default}
addressType: IPv4
endpoints: [{addresses: [192.168.0.1]}]
---
apiVersion: v1
kind: Pod
metadata: {name: shop, labels: {app: shop}}
spec: {nodeName: w, containers: [{name: main}]}
status: {podIPs: [{ip: 10.1.0.1}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p}
spec:
  endpointSelector: {}
  ingress:
  - fromEndpoints: [{matchLabels: {app: shop}}]
    toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]
  - fromEntities: [cluster]
    toPorts: [{ports: [{port: \"81\", protocol: TCP}]}]
";

const EAST: &str = "
apiVersion: v1
kind: Pod
metadata: {name: store, labels: {app: shop}}
spec: {nodeName: e, containers: [{name: main}]}
status: {podIPs: [{ip: 10.2.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: e}
status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}
";

fn cluster(name: &str, id: u8) -> ClusterInfo {
    ClusterInfo {
        name: name.to_owned(),
        id: ClusterId(id),
    }
}

fn mesh() -> Population {
    let clusters = [(cluster("west", 3), WEST), (cluster("east", 255), EAST)];
    let read = clusters.map(|(cluster, text)| {
        let mut objects = Objects::default();
        let read = objects.read(Path::new("mesh.yaml"), text);
        read.expect("good manifests");
        (cluster, objects)
    });
    Population::mesh(read.iter().map(|(cluster, objects)| (cluster, objects))).expect("a mesh")
}

#[test]
fn identities_have_the_number_of_their_cluster() {
    let population = mesh();
    let identity = |name: &str| population.identity(population.pod(name).expect("a pod"));
    assert_eq!(identity("shop"), Identity(3 << 16 | 256));
    assert_eq!(identity("store"), Identity(255 << 16 | 256));
    assert_eq!(identity("store").cluster(), Some(ClusterId(255)));
    for reserved in [Identity::HOST, Identity::REMOTE_NODE, Identity(1 << 24 | 7)] {
        assert_eq!(reserved.cluster(), None, "{reserved}");
    }
}

#[test]
fn policies_are_a_clusters_own_and_select_in_all() {
    let population = mesh();
    let pod = |name: &str| population.pod(name).expect("a pod");
    let [shop, store] = ["shop", "store"].map(|name| population.identity(pod(name)));
    let allows = |of: &str, from: Identity, port: u16| {
        let policy = population.policy(pod(of));
        policy
            .table(Direction::Ingress)
            .allows(from, Protocol::TCP, port)
    };
    let cases = [
        ("shop", store, 80, true),
        ("shop", shop, 80, true),
        ("shop", shop, 81, true),
        ("shop", store, 81, false),
        ("store", shop, 443, true),
    ];
    for (of, from, port, expected) in cases {
        assert_eq!(
            allows(of, from, port),
            expected,
            "{of} from {from}, port {port}"
        );
    }
}

#[test]
fn a_node_knows_who_is_in_another_cluster() {
    let population = mesh();
    let here = Here {
        node: Some("e"),
        addresses: Vec::new(),
        others: Vec::new(),
        devices: &devices,
    };
    let state = NodeState::new(&Cluster::default(), &population, &here).expect("a node");
    let entries = state.entries().iter();
    let lines: Vec<_> = entries
        .filter(|entry| entry.map == map::IPCACHE)
        .filter(|entry| RemoteEndpoint::read_from_bytes(&entry.value).is_ok())
        .filter_map(|entry| twinpath_control::describe::line(entry.map, &entry.key, &entry.value))
        .collect();
    // The API of the other cluster is none to this one.
    let expected = [
        "0.0.0.0/0: identity world-ipv4",
        "10.1.0.1/32: identity 196864, tunnel 192.168.0.1, in another cluster",
        "10.2.0.1/32: identity 16711936",
        "192.168.0.1/32: identity remote-node, in another cluster",
        "192.168.0.2/32: identity host",
        "::/0: identity world-ipv6",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn clusters_of_a_mesh_differ() {
    let others = [cluster("west", 1)];
    let cases = [
        ("east", 2, Ok(())),
        ("west", 2, Err(MeshError::NameTaken("west".to_owned()))),
        ("east", 1, Err(MeshError::IdTaken(ClusterId(1)))),
        ("default", 2, Err(MeshError::OnlyName)),
        ("", 2, Err(MeshError::Name)),
        ("East", 2, Err(MeshError::Name)),
        ("east-", 2, Err(MeshError::Name)),
        (
            "a-name-that-has-thirty-two-letters",
            2,
            Err(MeshError::Name),
        ),
    ];
    for (name, id, expected) in cases {
        assert_eq!(cluster(name, id).joins(&others), expected, "{name} {id}");
    }
}
