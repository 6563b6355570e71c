//! What the datapath is told: the cluster of a scenario, its clock.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use twinpath_control::abi::{Seam, global, map};
use twinpath_control::population::Population;
use twinpath_control::{
    Cluster, Device, Endpoint, Here, ModelError, NodeState, Place, Settings, Surroundings, abi,
};

use crate::datapath;
use crate::plan::{
    ClockCell, DeviceKind, DeviceName, DevicePlan, MapValue, MapWrite, NodeName, NodePlan,
    ObjectName, ObjectPlan,
};
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::format::ScenarioFile;
use crate::scenario::source::{Located, Source};

use super::names;
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

/// Makes the datapath read the scenario's clock, and continue a sequence where it needs chance; tells where the clock is.
pub(super) fn clock(objects: &Objects, plans: &mut [ObjectPlan]) -> Option<ClockCell> {
    let name = objects.datapaths().next()?;
    let plan = plans.iter_mut().find(|plan| plan.name == *name)?;
    for seam in [global::SEAM_NOW, global::SEAM_RANDOM] {
        // A variable that no program reads is not in the object.
        if objects.has_global(name, seam) {
            let global = plan.globals.entry(seam.to_owned());
            global.or_insert_with(|| 1_u32.to_le_bytes().to_vec());
        }
    }
    Some(ClockCell {
        object: name.clone(),
        map: map::SEAMS.to_owned(),
        key: (Seam::Now as u32).to_le_bytes().to_vec(),
    })
}

/// Tells the datapath how it is loaded: what the scenario says, and what follows from the node's network.
///
/// # Errors
/// When there is no datapath to tell, or no such device.
pub(super) fn settings(
    source: &Arc<Source>,
    file: &ScenarioFile,
    objects: &Objects,
    network: &Network,
    state: Option<&NodeState>,
    node: &mut NodePlan,
) -> Result<(), ScenarioError> {
    let said = file.datapath.as_ref();
    let Some(name) = objects.datapaths().next() else {
        let told = said.map(|settings| no_datapath(source, settings.span()));
        return told.map_or(Ok(()), Err);
    };
    for (device, settings) in said
        .iter()
        .flat_map(|said| said.devices().map(move |name| (name, said)))
    {
        let mut ports = network.ports();
        if !ports.any(|port| port.device.as_str() == device) {
            let ports: Vec<_> = network.ports().collect();
            let known = ports.iter().map(|port| port.device.as_str());
            return Err(Problem::unknown("device", device, known).at(source, settings.span()));
        }
    }
    let settings = said
        .map(|settings| settings.value().clone())
        .unwrap_or_default();
    let globals = settings.globals(&surroundings(&settings, network, state, node));
    for plan in node.objects.iter_mut().filter(|plan| plan.name == *name) {
        // A variable that no program reads is not in the object.
        let globals = globals
            .iter()
            .filter(|(global, _)| objects.has_global(name, global));
        for (name, value) in globals {
            let global = plan.globals.entry((*name).to_owned());
            global.or_insert_with(|| value.clone());
        }
    }
    Ok(())
}

/// What the datapath of a node is told of the node's own network.
fn surroundings(
    settings: &Settings,
    network: &Network,
    state: Option<&NodeState>,
    node: &NodePlan,
) -> Surroundings {
    let named = |name: &Option<String>| node.device(&DeviceName::new(name.as_deref()?));
    let overlay = named(&settings.overlay).or_else(|| external_tunnel(node));
    let host = named(&settings.host).or_else(|| network.host_device(node));
    let of = |device: &DevicePlan| {
        device
            .addresses
            .iter()
            .map(|net| net.addr())
            .collect::<Vec<_>>()
    };
    let others = node
        .devices
        .iter()
        .filter(|device| host.is_none_or(|host| host.name != device.name));
    let on_wires = others
        .filter(|device| matches!(device.kind, DeviceKind::Veth | DeviceKind::Bridge(_)))
        .flat_map(of);
    let of_manifests = state
        .iter()
        .flat_map(|state| state.addresses.iter().copied());
    let addresses = on_wires.chain(of_manifests);
    Surroundings {
        overlay: overlay.map(told),
        host: host.map(told),
        gateway: host.into_iter().flat_map(of).collect(),
        addresses: addresses.filter(|ip| !names::is_link_local(*ip)).collect(),
    }
}

/// The one VXLAN device of a node that asks programs where to.
fn external_tunnel(node: &NodePlan) -> Option<&DevicePlan> {
    let mut tunnels = node
        .devices
        .iter()
        .filter(|device| matches!(&device.kind, DeviceKind::Vxlan(vxlan) if vxlan.vni.is_none()));
    tunnels.next().filter(|_| tunnels.next().is_none())
}

/// A device of a node, as the datapath knows it.
fn device(node: &NodePlan, name: &str) -> Option<Device> {
    node.device(&DeviceName::new(name)).map(told)
}

fn told(device: &DevicePlan) -> Device {
    Device {
        ifindex: abi::Ifindex(device.ifindex.get()),
        mac: abi::Mac(device.mac.0),
    }
}

/// What the datapath of each node is told of the scenario's cluster; nothing if there is none.
pub(super) fn states(
    source: &Arc<Source>,
    file: &ScenarioFile,
    endpoints: &[Endpoint],
    network: &Network,
    population: &Population,
) -> Result<BTreeMap<NodeName, Option<NodeState>>, ScenarioError> {
    for endpoint in &file.endpoints {
        let names = || network.nodes.iter().map(|node| node.name.as_str());
        if let Some(node) = &endpoint.node
            && !names().any(|name| name == node)
        {
            return Err(Problem::unknown("node", node, names()).at(source, endpoint.span()));
        }
    }
    let nodes = network.nodes.iter();
    nodes
        .map(|node| {
            Ok((
                node.name.clone(),
                state(source, file, endpoints, node, network, population)?,
            ))
        })
        .collect()
}

fn state(
    source: &Arc<Source>,
    file: &ScenarioFile,
    endpoints: &[Endpoint],
    node: &NodePlan,
    network: &Network,
    population: &Population,
) -> Result<Option<NodeState>, ScenarioError> {
    let cluster = Cluster {
        endpoints: endpoints
            .iter()
            .map(|endpoint| placed(endpoint, node, network))
            .collect(),
        services: file
            .services
            .iter()
            .map(|service| service.value().clone())
            .collect(),
        policies: file
            .policies
            .iter()
            .map(|rule| rule.value().clone())
            .collect(),
        known: file
            .ipcache
            .iter()
            .map(|known| known.value().clone())
            .collect(),
        deny: file.deny.iter().map(|network| network.0).collect(),
        host_audit: file.datapath.iter().any(|settings| settings.host_audit),
        masquerade_except: file
            .datapath
            .iter()
            .flat_map(|settings| settings.masquerade_except.iter().copied())
            .collect(),
    };
    if cluster == Cluster::default() && file.all_manifests().next().is_none() {
        return Ok(None);
    }
    let device = |name: &str| device(node, name);
    let others = network.nodes.iter().filter(|other| other.name != node.name);
    let here = Here {
        node: (!node.name.is_only()).then_some(node.name.as_str()),
        addresses: addresses(node),
        others: others
            .map(|other| (other.name.as_str(), reachable(other)))
            .collect(),
        devices: &device,
    };
    NodeState::new(&cluster, population, &here)
        .map(Some)
        .map_err(|error| mistake(source, file, &error))
}

/// The addresses of a node.
fn addresses(node: &NodePlan) -> Vec<IpAddr> {
    let addresses = node.devices.iter().flat_map(|device| &device.addresses);
    addresses.map(|net| net.addr()).collect()
}

/// Those that mean the node to others, too.
fn reachable(node: &NodePlan) -> Vec<IpAddr> {
    let mut addresses = addresses(node);
    addresses.retain(|ip| !names::is_link_local(*ip));
    addresses
}

/// An endpoint that says on which node it is: the one that has its device, which is `node` if several have one of
/// that name, or if none has, which is a mistake.
fn placed(endpoint: &Endpoint, node: &NodePlan, network: &Network) -> Endpoint {
    let ports = || {
        let mut ports = network.ports();
        ports.find(|port| port.device.as_str() == endpoint.device)
    };
    let own = node.device(&DeviceName::new(&endpoint.device)).is_some();
    let other = (!own).then(ports).flatten();
    let name = other.map_or_else(|| node.name.clone(), |port| port.node);
    let given = endpoint.node.clone();
    let found = (!name.is_only()).then(|| name.to_string());
    Endpoint {
        node: given.or(found),
        ..endpoint.clone()
    }
}

/// What the datapath of a node is told, as contents of its maps.
pub(super) fn writes(
    source: &Arc<Source>,
    file: &ScenarioFile,
    state: &NodeState,
    node: &NodePlan,
    objects: &Objects,
) -> Result<Vec<MapWrite>, ScenarioError> {
    let object = objects
        .datapaths()
        .next()
        .ok_or_else(|| no_datapath(source, first(file)))?;
    if !node.objects.iter().any(|plan| plan.name == *object) {
        return Ok(Vec::new());
    }
    let write = |entry: &twinpath_control::Entry| MapWrite {
        object: object.clone(),
        map: entry.map.to_owned(),
        key: entry.key.clone(),
        value: MapValue::Bytes(entry.value.clone()),
    };
    Ok(state.entries().iter().map(write).collect())
}

/// A contradiction in the model, at its part of the file.
fn mistake(source: &Arc<Source>, file: &ScenarioFile, error: &ModelError) -> ScenarioError {
    let span = match error.place {
        Place::Endpoint { index, .. } => {
            let pod = || file.all_manifests().next().map(Located::span);
            let said = file.endpoints.get(index).map(Located::span);
            said.or_else(pod)
        }
        Place::Service { index, .. } => file.services.get(index).map(Located::span),
        Place::Backend { service, .. } => file.services.get(service).map(Located::span),
        Place::Policy { index } => file.policies.get(index).map(Located::span),
        Place::Cluster => None,
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

pub(super) fn no_datapath(source: &Arc<Source>, place: Range<usize>) -> ScenarioError {
    Problem::new(
        "no object of this scenario is the datapath",
        "expected `[[map]]` for the maps of other objects",
    )
    .at(source, place)
}
