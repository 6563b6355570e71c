//! Random clusters again, but through the compiled programs: the emulator has the datapath and the entries of a node,
//! and each packet that its pods send must fare as the model says. `TWINPATH_CASES` says how many clusters (10),
//! `TWINPATH_SEED` which.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use etherparse::{Ethernet2Header, IpNumber, PacketBuilder};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use twinpath_control::abi::{
    DropReason, FromBytes as _, MetricsKey, MetricsValue, global, map, program,
};
use twinpath_control::kubernetes::Objects;
use twinpath_control::population::{Pod, Population};
use twinpath_control::{Device, Event, Here, LocalEndpoint, MapWriter, Names, NodeState};
use twinpath_machine::engine::Checked;
use twinpath_machine::{Errno, LoadOptions, Machine, MachineOptions, MapId, Object};
use twinpath_node::{DeviceId, DeviceOptions, EndKind, Helpers, HookKind, Ifindex, World};

use crate::generate::{NODES, OUTSIDE, PORTS, manifests};
use crate::maps;
use crate::oracle::{End, Oracle, Packet};
use twinpath_control::policy::Direction;

/// About 1,200 packets each.
const CLUSTERS: u32 = 10;

const OBJECT: &[u8] = include_bytes!("../../../objects/twinpath.o");
const NODE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const POD_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];

#[test]
fn packets_fare_as_the_policies_say() {
    let mut config = crate::random::config(CLUSTERS);
    config.max_shrink_iters = 2_000;
    let mut runner = TestRunner::new(config);
    let object = Object::parse(OBJECT).expect("the datapath's object");
    let counts = std::cell::RefCell::new(Counts::default());
    let result = runner.run(&manifests(), |mut manifests| {
        settle(&mut manifests);
        let documents: Vec<_> = manifests.iter().map(ToString::to_string).collect();
        check(
            &object,
            &documents.join("\n---\n"),
            &mut counts.borrow_mut(),
        )
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    println!("{:?} of seed {}", counts.borrow(), crate::random::seed());
}

/// What a run has seen.
#[derive(Debug, Default)]
struct Counts {
    packets: u32,
    delivered: u32,
    to_stack: u32,
    denied: u32,
}

/// Most pods are on the first node: only what they send meets programs.
fn settle(manifests: &mut [Value]) {
    let pods = manifests
        .iter_mut()
        .filter(|object| object["kind"] == "Pod");
    for (number, pod) in pods.enumerate() {
        let node = NODES[usize::from(number % 4 == 3)];
        pod["spec"]["nodeName"] = node.into();
    }
}

fn check(object: &Object, text: &str, counts: &mut Counts) -> Result<(), TestCaseError> {
    let mut objects = Objects::default();
    let fail = |error| TestCaseError::fail(format!("{error}"));
    objects.read(Path::new("random.yaml"), text).map_err(fail)?;
    let population = Population::new(&objects).map_err(fail)?;
    let oracle = Oracle { objects: &objects };
    let mut node = Node::new(object, &population);
    let subject = |pod: &Pod| {
        let index = population.pods.iter().position(|each| each == pod);
        &objects.pods[index.expect("one of the pods")].object
    };
    let here = objects.nodes.iter().map(|placed| &placed.object);
    let mut here = here.filter(|node| node.metadata.name.as_deref() == Some(NODES[0]));
    let here = here.next().expect("a node");
    let mut number = 0;
    for sender in node.state.endpoints.clone() {
        let from = population.pod(&sender.member.name).expect("a pod");
        for (to, address) in receivers(&population) {
            let other = match to {
                To::Pod(pod) => End::Pod(subject(pod)),
                To::Outside => End::Outside(address),
                To::Node { own } => End::node(&objects, address, own),
            };
            for packet in packets(address) {
                number += 1;
                counts.packets += 1;
                let source = sender.member.addresses();
                let source = source.filter(|ip| ip.is_ipv4() == address.is_ipv4());
                let frame = frame(
                    source.last().expect("of both families"),
                    address,
                    packet,
                    number,
                );
                let fate = node.send(&sender, &frame);
                let receiver = match to {
                    To::Pod(pod) => node.local(pod),
                    _ => None,
                };
                let egress = oracle.allows(subject(from), Direction::Egress, other, packet);
                let sender_end = End::Pod(subject(from));
                let ingress = match (to, receiver) {
                    (To::Pod(pod), Some(_)) => {
                        oracle.allows(subject(pod), Direction::Ingress, sender_end, packet)
                    }
                    (To::Node { own: true }, _) => {
                        oracle.allows_node(here, Direction::Ingress, sender_end, packet)
                    }
                    _ => true,
                };
                let expected = match (egress && ingress, receiver) {
                    (false, _) => Fate::Denied,
                    (true, Some(device)) => Fate::Delivered(device),
                    (true, None) => Fate::Stack,
                };
                match expected {
                    Fate::Denied => counts.denied += 1,
                    Fate::Stack => counts.to_stack += 1,
                    _ => counts.delivered += 1,
                }
                prop_assert_eq!(
                    &fate,
                    &expected,
                    "{} to {} ({:?}), egress {} ingress {}\n{:?}\n{}",
                    sender.member.name,
                    address,
                    packet,
                    egress,
                    ingress,
                    node.events,
                    text
                );
                node.check_events(&fate)?;
            }
        }
    }
    node.check_counts()
}

/// Two pods of the node, of which nobody may open a connection to the first.
const CLOSED: &str = "
{apiVersion: v1, kind: Node, metadata: {name: node-1},
 status: {addresses: [{type: InternalIP, address: 172.18.0.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: closed, labels: {app: closed}},
 spec: {nodeName: node-1, containers: [{name: main}]}, status: {podIPs: [{ip: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: open},
 spec: {nodeName: node-1, containers: [{name: main}]}, status: {podIPs: [{ip: 10.0.0.2}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed},
 spec: {podSelector: {matchLabels: {app: closed}}, policyTypes: [Ingress]}}
";

/// Connections that conntrack has room for: each takes two entries.
const ROOM: u32 = 64;

/// A full conntrack forgets the connections that are longest unused, whose answers are denied then, and no others.
#[test]
fn a_full_conntrack_forgets_the_oldest_connections() {
    let mut objects = Objects::default();
    let file = Path::new("closed.yaml");
    objects.read(file, CLOSED).expect("good manifests");
    let population = Population::new(&objects).expect("good manifests");
    let object = Object::parse(OBJECT).expect("the datapath's object");
    let capacity = BTreeMap::from([(map::CT.to_owned(), 2 * ROOM)]);
    let mut node = Node::with(&object, &population, capacity);
    let [closed, open] = &node.state.endpoints.clone()[..] else {
        panic!("two pods on the node");
    };
    let device = |local: &LocalEndpoint| node.devices[&local.device.ifindex.0];
    let (to_closed, to_open) = (device(closed), device(open));
    let ends = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().expect("an address"));
    let opens = |number| udp([ends[0], ends[1]], [10_000 + number, 53]);
    let answers = |number| udp([ends[1], ends[0]], [53, 10_000 + number]);
    assert_eq!(node.send(open, &answers(0)), Fate::Denied);
    for number in 0..2 * ROOM as u16 {
        assert_eq!(node.send(closed, &opens(number)), Fate::Delivered(to_open));
        assert_eq!(
            node.send(open, &answers(number)),
            Fate::Delivered(to_closed)
        );
    }
    let last = 2 * ROOM as u16 - 1;
    assert_eq!(node.send(open, &answers(last)), Fate::Delivered(to_closed));
    assert_eq!(node.send(open, &answers(0)), Fate::Denied);
    assert_eq!(node.send(closed, &opens(0)), Fate::Delivered(to_open));
    assert_eq!(node.send(open, &answers(0)), Fate::Delivered(to_closed));
}

fn udp([from, to]: [IpAddr; 2], [source, destination]: [u16; 2]) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2(POD_MAC, NODE_MAC);
    let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else {
        unreachable!("addresses of IPv4")
    };
    let builder = builder.ipv4(from.octets(), to.octets(), 64);
    let builder = builder.udp(source, destination);
    builder.write(&mut frame, b"hello").expect("a frame");
    frame
}

/// Whom a packet is for.
#[derive(Clone, Copy)]
enum To<'a> {
    Pod(&'a Pod),
    Outside,
    Node { own: bool },
}

fn receivers(population: &Population) -> Vec<(To<'_>, IpAddr)> {
    let pods = population.pods.iter();
    let pods = pods.flat_map(|pod| pod.addresses.iter().map(move |ip| (To::Pod(pod), *ip)));
    let outside = OUTSIDE.iter();
    let outside = outside.map(|ip| (To::Outside, ip.parse().expect("an address")));
    let nodes = population.nodes.iter().flat_map(|node| {
        let to = To::Node {
            own: node.name == NODES[0],
        };
        node.addresses.iter().map(move |ip| (to, *ip))
    });
    pods.chain(outside).chain(nodes).collect()
}

fn packets(to: IpAddr) -> Vec<Packet> {
    let ports = ["TCP", "UDP", "SCTP"].into_iter();
    let ports = ports.flat_map(|protocol| PORTS.map(|port| Packet { protocol, port }));
    let echo = if to.is_ipv4() {
        Packet {
            protocol: "ICMP",
            port: 8,
        }
    } else {
        Packet {
            protocol: "ICMPv6",
            port: 128,
        }
    };
    ports.chain([echo]).collect()
}

/// A packet of a connection of its own: no two in a cluster have one source port or identifier.
fn frame(source: IpAddr, destination: IpAddr, packet: Packet, number: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2(POD_MAC, NODE_MAC);
    let builder = match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => builder.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => builder.ipv6(from.octets(), to.octets(), 64),
        _ => unreachable!("both are of one family"),
    };
    let port = 10_000 + number;
    let written = match packet.protocol {
        "TCP" => builder
            .tcp(port, packet.port, 1, 1000)
            .syn()
            .write(&mut frame, b"hello"),
        "UDP" => builder.udp(port, packet.port).write(&mut frame, b"hello"),
        "ICMP" => builder
            .icmpv4_echo_request(number, 1)
            .write(&mut frame, b"hello"),
        "ICMPv6" => builder
            .icmpv6_echo_request(number, 1)
            .write(&mut frame, b"hello"),
        _ => {
            let [a, b] = port.to_be_bytes();
            let [c, d] = packet.port.to_be_bytes();
            builder.write(
                &mut frame,
                IpNumber::SCTP,
                &[a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0],
            )
        }
    };
    written.expect("a frame");
    // Of a packet whose payload it does not know, etherparse leaves the type alone.
    let ethertype = if source.is_ipv4() {
        [0x08, 0x00]
    } else {
        [0x86, 0xdd]
    };
    frame[Ethernet2Header::LEN - 2..Ethernet2Header::LEN].copy_from_slice(&ethertype);
    frame
}

/// What became of a packet.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Denied,
    Stack,
    Delivered(DeviceId),
    Other(String),
}

/// A node in the emulator.
struct Node {
    world: World,
    maps: BTreeMap<String, MapId>,
    devices: BTreeMap<u32, DeviceId>,
    state: NodeState,
    names: Names,
    events: Vec<Event>,
    drops: u64,
}

impl Node {
    fn new(object: &Object, population: &Population) -> Self {
        Self::with(object, population, BTreeMap::new())
    }

    /// With other capacities of maps than the object gives.
    fn with(object: &Object, population: &Population, max_entries: BTreeMap<String, u32>) -> Self {
        let here = Here {
            node: Some(NODES[0]),
            addresses: Vec::new(),
            others: Vec::new(),
            devices: &device,
        };
        let state = maps::node(population, &here);
        let engine =
            Box::new(|| -> Box<dyn twinpath_machine::engine::Engine> { Box::<Checked>::default() });
        let mut world = World::new(MachineOptions::default(), engine).expect("a world");
        let namespace = world.add_node();
        let options = LoadOptions {
            globals: [global::POLICY_VERDICT_NOTIFY, global::HOST_FIREWALL]
                .map(|name| (name.to_owned(), 1_u32.to_le_bytes().to_vec()))
                .into(),
            max_entries,
            ..LoadOptions::default()
        };
        let loaded = world
            .machine
            .load(object, &options, &Helpers)
            .expect("all is supported");
        let programs = loaded.programs;
        let maps: BTreeMap<_, _> = loaded.maps.into_iter().collect();
        let mut devices = BTreeMap::new();
        for local in &state.endpoints {
            let ifindex = local.device.ifindex.0;
            let options = DeviceOptions {
                name: format!("lxc{ifindex}"),
                ifindex: Ifindex::new(ifindex).expect("not 0"),
                mac: twinpath_node::Mac(NODE_MAC),
                mtu: 1500,
            };
            let device = world.add_device(namespace, options).expect("a device");
            let entry = programs[program::FROM_CONTAINER];
            world
                .attach(device, HookKind::TcIngress, 1, entry)
                .expect("a hook");
            devices.insert(ifindex, device);
        }
        let mut writer = Emulated {
            machine: &mut world.machine,
            maps: &maps,
        };
        state.write(&mut writer).expect("room for all");
        Self {
            names: state.names(population),
            world,
            maps,
            devices,
            state,
            events: Vec::new(),
            drops: 0,
        }
    }

    /// The device of a pod, if it is on the node.
    fn local(&self, pod: &Pod) -> Option<DeviceId> {
        let mut endpoints = self.state.endpoints.iter();
        let local = endpoints.find(|local| local.member.name == pod.to_string())?;
        self.devices.get(&local.device.ifindex.0).copied()
    }

    fn send(&mut self, sender: &LocalEndpoint, frame: &[u8]) -> Fate {
        let journey = self
            .world
            .inject(self.devices[&sender.device.ifindex.0], frame);
        let fate = match &journey.ends[..] {
            [end] => match end.kind {
                EndKind::Left => Fate::Delivered(end.device),
                EndKind::Stack => Fate::Stack,
                EndKind::Dropped(twinpath_node::DropReason::Verdict) => Fate::Denied,
                other => Fate::Other(format!("{other:?} {:?}", journey.hops)),
            },
            // Nothing may leave twice.
            ends => Fate::Other(format!("{ends:?}")),
        };
        let machine = &mut self.world.machine;
        let records = machine.maps[self.maps[map::EVENTS]].take_records(&mut machine.memory);
        let events = records
            .iter()
            .map(|record| Event::parse(&record.bytes).expect("an event"));
        self.events = events.collect();
        fate
    }

    /// A packet that is dropped has one event that says so, why and by whom; any other has none.
    fn check_events(&mut self, fate: &Fate) -> Result<(), TestCaseError> {
        let drops: Vec<_> = self
            .events
            .iter()
            .filter(|event| event.drop_reason().is_some())
            .collect();
        prop_assert_eq!(
            drops.len(),
            usize::from(*fate == Fate::Denied),
            "{:?}",
            self.events
        );
        let Some(drop) = drops.first() else {
            return Ok(());
        };
        self.drops += 1;
        let reason = drop.drop_reason();
        let reasons =
            [DropReason::PolicyDenied, DropReason::PolicyDeny].map(|reason| reason.text());
        prop_assert!(
            reasons.iter().any(|text| reason.as_deref() == Some(text)),
            "{:?}",
            drop
        );
        let by = self.names.decided(drop);
        prop_assert!(by.is_some(), "some policy: {}", drop);
        let mut verdicts = self
            .events
            .iter()
            .filter(|event| matches!(event, Event::Verdict(_)));
        let verdict = verdicts.next_back().expect("the verdict");
        prop_assert_eq!(self.names.decided(verdict), by, "{}: both alike", drop);
        Ok(())
    }

    /// Each drop was counted.
    fn check_counts(&self) -> Result<(), TestCaseError> {
        let machine = &self.world.machine;
        let counters = machine.maps[self.maps[map::METRICS]].entries(&machine.memory);
        let mut dropped = 0;
        for (key, values) in counters {
            let key = MetricsKey::read_from_bytes(&key).expect("a key");
            for value in values {
                let value = MetricsValue::read_from_bytes(&value).expect("a value");
                if key.reason >= DropReason::PolicyDenied.code() {
                    dropped += value.count;
                }
            }
        }
        prop_assert_eq!(dropped, self.drops);
        Ok(())
    }
}

fn device(name: &str) -> Option<Device> {
    let number: u32 = name.strip_prefix("lxc")?.parse().ok()?;
    Some(Device {
        ifindex: twinpath_control::abi::Ifindex(10 + number),
        mac: twinpath_control::abi::Mac(NODE_MAC),
    })
}

/// The maps of a loaded datapath in the emulator.
struct Emulated<'a> {
    machine: &'a mut Machine,
    maps: &'a BTreeMap<String, MapId>,
}

impl MapWriter for Emulated<'_> {
    type Error = Errno;

    fn update(&mut self, map: &str, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        let id = self.maps.get(map).ok_or(Errno::ENOENT)?;
        let Machine { maps, memory, .. } = &mut *self.machine;
        maps[*id].user_update(memory, key, value, 0)
    }
}
