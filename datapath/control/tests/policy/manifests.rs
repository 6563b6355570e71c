//! What manifests get: bad ones an error with its place, good ones what they say.

use std::path::Path;

use twinpath_control::abi::Protocol;
use twinpath_control::kubernetes::{ManifestError, Objects};
use twinpath_control::population::Population;

fn read(text: &str) -> Result<Population, ManifestError> {
    let mut objects = Objects::default();
    objects.read(Path::new("shop.yaml"), text)?;
    Population::new(&objects)
}

const POLICY: &str =
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n";
const CILIUM: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec:\n  endpointSelector: {}\n";

#[test]
fn mistakes_are_shown_with_their_place() {
    let policy = |rest: &str| format!("{POLICY}{rest}");
    let cilium = |rest: &str| format!("{CILIUM}{rest}");
    let cases = [
        ("a: [1, 2", "shop.yaml:1:"),
        (
            "- 1\n- 2\n",
            "shop.yaml:1:1: expected a Kubernetes object with `apiVersion` and `kind`",
        ),
        (
            "apiVersion: apps/v1\nkind: Deployment\n",
            "shop.yaml:1:1: Deployment of apps/v1 is not supported, as it does not say which pods it makes: `kubectl",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: {}\n",
            "shop.yaml:3:8: `items`: expected a list of objects",
        ),
        (
            &policy("  podSelector: {}\n  ingres: []\n"),
            "shop.yaml:6:3: field `spec.ingres` is not known or not supported; expected `egress`, `ingress`, `podSelector` or `policyTypes`",
        ),
        (
            &policy("  podSelector: {}\n  policyTypes: [Ingress, Both]\n"),
            "shop.yaml:6:26: `spec.policyTypes[1]`: expected Ingress or Egress",
        ),
        (
            &policy(
                "  podSelector: {}\n  ingress:\n  - from:\n    - ipBlock: {cidr: 10.0.0.0/8, except: [192.0.2.0/24]}\n",
            ),
            "shop.yaml:8:44: `spec.ingress[0].from[0].ipBlock.except[0]`: expected a part of 10.0.0.0/8",
        ),
        (
            &policy("  podSelector: {}\n  ingress:\n  - ports:\n    - {port: 80, endPort: 79}\n"),
            "shop.yaml:8:27: `spec.ingress[0].ports[0].endPort`: expected a port from 80 to 65535",
        ),
        (
            &policy("  podSelector: {}\n  ingress:\n  - ports:\n    - port: [80]\n"),
            "shop.yaml:8:13: `spec.ingress[0].ports[0].port`: invalid type",
        ),
        (
            &policy(
                "  podSelector:\n    matchExpressions:\n    - {key: app, operator: Like, values: [web]}\n",
            ),
            "shop.yaml:7:28: `spec.podSelector.matchExpressions[0].operator`: expected In, NotIn, Exists or DoesNotExist",
        ),
        (
            &cilium("  egress:\n  - toFQDNs:\n    - matchName: example.org\n"),
            "shop.yaml:7:5: field `spec.egress[0].toFQDNs` is not known or not supported",
        ),
        (
            &cilium(
                "  ingress:\n  - toPorts:\n    - ports: [{port: \"80\"}]\n      rules: {http: []}\n",
            ),
            "shop.yaml:9:7: field `spec.ingress[0].toPorts[0].rules` is not known or not supported; expected `ports`",
        ),
        (
            &cilium("  ingress:\n  - fromEndpoints: [{}]\n    fromCIDR: [10.0.0.0/8]\n"),
            "shop.yaml:8:15: `spec.ingress[0].fromCIDR`: expected a rule of its own, as `fromEndpoints` stands beside it",
        ),
        (
            &cilium("  ingress:\n  - fromEntities: [moon]\n"),
            "shop.yaml:7:20: `spec.ingress[0].fromEntities[0]`: expected all, world",
        ),
        (
            &cilium("  nodeSelector: {}\n"),
            "shop.yaml:5:3: `spec`: expected either `endpointSelector` or `nodeSelector`",
        ),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let error = read(text).expect_err(text).to_string();
        if !error.starts_with(expected) {
            wrong.push(format!("{text}\n  expected {expected}\n  got      {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const SHOP: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Namespace
  metadata: {name: shop, labels: {team: blue}}
- apiVersion: v1
  kind: Pod
  metadata:
    name: backend-5d4f
    namespace: shop
    labels: {app: backend, pod-template-hash: 5d4f}
  spec:
    nodeName: node-1
    containers:
    - name: main
      image: backend:1
      ports: [{name: api, containerPort: 8080}]
  status: {podIP: 10.0.1.10, podIPs: [{ip: 10.0.1.10}, {ip: 'fd00:1::10'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: frontend, namespace: shop, labels: {app: frontend}}
spec: {containers: [{name: main}]}
status: {podIP: 10.0.1.11}
---
# Only the frontend may call the backend.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: backend, namespace: shop}
spec:
  podSelector: {matchLabels: {app: backend}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: frontend}}}]
    ports: [{port: api}]
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
spec: {podCIDR: 10.0.1.0/24}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: Hostname, address: node-1}]}
";

#[test]
fn a_cluster_as_people_have_it() {
    let population = read(SHOP).expect("good manifests");
    let [backend, frontend] = &population.pods[..] else {
        panic!("two pods")
    };
    assert_eq!(
        backend.labels.to_string(),
        "k8s:app=backend,k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop,\
         k8s:io.cilium.k8s.namespace.labels.team=blue,k8s:io.cilium.k8s.policy.cluster=default,\
         k8s:io.cilium.k8s.policy.serviceaccount=default,k8s:io.kubernetes.pod.namespace=shop"
    );
    let map = population.policy(backend);
    let from = population.identity(frontend);
    let (_, entry) = map
        .ingress
        .lookup(from, Protocol::TCP, 8080)
        .expect("an entry");
    let origins: Vec<_> = entry.origins.iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["shop/backend"]);
    assert!(
        map.ingress.allows(from, Protocol::TCP, 8080),
        "frontend reaches backend"
    );
    assert!(
        !map.ingress.allows(from, Protocol::TCP, 8081),
        "on no other port"
    );
    assert!(
        !map.ingress
            .allows(population.identity(backend), Protocol::TCP, 8080),
        "nobody else"
    );
    assert!(
        map.egress.allows(from, Protocol::UDP, 53),
        "what goes out is nobody's concern"
    );
    let node = "192.0.2.1".parse().expect("an address");
    assert_eq!(population.identity_of(node, Some("node-1")).0, 1);
    assert_eq!(population.identity_of(node, Some("node-2")).0, 6);
}
