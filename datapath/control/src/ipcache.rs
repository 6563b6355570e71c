//! Who an address is to a node, as entries of `ipcache`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use twinpath_abi::{Identity, PrefixKey, RemoteEndpoint, map};

use crate::endpoints::Member;
use crate::entries::Entry;
use crate::identity::world;
use crate::model::Known;
use crate::node::Here;
use crate::population::Population;

/// Identities and tunnel endpoints by prefix, in its order: whoever is nobody else is the world.
pub(crate) fn entries(
    population: &Population,
    known: &[Known],
    endpoints: &[Member],
    here: &Here<'_>,
) -> impl Iterator<Item = Entry> {
    let cluster = population.cluster(here.node);
    let is_other = |identity: Identity| identity.cluster().is_some_and(|other| other != cluster);
    let somebody = |identity: Identity, node: Option<IpAddr>| {
        RemoteEndpoint::new(identity, node).in_other_cluster(is_other(identity))
    };
    let mut cache = BTreeMap::new();
    for all in [
        IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Ipv6Addr::UNSPECIFIED.into(),
    ] {
        if let Ok(net) = IpNet::new(all, 0) {
            cache.insert(net, RemoteEndpoint::new(world(all.is_ipv4()), None));
        }
    }
    for (net, identity) in population.identities.ranges() {
        cache.insert(net, RemoteEndpoint::new(identity, None));
    }
    for ip in here.others.iter().flat_map(|(_, addresses)| addresses) {
        let remote = RemoteEndpoint::new(Identity::REMOTE_NODE, None);
        cache.insert((*ip).into(), remote);
    }
    for known in known {
        let remote = somebody(Identity(known.identity), known.tunnel);
        cache.insert(known.prefix.trunc(), remote);
    }
    let pods = population.pods.iter().filter(|pod| !pod.host_network);
    for pod in pods {
        let node = tunnel(population, pod.node.as_deref(), here);
        for ip in &pod.addresses {
            cache.insert((*ip).into(), somebody(population.identity(pod), node));
        }
    }
    for endpoint in endpoints {
        let node = tunnel(population, endpoint.node.as_deref(), here);
        for ip in endpoint.addresses() {
            cache.insert(ip.into(), somebody(endpoint.identity, node));
        }
    }
    for node in &population.nodes {
        for ip in &node.addresses {
            let identity = population.node_identity(*ip, false, cluster);
            let remote = RemoteEndpoint::new(identity, None);
            let remote = remote.in_other_cluster(node.cluster != cluster);
            cache.insert((*ip).into(), remote);
        }
    }
    for ip in &here.addresses {
        cache.insert((*ip).into(), RemoteEndpoint::new(Identity::HOST, None));
    }
    cache.into_iter().map(|(net, remote)| {
        Entry::new(
            map::IPCACHE,
            &PrefixKey::new(net.addr(), net.prefix_len()),
            &remote,
        )
    })
}

/// The node at the other end of the tunnel to what is on `node`, if that is another one.
fn tunnel(population: &Population, node: Option<&str>, here: &Here<'_>) -> Option<IpAddr> {
    let name = node.filter(|_| !here.is(node))?;
    let manifest = population.nodes.iter().find(|node| node.name == name);
    let other = here.others.iter().find(|(other, _)| *other == name);
    let known = manifest.map(|node| &node.addresses);
    let mut addresses = known.or(other.map(|(_, addresses)| addresses))?.iter();
    let v4 = addresses.clone().find(|ip| ip.is_ipv4());
    v4.or_else(|| addresses.next()).copied()
}
