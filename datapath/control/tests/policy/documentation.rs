//! Policies of the kinds that the documentation of Kubernetes ("Network Policies", "Declare Network Policy") and of Cilium
//! ("Layer 3 Policies", "Layer 4 Policies", "Deny Policies", "Host Policies", "Multi-cluster") shows, written anew: each
//! says what it is meant to say, as the entries and the model have it, or is refused with the field that is not supported.

use std::net::IpAddr;
use std::path::Path;

use twinpath_control::abi::{Identity, Protocol};
use twinpath_control::kubernetes::Objects;
use twinpath_control::policy::{Direction, PolicyMap};
use twinpath_control::population::Population;

use crate::oracle::{End, Oracle, Packet};

const CLUSTER: &str = include_str!("examples/cluster.yaml");

const NETWORK_POLICY: &str =
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: example}\nspec:\n";
const CILIUM: &str =
    "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: example}\nspec:\n";
const CLUSTERWIDE: &str = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: example}\nspec:\n";

/// A policy, and what it lets pass (`+`) and what it does not (`-`): `+ db from frontend TCP 6379`.
struct Example {
    head: &'static str,
    spec: &'static str,
    says: &'static [&'static str],
}

const fn example(head: &'static str, spec: &'static str, says: &'static [&'static str]) -> Example {
    Example { head, spec, says }
}

const EXAMPLES: &[Example] = &[
    // Kubernetes: the resource.
    example(
        NETWORK_POLICY,
        "
  podSelector: {matchLabels: {role: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
    - namespaceSelector: {matchLabels: {project: myproject}}
    - podSelector: {matchLabels: {role: frontend}}
    ports: [{protocol: TCP, port: 6379}]
  egress:
  - to: [{ipBlock: {cidr: 10.0.0.0/24}}]
    ports: [{protocol: TCP, port: 5978}]
",
        &[
            "+ db from frontend TCP 6379",
            "- db from frontend UDP 6379",
            "- db from frontend TCP 6378",
            "- db from backend TCP 6379",
            "+ db from myproject/client TCP 6379",
            "+ db from 172.17.2.1 TCP 6379",
            "- db from 172.17.1.1 TCP 6379",
            "+ db to 10.0.0.9 TCP 5978",
            "- db to 10.0.1.9 TCP 5978",
            "- db to frontend TCP 5978",
            "+ frontend from 172.17.1.1 TCP 6379",
        ],
    ),
    // Both in one element, and in two.
    example(
        NETWORK_POLICY,
        "
  podSelector: {}
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {user: alice}}
      podSelector: {matchLabels: {role: client}}
",
        &[
            "+ db from myproject/client TCP 80",
            "- db from frontend TCP 80",
            "+ myproject/client from frontend TCP 80",
        ],
    ),
    example(
        NETWORK_POLICY,
        "
  podSelector: {}
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {user: alice}}
    - podSelector: {matchLabels: {role: frontend}}
",
        &[
            "+ db from myproject/client TCP 80",
            "+ db from frontend TCP 80",
            "- db from backend TCP 80",
        ],
    ),
    // The defaults.
    example(
        NETWORK_POLICY,
        "  podSelector: {}\n  policyTypes:\n  - Ingress\n",
        &[
            "- db from frontend TCP 80",
            "- db from 192.0.2.1 UDP 53",
            "+ db to frontend TCP 80",
            "+ db from host TCP 80",
        ],
    ),
    example(
        NETWORK_POLICY,
        "  podSelector: {}\n  ingress:\n  - {}\n  policyTypes:\n  - Ingress\n",
        &["+ db from frontend TCP 80", "+ db from 192.0.2.1 UDP 53"],
    ),
    example(
        NETWORK_POLICY,
        "  podSelector: {}\n  policyTypes:\n  - Egress\n",
        &["- db to frontend TCP 80", "+ db from frontend TCP 80"],
    ),
    example(
        NETWORK_POLICY,
        "  podSelector: {}\n  egress:\n  - {}\n  policyTypes:\n  - Egress\n",
        &["+ db to frontend TCP 80", "+ db from frontend TCP 80"],
    ),
    example(
        NETWORK_POLICY,
        "  podSelector: {}\n  policyTypes:\n  - Ingress\n  - Egress\n",
        &["- db to frontend TCP 80", "- db from frontend TCP 80"],
    ),
    // A range of ports, and namespaces by expressions and by name.
    example(
        NETWORK_POLICY,
        "
  podSelector:
    matchLabels:
      role: db
  policyTypes:
  - Egress
  egress:
  - to:
    - ipBlock:
        cidr: 10.0.0.0/24
    ports:
    - protocol: TCP
      port: 32000
      endPort: 32768
",
        &[
            "+ db to 10.0.0.1 TCP 32000",
            "+ db to 10.0.0.1 TCP 32768",
            "- db to 10.0.0.1 TCP 31999",
            "- db to 10.0.0.1 TCP 32769",
        ],
    ),
    example(
        NETWORK_POLICY,
        "
  podSelector: {matchLabels: {role: db}}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector:
        matchExpressions:
        - key: namespace
          operator: In
          values: [\"frontend\", \"backend\"]
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
",
        &[
            "+ db to myproject/client TCP 80",
            "+ db to kube-system/dns UDP 53",
            "- db to frontend TCP 80",
        ],
    ),
    example(
        NETWORK_POLICY,
        "  podSelector: {matchLabels: {app: nginx}}\n  ingress:\n  - from: [{podSelector: {matchLabels: {access: \"true\"}}}]\n    ports: [{port: http}, {protocol: SCTP, port: 7777}]\n",
        &[
            "+ backend from frontend TCP 8080",
            "- backend from frontend TCP 80",
            "+ backend from frontend SCTP 7777",
            "- backend from db TCP 8080",
        ],
    ),
    // Cilium: endpoints.
    example(
        CILIUM,
        "  endpointSelector: {matchLabels: {role: backend}}\n  ingress:\n  - fromEndpoints:\n    - matchLabels: {role: frontend}\n",
        &[
            "+ backend from frontend TCP 80",
            "- backend from db TCP 80",
            "- backend from 192.0.2.1 TCP 80",
            "+ backend to db TCP 80",
        ],
    ),
    example(
        CILIUM,
        "  endpointSelector: {matchLabels: {role: backend}}\n  ingress:\n  - fromEndpoints:\n    - {}\n",
        &[
            "+ backend from db TCP 80",
            "- backend from myproject/client TCP 80",
            "- backend from 192.0.2.1 TCP 80",
        ],
    ),
    example(
        CILIUM,
        "  endpointSelector: {matchLabels: {role: backend}}\n  ingress:\n  - {}\n",
        &["- backend from db TCP 80", "+ backend to db TCP 80"],
    ),
    example(
        CILIUM,
        "  endpointSelector: {}\n  egress:\n  - {}\n",
        &["- backend to db TCP 80", "+ backend from db TCP 80"],
    ),
    example(
        CILIUM,
        "  endpointSelector: {matchLabels: {role: frontend}}\n  egress:\n  - toEndpoints:\n    - matchLabels: {role: backend}\n",
        &["+ frontend to backend TCP 80", "- frontend to db TCP 80"],
    ),
    // Namespaces, service accounts, sources of labels.
    example(
        CILIUM,
        "
  endpointSelector: {matchLabels: {\"k8s:role\": db}}
  ingress:
  - fromEndpoints:
    - matchLabels:
        k8s:io.kubernetes.pod.namespace: myproject
        any:name: luke
  - fromEndpoints:
    - matchLabels:
        io.cilium.k8s.policy.serviceaccount: leia
    toPorts:
    - ports:
      - port: \"80\"
        protocol: TCP
",
        &[
            "+ db from myproject/client TCP 443",
            "+ db from backend TCP 80",
            "- db from backend TCP 443",
            "- db from frontend TCP 80",
        ],
    ),
    example(
        CLUSTERWIDE,
        "
  endpointSelector: {}
  egress:
  - toEndpoints:
    - matchLabels:
        io.kubernetes.pod.namespace: kube-system
        k8s-app: kube-dns
    toPorts:
    - ports:
      - port: \"53\"
        protocol: UDP
",
        &[
            "+ db to kube-system/dns UDP 53",
            "- db to kube-system/dns TCP 53",
            "- myproject/client to db TCP 80",
        ],
    ),
    example(
        CLUSTERWIDE,
        "  endpointSelector: {matchLabels: {role: db}}\n  ingress:\n  - fromEndpoints: [{}]\n",
        &[
            "+ db from myproject/client TCP 80",
            "- db from 192.0.2.1 TCP 80",
            "- db from remote-node TCP 80",
        ],
    ),
    // Whoever has no namespace is in none of those, the world too, whether or not a policy speaks of its range.
    example(
        CILIUM,
        "
  endpointSelector: {matchLabels: {role: backend}}
  egress:
  - toEndpoints:
    - matchExpressions:
      - {key: k8s:io.kubernetes.pod.namespace, operator: NotIn, values: [myproject, kube-system]}
  - toCIDR: [203.0.113.0/24]
    toPorts:
    - ports:
      - {port: \"443\", protocol: TCP}
",
        &[
            "+ backend to db TCP 80",
            "- backend to myproject/client TCP 80",
            "- backend to kube-system/dns UDP 53",
            "+ backend to 192.0.2.1 TCP 80",
            "+ backend to 203.0.113.1 TCP 80",
            "+ backend to host TCP 80",
            "+ backend to remote-node TCP 80",
        ],
    ),
    example(
        CILIUM,
        "
  endpointSelector: {matchLabels: {role: backend}}
  ingress:
  - fromEndpoints:
    - matchLabels: {\"reserved:world-ipv4\": \"\"}
  - fromCIDR: [203.0.113.0/24]
    toPorts:
    - ports:
      - {port: \"443\", protocol: TCP}
",
        &[
            "+ backend from 203.0.113.1 TCP 80",
            "+ backend from 192.0.2.1 TCP 80",
            "- backend from 2001:db8::1 TCP 80",
            "- backend from db TCP 80",
        ],
    ),
    // An empty list of ports says nothing; one of peers selects nobody.
    example(
        CILIUM,
        "
  endpointSelector: {matchLabels: {role: backend}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: frontend}}]
    toPorts: []
  - fromEndpoints: [{matchLabels: {role: db}}]
    icmps: []
    toPorts:
    - ports:
      - {port: \"80\", protocol: TCP}
  - fromEndpoints: []
    toPorts:
    - ports:
      - {port: \"81\", protocol: TCP}
",
        &[
            "+ backend from frontend UDP 9",
            "+ backend from frontend ICMP 8",
            "+ backend from db TCP 80",
            "- backend from db TCP 9",
            "- backend from public TCP 81",
        ],
    ),
    // Entities.
    example(
        CILIUM,
        "  endpointSelector: {matchLabels: {env: dev}}\n  egress:\n  - toEntities:\n    - host\n",
        &[
            "+ backend to host TCP 22",
            "- backend to remote-node TCP 22",
        ],
    ),
    example(
        CILIUM,
        "  endpointSelector: {matchLabels: {env: dev}}\n  egress:\n  - toEntities:\n    - host\n    - remote-node\n",
        &[
            "+ backend to remote-node TCP 22",
            "+ backend to kube-apiserver TCP 6443",
            "- backend to db TCP 22",
        ],
    ),
    example(
        CILIUM,
        "  endpointSelector: {matchLabels: {env: dev}}\n  egress:\n  - toEntities:\n    - kube-apiserver\n",
        &[
            "+ backend to kube-apiserver TCP 6443",
            "- backend to remote-node TCP 6443",
        ],
    ),
    example(
        CILIUM,
        "  endpointSelector: {matchLabels: {role: public}}\n  ingress:\n  - fromEntities:\n    - world\n",
        &[
            "+ public from 192.0.2.1 TCP 80",
            "- public from db TCP 80",
            "- public from remote-node TCP 80",
        ],
    ),
    // Addresses.
    example(
        CILIUM,
        "
  endpointSelector: {matchLabels: {app: myService}}
  egress:
  - toCIDR:
    - 20.1.1.1/32
  - toCIDRSet:
    - cidr: 10.0.0.0/8
      except:
      - 10.96.0.0/12
",
        &[
            "+ frontend to 20.1.1.1 TCP 443",
            "- frontend to 20.1.1.2 TCP 443",
            "+ frontend to 10.1.0.1 TCP 443",
            "- frontend to 10.97.0.1 TCP 443",
            "- frontend to db TCP 443",
        ],
    ),
    // Layer 4.
    example(
        CILIUM,
        "  endpointSelector: {matchLabels: {app: myService}}\n  egress:\n  - toPorts:\n    - ports:\n      - port: \"80\"\n        protocol: TCP\n",
        &[
            "+ frontend to db TCP 80",
            "+ frontend to 192.0.2.1 TCP 80",
            "- frontend to 192.0.2.1 UDP 80",
        ],
    ),
    example(
        CILIUM,
        "  endpointSelector: {matchLabels: {app: myService}}\n  egress:\n  - toPorts:\n    - ports:\n      - port: \"8080\"\n        endPort: 8090\n        protocol: ANY\n",
        &[
            "+ frontend to db TCP 8080",
            "+ frontend to db UDP 8090",
            "- frontend to db TCP 8091",
        ],
    ),
    example(
        CILIUM,
        "
  endpointSelector: {matchLabels: {role: backend}}
  ingress:
  - fromEndpoints:
    - matchLabels: {role: frontend}
    toPorts:
    - ports:
      - {port: \"80\", protocol: TCP}
  - fromCIDR: [192.0.2.0/24]
    toPorts:
    - ports:
      - {port: \"443\", protocol: TCP}
",
        &[
            "+ backend from frontend TCP 80",
            "- backend from frontend TCP 443",
            "+ backend from 192.0.2.1 TCP 443",
            "- backend from 192.0.2.1 TCP 80",
        ],
    ),
    example(
        CILIUM,
        "
  endpointSelector: {matchLabels: {app: myService}}
  egress:
  - icmps:
    - fields:
      - type: 8
        family: IPv4
      - type: EchoRequest
        family: IPv6
",
        &[
            "+ frontend to 192.0.2.1 ICMP 8",
            "+ frontend to 2001:db8::1 ICMPv6 128",
            "- frontend to 192.0.2.1 ICMP 13",
            "- frontend to 192.0.2.1 TCP 80",
        ],
    ),
    // Denials.
    example(
        CLUSTERWIDE,
        "
  endpointSelector: {}
  ingressDeny:
  - fromEntities:
    - \"world\"
  ingress:
  - fromEntities:
    - \"all\"
",
        &[
            "- db from 192.0.2.1 TCP 80",
            "+ db from frontend TCP 80",
            "+ db from remote-node TCP 80",
        ],
    ),
    example(
        CILIUM,
        "
  endpointSelector: {matchLabels: {role: backend}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: frontend}}]
  ingressDeny:
  - fromEndpoints: [{matchLabels: {role: frontend}}]
    toPorts: [{ports: [{port: \"443\", protocol: TCP}]}]
  egressDeny:
  - toCIDRSet: [{cidr: 203.0.113.0/24}]
",
        &[
            "+ backend from frontend TCP 80",
            "- backend from frontend TCP 443",
            "- backend to 203.0.113.1 TCP 80",
            "- backend to db TCP 80",
        ],
    ),
    example(
        CLUSTERWIDE,
        "
  enableDefaultDeny: {egress: false, ingress: false}
  endpointSelector: {}
  egressDeny:
  - toCIDR: [203.0.113.0/24]
",
        &[
            "- db to 203.0.113.1 TCP 80",
            "+ db to frontend TCP 80",
            "+ db from 203.0.113.1 TCP 80",
        ],
    ),
    // Hosts.
    example(
        CLUSTERWIDE,
        "
  description: \"Allow SSH and what is in the cluster\"
  nodeSelector:
    matchLabels:
      node-access: ssh
  ingress:
  - fromEntities:
    - cluster
  - toPorts:
    - ports:
      - port: \"22\"
        protocol: TCP
",
        &[
            "+ node-1 from 192.0.2.1 TCP 22",
            "- node-1 from 192.0.2.1 TCP 80",
            "+ node-1 from db TCP 80",
            "+ node-1 from remote-node TCP 80",
            "+ node-1 to 192.0.2.1 TCP 80",
            "+ node-2 from 192.0.2.1 TCP 80",
            "+ db from 192.0.2.1 TCP 80",
        ],
    ),
    // Clusters.
    example(
        CILIUM,
        "
  endpointSelector: {matchLabels: {role: backend}}
  ingress:
  - fromEndpoints:
    - matchLabels: {role: frontend, io.cilium.k8s.policy.cluster: default}
  - fromEndpoints:
    - matchLabels: {role: db, io.cilium.k8s.policy.cluster: cluster2}
",
        &["+ backend from frontend TCP 80", "- backend from db TCP 80"],
    ),
];

/// What the documentation shows and nobody here does: the head, the specification, and the field that is named.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        CILIUM,
        "  endpointSelector: {}\n  egress:\n  - toServices:\n    - k8sService: {serviceName: myservice, namespace: default}\n",
        "spec.egress[0].toServices",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  egress:\n  - toFQDNs:\n    - matchPattern: \"*.example.org\"\n",
        "spec.egress[0].toFQDNs",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  ingress:\n  - fromNodes:\n    - matchLabels: {node-role.kubernetes.io/control-plane: \"\"}\n",
        "spec.ingress[0].fromNodes",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  egress:\n  - toNodes:\n    - matchLabels: {node-role.kubernetes.io/control-plane: \"\"}\n",
        "spec.egress[0].toNodes",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  egress:\n  - toCIDRSet:\n    - cidrGroupRef: vpn\n",
        "spec.egress[0].toCIDRSet[0].cidrGroupRef",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  egress:\n  - toGroups:\n    - aws: {securityGroupsIds: [sg-0f2146100a88d03c3]}\n",
        "spec.egress[0].toGroups",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  ingress:\n  - fromRequires:\n    - matchLabels: {team: A}\n",
        "spec.ingress[0].fromRequires",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  ingress:\n  - fromEndpoints: [{}]\n    authentication: {mode: required}\n",
        "spec.ingress[0].authentication",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  ingress:\n  - toPorts:\n    - ports: [{port: \"80\", protocol: TCP}]\n      rules:\n        http: [{method: GET, path: /public}]\n",
        "spec.ingress[0].toPorts[0].rules",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  egress:\n  - toPorts:\n    - ports: [{port: \"443\", protocol: TCP}]\n      serverNames: [example.org]\n",
        "spec.egress[0].toPorts[0].serverNames",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  egress:\n  - toPorts:\n    - ports: [{port: \"443\", protocol: TCP}]\n      terminatingTLS: {secret: {name: tls}}\n",
        "spec.egress[0].toPorts[0].terminatingTLS",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  ingress:\n  - toPorts:\n    - ports: [{port: \"80\", protocol: TCP}]\n      listener: {envoyConfig: {name: envoy}, name: l}\n",
        "spec.ingress[0].toPorts[0].listener",
    ),
    (
        CILIUM,
        "  endpointSelector: {}\n  log: {value: mine}\n",
        "spec.log",
    ),
];

#[test]
fn examples_of_the_documentation_say_what_they_mean() {
    let mut wrong = Vec::new();
    for Example { head, spec, says } in EXAMPLES {
        let text = format!("{CLUSTER}---\n{head}{spec}");
        let mut objects = Objects::default();
        if let Err(error) = objects.read(Path::new("example.yaml"), &text) {
            wrong.push(format!("{head}{spec}{error}"));
            continue;
        }
        let population = Population::new(&objects).expect("a cluster");
        for line in *says {
            let fact = Fact::read(line);
            let (entries, model) = fact.ask(&objects, &population);
            if [entries, model] != [fact.passes; 2] {
                wrong.push(format!(
                    "{head}{spec}{line}: the entries say {entries}, the model {model}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_the_documentation_shows_beyond_that_is_refused_by_name() {
    let mut wrong = Vec::new();
    let lines = CLUSTER.lines().count();
    for (head, spec, field) in REFUSED {
        let text = format!("{CLUSTER}---\n{head}{spec}");
        let mut objects = Objects::default();
        let read = objects.read(Path::new("example.yaml"), &text);
        let error = read.expect_err(spec);
        let named = error.to_string().contains(&format!("field `{field}` is"));
        let last = field.rsplit('.').next().unwrap_or_default();
        let at = usize::try_from(error.at.line).unwrap_or_default();
        let stands = text
            .lines()
            .nth(at - 1)
            .is_some_and(|line| line.contains(last));
        if !named || !stands || at <= lines {
            wrong.push(format!("{spec}  {field}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// `+ db from frontend TCP 6379`
struct Fact<'a> {
    passes: bool,
    subject: &'a str,
    direction: Direction,
    other: &'a str,
    packet: Packet,
    protocol: Protocol,
}

impl<'a> Fact<'a> {
    fn read(line: &'a str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [sign, subject, way, other, protocol, port] = words[..] else {
            panic!("{line}");
        };
        let protocols = [
            ("TCP", Protocol::TCP),
            ("UDP", Protocol::UDP),
            ("SCTP", Protocol::SCTP),
            ("ICMP", Protocol::ICMP),
            ("ICMPv6", Protocol::ICMPV6),
        ];
        let known = protocols.iter().find(|(name, _)| *name == protocol);
        let (name, number) = *known.expect(line);
        Self {
            passes: sign == "+",
            subject,
            direction: match way {
                "from" => Direction::Ingress,
                "to" => Direction::Egress,
                _ => panic!("{line}"),
            },
            other,
            packet: Packet {
                protocol: name,
                port: port.parse().expect(line),
            },
            protocol: number,
        }
    }

    /// What the entries and what the model say.
    fn ask(&self, objects: &Objects, population: &Population) -> (bool, bool) {
        let oracle = Oracle { objects };
        let (end, identity) = self.other(objects, population);
        let says = |map: &PolicyMap| {
            map.table(self.direction)
                .allows(identity, self.protocol, self.packet.port)
        };
        let nodes = population.nodes.iter();
        let mut node = nodes.zip(&objects.nodes);
        if let Some((node, placed)) = node.find(|(node, _)| node.name == self.subject) {
            let model = oracle.allows_node(&placed.object, self.direction, end, self.packet);
            return (says(&population.host_policy(node)), model);
        }
        let pod = population.pod(self.subject).expect(self.subject);
        let place = population.pods.iter().position(|each| each == pod);
        let subject = &objects.pods[place.expect("one of them")].object;
        let model = oracle.allows(subject, self.direction, end, self.packet);
        (says(&population.policy(pod)), model)
    }

    fn other<'b>(&self, objects: &'b Objects, population: &Population) -> (End<'b>, Identity) {
        match self.other {
            "host" => return (End::Host, Identity::HOST),
            "remote-node" => return (End::RemoteNode, Identity::REMOTE_NODE),
            "kube-apiserver" => return (End::ApiServer, Identity::KUBE_APISERVER),
            _ => {}
        }
        if let Ok(address) = self.other.parse::<IpAddr>() {
            return (End::Outside(address), population.identity_of(address, None));
        }
        let pod = population.pod(self.other).expect(self.other);
        let place = population.pods.iter().position(|each| each == pod);
        let placed = &objects.pods[place.expect("one of them")];
        (End::Pod(&placed.object), population.identity(pod))
    }
}
