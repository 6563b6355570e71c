//! Files as people have them: several documents, lists, anchors, line ends of Windows, objects of other kinds; and what a cluster
//! itself would refuse in them.

use std::path::Path;

use twinpath_control::kubernetes::Objects;
use twinpath_control::population::Population;

const POD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: main}]}\n";

const KUBERNETES: &str =
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n";
const CILIUM: &str =
    "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec:\n";

/// The pods and policies of a text by name, or what is wrong with it.
fn read(text: &str) -> String {
    let mut objects = Objects::default();
    if let Err(error) = objects.read(Path::new("file.yaml"), text) {
        return error.to_string();
    }
    let population = match Population::new(&objects) {
        Ok(population) => population,
        Err(error) => return error.to_string(),
    };
    let pods = population.pods.iter().map(ToString::to_string);
    let policies = population.policies.iter();
    let policies = policies.map(|policy| policy.origin.to_string());
    pods.chain(policies).collect::<Vec<_>>().join(" ")
}

#[test]
fn files_as_people_have_them() {
    let windows = format!(
        "{}---\r\n{}",
        POD.replace('\n', "\r\n"),
        POD.replace("web", "db").replace('\n', "\r\n")
    );
    let list = "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: \"\"}\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: web}\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  metadata: {name: all}\n  spec: {podSelector: {}}\n";
    let of_one_kind = "apiVersion: v1\nkind: PodList\nmetadata: {resourceVersion: \"1\"}\nitems:\n- metadata: {name: web}\n- metadata: {name: db}\n";
    let of_policies = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicyList\nitems:\n- metadata: {name: all}\n  spec: {endpointSelector: {}, ingress: [{}]}\n";
    let anchors = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: &meta {name: one, labels: &labels {app: web}}\nspec:\n  podSelector: {matchLabels: *labels}\n  ingress:\n  - from: &peers [{podSelector: {}}]\n  - {from: *peers, ports: [{port: 80}]}\n";
    let merged = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  labels:\n    <<: &base {app: web, tier: front}\n    tier: back\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: one}\nspec: {podSelector: {matchLabels: {app: web, tier: back}}}\n";
    let json = "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"web\", \"creationTimestamp\": null}}";
    let beside = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {anything: at all}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.org}
spec: {group: example.org}
---
";
    let cases: Vec<(&str, String, &str)> = vec![
        ("one", POD.to_owned(), "default/web"),
        ("Windows", windows, "default/web default/db"),
        ("a byte order mark", format!("\u{feff}{POD}"), "default/web"),
        (
            "comments and empty documents",
            format!("# first\n---\n---\n# nothing\n---\n{POD}---\n# last\n...\n"),
            "default/web",
        ),
        ("a directive", format!("%YAML 1.2\n---\n{POD}"), "default/web"),
        ("nothing", "# nothing at all\n".to_owned(), ""),
        ("a list", list.to_owned(), "default/web default/all"),
        ("an empty list", "apiVersion: v1\nkind: List\nitems: []\n".to_owned(), ""),
        ("an empty list of the API", "apiVersion: v1\nkind: PodList\nitems: null\n".to_owned(), ""),
        ("a list of pods", of_one_kind.to_owned(), "default/web default/db"),
        ("a list of policies", of_policies.to_owned(), "default/all"),
        ("anchors", anchors.to_owned(), "default/one"),
        ("merged", merged.to_owned(), "default/web default/one"),
        ("JSON", json.to_owned(), "default/web"),
        ("beside the point", format!("{beside}{POD}"), "default/web"),
        (
            "a deployment",
            format!("{POD}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\n"),
            "file.yaml:6:1: Deployment of apps/v1 is not supported, as it does not say which pods it makes: `kubectl get pods -o yaml` does; expected Namespace",
        ),
        (
            "a service",
            "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n".to_owned(),
            "file.yaml:1:1: Service of v1 is not supported, as manifests say nothing of services here; expected Namespace",
        ),
        (
            "an old policy",
            "apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: web}\n".to_owned(),
            "file.yaml:1:1: NetworkPolicy of extensions/v1beta1 is not supported; expected Namespace",
        ),
        (
            "a template of Helm",
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n".to_owned(),
            "file.yaml:4:",
        ),
        ("a tab", "apiVersion: v1\nkind: Pod\nmetadata:\n\tname: web\n".to_owned(), "file.yaml:4:"),
        (
            "a key twice",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nmetadata: {name: db}\n".to_owned(),
            "file.yaml:4:1: duplicate mapping key: metadata",
        ),
        (
            "a policy twice",
            format!("{KUBERNETES}  podSelector: {{}}\n---\n{KUBERNETES}  podSelector: {{}}\n"),
            "file.yaml:9:18: `metadata.name`: there is another policy default/p of this kind",
        ),
        (
            "a policy of each kind",
            format!("{KUBERNETES}  podSelector: {{}}\n---\n{CILIUM}  endpointSelector: {{}}\n  ingress: [{{}}]\n"),
            "default/p default/p",
        ),
        (
            "a policy without a name",
            KUBERNETES.replace("{name: p}", "{labels: {a: b}}") + "  podSelector: {}\n",
            "file.yaml:3:11: `metadata`: expected `name`",
        ),
        (
            "a policy without a specification",
            KUBERNETES.replace("spec:\n", ""),
            "file.yaml:1:1: expected `spec`",
        ),
        (
            "a node twice",
            "apiVersion: v1\nkind: Node\nmetadata: {name: one}\n---\napiVersion: v1\nkind: Node\nmetadata: {name: one}\n".to_owned(),
            "file.yaml:7:18: `metadata.name`: there is another node one",
        ),
        (
            "a number in quotes",
            format!("{KUBERNETES}  podSelector: {{}}\n  ingress: [{{ports: [{{port: \"80\"}}]}}]\n"),
            "file.yaml:6:29: `spec.ingress[0].ports[0].port`: expected the number 80 without quotes, or a name",
        ),
        (
            "a label that makes no identity",
            format!("{KUBERNETES}  podSelector: {{matchLabels: {{statefulset.kubernetes.io/pod-name: db-0}}}}\n"),
            "file.yaml:5:67: `spec.podSelector.matchLabels.statefulset.kubernetes.io/pod-name`: expected a label that is part of identities",
        ),
        (
            "a label of nodes that makes no identity",
            CILIUM.replace("Cilium", "CiliumClusterwide")
                + "  nodeSelector: {matchExpressions: [{key: kubernetes.io/hostname, operator: Exists}]}\n  ingress: [{}]\n",
            "file.yaml:5:43: `spec.nodeSelector.matchExpressions[0].key`: expected a label that is part of identities",
        ),
        (
            "another namespace",
            CILIUM.to_owned() + "  endpointSelector: {matchLabels: {k8s:io.kubernetes.pod.namespace: other}}\n  ingress: [{}]\n",
            "file.yaml:5:69: `spec.endpointSelector.matchLabels.k8s:io.kubernetes.pod.namespace`: expected the policy's own namespace, default",
        ),
        (
            "a rule without sections",
            format!("{CILIUM}  endpointSelector: {{}}\n  ingress: []\n"),
            "file.yaml:5:3: `spec`: expected at least one of `ingress`",
        ),
        (
            "a policy of the cluster in a namespace",
            CILIUM.replace("Cilium", "CiliumClusterwide").replace("{name: p}", "{name: p, namespace: ns}")
                + "  endpointSelector: {}\n  ingress: [{}]\n",
            "file.yaml:3:32: `metadata.namespace`: expected no namespace",
        ),
        (
            "a value of another type",
            format!("{CILIUM}  endpointSelector: {{}}\n  enableDefaultDeny: false\n  ingress: [{{}}]\n"),
            "file.yaml:6:22: `spec.enableDefaultDeny`: invalid type: boolean `false`, expected fields",
        ),
        (
            "an octal number",
            format!("{CILIUM}  endpointSelector: {{}}\n  ingress: [{{toPorts: [{{ports: [{{port: 080}}]}}]}}]\n"),
            "file.yaml:6:40: `spec.ingress[0].toPorts[0].ports[0].port`: invalid type: floating point `80.0`, expected a number or a text",
        ),
        (
            "a label that is a number",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {version: 1.0}}\n".to_owned(),
            "file.yaml:3:",
        ),
        (
            "a mistake behind Windows' line ends",
            "apiVersion: networking.k8s.io/v1\r\nkind: NetworkPolicy\r\nmetadata: {name: p}\r\nspec:\r\n  podSelector: {}\r\n  ingres: []\r\n".to_owned(),
            "file.yaml:6:3: field `spec.ingres` is not known",
        ),
        (
            "a mistake in what an anchor stands for",
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n  podSelector: {}\n  ingress:\n  - ports: &ports [{port: 70000}]\n  - ports: *ports\n".to_owned(),
            "file.yaml:7:27: `spec.ingress[0].ports[0].port`: expected a port from 1 to 65535",
        ),
    ];
    let mut wrong = Vec::new();
    for (name, text, expected) in cases {
        let got = read(&text);
        let right = match expected.starts_with("file.yaml") {
            true => got.starts_with(expected),
            false => got == expected,
        };
        if !right {
            wrong.push(format!("{name}\n  expected {expected}\n  got      {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
