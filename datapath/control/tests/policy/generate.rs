//! Random clusters with policies, as manifests.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const NAMESPACES: [&str; 3] = ["default", "shop", "ops"];
const APPS: [&str; 3] = ["web", "api", "db"];
const TIERS: [&str; 2] = ["front", "back"];
const ZONES: [&str; 2] = ["blue", "green"];
const RANGES: [&str; 8] = [
    "0.0.0.0/0",
    "198.51.100.0/24",
    "198.51.100.0/25",
    "198.51.100.7/32",
    "203.0.113.0/24",
    "::/0",
    "2001:db8::/32",
    "2001:db8:1::/48",
];
pub const NODES: [&str; 2] = ["node-1", "node-2"];
pub const OUTSIDE: [&str; 7] = [
    "198.51.100.7",
    "198.51.100.8",
    "198.51.100.200",
    "203.0.113.1",
    "192.0.2.1",
    "2001:db8:1::1",
    "2001:db9::1",
];
pub const PORTS: [u16; 7] = [53, 80, 81, 443, 1024, 2047, 8080];

/// The manifests of a cluster: namespaces, pods, policies.
pub fn manifests() -> impl Strategy<Value = Vec<Value>> {
    let pods = prop::collection::vec((select(&NAMESPACES), select(&APPS), select(&TIERS)), 2..6);
    let policies = prop::collection::vec(prop_oneof![network_policy(), cilium_policy()], 1..5);
    let server = prop::option::of((select(&[1u8, 2]), select(&["IPv4", "IPv6"])));
    (pods, policies, server).prop_map(|(pods, policies, server)| {
        let mut objects: Vec<_> = NAMESPACES
            .iter()
            .zip(["blue", "green", "blue"])
            .map(|(name, zone)| {
                json!({"apiVersion": "v1", "kind": "Namespace",
                   "metadata": {"name": name, "labels": {"zone": zone}}})
            })
            .collect();
        for (number, (namespace, app, tier)) in pods.into_iter().enumerate() {
            objects.push(pod(number, namespace, app, tier));
        }
        objects.extend(
            NODES
                .into_iter()
                .zip(1..)
                .map(|(name, number)| node(name, number)),
        );
        objects.extend(server.map(|(node, family)| api_server(node, family)));
        for (number, mut policy) in policies.into_iter().enumerate() {
            policy["metadata"]["name"] = json!(format!("policy-{number}"));
            objects.push(policy);
        }
        objects
    })
}

/// Ports by name follow from the labels, as Cilium knows them by identity.
fn pod(number: usize, namespace: &str, app: &str, tier: &str) -> Value {
    let port = if app == "web" { 80 } else { 8080 };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("pod-{number}"), "namespace": namespace, "labels": {"app": app, "tier": tier}},
        "spec": {"nodeName": NODES[number % NODES.len()], "containers": [{"name": "main", "ports": [
            {"name": "http", "containerPort": port},
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
        ]}]},
        "status": {"podIPs": [{"ip": format!("10.0.0.{}", number + 1)}, {"ip": format!("fd00::{}", number + 1)}]},
    })
}

/// A node serves the API by its address of a family.
fn api_server(node: u8, family: &str) -> Value {
    let address = match family {
        "IPv4" => format!("172.18.0.{node}"),
        _ => format!("fd18::{node}"),
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "endpoints": [{"addresses": [address]}],
    })
}

fn node(name: &str, number: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"app": APPS[usize::from(number)], "tier": TIERS[usize::from(number) - 1]}},
        "status": {"addresses": [
            {"type": "InternalIP", "address": format!("172.18.0.{number}")},
            {"type": "InternalIP", "address": format!("fd18::{number}")},
        ]},
    })
}

fn selector(prefix: &'static str) -> impl Strategy<Value = Value> {
    let pair = prop_oneof![
        select(&APPS).prop_map(|app| ("app", app)),
        select(&TIERS).prop_map(|tier| ("tier", tier)),
    ];
    let labels = prop::collection::vec(pair, 0..2);
    let expressions = prop::collection::vec(expression(prefix), 0..2);
    (labels, expressions).prop_map(move |(labels, expressions)| {
        let labels: serde_json::Map<_, _> = labels
            .into_iter()
            .map(|(key, value)| (format!("{prefix}{key}"), json!(value)))
            .collect();
        json!({"matchLabels": labels, "matchExpressions": expressions})
    })
}

fn expression(prefix: &'static str) -> impl Strategy<Value = Value> {
    let values = subsequence(&APPS[..], 1..=2);
    (
        select(&["In", "NotIn", "Exists", "DoesNotExist"]),
        select(&["app", "tier", "none"]),
        values,
    )
        .prop_map(move |(operator, key, values)| match operator {
            "In" | "NotIn" => {
                json!({"key": format!("{prefix}{key}"), "operator": operator, "values": values})
            }
            _ => json!({"key": format!("{prefix}{key}"), "operator": operator}),
        })
}

fn namespace_selector() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        select(&ZONES).prop_map(|zone| json!({"matchLabels": {"zone": zone}})),
        select(&NAMESPACES)
            .prop_map(|name| json!({"matchLabels": {"kubernetes.io/metadata.name": name}})),
    ]
}

/// A range, and one within it or none.
fn block() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(&RANGES).prop_map(|cidr| json!({"cidr": cidr})),
        Just(json!({"cidr": "0.0.0.0/0", "except": ["198.51.100.0/24"]})),
        Just(
            json!({"cidr": "198.51.100.0/24", "except": ["198.51.100.0/25", "198.51.100.200/32"]})
        ),
        Just(json!({"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]})),
    ]
}

fn network_policy() -> impl Strategy<Value = Value> {
    let peer = prop_oneof![
        selector("").prop_map(|pods| json!({"podSelector": pods})),
        namespace_selector().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        (selector(""), namespace_selector()).prop_map(
            |(pods, namespaces)| json!({"podSelector": pods, "namespaceSelector": namespaces})
        ),
        block().prop_map(|block| json!({"ipBlock": block})),
    ];
    let port = prop_oneof![
        select(&["TCP", "UDP", "SCTP"]).prop_map(|protocol| json!({"protocol": protocol})),
        (select(&PORTS), select(&["TCP", "UDP"]))
            .prop_map(|(port, protocol)| json!({"port": port, "protocol": protocol})),
        Just(json!({"port": 80, "endPort": 2046})),
        Just(json!({"port": "http"})),
        Just(json!({"port": "dns", "protocol": "UDP"})),
    ];
    let rule = (
        prop::collection::vec(peer, 0..3),
        prop::collection::vec(port, 0..3),
    );
    let rules = prop::option::of(prop::collection::vec(rule, 0..3));
    let types = prop::option::of(subsequence(vec!["Ingress", "Egress"], 1..=2));
    (
        select(&NAMESPACES),
        selector(""),
        rules.clone(),
        rules,
        types,
    )
        .prop_map(|(namespace, pods, ingress, egress, types)| {
            let mut spec = json!({"podSelector": pods});
            let rules = |name: &str, rules: Vec<(Vec<Value>, Vec<Value>)>| -> Value {
                rules
                    .into_iter()
                    .map(|(peers, ports)| json!({name: peers, "ports": ports}))
                    .collect()
            };
            if let Some(ingress) = ingress {
                spec["ingress"] = rules("from", ingress);
            }
            if let Some(egress) = egress {
                spec["egress"] = rules("to", egress);
            }
            if let Some(types) = types {
                spec["policyTypes"] = json!(types);
            }
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                   "metadata": {"namespace": namespace}, "spec": spec})
        })
}

fn cilium_policy() -> impl Strategy<Value = Value> {
    let section = (peers(), traffic()).prop_map(|(peers, traffic)| {
        let mut section = serde_json::Map::new();
        section.extend(peers);
        section.extend(traffic);
        Value::Object(section)
    });
    let sections = prop::option::of(prop::collection::vec(section, 0..3)).boxed();
    let default_deny = (
        prop::option::of(any::<bool>()),
        prop::option::of(any::<bool>()),
    );
    let rule = (
        selector("any:"),
        [
            sections.clone(),
            sections.clone(),
            sections.clone(),
            sections,
        ],
        default_deny,
    );
    let rule = rule.prop_map(|(selector, lists, (ingress, egress))| {
        let mut rule = json!({"endpointSelector": selector});
        for (name, list) in ["ingress", "ingressDeny", "egress", "egressDeny"]
            .into_iter()
            .zip(lists)
        {
            if let Some(list) = list {
                rule[name] = list
                    .into_iter()
                    .map(|section| named(section, name))
                    .collect();
            }
        }
        // Without any section there is no rule.
        let sections = ["ingress", "ingressDeny", "egress", "egressDeny"];
        let is_filled = |name: &&str| rule[*name].as_array().is_some_and(|list| !list.is_empty());
        if !sections.iter().any(is_filled) {
            rule["ingress"] = json!([{}]);
        }
        if ingress.is_some() || egress.is_some() {
            rule["enableDefaultDeny"] = json!({"ingress": ingress, "egress": egress});
        }
        rule
    });
    let scope = prop_oneof![
        select(&NAMESPACES).prop_map(Scope::Namespace),
        Just(Scope::Pods),
        Just(Scope::Nodes)
    ];
    (scope, rule).prop_map(|(scope, rule)| match scope {
        Scope::Namespace(namespace) => {
            json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
                   "metadata": {"namespace": namespace}, "spec": rule})
        }
        Scope::Pods => clusterwide(rule),
        Scope::Nodes => {
            let mut rule = rule;
            rule["nodeSelector"] = rule["endpointSelector"].take();
            let fields = rule.as_object_mut().expect("rules are maps");
            fields.remove("endpointSelector");
            clusterwide(rule)
        }
    })
}

/// What a policy of Cilium selects from.
#[derive(Debug, Clone)]
enum Scope {
    Namespace(&'static str),
    Pods,
    Nodes,
}

fn clusterwide(rule: Value) -> Value {
    json!({"apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy",
           "metadata": {}, "specs": [rule]})
}

/// Gives `Endpoints` the name `fromEndpoints` or `toEndpoints`, as the section has it.
fn named(section: Value, name: &str) -> Value {
    let prefix = if name.starts_with("ingress") {
        "from"
    } else {
        "to"
    };
    let Value::Object(fields) = section else {
        unreachable!("sections are maps")
    };
    let fields = fields.into_iter().map(|(key, value)| match key.as_str() {
        "toPorts" | "icmps" => (key, value),
        _ => (format!("{prefix}{key}"), value),
    });
    Value::Object(fields.collect())
}

fn peers() -> impl Strategy<Value = Option<(String, Value)>> {
    let endpoints = prop_oneof![
        selector("k8s:"),
        selector(""),
        select(&NAMESPACES)
            .prop_map(|name| json!({"matchLabels": {"k8s:io.kubernetes.pod.namespace": name}})),
        // Whoever has no namespace is in none of these.
        select(&NAMESPACES).prop_map(|name| json!({"matchExpressions": [
            {"key": "k8s:io.kubernetes.pod.namespace", "operator": "NotIn", "values": [name]}
        ]})),
        select(&ZONES)
            .prop_map(|zone| json!({"matchLabels": {"io.cilium.k8s.namespace.labels.zone": zone}})),
        select(&[
            "reserved:host",
            "reserved:remote-node",
            "reserved:kube-apiserver",
            "reserved:world-ipv4"
        ])
        .prop_map(|label| json!({"matchLabels": {label: ""}})),
    ];
    let entities = [
        "all",
        "world",
        "world-ipv4",
        "world-ipv6",
        "cluster",
        "host",
        "remote-node",
        "kube-apiserver",
        "none",
    ];
    prop_oneof![
        Just(None),
        prop::collection::vec(endpoints, 0..3)
            .prop_map(|list| Some(("Endpoints".to_owned(), json!(list)))),
        subsequence(&RANGES[..], 0..3).prop_map(|list| Some(("CIDR".to_owned(), json!(list)))),
        prop::collection::vec(block(), 0..3)
            .prop_map(|list| Some(("CIDRSet".to_owned(), json!(list)))),
        subsequence(entities.to_vec(), 0..2)
            .prop_map(|list| Some(("Entities".to_owned(), json!(list)))),
    ]
}

fn traffic() -> impl Strategy<Value = Option<(String, Value)>> {
    let port = prop_oneof![
        (select(&PORTS), select(&["TCP", "UDP", "SCTP", "ANY"]))
            .prop_map(|(port, protocol)| json!({"port": port.to_string(), "protocol": protocol})),
        select(&["TCP", "ANY"]).prop_map(|protocol| json!({"port": "0", "protocol": protocol})),
        Just(json!({"port": "81", "endPort": 2047, "protocol": "TCP"})),
        Just(json!({"port": "http"})),
        Just(json!({"port": "dns", "protocol": "UDP"})),
    ];
    let icmp = prop_oneof![
        Just(json!({"type": 8, "family": "IPv4"})),
        Just(json!({"type": 128, "family": "IPv6"})),
        Just(json!({"type": 3})),
    ];
    prop_oneof![
        Just(None),
        select(&["toPorts", "icmps"]).prop_map(|name| Some((name.to_owned(), json!([])))),
        prop::collection::vec(port, 1..3)
            .prop_map(|ports| Some(("toPorts".to_owned(), json!([{"ports": ports}])))),
        prop::collection::vec(icmp, 1..3)
            .prop_map(|fields| Some(("icmps".to_owned(), json!([{"fields": fields}])))),
    ]
}
