//! Policies: who may speak with whom, from the manifests to the entries of an endpoint's policy map.
//!
//! `kubernetes.rs` and `cilium.rs` turn manifests into [`Policy`]s, one form for both; `resolve.rs` turns the
//! policies that select an endpoint into [`Entry`]s, keyed by numeric identities.

mod cilium;
mod entry;
mod kubernetes;
mod ports;
pub(crate) mod records;
mod resolve;
mod selector;

use std::fmt;

use ipnet::IpNet;
use twinpath_abi::Protocol;

pub use twinpath_abi::Direction;

pub use entry::{Entry, Key, Layer4, PolicyMap, PortPrefix, Table};
pub(crate) use ports::{icmp_name, protocol};
pub use records::Origins;
pub use resolve::{NamedPorts, resolve};

use crate::clusters::ClusterInfo;
use crate::labels::{CLUSTER, Key as LabelKey, Selector};

/// Both ways that a packet goes, as seen by the endpoint.
pub const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// What a rule does with what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Lets it pass.
    Allow,
    /// Drops it, whatever others allow.
    Deny,
}

/// Where a policy, or one rule of it, was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// None for a policy of the whole cluster.
    pub namespace: Option<String>,
    /// The policy's name.
    pub name: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What a policy is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Endpoints with these labels.
    Endpoints(Selector),
    /// Nodes with these labels: the host firewall.
    Nodes(Selector),
}

/// A policy of either kind, in one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where it was written.
    pub origin: Origin,
    /// What it is for.
    pub subject: Subject,
    /// The directions in which what no rule allows is denied.
    pub default_deny: Vec<Direction>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// The same, for what is in a cluster.
    #[must_use]
    pub(crate) fn within(mut self, cluster: &ClusterInfo) -> Self {
        let (Subject::Endpoints(selector) | Subject::Nodes(selector)) = &mut self.subject;
        selector.require_value(LabelKey::k8s(CLUSTER), cluster.name.clone());
        self
    }
}

/// One rule: peers and protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which way.
    pub direction: Direction,
    /// What happens to what matches.
    pub action: Action,
    /// Who is at the other end; none for anybody.
    pub peers: Option<Vec<Peer>>,
    /// What is spoken; none for anything.
    pub traffic: Option<Vec<Traffic>>,
}

/// Somebody at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Endpoints, and what else has labels.
    Labels(Selector),
    /// An entity.
    Entity(Entity),
    /// Addresses outside of the cluster.
    Cidr {
        /// The range.
        net: IpNet,
        /// Holes in it.
        except: Vec<IpNet>,
    },
}

/// Peers without labels of their own (`pkg/policy/api/entity.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entity {
    /// Everybody.
    All,
    /// Whatever is outside of the cluster.
    World,
    /// The same, by IPv4.
    WorldIpv4,
    /// The same, by IPv6.
    WorldIpv6,
    /// All that is within the cluster.
    Cluster,
    /// The node that the endpoint is on.
    Host,
    /// Other nodes.
    RemoteNode,
    /// The API server.
    KubeApiserver,
    /// Endpoints whose labels are not known yet.
    Init,
    /// Cilium's health checks.
    Health,
    /// Endpoints that Cilium does not manage.
    Unmanaged,
    /// Cilium's ingress proxies.
    Ingress,
    /// Nobody.
    None,
}

/// Something that is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Traffic {
    /// A protocol with ports.
    Ports {
        /// TCP, UDP or SCTP.
        protocol: Protocol,
        /// Which ports of the receiver.
        ports: Ports,
    },
    /// A type of ICMP messages, of ICMP or of ICMPv6.
    Icmp {
        /// [`Protocol::ICMP`] or [`Protocol::ICMPV6`].
        protocol: Protocol,
        /// The type.
        r#type: u8,
    },
}

/// Ports of the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// All.
    All,
    /// From the first to the last.
    Range(u16, u16),
    /// Those of the receiver's containers that have this name.
    Named(String),
}
