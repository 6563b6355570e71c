//! What a node's datapath is told when the cluster changes.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::Arc;

use twinpath_control::population::Population;
use twinpath_control::{Endpoint, Entry, NodeState};

use crate::plan::{MapChange, NodeName, NodePlan, ObjectName, StimulusKind};
use crate::recording::MapRef;
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::format::{Change, ScenarioFile};
use crate::scenario::source::{Located, Source};

use super::network::Network;
use super::{datapath, manifests};

/// What each node is told, by name; nothing where there is no cluster.
pub(super) type States = BTreeMap<NodeName, Option<NodeState>>;

/// A cluster at some time.
#[derive(Clone)]
pub(super) struct Phase {
    pub file: ScenarioFile,
    pub endpoints: Vec<Endpoint>,
    pub population: Population,
    pub states: States,
}

impl Phase {
    /// The cluster after a change.
    pub fn after(
        &self,
        source: &Arc<Source>,
        network: &Network,
        change: &Located<Change>,
    ) -> Result<Self, ScenarioError> {
        let mut file = self.file.clone();
        let Change {
            manifests,
            clusters,
            endpoints,
            services,
            policies,
            ipcache,
            deny,
        } = change.value().clone();
        let replaces_endpoints = endpoints.is_some();
        file.manifests = manifests.unwrap_or(file.manifests);
        file.clusters = clusters.unwrap_or(file.clusters);
        file.endpoints = endpoints.unwrap_or(file.endpoints);
        file.services = services.unwrap_or(file.services);
        file.policies = policies.unwrap_or(file.policies);
        file.ipcache = ipcache.unwrap_or(file.ipcache);
        file.deny = deny.unwrap_or(file.deny);
        let mut population = manifests::population(source, &file)?;
        self.settle(&mut population);
        let said = file.endpoints.iter().map(|said| said.value().clone());
        let endpoints: Vec<Endpoint> = match replaces_endpoints {
            true => said.map(|endpoint| self.numbered(endpoint)).collect(),
            false => {
                let was_pod = |endpoint: &&Endpoint| self.population.pod(&endpoint.name).is_ok();
                let is_pod = |endpoint: &&Endpoint| population.pod(&endpoint.name).is_ok();
                let all = self.endpoints.iter();
                let stays = all.filter(|endpoint| !was_pod(endpoint) || is_pod(endpoint));
                stays
                    .map(|endpoint| self.numbered(endpoint.clone()))
                    .collect()
            }
        };
        let states = datapath::states(source, &file, &endpoints, network, &population)?;
        Ok(Self {
            file,
            endpoints,
            population,
            states,
        })
    }

    /// Nodes and pods keep the addresses that they were given.
    fn settle(&self, population: &mut Population) {
        for node in &self.population.nodes {
            match population
                .nodes
                .iter_mut()
                .find(|known| known.name == node.name)
            {
                Some(known) if known.addresses.is_empty() => {
                    known.addresses.clone_from(&node.addresses);
                }
                Some(_) => {}
                None => population.nodes.push(node.clone()),
            }
        }
        for pod in &mut population.pods {
            if pod.addresses.is_empty()
                && let Ok(before) = self.population.pod(&pod.to_string())
            {
                pod.addresses.clone_from(&before.addresses);
            }
        }
    }

    /// An endpoint keeps its number, whoever goes before it.
    fn numbered(&self, mut endpoint: Endpoint) -> Endpoint {
        let mut before = self.endpoints.iter();
        let place = before.position(|known| known.name == endpoint.name);
        let known = place.and_then(|place| self.endpoints[place].id);
        let number = place.and_then(|place| NonZeroU16::new(u16::try_from(place + 1).ok()?));
        endpoint.id = endpoint.id.or(known).or(number);
        endpoint
    }
}

/// What becomes of the maps of each node between two times.
pub(super) fn between(
    source: &Arc<Source>,
    change: &Located<Change>,
    nodes: &[NodePlan],
    object: &ObjectName,
    before: &States,
    after: &States,
) -> Result<Vec<StimulusKind>, ScenarioError> {
    let loads = |node: &&NodePlan| node.objects.iter().any(|plan| plan.name == *object);
    let changes = nodes.iter().filter(loads).map(|node| {
        let entries = |states: &States| {
            let state = states.get(&node.name).and_then(Option::as_ref);
            state.map_or_else(Vec::new, |state| state.entries().to_vec())
        };
        StimulusKind::Change {
            node: node.name.clone(),
            changes: of_node(&node.name, object, &entries(before), &entries(after)),
        }
    });
    let some = |kind: &StimulusKind| matches!(kind, StimulusKind::Change { changes, .. } if !changes.is_empty());
    let changes: Vec<StimulusKind> = changes.filter(some).collect();
    if changes.is_empty() {
        let problem = Problem::new(
            "this changes nothing",
            "expected a part of the cluster that is not as before",
        );
        return Err(problem.at(source, change.span()));
    }
    Ok(changes)
}

/// What is new is written before what is gone is taken away.
fn of_node(
    node: &NodeName,
    object: &ObjectName,
    before: &[Entry],
    after: &[Entry],
) -> Vec<MapChange> {
    let map = |entry: &Entry| MapRef {
        node: node.clone(),
        object: object.clone(),
        map: entry.map.to_owned(),
    };
    let key = |entry: &Entry| (entry.map, entry.key.clone());
    let kept: BTreeSet<_> = after.iter().map(key).collect();
    let known: BTreeMap<_, &Vec<u8>> = before
        .iter()
        .map(|entry| (key(entry), &entry.value))
        .collect();
    let new = after
        .iter()
        .filter(|entry| known.get(&key(entry)) != Some(&&entry.value));
    let written = new.map(|entry| MapChange::Write {
        map: map(entry),
        key: entry.key.clone(),
        value: entry.value.clone(),
    });
    let gone = before.iter().filter(|entry| !kept.contains(&key(entry)));
    let deleted = gone.map(|entry| MapChange::Delete {
        map: map(entry),
        key: entry.key.clone(),
    });
    written.chain(deleted).collect()
}
