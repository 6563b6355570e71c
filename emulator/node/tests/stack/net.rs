//! A small network: nodes, and which of their devices are joined. Devices that are not are edges,
//! where frames enter and leave.

use std::net::IpAddr;

use super::programs::Attachment;
use twinpath_node::{
    BridgeConfig, DeviceConfig, DeviceKind, Ifindex, Mac, NeighbourConfig, NodeConfig, Prefix,
    RouteConfig, RouteKind,
};

/// A device of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    pub node: usize,
    /// Its place among the node's devices.
    pub device: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Network {
    pub nodes: Vec<NodeConfig>,
    pub wires: Vec<(Port, Port)>,
    /// Devices that a switch joins.
    pub segments: Vec<Vec<Port>>,
    /// In the order of attachment.
    pub programs: Vec<Attachment>,
    /// Whether neighbours are asked again as soon as by default.
    pub timers: bool,
}

/// What happens to a network.
#[derive(Debug, Clone)]
pub enum Stimulus {
    /// A frame arrives at an edge.
    Frame(Port, Vec<u8>),
    /// As from a socket whose device computes the checksum: where summing starts, and the distance of
    /// the field from there.
    Offloaded(Port, Vec<u8>, u16, u16),
    /// So many milliseconds pass.
    Wait(u64),
}

/// What left by edges, in order at each edge.
pub type Seen = Vec<(Port, Vec<u8>)>;

pub fn ip(text: &str) -> IpAddr {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `10.0.0.0/8`
pub fn prefix(text: &str) -> Prefix {
    let (address, len) = text.split_once('/').unwrap();
    Prefix::new(ip(address), len.parse().unwrap()).unwrap()
}

/// The hardware address of a device: what follows from its node and place.
pub fn mac(node: usize, device: usize) -> Mac {
    Mac([2, 0, 0, 0, node as u8, device as u8])
}

/// The hardware address of a host beyond an edge.
pub fn host(number: u8) -> Mac {
    Mac([2, 0xff, 0, 0, 0, number])
}

impl Network {
    /// Adds a node without devices.
    pub fn node(&mut self) -> usize {
        self.nodes.push(NodeConfig::default());
        self.nodes.len() - 1
    }

    /// Adds a device with addresses such as `10.0.0.1/24`.
    pub fn device(&mut self, node: usize, addresses: &[&str]) -> Port {
        let devices = &mut self.nodes[node].devices;
        let device = devices.len();
        let ifindex = Ifindex::new(10 + device as u32).unwrap();
        let mut config = DeviceConfig::veth(&format!("eth{device}"), ifindex, mac(node, device));
        config.settings.forwarding = true;
        config.addresses = addresses
            .iter()
            .map(|text| {
                let (address, len) = text.split_once('/').unwrap();
                (ip(address), len.parse().unwrap())
            })
            .collect();
        devices.push(config);
        Port { node, device }
    }

    pub fn config(&mut self, port: Port) -> &mut DeviceConfig {
        &mut self.nodes[port.node].devices[port.device]
    }

    pub fn name(&self, port: Port) -> String {
        self.nodes[port.node].devices[port.device].name.clone()
    }

    pub fn wire(&mut self, a: Port, b: Port) {
        self.wires.push((a, b));
    }

    pub fn segment(&mut self, ports: &[Port]) {
        self.segments.push(ports.to_vec());
    }

    /// Adds a bridge with addresses, of devices of its node.
    pub fn bridge(&mut self, ports: &[Port], addresses: &[&str]) -> Port {
        let bridge = self.device(ports[0].node, addresses);
        let ports = ports.iter().map(|port| self.name(*port)).collect();
        self.config(bridge).kind = DeviceKind::Bridge(BridgeConfig { ports });
        bridge
    }

    /// The device that takes in what is for the node by a device: its bridge, if it is a port of one.
    pub fn upper(&self, port: Port) -> Port {
        let node = &self.nodes[port.node];
        let name = &node.devices[port.device].name;
        let mut devices = node.devices.iter();
        let bridge = devices.position(|device| match &device.kind {
            DeviceKind::Bridge(bridge) => bridge.ports.contains(name),
            _ => false,
        });
        Port {
            device: bridge.unwrap_or(port.device),
            ..port
        }
    }

    /// A neighbour whose address need not be asked for.
    pub fn neighbour(&mut self, port: Port, address: &str, mac: Mac) {
        let device = self.name(port);
        self.nodes[port.node].neighbours.push(NeighbourConfig {
            device,
            address: ip(address),
            mac,
        });
    }

    /// A route by a gateway.
    pub fn via(&mut self, port: Port, to: &str, gateway: &str) -> &mut RouteConfig {
        let device = self.name(port);
        let routes = &mut self.nodes[port.node].routes;
        routes.push(RouteConfig {
            gateway: Some(ip(gateway)),
            ..RouteConfig::new(prefix(to), &device)
        });
        routes.last_mut().unwrap()
    }

    /// A route that leads nowhere.
    pub fn nowhere(&mut self, node: usize, to: &str, kind: RouteKind) -> &mut RouteConfig {
        let routes = &mut self.nodes[node].routes;
        routes.push(RouteConfig::nowhere(prefix(to), kind));
        routes.last_mut().unwrap()
    }

    /// Devices that frames enter and leave by, in order.
    pub fn edges(&self) -> Vec<Port> {
        let mut edges = Vec::new();
        for (node, config) in self.nodes.iter().enumerate() {
            for (device, config) in config.devices.iter().enumerate() {
                let port = Port { node, device };
                let wired = self.wires.iter().any(|(a, b)| *a == port || *b == port);
                let joined = self.segments.iter().flatten().any(|other| *other == port);
                if config.kind == DeviceKind::Veth && !wired && !joined {
                    edges.push(port);
                }
            }
        }
        edges
    }
}
