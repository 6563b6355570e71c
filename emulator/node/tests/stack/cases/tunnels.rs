//! VXLAN.

use twinpath_node::{DeviceKind, VxlanConfig, VxlanDf};

use super::super::frames::DONT_FRAGMENT;
use super::super::net::ip;
use super::*;

/// A gateway: hosts on the left, a tunnel on the right, whose other end is beyond an edge.
fn gateway(vxlan: VxlanConfig, mtu: u32) -> Network {
    let Router { mut network, .. } = router();
    let tunnel = network.device(0, &["10.5.0.1/24", "fd05::1/64"]);
    let config = network.config(tunnel);
    config.kind = DeviceKind::Vxlan(vxlan);
    config.mtu = mtu;
    network.neighbour(tunnel, "10.5.0.2", host(5));
    network.neighbour(tunnel, "10.5.0.3", host(6));
    network.neighbour(tunnel, "fd05::2", host(5));
    network
}

fn plain() -> VxlanConfig {
    VxlanConfig {
        vni: Some(42),
        remote: Some(ip("10.1.0.2")),
        ..VxlanConfig::default()
    }
}

/// What goes into the tunnel from the left.
fn inward() -> Vec<(&'static str, Stimulus)> {
    let mut stimuli = Vec::new();
    for (source, to) in [
        ("10.0.0.2", "10.5.0.2"),
        ("10.0.0.2", "10.5.0.3"),
        ("fd00::2", "fd05::2"),
    ] {
        for len in [10, 1300, 1380, 1400, 1440] {
            let packet = Packet::udp(source, to, (1, 2), &vec![7; len]);
            stimuli.push(("udp", from_left(packet.clone())));
            if len < 1400 {
                stimuli.push((
                    "udp df",
                    from_left(Packet {
                        fragment: DONT_FRAGMENT,
                        ..packet
                    }),
                ));
            }
        }
        for tos in [0, 1, 2, 3, 0xb8, 0xbb] {
            let packet = Packet::udp(source, to, (1, 2), b"x");
            stimuli.push((
                "tos",
                from_left(Packet {
                    tos,
                    ttl: 9,
                    ..packet
                }),
            ));
        }
        let packet = Packet::udp(source, to, (1, 2), b"hello").half_summed(6);
        let head = if packet.destination.is_ipv4() { 34 } else { 54 };
        let frame = Packet {
            to: mac(0, 0),
            ..packet
        }
        .frame();
        let left = Port { node: 0, device: 0 };
        stimuli.push((
            "left to the device",
            Stimulus::Offloaded(left, frame, head, 6),
        ));
    }
    stimuli
}

/// A VXLAN packet from the other end of the tunnel.
fn outer(source: &str, to: &str, header: [u8; 8], inner: &[u8]) -> Packet {
    let payload = [&header[..], inner].concat();
    let packet = Packet::udp(source, to, (5000, 4789), &payload);
    Packet {
        to: mac(0, 1),
        from: host(2),
        ..packet
    }
}

/// What comes out of the tunnel.
fn outward(source: &str, own: &str) -> Vec<(&'static str, Stimulus)> {
    const HEADER: [u8; 8] = [8, 0, 0, 0, 0, 0, 42, 0];
    let right = Port { node: 0, device: 1 };
    let mut stimuli = Vec::new();
    let mut add =
        |word, packet: Packet| stimuli.push((word, Stimulus::Frame(right, packet.frame())));
    let inner = |packet: Packet| Packet {
        to: mac(0, 2),
        from: host(5),
        ..packet
    };
    let udp = inner(Packet::udp("10.5.0.2", "10.0.0.2", (1, 2), b"hello"));
    add("udp", outer(source, own, HEADER, &udp.frame()));
    let udp6 = inner(Packet::udp("fd05::2", "fd00::2", (1, 2), b"hello"));
    add("udp over v6", outer(source, own, HEADER, &udp6.frame()));
    let ping = inner(Packet::ping("10.5.0.2", "10.5.0.1", 20));
    add("ping", outer(source, own, HEADER, &ping.frame()));
    for tos in 0..4 {
        for inner_tos in 0..4 {
            for packet in [&udp, &udp6] {
                let packet = Packet {
                    tos: inner_tos,
                    ..packet.clone()
                };
                let packet = outer(source, own, HEADER, &packet.frame());
                add("congestion marks", Packet { tos, ..packet });
            }
        }
    }
    for at in 0..8 {
        let mut header = HEADER;
        header[at] ^= 1;
        add("a changed header", outer(source, own, header, &udp.frame()));
    }
    add(
        "no vni",
        outer(source, own, [0, 0, 0, 0, 0, 0, 42, 0], &udp.frame()),
    );
    let mine = Packet {
        from: mac(0, 2),
        ..udp.clone()
    };
    add("its own frame", outer(source, own, HEADER, &mine.frame()));
    let other = Packet {
        to: host(77),
        ..udp.clone()
    };
    add("for another", outer(source, own, HEADER, &other.frame()));
    add("cut off", outer(source, own, HEADER, &udp.frame()[..10]));
    add("nothing in it", outer(source, own, HEADER, &[]));
    let mut packet = outer(source, own, HEADER, &udp.frame());
    packet.payload[6] ^= 1;
    add("a wrong outer checksum", packet);
    let mut packet = outer(source, own, HEADER, &udp.frame());
    packet.payload[6..8].fill(0);
    add("no outer checksum", packet);
    let mut packet = outer(source, own, HEADER, &udp.frame());
    packet.payload[2..4].copy_from_slice(&4790u16.to_be_bytes());
    add("another port", packet.summed(6));
    if packet_is_v4(source) {
        for piece in outer(source, own, HEADER, &udp.frame()).pieces(24) {
            add("in pieces", piece);
        }
    }
    stimuli
}

fn packet_is_v4(address: &str) -> bool {
    ip(address).is_ipv4()
}

#[test]
fn frames_go_through_tunnels() {
    if skip("tunnels") {
        return;
    }
    let station = |number: u8, end: &str| (host(number), ip(end));
    let kinds: Vec<(&str, VxlanConfig, u32)> = vec![
        ("plain", plain(), 1450),
        ("plain, long", plain(), 1500),
        (
            "without a checksum",
            VxlanConfig {
                checksum: false,
                ..plain()
            },
            1450,
        ),
        (
            "with ttl and tos",
            VxlanConfig {
                ttl: 7,
                tos: 0xb8,
                ..plain()
            },
            1450,
        ),
        ("tos of the inner", VxlanConfig { tos: 1, ..plain() }, 1450),
        (
            "df",
            VxlanConfig {
                dont_fragment: VxlanDf::Set,
                ..plain()
            },
            1500,
        ),
        (
            "df of the inner",
            VxlanConfig {
                dont_fragment: VxlanDf::Inherit,
                ..plain()
            },
            1500,
        ),
        (
            "with a source",
            VxlanConfig {
                local: Some(ip("10.0.0.1")),
                ..plain()
            },
            1450,
        ),
        (
            "stations",
            VxlanConfig {
                remote: None,
                fdb: vec![station(5, "10.1.0.2")],
                ..plain()
            },
            1450,
        ),
        (
            "another remote",
            VxlanConfig {
                fdb: vec![station(5, "10.0.0.2")],
                ..plain()
            },
            1450,
        ),
        (
            "over v6",
            VxlanConfig {
                remote: Some(ip("fd00:1::2")),
                ..plain()
            },
            1430,
        ),
        (
            "over v6, long",
            VxlanConfig {
                remote: Some(ip("fd00:1::2")),
                ..plain()
            },
            1500,
        ),
        (
            "no way",
            VxlanConfig {
                remote: Some(ip("172.16.0.1")),
                ..plain()
            },
            1450,
        ),
    ];
    let mut cases = Vec::new();
    for (name, vxlan, mtu) in kinds {
        let v6 = vxlan.remote.is_some_and(|remote| remote.is_ipv6());
        let (source, own) = if v6 {
            ("fd00:1::2", "fd00:1::1")
        } else {
            ("10.1.0.2", "10.1.0.1")
        };
        let mut stimuli = inward();
        stimuli.extend(outward(source, own));
        let mut case = case(name, gateway(vxlan, mtu), Vec::new());
        case.stimuli = stimuli
            .into_iter()
            .enumerate()
            .map(|(number, (word, stimulus))| (format!("{number} {word}"), stimulus))
            .collect();
        cases.push(case);
    }
    hold(&cases);
}

#[test]
fn a_tunnel_learns_where_stations_are() {
    if skip("learning") {
        return;
    }
    let mut cases = Vec::new();
    for learning in [false, true] {
        let mut network = gateway(
            VxlanConfig {
                learning,
                ..plain()
            },
            1450,
        );
        network.neighbour(Port { node: 0, device: 1 }, "10.1.0.9", host(9));
        let to = || from_left(Packet::udp("10.0.0.2", "10.5.0.2", (1, 2), b"hello"));
        let inner = Packet::udp("10.5.0.2", "10.0.0.2", (1, 2), b"hello");
        let inner = Packet {
            to: mac(0, 2),
            from: host(5),
            ..inner
        };
        let packet = outer(
            "10.1.0.9",
            "10.1.0.1",
            [8, 0, 0, 0, 0, 0, 42, 0],
            &inner.frame(),
        );
        let from = Stimulus::Frame(Port { node: 0, device: 1 }, packet.frame());
        let stimuli = vec![
            ("before", to()),
            ("it comes from elsewhere", from),
            ("after", to()),
        ];
        cases.push(case(&format!("learning {learning}"), network, stimuli));
    }
    hold(&cases);
}

#[test]
fn two_nodes_and_a_tunnel_between_them() {
    if skip("two nodes") {
        return;
    }
    let mut network = Network::default();
    for node in 0..2 {
        network.node();
        network.nodes[node].settings.forward_ipv6 = true;
        let pod = network.device(
            node,
            &[&format!("10.0.{node}.1/24"), &format!("fd00:{node}::1/64")],
        );
        let number = node as u8 + 1;
        network.neighbour(pod, &format!("10.0.{node}.2"), host(number));
        network.neighbour(pod, &format!("fd00:{node}::2"), host(number));
        let other = 1 - node;
        let uplink = network.device(node, &[&format!("192.168.0.{}/24", node + 1)]);
        network.neighbour(uplink, &format!("192.168.0.{}", other + 1), mac(other, 1));
        let tunnel = network.device(
            node,
            &[
                &format!("10.200.0.{}/24", node + 1),
                &format!("fdcc::{}/64", node + 1),
            ],
        );
        network.config(tunnel).kind = DeviceKind::Vxlan(VxlanConfig {
            vni: Some(7),
            remote: Some(ip(&format!("192.168.0.{}", other + 1))),
            ..VxlanConfig::default()
        });
        network.config(tunnel).mtu = 1450;
        network.neighbour(tunnel, &format!("10.200.0.{}", other + 1), mac(other, 2));
        network.neighbour(tunnel, &format!("fdcc::{}", other + 1), mac(other, 2));
        network.via(
            tunnel,
            &format!("10.0.{other}.0/24"),
            &format!("10.200.0.{}", other + 1),
        );
        network.via(
            tunnel,
            &format!("fd00:{other}::/64"),
            &format!("fdcc::{}", other + 1),
        );
    }
    network.wire(Port { node: 0, device: 1 }, Port { node: 1, device: 1 });
    let mut stimuli = Vec::new();
    for (source, to, node) in [
        ("10.0.0.2", "10.0.1.2", "10.0.1.1"),
        ("fd00:0::2", "fd00:1::2", "fd00:1::1"),
    ] {
        for ttl in [1, 2, 3, 64] {
            let packet = Packet::udp(source, to, (1, 2), b"hello");
            stimuli.push(("udp", from_left(Packet { ttl, ..packet })));
        }
        for len in [1380, 1420, 1421, 1440] {
            stimuli.push((
                "long",
                from_left(Packet::udp(source, to, (1, 2), &vec![1; len])),
            ));
        }
        stimuli.push(("ping", from_left(Packet::ping(source, node, 30))));
        stimuli.push(("tcp", from_left(Packet::tcp(source, node, (1, 2), 2, b""))));
        stimuli.push((
            "a neighbour that nobody knows",
            from_left(Packet::ping(source, &to.replace("::2", "::3"), 30)),
        ));
    }
    hold(&[case("two nodes", network, stimuli)]);
}
