//! What the datapath is told: the cluster of a scenario, its clock.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use twinpath_control::abi::{Seam, global, map};
use twinpath_control::{Cluster, Device, Endpoint, ModelError, Place, PolicyRule, abi};

use crate::datapath;
use crate::plan::{ClockCell, DeviceName, MapValue, MapWrite, NodePlan, ObjectName, ObjectPlan};
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::format::ScenarioFile;
use crate::scenario::source::{Located, Source};

use super::network::Network;
use super::objects::Objects;

/// The built-in object.
pub(super) fn object() -> ObjectPlan {
    ObjectPlan {
        name: ObjectName::new(datapath::NAME),
        path: PathBuf::from(format!("{}.o", datapath::NAME)),
        bytes: datapath::object(),
        globals: BTreeMap::new(),
    }
}

/// Makes the datapath read the scenario's clock; tells where it does so.
pub(super) fn clock(objects: &Objects, plans: &mut [ObjectPlan]) -> Option<ClockCell> {
    let name = objects.datapaths().next()?;
    let plan = plans.iter_mut().find(|plan| plan.name == *name)?;
    plan.globals
        .entry(global::SEAM_NOW.to_owned())
        .or_insert_with(|| 1_u32.to_le_bytes().to_vec());
    Some(ClockCell {
        object: name.clone(),
        map: map::SEAMS.to_owned(),
        key: (Seam::Now as u32).to_le_bytes().to_vec(),
    })
}

/// Tells the datapath of a node how it is loaded, if the node has it.
///
/// # Errors
/// When no node has it.
pub(super) fn settings(
    source: &Arc<Source>,
    file: &ScenarioFile,
    objects: &Objects,
    plans: &mut [ObjectPlan],
) -> Result<(), ScenarioError> {
    let Some(settings) = &file.datapath else {
        return Ok(());
    };
    let name = objects.datapaths().next();
    let name = name.ok_or_else(|| no_datapath(source, settings.span()))?;
    for plan in plans.iter_mut().filter(|plan| plan.name == *name) {
        for (name, value) in settings.globals() {
            plan.globals.entry(name.to_owned()).or_insert(value);
        }
    }
    Ok(())
}

/// The cluster of the scenario as the contents of a node's maps. A node is told of its own endpoints, and of those
/// that are nowhere, which is a mistake.
pub(super) fn cluster(
    source: &Arc<Source>,
    file: &ScenarioFile,
    node: &NodePlan,
    network: &Network,
    objects: &Objects,
) -> Result<Vec<MapWrite>, ScenarioError> {
    let elsewhere = |endpoint: &Endpoint| {
        let mut ports = network.ports();
        ports.any(|port| port.node != node.name && port.device.as_str() == endpoint.device)
    };
    let here = |endpoint: &Endpoint| {
        let device = DeviceName::new(&endpoint.device);
        node.device(&device).is_some() || !elsewhere(endpoint)
    };
    let rule_here = |rule: &&Located<PolicyRule>| {
        let mut named = file.endpoints.iter().map(Located::value);
        named
            .find(|endpoint| endpoint.name == rule.value().endpoint)
            .is_none_or(here)
    };
    let rules: Vec<&Located<PolicyRule>> = file.policies.iter().filter(rule_here).collect();
    let cluster = Cluster {
        endpoints: file
            .endpoints
            .iter()
            .map(|endpoint| endpoint.value().clone())
            .filter(here)
            .collect(),
        services: file
            .services
            .iter()
            .map(|service| service.value().clone())
            .collect(),
        policies: rules.iter().map(|rule| rule.value().clone()).collect(),
        known: file
            .ipcache
            .iter()
            .map(|known| known.value().clone())
            .collect(),
        deny: file.deny.iter().map(|network| network.0).collect(),
    };
    let device = |name: &str| {
        let device = node.device(&DeviceName::new(name))?;
        Some(Device {
            ifindex: abi::Ifindex(device.ifindex.get()),
            mac: abi::Mac(device.mac.0),
        })
    };
    let entries = cluster
        .entries(device)
        .map_err(|error| mistake(source, file, &rules, &error))?;
    let object = match (objects.datapaths().next(), entries.is_empty()) {
        (_, true) => return Ok(Vec::new()),
        (Some(object), _) => object,
        (None, _) => return Err(no_datapath(source, first(file))),
    };
    if !node.objects.iter().any(|plan| plan.name == *object) {
        return Ok(Vec::new());
    }
    let write = |entry: twinpath_control::Entry| MapWrite {
        object: object.clone(),
        map: entry.map.to_owned(),
        key: entry.key,
        value: MapValue::Bytes(entry.value),
    };
    Ok(entries.into_iter().map(write).collect())
}

/// A contradiction in the model, at its part of the file.
fn mistake(
    source: &Arc<Source>,
    file: &ScenarioFile,
    rules: &[&Located<PolicyRule>],
    error: &ModelError,
) -> ScenarioError {
    let span = match error.place {
        Place::Endpoint { index, .. } => file.endpoints.get(index).map(Located::span),
        Place::Service { index, .. } => file.services.get(index).map(Located::span),
        Place::Backend { service, .. } => file.services.get(service).map(Located::span),
        Place::Policy { index } => rules.get(index).map(|rule| rule.span()),
        Place::Deny { index } => file.deny.get(index).map(Located::span),
    };
    let span = span.unwrap_or_default();
    Problem::new(error.to_string(), "in this part of the cluster").at(source, span)
}

/// The first thing that the file tells the datapath.
fn first(file: &ScenarioFile) -> Range<usize> {
    let endpoints = file.endpoints.iter().map(Located::span);
    let services = file.services.iter().map(Located::span);
    let deny = file.deny.iter().map(Located::span);
    let policies = file.policies.iter().map(Located::span);
    let ipcache = file.ipcache.iter().map(Located::span);
    let parts = endpoints.chain(services).chain(policies).chain(ipcache);
    parts.chain(deny).next().unwrap_or_default()
}

fn no_datapath(source: &Arc<Source>, place: Range<usize>) -> ScenarioError {
    Problem::new(
        "no object of this scenario is the datapath",
        "expected `[[map]]` for the maps of other objects",
    )
    .at(source, place)
}
