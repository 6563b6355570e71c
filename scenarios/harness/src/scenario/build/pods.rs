//! Pods of manifests that no `[[endpoint]]` stands for: each gets a device on its node, and addresses if the manifest
//! has none.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use twinpath_control::Endpoint;
use twinpath_control::abi::{self, program};
use twinpath_control::population::{Pod, Population};

use crate::plan::{
    DeviceName, DevicePlan, DeviceSettings, HookKind, Ifindex, Mac, NeighbourConfig, NodePlan,
    Port, RouteConfig,
};
use crate::scenario::format::ScenarioFile;

use super::network::{Network, Wanted};
use super::nodes::{self, prefix};
use super::topology;

/// All endpoints: those of the file, and the pods of the manifests. Where devices stand in the file one by one, the file
/// says which of them are pods'.
pub(super) fn endpoints(
    file: &ScenarioFile,
    network: &mut Network,
    population: &mut Population,
) -> Vec<Endpoint> {
    let said = file.endpoints.iter();
    let mut endpoints: Vec<Endpoint> = said.map(|endpoint| endpoint.value().clone()).collect();
    let Some(manifest) = file
        .all_manifests()
        .next()
        .filter(|_| file.devices.is_empty())
    else {
        return endpoints;
    };
    let claimed = endpoints.iter().map(|endpoint| &endpoint.name);
    let claimed = claimed.filter_map(|name| population.pod(name).ok().map(Pod::to_string));
    let claimed: Vec<String> = claimed.collect();
    let first = population.pods.iter().find_map(|pod| pod.node.clone());
    let before = file
        .topology
        .as_ref()
        .map_or(0, |topology| topology.pod_count());
    let mut slots = vec![before; network.nodes.len()];
    for index in 0..population.pods.len() {
        let pod = &population.pods[index];
        if pod.host_network || claimed.contains(&pod.to_string()) {
            continue;
        }
        let is_home = |node: &NodePlan| match (&pod.node, &first) {
            (Some(home), Some(first)) if node.name.is_only() => home == first,
            (Some(home), _) => node.name.as_str() == home,
            (None, _) => true,
        };
        let Some(place) = network.nodes.iter().position(is_home) else {
            continue;
        };
        let Some(slot) = slots[place].checked_add(1) else {
            continue;
        };
        slots[place] = slot;
        let name = match population.pod(&pod.name) {
            Ok(_) => pod.name.clone(),
            Err(_) => pod.to_string(),
        };
        let number = u8::try_from(place + 1).unwrap_or(u8::MAX);
        let home = Slot::new(file.topology.is_some(), number, slot, &network.nodes[place]);
        if pod.addresses.is_empty() {
            population.pods[index].addresses = topology::pod(number, slot).to_vec();
        }
        let port = home.build(&mut network.nodes[place], &population.pods[index].addresses);
        let programs = file.topology.as_ref();
        match programs.and_then(|topology| topology.programs.pod.as_ref()) {
            Some(hooks) => network.want(&port, hooks),
            None if file.objects.is_empty() => network.programs.push(Wanted {
                port: port.clone(),
                kind: HookKind::TcIngress,
                programs: vec![program::FROM_CONTAINER.to_owned()],
                span: manifest.span(),
            }),
            None => {}
        }
        endpoints.push(Endpoint {
            name,
            node: (!port.node.is_only()).then(|| port.node.to_string()),
            device: port.device.to_string(),
            ipv4: None,
            ipv6: None,
            mac: abi::Mac(home.mac.0),
            identity: None,
            id: None,
            audit: false,
        });
    }
    endpoints
}

/// A pod's place on a node.
pub(super) struct Slot {
    pub device: DevicePlan,
    /// The pod's own.
    pub mac: Mac,
}

impl Slot {
    fn new(topology: bool, number: u8, slot: u8, node: &NodePlan) -> Self {
        let device = if topology {
            topology::pod_device(number, slot)
        } else {
            let indexes = node.devices.iter().map(|device| device.ifindex.get() + 1);
            let index = indexes.max().unwrap_or(nodes::FIRST_INDEX);
            let ifindex = Ifindex::new(index);
            let ifindex = ifindex.unwrap_or_else(|| unreachable!("indexes are counted from 1"));
            let name = DeviceName::new(format!("lxc{slot}"));
            DevicePlan::veth(name, ifindex, nodes::default_mac(ifindex))
        };
        Self {
            device,
            mac: topology::pod_mac(number, slot),
        }
    }

    /// Adds the device, and on a node with a network stack the way to the pod.
    pub fn build(&self, node: &mut NodePlan, addresses: &[IpAddr]) -> Port {
        let mut device = self.device.clone();
        let name = device.name.clone();
        if !node.name.is_only() {
            let gateway = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
            device.addresses = IpNet::new(gateway.into(), 64).into_iter().collect();
            device.settings = DeviceSettings {
                forwarding: node.settings.forward_ipv6,
                ..DeviceSettings::default()
            };
            for address in addresses {
                node.neighbours.push(NeighbourConfig {
                    device: name.to_string(),
                    address: *address,
                    mac: self.mac,
                });
                let to = prefix(IpNet::from(*address));
                node.routes.push(RouteConfig::new(to, name.as_str()));
            }
        }
        node.devices.push(device);
        Port {
            node: node.name.clone(),
            device: name,
        }
    }
}
