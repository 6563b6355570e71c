//! Hardware addresses are asked for, answered and waited for.

use super::super::frames::ethernet;
use super::super::net::ip;
use super::*;
use twinpath_node::Mac;

const EVERYBODY: Mac = Mac([0xff; 6]);
const NOBODY: Mac = Mac([0; 6]);

pub fn arp(operation: u8, sender: (Mac, &str), target: (Mac, &str)) -> Vec<u8> {
    let octets = |address: &str| match ip(address) {
        std::net::IpAddr::V4(address) => address.octets(),
        std::net::IpAddr::V6(_) => panic!("{address}"),
    };
    let head = [0, 1, 8, 0, 6, 4, 0, operation];
    [
        &head[..],
        &sender.0.0,
        &octets(sender.1),
        &target.0.0,
        &octets(target.1),
    ]
    .concat()
}

fn arp_frame(to: Mac, message: &[u8]) -> Vec<u8> {
    ethernet(to, host(1), 0x0806, message)
}

/// A neighbour solicitation (135) or advertisement (136).
fn ndp(
    kind: u8,
    source: &str,
    destination: &str,
    flags: u8,
    target: &str,
    option: Option<Mac>,
) -> Packet {
    let std::net::IpAddr::V6(target) = ip(target) else {
        panic!("{target}")
    };
    let mut payload = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    payload.extend_from_slice(&target.octets());
    if let Some(mac) = option {
        payload.extend_from_slice(&[if kind == 135 { 1 } else { 2 }, 1]);
        payload.extend_from_slice(&mac.0);
    }
    let packet = Packet::new(source, destination, 58, payload).summed(2);
    Packet { ttl: 255, ..packet }
}

#[test]
fn questions_are_answered() {
    if skip("questions") {
        return;
    }
    let Router { network, left, .. } = router();
    let mut stimuli = Vec::new();
    for to in [EVERYBODY, mac(0, 0), host(9)] {
        for sender in [
            "10.0.0.2",
            "10.0.0.77",
            "0.0.0.0",
            "10.1.0.9",
            "172.16.0.1",
            "10.0.0.1",
        ] {
            for target in [
                "10.0.0.1",
                "10.1.0.1",
                "10.0.0.3",
                "10.0.0.255",
                "127.0.0.1",
                "224.0.0.1",
                "10.1.0.2",
            ] {
                let message = arp(1, (host(7), sender), (NOBODY, target));
                let word = format!("who has {target}, asks {sender} of {to}");
                stimuli.push((word, Stimulus::Frame(left, arp_frame(to, &message))));
            }
        }
    }
    let good = arp(1, (host(7), "10.0.0.9"), (NOBODY, "10.0.0.1"));
    for at in 0..8 {
        let mut message = good.clone();
        message[at] ^= 3;
        let frame = arp_frame(EVERYBODY, &message);
        stimuli.push((format!("byte {at} is wrong"), Stimulus::Frame(left, frame)));
    }
    let frame = arp_frame(EVERYBODY, &good[..27]);
    stimuli.push(("cut off".to_owned(), Stimulus::Frame(left, frame)));
    let mut padded = arp_frame(EVERYBODY, &good);
    padded.resize(60, 0);
    stimuli.push(("padded".to_owned(), Stimulus::Frame(left, padded)));
    for destination in ["fd00::1", "ff02::1:ff00:1", "ff02::1:ff00:9", "fd00:1::1"] {
        for target in [
            "fd00::1",
            "fd00:1::1",
            "fd00::9",
            "ff02::1",
            "fd00::",
            "fe80::1",
        ] {
            for source in ["fd00::2", "fd00::78", "::", "fd00:5::5"] {
                for option in [None, Some(host(7))] {
                    let packet = ndp(135, source, destination, 0, target, option);
                    let word = format!("{source} asks {destination} for {target}, {option:?}");
                    stimuli.push((word, from_left(packet)));
                }
            }
        }
    }
    let packet = ndp(135, "fd00::2", "fd00::1", 0, "fd00::1", None);
    stimuli.push((
        "a hop away".to_owned(),
        from_left(Packet {
            ttl: 254,
            ..packet.clone()
        }),
    ));
    let mut wrong = packet.clone();
    wrong.payload[1] = 1;
    stimuli.push(("with a code".to_owned(), from_left(wrong.summed(2))));
    let mut wrong = packet.clone();
    wrong.payload.truncate(23);
    stimuli.push(("cut off".to_owned(), from_left(wrong.summed(2))));
    let mut wrong = packet;
    wrong.payload.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    stimuli.push((
        "an option of no length".to_owned(),
        from_left(wrong.summed(2)),
    ));
    let case = Case {
        name: "questions".to_owned(),
        network,
        stimuli,
    };
    hold(&[case]);
}

#[test]
fn packets_wait_for_an_answer() {
    if skip("waiting") {
        return;
    }
    let Router {
        mut network, right, ..
    } = router();
    network.config(right).addresses.push((ip("fe80::1"), 64));
    let udp = |source: &str, to: &str, port: u16| {
        from_left(Packet::udp(source, to, (1000, port), b"hello"))
    };
    let reply = |sender: &str, number: u8| {
        let message = arp(2, (host(number), sender), (mac(0, 1), "10.1.0.1"));
        Stimulus::Frame(right, ethernet(mac(0, 1), host(number), 0x0806, &message))
    };
    let advertise = |target: &str, number: u8, flags: u8| {
        let packet = ndp(136, target, "fe80::1", flags, target, Some(host(number)));
        let packet = Packet {
            to: mac(0, 1),
            from: host(number),
            ..packet
        };
        Stimulus::Frame(right, packet.frame())
    };
    let own = |number: u8| {
        let message = arp(1, (host(number), "10.1.0.21"), (NOBODY, "10.1.0.1"));
        Stimulus::Frame(right, ethernet(EVERYBODY, host(number), 0x0806, &message))
    };
    let stimuli = vec![
        ("asks", udp("10.0.0.2", "10.1.0.20", 1)),
        ("asks once", udp("10.0.0.2", "10.1.0.20", 2)),
        ("an answer of another", reply("10.1.0.33", 3)),
        ("the answer", reply("10.1.0.20", 4)),
        ("is known", udp("10.0.0.2", "10.1.0.20", 3)),
        ("asks for another", udp("10.0.0.2", "10.1.0.21", 1)),
        ("whose question is an answer", own(5)),
        ("is known too", udp("10.0.0.2", "10.1.0.21", 2)),
        ("asks in v6", udp("fd00::2", "fd00:1::20", 1)),
        ("asks once in v6", udp("fd00::2", "fd00:1::20", 2)),
        ("the answer in v6", advertise("fd00:1::20", 6, 0x60)),
        ("is known in v6", udp("fd00::2", "fd00:1::20", 3)),
        (
            "a host that asks is known",
            from_left(ndp(
                135,
                "fd00::31",
                "ff02::1:ff00:1",
                0,
                "fd00::1",
                Some(host(31)),
            )),
        ),
        (
            "so that it is answered",
            from_left(Packet::ping("fd00::31", "fd00::1", 1)),
        ),
        (
            "a host that is unknown",
            from_left(Packet::ping("10.0.0.55", "10.0.0.1", 1)),
        ),
        (
            "a host that is unknown in v6",
            from_left(Packet::ping("fd00::55", "fd00::1", 1)),
        ),
    ];
    hold(&[case("waiting", network, stimuli)]);
}

#[test]
fn neighbours_that_do_not_answer_are_given_up() {
    if skip("giving up") {
        return;
    }
    let Router {
        mut network, right, ..
    } = router();
    network.config(right).addresses.push((ip("fe80::1"), 64));
    network.timers = true;
    let stimuli = vec![
        (
            "asks",
            from_left(Packet::udp("10.0.0.2", "10.1.0.20", (1, 2), b"hello")),
        ),
        (
            "another packet",
            from_left(Packet::udp("10.0.0.2", "10.1.0.20", (1, 3), b"hello")),
        ),
        (
            "asks in v6",
            from_left(Packet::udp("fd00::2", "fd00:1::20", (1, 2), b"hello")),
        ),
        (
            "the host's own answer",
            from_left(Packet::ping("10.0.0.55", "10.1.0.1", 1)),
        ),
        ("time passes", Stimulus::Wait(3500)),
        (
            "asks anew",
            from_left(Packet::udp("10.0.0.2", "10.1.0.20", (1, 2), b"hello")),
        ),
    ];
    hold(&[case("giving up", network, stimuli)]);
}
