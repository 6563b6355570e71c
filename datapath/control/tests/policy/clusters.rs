//! Clusters of a mesh: identities have the number of their cluster, and policies select in all of them.

use std::path::Path;

use twinpath_control::abi::{ClusterId, FromBytes as _, Identity, Protocol, RemoteEndpoint, map};
use twinpath_control::kubernetes::{ManifestError, Objects};
use twinpath_control::policy::Direction;
use twinpath_control::population::{PodName, Population};
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

/// A pod of a database that each cluster has, on a node of its own.
fn database(node: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: db-0, labels: {{app: db}}}}\nspec: {{nodeName: {node}, containers: [{{name: main}}]}}\nstatus: {{podIPs: [{{ip: {address}}}]}}\n"
    )
}

fn cluster(name: &str, id: u8) -> ClusterInfo {
    ClusterInfo {
        name: name.to_owned(),
        id: ClusterId(id),
    }
}

fn mesh() -> Population {
    mesh_of(WEST, EAST).expect("a mesh")
}

fn mesh_of(west: &str, east: &str) -> Result<Population, ManifestError> {
    let clusters = [(cluster("west", 3), west), (cluster("east", 255), east)];
    let read = clusters.map(|(cluster, text)| {
        let mut objects = Objects::default();
        let path = format!("{cluster}.yaml");
        let read = objects.read(Path::new(&path), text);
        read.expect("good manifests");
        (cluster, objects)
    });
    Population::mesh(read.iter().map(|(cluster, objects)| (cluster, objects)))
}

#[test]
fn pods_of_one_name_are_told_apart_by_their_clusters() {
    let west = format!("{}{}", database("w", "10.1.0.2"), "---\n") + WEST;
    let east = format!("{}{}", database("e", "10.2.0.2"), "---\n") + EAST;
    let population = mesh_of(&west, &east).expect("a mesh");
    let names = ["west/default/db-0", "east/default/db-0"];
    let identities = names.map(|name| {
        let pod = population.pod(name).expect(name);
        assert_eq!(pod.to_string(), name);
        population.identity(pod)
    });
    assert_eq!(
        identities.map(|identity| identity.cluster()),
        [3, 255].map(|id| Some(ClusterId(id)))
    );
    for name in ["db-0", "default/db-0"] {
        let several = PodName::Several(names.map(str::to_owned).to_vec());
        assert_eq!(population.pod(name), Err(several), "{name}");
    }
    let shop = population.pod("default/shop").expect("one shop");
    assert_eq!(shop.to_string(), "default/shop");
}

#[test]
fn nodes_of_a_mesh_differ_in_their_names() {
    let east = EAST.replace("name: e}", "name: w}");
    let error = mesh_of(WEST, &east).expect_err("two nodes w");
    assert_eq!(
        error.to_string(),
        "east.yaml:10:18: `metadata.name`: there is another node w; expected a name of its own, in other clusters too"
    );
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
