//! Random networks, routes, programs and packets.

use std::env;

use twinpath_node::{
    DeviceKind, HookKind, Mac, RouteKind, RpFilter, RuleAction, RuleConfig, VxlanConfig, VxlanDf,
};

use super::compare::{Case, run};
use super::frames::Packet;
use super::kernel::skip;
use super::net::{Network, Port, Stimulus, host, ip, mac, prefix};
use super::programs::{Act, Attachment};

/// Networks in a short run.
const NETWORKS: u64 = 12;
/// Packets through each.
const PACKETS: usize = 60;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// One in so many.
    fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| {
        value
            .parse()
            .unwrap_or_else(|error| panic!("{name}={value}: {error}"))
    })
}

#[test]
fn random_networks_are_the_same() {
    if skip("random networks") {
        return;
    }
    let programs = twinpath_bpf::missing().is_none();
    let (count, seed) = (
        setting("TWINPATH_CASES", NETWORKS),
        setting("TWINPATH_SEED", 0),
    );
    for number in 0..count {
        let case = random_case(seed.wrapping_mul(1_000_003).wrapping_add(number), programs);
        let differences = run(&case);
        assert!(
            differences.is_empty(),
            "network {number} of TWINPATH_SEED={seed} ({programs} programs)\n{:#?}\n{}",
            case.network,
            differences.join("\n")
        );
    }
}

/// A network under construction.
struct Builder {
    random: Random,
    network: Network,
    /// Addresses that packets come from and go to, of IPv4 and IPv6.
    hosts: Vec<(String, String)>,
}

fn random_case(seed: u64, programs: bool) -> Case {
    let mut builder = Builder {
        random: Random(seed),
        network: Network::default(),
        hosts: Vec::new(),
    };
    builder.nodes();
    builder.routes();
    builder.rules();
    if programs && builder.random.one_in(2) {
        builder.programs();
    }
    let edges = builder.network.edges();
    let stimuli = (0..PACKETS)
        .map(|number| builder.stimulus(number, &edges))
        .collect();
    Case {
        name: format!("random {seed}"),
        network: builder.network,
        stimuli,
    }
}

impl Builder {
    /// A line of nodes, or nodes on a segment, each with edges of its own.
    fn nodes(&mut self) {
        let count = 1 + self.random.below(3);
        for node in 0..count {
            self.network.node();
            self.network.nodes[node].settings.forward_ipv6 = !self.random.one_in(8);
            self.network.nodes[node].settings.ttl = self.random.of(&[64, 64, 255, 3]);
            for edge in 0..1 + self.random.below(2) {
                self.edge(node, edge);
            }
        }
        if count > 2 && self.random.one_in(2) {
            self.segment();
            return;
        }
        for node in 1..count {
            self.wire(node);
        }
    }

    /// Joins all nodes by a switch.
    fn segment(&mut self) {
        let count = self.network.nodes.len();
        let ports: Vec<Port> = (0..count)
            .map(|node| {
                let own = [
                    format!("192.168.0.{}/24", node + 1),
                    format!("fdcc::{}/64", node + 1),
                ];
                let port = self
                    .network
                    .device(node, &own.each_ref().map(String::as_str));
                self.settle(port);
                port
            })
            .collect();
        for node in 0..count {
            for other in (0..count).filter(|other| *other != node) {
                let far = mac(other, ports[other].device);
                for (to, gateway) in [
                    (
                        format!("10.{other}.0.0/16"),
                        format!("192.168.0.{}", other + 1),
                    ),
                    (format!("fd00:{other}::/32"), format!("fdcc::{}", other + 1)),
                ] {
                    self.network.neighbour(ports[node], &gateway, far);
                    self.network.via(ports[node], &to, &gateway);
                }
            }
        }
        self.network.segment(&ports);
    }

    fn edge(&mut self, node: usize, edge: usize) {
        let (v4, v6) = (format!("10.{node}.{edge}"), format!("fd00:{node}:{edge}:"));
        let own = [format!("{v4}.1/24"), format!("{v6}:1/64")];
        let own = own.each_ref().map(String::as_str);
        let port = if self.random.one_in(4) {
            let ports = [(); 3].map(|()| self.network.device(node, &[]));
            ports.iter().for_each(|port| self.settle(*port));
            self.network.bridge(&ports, &own)
        } else {
            self.network.device(node, &own)
        };
        self.settle(port);
        for number in 2..34 {
            let mac = host(number);
            self.network.neighbour(port, &format!("{v4}.{number}"), mac);
            self.network.neighbour(port, &format!("{v6}:{number}"), mac);
        }
        for number in [1, 2, 3, 4, 77] {
            self.hosts
                .push((format!("{v4}.{number}"), format!("{v6}:{number}")));
        }
    }

    fn settle(&mut self, port: Port) {
        let random = &mut self.random;
        let mtu = random.of(&[1500, 1500, 1400, 1280]);
        let filter = random.of(&[
            RpFilter::Off,
            RpFilter::Off,
            RpFilter::Strict,
            RpFilter::Loose,
        ]);
        let forwarding = !random.one_in(8);
        let accept_local = random.one_in(6);
        let config = self.network.config(port);
        config.mtu = mtu;
        config.settings.rp_filter = filter;
        config.settings.forwarding = forwarding;
        config.settings.accept_local = accept_local;
    }

    /// Joins a node with the one before it, by a wire and at times a tunnel over it.
    fn wire(&mut self, node: usize) {
        let before = node - 1;
        let ends: Vec<Port> = [before, node]
            .iter()
            .enumerate()
            .map(|(end, node_of)| {
                let number = end + 1;
                let port = self.network.device(
                    *node_of,
                    &[
                        &format!("192.168.{node}.{number}/24"),
                        &format!("fdcc:{node}::{number}/64"),
                    ],
                );
                self.settle(port);
                port
            })
            .collect();
        let mtu = self.network.config(ends[0]).mtu;
        self.network.config(ends[1]).mtu = mtu;
        self.network.wire(ends[0], ends[1]);
        self.know_each_other(&ends, node, "192.168", "fdcc");
        let mut way = ("192.168", "fdcc", ends.clone());
        if self.random.one_in(2) {
            let tunnel = self.tunnel(node, &ends);
            way = ("172.20", "fdaa", tunnel);
        }
        for (end, other) in [(0, 2), (1, 1)] {
            for target in 0..self.network.nodes.len() {
                let beyond = if end == 0 {
                    target >= node
                } else {
                    target < node
                };
                if beyond {
                    let (v4, v6, ports) = &way;
                    let (v4, v6) = (
                        format!("{v4}.{node}.{other}"),
                        format!("{v6}:{node}::{other}"),
                    );
                    self.network
                        .via(ports[end], &format!("10.{target}.0.0/16"), &v4);
                    self.network
                        .via(ports[end], &format!("fd00:{target}::/32"), &v6);
                }
            }
        }
    }

    fn know_each_other(&mut self, ends: &[Port], node: usize, v4: &str, v6: &str) {
        for (end, other) in [(0, 1), (1, 0)] {
            let number = other + 1;
            let peer = mac(ends[other].node, ends[other].device);
            self.network
                .neighbour(ends[end], &format!("{v4}.{node}.{number}"), peer);
            self.network
                .neighbour(ends[end], &format!("{v6}:{node}::{number}"), peer);
        }
    }

    fn tunnel(&mut self, node: usize, ends: &[Port]) -> Vec<Port> {
        let ipv6 = self.random.one_in(3);
        let random = &mut self.random;
        let vxlan = VxlanConfig {
            vni: Some(1 + random.below(1000) as u32),
            learning: random.one_in(2),
            ttl: random.of(&[0, 0, 5]),
            tos: random.of(&[0, 1, 0xb8]),
            dont_fragment: random.of(&[VxlanDf::Unset, VxlanDf::Set, VxlanDf::Inherit]),
            checksum: random.one_in(2),
            ..VxlanConfig::default()
        };
        let mtu = random.of(&[1450, 1430, 1500, 1280]);
        let ports: Vec<Port> = ends
            .iter()
            .enumerate()
            .map(|(end, port)| {
                let number = end + 1;
                let tunnel = self.network.device(
                    port.node,
                    &[
                        &format!("172.20.{node}.{number}/24"),
                        &format!("fdaa:{node}::{number}/64"),
                    ],
                );
                let other = 2 - end;
                let remote = match ipv6 {
                    true => format!("fdcc:{node}::{other}"),
                    false => format!("192.168.{node}.{other}"),
                };
                let config = self.network.config(tunnel);
                config.kind = DeviceKind::Vxlan(VxlanConfig {
                    remote: Some(ip(&remote)),
                    ..vxlan.clone()
                });
                config.mtu = mtu;
                // One tunnel's end on a node has the port to itself, of each family.
                if let DeviceKind::Vxlan(vxlan) = &mut config.kind {
                    vxlan.port = 4789;
                }
                tunnel
            })
            .collect();
        self.know_each_other(&ports, node, "172.20", "fdaa");
        ports
    }

    /// Routes for the sake of it.
    fn routes(&mut self) {
        for node in 0..self.network.nodes.len() {
            for number in 0..self.random.below(4) {
                let v4 = format!("10.{}.{}.0/24", 50 + number, self.random.below(2));
                let v6 = format!("fd00:{}::/48", 50 + number);
                let kind = self.random.of(&[
                    RouteKind::Unicast,
                    RouteKind::Blackhole,
                    RouteKind::Unreachable,
                    RouteKind::Prohibit,
                ]);
                if kind == RouteKind::Unicast {
                    let port = self.network.upper(Port { node, device: 0 });
                    let mtu = self.random.of(&[None, None, Some(1300), Some(1400)]);
                    let locked = mtu.is_some() && self.random.one_in(2);
                    let edge = self.network.config(port).addresses[0].0.to_string();
                    let gateway = edge.replace(".1", ".3");
                    if !gateway.ends_with(".0.3") {
                        continue;
                    }
                    let gateway = format!("10.{node}.0.3");
                    let route = self.network.via(port, &v4, &gateway);
                    (route.mtu, route.mtu_locked) = (mtu, locked);
                    let gateway = format!("fd00:{node}:0::3");
                    let route = self.network.via(port, &v6, &gateway);
                    (route.mtu, route.mtu_locked) = (mtu, locked);
                } else {
                    self.network.nowhere(node, &v4, kind);
                    self.network.nowhere(node, &v6, kind);
                }
                self.hosts
                    .push((v4.replace(".0/24", ".9"), v6.replace("::/48", "::9")));
            }
        }
    }

    fn rules(&mut self) {
        for node in 0..self.network.nodes.len() {
            if !self.random.one_in(4) {
                continue;
            }
            let action = self.random.of(&[
                RuleAction::Table(100),
                RuleAction::Unreachable,
                RuleAction::Prohibit,
                RuleAction::Blackhole,
            ]);
            let (v4, v6) = self.random.of(&self.hosts.clone());
            for (ipv6, address, len) in [(false, v4, 32), (true, v6, 128)] {
                let prefix = Some(prefix(&format!("{address}/{len}")));
                let from = self.random.one_in(2);
                self.network.nodes[node].rules.push(RuleConfig {
                    priority: self.random.of(&[100, 32000, 40000]),
                    ipv6,
                    from: prefix.filter(|_| from),
                    to: prefix.filter(|_| !from),
                    input: None,
                    mark: None,
                    action,
                });
            }
        }
    }

    fn programs(&mut self) {
        let count = 1 + self.random.below(2);
        for _ in 0..count {
            let node = self.random.below(self.network.nodes.len());
            let devices = self.network.nodes[node].devices.len();
            let to = 10 + self.random.below(devices) as u32;
            let hook = self.random.of(&[
                HookKind::XdpGeneric,
                HookKind::TcxIngress,
                HookKind::TcxEgress,
            ]);
            let xdp = hook == HookKind::XdpGeneric;
            let act = match self.random.below(if xdp { 3 } else { 6 }) {
                0 => Act::Pass,
                1 => Act::Drop,
                2 => Act::Redirect(to),
                3 => Act::Clone(to),
                4 => Act::RedirectNeighbour(to),
                _ => Act::Mark(1),
            };
            let port = Port {
                node,
                device: self.random.below(devices),
            };
            let taken = self
                .network
                .programs
                .iter()
                .any(|other| (other.port, other.hook) == (port, hook));
            // How deep transmissions may nest differs inside a tunnel.
            let nests = hook == HookKind::TcxEgress && matches!(act, Act::Clone(_));
            // A generic XDP redirect forgets that a tunnel left a checksum to the device.
            let is_tunnel = |kind: &DeviceKind| matches!(kind, DeviceKind::Vxlan(_));
            let mut devices = self.network.nodes.iter().flat_map(|node| &node.devices);
            let tunnels = devices.any(|device| is_tunnel(&device.kind));
            let forgets = xdp && tunnels && matches!(act, Act::Redirect(_));
            // A bridge and its port that send to each other double a packet each time.
            let mut devices = self.network.nodes[node].devices.iter();
            let doubles = hook == HookKind::TcxEgress
                && matches!(act, Act::Redirect(_) | Act::RedirectNeighbour(_))
                && devices.any(|device| matches!(device.kind, DeviceKind::Bridge(_)));
            if nests || forgets || doubles {
                continue;
            }
            let tunnel = is_tunnel(&self.network.config(port).kind);
            let free = !taken && (!tunnel || !xdp);
            if free {
                self.network.programs.push(Attachment { port, hook, act });
            }
        }
    }

    fn stimulus(&mut self, number: usize, edges: &[Port]) -> (String, Stimulus) {
        let port = self.random.of(edges);
        let ipv6 = self.random.one_in(2);
        let pick = |(v4, v6): (String, String)| if ipv6 { v6 } else { v4 };
        let destination = pick(self.random.of(&self.hosts.clone()));
        let upper = self.network.upper(port);
        let own = self.network.config(upper).addresses[usize::from(ipv6)]
            .0
            .to_string();
        // Linux answers errors of routes five times for each sender.
        let sender = 2 + number % 32;
        let source = match self.random.below(10) {
            0 => pick(self.random.of(&self.hosts.clone())),
            _ => format!("{}{sender}", own.strip_suffix('1').unwrap_or(&own)),
        };
        let packet = self.packet(&source, &destination);
        let to = match self.random.below(20) {
            0 => Mac([0xff; 6]),
            1 => host(99),
            2 => host(2 + self.random.below(8) as u8),
            _ => mac(upper.node, upper.device),
        };
        let from = host(2 + self.random.below(8) as u8);
        let packet = Packet { to, from, ..packet };
        let frame = packet.frame();
        let longest = self.network.config(port).mtu as usize + 14;
        let frame = if frame.len() > longest {
            let packet = Packet::udp(&source, &destination, (1, 2), b"too long");
            Packet { to, from, ..packet }.frame()
        } else {
            frame
        };
        let word = format!(
            "packet {number}: {source} > {destination} protocol {} ttl {} into node {} device {}",
            packet.protocol, packet.ttl, port.node, port.device
        );
        (word, Stimulus::Frame(port, frame))
    }

    fn packet(&mut self, source: &str, destination: &str) -> Packet {
        let random = &mut self.random;
        let len = match random.below(4) {
            0 => random.below(1480),
            1 => random.of(&[
                1220, 1221, 1232, 1233, 1252, 1253, 1372, 1373, 1402, 1403, 1422, 1423, 1440,
            ]),
            _ => random.below(64),
        };
        let data: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let ports = (
            1 + random.below(60000) as u16,
            1 + random.below(4000) as u16,
        );
        let mut packet = match random.below(5) {
            0 => Packet::ping(source, destination, len.min(1440)),
            1 => {
                let flags = random.next() as u8 & 0x3f;
                Packet::tcp(source, destination, ports, flags, &data)
            }
            2 if random.one_in(3) => {
                let protocol = random.of(&[132, 47, 50, 99, 253]);
                Packet::new(source, destination, protocol, data)
            }
            _ => Packet::udp(source, destination, ports, &data),
        };
        packet.ttl = random.of(&[64, 64, 64, 64, 1, 2, 3, 4]);
        packet.tos = random.of(&[0, 0, 0, 1, 2, 3, 0xb8, 0xff]);
        packet.id = random.next() as u16 | 1;
        if packet.source.is_ipv4() {
            packet.fragment = random.of(&[0, 0, 0, 0x4000, 0x4000, 0x2000, 0x0010]);
        }
        packet
    }
}
