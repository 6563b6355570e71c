//! Random clusters: the entries must say of every packet what the model says.

use std::net::IpAddr;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use twinpath_control::abi::{Identity, Protocol};
use twinpath_control::kubernetes::Objects;
use twinpath_control::policy::DIRECTIONS;
use twinpath_control::population::Population;
use twinpath_control::{Here, NodeState};

use crate::generate::{NODES, OUTSIDE, PORTS, manifests};
use crate::maps;
use crate::oracle::{End, Oracle, Packet};

/// Each cluster is asked about every pair of ends in both directions.
const CLUSTERS: u32 = 200;

/// How many cases, and which.
pub fn config(cases: u32) -> Config {
    Config {
        cases: variable("TWINPATH_CASES").unwrap_or(cases),
        rng_seed: RngSeed::Fixed(seed().into()),
        failure_persistence: None,
        ..Config::default()
    }
}

/// The seed of all that is random.
pub fn seed() -> u32 {
    variable("TWINPATH_SEED").unwrap_or(1)
}

fn variable(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn entries_say_what_the_policies_say() {
    let mut config = config(CLUSTERS);
    config.max_shrink_iters = 20_000;
    let mut runner = TestRunner::new(config);
    let result = runner.run(&manifests(), |manifests| {
        let documents: Vec<_> = manifests.iter().map(ToString::to_string).collect();
        check(&documents.join("\n---\n"))
    });
    result.unwrap_or_else(|error| panic!("seed {}: {error}", seed()));
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let mut objects = Objects::default();
    let fail = |error| TestCaseError::fail(format!("{error}"));
    objects.read(Path::new("random.yaml"), text).map_err(fail)?;
    let population = Population::new(&objects).map_err(fail)?;
    let oracle = Oracle { objects: &objects };
    let packets = packets();
    let here = Here {
        node: Some(NODES[0]),
        addresses: Vec::new(),
        others: Vec::new(),
        devices: &maps::devices,
    };
    let state = maps::node(&population, &here);
    let records = maps::policy(&state);
    check_ipcache(&population, &state)?;
    check_nodes(&objects, &population, &packets)?;
    for (number, pod) in population.pods.iter().enumerate() {
        let map = population.policy(pod);
        let endpoint = state
            .endpoints
            .iter()
            .find(|local| local.member.name == pod.to_string());
        let subject = &objects.pods[number].object;
        for (end, identity) in ends(&objects, &population, pod.node.as_deref().expect("a node")) {
            for direction in DIRECTIONS {
                for (packet, protocol) in &packets {
                    let expected = oracle.allows(subject, direction, end, *packet);
                    let table = map.table(direction);
                    let entry = table.lookup(identity, *protocol, packet.port);
                    prop_assert_eq!(
                        table.allows(identity, *protocol, packet.port),
                        expected,
                        "{} {:?} {:?} {:?}: {:?}\n{}",
                        pod.name,
                        direction,
                        end_name(end),
                        packet,
                        entry,
                        text
                    );
                    let Some(endpoint) = endpoint else { continue };
                    let record =
                        records.decides(endpoint.id, direction, identity, *protocol, packet.port);
                    prop_assert_eq!(maps::allows(record), expected, "{:?}", record);
                    let origins = entry.map(|(_, entry)| &entry.origins);
                    let cookie = record.map(|record| record.cookie);
                    prop_assert_eq!(
                        cookie.and_then(|cookie| state.origins.of(cookie)),
                        origins.filter(|origins| !origins.is_empty()),
                        "the record is the entry's"
                    );
                }
            }
        }
    }
    Ok(())
}

/// The nodes' own policies say what the model says.
fn check_nodes(
    objects: &Objects,
    population: &Population,
    packets: &[(Packet, Protocol)],
) -> Result<(), TestCaseError> {
    let oracle = Oracle { objects };
    for (placed, node) in objects.nodes.iter().zip(&population.nodes) {
        let map = population.host_policy(node);
        for (end, identity) in ends(objects, population, &node.name) {
            for direction in DIRECTIONS {
                for (packet, protocol) in packets {
                    prop_assert_eq!(
                        map.table(direction)
                            .allows(identity, *protocol, packet.port),
                        oracle.allows_node(&placed.object, direction, end, *packet),
                        "{} {:?} {:?} {:?}",
                        node.name,
                        direction,
                        end_name(end),
                        packet
                    );
                }
            }
        }
    }
    Ok(())
}

/// Programs see every address as the model does, and tunnel to what is on other nodes.
fn check_ipcache(population: &Population, state: &NodeState) -> Result<(), TestCaseError> {
    let cache = maps::ipcache(state);
    let here = NODES[0];
    let pods = population.pods.iter().flat_map(|pod| &pod.addresses);
    let nodes = population.nodes.iter().flat_map(|node| &node.addresses);
    let outside = OUTSIDE.map(|address| address.parse().expect("an address"));
    for ip in pods.chain(nodes).chain(&outside).copied() {
        let found = cache.identity(ip).expect("an entry for all");
        prop_assert_eq!(
            found.sec_identity,
            population.identity_of(ip, Some(here)),
            "{}",
            ip
        );
        let pod = population
            .pods
            .iter()
            .find(|pod| pod.addresses.contains(&ip));
        let elsewhere = pod
            .and_then(|pod| pod.node.as_deref())
            .filter(|node| *node != here);
        let node = population
            .nodes
            .iter()
            .find(|node| elsewhere == Some(node.name.as_str()));
        let tunnel = node.map(|node| node.addresses[0]);
        prop_assert_eq!(found.node(), tunnel, "{}", ip);
    }
    Ok(())
}

fn packets() -> Vec<(Packet, Protocol)> {
    let ports = [
        ("TCP", Protocol::TCP),
        ("UDP", Protocol::UDP),
        ("SCTP", Protocol(132)),
    ];
    let ports = ports.into_iter().flat_map(|(name, protocol)| {
        PORTS.map(|port| {
            (
                Packet {
                    protocol: name,
                    port,
                },
                protocol,
            )
        })
    });
    let icmp = [
        ("ICMP", Protocol::ICMP, 8),
        ("ICMP", Protocol::ICMP, 3),
        ("ICMPv6", Protocol::ICMPV6, 128),
    ];
    let icmp = icmp.into_iter().map(|(name, protocol, port)| {
        (
            Packet {
                protocol: name,
                port,
            },
            protocol,
        )
    });
    ports.chain(icmp).collect()
}

/// Everybody, as a node and its pods see them.
fn ends<'a>(objects: &'a Objects, population: &Population, home: &str) -> Vec<(End<'a>, Identity)> {
    let mut homes = population.nodes.iter();
    let home = homes.find(|node| node.name == home);
    let home = home.expect("a node").addresses[0];
    let pods = objects.pods.iter().zip(&population.pods);
    let pods = pods.map(|(placed, pod)| (End::Pod(&placed.object), population.identity(pod)));
    let outside = OUTSIDE.map(|address| {
        let address: IpAddr = address.parse().expect("an address");
        (End::Outside(address), population.identity_of(address, None))
    });
    let nodes = [
        (End::node(objects, home, true), Identity::HOST),
        (End::RemoteNode, Identity::REMOTE_NODE),
        (End::ApiServer, Identity::KUBE_APISERVER),
    ];
    pods.chain(outside).chain(nodes).collect()
}

fn end_name(end: End<'_>) -> String {
    match end {
        End::Pod(pod) => pod.metadata.name.clone().unwrap_or_default(),
        End::Host => "host".to_owned(),
        End::HostApiServer => "host and kube-apiserver".to_owned(),
        End::RemoteNode => "remote-node".to_owned(),
        End::ApiServer => "kube-apiserver".to_owned(),
        End::Outside(address) => address.to_string(),
    }
}
