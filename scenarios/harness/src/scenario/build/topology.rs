//! The common case: alike nodes with pods. [`Topology`] has the rule.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use twinpath_control::population::Population;

use crate::plan::{
    DeviceKind, DeviceName, DevicePlan, DeviceSettings, Ifindex, Mac, NeighbourConfig, NodeName,
    NodePlan, NodeSettings, Port, RouteConfig, VxlanConfig,
};
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::network::{Hooks, Overlay, Topology};
use crate::scenario::source::{Located, Source};

use super::network::{Network, Pod};
use super::nodes::prefix;
use super::pods::Slot;

const MAX_NODES: u8 = 9;
const MAX_PODS: u8 = 9;
const UPLINK: &str = "eth0";
const TUNNEL: &str = "vxlan0";
const HOST: &str = "host0";
const NET: &str = "net0";
/// What VXLAN over IPv4 adds to a packet.
const TUNNEL_HEADERS: u32 = 50;
/// What the numbers of pods' devices are counted from.
const FIRST_POD: u8 = 10;
/// The gateway of a single node.
const WORLD: u8 = 254;

/// Adds the nodes of a topology.
pub(super) fn expand(
    source: &Arc<Source>,
    topology: &Located<Topology>,
    network: &mut Network,
    population: &mut Population,
) -> Result<(), ScenarioError> {
    in_range(source, "nodes", &topology.nodes, 1..=MAX_NODES)?;
    if let Some(pods) = &topology.pods {
        in_range(source, "pods", pods, 0..=MAX_PODS)?;
    }
    let count = *topology.nodes.value();
    let homes = homes(population, count);
    for number in 1..=count {
        let mut draft = Draft::new(topology, &homes, number);
        draft.uplink();
        draft.tunnel();
        draft.host(network);
        for pod in 1..=topology.pod_count() {
            draft.pod(pod, network);
        }
        draft.programs(network);
        network.nodes.push(draft.node);
    }
    if count > 1 {
        let uplinks = homes.iter().map(|home| Port {
            node: home.name.clone(),
            device: DeviceName::new(UPLINK),
        });
        network.join(uplinks.collect());
    }
    Ok(())
}

fn in_range(
    source: &Arc<Source>,
    what: &str,
    count: &Located<u8>,
    range: std::ops::RangeInclusive<u8>,
) -> Result<(), ScenarioError> {
    if range.contains(count.value()) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    Err(Problem::new(
        format!("a topology cannot have {} {what}", count.value()),
        format!("expected {least} to {most}; `[[node]]` and `wires` say any other network"),
    )
    .at(source, count.span()))
}

/// `a` for the first.
fn letter(number: u8) -> char {
    char::from(b'a' + number - 1)
}

/// A node as manifests have it, or by the rule.
struct Home {
    name: NodeName,
    /// Of IPv4, and of IPv6.
    uplink: [IpAddr; 2],
}

/// The nodes. Those that are in manifests, or that pods of manifests are on, come first; all of them are known there
/// afterwards, with their addresses, if there are any manifests.
fn homes(population: &mut Population, count: u8) -> Vec<Home> {
    let nodes = population.nodes.iter().map(|node| node.name.clone());
    let of_pods = population.pods.iter().filter_map(|pod| pod.node.clone());
    let mut names: Vec<String> = Vec::new();
    for name in nodes.chain(of_pods) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let is_populated = !population.pods.is_empty() || !population.nodes.is_empty();
    let homes = (1..=count).map(|number| {
        let known = names.get(usize::from(number) - 1).cloned();
        let name = known.unwrap_or_else(|| letter(number).to_string());
        let mut addresses = uplink(number);
        if is_populated {
            let node = population.house(&name, addresses);
            for address in &mut addresses {
                let own = node.addresses.iter();
                let mut own = own.filter(|own| own.is_ipv4() == address.is_ipv4());
                *address = own.next().copied().unwrap_or(*address);
            }
        }
        Home {
            name: NodeName::new(name),
            uplink: addresses,
        }
    });
    homes.collect()
}

fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    Ipv4Addr::new(a, b, c, d).into()
}

/// `fd00:NETWORK::NODE:HOST`
fn v6(network: u16, node: u8, host: u8) -> IpAddr {
    Ipv6Addr::new(0xfd00, network, 0, 0, 0, 0, node.into(), host.into()).into()
}

/// An address with the length of its prefix, of which there are as many bits as said.
fn network(address: IpAddr, len: u8) -> IpNet {
    IpNet::new(address, len).unwrap_or_else(|_| unreachable!("{len} bits are too many"))
}

fn alone(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// The addresses of an uplink.
fn uplink(node: u8) -> [IpAddr; 2] {
    [v4(192, 168, 0, node), v6(0xc0, 0, node)]
}

/// The addresses at an end of a tunnel.
fn tunnel(node: u8) -> [IpAddr; 2] {
    [v4(10, 200, 0, node), v6(0xc8, 0, node)]
}

/// The addresses of a pod.
pub(super) fn pod(node: u8, number: u8) -> [IpAddr; 2] {
    [v4(10, 0, node, number), v6(0xa, node, number)]
}

/// All pods of a node.
fn pods(node: u8) -> [IpNet; 2] {
    [
        network(v4(10, 0, node, 0), 24),
        network(v6(0xa, node, 0), 112),
    ]
}

fn mac(node: u8, device: u8) -> Mac {
    Mac([2, 0, 0, 0, node, device])
}

/// A device of a node. Its number is said in decimal; its hardware address shows the digits.
fn device(node: u8, name: &str, number: u8) -> DevicePlan {
    let ifindex = Ifindex::new(100 * u32::from(node) + u32::from(number));
    let ifindex = ifindex.unwrap_or_else(|| unreachable!("nodes are counted from 1"));
    let digits = number / 10 * 16 + number % 10;
    DevicePlan::veth(DeviceName::new(name), ifindex, mac(node, digits))
}

/// The node's end of a pod's device pair.
pub(super) fn pod_device(node: u8, number: u8) -> DevicePlan {
    let name = format!("lxc-{}{number}", letter(node));
    device(node, &name, FIRST_POD.saturating_add(number))
}

/// The pod's end of it.
pub(super) const fn pod_mac(node: u8, number: u8) -> Mac {
    Mac([0x0a, 0, 0, 0, node, number])
}

/// A node in the making.
struct Draft<'a> {
    topology: &'a Topology,
    homes: &'a [Home],
    number: u8,
    node: NodePlan,
}

impl<'a> Draft<'a> {
    fn new(topology: &'a Topology, homes: &'a [Home], number: u8) -> Self {
        let name = homes[usize::from(number) - 1].name.clone();
        Self {
            topology,
            homes,
            number,
            node: NodePlan {
                settings: NodeSettings {
                    forward_ipv6: true,
                    ..NodeSettings::default()
                },
                ..NodePlan::bare(name)
            },
        }
    }

    /// Adds a device.
    fn device(&mut self, name: &str, number: u8, addresses: Vec<IpNet>) -> &mut DevicePlan {
        let mut device = device(self.number, name, number);
        device.addresses = addresses;
        device.settings = DeviceSettings {
            forwarding: true,
            ..DeviceSettings::default()
        };
        let place = self.node.devices.len();
        self.node.devices.push(device);
        &mut self.node.devices[place]
    }

    fn uplink_of(&self, number: u8) -> [IpAddr; 2] {
        self.homes[usize::from(number) - 1].uplink
    }

    fn others(&self) -> impl Iterator<Item = u8> + use<> {
        let number = self.number;
        (1..=*self.topology.nodes.value()).filter(move |other| *other != number)
    }

    fn neighbour(&mut self, device: &str, address: IpAddr, mac: Mac) {
        self.node.neighbours.push(NeighbourConfig {
            device: device.to_owned(),
            address,
            mac,
        });
    }

    fn route(&mut self, to: IpNet, device: &str, gateway: Option<IpAddr>) {
        self.node.routes.push(RouteConfig {
            gateway,
            ..RouteConfig::new(prefix(to), device)
        });
    }

    fn uplink(&mut self) {
        let [v4, v6] = self.uplink_of(self.number);
        self.device(UPLINK, 1, vec![network(v4, 24), network(v6, 64)]);
        for other in self.others() {
            for address in self.uplink_of(other) {
                self.neighbour(UPLINK, address, mac(other, 1));
            }
            if self.topology.overlay == Overlay::None {
                for (to, gateway) in pods(other).into_iter().zip(self.uplink_of(other)) {
                    self.route(to, UPLINK, Some(gateway));
                }
            }
        }
        if *self.topology.nodes.value() == 1 {
            let everywhere = [
                network(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
                network(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
            ];
            let gateways = [self::v4(192, 168, 0, WORLD), self::v6(0xc0, 0, WORLD)];
            for (to, gateway) in everywhere.into_iter().zip(gateways) {
                self.neighbour(UPLINK, gateway, mac(0, WORLD));
                self.route(to, UPLINK, Some(gateway));
            }
        }
    }

    fn tunnel(&mut self) {
        let (vxlan, addresses) = match self.topology.overlay {
            Overlay::None => return,
            Overlay::ExternalVxlan => (VxlanConfig::default(), Vec::new()),
            Overlay::Vxlan => {
                let [v4, v6] = tunnel(self.number);
                let ends = self.others();
                let ends = ends.map(|other| (mac(other, 2), self.uplink_of(other)[0]));
                let mut ends: Vec<(Mac, IpAddr)> = ends.collect();
                // The only other end is that of everything.
                let remote = match ends[..] {
                    [(_, end)] => {
                        ends.clear();
                        Some(end)
                    }
                    _ => None,
                };
                let vxlan = VxlanConfig {
                    vni: Some(1),
                    remote,
                    fdb: ends,
                    ..VxlanConfig::default()
                };
                (vxlan, vec![network(v4, 24), network(v6, 64)])
            }
        };
        let device = self.device(TUNNEL, 2, addresses);
        device.mtu -= TUNNEL_HEADERS;
        device.kind = DeviceKind::Vxlan(vxlan);
        if self.topology.overlay == Overlay::Vxlan {
            for other in self.others() {
                let ways = pods(other).into_iter().zip(tunnel(other));
                for (to, gateway) in ways {
                    self.neighbour(TUNNEL, gateway, mac(other, 2));
                    self.route(to, TUNNEL, Some(gateway));
                }
            }
        }
    }

    fn host(&mut self, network: &mut Network) {
        if !self.topology.host {
            return;
        }
        let addresses = pod(self.number, WORLD).map(alone);
        self.device(HOST, 3, addresses.to_vec());
        self.device(NET, 4, Vec::new());
        network.wires.push([self.port(HOST), self.port(NET)]);
    }

    fn pod(&mut self, number: u8, network: &mut Network) {
        let slot = Slot {
            device: pod_device(self.number, number),
            mac: pod_mac(self.number, number),
        };
        let addresses = pod(self.number, number);
        let pod = Pod {
            port: slot.build(&mut self.node, &addresses),
            mac: slot.mac,
            addresses: addresses.to_vec(),
        };
        let name = format!("{}{number}", letter(self.number));
        network.pods.insert(name, pod);
    }

    fn port(&self, device: &str) -> Port {
        Port {
            node: self.node.name.clone(),
            device: DeviceName::new(device),
        }
    }

    fn programs(&self, network: &mut Network) {
        let programs = &self.topology.programs;
        let mut want = |device: &str, hooks: &Option<Hooks>| {
            if let Some(hooks) = hooks {
                network.want(&self.port(device), hooks);
            }
        };
        want(UPLINK, &programs.uplink);
        want(TUNNEL, &programs.overlay);
        want(HOST, &programs.host);
        want(NET, &programs.net);
        for device in self.node.devices.iter().filter(|device| is_pod(device)) {
            want(device.name.as_str(), &programs.pod);
        }
        want(crate::plan::LOOPBACK, &programs.loopback);
        network.want_for_sockets(&self.node.name, programs.sockets.as_ref());
    }
}

fn is_pod(device: &DevicePlan) -> bool {
    device.name.as_str().starts_with("lxc-")
}
