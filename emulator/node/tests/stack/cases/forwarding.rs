//! The way of a packet through a router.

use twinpath_node::{Mac, RouteConfig, RouteKind, RpFilter, RuleAction, RuleConfig};

use super::super::frames::DONT_FRAGMENT;
use super::super::net::{ip, prefix};
use super::*;

fn udp(source: &str, destination: &str) -> Packet {
    Packet::udp(source, destination, (1000, 2000), b"hello")
}

#[test]
fn packets_are_passed_on_or_answered() {
    if skip("forwarding") {
        return;
    }
    let Router { network, left, .. } = router();
    let base = udp("10.0.0.2", "10.1.0.2");
    let base6 = udp("fd00::2", "fd00:1::2");
    let with = |change: &dyn Fn(&mut Packet)| {
        let mut packet = base.clone();
        change(&mut packet);
        from_left(packet)
    };
    let with6 = |change: &dyn Fn(&mut Packet)| {
        let mut packet = base6.clone();
        change(&mut packet);
        from_left(packet)
    };
    let raw = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = Packet {
            to: mac(0, 0),
            ..base.clone()
        }
        .frame();
        change(&mut frame);
        Stimulus::Frame(left, frame)
    };
    let raw6 = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = Packet {
            to: mac(0, 0),
            ..base6.clone()
        }
        .frame();
        change(&mut frame);
        Stimulus::Frame(left, frame)
    };
    let to = |address: &str| from_left(udp("10.0.0.2", address));
    let to6 = |address: &str| from_left(udp("fd00::2", address));
    let from = |address: &str| from_left(udp(address, "10.1.0.2"));
    let from6 = |address: &str| from_left(udp(address, "fd00:1::2"));
    let stimuli = vec![
        ("passes", with(&|_| {})),
        ("passes with ttl 2", with(&|packet| packet.ttl = 2)),
        ("ends with ttl 1", with(&|packet| packet.ttl = 1)),
        ("ends with ttl 0", with(&|packet| packet.ttl = 0)),
        ("type of service", with(&|packet| packet.tos = 0xb9)),
        (
            "type of service in an error",
            with(&|packet| (packet.tos, packet.ttl) = (0xbb, 1)),
        ),
        (
            "no operations",
            with(&|packet| packet.options = vec![1, 1, 1, 1]),
        ),
        (
            "router alert",
            with(&|packet| packet.options = vec![148, 4, 0, 0]),
        ),
        (
            "an unknown option",
            with(&|packet| packet.options = vec![0x5e, 4, 7, 7]),
        ),
        (
            "an option that is cut off",
            with(&|packet| packet.options = vec![1, 1, 0x5e, 7]),
        ),
        (
            "options in an error",
            with(&|packet| (packet.options, packet.ttl) = (vec![1; 8], 1)),
        ),
        ("to another host's mac", with(&|packet| packet.to = host(9))),
        ("to all macs", with(&|packet| packet.to = Mac([0xff; 6]))),
        (
            "to a group's mac",
            with(&|packet| packet.to = Mac([1, 0, 0x5e, 0, 0, 1])),
        ),
        (
            "dont fragment",
            with(&|packet| packet.fragment = DONT_FRAGMENT),
        ),
        ("a fragment", with(&|packet| packet.fragment = 0x2001)),
        (
            "a fragment in an error",
            with(&|packet| (packet.fragment, packet.ttl) = (0x0001, 1)),
        ),
        (
            "a first fragment in an error",
            with(&|packet| (packet.fragment, packet.ttl) = (0x2000, 1)),
        ),
        ("a wrong header checksum", raw(&|frame| frame[24] ^= 1)),
        ("a wrong version", raw(&|frame| frame[14] = 0x65)),
        ("a short header", raw(&|frame| frame[14] = 0x44)),
        ("a header beyond the packet", raw(&|frame| frame[14] = 0x4f)),
        ("cut off", raw(&|frame| frame.truncate(40))),
        ("padded", raw(&|frame| frame.resize(80, 0xaa))),
        (
            "padded in an error",
            raw(&|frame| {
                frame[22] = 1;
                super::super::frames::fill_header(frame, 14);
                frame.resize(80, 0xaa);
            }),
        ),
        (
            "another ethertype",
            raw(&|frame| frame[12..14].copy_from_slice(&[0x88, 0xb6])),
        ),
        ("no route", to("172.16.0.1")),
        ("to zero", to("0.0.0.0")),
        ("to a zero network", to("0.1.2.3")),
        ("to loopback", to("127.0.0.1")),
        ("to everybody", to("255.255.255.255")),
        ("to everybody here", to("10.0.0.255")),
        ("to everybody there", to("10.1.0.255")),
        ("to the network there", to("10.1.0.0")),
        ("to class e", to("240.1.1.1")),
        ("to all hosts", to("224.0.0.1")),
        ("to a group", to("224.1.2.3")),
        ("from zero", from("0.0.0.0")),
        ("from a zero network", from("0.1.2.3")),
        ("from loopback", from("127.0.0.1")),
        ("from everybody", from("255.255.255.255")),
        ("from everybody here", from("10.0.0.255")),
        ("from a group", from("224.0.0.5")),
        ("from the router here", from("10.0.0.1")),
        ("from the router there", from("10.1.0.1")),
        ("from elsewhere", from("172.16.0.1")),
        ("from there", from("10.1.0.7")),
        (
            "from a host that cannot be told",
            from_left(Packet {
                ttl: 1,
                ..udp("172.16.0.1", "10.1.0.2")
            }),
        ),
        ("v6 passes", with6(&|_| {})),
        ("v6 with hop limit 2", with6(&|packet| packet.ttl = 2)),
        ("v6 with hop limit 1", with6(&|packet| packet.ttl = 1)),
        ("v6 with hop limit 0", with6(&|packet| packet.ttl = 0)),
        ("v6 traffic class", with6(&|packet| packet.tos = 0xb9)),
        (
            "v6 traffic class in an error",
            with6(&|packet| (packet.tos, packet.ttl) = (0xb9, 1)),
        ),
        (
            "v6 to another host's mac",
            with6(&|packet| packet.to = host(9)),
        ),
        (
            "v6 to all macs",
            with6(&|packet| packet.to = Mac([0xff; 6])),
        ),
        (
            "v6 hop-by-hop padding",
            with6(&|packet| (packet.options, packet.id) = (vec![17, 0, 1, 4, 0, 0, 0, 0], 0)),
        ),
        (
            "v6 router alert",
            with6(&|packet| (packet.options, packet.id) = (vec![17, 0, 5, 2, 0, 0, 1, 0], 0)),
        ),
        (
            "v6 destination options",
            with6(&|packet| (packet.options, packet.id) = (vec![17, 0, 1, 4, 0, 0, 0, 0], 60)),
        ),
        (
            "v6 destination options in an error",
            with6(&|packet| {
                (packet.options, packet.id, packet.ttl) = (vec![17, 0, 1, 4, 0, 0, 0, 0], 60, 1);
            }),
        ),
        ("v6 of a wrong version", raw6(&|frame| frame[14] = 0x45)),
        ("v6 cut off", raw6(&|frame| frame.truncate(60))),
        ("v6 padded", raw6(&|frame| frame.resize(100, 0xaa))),
        (
            "v6 padded in an error",
            raw6(&|frame| {
                frame[21] = 1;
                frame.resize(100, 0xaa);
            }),
        ),
        ("v6 no route", to6("fd00:5::1")),
        ("v6 to nobody", to6("::")),
        ("v6 to loopback", to6("::1")),
        ("v6 to all nodes", to6("ff02::1")),
        ("v6 to all routers", to6("ff02::2")),
        ("v6 to a group", to6("ff05::1234")),
        ("v6 to a link", to6("fe80::1")),
        ("v6 from nobody", from6("::")),
        ("v6 from loopback", from6("::1")),
        ("v6 from a group", from6("ff02::1")),
        ("v6 from a link", from6("fe80::7")),
        ("v6 from the router", from6("fd00::1")),
        ("v6 from elsewhere", from6("fd00:5::1")),
    ];
    hold(&[case("forwarding", network, stimuli)]);
}

#[test]
fn routes_and_rules_decide() {
    if skip("routes") {
        return;
    }
    let mut cases = Vec::new();
    let stimuli = || {
        vec![
            ("to 10.9.1.1", from_left(udp("10.0.0.2", "10.9.1.1"))),
            ("to 10.9.2.1", from_left(udp("10.0.0.2", "10.9.2.1"))),
            (
                "to 10.9.2.1 from elsewhere",
                from_left(udp("10.0.0.7", "10.9.2.1")),
            ),
            ("to fd09:1::1", from_left(udp("fd00::2", "fd09:1::1"))),
            ("to fd09:2::1", from_left(udp("fd00::2", "fd09:2::1"))),
        ]
    };
    let with_routes = || {
        let Router {
            mut network,
            left,
            right,
        } = router();
        network.neighbour(right, "10.1.0.3", host(3));
        network.neighbour(right, "fd00:1::3", host(3));
        network.via(right, "10.9.0.0/16", "10.1.0.2");
        network.via(right, "fd09::/16", "fd00:1::2");
        (network, left, right)
    };
    let (network, ..) = with_routes();
    cases.push(case("gateways", network, stimuli()));
    let (mut network, _, right) = with_routes();
    network.via(right, "10.9.2.0/24", "10.1.0.3");
    network.via(right, "fd09:2::/32", "fd00:1::3");
    cases.push(case("a longer prefix", network, stimuli()));
    let (mut network, _, right) = with_routes();
    network.via(right, "10.9.0.0/16", "10.1.0.3").metric = Some(7);
    network.via(right, "fd09::/16", "fd00:1::3").metric = Some(7);
    cases.push(case("metrics", network, stimuli()));
    for kind in ALL_KINDS {
        let (mut network, ..) = with_routes();
        network.nowhere(0, "10.9.2.0/24", kind);
        network.nowhere(0, "fd09:2::/32", kind);
        cases.push(case(&format!("{kind:?}"), network, stimuli()));
        let (mut network, left, _) = with_routes();
        network.nowhere(0, "10.9.2.0/24", kind);
        network.config(left).settings.forwarding = false;
        network.nodes[0].settings.forward_ipv6 = false;
        network.nowhere(0, "fd09:2::/32", kind);
        cases.push(case(
            &format!("{kind:?} without forwarding"),
            network,
            stimuli(),
        ));
    }
    let (mut network, left, _) = with_routes();
    network.config(left).settings.forwarding = false;
    network.nodes[0].settings.forward_ipv6 = false;
    let mut more = stimuli();
    more.push(("no route", from_left(udp("10.0.0.2", "172.16.0.1"))));
    more.push(("no route in v6", from_left(udp("fd00::2", "fd77::1"))));
    more.push(("to itself", from_left(udp("10.0.0.2", "10.1.0.1"))));
    cases.push(case("no forwarding", network, more));
    hold(&cases);
}

fn rule(priority: u32, action: RuleAction) -> RuleConfig {
    RuleConfig {
        priority,
        ipv6: false,
        from: None,
        to: None,
        input: None,
        mark: None,
        action,
    }
}

#[test]
fn rules_choose_tables() {
    if skip("rules") {
        return;
    }
    let build = |rules: &[RuleConfig], kind: Option<RouteKind>| {
        let Router {
            mut network, right, ..
        } = router();
        network.neighbour(right, "10.1.0.3", host(3));
        network.neighbour(right, "fd00:1::3", host(3));
        network.via(right, "10.9.0.0/16", "10.1.0.2");
        network.via(right, "fd09::/16", "fd00:1::2");
        network.via(right, "10.9.0.0/16", "10.1.0.3").table = 100;
        network.via(right, "fd09::/16", "fd00:1::3").table = 100;
        if let Some(kind) = kind {
            let nowhere = RouteConfig {
                table: 100,
                ..RouteConfig::nowhere(prefix("10.9.2.0/24"), kind)
            };
            network.nodes[0].routes.push(nowhere);
            let nowhere = RouteConfig {
                table: 100,
                ..RouteConfig::nowhere(prefix("fd09:2::/32"), kind)
            };
            network.nodes[0].routes.push(nowhere);
        }
        for ipv6 in [false, true] {
            for rule in rules {
                let fits = |p: &Option<twinpath_node::Prefix>| {
                    p.is_none_or(|p| p.address().is_ipv6() == ipv6)
                };
                if fits(&rule.from) && fits(&rule.to) {
                    network.nodes[0].rules.push(RuleConfig {
                        ipv6,
                        ..rule.clone()
                    });
                }
            }
        }
        network
    };
    let stimuli = || {
        vec![
            ("to 10.9.1.1", from_left(udp("10.0.0.2", "10.9.1.1"))),
            ("to 10.9.2.1", from_left(udp("10.0.0.2", "10.9.2.1"))),
            (
                "from another source",
                from_left(udp("10.0.0.7", "10.9.1.1")),
            ),
            ("to the other net", from_left(udp("10.0.0.2", "10.1.0.2"))),
            ("to itself", from_left(udp("10.0.0.2", "10.1.0.1"))),
            ("to fd09:1::1", from_left(udp("fd00::2", "fd09:1::1"))),
            ("to fd09:2::1", from_left(udp("fd00::2", "fd09:2::1"))),
            ("to itself in v6", from_left(udp("fd00::2", "fd00:1::1"))),
        ]
    };
    let table = RuleAction::Table(100);
    let from = |text: &str| Some(prefix(text));
    let mut cases = Vec::new();
    let sets: Vec<(&str, Vec<RuleConfig>)> = vec![
        ("a table for all", vec![rule(100, table)]),
        (
            "a table for some",
            vec![
                RuleConfig {
                    from: from("10.0.0.2/32"),
                    ..rule(100, table)
                },
                RuleConfig {
                    from: from("fd00::2/128"),
                    ..rule(100, table)
                },
            ],
        ),
        (
            "a table by destination",
            vec![RuleConfig {
                to: from("10.9.2.0/24"),
                ..rule(100, table)
            }],
        ),
        (
            "a table by device",
            vec![RuleConfig {
                input: Some("eth0".to_owned()),
                ..rule(100, table)
            }],
        ),
        (
            "a table by another device",
            vec![RuleConfig {
                input: Some("eth1".to_owned()),
                ..rule(100, table)
            }],
        ),
        (
            "a table by mark",
            vec![RuleConfig {
                mark: Some((1, 1)),
                ..rule(100, table)
            }],
        ),
        (
            "a table by no mark",
            vec![RuleConfig {
                mark: Some((0, 0xff)),
                ..rule(100, table)
            }],
        ),
        ("after the main table", vec![rule(33000, table)]),
        ("an empty table", vec![rule(100, RuleAction::Table(77))]),
        ("blackhole", vec![rule(100, RuleAction::Blackhole)]),
        ("unreachable", vec![rule(100, RuleAction::Unreachable)]),
        ("prohibit", vec![rule(100, RuleAction::Prohibit)]),
    ];
    for (name, rules) in &sets {
        cases.push(case(name, build(rules, None), stimuli()));
    }
    for kind in ALL_KINDS {
        let name = format!("{kind:?} in a table");
        cases.push(case(
            &name,
            build(&[rule(100, table)], Some(kind)),
            stimuli(),
        ));
    }
    hold(&cases);
}

#[test]
fn sources_are_looked_at() {
    if skip("sources") {
        return;
    }
    let mut cases = Vec::new();
    for filter in [RpFilter::Off, RpFilter::Strict, RpFilter::Loose] {
        for accept_local in [false, true] {
            for default_route in [false, true] {
                let Router {
                    mut network,
                    left,
                    right,
                } = router();
                network.config(left).settings.rp_filter = filter;
                network.config(left).settings.accept_local = accept_local;
                if default_route {
                    network.via(right, "0.0.0.0/0", "10.1.0.2");
                }
                network.nowhere(0, "10.66.0.0/16", RouteKind::Blackhole);
                let sources = [
                    "10.0.0.2",
                    "10.1.0.7",
                    "172.16.0.1",
                    "10.66.0.1",
                    "10.0.0.1",
                    "10.1.0.1",
                    "127.0.0.1",
                    "0.0.0.0",
                    "10.0.0.255",
                ];
                let mut stimuli = Vec::new();
                for source in sources {
                    stimuli.push((source, from_left(udp(source, "10.1.0.2"))));
                    stimuli.push((source, from_left(udp(source, "10.1.0.1"))));
                    stimuli.push((
                        source,
                        from_left(Packet {
                            ttl: 1,
                            ..udp(source, "10.1.0.2")
                        }),
                    ));
                }
                let name = format!(
                    "{filter:?}, accept_local {accept_local}, default route {default_route}"
                );
                cases.push(case(&name, network, stimuli));
            }
        }
    }
    hold(&cases);
}

#[test]
fn several_nodes_pass_a_packet_on() {
    if skip("several nodes") {
        return;
    }
    let mut network = Network::default();
    let nodes: Vec<usize> = (0..4).map(|_| network.node()).collect();
    for node in &nodes {
        network.nodes[*node].settings.forward_ipv6 = true;
    }
    let mut edge = network.device(0, &["10.0.0.1/24", "fd00::1/64"]);
    network.neighbour(edge, "10.0.0.2", host(1));
    network.neighbour(edge, "fd00::2", host(1));
    for node in 0..3 {
        let here = network.device(
            node,
            &[&format!("10.1.{node}.1/24"), &format!("fd01:{node}::1/64")],
        );
        let there = network.device(
            node + 1,
            &[&format!("10.1.{node}.2/24"), &format!("fd01:{node}::2/64")],
        );
        network.wire(here, there);
        network.via(here, "10.2.0.0/16", &format!("10.1.{node}.2"));
        network.via(here, "fd02::/16", &format!("fd01:{node}::2"));
        network.via(there, "10.0.0.0/24", &format!("10.1.{node}.1"));
        network.via(there, "fd00::/64", &format!("fd01:{node}::1"));
        network.neighbour(here, &format!("10.1.{node}.2"), mac(node + 1, 0));
        network.neighbour(there, &format!("10.1.{node}.1"), mac(node, 1));
        network.neighbour(here, &format!("fd01:{node}::2"), mac(node + 1, 0));
        network.neighbour(there, &format!("fd01:{node}::1"), mac(node, 1));
    }
    edge = network.device(3, &["10.2.0.1/24", "fd02::1/64"]);
    network.neighbour(edge, "10.2.0.2", host(2));
    network.neighbour(edge, "fd02::2", host(2));
    // The last one sends this back.
    network.via(Port { node: 3, device: 0 }, "10.2.7.0/24", "10.1.2.1");
    let mut stimuli = Vec::new();
    let ttl = |ttl: u8, packet: Packet| from_left(Packet { ttl, ..packet });
    for hops in 1..=6 {
        stimuli.push(("there", ttl(hops, udp("10.0.0.2", "10.2.0.2"))));
        stimuli.push(("there in v6", ttl(hops, udp("fd00::2", "fd02::2"))));
    }
    stimuli.push(("to the last router", from_left(udp("10.0.0.2", "10.2.0.1"))));
    stimuli.push((
        "ping the last router",
        from_left(Packet::ping("fd00::2", "fd02::1", 20)),
    ));
    stimuli.push(("round and round", from_left(udp("10.0.0.2", "10.2.7.1"))));
    assert!(ip("10.0.0.2").is_ipv4());
    hold(&[case("a line of routers", network, stimuli)]);
}

#[test]
fn senders_are_told_of_better_gateways() {
    if skip("redirects") {
        return;
    }
    let mut cases = Vec::new();
    for destination in ["10.0.0.9", "10.9.0.1"] {
        let Router {
            mut network, left, ..
        } = router();
        network.config(left).settings.send_redirects = true;
        network.neighbour(left, "10.0.0.9", host(9));
        network.neighbour(left, "10.0.0.8", host(8));
        network.via(left, "10.9.0.0/16", "10.0.0.8");
        let stimuli = vec![("first", from_left(udp("10.0.0.2", destination)))];
        cases.push(case(&format!("to {destination}"), network, stimuli));
    }
    for (destination, gateway) in [
        ("fd00::9", "fe80::8"),
        ("fd09::1", "fe80::8"),
        ("fd09::1", "fd00::8"),
    ] {
        let Router {
            mut network, left, ..
        } = router();
        network.config(left).addresses.push((ip("fe80::1"), 64));
        for (address, number) in [("fd00::9", 9), ("fd00::8", 8), ("fe80::8", 8)] {
            network.neighbour(left, address, host(number));
        }
        network.via(left, "fd09::/64", gateway);
        let stimuli = vec![("first", from_left(udp("fd00::2", destination)))];
        let name = format!("to {destination}, by {gateway}");
        cases.push(case(&name, network, stimuli));
    }
    hold(&cases);
}
