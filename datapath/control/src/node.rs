//! What the datapath of one node is told.

use std::net::IpAddr;

use twinpath_abi::{EndpointId, map};

use crate::endpoints::{self, LocalEndpoint, Member, Taken};
use crate::entries::{Device, Entry, MapWriter, WriteError, within};
use crate::model::{Cluster, ModelError, Place, Problem};
use crate::names::Names;
use crate::policy::{DIRECTIONS, Origins, PolicyMap, records};
use crate::population::Population;
use crate::{ipcache, masquerade, prefilter, rules, services};

/// A node, as it knows itself.
pub struct Here<'a> {
    /// Its name. None where there is only one node: then all endpoints are on it, and its name is what the
    /// manifests call the node of those that are pods.
    pub node: Option<&'a str>,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// The other nodes, by name, with their addresses.
    pub others: Vec<(&'a str, Vec<IpAddr>)>,
    /// Its devices by name.
    pub devices: &'a dyn Fn(&str) -> Option<Device>,
}

impl Here<'_> {
    /// Whether something is on this node that is on `node`, or on the only one.
    pub(crate) fn is(&self, node: Option<&str>) -> bool {
        match (self.node, node) {
            (Some(here), Some(node)) => here == node,
            (None, _) => true,
            (Some(_), None) => false,
        }
    }

    /// The same node, with the name and the addresses that the manifests have for it.
    fn named<'b>(&'b self, cluster: &Cluster, population: &'b Population) -> Here<'b> {
        let endpoints = cluster.endpoints.iter();
        let pods = endpoints.filter_map(|endpoint| population.pod(&endpoint.name).ok());
        let mut nodes = pods.filter_map(|pod| pod.node.as_deref());
        let name = self.node.or_else(|| nodes.next());
        let mut addresses = self.addresses.clone();
        let manifest = population
            .nodes
            .iter()
            .find(|node| Some(node.name.as_str()) == name);
        addresses.extend(manifest.into_iter().flat_map(|node| &node.addresses));
        addresses.sort();
        addresses.dedup();
        Here {
            node: name,
            addresses,
            others: self.others.clone(),
            devices: self.devices,
        }
    }
}

/// What one node is told, and what user space keeps to itself about that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// The node's own addresses, those that the manifests have for it among them.
    pub addresses: Vec<IpAddr>,
    /// The endpoints of the model, on whatever node.
    pub members: Vec<Member>,
    /// The node's own ones, in the order of the model.
    pub endpoints: Vec<LocalEndpoint>,
    /// The policy of the node itself.
    pub host_policy: PolicyMap,
    /// Where the entries of policies came from.
    pub origins: Origins,
    entries: Vec<Entry>,
}

impl NodeState {
    /// What a node is told of a cluster: of the scenario's and of the manifests' part of it.
    ///
    /// # Errors
    /// The node has no device of an endpoint, or the model contradicts itself or the manifests.
    pub fn new(
        cluster: &Cluster,
        population: &Population,
        here: &Here<'_>,
    ) -> Result<Self, ModelError> {
        let named = here.named(cluster, population);
        let (members, endpoints) = endpoints(cluster, population, &named, here.node.is_none())?;
        let here = &named;
        let host_policy = host_policy(population, here);
        let cookies = cluster.policies.iter().map(|rule| rule.cookie);
        let mut origins = Origins::after(cookies.max().unwrap_or_default());
        let mut entries: Vec<_> = endpoints.iter().flat_map(LocalEndpoint::entries).collect();
        entries.extend(
            here.addresses
                .iter()
                .map(|ip| endpoints::host(*ip, cluster.host_audit)),
        );
        entries.extend(ipcache::entries(population, &cluster.known, &members, here));
        for LocalEndpoint { id, member, .. } in &endpoints {
            entries.extend(records::entries(*id, &member.policy, &mut origins));
        }
        entries.extend(rules::entries(cluster, &endpoints)?);
        entries.extend(records::entries(
            EndpointId::HOST,
            &host_policy,
            &mut origins,
        ));
        entries.extend(services::entries(&cluster.services)?);
        entries.extend(prefilter::entries(&cluster.deny)?);
        entries.extend(masquerade::exceptions(&cluster.masquerade_except));
        fits(&entries)?;
        Ok(Self {
            addresses: here.addresses.clone(),
            members,
            endpoints,
            host_policy,
            origins,
            entries,
        })
    }

    /// The map entries, in the order of the model.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is behind the numbers in the node's records.
    pub fn names(&self, population: &Population) -> Names {
        Names::new(self, population)
    }

    /// Writes the map entries.
    ///
    /// # Errors
    /// A map does not take an entry.
    pub fn write<W: MapWriter>(&self, maps: &mut W) -> Result<(), WriteError<W::Error>> {
        self.entries
            .iter()
            .try_for_each(|Entry { map, key, value }| {
                maps.update(map, key, value)
                    .map_err(|error| WriteError { map, error })
            })
    }
}

/// All endpoints of the model, and those of the node.
fn endpoints(
    cluster: &Cluster,
    population: &Population,
    here: &Here<'_>,
    only: bool,
) -> Result<(Vec<Member>, Vec<LocalEndpoint>), ModelError> {
    let mut taken = Taken::default();
    let (mut all, mut local) = (Vec::new(), Vec::new());
    for (index, endpoint) in cluster.endpoints.iter().enumerate() {
        let fail = |problem| ModelError {
            place: Place::Endpoint {
                index,
                name: endpoint.name.clone(),
            },
            problem,
        };
        let member = Member::new(endpoint, &cluster.policies, population).map_err(fail)?;
        taken.take(&member).map_err(fail)?;
        all.push(member.clone());
        if !here.is(member.node.as_deref()) {
            match &member.node {
                Some(node) if only => return Err(fail(Problem::OtherNode(node.clone()))),
                _ => continue,
            }
        }
        let id = taken.take_local(index, endpoint).map_err(fail)?;
        let device = (here.devices)(&endpoint.device)
            .ok_or_else(|| fail(Problem::NoDevice(endpoint.device.clone())))?;
        local.push(LocalEndpoint {
            member,
            id,
            device,
            mac: endpoint.mac,
            audit: endpoint.audit,
        });
    }
    Ok((all, local))
}

/// The policy of the node itself, which may speak with anybody if no manifest knows it.
fn host_policy(population: &Population, here: &Here<'_>) -> PolicyMap {
    let mut nodes = population.nodes.iter();
    let node = nodes.find(|node| here.node.is_some() && here.is(Some(&node.name)));
    node.map_or_else(
        || PolicyMap::open(DIRECTIONS),
        |node| population.host_policy(node),
    )
}

/// Refuses more entries than the maps hold that a model as a whole fills.
fn fits(entries: &[Entry]) -> Result<(), ModelError> {
    let sizes = [
        (map::LXC, map::max_entries::LXC),
        (map::LXC_DEVICE, map::max_entries::LXC_DEVICE),
        (map::IPCACHE, map::max_entries::IPCACHE),
        (map::POLICY, map::max_entries::POLICY),
    ];
    sizes.into_iter().try_for_each(|(map, max)| {
        let len = entries.iter().filter(|entry| entry.map == map).count();
        within(map, len, max).map_err(|problem| ModelError {
            place: Place::Cluster,
            problem,
        })
    })
}
