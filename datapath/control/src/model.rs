//! What a user writes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use twinpath_abi::{Direction, Mac, Protocol};

/// All that the datapath of a node is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cluster {
    /// Endpoints of this node.
    #[serde(default, rename = "endpoint")]
    pub endpoints: Vec<Endpoint>,
    /// Services reached through a virtual IP.
    #[serde(default, rename = "service")]
    pub services: Vec<Service>,
    /// Who may speak with the endpoints, entry by entry.
    #[serde(default, rename = "policy")]
    pub policies: Vec<PolicyRule>,
    /// Who addresses are that are no endpoint's of this node.
    #[serde(default, rename = "ipcache")]
    pub known: Vec<Known>,
    /// Sources that XDP drops: addresses with their prefix lengths.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub deny: Vec<IpNet>,
    /// Destinations outside the cluster that are reached without masquerading.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub masquerade_except: Vec<IpNet>,
    /// The node's own policy is in audit mode: what that denies is reported and goes on.
    #[serde(default)]
    pub host_audit: bool,
}

/// An endpoint: a container behind a device of its own. One that has the name of a pod of the manifests is that
/// pod, with its addresses, its identity and its policies; any other has what stands here, and no policies.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Endpoint {
    /// Unique among the endpoints. A pod's is `NAMESPACE/NAME`, or `NAME` alone if no other pod has it.
    pub name: String,
    /// The node that it is on; a pod's is where the manifest says. Not needed if there is only one.
    pub node: Option<String>,
    /// The node's end of the endpoint's device pair.
    pub device: String,
    /// Its IPv4 address. An endpoint has at least one address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// The endpoint's own Ethernet address.
    #[serde(deserialize_with = "mac")]
    #[schemars(with = "String")]
    pub mac: Mac,
    /// Its security identity.
    pub identity: Option<u32>,
    /// Its number on the node. If left out, its place among the endpoints, counted from 1.
    pub id: Option<NonZeroU16>,
    /// Its policy is in audit mode: what that denies is reported and goes on.
    #[serde(default)]
    pub audit: bool,
}

/// An entry of an endpoint's policy, or several for a range of ports. With the first rule of a direction,
/// what no rule allows that way is denied.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyRule {
    /// Whose policy.
    pub endpoint: String,
    /// Which way.
    pub direction: RuleDirection,
    /// The identity at the other end; anybody's if left out.
    pub identity: Option<u32>,
    /// What is spoken; anything if left out.
    pub protocol: Option<Spoken>,
    /// The receiver's port, or the type of an ICMP message; any if left out.
    pub port: Option<u16>,
    /// The last port of a range that begins with `port`.
    pub end_port: Option<u16>,
    /// What fits is denied, not allowed.
    #[serde(default)]
    pub deny: bool,
    /// The port of a proxy that what fits goes through.
    pub proxy: Option<NonZeroU16>,
    /// The kind of authentication that is required; 0 for none.
    #[serde(default)]
    pub auth: u8,
    /// Of two rules that allow, that of the higher precedence counts, however narrow the other is.
    #[serde(default)]
    pub precedence: u8,
    /// Shown in verdicts.
    #[serde(default)]
    pub cookie: u32,
}

/// Which way a packet goes, as seen by the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleDirection {
    /// To the endpoint.
    Ingress,
    /// From the endpoint.
    Egress,
}

/// A protocol that policies tell from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spoken {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP.
    Icmp,
    /// ICMPv6.
    Icmpv6,
}

/// Who the addresses of a prefix are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Known {
    /// The addresses: `10.0.2.0/24`.
    #[schemars(with = "String")]
    pub prefix: IpNet,
    /// Their identity.
    pub identity: u32,
    /// The node that they are on, if it is another one.
    pub tunnel: Option<IpAddr>,
}

/// A service: a virtual IP and port, and the backends behind it. Each backend gets the same share of
/// the flows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Service {
    /// Unique among the services.
    pub name: String,
    /// The virtual IP.
    pub vip: IpAddr,
    /// The port that clients connect to.
    pub port: NonZeroU16,
    /// TCP or UDP.
    pub protocol: Transport,
    /// Where flows go to. A service without backends drops them.
    #[serde(default)]
    pub backends: Vec<Backend>,
}

/// A backend of a service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Backend {
    /// Its address, of the same family as the virtual IP.
    pub address: IpAddr,
    /// The port that it listens on.
    pub port: NonZeroU16,
    /// The Ethernet address that packets to it are sent to. If left out, they go back to the neighbour
    /// that sent them, as to a router.
    #[serde(default, deserialize_with = "some_mac")]
    #[schemars(with = "Option<String>")]
    pub mac: Option<Mac>,
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl RuleDirection {
    /// As the datapath has it.
    pub const fn number(self) -> Direction {
        match self {
            Self::Ingress => Direction::Ingress,
            Self::Egress => Direction::Egress,
        }
    }
}

impl Spoken {
    /// Its protocol number.
    pub const fn number(self) -> Protocol {
        match self {
            Self::Tcp => Protocol::TCP,
            Self::Udp => Protocol::UDP,
            Self::Sctp => Protocol::SCTP,
            Self::Icmp => Protocol::ICMP,
            Self::Icmpv6 => Protocol::ICMPV6,
        }
    }
}

impl Transport {
    /// Its protocol number.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Tcp => Protocol::TCP,
            Self::Udp => Protocol::UDP,
        }
    }
}

/// A model that cannot be turned into map entries: where, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ModelError {
    /// The part of the model which is at fault.
    pub place: Place,
    /// What is wrong with it.
    pub problem: Problem,
}

/// A part of a [`Cluster`], by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One of [`Cluster::endpoints`].
    Endpoint {
        /// Its index.
        index: usize,
        /// Its name.
        name: String,
    },
    /// One of [`Cluster::services`].
    Service {
        /// Its index.
        index: usize,
        /// Its name.
        name: String,
    },
    /// One of [`Service::backends`].
    Backend {
        /// The service's index.
        service: usize,
        /// The service's name.
        name: String,
        /// The backend's index.
        index: usize,
    },
    /// One of [`Cluster::policies`].
    Policy {
        /// Its index.
        index: usize,
    },
    /// The cluster as a whole.
    Cluster,
    /// One of [`Cluster::deny`].
    Deny {
        /// Its index.
        index: usize,
    },
}

/// What is wrong with a part of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Two parts have one name.
    #[error("the name is taken by another one")]
    NameTaken,
    /// A device that the node does not have.
    #[error("no device `{0}` on this node")]
    NoDevice(String),
    /// An endpoint that is neither described nor a pod.
    #[error("expected `identity`, as no pod of the manifests has this name")]
    NoIdentity,
    /// A name that more than one pod has.
    #[error("pods of several namespaces have this name; expected one of {0}")]
    SeveralPods(String),
    /// Something that a pod's manifest says already.
    #[error("expected no `{0}`, as the manifest of the pod says it")]
    PodHas(&'static str),
    /// A pod on the network of its node, which needs no device.
    #[error("the pod is on the network of its node and has no device")]
    HostNetwork,
    /// A pod without addresses.
    #[error("the manifest of the pod has no address in `status.podIPs`")]
    PodWithoutAddress,
    /// A pod that the manifest puts on another node.
    #[error("the manifest puts the pod on node `{0}`")]
    OtherNode(String),
    /// Two endpoints share a device.
    #[error("device `{0}` belongs to another endpoint")]
    DeviceTaken(String),
    /// An endpoint without an address.
    #[error("expected `ipv4`, `ipv6` or both")]
    NoAddress,
    /// Two endpoints share an address.
    #[error("address {0} belongs to another endpoint")]
    AddressTaken(IpAddr),
    /// Two endpoints share a number.
    #[error("number {0} belongs to another endpoint")]
    IdTaken(NonZeroU16),
    /// Two services share a frontend.
    #[error("{0} belongs to another service")]
    FrontendTaken(String),
    /// A backend of the other family.
    #[error("{backend} is not of the same family as the virtual IP {vip}")]
    FamilyDiffers {
        /// The backend's address.
        backend: IpAddr,
        /// The virtual IP.
        vip: IpAddr,
    },
    /// A backend that is listed twice.
    #[error("{0} is listed twice")]
    BackendTwice(String),
    /// One backend that is to be reached in two ways.
    #[error("{0} has another `mac` in another service")]
    MacDiffers(String),
    /// More than the map holds.
    #[error("map {map} holds no more than {max} entries")]
    TooMany {
        /// The map.
        map: &'static str,
        /// Its size.
        max: usize,
    },
    /// A rule for an endpoint that is not there.
    #[error("no endpoint `{0}` on this node")]
    NoEndpoint(String),
    /// A rule with a port and without a protocol, or with the end of a range and no start.
    #[error("expected `protocol` beside `port`, and `port` beside `end-port`")]
    PortAlone,
    /// A range that ends before it starts.
    #[error("the ports from {first} to {last} are none")]
    EmptyRange {
        /// Its start.
        first: u16,
        /// Its end.
        last: u16,
    },
    /// A prefix that is listed twice.
    #[error("{0} is listed twice")]
    PrefixTwice(IpNet),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint { name, .. } => write!(f, "endpoint `{name}`"),
            Self::Service { name, .. } => write!(f, "service `{name}`"),
            Self::Backend { name, index, .. } => {
                write!(f, "service `{name}`, backend {}", index + 1)
            }
            Self::Policy { index } => write!(f, "policy rule {}", index + 1),
            Self::Cluster => f.write_str("cluster"),
            Self::Deny { index } => write!(f, "deny list, entry {}", index + 1),
        }
    }
}

fn mac<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mac, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}")))
}

fn some_mac<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mac>, D::Error> {
    mac(deserializer).map(Some)
}
