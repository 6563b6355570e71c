//! Packets that are too long, and packets in pieces.

use super::super::frames::DONT_FRAGMENT;
use super::*;

#[test]
fn long_packets_are_cut_or_refused() {
    if skip("long packets") {
        return;
    }
    let mut cases = Vec::new();
    for mtu in [576, 1280, 1281, 1400] {
        for (route_mtu, locked) in [(None, false), (Some(1290), false), (Some(1290), true)] {
            let Router {
                mut network, right, ..
            } = router();
            network.config(right).mtu = mtu.max(1280);
            let ipv6_too = mtu >= 1280;
            if !ipv6_too {
                network.config(right).mtu = mtu;
                network
                    .config(right)
                    .addresses
                    .retain(|(address, _)| address.is_ipv4());
                network.nodes[0].neighbours.retain(|n| n.address.is_ipv4());
            }
            let route = network.via(right, "10.9.0.0/16", "10.1.0.2");
            (route.mtu, route.mtu_locked) = (route_mtu, locked);
            if ipv6_too {
                let route = network.via(right, "fd09::/16", "fd00:1::2");
                (route.mtu, route.mtu_locked) = (route_mtu, locked);
            }
            let mut stimuli = Vec::new();
            for len in [
                100, 548, 549, 556, 1252, 1253, 1261, 1262, 1300, 1372, 1373, 1470,
            ] {
                for to in ["10.1.0.2", "10.9.0.1"] {
                    let packet = Packet::udp("10.0.0.2", to, (1, 2), &vec![7; len]);
                    stimuli.push(("v4", from_left(packet.clone())));
                    let fixed = Packet {
                        fragment: DONT_FRAGMENT,
                        ..packet.clone()
                    };
                    stimuli.push(("v4 df", from_left(fixed)));
                    let piece = Packet {
                        fragment: 0x2010,
                        ..packet.clone()
                    };
                    stimuli.push(("v4 fragment", from_left(piece)));
                    if len < 1440 {
                        // Record route and the like are copied or not.
                        let options = vec![0x5e, 4, 1, 2, 0x9e, 4, 3, 4];
                        stimuli.push(("v4 options", from_left(Packet { options, ..packet })));
                    }
                }
                for to in ["fd00:1::2", "fd09::1"] {
                    let len = len.min(1440);
                    let packet = Packet::udp("fd00::2", to, (1, 2), &vec![7; len]);
                    stimuli.push(("v6", from_left(packet)));
                }
            }
            let name = format!("mtu {mtu}, route {route_mtu:?}, locked {locked}");
            cases.push(case(&name, network, stimuli));
        }
    }
    hold(&cases);
}

/// What is done to the pieces of a packet.
type Change = Box<dyn Fn(&mut Vec<Packet>)>;

/// A long echo request, in pieces, to the router itself.
fn ping(id: u16, len: usize, step: usize) -> Vec<Packet> {
    let whole = Packet::ping("10.0.0.2", "10.0.0.1", len);
    Packet { id, ..whole }.pieces(step)
}

#[test]
fn pieces_are_put_together() {
    if skip("pieces") {
        return;
    }
    let Router { network, .. } = router();
    let mut stimuli: Vec<(String, Stimulus)> = Vec::new();
    let mut id = 1;
    let orders: [&[usize]; 8] = [
        &[0, 1, 2, 3],
        &[3, 2, 1, 0],
        &[1, 3, 0, 2],
        &[0, 0, 1, 2, 3],
        &[0, 1, 1, 2, 2, 3],
        &[3, 3, 0, 1, 2],
        &[2, 0, 2, 3, 1],
        &[0, 1, 2],
    ];
    for order in orders {
        id += 1;
        let pieces = ping(id, 392, 104);
        for at in order {
            stimuli.push((
                format!("order {order:?}, piece {at}"),
                from_left(pieces[*at].clone()),
            ));
        }
    }
    // The answer is longer than the way back.
    id += 1;
    for piece in ping(id, 2992, 1480) {
        stimuli.push(("a long one".to_owned(), from_left(piece)));
    }
    let changes: Vec<(&str, Change)> = vec![
        (
            "df on all",
            Box::new(|p| p.iter_mut().for_each(|p| p.fragment |= DONT_FRAGMENT)),
        ),
        ("df on one", Box::new(|p| p[1].fragment |= DONT_FRAGMENT)),
        ("tos of the first", Box::new(|p| p[0].tos = 0x54)),
        ("tos of the last", Box::new(|p| p[3].tos = 0x54)),
        (
            "a congestion mark",
            Box::new(|p| {
                p.iter_mut().for_each(|p| p.tos = 2);
                p[2].tos = 3;
            }),
        ),
        (
            "both capable marks",
            Box::new(|p| {
                p.iter_mut().for_each(|p| p.tos = 2);
                p[2].tos = 1;
            }),
        ),
        ("marks that contradict", Box::new(|p| p[2].tos = 3)),
        ("marks that contradict, capable", Box::new(|p| p[2].tos = 2)),
        ("another ttl", Box::new(|p| p[1].ttl = 3)),
        ("another protocol", Box::new(|p| p[1].protocol = 17)),
        ("another id", Box::new(|p| p[1].id ^= 0x8000)),
        ("an overlap", Box::new(|p| p[2].fragment -= 1)),
        ("an overlap at the end", Box::new(|p| p[3].fragment -= 1)),
        ("a gap", Box::new(|p| p[2].fragment += 1)),
        ("two ends", Box::new(|p| p[2].fragment &= 0x1fff)),
        ("no end", Box::new(|p| p[3].fragment |= 0x2000)),
        (
            "an odd length",
            Box::new(|p| {
                p[1].payload.pop();
            }),
        ),
        ("nothing in it", Box::new(|p| p[1].payload.clear())),
        (
            "beyond the longest packet",
            Box::new(|p| p[3].fragment = 0x1fff),
        ),
        (
            "options in the first",
            Box::new(|p| p[0].options = vec![1; 4]),
        ),
        (
            "options in another",
            Box::new(|p| p[1].options = vec![1; 4]),
        ),
        ("a wrong checksum", Box::new(|p| p[2].payload[5] ^= 1)),
    ];
    for (word, change) in &changes {
        for order in [[0, 1, 2, 3], [3, 1, 0, 2]] {
            id += 1;
            let mut pieces = ping(id, 392, 104);
            change(&mut pieces);
            for at in order {
                let word = format!("{word}, order {order:?}, piece {at}");
                stimuli.push((word, from_left(pieces[at].clone())));
            }
        }
    }
    // To a closed port, and of a protocol that nobody knows.
    for packet in [
        Packet::udp("10.0.0.2", "10.0.0.1", (1, 2), &[7; 900]),
        Packet::new("10.0.0.2", "10.0.0.1", 200, vec![7; 900]),
        Packet::tcp("10.0.0.2", "10.0.0.1", (1, 2), 2, &[7; 900]),
    ] {
        id += 1;
        let protocol = packet.protocol;
        for piece in (Packet { id, ..packet }).pieces(400) {
            stimuli.push((format!("protocol {protocol}"), from_left(piece)));
        }
    }
    // What is only passed on is left in pieces.
    for piece in Packet::ping("10.0.0.2", "10.1.0.2", 400).pieces(200) {
        stimuli.push(("passed on".to_owned(), from_left(piece)));
    }
    let case = Case {
        name: "pieces".to_owned(),
        network,
        stimuli,
    };
    hold(&[case]);
}

/// A piece of an IPv6 packet: `offset` in bytes.
fn piece6(whole: &Packet, id: u8, offset: u16, len: usize, more: bool) -> Packet {
    let [high, low] = (offset | u16::from(more)).to_be_bytes();
    let from = usize::from(offset).min(whole.payload.len());
    let to = (from + len).min(whole.payload.len());
    Packet {
        id: 44,
        options: vec![whole.protocol, 0, high, low, 0, 0, 0, id],
        payload: whole.payload[from..to].to_vec(),
        ..whole.clone()
    }
}

#[test]
fn pieces_of_ipv6_are_put_together() {
    if skip("v6 pieces") {
        return;
    }
    let Router { network, .. } = router();
    let mut stimuli: Vec<(String, Stimulus)> = Vec::new();
    let whole = Packet::ping("fd00::2", "fd00::1", 392);
    let orders: [&[(u16, usize, bool)]; 9] = [
        &[(0, 200, true), (200, 200, false)],
        &[(200, 200, false), (0, 200, true)],
        &[(0, 104, true), (208, 192, false), (104, 104, true)],
        &[(0, 104, true), (0, 104, true), (104, 296, false)],
        &[(0, 104, true), (96, 304, false), (0, 400, false)],
        &[(0, 400, false)],
        &[(0, 203, true), (200, 200, false)],
        &[(0, 200, true), (200, 100, false), (200, 200, false)],
        &[(0, 200, true), (65528, 200, false)],
    ];
    for (number, order) in orders.iter().enumerate() {
        for (offset, len, more) in *order {
            let packet = piece6(&whole, number as u8, *offset, *len, *more);
            stimuli.push((
                format!("order {order:?}, piece at {offset}"),
                from_left(packet),
            ));
        }
    }
    let long = Packet::ping("fd00::2", "fd00::1", 2792);
    stimuli.push((
        "a long one".to_owned(),
        from_left(piece6(&long, 100, 0, 1400, true)),
    ));
    stimuli.push((
        "its end".to_owned(),
        from_left(piece6(&long, 100, 1400, 1400, false)),
    ));
    let udp = Packet::udp("fd00::2", "fd00::1", (1, 2), &[7; 792]);
    stimuli.push(("udp".to_owned(), from_left(piece6(&udp, 101, 0, 400, true))));
    stimuli.push((
        "its end".to_owned(),
        from_left(piece6(&udp, 101, 400, 400, false)),
    ));
    let passed = Packet::ping("fd00::2", "fd00:1::2", 392);
    stimuli.push((
        "passed on".to_owned(),
        from_left(piece6(&passed, 102, 0, 200, true)),
    ));
    let case = Case {
        name: "v6 pieces".to_owned(),
        network,
        stimuli,
    };
    hold(&[case]);
}
