//! Nodes and devices as the file says them one by one.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use twinpath_node::{Prefix, RouteKind, RpFilter, RuleAction, VxlanDf};

use crate::plan::{
    BridgeConfig, DeviceKind, DeviceName, DevicePlan, DeviceSettings, Ifindex, IpipConfig,
    LOOPBACK, Mac, NeighbourConfig, NodeName, NodePlan, NodeSettings, Port, RouteConfig,
    RuleConfig, VxlanConfig,
};
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::network::{
    Action, DeviceEntry, DontFragment, Filter, IpipEntry, NodeEntry, RouteEntry, RouteType,
    RuleEntry, VxlanEntry,
};
use crate::scenario::source::{Located, Source};

use super::network::Network;

/// The index of the first device. Lower ones are the kernel's own: `lo` has 1 in each namespace.
pub(super) const FIRST_INDEX: u32 = 10;

/// `IPV6_MIN_MTU`
const IPV6_MTU: u32 = 1280;
/// Bytes of an IPv4 header without options.
const IPV4_HEADER: u32 = 20;
/// `ETH_DATA_LEN`
const ETHERNET_MTU: u32 = 1500;

/// Names that no further device can have: that of the loopback device, and those under which the settings of all devices stand
/// (`sysctl_dev_name_is_allowed`).
const RESERVED: [&str; 3] = [LOOPBACK, "all", "default"];
/// Longest name of a device, in bytes: `IFNAMSIZ` of `linux/if.h` less the terminator.
const NAME_LEN: usize = 15;

/// The one node of a scenario that says nothing of nodes. It has no routes, and passes nothing on.
pub(super) fn only(
    source: &Arc<Source>,
    entries: &[DeviceEntry],
    network: &mut Network,
) -> Result<(), ScenarioError> {
    let mut node = NodePlan::bare(NodeName::only());
    let mut next = FIRST_INDEX;
    devices(source, entries, false, &mut node, &mut next, network)?;
    network.nodes.push(node);
    Ok(())
}

/// Nodes with network stacks.
pub(super) fn several(
    source: &Arc<Source>,
    entries: &[NodeEntry],
    network: &mut Network,
) -> Result<(), ScenarioError> {
    // The kernel hurries to get a wire going only if the indexes at its ends differ.
    let mut next = FIRST_INDEX;
    for entry in entries {
        let name = node_name(source, &entry.name, network)?;
        let mut node = NodePlan {
            settings: NodeSettings {
                forward_ipv6: entry.forwarding,
                loopback: true,
                ttl: entry.ttl,
            },
            ..NodePlan::bare(name)
        };
        network.want_for_sockets(&node.name, entry.socket_programs.as_ref());
        let forwarding = entry.forwarding;
        devices(
            source,
            &entry.devices,
            forwarding,
            &mut node,
            &mut next,
            network,
        )?;
        for route in &entry.routes {
            let route = self::route(source, &node, route)?;
            node.routes.push(route);
        }
        for rule in &entry.rules {
            let rule = self::rule(source, &node, rule)?;
            node.rules.push(rule);
        }
        for neighbour in &entry.neighbours {
            node.neighbours.push(NeighbourConfig {
                device: known(source, &node, &neighbour.device)?,
                address: neighbour.address,
                mac: neighbour.mac,
            });
        }
        network.nodes.push(node);
    }
    Ok(())
}

fn node_name(
    source: &Arc<Source>,
    name: &Located<String>,
    network: &Network,
) -> Result<NodeName, ScenarioError> {
    let odd = |c: char| c.is_whitespace() || c == '/' || c == ':';
    let taken = network
        .nodes
        .iter()
        .any(|node| node.name.as_str() == name.as_str());
    if name.is_empty() || name.contains(odd) || taken || *name.value() == NodeName::ONLY {
        return Err(Problem::new(
            format!("`{}` cannot name a node", name.value()),
            "expected a name of its own for each, without blanks, `/` or `:`, and not `node`",
        )
        .at(source, name.span()));
    }
    Ok(NodeName::new(name.as_str()))
}

/// Adds the devices, in ascending order of their indexes.
fn devices(
    source: &Arc<Source>,
    entries: &[DeviceEntry],
    forwarding: bool,
    node: &mut NodePlan,
    next: &mut u32,
    network: &mut Network,
) -> Result<(), ScenarioError> {
    for entry in entries {
        let port = Port {
            node: node.name.clone(),
            device: DeviceName::new(entry.name.as_str()),
        };
        network.want(&port, &entry.hooks());
        if entry.name.as_str() == LOOPBACK && node.settings.loopback {
            continue;
        }
        let name = name(source, &entry.name, &node.devices)?;
        let index = entry.ifindex.as_ref().map_or(*next, |index| *index.value());
        let mut devices = node.devices.iter();
        let ifindex = Ifindex::new(index)
            .filter(|index| index.get() > 1 && devices.all(|other| other.ifindex != *index))
            .ok_or_else(|| {
                let given = entry.ifindex.as_ref();
                let span = given.map_or(entry.name.span(), Located::span);
                Problem::new(
                    format!("interface index {index} is taken"),
                    "expected an index above 1 that no other device has",
                )
                .at(source, span)
            })?;
        *next = index.saturating_add(1);
        let kind = kind(source, entry, node)?;
        let mtu = entry
            .mtu
            .map_or_else(|| default_mtu(&kind, node), u32::from);
        let mut addresses = entry.addresses.iter();
        if mtu < IPV6_MTU && addresses.any(|network| network.0.addr().is_ipv6()) {
            return Err(Problem::new(
                format!("a device with an MTU of {mtu} has no IPv6"),
                "expected no IPv6 address, or an MTU of 1280 or more",
            )
            .at(source, entry.name.span()));
        }
        node.devices.push(DevicePlan {
            name,
            ifindex,
            mac: entry.mac.unwrap_or_else(|| default_mac(ifindex)),
            mtu,
            addresses: entry.addresses.iter().map(|network| network.0).collect(),
            kind,
            settings: DeviceSettings {
                forwarding: entry.forwarding.unwrap_or(forwarding),
                rp_filter: match entry.rp_filter {
                    Filter::Off => RpFilter::Off,
                    Filter::Strict => RpFilter::Strict,
                    Filter::Loose => RpFilter::Loose,
                },
                accept_local: entry.accept_local,
                route_localnet: entry.route_localnet,
                send_redirects: entry.send_redirects,
            },
        });
    }
    node.devices.sort_by_key(|device| device.ifindex);
    Ok(())
}

fn name(
    source: &Arc<Source>,
    name: &Located<String>,
    others: &[DevicePlan],
) -> Result<DeviceName, ScenarioError> {
    let wrong = |message: String, expected: &str| {
        Err(Problem::new(message, expected).at(source, name.span()))
    };
    let odd = |c: char| c.is_whitespace() || c == '/' || c == ':';
    let reserved = RESERVED.contains(&name.as_str());
    if name.is_empty() || name.len() > NAME_LEN || name.contains(odd) || reserved {
        return wrong(
            format!("`{}` cannot name a device", name.value()),
            "expected 1 to 15 bytes without blanks, `/` or `:`, and not `lo`, `all` or `default`",
        );
    }
    if others
        .iter()
        .any(|other| other.name.as_str() == name.as_str())
    {
        return wrong(
            format!("two devices are named `{}`", name.value()),
            "expected a name of its own for each device",
        );
    }
    Ok(DeviceName::new(name.as_str()))
}

/// 02:00:00:00:00:0a for the device with index 10.
pub(super) fn default_mac(ifindex: Ifindex) -> Mac {
    let [a, b, c, d] = ifindex.get().to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

fn default_mtu(kind: &DeviceKind, node: &NodePlan) -> u32 {
    let bridge = match kind {
        DeviceKind::Bridge(bridge) => bridge,
        DeviceKind::Ipip(_) => return ETHERNET_MTU - IPV4_HEADER,
        _ => return ETHERNET_MTU,
    };
    let ports = bridge.ports.iter();
    let ports = ports.filter_map(|port| node.device(&DeviceName::new(port)));
    ports.map(|port| port.mtu).min().unwrap_or(ETHERNET_MTU)
}

fn kind(
    source: &Arc<Source>,
    entry: &DeviceEntry,
    node: &NodePlan,
) -> Result<DeviceKind, ScenarioError> {
    match (&entry.vxlan, &entry.ipip, &entry.bridge, entry.dummy) {
        (None, None, None, false) => Ok(DeviceKind::Veth),
        (None, None, None, true) => Ok(DeviceKind::Dummy),
        (Some(vxlan), None, None, false) => Ok(DeviceKind::Vxlan(self::vxlan(vxlan))),
        (None, Some(ipip), None, false) => self::ipip(source, entry, ipip, node),
        (None, None, Some(ports), false) => bridge(source, ports, node),
        _ => Err(Problem::new(
            "a device is of one kind",
            "expected one of `dummy`, `vxlan`, `ipip` and `bridge`",
        )
        .at(source, entry.name.span())),
    }
}

fn bridge(
    source: &Arc<Source>,
    ports: &Located<Vec<Located<String>>>,
    node: &NodePlan,
) -> Result<DeviceKind, ScenarioError> {
    let mut names: Vec<String> = Vec::new();
    for port in ports.value() {
        let name = DeviceName::new(port.as_str());
        let device = node.device(&name);
        let device = device.filter(|device| device.kind == DeviceKind::Veth);
        let free = node.bridge_of(&name).is_none() && !names.contains(port.value());
        if device.is_none() || !free {
            return Err(Problem::new(
                format!("`{}` cannot be a port of this bridge", port.value()),
                "expected a device of this node that is said before, is no tunnel, dummy or bridge, and has no bridge yet",
            )
            .at(source, port.span()));
        }
        names.push(port.value().clone());
    }
    if names.is_empty() {
        return Err(Problem::new(
            "a bridge without ports carries nothing",
            "expected devices of this node",
        )
        .at(source, ports.span()));
    }
    Ok(DeviceKind::Bridge(BridgeConfig { ports: names }))
}

fn vxlan(entry: &VxlanEntry) -> VxlanConfig {
    let stations = entry.stations.iter();
    VxlanConfig {
        vni: entry.vni,
        remote: entry.remote,
        local: entry.local,
        port: entry.port,
        learning: entry.learning,
        ttl: entry.ttl,
        tos: entry.tos,
        dont_fragment: match entry.dont_fragment {
            DontFragment::Unset => VxlanDf::Unset,
            DontFragment::Set => VxlanDf::Set,
            DontFragment::Inherit => VxlanDf::Inherit,
        },
        checksum: entry.checksum,
        fdb: stations.map(|station| (station.mac, station.end)).collect(),
    }
}

fn ipip(
    source: &Arc<Source>,
    device: &DeviceEntry,
    entry: &Located<IpipEntry>,
    node: &NodePlan,
) -> Result<DeviceKind, ScenarioError> {
    let mistake =
        |message: &str, expected: &str, span| Err(Problem::new(message, expected).at(source, span));
    let xdp = device.xdp.as_ref().or(device.xdp_generic.as_ref());
    if let Some(program) = xdp {
        return mistake(
            "an XDP program expects Ethernet headers, which an IPIP device has not",
            "expected programs of tc",
            program.span(),
        );
    }
    if let Some(address) = device
        .addresses
        .iter()
        .find(|address| address.0.addr().is_ipv6())
    {
        return mistake(
            &format!("an IPIP device carries no IPv6, and has {}", address.0),
            "expected IPv4 addresses",
            entry.span(),
        );
    }
    if entry.ttl != 0 && !entry.dont_fragment {
        return mistake(
            "a time to live of its own asks for `dont-fragment`, or packets could go round for ever",
            "expected `dont-fragment = true`, or no `ttl`",
            entry.span(),
        );
    }
    let same = |other: &DevicePlan| match &other.kind {
        DeviceKind::Ipip(other) => {
            other.remote == entry.remote && (other.local == entry.local || entry.remote.is_none())
        }
        _ => false,
    };
    if let Some(other) = node.devices.iter().find(|other| same(other)) {
        return mistake(
            &format!("`{}` is a tunnel between the same ends", other.name),
            "expected one device for each pair of ends, and one that programs say them for",
            entry.span(),
        );
    }
    Ok(DeviceKind::Ipip(IpipConfig {
        remote: entry.remote,
        local: entry.local,
        ttl: entry.ttl,
        tos: entry.tos,
        dont_fragment: entry.dont_fragment,
    }))
}

/// The name of one of the node's devices.
fn known(
    source: &Arc<Source>,
    node: &NodePlan,
    name: &Located<String>,
) -> Result<String, ScenarioError> {
    if node.ifindex(&DeviceName::new(name.as_str())).is_some() {
        return Ok(name.value().clone());
    }
    let devices = node.devices.iter().map(|device| device.name.as_str());
    Err(Problem::unknown("device", name, devices).at(source, name.span()))
}

/// An address prefix as routes have it.
pub(super) fn prefix(network: IpNet) -> Prefix {
    let prefix = Prefix::new(network.addr(), network.prefix_len());
    prefix.unwrap_or_else(|| unreachable!("{network} was read as a network"))
}

fn route(
    source: &Arc<Source>,
    node: &NodePlan,
    entry: &Located<RouteEntry>,
) -> Result<RouteConfig, ScenarioError> {
    let kind = match entry.kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::Local => RouteKind::Local,
        RouteType::Blackhole => RouteKind::Blackhole,
        RouteType::Unreachable => RouteKind::Unreachable,
        RouteType::Prohibit => RouteKind::Prohibit,
        RouteType::Throw => RouteKind::Throw,
    };
    let device = match (&entry.device, entry.via) {
        (Some(device), _) => Some(known(source, node, device)?),
        (None, Some(via)) => Some(towards(source, node, via, entry)?),
        (None, None) if kind == RouteKind::Unicast => {
            return Err(Problem::new(
                "this route does not say by which device it leads on",
                "expected `device = \"DEVICE\"` or `via = \"ADDRESS\"`",
            )
            .at(source, entry.span()));
        }
        (None, None) => None,
    };
    Ok(RouteConfig {
        to: prefix(entry.to.0),
        kind,
        table: entry.table,
        device,
        gateway: entry.via,
        mtu: entry.mtu,
        mtu_locked: entry.mtu_lock,
        metric: entry.metric,
        source: entry.source,
    })
}

/// The device on whose network a gateway is.
fn towards(
    source: &Arc<Source>,
    node: &NodePlan,
    via: IpAddr,
    entry: &Located<RouteEntry>,
) -> Result<String, ScenarioError> {
    let near = |device: &&DevicePlan| {
        let mut addresses = device.addresses.iter();
        addresses.any(|address| address.contains(&via))
    };
    let device = node.devices.iter().find(near);
    device.map(|device| device.name.to_string()).ok_or_else(|| {
        Problem::new(
            format!("gateway {via} is on the network of no device"),
            "expected `device = \"DEVICE\"`, or a gateway beside one of the node's addresses",
        )
        .at(source, entry.span())
    })
}

fn rule(
    source: &Arc<Source>,
    node: &NodePlan,
    entry: &Located<RuleEntry>,
) -> Result<RuleConfig, ScenarioError> {
    let action = match (entry.table, entry.action) {
        (Some(table), None) => RuleAction::Table(table),
        (None, Some(Action::Blackhole)) => RuleAction::Blackhole,
        (None, Some(Action::Unreachable)) => RuleAction::Unreachable,
        (None, Some(Action::Prohibit)) => RuleAction::Prohibit,
        _ => {
            return Err(
                Problem::new("a rule does one thing", "expected `table` or `action`")
                    .at(source, entry.span()),
            );
        }
    };
    let networks = [&entry.from, &entry.to];
    let mut networks = networks.into_iter().flatten();
    let ipv6 = networks.any(|network| network.0.addr().is_ipv6());
    let input = entry.input.as_ref();
    Ok(RuleConfig {
        priority: entry.priority,
        ipv6: entry.ipv6 || ipv6,
        from: entry.from.as_ref().map(|network| prefix(network.0)),
        to: entry.to.as_ref().map(|network| prefix(network.0)),
        input: input.map(|name| known(source, node, name)).transpose()?,
        mark: entry
            .mark
            .map(|mark| (mark, entry.mask.unwrap_or(u32::MAX))),
        action,
    })
}
