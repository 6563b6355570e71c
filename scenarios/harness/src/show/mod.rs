//! A scenario's network as a picture: nodes, their devices, what is between them, and the programs.

mod svg;
mod text;

pub use svg::svg;
pub use text::text;

use twinpath_node::RouteKind;

use crate::plan::{DeviceKind, DevicePlan, HookKind, NodePlan, Plan, VxlanConfig};

/// What is at the other end of a device.
fn far_end(plan: &Plan, node: &NodePlan, device: &DevicePlan) -> String {
    match &device.kind {
        DeviceKind::Dummy => "swallows what it sends".to_owned(),
        DeviceKind::Vxlan(vxlan) => tunnel(vxlan),
        DeviceKind::Veth => match plan.peer(&node.name, &device.name) {
            Some(peer) => peer.to_string(),
            None => "the scenario".to_owned(),
        },
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
    let mut hooks: Vec<(HookKind, Vec<&str>)> = Vec::new();
    for attachment in &node.attachments {
        if attachment.hook.device.as_str() != device {
            continue;
        }
        let kind = attachment.hook.kind;
        match hooks.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, programs)) => programs.push(&attachment.program),
            None => hooks.push((kind, vec![&attachment.program])),
        }
    }
    hooks.sort_by_key(|(kind, _)| *kind);
    let line = |(kind, programs): (HookKind, Vec<&str>)| format!("{kind} {}", programs.join(", "));
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
