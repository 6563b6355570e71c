//! What the records of a node do not say: names, and the policies behind decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use twinpath_abi::{
    Direction, DropNotify, DropReason, EndpointId, FromBytes as _, Identity, PolicyEntry,
    VerdictNotify, map,
};

use crate::describe::{self, Fields};
use crate::event::{Event, Summary};
use crate::node::NodeState;
use crate::policy::{Action, Origin, Origins, PolicyMap, Table};
use crate::population::Population;

/// Names of a node's endpoints, of the cluster's addresses and identities, and its policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    addresses: BTreeMap<IpAddr, String>,
    endpoints: BTreeMap<EndpointId, Endpoint>,
    origins: Origins,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    identity: Identity,
    policy: PolicyMap,
}

impl Names {
    /// What is behind the numbers of a node.
    pub(crate) fn new(state: &NodeState, population: &Population) -> Self {
        let pods = population.pods.iter().filter(|pod| !pod.host_network);
        let pods = pods.flat_map(|pod| pod.addresses.iter().map(move |ip| (*ip, pod.to_string())));
        let nodes = population.nodes.iter();
        let nodes = nodes.flat_map(|node| node.addresses.iter().map(|ip| (*ip, node.name.clone())));
        let members = state.members.iter();
        let members = members.flat_map(|each| each.addresses().map(|ip| (ip, each.name.clone())));
        let local = state.endpoints.iter().map(|local| {
            let endpoint = Endpoint {
                identity: local.member.identity,
                policy: local.member.policy.clone(),
            };
            (local.id, endpoint)
        });
        let host = Endpoint {
            identity: Identity::HOST,
            policy: state.host_policy.clone(),
        };
        Self {
            addresses: pods.chain(nodes).chain(members).collect(),
            endpoints: local.chain([(EndpointId::HOST, host)]).collect(),
            origins: state.origins.clone(),
        }
    }

    /// Whose address it is.
    pub fn address(&self, ip: IpAddr) -> Option<&str> {
        self.addresses.get(&ip).map(String::as_str)
    }

    /// The identity of one of the node's endpoints.
    pub fn identity(&self, endpoint: EndpointId) -> Option<Identity> {
        self.endpoints
            .get(&endpoint)
            .map(|endpoint| endpoint.identity)
    }

    /// A value's fields, as [`describe::value`] has them, and the policies that an entry of a policy came from.
    pub fn value(&self, map: &str, bytes: &[u8]) -> Option<Fields> {
        let mut fields = describe::value(map, bytes)?;
        if map == map::POLICY {
            let entry = PolicyEntry::read_from_bytes(bytes).ok()?;
            let origins = self.origins.of(entry.cookie);
            fields.extend(origins.map(|origins| ("from", list(origins))));
        }
        Some(fields)
    }

    /// The policies that decided what an event tells of: those behind the entry, or those because of which what
    /// no entry allows is denied.
    pub fn decided(&self, event: &Event) -> Option<String> {
        let origins = match event {
            Event::Verdict(record) => self.behind_verdict(&record.notify),
            Event::Drop(record) => self.behind_drop(&record.notify, record.captured()),
            Event::Trace(_) | Event::Debug(_) => None,
        };
        origins.filter(|origins| !origins.is_empty()).map(list)
    }

    fn behind_verdict(&self, notify: &VerdictNotify) -> Option<&BTreeSet<Origin>> {
        if notify.cookie != 0 {
            return self.origins.of(notify.cookie);
        }
        let denied = notify.verdict < 0 || notify.flags.is_audited();
        let table = self.table(notify.head.source, notify.flags.direction()?)?;
        denied.then(|| table.default_deny())
    }

    /// A drop does not say whose policy it was: that of the sender, if that denies, or else the receiver's.
    fn behind_drop(&self, notify: &DropNotify, packet: &[u8]) -> Option<&BTreeSet<Origin>> {
        let reason = DropReason::from_code(notify.head.subtype)?;
        if !matches!(reason, DropReason::PolicyDenied | DropReason::PolicyDeny) {
            return None;
        }
        let Summary::Ip { layer4, .. } = Summary::new(packet) else {
            return None;
        };
        let (protocol, port) = layer4.policy_key()?;
        let denied = |table: Option<&'_ Table>, other: Identity| -> Option<bool> {
            Some(!table?.allows(other, protocol, port))
        };
        let egress = self.table(notify.head.source, Direction::Egress);
        let receiver = u16::try_from(notify.dst_id).map(EndpointId).ok()?;
        let ingress = self.table(receiver, Direction::Ingress);
        let (table, other) = if denied(egress, notify.dst_label) == Some(true) {
            (egress?, notify.dst_label)
        } else if denied(ingress, notify.src_label) == Some(true) {
            (ingress?, notify.src_label)
        } else {
            return None;
        };
        match table.lookup(other, protocol, port) {
            Some((_, entry)) if entry.action == Action::Deny => Some(&entry.origins),
            _ => Some(table.default_deny()),
        }
    }

    fn table(&self, endpoint: EndpointId, direction: Direction) -> Option<&Table> {
        let endpoint = self.endpoints.get(&endpoint)?;
        Some(endpoint.policy.table(direction))
    }
}

fn list(origins: &BTreeSet<Origin>) -> String {
    let names: Vec<_> = origins.iter().map(ToString::to_string).collect();
    names.join(", ")
}
