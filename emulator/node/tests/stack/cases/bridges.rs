//! Bridges of a node, and segments of several nodes.

use twinpath_node::{HookKind, Mac};

use super::super::frames::ethernet;
use super::super::programs::{Act, Attachment};
use super::*;

/// The hardware address of a pod.
fn pod(number: u8) -> Mac {
    host(0x40 + number)
}

const GROUP: Mac = Mac([0x01, 0, 0x5e, 1, 2, 3]);
const BROADCAST: Mac = Mac([0xff; 6]);

/// A host with a bridge of three pods, `10.0.0.2` to `.4`, and an edge towards `10.1.0.2`.
struct Host {
    network: Network,
    pods: Vec<Port>,
    bridge: Port,
}

fn bridged() -> Host {
    let mut network = Network::default();
    let node = network.node();
    network.nodes[node].settings.forward_ipv6 = true;
    let pods: Vec<Port> = (0..3).map(|_| network.device(node, &[])).collect();
    let outside = network.device(node, &["10.1.0.1/24", "fd00:1::1/64"]);
    let bridge = network.bridge(&pods, &["10.0.0.1/24", "fd00::1/64"]);
    for address in ["10.1.0.2", "fd00:1::2"] {
        network.neighbour(outside, address, host(2));
    }
    for number in 0..3 {
        for address in [
            format!("10.0.0.{}", number + 2),
            format!("fd00::{}", number + 2),
        ] {
            network.neighbour(bridge, &address, pod(number));
        }
    }
    Host {
        network,
        pods,
        bridge,
    }
}

fn between(port: Port, from: Mac, to: Mac, packet: Packet) -> Stimulus {
    Stimulus::Frame(port, Packet { to, from, ..packet }.frame())
}

/// What pods send to each other, to the host, and beyond it.
fn traffic(host_of: &Host) -> Vec<(&'static str, Stimulus)> {
    let [a, b, c] = host_of.pods[..] else {
        panic!("three pods")
    };
    let own = mac(0, host_of.bridge.device);
    let udp = |from: u8, to: u8| {
        Packet::udp(
            &format!("10.0.0.{}", from + 2),
            &format!("10.0.0.{}", to + 2),
            (1, 2),
            b"between pods",
        )
    };
    let out = Packet::udp("10.0.0.2", "10.1.0.2", (1, 2), b"out");
    let out6 = Packet::udp("fd00::2", "fd00:1::2", (1, 2), b"out");
    let back = Packet::udp("10.1.0.2", "10.0.0.3", (1, 2), b"back");
    let back6 = Packet::udp("fd00:1::2", "fd00::4", (1, 2), b"back");
    let outside = Port { node: 0, device: 3 };
    let entrance = mac(0, 3);
    vec![
        (
            "to a pod that is unknown",
            between(a, pod(0), pod(1), udp(0, 1)),
        ),
        ("an answer", between(b, pod(1), pod(0), udp(1, 0))),
        (
            "to a pod that is known",
            between(a, pod(0), pod(1), udp(0, 1)),
        ),
        ("to all", between(a, pod(0), BROADCAST, udp(0, 1))),
        ("to a group", between(a, pod(0), GROUP, udp(0, 1))),
        ("out", between(a, pod(0), own, out.clone())),
        ("out, of IPv6", between(a, pod(0), own, out6)),
        (
            "at the end of its time",
            between(
                a,
                pod(0),
                own,
                Packet {
                    ttl: 1,
                    ..out.clone()
                },
            ),
        ),
        ("in", between(outside, host(2), entrance, back.clone())),
        (
            "in, to one that is unknown",
            between(outside, host(2), entrance, back6),
        ),
        (
            "to the host",
            between(c, pod(2), own, Packet::ping("10.0.0.4", "10.0.0.1", 8)),
        ),
        (
            "to the host, of IPv6",
            between(c, pod(2), own, Packet::ping("fd00::4", "fd00::1", 8)),
        ),
        (
            "a closed port",
            between(
                c,
                pod(2),
                own,
                Packet::udp("10.0.0.4", "10.0.0.1", (1, 2), b"x"),
            ),
        ),
        (
            "to a port's own address",
            between(a, pod(0), mac(0, 0), out.clone()),
        ),
        (
            "to another port's own address",
            between(a, pod(0), mac(0, 1), out.clone()),
        ),
        ("to itself", between(a, pod(0), pod(0), udp(0, 0))),
        ("from elsewhere", between(c, pod(0), pod(1), udp(0, 1))),
        (
            "to where it has gone",
            between(b, pod(1), pod(0), udp(1, 0)),
        ),
        (
            "from the bridge's own address",
            between(a, own, pod(1), udp(0, 1)),
        ),
        ("from a group", between(a, GROUP, pod(1), udp(0, 1))),
        ("from nobody", between(a, Mac([0; 6]), pod(1), udp(0, 1))),
        (
            "to bridges",
            between(a, pod(5), Mac([1, 0x80, 0xc2, 0, 0, 0]), udp(0, 1)),
        ),
        (
            "a pause",
            between(a, pod(6), Mac([1, 0x80, 0xc2, 0, 0, 1]), udp(0, 1)),
        ),
        (
            "to the next station",
            between(a, pod(7), Mac([1, 0x80, 0xc2, 0, 0, 0x0e]), udp(0, 1)),
        ),
        (
            "to one who spoke to bridges",
            between(b, pod(1), pod(5), udp(1, 0)),
        ),
        ("to one who paused", between(b, pod(1), pod(6), udp(1, 0))),
        (
            "to one who spoke to the next station",
            between(b, pod(1), pod(7), udp(1, 0)),
        ),
        (
            "a question for the host",
            Stimulus::Frame(a, arp(pod(0), [10, 0, 0, 2], [10, 0, 0, 1])),
        ),
        (
            "a question for a pod",
            Stimulus::Frame(a, arp(pod(0), [10, 0, 0, 2], [10, 0, 0, 3])),
        ),
        (
            "in, to one that must be asked for",
            between(
                outside,
                host(2),
                entrance,
                Packet {
                    destination: super::super::net::ip("10.0.0.77"),
                    ..back
                },
            ),
        ),
    ]
}

fn arp(from: Mac, own: [u8; 4], wanted: [u8; 4]) -> Vec<u8> {
    let question = [0, 1, 8, 0, 6, 4, 0, 1];
    let payload = [&question[..], &from.0, &own, &[0; 6], &wanted].concat();
    ethernet(BROADCAST, from, 0x0806, &payload)
}

#[test]
fn bridges_pass_frames_from_port_to_port() {
    if skip("bridges") {
        return;
    }
    let host = bridged();
    let stimuli = traffic(&host);
    hold(&[case("a bridge", host.network, stimuli)]);
}

#[test]
fn narrow_ports_take_what_fits() {
    if skip("narrow ports") {
        return;
    }
    let mut host = bridged();
    let [a, b, c] = host.pods[..] else {
        panic!("three pods")
    };
    host.network.config(c).mtu = 1280;
    let sized = |len: usize| Packet::udp("10.0.0.2", "10.0.0.9", (1, 2), &vec![7; len]);
    let mut stimuli = Vec::new();
    for len in [1252, 1253, 1256, 1257, 1400] {
        stimuli.push(("to all", between(a, pod(0), BROADCAST, sized(len))));
        stimuli.push((
            "from the narrow one",
            between(c, pod(2), pod(1), sized(len.min(1252))),
        ));
        stimuli.push(("to the narrow one", between(b, pod(1), pod(2), sized(len))));
    }
    hold(&[case("narrow ports", host.network, stimuli)]);
}

#[test]
fn programs_meet_frames_on_ports_and_on_the_bridge() {
    if skip("programs on bridges") || twinpath_bpf::missing().is_some() {
        return;
    }
    let ports = [0, 1, 2].map(|place| 10 + place);
    let bridge = 14;
    let mut cases = Vec::new();
    let acts = [
        Act::Pass,
        Act::Drop,
        Act::Verdict(0),
        Act::Mark(5),
        Act::Redirect(ports[1]),
        Act::Redirect(bridge),
        Act::RedirectIngress(ports[2]),
        Act::RedirectIngress(bridge),
        Act::Clone(ports[2]),
        Act::RedirectNeighbour(bridge),
    ];
    let hooks = [
        HookKind::TcxIngress,
        HookKind::TcxEgress,
        HookKind::XdpGeneric,
    ];
    for act in &acts {
        for hook in hooks {
            for at_bridge in [false, true] {
                let xdp = hook == HookKind::XdpGeneric;
                let skips = match act {
                    Act::Pass | Act::Drop | Act::Redirect(_) => false,
                    // A port that receives what it sends, or a bridge that sends what it sends, never ends.
                    Act::RedirectIngress(_) | Act::RedirectNeighbour(_) => {
                        xdp || hook == HookKind::TcxEgress
                    }
                    _ => xdp,
                };
                let own = matches!(act, Act::Redirect(to) | Act::RedirectIngress(to) | Act::RedirectNeighbour(to) if at_bridge && *to == bridge);
                let egress = hook == HookKind::TcxEgress;
                let comes_back =
                    matches!(act, Act::Redirect(to) if egress && (*to == bridge || at_bridge));
                let doubles = matches!(act, Act::Clone(_)) && egress && !at_bridge;
                let goes_round = matches!(act, Act::RedirectIngress(_)) && at_bridge;
                if skips || own || comes_back || doubles || goes_round {
                    continue;
                }
                let mut host = bridged();
                let port = if at_bridge { host.bridge } else { host.pods[0] };
                host.network.programs.push(Attachment {
                    port,
                    hook,
                    act: act.clone(),
                });
                let stimuli = traffic(&host);
                let place = if at_bridge { "the bridge" } else { "a port" };
                cases.push(case(
                    &format!("{act:?} at {hook} of {place}"),
                    host.network,
                    stimuli,
                ));
            }
        }
    }
    hold(&cases);
}

/// Nodes on a segment, each with an edge.
fn segment(count: usize) -> (Network, Vec<Port>) {
    let mut network = Network::default();
    let mut edges = Vec::new();
    let mut ports = Vec::new();
    for node in 0..count {
        network.node();
        network.nodes[node].settings.forward_ipv6 = true;
        edges.push(network.device(
            node,
            &[&format!("10.{node}.0.1/24"), &format!("fd00:{node}::1/64")],
        ));
        ports.push(network.device(
            node,
            &[
                &format!("192.168.0.{}/24", node + 1),
                &format!("fdcc::{}/64", node + 1),
            ],
        ));
    }
    for node in 0..count {
        for other in (0..count).filter(|other| *other != node) {
            let far = mac(other, 1);
            // The last one must ask where the others are.
            if node + 1 < count {
                network.neighbour(ports[node], &format!("192.168.0.{}", other + 1), far);
                network.neighbour(ports[node], &format!("fdcc::{}", other + 1), far);
            }
            network.via(
                ports[node],
                &format!("10.{other}.0.0/16"),
                &format!("192.168.0.{}", other + 1),
            );
            network.via(
                ports[node],
                &format!("fd00:{other}::/32"),
                &format!("fdcc::{}", other + 1),
            );
        }
        for address in [format!("10.{node}.0.2"), format!("fd00:{node}::2")] {
            network.neighbour(edges[node], &address, host(node as u8));
        }
    }
    network.segment(&ports);
    (network, edges)
}

#[test]
fn segments_join_nodes() {
    if skip("segments") {
        return;
    }
    for count in [3, 4] {
        let (network, edges) = segment(count);
        let mut stimuli = Vec::new();
        for (from, edge) in edges.iter().enumerate() {
            for to in 0..count {
                for ipv6 in [false, true] {
                    let address = |node| match ipv6 {
                        false => format!("10.{node}.0.2"),
                        true => format!("fd00:{node}::2"),
                    };
                    let packet = Packet::udp(&address(from), &address(to), (1, 2), b"x");
                    for ttl in [64, 1, 2] {
                        let packet = Packet {
                            ttl,
                            ..packet.clone()
                        };
                        stimuli.push((
                            "a packet",
                            between(*edge, host(from as u8), mac(from, 0), packet),
                        ));
                    }
                }
            }
        }
        hold(&[case(&format!("{count} nodes"), network, stimuli)]);
    }
}
