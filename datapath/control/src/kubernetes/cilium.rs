//! Cilium's policies, `cilium.io/v2` (`pkg/k8s/apis/cilium.io/v2` and `pkg/policy/api` of cilium/cilium).
//!
//! The fields are those that the model does: what is not here (FQDNs, layer 7, services as peers, groups, TLS) is
//! refused by name where it stands in the manifest.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;

/// A `CiliumNetworkPolicy` or a `CiliumClusterwideNetworkPolicy`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CiliumPolicy {
    /// `cilium.io/v2`.
    pub api_version: String,
    /// Which of the two it is.
    pub kind: Kind,
    /// Name, and namespace unless the policy is of the whole cluster.
    pub metadata: ObjectMeta,
    /// One rule.
    pub spec: Option<Rule>,
    /// Several rules.
    #[serde(default)]
    pub specs: Vec<Rule>,
    /// What the cluster says of it; not looked at.
    #[serde(default)]
    pub status: Option<serde_json::Value>,
}

/// Whether a policy is of a namespace or of the whole cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// Of one namespace.
    #[serde(rename = "CiliumNetworkPolicy")]
    Namespaced,
    /// Of the whole cluster.
    #[serde(rename = "CiliumClusterwideNetworkPolicy")]
    Clusterwide,
}

/// What a policy says of the endpoints, or of the nodes, that it selects.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The endpoints that the rule is for.
    pub endpoint_selector: Option<LabelSelector>,
    /// The nodes that the rule is for.
    pub node_selector: Option<LabelSelector>,
    /// What may come in.
    pub ingress: Option<Vec<Ingress>>,
    /// What may not come in.
    pub ingress_deny: Option<Vec<Ingress>>,
    /// What may go out.
    pub egress: Option<Vec<Egress>>,
    /// What may not go out.
    pub egress_deny: Option<Vec<Egress>>,
    /// Whether what no rule speaks of is denied.
    #[serde(default)]
    pub enable_default_deny: DefaultDeny,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Labels of the rule itself, for people.
    #[serde(default)]
    pub labels: Vec<RuleLabel>,
}

/// Whether a rule puts what it selects into default deny, by direction; if not said, the directions that
/// the rule has sections for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct DefaultDeny {
    /// For what comes in.
    pub ingress: Option<bool>,
    /// For what goes out.
    pub egress: Option<bool>,
}

/// A label of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RuleLabel {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(default)]
    pub value: String,
    /// Who gave it.
    #[serde(default)]
    pub source: String,
}

/// What may or may not come in. A field that is absent does not restrict, nor do empty lists of ports and ICMP types; an empty
/// list of peers matches nobody.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// From endpoints.
    pub from_endpoints: Option<Vec<LabelSelector>>,
    /// From addresses.
    #[serde(rename = "fromCIDR")]
    pub from_cidr: Option<Vec<String>>,
    /// From addresses, with exceptions.
    #[serde(rename = "fromCIDRSet")]
    pub from_cidr_set: Option<Vec<CidrSet>>,
    /// From entities.
    pub from_entities: Option<Vec<String>>,
    /// To ports.
    pub to_ports: Option<Vec<Ports>>,
    /// Of ICMP types.
    pub icmps: Option<Vec<Icmps>>,
}

/// What may or may not go out. A field that is absent does not restrict, nor do empty lists of ports and ICMP types; an empty
/// list of peers matches nobody.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// To endpoints.
    pub to_endpoints: Option<Vec<LabelSelector>>,
    /// To addresses.
    #[serde(rename = "toCIDR")]
    pub to_cidr: Option<Vec<String>>,
    /// To addresses, with exceptions.
    #[serde(rename = "toCIDRSet")]
    pub to_cidr_set: Option<Vec<CidrSet>>,
    /// To entities.
    pub to_entities: Option<Vec<String>>,
    /// To ports.
    pub to_ports: Option<Vec<Ports>>,
    /// Of ICMP types.
    pub icmps: Option<Vec<Icmps>>,
}

/// A range of addresses with holes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CidrSet {
    /// The range.
    pub cidr: String,
    /// The holes.
    #[serde(default)]
    pub except: Vec<String>,
}

/// Ports of protocols.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Ports {
    /// At least one.
    #[serde(default)]
    pub ports: Vec<Port>,
}

/// A port, or a range of ports, of a protocol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// A number or a name; 0 for all ports.
    pub port: IntOrString,
    /// The end of the range, within it.
    pub end_port: Option<i32>,
    /// `TCP`, `UDP`, `SCTP`, or `ANY` of these.
    pub protocol: Option<String>,
}

/// ICMP messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Icmps {
    /// The types.
    #[serde(default)]
    pub fields: Vec<IcmpField>,
}

/// A type of ICMP messages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct IcmpField {
    /// `IPv4`, if not said, or `IPv6`.
    pub family: Option<String>,
    /// A number or a name, such as 8 or `EchoRequest`.
    pub r#type: IntOrString,
}

/// What both directions have in common, with one set of names.
pub(crate) struct Section<'a> {
    pub endpoints: Option<&'a [LabelSelector]>,
    pub cidr: Option<&'a [String]>,
    pub cidr_set: Option<&'a [CidrSet]>,
    pub entities: Option<&'a [String]>,
    pub ports: Option<&'a [Ports]>,
    pub icmps: Option<&'a [Icmps]>,
    /// The fields' names, in this order: endpoints, CIDRs, CIDR sets, entities.
    pub names: [&'static str; 4],
}

impl Ingress {
    pub(crate) fn section(&self) -> Section<'_> {
        Section {
            endpoints: self.from_endpoints.as_deref(),
            cidr: self.from_cidr.as_deref(),
            cidr_set: self.from_cidr_set.as_deref(),
            entities: self.from_entities.as_deref(),
            ports: self.to_ports.as_deref(),
            icmps: self.icmps.as_deref(),
            names: ["fromEndpoints", "fromCIDR", "fromCIDRSet", "fromEntities"],
        }
    }
}

impl Egress {
    pub(crate) fn section(&self) -> Section<'_> {
        Section {
            endpoints: self.to_endpoints.as_deref(),
            cidr: self.to_cidr.as_deref(),
            cidr_set: self.to_cidr_set.as_deref(),
            entities: self.to_entities.as_deref(),
            ports: self.to_ports.as_deref(),
            icmps: self.icmps.as_deref(),
            names: ["toEndpoints", "toCIDR", "toCIDRSet", "toEntities"],
        }
    }
}
