//! From a description to a node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Address, Ipip, Stack, Vxlan};
use crate::config::{BridgeConfig, DeviceConfig, DeviceKind, NodeConfig, RouteConfig, RuleConfig};
use crate::net::{DeviceId, DeviceOptions, Medium, NodeId};
use crate::network::{Prefix, Route, RouteKind, Rule, TABLE_LOCAL, TABLE_MAIN};
use crate::world::{World, WorldError};

/// Why a description is not that of a node.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The device does not come into the world.
    #[error(transparent)]
    World(#[from] WorldError),
    /// No device has the name.
    #[error("find device {0:?}: the node has none of that name")]
    NoDevice(String),
    /// A prefix is longer than the address.
    #[error("add address {address}/{prefix}: there are not so many bits")]
    Prefix {
        /// The address.
        address: IpAddr,
        /// Bits that should count.
        prefix: u8,
    },
    /// A route that leads on has no device.
    #[error("add route to {0}: it leads on, and names no device")]
    NoWay(Prefix),
    /// The gateway is on no network of the node.
    #[error("add route to {to}: gateway {gateway} is no neighbour")]
    Gateway {
        /// Where the route leads.
        to: Prefix,
        /// Its gateway.
        gateway: IpAddr,
    },
    /// A bridge has a port that is none.
    #[error(
        "add port {port:?} to bridge {bridge:?}: it is no veth device of the node, or has a bridge already"
    )]
    Port {
        /// The bridge.
        bridge: String,
        /// What should be its port.
        port: String,
    },
    /// Tunnels to groups are not supported.
    #[error("add device {name:?}: tunnels to groups such as {group} are not supported")]
    Group {
        /// The device.
        name: String,
        /// The group.
        group: IpAddr,
    },
    /// Another route of the table leads there with the same metric. Routes over several ways are not
    /// supported.
    #[error("add route to {0}: there is one already, and several ways are not supported")]
    Multipath(Prefix),
}

impl World {
    /// Makes a node with a network stack of a description. What it sends by devices that are not
    /// [connected](World::connect) leaves the world.
    ///
    /// # Errors
    /// When the description is not one that Linux would take, or asks for what is not supported.
    pub fn build(&mut self, config: &NodeConfig) -> Result<NodeId, BuildError> {
        let node = self.add_node();
        self.net.stacks.resize_with(node.0 as usize + 1, || None);
        let stack = Stack::new(config.settings);
        self.net.stacks[node.0 as usize] = Some(Box::new(stack));
        let lo = self.net.loopback(node);
        self.set_up(lo, config.settings.loopback);
        if config.settings.loopback {
            self.own_address(lo, Ipv4Addr::LOCALHOST.into(), 8)?;
            self.own_address(lo, Ipv6Addr::LOCALHOST.into(), 128)?;
        }
        for device in &config.devices {
            self.build_device(node, config, device)?;
        }
        for device in &config.devices {
            if let DeviceKind::Bridge(bridge) = &device.kind {
                self.add_ports(node, &device.name, bridge)?;
            }
        }
        for route in &config.routes {
            self.build_route(node, route)?;
        }
        for rule in &config.rules {
            let rule = self.rule(node, rule)?;
            self.network().add_rule(node, rule);
        }
        for neighbour in &config.neighbours {
            let device = self.named(node, &neighbour.device)?;
            let (address, mac) = (neighbour.address, neighbour.mac);
            self.network().add_neighbour(device, address, mac);
        }
        Ok(node)
    }

    /// The device of a name on a node.
    pub fn device_named(&self, node: NodeId, name: &str) -> Option<DeviceId> {
        let devices = self.net.devices.iter();
        let mut devices = devices.zip(0..).filter(|(device, _)| device.node == node);
        let found = devices.find(|(device, _)| device.name == name);
        found.map(|(_, id)| DeviceId(id))
    }

    fn named(&self, node: NodeId, name: &str) -> Result<DeviceId, BuildError> {
        self.device_named(node, name)
            .ok_or_else(|| BuildError::NoDevice(name.to_owned()))
    }

    fn build_device(
        &mut self,
        node: NodeId,
        config: &NodeConfig,
        device: &DeviceConfig,
    ) -> Result<(), BuildError> {
        let options = DeviceOptions {
            name: device.name.clone(),
            ifindex: device.ifindex,
            mac: device.mac,
            mtu: device.mtu,
        };
        let id = self.add_device(node, options)?;
        let state = self.net.device_mut(id);
        state.settings = device.settings;
        match &device.kind {
            DeviceKind::Veth => {}
            DeviceKind::Dummy => state.medium = Medium::Nothing,
            DeviceKind::Vxlan(vxlan) => state.medium = Medium::Vxlan(Box::new(Vxlan::new(vxlan))),
            DeviceKind::Bridge(_) => self.net.make_bridge(id),
            DeviceKind::Ipip(ipip) => state.medium = Medium::Ipip(Box::new(Ipip::new(ipip))),
        }
        if let DeviceKind::Vxlan(vxlan) = &device.kind {
            let ends = vxlan
                .remote
                .iter()
                .chain(vxlan.fdb.iter().map(|(_, end)| end));
            if let Some(group) = ends.copied().find(IpAddr::is_multicast) {
                let name = device.name.clone();
                return Err(BuildError::Group { name, group });
            }
            let stack = self.net.stack_mut(node);
            let tunnels = stack.map(|stack| stack.tunnels.entry(vxlan.port).or_default());
            tunnels.into_iter().for_each(|devices| devices.push(id));
        }
        self.network().forward_ipv4(id, device.settings.forwarding);
        self.network()
            .forward_ipv6(id, config.settings.forward_ipv6);
        for (address, prefix) in &device.addresses {
            self.own_address(id, *address, *prefix)?;
        }
        if config.settings.forward_ipv6 {
            self.anycast_addresses(id, &device.addresses);
        }
        Ok(())
    }

    fn add_ports(
        &mut self,
        node: NodeId,
        name: &str,
        config: &BridgeConfig,
    ) -> Result<(), BuildError> {
        let bridge = self.named(node, name)?;
        for port in &config.ports {
            let id = self.named(node, port)?;
            let device = self.net.device(id);
            let free = device.bridge.is_none() && !device.loopback;
            if !free || !matches!(device.medium, Medium::Wire) {
                return Err(BuildError::Port {
                    bridge: name.to_owned(),
                    port: port.clone(),
                });
            }
            self.net.add_port(bridge, id);
        }
        Ok(())
    }

    /// `fib_add_ifaddr`, `inet6_addr_add`: an address, and the routes that it brings.
    fn own_address(
        &mut self,
        device: DeviceId,
        address: IpAddr,
        len: u8,
    ) -> Result<(), BuildError> {
        let prefix = Prefix::new(address, len).ok_or(BuildError::Prefix {
            address,
            prefix: len,
        })?;
        let node = self.net.device(device).node;
        let Some(stack) = self.net.stack_mut(node) else {
            return Ok(());
        };
        let same = |own: &Address| {
            own.device == device
                && !own.secondary
                && own.prefix == len
                && prefix.contains(own.address)
        };
        let secondary = address.is_ipv4() && stack.addresses.iter().any(same);
        stack.addresses.push(Address {
            device,
            address,
            prefix: len,
            secondary,
        });
        if !self.net.device(device).loopback {
            // Sockets know of the loopback addresses without being told.
            self.add_address(device, address, len);
        }
        match address {
            IpAddr::V4(address) => {
                // Packets to a secondary address come from the primary one of its network.
                let primary = self.net.addresses(node).iter().find(|own| same(own));
                let source = primary.map_or(address.into(), |own| own.address);
                self.ipv4_routes(device, (address, source), prefix, secondary);
            }
            IpAddr::V6(address) => self.ipv6_routes(device, address, prefix),
        }
        Ok(())
    }

    fn ipv4_routes(
        &mut self,
        device: DeviceId,
        (address, source): (Ipv4Addr, IpAddr),
        prefix: Prefix,
        secondary: bool,
    ) {
        let node = self.net.device(device).node;
        let lo = self.net.device(device).loopback;
        let source = Some(source);
        let tables = self.network();
        let mut local = |to: IpAddr, len: u8, kind: RouteKind| {
            tables.add_brought_route(
                node,
                Route {
                    kind,
                    table: TABLE_LOCAL,
                    source,
                    ..Route::new(to, len, device)
                },
            );
        };
        local(address.into(), 32, RouteKind::Local);
        let network = prefix.address();
        let IpAddr::V4(first) = network else {
            return;
        };
        if prefix.len() < 31 {
            let host = u32::MAX.checked_shr(prefix.len().into()).unwrap_or(0);
            let last = Ipv4Addr::from_bits(first.to_bits() | host);
            local(last.into(), 32, RouteKind::Broadcast);
        }
        if first.is_unspecified() || prefix.len() == 32 || secondary {
            return;
        }
        if lo {
            local(network, prefix.len(), RouteKind::Local);
            return;
        }
        let connected = Route {
            table: TABLE_MAIN,
            source,
            ..Route::new(network, prefix.len(), device)
        };
        self.network().add_brought_route(node, connected);
    }

    fn ipv6_routes(&mut self, device: DeviceId, address: Ipv6Addr, prefix: Prefix) {
        /// `IP6_RT_PRIO_ADDRCONF`
        const METRIC: u32 = 256;
        let node = self.net.device(device).node;
        let lo = self.net.device(device).loopback;
        let local = Route {
            kind: RouteKind::Local,
            table: TABLE_LOCAL,
            ..Route::new(address.into(), 128, device)
        };
        self.network().add_brought_route(node, local);
        if !lo && prefix.len() < 128 {
            let connected = Route {
                metric: METRIC,
                ..Route::new(prefix.address(), prefix.len(), device)
            };
            self.network().add_brought_route(node, connected);
        }
    }

    /// `addrconf_join_anycast`: a router answers to the first address of its networks.
    fn anycast_addresses(&mut self, device: DeviceId, addresses: &[(IpAddr, u8)]) {
        let node = self.net.device(device).node;
        for (address, len) in addresses {
            let prefix = Prefix::new(*address, *len).filter(|_| address.is_ipv6() && *len < 127);
            if let Some(prefix) = prefix {
                let anycast = Route {
                    kind: RouteKind::Anycast,
                    table: TABLE_LOCAL,
                    ..Route::new(prefix.address(), 128, device)
                };
                self.network().add_brought_route(node, anycast);
            }
        }
    }

    fn build_route(&mut self, node: NodeId, config: &RouteConfig) -> Result<(), BuildError> {
        /// `IP6_RT_PRIO_USER`
        const IPV6_METRIC: u32 = 1024;
        let to = config.to;
        let device = match &config.device {
            Some(name) => self.named(node, name)?,
            None if config.kind.leads_nowhere() || config.kind == RouteKind::Local => {
                self.net.loopback(node)
            }
            None => return Err(BuildError::NoWay(to)),
        };
        if let Some(gateway) = config.gateway
            && !self.is_neighbour(node, device, gateway)
        {
            return Err(BuildError::Gateway { to, gateway });
        }
        let ipv6 = to.address().is_ipv6();
        let default = if ipv6 { IPV6_METRIC } else { 0 };
        let route = Route {
            network: to.address(),
            prefix: to.len(),
            table: config.table,
            kind: config.kind,
            device,
            gateway: config.gateway,
            mtu: config.mtu,
            mtu_locked: config.mtu_locked,
            metric: config.metric.unwrap_or(default),
            source: config.source,
        };
        let taken = self.net.network.routes(node).any(|other| {
            let same = (other.network, other.prefix) == (route.network, route.prefix);
            same && (other.table, other.metric) == (route.table, route.metric)
        });
        if taken {
            return Err(BuildError::Multipath(to));
        }
        self.network().add_route(node, route);
        Ok(())
    }

    /// Whether a host is on the network of a device.
    fn is_neighbour(&self, node: NodeId, device: DeviceId, host: IpAddr) -> bool {
        let link_local = match host {
            IpAddr::V6(host) => host.is_unicast_link_local(),
            IpAddr::V4(_) => false,
        };
        let mut routes = self.net.network.routes(node);
        link_local
            || routes.any(|route| {
                let connected = route.gateway.is_none() && route.kind == RouteKind::Unicast;
                connected && route.device == device && route.contains(host)
            })
    }

    fn rule(&self, node: NodeId, config: &RuleConfig) -> Result<Rule, BuildError> {
        let input = config.input.as_ref();
        let input = input.map(|name| self.named(node, name)).transpose()?;
        Ok(Rule {
            priority: config.priority,
            ipv6: config.ipv6,
            from: config.from,
            to: config.to,
            input,
            mark: config.mark,
            action: config.action,
        })
    }
}
