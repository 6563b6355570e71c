//! What each node of a cluster is told.

use std::path::Path;

use twinpath_control::abi::Identity;
use twinpath_control::kubernetes::Objects;
use twinpath_control::population::Population;
use twinpath_control::{Cluster, Entry, Here, ModelError, NodeState, describe};

use crate::maps::devices;

const CLUSTER: &str = include_str!("shop.yaml");

const PODS: &str = r#"
    [[endpoint]]
    name = "shop/backend"
    device = "lxc1"
    mac = "02:00:00:00:01:01"

    [[endpoint]]
    name = "frontend"
    device = "lxc1"
    mac = "02:00:00:00:02:01"
    audit = true
"#;

fn population() -> Population {
    let mut objects = Objects::default();
    objects
        .read(Path::new("shop.yaml"), CLUSTER)
        .expect("good manifests");
    Population::new(&objects).expect("good manifests")
}

/// The node of the backend.
pub fn node_1() -> (NodeState, Population) {
    (state(PODS, Some("node-1")).expect("a node"), population())
}

/// The identity of those who may not come in.
pub fn guests() -> Identity {
    let guest = "198.51.100.9".parse().expect("an address");
    population().identity_of(guest, None)
}

fn state(scenario: &str, node: Option<&str>) -> Result<NodeState, ModelError> {
    let population = population();
    let cluster: Cluster = toml::from_str(scenario).expect("a cluster");
    let here = Here {
        node,
        addresses: Vec::new(),
        others: Vec::new(),
        devices: &devices,
    };
    NodeState::new(&cluster, &population, &here)
}

/// The entries in words, with the policies that those of policies came from.
fn lines(state: &NodeState) -> String {
    let names = state.names(&population());
    let line = |entry: &Entry| {
        let key = describe::key(entry.map, &entry.key).expect("a known key");
        let value = names.value(entry.map, &entry.value).expect("a known value");
        format!(
            "{} {}: {}\n",
            entry.map,
            describe::join(&key),
            describe::join(&value)
        )
    };
    state.entries().iter().map(line).collect()
}

#[test]
fn each_node_has_its_own_endpoints_and_knows_all_identities() {
    insta::assert_snapshot!(
        "node-1",
        lines(&state(PODS, Some("node-1")).expect("a node"))
    );
    insta::assert_snapshot!(
        "node-2",
        lines(&state(PODS, Some("node-2")).expect("a node"))
    );
}

#[test]
fn a_node_without_a_name_is_the_one_of_its_pods() {
    let one = PODS
        .split_once("[[endpoint]]\n    name = \"frontend\"")
        .expect("two")
        .0;
    assert_eq!(state(one, None), state(one, Some("node-1")));
}

#[test]
fn a_described_endpoint_and_a_pod_are_told_alike() {
    let described = r#"
        [[endpoint]]
        name = "ops/probe"
        node = "node-1"
        device = "lxc1"
        ipv4 = "10.0.1.30"
        mac = "02:00:00:00:01:01"
        identity = 257
    "#;
    let pod =
        "[[endpoint]]\nname = \"ops/probe\"\ndevice = \"lxc1\"\nmac = \"02:00:00:00:01:01\"\n";
    let from_manifest = state(pod, Some("node-1")).expect("a node");
    let own = |state: &NodeState| state.endpoints.clone();
    let mut objects = Objects::default();
    let rest = CLUSTER
        .split("---\n")
        .filter(|object| !object.contains("name: probe"));
    let rest: Vec<_> = rest.collect();
    objects
        .read(Path::new("rest.yaml"), &rest.join("---\n"))
        .expect("good manifests");
    let here = Here {
        node: Some("node-1"),
        addresses: Vec::new(),
        others: Vec::new(),
        devices: &devices,
    };
    let cluster: Cluster = toml::from_str(described).expect("a cluster");
    let population = Population::new(&objects).expect("good manifests");
    let from_scenario = NodeState::new(&cluster, &population, &here).expect("a node");
    let mut expected = own(&from_manifest);
    // The pod's number depends on the labels that there are.
    expected[0].member.identity = Identity(257);
    assert_eq!(own(&from_scenario), expected);
}

#[test]
fn pods_that_cannot_be_placed_are_named() {
    let endpoint = |name: &str, rest: &str| {
        format!(
            "[[endpoint]]\nname = {name:?}\ndevice = \"lxc1\"\nmac = \"02:00:00:00:01:01\"\n{rest}\n"
        )
    };
    let cases = [
        (
            endpoint("shop/nobody", ""),
            "endpoint `shop/nobody`: expected `ipv4`, `ipv6` or both",
        ),
        (
            endpoint("shop/nobody", "ipv4 = \"10.0.0.1\""),
            "endpoint `shop/nobody`: expected `identity`, as no pod of the manifests has this name",
        ),
        (
            endpoint("backend", ""),
            "endpoint `backend`: pods of several namespaces have this name; expected one of shop/backend, ops/backend",
        ),
        (
            endpoint("frontend", "identity = 300"),
            "endpoint `frontend`: expected no `identity`, as the manifest of the pod says it",
        ),
        (
            endpoint("ops/agent", ""),
            "endpoint `ops/agent`: the pod is on the network of its node and has no device",
        ),
        (
            endpoint("ops/backend", ""),
            "endpoint `ops/backend`: the manifest of the pod has no address in `status.podIPs`",
        ),
        (
            endpoint("frontend", "node = \"node-1\""),
            "endpoint `frontend`: the manifest puts the pod on node `node-2`",
        ),
        (
            endpoint("shop/backend", "") + &endpoint("frontend", "").replace("lxc1", "lxc2"),
            "endpoint `frontend`: the manifest puts the pod on node `node-2`",
        ),
        (
            endpoint("frontend", "") + &endpoint("shop/frontend", "").replace("lxc1", "lxc2"),
            "endpoint `shop/frontend`: the name is taken by another one",
        ),
    ];
    for (scenario, expected) in cases {
        let error = state(&scenario, None).expect_err(&scenario);
        assert_eq!(error.to_string(), expected);
    }
}
