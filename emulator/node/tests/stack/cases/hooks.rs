//! Programs at hooks, and the stack behind and before them.

use twinpath_node::{DeviceKind, HookKind, RuleAction, RuleConfig, VxlanConfig};

use super::super::net::ip;
use super::super::programs::{Act, Attachment, Key};
use super::*;

const LEFT: u32 = 10;
const RIGHT: u32 = 11;
const TUNNEL: u32 = 12;

fn skip_without_bpf(test: &str) -> bool {
    twinpath_bpf::missing().is_some() || skip(test)
}

fn at(port: Port, hook: HookKind, act: Act) -> Attachment {
    Attachment { port, hook, act }
}

/// A router with a tunnel whose keys programs say.
fn external() -> (Network, Port, Port, Port) {
    let Router {
        mut network,
        left,
        right,
    } = router();
    let tunnel = network.device(0, &["10.5.0.1/24", "fd05::1/64"]);
    network.config(tunnel).kind = DeviceKind::Vxlan(VxlanConfig::default());
    network.config(tunnel).mtu = 1450;
    network.neighbour(tunnel, "10.5.0.2", host(5));
    (network, left, right, tunnel)
}

fn packets() -> Vec<(&'static str, Stimulus)> {
    let mut stimuli = Vec::new();
    for (source, to) in [("10.0.0.2", "10.1.0.2"), ("fd00::2", "fd00:1::2")] {
        for len in [1, 60, 1400] {
            stimuli.push((
                "udp",
                from_left(Packet::udp(source, to, (1, 2), &vec![7; len])),
            ));
        }
        let packet = Packet::udp(source, to, (1, 2), b"x");
        stimuli.push((
            "out of time",
            from_left(Packet {
                ttl: 1,
                ..packet.clone()
            }),
        ));
        stimuli.push((
            "tos",
            from_left(Packet {
                tos: 0xbb,
                ..packet
            }),
        ));
    }
    for (source, to) in [("10.0.0.2", "10.0.0.1"), ("fd00::2", "fd00::1")] {
        stimuli.push(("ping", from_left(Packet::ping(source, to, 8))));
        stimuli.push((
            "a closed port",
            from_left(Packet::udp(source, to, (1, 2), b"x")),
        ));
    }
    stimuli
}

#[test]
fn programs_say_how_to_tunnel() {
    if skip_without_bpf("tunnel keys") {
        return;
    }
    let key = |remote: &str, tos, ttl, flags| Key {
        vni: 0x12_3456,
        remote: ip(remote),
        tos,
        ttl,
        flags,
    };
    let keys = [
        key("10.1.0.2", 0, 0, 0),
        key("10.1.0.2", 0xb8, 9, 0),
        key("10.1.0.2", 0x03, 9, 2),
        key("10.1.0.2", 0, 0, 4),
        key("10.1.0.2", 0, 0, 2 | 4 | 8),
        key("172.16.0.1", 0, 0, 0),
        key("fd00:1::2", 0, 0, 1),
        key("fd00:1::2", 0xb8, 9, 1 | 2),
    ];
    let mut cases = Vec::new();
    for key in keys {
        let (mut network, left, ..) = external();
        let name = format!("{key:?}");
        network
            .programs
            .push(at(left, HookKind::TcxIngress, Act::Tunnel(key, TUNNEL)));
        cases.push(case(&name, network, packets()));
    }
    hold(&cases);
}

#[test]
fn programs_see_how_packets_were_tunnelled() {
    if skip_without_bpf("shown keys") {
        return;
    }
    let mut cases = Vec::new();
    for (source, own) in [("10.1.0.2", "10.1.0.1"), ("fd00:1::2", "fd00:1::1")] {
        let (mut network, _, right, tunnel) = external();
        let ipv6 = ip(own).is_ipv6();
        let show = Act::ShowKey { at: 42, ipv6 };
        network
            .programs
            .push(at(tunnel, HookKind::TcxIngress, show));
        let inner = Packet::udp("10.5.0.2", "10.0.0.2", (1, 2), &[7; 60]);
        let mut inner = Packet {
            to: mac(0, 2),
            from: host(5),
            ..inner
        };
        inner.payload[6..8].fill(0);
        let payload = [&[8, 0, 0, 0, 1, 2, 3, 0][..], &inner.frame()].concat();
        let packet = Packet::udp(source, own, (5000, 4789), &payload);
        let packet = Packet {
            to: mac(0, 1),
            from: host(2),
            ..packet
        };
        let mut unsummed = packet.clone();
        unsummed.payload[6..8].fill(0);
        let stimuli = vec![
            ("plain", Stimulus::Frame(right, packet.frame())),
            (
                "tos and ttl",
                Stimulus::Frame(
                    right,
                    Packet {
                        tos: 0xb8,
                        ttl: 7,
                        ..packet
                    }
                    .frame(),
                ),
            ),
            ("no checksum", Stimulus::Frame(right, unsummed.frame())),
        ];
        cases.push(case(own, network, stimuli));
    }
    hold(&cases);
}

#[test]
fn a_tunnel_without_a_key_takes_nothing() {
    if skip_without_bpf("no key") {
        return;
    }
    let (network, ..) = external();
    let stimuli = vec![
        (
            "routed",
            from_left(Packet::udp("10.0.0.2", "10.5.0.2", (1, 2), b"x")),
        ),
        (
            "again",
            from_left(Packet::udp("10.0.0.2", "10.5.0.2", (1, 2), b"x")),
        ),
    ];
    hold(&[case("no key", network, stimuli)]);
}

#[test]
fn hooks_and_the_stack_take_turns() {
    if skip_without_bpf("hooks") {
        return;
    }
    let Router { left, right, .. } = router();
    let ingress = [HookKind::Xdp, HookKind::XdpGeneric, HookKind::TcxIngress];
    let mut sets: Vec<Vec<Attachment>> = Vec::new();
    for hook in ingress {
        sets.push(vec![at(left, hook, Act::Pass)]);
        sets.push(vec![at(left, hook, Act::Drop)]);
    }
    for hook in [
        HookKind::XdpGeneric,
        HookKind::TcxIngress,
        HookKind::TcxEgress,
    ] {
        sets.push(vec![at(left, hook, Act::Redirect(RIGHT))]);
        sets.push(vec![at(right, hook, Act::Redirect(LEFT))]);
    }
    for verdict in [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100] {
        sets.push(vec![
            at(left, HookKind::TcxIngress, Act::Verdict(verdict)),
            at(left, HookKind::TcxIngress, Act::Redirect(RIGHT)),
        ]);
        sets.push(vec![at(right, HookKind::TcxEgress, Act::Verdict(verdict))]);
    }
    for act in [
        Act::Clone(RIGHT),
        Act::Clone(LEFT),
        Act::RedirectNeighbour(RIGHT),
        Act::RedirectNeighbour(LEFT),
        Act::RedirectIngress(RIGHT),
        Act::RedirectIngress(99),
        Act::Redirect(99),
        Act::RedirectIngress(1),
        Act::Redirect(1),
    ] {
        sets.push(vec![at(left, HookKind::TcxIngress, act.clone())]);
        sets.push(vec![at(left, HookKind::TcxEgress, act.clone())]);
        sets.push(vec![at(right, HookKind::TcxEgress, act)]);
    }
    let cases: Vec<Case> = sets
        .into_iter()
        .map(|programs| {
            let mut network = router().network;
            let name = format!("{programs:?}");
            network.programs = programs;
            case(&name, network, packets())
        })
        .collect();
    hold(&cases);
}

#[test]
fn marks_choose_tables() {
    if skip_without_bpf("marks") {
        return;
    }
    let mut cases = Vec::new();
    for mark in [0, 1, 2, 0x101] {
        let Router {
            mut network,
            left,
            right,
        } = router();
        network.neighbour(right, "10.1.0.3", host(3));
        network.via(right, "10.9.0.0/16", "10.1.0.2");
        network.via(right, "10.9.0.0/16", "10.1.0.3").table = 100;
        network.nodes[0].rules.push(RuleConfig {
            priority: 100,
            ipv6: false,
            from: None,
            to: None,
            input: None,
            mark: Some((1, 0xff)),
            action: RuleAction::Table(100),
        });
        network
            .programs
            .push(at(left, HookKind::TcxIngress, Act::Mark(mark)));
        let stimuli = vec![(
            "udp",
            from_left(Packet::udp("10.0.0.2", "10.9.0.1", (1, 2), b"x")),
        )];
        cases.push(case(&format!("mark {mark}"), network, stimuli));
    }
    hold(&cases);
}

#[test]
fn redirects_to_neighbours_ask_for_them() {
    if skip_without_bpf("redirects to neighbours") {
        return;
    }
    let Router {
        mut network,
        left,
        right,
    } = router();
    network.config(right).addresses.push((ip("fe80::1"), 64));
    network.programs.push(at(
        left,
        HookKind::TcxIngress,
        Act::RedirectNeighbour(RIGHT),
    ));
    let mut stimuli = packets();
    stimuli.push((
        "unknown",
        from_left(Packet::udp("10.0.0.2", "10.1.0.20", (1, 2), b"x")),
    ));
    stimuli.push((
        "unknown in v6",
        from_left(Packet::udp("fd00::2", "fd00:1::20", (1, 2), b"x")),
    ));
    stimuli.push((
        "no route",
        from_left(Packet::udp("10.0.0.2", "172.16.0.1", (1, 2), b"x")),
    ));
    let asks = neighbours::arp(
        1,
        (host(5), "10.1.0.20"),
        (twinpath_node::Mac([0; 6]), "10.1.0.1"),
    );
    let frame =
        super::super::frames::ethernet(twinpath_node::Mac([0xff; 6]), host(5), 0x0806, &asks);
    stimuli.push(("it asks", Stimulus::Frame(right, frame)));
    stimuli.push((
        "known",
        from_left(Packet::udp("10.0.0.2", "10.1.0.20", (1, 2), b"x")),
    ));
    hold(&[case("neighbours", network, stimuli)]);
}
