//! What a host answers.

use super::*;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

#[test]
fn a_host_answers() {
    if skip("answers") {
        return;
    }
    let Router { network, .. } = router();
    let mut stimuli = Vec::new();
    for (source, here, there) in [
        ("10.0.0.2", "10.0.0.1", "10.1.0.1"),
        ("fd00::2", "fd00::1", "fd00:1::1"),
    ] {
        for to in [here, there] {
            for len in [0, 1, 56, 1200] {
                stimuli.push(("ping", Packet::ping(source, to, len)));
            }
            stimuli.push((
                "ping with tos",
                Packet {
                    tos: 0xbb,
                    ..Packet::ping(source, to, 8)
                },
            ));
            stimuli.push((
                "ping with ttl 1",
                Packet {
                    ttl: 1,
                    ..Packet::ping(source, to, 8)
                },
            ));
            let udp = |data: &[u8]| Packet::udp(source, to, (1000, 2000), data);
            stimuli.push(("udp", udp(b"hello")));
            stimuli.push(("udp without data", udp(b"")));
            stimuli.push(("long udp", udp(&[7; 1300])));
            stimuli.push((
                "udp with tos",
                Packet {
                    tos: 0x0b,
                    ..udp(b"x")
                },
            ));
            let mut packet = udp(b"hello");
            packet.payload[6] ^= 1;
            stimuli.push(("udp with a wrong checksum", packet));
            let mut packet = udp(b"hello");
            packet.payload[6..8].fill(0);
            stimuli.push(("udp without a checksum", packet));
            for len in [0u8, 7, 8, 12, 13, 14, 200] {
                let mut packet = udp(b"hello");
                packet.payload[5] = len;
                stimuli.push(("udp of a wrong length", packet));
            }
            let mut packet = udp(b"hello");
            packet.payload.truncate(7);
            stimuli.push(("udp cut off", packet));
            for flags in [
                0,
                SYN,
                ACK,
                SYN | ACK,
                FIN,
                FIN | ACK,
                RST,
                RST | ACK,
                PSH | ACK,
                SYN | FIN,
            ] {
                for data in [&b""[..], b"data"] {
                    stimuli.push(("tcp", Packet::tcp(source, to, (1000, 80), flags, data)));
                }
            }
            let tcp = Packet::tcp(source, to, (1000, 80), SYN, b"");
            stimuli.push((
                "tcp with tos",
                Packet {
                    tos: 0x0b,
                    ..tcp.clone()
                },
            ));
            let mut packet = tcp.clone();
            packet.payload[16] ^= 1;
            stimuli.push(("tcp with a wrong checksum", packet));
            for offset in [0u8, 4, 6, 15] {
                let mut packet = tcp.clone();
                packet.payload[12] = offset << 4;
                stimuli.push(("tcp of a wrong offset", packet.summed(16)));
            }
            let mut packet = tcp;
            packet.payload.truncate(19);
            stimuli.push(("tcp cut off", packet));
            let mut packet = Packet::ping(source, to, 8);
            packet.payload[2] ^= 1;
            stimuli.push(("ping with a wrong checksum", packet));
            let mut packet = Packet::ping(source, to, 0);
            packet.payload[1] = 5;
            stimuli.push(("ping with a code", packet.summed(2)));
            let mut packet = Packet::ping(source, to, 0);
            packet.payload.truncate(6);
            stimuli.push(("ping cut off", packet));
        }
    }
    let stimuli = stimuli
        .into_iter()
        .map(|(word, packet)| (word, from_left(packet)));
    hold(&[case("a host", network, stimuli.collect())]);
}

#[test]
fn protocols_are_known_or_not() {
    if skip("protocols") {
        return;
    }
    let Router { network, .. } = router();
    let mut stimuli = Vec::new();
    for protocol in 0..=255u8 {
        let packet = Packet::new("10.0.0.2", "10.0.0.1", protocol, vec![0; 24]);
        stimuli.push((format!("protocol {protocol}"), from_left(packet)));
        let packet = Packet::new("fd00::2", "fd00::1", protocol, vec![0; 24]);
        stimuli.push((format!("v6 protocol {protocol}"), from_left(packet)));
    }
    for kind in 0..=255u8 {
        // Answers with the time of day.
        if kind == 13 {
            continue;
        }
        for (source, to, protocol) in [("10.0.0.2", "10.0.0.1", 1), ("fd00::2", "fd00::1", 58)] {
            let mut payload = vec![kind, 0, 0, 0];
            payload.extend_from_slice(&[0; 40]);
            let packet = Packet::new(source, to, protocol, payload).summed(2);
            stimuli.push((
                format!("icmp {protocol} type {kind}"),
                from_left(packet.clone()),
            ));
            let there = if protocol == 1 {
                "10.1.0.2"
            } else {
                "fd00:1::2"
            };
            let packet = Packet {
                destination: super::super::net::ip(there),
                ttl: 1,
                ..packet
            };
            stimuli.push((
                format!("icmp {protocol} type {kind} out of time"),
                from_left(packet),
            ));
        }
    }
    let case = Case {
        name: "protocols".to_owned(),
        network,
        stimuli,
    };
    hold(&[case]);
}

#[test]
fn groups_and_everybody_are_answered_or_not() {
    if skip("groups") {
        return;
    }
    let Router { network, left, .. } = router();
    let mut stimuli = Vec::new();
    for (source, to) in [
        ("10.0.0.2", "10.0.0.255"),
        ("10.0.0.2", "255.255.255.255"),
        ("10.0.0.2", "224.0.0.1"),
        ("0.0.0.0", "255.255.255.255"),
        ("fd00::2", "ff02::1"),
        ("fd00::2", "ff02::2"),
        ("fd00::2", "ff01::1"),
        ("fd00::2", "ff05::2"),
        ("fd00::2", "ff02::1:ff00:1"),
        ("fd00::2", "fd00::"),
        ("fd00::2", "fd00:1::"),
    ] {
        for to_mac in [
            mac(0, 0),
            twinpath_node::Mac([0xff; 6]),
            twinpath_node::Mac([0x33, 0x33, 0, 0, 0, 1]),
        ] {
            for packet in [
                Packet::ping(source, to, 8),
                Packet::udp(source, to, (1000, 2000), b"x"),
                Packet::tcp(source, to, (1000, 2000), SYN, b""),
                Packet::new(source, to, 99, vec![1; 8]),
            ] {
                let packet = Packet {
                    to: to_mac,
                    ..packet
                };
                let word = format!("{source} to {to} protocol {} at {to_mac}", packet.protocol);
                stimuli.push((word, Stimulus::Frame(left, packet.frame())));
            }
        }
    }
    let case = Case {
        name: "groups".to_owned(),
        network,
        stimuli,
    };
    hold(&[case]);
}

#[test]
fn checksums_that_a_sender_leaves_to_its_device() {
    if skip("offloads") {
        return;
    }
    let Router { network, left, .. } = router();
    let mut stimuli = Vec::new();
    for (source, to, there, head) in [
        ("10.0.0.2", "10.0.0.1", "10.1.0.2", 34),
        ("fd00::2", "fd00::1", "fd00:1::2", 54),
    ] {
        for to in [to, there] {
            for (packet, offset) in [
                (
                    Packet::udp(source, to, (1000, 2000), b"hello").half_summed(6),
                    6,
                ),
                (
                    Packet::tcp(source, to, (1000, 2000), SYN, b"hello").half_summed(16),
                    16,
                ),
            ] {
                for ttl in [64, 1] {
                    let packet = Packet {
                        to: mac(0, 0),
                        ttl,
                        ..packet.clone()
                    };
                    let stimulus = Stimulus::Offloaded(left, packet.frame(), head, offset);
                    stimuli.push(("left to the device", stimulus));
                }
            }
        }
    }
    hold(&[case("offloads", network, stimuli)]);
}
