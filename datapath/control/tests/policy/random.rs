//! Random clusters: the entries must say of every packet what the model says.

use std::net::IpAddr;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use twinpath_control::abi::{Identity, Protocol};
use twinpath_control::identity;
use twinpath_control::kubernetes::Objects;
use twinpath_control::policy::Direction;
use twinpath_control::population::Population;

use crate::generate::{OUTSIDE, PORTS, manifests};
use crate::oracle::{End, Oracle, Packet};

/// Each cluster is asked about every pair of ends in both directions.
const CLUSTERS: u32 = 200;

fn clusters() -> u32 {
    let cases = std::env::var("TWINPATH_CASES").ok();
    cases
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(CLUSTERS)
}

#[test]
fn entries_say_what_the_policies_say() {
    let mut config = Config::with_cases(clusters());
    config.max_shrink_iters = 20_000;
    let mut runner = TestRunner::new(config);
    let result = runner.run(&manifests(), |manifests| {
        let documents: Vec<_> = manifests.iter().map(ToString::to_string).collect();
        check(&documents.join("\n---\n"))
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let mut objects = Objects::default();
    let fail = |error| TestCaseError::fail(format!("{error}"));
    objects.read(Path::new("random.yaml"), text).map_err(fail)?;
    let population = Population::new(&objects).map_err(fail)?;
    let oracle = Oracle { objects: &objects };
    let packets = packets();
    for (number, pod) in population.pods.iter().enumerate() {
        let map = population.policy(pod);
        let subject = &objects.pods[number].object;
        for (end, identity) in ends(&objects, &population) {
            for direction in Direction::ALL {
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
                }
            }
        }
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

fn ends<'a>(objects: &'a Objects, population: &Population) -> Vec<(End<'a>, Identity)> {
    let pods = objects.pods.iter().zip(&population.pods);
    let pods = pods.map(|(placed, pod)| (End::Pod(&placed.object), population.identity(pod)));
    let outside = OUTSIDE.map(|address| {
        let address: IpAddr = address.parse().expect("an address");
        (End::Outside(address), population.identity_of(address, None))
    });
    let nodes = [
        (End::Host, identity::HOST),
        (End::RemoteNode, identity::REMOTE_NODE),
    ];
    pods.chain(outside).chain(nodes).collect()
}

fn end_name(end: End<'_>) -> String {
    match end {
        End::Pod(pod) => pod.metadata.name.clone().unwrap_or_default(),
        End::Host => "host".to_owned(),
        End::RemoteNode => "remote-node".to_owned(),
        End::Outside(address) => address.to_string(),
    }
}
