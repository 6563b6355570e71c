//! A scenario's network as a picture: nodes, their devices, what is between them, and the programs.

mod svg;
mod text;

pub use svg::svg;
pub use text::text;

use std::fmt::Display;

use twinpath_node::RouteKind;

use crate::plan::{DeviceKind, DeviceName, DevicePlan, NodePlan, Plan, Port, Segment, VxlanConfig};

/// What is at the other end of a device.
fn far_end(plan: &Plan, node: &NodePlan, device: &DevicePlan) -> String {
    match &device.kind {
        DeviceKind::Dummy => "swallows what it sends".to_owned(),
        DeviceKind::Ipip(ipip) => match ipip.remote {
            Some(remote) => format!("ipip to {remote}"),
            None => "ipip, as programs say".to_owned(),
        },
        DeviceKind::Vxlan(vxlan) => tunnel(vxlan),
        DeviceKind::Bridge(bridge) => format!("bridge of {}", bridge.ports.join(", ")),
        DeviceKind::Veth => {
            let segment = plan.segment(&node.name, &device.name);
            match (plan.peer(&node.name, &device.name), segment) {
                (Some(peer), _) => peer.to_string(),
                (None, Some(segment)) => switch(&plan.segments[segment], &port(node, &device.name)),
                (None, None) => edge(plan, node, device),
            }
        }
    }
}

/// What a switch joins a device to.
fn switch(segment: &Segment, own: &Port) -> String {
    let others = segment.ports.iter().filter(|port| *port != own);
    let others: Vec<String> = others.map(Port::to_string).collect();
    format!("switch to {}", others.join(", "))
}

/// The scenario, and what answers there.
fn edge(plan: &Plan, node: &NodePlan, device: &DevicePlan) -> String {
    match plan.responders.get(&port(node, &device.name)) {
        Some(responder) => format!("the scenario, {responder}"),
        None => "the scenario".to_owned(),
    }
}

fn port(node: &NodePlan, device: &DeviceName) -> Port {
    Port {
        node: node.name.clone(),
        device: device.clone(),
    }
}

fn tunnel(vxlan: &VxlanConfig) -> String {
    let network = match vxlan.vni {
        Some(vni) => format!("vxlan {vni}"),
        None => "vxlan, as programs say".to_owned(),
    };
    match vxlan.remote {
        Some(remote) => format!("{network} to {remote}"),
        None => network,
    }
}

/// The programs on a device, hook by hook: `tc-ingress first, second`.
fn programs(node: &NodePlan, device: &str) -> Vec<String> {
    let attached = node.attachments.iter();
    let attached = attached.filter(|attached| attached.hook.device.as_str() == device);
    let mut hooks =
        by_hook(attached.map(|attached| (attached.hook.kind, attached.program.as_str())));
    hooks.sort_by_key(|(kind, _)| *kind);
    lines(hooks)
}

/// The programs at the hooks of a node's sockets, hook by hook.
fn socket_programs(node: &NodePlan) -> Vec<String> {
    let attached = node.socket_programs.iter();
    lines(by_hook(
        attached.map(|attached| (attached.hook, attached.program.as_str())),
    ))
}

fn by_hook<'a, H: PartialEq>(
    attached: impl Iterator<Item = (H, &'a str)>,
) -> Vec<(H, Vec<&'a str>)> {
    let mut hooks: Vec<(H, Vec<&str>)> = Vec::new();
    for (hook, program) in attached {
        match hooks.iter_mut().find(|(other, _)| *other == hook) {
            Some((_, programs)) => programs.push(program),
            None => hooks.push((hook, vec![program])),
        }
    }
    hooks
}

fn lines<H: Display>(hooks: Vec<(H, Vec<&str>)>) -> Vec<String> {
    let line = |(hook, programs): (H, Vec<&str>)| format!("{hook} {}", programs.join(", "));
    hooks.into_iter().map(line).collect()
}

fn addresses(device: &DevicePlan) -> String {
    let addresses: Vec<String> = device.addresses.iter().map(ToString::to_string).collect();
    addresses.join(" ")
}

/// The ways that a node knows, a line each.
fn routes(node: &NodePlan) -> Vec<String> {
    let routes = node.routes.iter().map(|route| {
        let mut line = format!("{} {}", way(route.kind), route.to);
        if let Some(gateway) = route.gateway {
            line += &format!(" via {gateway}");
        }
        if let Some(device) = &route.device {
            line += &format!(" dev {device}");
        }
        if route.table != twinpath_node::TABLE_MAIN {
            line += &format!(" table {}", route.table);
        }
        line
    });
    let neighbours = node.neighbours.iter().map(|neighbour| {
        let (address, mac, device) = (neighbour.address, neighbour.mac, &neighbour.device);
        format!("neighbour {address} is {mac} dev {device}")
    });
    routes.chain(neighbours).collect()
}

const fn way(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Unicast => "route",
        RouteKind::Local => "local",
        RouteKind::Anycast => "anycast",
        RouteKind::Broadcast => "broadcast",
        RouteKind::Multicast => "multicast",
        RouteKind::Blackhole => "blackhole",
        RouteKind::Unreachable => "unreachable",
        RouteKind::Prohibit => "prohibit",
        RouteKind::Throw => "throw",
    }
}
