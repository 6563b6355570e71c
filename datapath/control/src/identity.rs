//! Numeric identities: who has which.
//!
//! Reserved ones are Cilium's (`pkg/identity/numericidentity.go`). Labels get numbers from 256 on, in their order, with the number
//! of their cluster above bit 16; address ranges that policies speak of get numbers of the local scope, with bit 24 set, in theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use twinpath_abi::{ClusterId, Identity};

use crate::labels::{Labels, Source};

/// Reserved identities.
pub const RESERVED: [Identity; 10] = [
    Identity::HOST,
    Identity::WORLD,
    Identity::UNMANAGED,
    Identity::HEALTH,
    Identity::INIT,
    Identity::REMOTE_NODE,
    Identity::KUBE_APISERVER,
    Identity::INGRESS,
    Identity::WORLD_IPV4,
    Identity::WORLD_IPV6,
];

/// What a node is to its own endpoints, besides the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Host {
    /// It serves the API.
    pub serves_api: bool,
    /// The cluster that it is in.
    pub cluster: ClusterId,
}

/// The labels of a reserved identity: `reserved:host` and so on. Who serves the API is a node as well, and the host may
/// serve it.
pub fn reserved_labels(identity: Identity, host: Host) -> Labels {
    let mut labels = Labels::reserved(identity.reserved_name().unwrap_or("unknown"));
    if identity == Identity::KUBE_APISERVER {
        labels.insert(Source::Reserved, "remote-node", "");
    }
    if identity == Identity::HOST && host.serves_api {
        labels.insert(Source::Reserved, "kube-apiserver", "");
    }
    labels
}

/// The labels of a range of addresses, as far as selectors speak of them: those of the world by its family.
pub fn range_labels(net: IpNet) -> Labels {
    let world = world(net.addr().is_ipv4());
    Labels::reserved(world.reserved_name().unwrap_or("world"))
}

const FIRST_OF_NODE: u32 = (1 << 24) + 1;

/// The identities of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identities {
    labels: BTreeMap<Labels, Identity>,
    prefixes: BTreeMap<IpNet, Identity>,
}

impl Identities {
    /// Gives a number to each set of labels of a cluster and to each range of addresses. A range of all addresses is the
    /// world's.
    pub fn allocate(
        labels: impl IntoIterator<Item = (ClusterId, Labels)>,
        prefixes: impl IntoIterator<Item = IpNet>,
    ) -> Self {
        let mut clusters: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (cluster, labels) in labels {
            clusters.entry(cluster).or_default().insert(labels);
        }
        let prefixes: BTreeSet<_> = prefixes
            .into_iter()
            .filter(|net| net.prefix_len() > 0)
            .map(|net| net.trunc())
            .collect();
        Self {
            labels: clusters
                .into_iter()
                .flat_map(|(cluster, labels)| {
                    let Identity(first) = Identity::first_of(cluster);
                    labels.into_iter().zip((first..).map(Identity))
                })
                .collect(),
            prefixes: prefixes
                .into_iter()
                .zip((FIRST_OF_NODE..).map(Identity))
                .collect(),
        }
    }

    /// The identity of endpoints with these labels.
    pub fn of_labels(&self, labels: &Labels) -> Option<Identity> {
        self.labels.get(labels).copied()
    }

    /// The identity of an address outside of the cluster: that of the longest range that holds it.
    pub fn of_address(&self, address: IpAddr) -> Identity {
        let holding = self
            .prefixes
            .iter()
            .filter(|(net, _)| net.contains(&address));
        holding
            .max_by_key(|(net, _)| net.prefix_len())
            .map_or_else(|| world(address.is_ipv4()), |(_, identity)| *identity)
    }

    /// The identities of endpoints, with their labels.
    pub fn endpoints(&self) -> impl Iterator<Item = (&Labels, Identity)> {
        self.labels
            .iter()
            .map(|(labels, identity)| (labels, *identity))
    }

    /// The identities of address ranges.
    pub fn ranges(&self) -> impl Iterator<Item = (IpNet, Identity)> {
        self.prefixes
            .iter()
            .map(|(net, identity)| (*net, *identity))
    }
}

/// The world by a family.
pub const fn world(ipv4: bool) -> Identity {
    if ipv4 {
        Identity::WORLD_IPV4
    } else {
        Identity::WORLD_IPV6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_range_gives_an_address_its_identity() {
        let nets = ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "2001:db8::/32"];
        let nets = nets.map(|net| net.parse().expect("a net"));
        let identities = Identities::allocate([], nets);
        let cases = [
            ("10.0.0.1", Identity(FIRST_OF_NODE)),
            ("10.1.0.1", Identity(FIRST_OF_NODE + 1)),
            ("192.0.2.1", Identity::WORLD_IPV4),
            ("2001:db8::1", Identity(FIRST_OF_NODE + 2)),
            ("2001:db9::1", Identity::WORLD_IPV6),
        ];
        for (address, expected) in cases {
            let address = address.parse().expect("an address");
            assert_eq!(identities.of_address(address), expected, "{address}");
        }
    }
}
