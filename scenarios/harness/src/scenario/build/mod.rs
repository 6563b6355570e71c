//! From a scenario to a [`Case`]: every name resolved, every byte counted.

mod calls;
mod changes;
mod datapath;
mod expectations;
mod fields;
mod manifests;
mod maps;
mod names;
mod namespaces;
mod network;
mod nodes;
mod objects;
mod pods;
mod responders;
mod steps;
mod topology;

use std::collections::BTreeMap;
use std::net::IpAddr;

use twinpath_control::Endpoint;
use twinpath_control::population::Population;

use crate::check::Expectations;
use crate::decode::Decoder;
use crate::plan::{NodeName, NodePlan, ObjectName, Plan};

use self::changes::Phase;
use self::maps::Maps;
use self::names::Names;
use self::network::Network;
use self::objects::Objects;
use self::steps::Steps;
use super::error::ScenarioError;
use super::kernel::KernelVersion;
use super::parse::Scenario;

/// What is to be run, what is expected of it, and how to read what comes out.
#[derive(Debug, Clone)]
pub struct Case {
    /// For the backends.
    pub plan: Plan,
    /// For the check.
    pub expectations: Expectations,
    /// For the reports.
    pub decoder: Decoder,
    /// The first Linux that will do, if not any.
    pub kernel: Option<KernelVersion>,
    /// Whether frames that come at one time are sent without waiting between them ([`crate::batch`]).
    pub batch: bool,
}

impl Scenario {
    /// Resolves the scenario's names and reads the files that it refers to.
    ///
    /// # Errors
    /// When a name refers to nothing, a file cannot be used, or bytes have the wrong size.
    pub fn case(&self) -> Result<Case, ScenarioError> {
        let source = &self.source;
        let file = &self.file;
        let mut population = manifests::population(source, file)?;
        let mut network = Network::read(source, file, &mut population)?;
        let endpoints = pods::endpoints(file, &mut network, &mut population);
        network.name_endpoints(&endpoints, &population);
        let addresses = addresses(&endpoints, &population);
        namespaces::add(source, file, &mut network, &addresses)?;
        let objects = Objects::read(source, &file.objects, &network)?;
        let states = datapath::states(source, file, &endpoints, &network, &population)?;
        let mut phases = vec![Phase {
            file: file.clone(),
            endpoints: endpoints.clone(),
            population: population.clone(),
            states: states.clone(),
        }];
        for change in file.steps.iter().filter_map(|step| step.change.as_ref()) {
            let next = phases[phases.len() - 1].after(source, &network, change)?;
            phases.push(next);
        }
        let decoder = Decoder::new(network.nodes.iter().flat_map(|node| {
            let names = names(&node.name, &phases);
            let datapaths = objects.datapaths();
            datapaths.map(move |object| ((node.name.clone(), object.clone()), names.clone()))
        }));
        let maps = Maps {
            source,
            objects: &objects,
            network: &network,
            decoder: &decoder,
        };
        let steps = Steps {
            source,
            network: &network,
            names: Names::new(&network, &endpoints, &population),
            datapath: objects.datapaths().next(),
        };
        let mut nodes = network.nodes.clone();
        for node in &mut nodes {
            node.attachments = network.attachments(&objects, &node.name)?;
            node.socket_programs = network.socket_programs(&objects, &node.name)?;
        }
        let attached: Vec<(NodeName, ObjectName)> = nodes.iter().flat_map(attached).collect();
        for node in &mut nodes {
            // What is attached nowhere is there for the maps that it shares with others.
            let loads = |object: &ObjectName| {
                let mut uses = attached
                    .iter()
                    .filter(|(_, used)| used == object)
                    .peekable();
                uses.peek().is_none() || uses.any(|(user, _)| *user == node.name)
            };
            node.objects = objects.plans(&network, &file.objects, &node.name, loads)?;
            if let Some(Some(state)) = states.get(&node.name) {
                node.maps = datapath::writes(source, file, state, node, &objects)?;
            }
            node.maps.extend(maps.writes(&file.maps, node)?);
            let held = node.attachments_of_entries();
            node.attachments.extend(held);
            let state = states.get(&node.name).and_then(Option::as_ref);
            datapath::settings(source, file, &objects, &network, state, node)?;
            node.clock = datapath::clock(&objects, &mut node.objects);
        }
        let mut changes = Vec::new();
        let steps_that_change = file.steps.iter().filter_map(|step| step.change.as_ref());
        for (change, phases) in steps_that_change.zip(phases.windows(2)) {
            let object = objects.datapaths().next();
            let object = object.ok_or_else(|| datapath::no_datapath(source, change.span()))?;
            let [before, after] = [&phases[0].states, &phases[1].states];
            changes.push(changes::between(
                source, change, &nodes, object, before, after,
            )?);
        }
        let (stimuli, packets) = steps.stimuli(&file.steps, changes)?;
        let responders = steps.responders(&file.responders)?;
        let expectations = Expectations {
            packets,
            maps: maps.expectations(&file.expect)?,
        };
        nodes.extend(network.namespaces.values().cloned());
        let plan = Plan {
            name: self.name.clone(),
            nodes,
            wires: network.wires.clone(),
            segments: network.segments.clone(),
            responders,
            stimuli,
            seed: file.seed,
        };
        let typed = plan.nodes.iter().flat_map(|node| {
            let objects = node.objects.iter();
            objects.map(|object| {
                let name = (node.name.clone(), object.name.clone());
                (name, object.bytes.clone())
            })
        });
        Ok(Case {
            decoder: decoder.with_objects(typed),
            plan,
            expectations,
            kernel: file.kernel,
            batch: false,
        })
    }
}

/// The addresses of endpoints, by name: those that the scenario says, or else their pods'.
fn addresses(endpoints: &[Endpoint], population: &Population) -> BTreeMap<String, Vec<IpAddr>> {
    let of = |endpoint: &Endpoint| {
        let own = [endpoint.ipv4.map(IpAddr::V4), endpoint.ipv6.map(IpAddr::V6)];
        let own: Vec<IpAddr> = own.into_iter().flatten().collect();
        match population.pod(&endpoint.name) {
            Ok(pod) if own.is_empty() => pod.addresses.clone(),
            _ => own,
        }
    };
    let each = endpoints.iter();
    each.map(|endpoint| (endpoint.name.clone(), of(endpoint)))
        .collect()
}

/// What is behind the numbers in a node's records, at each time.
fn names(node: &NodeName, phases: &[Phase]) -> Vec<twinpath_control::Names> {
    let names = phases.iter().map(|phase| {
        let state = phase.states.get(node).and_then(Option::as_ref);
        let names = state.map(|state| state.names(&phase.population));
        names.unwrap_or_default()
    });
    names.collect()
}

fn attached(node: &NodePlan) -> impl Iterator<Item = (NodeName, ObjectName)> {
    let attachments = node.attachments.iter();
    let objects = attachments.map(|attachment| &attachment.object);
    let of_sockets = node.socket_programs.iter();
    let objects = objects.chain(of_sockets.map(|attached| &attached.object));
    objects.map(|object| (node.name.clone(), object.clone()))
}
