//! Pods in which sockets are opened: each has a network namespace of its own at the far end of its device pair, where
//! otherwise the scenario stands.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::plan::{
    DeviceName, DevicePlan, Ifindex, NeighbourConfig, NodeName, NodePlan, NodeSettings, Port,
    RouteConfig,
};
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::format::{ScenarioFile, Step};
use crate::scenario::source::{Located, Source};

use super::network::{Network, Pod};
use super::nodes::prefix;

/// The pod's end of the pair.
const DEVICE: &str = "eth0";
/// The first indexes are those of devices that modules for tunnels put into each namespace.
const INDEX: Ifindex = Ifindex::new(100).expect("it is not zero");
/// Everywhere, and the gateway there: no packet shows it, but the hardware address of the pair's other end.
const WAYS: [(IpNet, IpAddr); 2] = [
    (
        IpNet::new_assert(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1)),
    ),
    (
        IpNet::new_assert(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
        IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
    ),
];

/// Gives a namespace to each pod that opens a socket. `addresses` are those of pods by name, where the network has not
/// given them any.
pub(super) fn add(
    source: &Arc<Source>,
    file: &ScenarioFile,
    network: &mut Network,
    addresses: &BTreeMap<String, Vec<IpAddr>>,
) -> Result<(), ScenarioError> {
    let openers = file.steps.iter().filter(|step| step.call.is_some());
    let openers = openers.filter_map(|step: &Located<Step>| step.from.as_ref());
    for opener in openers {
        let name = opener.as_str();
        let Some(pod) = network.pods.get(name).cloned() else {
            let known = network.pods.keys().map(String::as_str);
            return Err(Problem::unknown("pod", name, known).at(source, opener.span()));
        };
        if network.namespaces.contains_key(&pod.port) {
            continue;
        }
        let mistake = |message: String, expected: &str| {
            Err(Problem::new(message, expected).at(source, opener.span()))
        };
        if pod.port.node.is_only() {
            return mistake(
                format!("the node of pod `{name}` has no network stack"),
                "expected a pod of a `[topology]`, or one on a `[[node]]`",
            );
        }
        let taken = !network.is_edge(&pod.port);
        let same_name = network.nodes.iter().any(|node| node.name.as_str() == name);
        if taken || same_name {
            return mistake(
                format!("pod `{name}` cannot have a namespace of its own"),
                "expected a pod with the name of no node, whose device leads to the scenario",
            );
        }
        let known = addresses.get(name).filter(|_| pod.addresses.is_empty());
        let addresses = known.unwrap_or(&pod.addresses);
        let node = namespace(name, &pod, addresses, network.device(&pod.port));
        let end = Port {
            node: node.name.clone(),
            device: DeviceName::new(DEVICE),
        };
        network.wires.push([pod.port.clone(), end]);
        network.namespaces.insert(pod.port, node);
    }
    Ok(())
}

fn namespace(
    name: &str,
    pod: &Pod,
    addresses: &[IpAddr],
    other_end: Option<&DevicePlan>,
) -> NodePlan {
    let mut device = DevicePlan::veth(DeviceName::new(DEVICE), INDEX, pod.mac);
    device.addresses = addresses.iter().copied().map(IpNet::from).collect();
    let mut node = NodePlan {
        settings: NodeSettings::default(),
        host: Some(pod.port.node.clone()),
        ..NodePlan::bare(NodeName::new(name))
    };
    if let Some(other_end) = other_end {
        device.mtu = other_end.mtu;
        for (everywhere, gateway) in WAYS {
            let is_reached = addresses
                .iter()
                .any(|own| own.is_ipv4() == gateway.is_ipv4());
            if is_reached {
                lead(&mut node, everywhere, gateway, other_end);
            }
        }
    }
    node.devices.push(device);
    node
}

/// Adds a route over a gateway.
fn lead(node: &mut NodePlan, to: IpNet, gateway: IpAddr, other_end: &DevicePlan) {
    if gateway.is_ipv4() {
        let there = prefix(IpNet::from(gateway));
        node.routes.push(RouteConfig::new(there, DEVICE));
    }
    node.routes.push(RouteConfig {
        gateway: Some(gateway),
        ..RouteConfig::new(prefix(to), DEVICE)
    });
    node.neighbours.push(NeighbourConfig {
        device: DEVICE.to_owned(),
        address: gateway,
        mac: other_end.mac,
    });
}
