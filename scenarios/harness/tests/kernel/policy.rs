//! Random clusters in the kernel: each packet that a node's pods send fares as an independent model of the policies
//! says, and as in the emulator. The clusters, the model and the packets are those of the control plane's own tests.
//!
//! `TWINPATH_CASES` says how many clusters (2, of some thousand packets), `TWINPATH_SEED` which.

use std::fmt::Write as _;
use std::net::IpAddr;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use twinpath::arm::Arm;
use twinpath::emulated::Engine;
use twinpath::report::{self, TextOptions};
use twinpath::runner::{self, Status};
use twinpath::scenario::Scenario;
use twinpath_control::kubernetes::Objects;
use twinpath_control::policy::Direction;
use twinpath_control::population::Population;

use crate::needs_kernel;

#[path = "../../../../datapath/control/tests/policy/generate.rs"]
mod generate;
#[path = "../../../../datapath/control/tests/policy/oracle.rs"]
mod oracle;

use generate::{NODES, OUTSIDE, PORTS, manifests};
use oracle::{End, Oracle, Packet};

const CLUSTERS: u32 = 2;

#[test]
fn packets_fare_in_the_kernel_as_the_policies_say() {
    needs_kernel!();
    let variable = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let seed = variable("TWINPATH_SEED").unwrap_or(1);
    let mut random = TestRunner::new(Config {
        rng_seed: RngSeed::Fixed(seed.into()),
        ..Config::default()
    });
    let (mut packets, mut dropped) = (0, 0);
    for _ in 0..variable("TWINPATH_CASES").unwrap_or(CLUSTERS) {
        let manifests = manifests().new_tree(&mut random).expect("a cluster");
        let mut manifests = manifests.current();
        let pods = manifests
            .iter_mut()
            .filter(|object| object["kind"] == "Pod");
        for (number, pod) in pods.enumerate() {
            // Most pods are on one node: only what they send meets programs.
            pod["spec"]["nodeName"] = NODES[usize::from(number % 4 == 3)].into();
        }
        let manifests: Vec<_> = manifests.iter().map(ToString::to_string).collect();
        let (sent, denied) = check(&manifests.join("\n---\n"));
        packets += sent;
        dropped += denied;
    }
    println!("{packets} packets of seed {seed}, {dropped} of them dropped");
    assert!(dropped > 0 && dropped < packets);
}

/// How many packets there were, and how many of them a policy dropped.
fn check(manifests: &str) -> (usize, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.yaml");
    std::fs::write(&file, manifests).expect("room for it");
    let mut objects = Objects::default();
    objects.read(&file, manifests).expect("manifests");
    let text = scenario(&objects);
    let sent = text.matches("[[step]]").count();
    let denied = text.matches("\"dropped\"").count();
    let scenario = Scenario::parse(&folder.path().join("policy.toml"), text);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}\n{manifests}"));
    let case = scenario
        .case()
        .unwrap_or_else(|error| panic!("{error}\n{manifests}"));
    let outcome = runner::run(case, &[Arm::Emulator(Engine::Checked), Arm::Kernel]);
    let options = TextOptions {
        width: 120,
        packets: false,
    };
    assert_eq!(
        outcome.status(),
        Status::Passed,
        "{}\n{manifests}",
        report::plain(&outcome, &scenario.source, options)
    );
    (sent, denied)
}

/// Each pod of the node sends to everybody, and the model says what becomes of that.
fn scenario(objects: &Objects) -> String {
    let population = Population::new(objects).expect("a population");
    let oracle = Oracle { objects };
    let mut text = "description = \"Random policies\"\nmanifests = [\"cluster.yaml\"]\n\
                    datapath.host-firewall = true\n"
        .to_owned();
    let here = objects.nodes.iter().map(|placed| &placed.object);
    let mut here = here.filter(|node| node.metadata.name.as_deref() == Some(NODES[0]));
    let here = here.next().expect("a node");
    let mut number = 10_000;
    let is_local = |index: usize| population.pods[index].node.as_deref() == Some(NODES[0]);
    for sender in (0..population.pods.len()).filter(|pod| is_local(*pod)) {
        let subject = &objects.pods[sender].object;
        for (address, other, receiver) in receivers(objects, &population) {
            let mut sources = population.pods[sender].addresses.iter();
            let source = sources.find(|source| source.is_ipv4() == address.is_ipv4());
            let source = source.expect("of both families");
            for packet in packets(address) {
                number += 1;
                let receiver = receiver.filter(|receiver| is_local(*receiver));
                let goes = oracle.allows(subject, Direction::Egress, other, packet)
                    && receiver.is_none_or(|receiver| {
                        let pod = &objects.pods[receiver].object;
                        oracle.allows(pod, Direction::Ingress, End::Pod(subject), packet)
                    })
                    && (!matches!(other, End::Host | End::HostApiServer)
                        || oracle.allows_node(here, Direction::Ingress, End::Pod(subject), packet));
                let end = match (goes, receiver) {
                    (false, _) => "dropped".to_owned(),
                    (true, Some(pod)) => format!("reaches {}", population.pods[pod].name),
                    (true, None) => "stack".to_owned(),
                };
                let from = &population.pods[sender].name;
                let frame = frame(*source, address, packet, number);
                let _ = writeln!(
                    text,
                    "[[step]]\nfrom = \"{from}\"\nsend = \"{frame}\"\nexpect.ends = \"{end}\""
                );
            }
        }
    }
    text
}

/// Addresses, whose they are, and of a pod which it is.
fn receivers<'a>(
    objects: &'a Objects,
    population: &Population,
) -> Vec<(IpAddr, End<'a>, Option<usize>)> {
    let mut all = Vec::new();
    for (index, pod) in population.pods.iter().enumerate() {
        let end = End::Pod(&objects.pods[index].object);
        all.extend(pod.addresses.iter().map(|ip| (*ip, end, Some(index))));
    }
    for outside in OUTSIDE {
        let address = outside.parse().expect("an address");
        all.push((address, End::Outside(address), None));
    }
    for node in &population.nodes {
        let own = node.name == NODES[0];
        let addresses = node.addresses.iter();
        all.extend(addresses.map(|ip| (*ip, End::node(objects, *ip, own), None)));
    }
    all
}

fn packets(to: IpAddr) -> impl Iterator<Item = Packet> {
    let ports = ["TCP", "UDP", "SCTP"].into_iter();
    let ports = ports.flat_map(|protocol| PORTS.map(|port| Packet { protocol, port }));
    let (protocol, port) = match to {
        IpAddr::V4(_) => ("ICMP", 8),
        IpAddr::V6(_) => ("ICMPv6", 128),
    };
    ports.chain([Packet { protocol, port }])
}

/// A packet of a connection of its own, by its number.
fn frame(from: IpAddr, to: IpAddr, packet: Packet, number: u16) -> String {
    let end = |address: IpAddr, port: u16| std::net::SocketAddr::new(address, port);
    let (source, destination) = (end(from, number), end(to, packet.port));
    match packet.protocol {
        "TCP" => format!("tcp {source} > {destination} SYN len 5"),
        "UDP" => format!("udp {source} > {destination} len 5"),
        "SCTP" => {
            let ports = format!("{number:04x}{:04x}", packet.port);
            format!("ip {from} > {to} proto 132 payload 0x{ports}0000000000000000")
        }
        _ => format!("icmp {from} > {to} echo id {number} seq 1"),
    }
}
