//! Random networks of routers with programs, and random packets: the kernel and the emulator carry them alike.
//!
//! A network is a row of nodes with wires between them, or three around a switch, each with devices that lead outside, of which
//! at times two are ports of a bridge, and at times a tunnel between the first two nodes. `TWINPATH_SEED` draws others, `TWINPATH_CASES` is how many, beginning with `TWINPATH_FIRST`;
//! each gets [`PACKETS`] packets.

use std::collections::BTreeMap;
use std::time::Duration;

use twinpath::arm::Arm;
use twinpath::decode::Decoder;
use twinpath::diff::{self, Leeway};
use twinpath::emulated::Engine;
use twinpath::plan::HookKind::{self, TcEgress, TcIngress, TcxEgress, TcxIngress, Xdp, XdpGeneric};
use twinpath::plan::{
    Attachment, BridgeConfig, DeviceKind, DeviceName, DevicePlan, Hook, Ifindex, Joined, Mac,
    NeighbourConfig, NodeName, NodePlan, NodeSettings, ObjectName, ObjectPlan, Plan, Port,
    RouteConfig, Segment, Stimulus, StimulusKind, VxlanConfig,
};
use twinpath_node::{Prefix, RouteKind, RpFilter};
use twinpath_pcaps::{MacAddr, text};

use crate::needs_kernel;
use crate::orders::{Random, number};
use crate::support::run;

const OBJECT: &[u8] = include_bytes!("../../../suite/node/acts.bpf.o");
/// Packets for each network.
const PACKETS: u64 = 50;
/// Networks, unless told otherwise.
const CASES: u64 = 6;

/// Programs that let a packet go on or drop it, by the kinds of hooks that take them.
const CALM: [(&str, &[HookKind], i32); 7] = [
    ("verdict", &[TcIngress, TcEgress, TcxIngress, TcxEgress], 0),
    ("verdict", &[TcIngress, TcEgress], 2),
    (
        "mark_and_next",
        &[TcIngress, TcEgress, TcxIngress, TcxEgress],
        0,
    ),
    (
        "show_mark",
        &[TcIngress, TcEgress, TcxIngress, TcxEgress],
        0,
    ),
    ("hear_xdp", &[TcIngress, TcxIngress], 0),
    ("xdp_verdict", &[Xdp, XdpGeneric], 2),
    ("tell_tc", &[Xdp, XdpGeneric], 0),
];
/// Programs that send a packet elsewhere.
const SENDING: [(&str, &[HookKind]); 7] = [
    ("redirect", &[TcIngress, TcxIngress]),
    ("redirect_in", &[TcIngress]),
    ("redirect_peer", &[TcIngress]),
    ("redirect_neigh", &[TcIngress]),
    ("clone_redirect", &[TcIngress]),
    ("fib", &[TcIngress]),
    // A driver sends to a veth only if the other end has XDP, too, which the emulator does not ask for.
    ("xdp_redirect", &[XdpGeneric]),
];

struct Draft {
    random: Random,
    plan: Plan,
    objects: usize,
    /// Whether a switch joins the nodes.
    switched: bool,
}

fn name(node: usize) -> NodeName {
    NodeName::new(char::from(b'p' + node as u8))
}

/// The hardware address of a host beyond a device.
fn host(node: usize, device: usize) -> Mac {
    Mac([0x0a, 0, 0, 0, node as u8, device as u8])
}

fn prefix(network: &str) -> Prefix {
    let (address, len) = network.split_once('/').expect("a network");
    Prefix::new(
        address.parse().expect("an address"),
        len.parse().expect("a length"),
    )
    .expect("not so many bits")
}

impl Draft {
    fn below(&mut self, count: usize) -> usize {
        (self.random.next() % count as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn device(&mut self, node: usize, name: &str, addresses: &[String]) -> usize {
        let place = self.plan.nodes[node].devices.len();
        let number = 10 * (node + 1) + place;
        let mut device = DevicePlan::veth(
            DeviceName::new(name),
            Ifindex::new(number as u32).expect("not zero"),
            Mac([2, 0, 0, 0, node as u8, place as u8]),
        );
        device.addresses = addresses
            .iter()
            .map(|address| address.parse().expect("an address"))
            .collect();
        device.settings.forwarding = !self.one_in(12);
        device.settings.rp_filter = match self.below(8) {
            0 => RpFilter::Strict,
            1 => RpFilter::Loose,
            _ => RpFilter::Off,
        };
        device.mtu = if self.one_in(5) { 1280 } else { 1500 };
        self.plan.nodes[node].devices.push(device);
        place
    }

    fn neighbour(&mut self, node: usize, device: &str, address: String, mac: Mac) {
        self.plan.nodes[node].neighbours.push(NeighbourConfig {
            device: device.to_owned(),
            address: address.parse().expect("an address"),
            mac,
        });
    }

    fn nodes(&mut self, count: usize) {
        for node in 0..count {
            let settings = NodeSettings {
                forward_ipv6: !self.one_in(10),
                ttl: self.random.one_of(&[64, 64, 255]),
                loopback: true,
            };
            self.plan.nodes.push(NodePlan {
                settings,
                ..NodePlan::bare(name(node))
            });
            for edge in 0..1 + self.below(3) {
                let addresses = [
                    format!("10.{node}.{edge}.1/24"),
                    format!("fd00:{node}:{edge}::1/64"),
                ];
                let device = format!("out{edge}");
                let place = self.device(node, &device, &addresses);
                for address in [
                    format!("10.{node}.{edge}.2"),
                    format!("fd00:{node}:{edge}::2"),
                ] {
                    self.neighbour(node, &device, address, host(node, place));
                }
            }
        }
    }

    /// A bridge in place of a node's first two devices, whose addresses and neighbours it has.
    fn bridge(&mut self, node: usize) {
        let (device, ports) = ("bridge", ["out0", "out1"]);
        let outside = self.plan.nodes[node].devices.len();
        if outside < ports.len() || !self.one_in(3) {
            return;
        }
        let place = self.device(node, device, &[]);
        let node = &mut self.plan.nodes[node];
        let (outside, bridge) = node.devices.split_at_mut(place);
        bridge[0].kind = DeviceKind::Bridge(BridgeConfig {
            ports: ports.map(str::to_owned).to_vec(),
        });
        bridge[0].mtu = outside[0].mtu.min(outside[1].mtu);
        for port in &mut outside[..ports.len()] {
            bridge[0].addresses.append(&mut port.addresses);
        }
        for neighbour in &mut node.neighbours {
            if ports.contains(&neighbour.device.as_str()) {
                neighbour.device = device.to_owned();
            }
        }
    }

    /// A switch between all nodes.
    fn segment(&mut self) {
        self.switched = true;
        let count = self.plan.nodes.len();
        for node in 0..count {
            let host = node + 1;
            let addresses = [format!("192.168.9.{host}/24"), format!("fd01:9::{host}/64")];
            let place = self.device(node, "lan", &addresses);
            self.plan.nodes[node].devices[place].mtu = 1500;
        }
        let macs = self.plan.nodes.iter().flat_map(|node| node.devices.last());
        let macs: Vec<Mac> = macs.map(|device| device.mac).collect();
        let ports = (0..count).map(|node| Port {
            node: name(node),
            device: DeviceName::new("lan"),
        });
        self.plan.segments.push(Segment {
            ports: ports.collect(),
        });
        for node in 0..count {
            for (other, mac) in macs.iter().enumerate().filter(|(other, _)| *other != node) {
                let host = other + 1;
                self.neighbour(node, "lan", format!("192.168.9.{host}"), *mac);
                self.neighbour(node, "lan", format!("fd01:9::{host}"), *mac);
            }
        }
    }

    /// Wires from each node to the next, and the ways over them.
    fn wires(&mut self) {
        for left in 0..self.plan.nodes.len() - 1 {
            let ends = [(left, "right", 1), (left + 1, "left", 2)];
            let places = ends.map(|(node, device, host)| {
                let addresses = [
                    format!("192.168.{left}.{host}/24"),
                    format!("fd01:{left}::{host}/64"),
                ];
                self.device(node, device, &addresses)
            });
            // A wire is as wide at one end as at the other.
            self.plan.nodes[left + 1].devices[places[1]].mtu =
                self.plan.nodes[left].devices[places[0]].mtu;
            for (end, other) in [(0, 1), (1, 0)] {
                let (node, device, _) = ends[end];
                let (far, _, number) = ends[other];
                let mac = self.plan.nodes[far].devices[places[other]].mac;
                self.neighbour(node, device, format!("192.168.{left}.{number}"), mac);
                self.neighbour(node, device, format!("fd01:{left}::{number}"), mac);
            }
            self.plan.wires.push(ends.map(|(node, device, _)| Port {
                node: name(node),
                device: DeviceName::new(device),
            }));
        }
    }

    fn routes(&mut self) {
        let count = self.plan.nodes.len();
        for node in 0..count {
            // Linux limits how often it tells a host of the same failure, over IPv4, so these fall in silence.
            let own = prefix(&format!("10.{node}.0.0/16"));
            let nowhere = RouteConfig::nowhere(own, RouteKind::Blackhole);
            self.plan.nodes[node].routes.push(nowhere);
            for other in (0..count).filter(|other| *other != node) {
                let (device, gateways) = match other > node {
                    _ if self.switched => {
                        let host = other + 1;
                        (
                            "lan",
                            [format!("192.168.9.{host}"), format!("fd01:9::{host}")],
                        )
                    }
                    true => (
                        "right",
                        [format!("192.168.{node}.2"), format!("fd01:{node}::2")],
                    ),
                    false => {
                        let wire = node - 1;
                        (
                            "left",
                            [format!("192.168.{wire}.1"), format!("fd01:{wire}::1")],
                        )
                    }
                };
                let networks = [format!("10.{other}.0.0/16"), format!("fd00:{other}::/32")];
                for (to, gateway) in networks.iter().zip(gateways) {
                    let mut route = RouteConfig {
                        gateway: Some(gateway.parse().expect("an address")),
                        ..RouteConfig::new(prefix(to), device)
                    };
                    let v6 = prefix(to).address().is_ipv6();
                    match self.below(12) {
                        0 if v6 => continue,
                        1 => route.mtu = Some(1400),
                        2 => {
                            let kinds = [
                                RouteKind::Blackhole,
                                RouteKind::Unreachable,
                                RouteKind::Prohibit,
                            ];
                            let kind = kinds[if v6 { self.below(3) } else { 0 }];
                            route = RouteConfig::nowhere(prefix(to), kind);
                        }
                        _ => {}
                    }
                    self.plan.nodes[node].routes.push(route);
                }
            }
        }
    }

    /// A tunnel between the first two nodes, and another way into it.
    fn tunnel(&mut self) {
        // Wide enough for what the tunnel carries: a packet in pieces is not found inside of another one.
        for (node, wire) in [(0, "right"), (1, "left")] {
            let mut devices = self.plan.nodes[node].devices.iter_mut();
            if let Some(device) = devices.find(|device| device.name.as_str() == wire) {
                device.mtu = 1500;
            }
        }
        for (node, other) in [(0, 1), (1, 0)] {
            let addresses = [
                format!("10.200.0.{}/24", node + 1),
                format!("fd02::{}/64", node + 1),
            ];
            let place = self.device(node, "tunnel", &addresses);
            let device = &mut self.plan.nodes[node].devices[place];
            device.mtu = 1400;
            let wire = if self.switched { 9 } else { 0 };
            device.kind = DeviceKind::Vxlan(VxlanConfig {
                vni: Some(7),
                remote: format!("192.168.{wire}.{}", other + 1).parse().ok(),
                ..VxlanConfig::default()
            });
        }
        for (node, other) in [(0, 1), (1, 0)] {
            let far = self.plan.nodes[other]
                .devices
                .last()
                .map(|device| device.mac);
            let far = far.expect("the tunnel");
            for gateway in [
                format!("10.200.0.{}", other + 1),
                format!("fd02::{}", other + 1),
            ] {
                self.neighbour(node, "tunnel", gateway, far);
            }
            let ways = [
                (
                    format!("10.{other}.1.0/24"),
                    format!("10.200.0.{}", other + 1),
                ),
                (
                    format!("fd00:{other}:1::/64"),
                    format!("fd02::{}", other + 1),
                ),
            ];
            for (to, gateway) in ways {
                self.plan.nodes[node].routes.push(RouteConfig {
                    gateway: Some(gateway.parse().expect("an address")),
                    ..RouteConfig::new(prefix(&to), "tunnel")
                });
            }
        }
    }

    fn attach(
        &mut self,
        node: usize,
        device: usize,
        program: &str,
        kind: HookKind,
        values: [u32; 2],
    ) {
        self.objects += 1;
        let object = ObjectName::new(format!("acts{}", self.objects));
        let [target, verdict] = values.map(|value| value.to_le_bytes().to_vec());
        let node = &mut self.plan.nodes[node];
        node.objects.push(ObjectPlan {
            name: object.clone(),
            path: "acts.bpf.o".into(),
            bytes: OBJECT.into(),
            globals: [
                ("TARGET".to_owned(), target),
                ("VERDICT".to_owned(), verdict),
            ]
            .into(),
        });
        node.attachments.push(Attachment {
            object,
            program: program.to_owned(),
            hook: Hook {
                device: node.devices[device].name.clone(),
                kind,
            },
        });
    }

    /// Programs that do nothing much anywhere, and some that send packets elsewhere where they come from outside, so
    /// that no packet goes round for ever.
    fn programs(&mut self) {
        for node in 0..self.plan.nodes.len() {
            let count = self.plan.nodes[node].devices.len();
            let mut receiving = vec![false; count];
            for device in 0..count {
                let edge = self.plan.nodes[node].devices[device]
                    .name
                    .as_str()
                    .starts_with("out");
                if edge && self.one_in(2) {
                    let (program, kinds) = self.random.one_of(&SENDING);
                    let kind = self.random.one_of(kinds);
                    let free: Vec<usize> = (0..count).filter(|other| !receiving[*other]).collect();
                    let to = self.random.one_of(&free);
                    if program == "redirect_in" && to >= device {
                        continue;
                    }
                    receiving[device] = true;
                    let target = self.plan.nodes[node].devices[to].ifindex.get();
                    self.attach(node, device, program, kind, [target, 0]);
                } else if self.one_in(3) {
                    let (program, kinds, verdict) = self.random.one_of(&CALM);
                    let mut kind = self.random.one_of(kinds);
                    let tunnel = self.plan.nodes[node].devices[device].kind != DeviceKind::Veth;
                    if kind == Xdp && tunnel {
                        kind = XdpGeneric;
                    }
                    self.attach(node, device, program, kind, [0, verdict as u32]);
                }
            }
        }
    }

    fn host(&mut self, v6: bool) -> String {
        let node = self.below(self.plan.nodes.len());
        let (edge, host) = (self.below(3), self.random.one_of(&[1, 2, 2, 2, 2, 2, 2, 3]));
        match v6 {
            false => format!("10.{node}.{edge}.{host}"),
            true => format!("fd00:{node}:{edge}::{host}"),
        }
    }

    fn packet(&mut self, at: u64) {
        let edges: Vec<(usize, usize)> = (0..self.plan.nodes.len())
            .flat_map(|node| (0..self.plan.nodes[node].devices.len()).map(move |d| (node, d)))
            .filter(|(node, device)| {
                let name = &self.plan.nodes[*node].devices[*device].name;
                name.as_str().starts_with("out")
            })
            .collect();
        let (node, place) = self.random.one_of(&edges);
        let device = self.plan.nodes[node].devices[place].clone();
        let v6 = self.one_in(2);
        let own = match v6 {
            false => format!("10.{node}.{place}.2"),
            true => format!("fd00:{node}:{place}::2"),
        };
        let source = if self.one_in(8) { self.host(v6) } else { own };
        let to = self.host(v6);
        let (open, close) = if v6 { ("[", "]") } else { ("", "") };
        let ttl = self.random.one_of(&[1, 2, 3, 64, 64, 64]);
        let most = device.mtu as usize - 60;
        let len = self.random.one_of(&[0, 10, 100, 1100, most]).min(most);
        let df = if !v6 && self.one_in(3) { " df" } else { "" };
        // What a program sees of segments that are joined in the generic receive path depends on the kernel's version.
        let mut attached = self.plan.nodes.iter().flat_map(|node| &node.attachments);
        let may_join = attached.all(|attached| attached.hook.kind != XdpGeneric);
        let joins = may_join && self.one_in(8);
        let words = match self.below(4) {
            _ if joins => format!(
                "tcp {open}{source}{close}:1000 > {open}{to}{close}:80 ACK,PSH seq 1 ack 2 ttl {ttl} len {}{df}",
                2 * device.mtu
            ),
            0 => format!("icmp {source} > {to} echo id 1 seq 2 ttl {ttl} len {len}{df}"),
            1 => format!("tcp {open}{source}{close}:1000 > {open}{to}{close}:80 SYN ttl {ttl}{df}"),
            _ => format!(
                "udp {open}{source}{close}:1000 > {open}{to}{close}:53 ttl {ttl} len {len}{df}"
            ),
        };
        let own = self.plan.nodes[node].bridge_of(&device.name);
        let own = own.map_or(device.mac, |bridge| bridge.mac);
        let mac = if self.one_in(15) { host(9, 9) } else { own };
        let from = host(node, place);
        let bytes = text::frame_between(&words, MacAddr(from.0), MacAddr(mac.0));
        let mut bytes = bytes.unwrap_or_else(|error| panic!("{words}: {error}"));
        let joined = Joined::for_mtu(&bytes, self.random.one_of(&[device.mtu, 1280]));
        let joined = joined.filter(|_| joins);
        if let Some(joined) = &joined {
            joined.leave_checksum(&mut bytes);
        }
        self.plan.stimuli.push(Stimulus {
            at: Duration::from_secs(3600) + Duration::from_millis(at),
            kind: StimulusKind::Frame {
                node: name(node),
                device: device.name,
                bytes,
                joined,
            },
        });
    }
}

/// A network with its packets.
pub fn draw(seed: u64) -> Plan {
    let mut draft = Draft {
        random: Random(seed),
        plan: Plan {
            name: format!("networks::{seed}"),
            nodes: Vec::new(),
            wires: Vec::new(),
            segments: Vec::new(),
            responders: BTreeMap::new(),
            stimuli: Vec::new(),
            seed: 0,
        },
        objects: 0,
        switched: false,
    };
    let count = 1 + draft.below(3);
    draft.nodes(count);
    for node in 0..count {
        draft.bridge(node);
    }
    if count == 3 && draft.one_in(2) {
        draft.segment();
    } else {
        draft.wires();
    }
    draft.routes();
    if count > 1 && draft.one_in(2) {
        draft.tunnel();
    }
    draft.programs();
    for at in 0..PACKETS {
        draft.packet(at);
    }
    draft.plan
}

/// What differs first, in words.
fn difference(plan: &Plan) -> Option<String> {
    let kernel = run(plan);
    let arm = Arm::Emulator(Engine::Checked);
    let emulated = arm.run(plan).unwrap_or_else(|error| panic!("{error}"));
    let diff = diff::compare(&emulated, &kernel, &Decoder::new([]), &Leeway::of(plan));
    let count = diff.packets.len();
    let maps = diff.maps.first();
    let maps = maps.map(|map| format!("{map:?}\n{}", twinpath::show::text(plan)));
    let packet = diff.packets.into_iter().next().map(|packet| {
        format!(
            "{count} packets differ, first packet {}: {}\nbefore: {:#?}\n{:#?}\n{}",
            packet.stimulus,
            twinpath::report::arrival(&plan.stimuli[packet.stimulus]),
            packet.before,
            packet.differences,
            twinpath::show::text(plan),
        )
    });
    packet.or(maps)
}

#[test]
fn random_networks_carry_random_packets_alike() {
    needs_kernel!();
    let seed = number("TWINPATH_SEED", 1);
    let mut failures = Vec::new();
    let (first, cases) = (number("TWINPATH_FIRST", 0), number("TWINPATH_CASES", CASES));
    for case in first..first + cases {
        let seed = seed.wrapping_mul(100_000) + case;
        if let Some(difference) = difference(&draw(seed)) {
            failures.push(format!("network {seed}: {difference}"));
        }
    }
    let count = failures.len();
    failures.truncate(3);
    assert!(
        count == 0,
        "{count} of {cases} networks:\n{}",
        failures.join("\n\n")
    );
}
