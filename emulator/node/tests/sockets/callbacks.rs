//! Scripts for what `sock_ops` programs are told of, and for sockets that they put into maps.

use twinpath_machine::AttachType as A;
use twinpath_node::Family::{V4, V6};
use twinpath_node::Protocol::{Tcp, Udp};
use twinpath_node::{Family, Shutdown};

use super::recorder::{Action, Recorder};
use super::script::{Script, Setting, Step, Step::*};
use super::sides::at;

fn callbacks() -> Recorder {
    Recorder::new(A::CgroupSockOps)
}

/// A listener, and a connection to it that is accepted.
fn connection(family: Family, near: &str, far: &str) -> Vec<Step> {
    let mut steps = vec![Open(9, V6, Tcp), Bind(9, at(near)), Listen(9)];
    if !near.starts_with('[') {
        steps[0] = Open(9, V4, Tcp);
    }
    steps.extend([Open(0, family, Tcp), Connect(0, at(far)), Accept(9, 1)]);
    steps
}

fn local(programs: Vec<Recorder>, further: &[Step]) -> Script {
    let mut steps = connection(V4, "127.0.0.1:8080", "127.0.0.1:8080");
    steps.extend(further);
    Script::new(programs, steps)
}

/// Further connections to the listener of [`connection`].
fn again(slots: std::ops::Range<usize>) -> impl Iterator<Item = Step> {
    slots.flat_map(|slot| [Open(slot, V4, Tcp), Connect(slot, at("127.0.0.1:8080"))])
}

pub fn all() -> Vec<(&'static str, Script)> {
    let watched = |steps| Script::new(vec![callbacks()], steps);
    let ends = [Close(0), Close(1), Close(9)];
    let mut cases = vec![
        ("sock_ops: IPv4", local(vec![callbacks()], &ends)),
        (
            "sock_ops: IPv6",
            watched(connection(V6, "[::1]:8080", "[::1]:8080")),
        ),
        (
            "sock_ops: IPv4 to an IPv6 listener",
            watched(connection(V4, "[::]:8080", "127.0.0.1:8080")),
        ),
        (
            "sock_ops: a mapped address",
            watched(connection(V6, "[::]:8080", "[::ffff:127.0.0.1]:8080")),
        ),
        (
            "sock_ops: refused, under way, and not TCP",
            watched(vec![
                Open(0, V4, Tcp),
                Connect(0, at("127.0.0.1:81")),
                Connect(0, at("127.0.0.1:82")),
                Open(1, V4, Tcp),
                Start(1, at("10.1.0.77:80")),
                Open(2, V4, Udp),
                Connect(2, at("127.0.0.1:80")),
            ]),
        ),
        (
            "sock_ops: listening twice, and not at all",
            watched(vec![
                Open(0, V4, Tcp),
                Bind(0, at("127.0.0.1:8080")),
                Listen(0),
                Listen(0),
                Open(1, V4, Tcp),
                Bind(1, at("127.0.0.1:8080")),
                Listen(1),
            ]),
        ),
        (
            "sock_ops: a socket that connects to itself",
            watched(vec![
                Open(0, V4, Tcp),
                Bind(0, at("127.0.0.1:7000")),
                Connect(0, at("127.0.0.1:7000")),
            ]),
        ),
        (
            "sock_ops: a program replies, the next one sees it",
            local(
                vec![
                    callbacks().does(Action::Reply(7)),
                    callbacks().does(Action::Reply(1)).returns(0),
                ],
                &ends,
            ),
        ),
        (
            "sock_ops: options, cookies, storage",
            local(
                vec![
                    callbacks()
                        .does(Action::Cookie)
                        .does(Action::Netns)
                        .does(Action::Storage(1))
                        .does(Action::Set(1, 12, 3))
                        .does(Action::Get(1, 12, 4))
                        .does(Action::Set(6, 1, 1))
                        .does(Action::Get(6, 1, 4))
                        .does(Action::Local),
                ],
                &ends,
            ),
        ),
    ];
    cases.extend(into_maps());
    cases
}

/// What is sent here and there, with a program that sees all of the packet but what is random.
pub fn filters() -> Vec<(&'static str, Script)> {
    // Not the identification and the header's checksum of IPv4, nor the flow label of IPv6.
    const V4_PARTS: &[(i32, i32)] = &[(0, 4), (6, 4), (12, 8), (20, 8), (28, 5), (30, 8)];
    const V6_PARTS: &[(i32, i32)] = &[(4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 5)];
    let sees = |hook, parts: &[(i32, i32)]| {
        let mut recorder = Recorder::new(hook).does(Action::Owner);
        recorder = recorder.does(Action::Cookie).does(Action::Local);
        for (at, len) in parts {
            recorder = recorder.does(Action::Packet(*at, *len));
        }
        recorder
    };
    let exchange = |family, near: &str, far: &str| {
        vec![
            Open(0, family, Udp),
            Set(0, Setting::Mark(9)),
            Bind(0, at(near)),
            Open(1, family, Udp),
            Bind(1, at(far)),
            Send(0, Some(at(far))),
            Receive(1),
            Send(1, Some(at(near))),
            Receive(0),
        ]
    };
    let v4 = || exchange(V4, "127.0.0.1:7000", "10.1.0.1:7001");
    let v6 = || exchange(V6, "[::1]:7000", "[fd00:1::1]:7001");
    let mapped = || exchange(V6, "[::ffff:127.0.0.1]:7000", "[::ffff:10.1.0.1]:7001");
    let mut connected = v4();
    connected.extend([
        Connect(0, at("10.1.0.1:7001")),
        Send(0, None),
        Receive(1),
        Connect(1, at("127.0.0.1:7000")),
        Send(0, None),
        Receive(1),
        Send(1, None),
        Receive(0),
    ]);
    let nobody = vec![
        Open(0, V4, Udp),
        Bind(0, at("127.0.0.1:7000")),
        Send(0, Some(at("127.0.0.1:7009"))),
        Receive(0),
    ];
    let verdict = |hook, verdict| Recorder::new(hook).returns(verdict);
    let (out, into) = (A::CgroupInetEgress, A::CgroupInetIngress);
    let mut cases = Vec::new();
    for (name, steps) in [
        ("filter: IPv4", v4()),
        ("filter: IPv6", v6()),
        ("filter: mapped addresses", mapped()),
    ] {
        let parts = if name.contains('6') {
            V6_PARTS
        } else {
            V4_PARTS
        };
        cases.push((name, Script::new(vec![sees(out, parts)], steps.clone())));
        cases.push((name, Script::new(vec![sees(into, parts)], steps)));
    }
    // What a program sets while a datagram is on its way is for the next one.
    for (hook, sets, steps, parts) in [
        (
            A::CgroupUdp4Sendmsg,
            [(1, 12, 5), (1, 36, 9), (0, 1, 0x10)],
            v4(),
            V4_PARTS,
        ),
        (
            A::CgroupUdp6Sendmsg,
            [(1, 12, 5), (1, 36, 9), (41, 67, 0x20)],
            v6(),
            V6_PARTS,
        ),
    ] {
        for (level, name, value) in sets {
            let setter = Recorder::new(hook).does(Action::Set(level, name, value));
            let programs = vec![setter, sees(out, parts)];
            let twice = steps.iter().chain(&steps[2..]).copied().collect();
            cases.push((
                "filter: options set meanwhile",
                Script::new(programs, twice),
            ));
        }
    }
    for program in [
        Recorder::new(out),
        Recorder::new(into),
        verdict(out, 0),
        verdict(out, 2),
        verdict(out, 3),
        verdict(into, 0),
    ] {
        cases.push((
            "filter: connected, and verdicts",
            Script::new(vec![program.clone()], connected.clone()),
        ));
        cases.push((
            "filter: verdicts, IPv6",
            Script::new(vec![program.clone()], v6()),
        ));
        cases.push((
            "filter: nobody listens",
            Script::new(vec![program], nobody.clone()),
        ));
    }
    cases.push((
        "filter: two programs",
        Script::new(
            vec![verdict(out, 3), verdict(out, 0), verdict(into, 1)],
            v4(),
        ),
    ));
    cases
}

fn into_maps() -> Vec<(&'static str, Script)> {
    let (map, hash) = (
        |key, flags| callbacks().does(Action::IntoMap(key, flags)),
        |key, flags| callbacks().does(Action::IntoHash(key, flags)),
    );
    let mut reused: Vec<Step> = vec![Close(0)];
    reused.extend(again(2..3));
    reused.extend([Shutdown(2, Shutdown::Both), Accept(9, 3), Close(3)]);
    reused.extend(again(4..6));
    reused.extend([Disconnect(4)]);
    reused.extend(again(6..7));
    let mut many: Vec<Step> = again(2..5).collect();
    many.extend([Close(2), Close(3)]);
    many.extend(again(5..6));
    vec![
        ("sockmap: under one key", local(vec![map(1, 0)], &[])),
        (
            "sockmap: only where none is",
            local(vec![map(1, 1)], &reused),
        ),
        (
            "sockmap: only where one is",
            local(vec![map(1, 2)], &reused),
        ),
        ("sockmap: no such key", local(vec![map(3, 0)], &[])),
        (
            "sockmap: no such flags",
            local(vec![map(1, 3), map(1, 4)], &[]),
        ),
        ("sockhash: under one key", local(vec![hash(77, 0)], &[])),
        (
            "sockhash: only where none is",
            local(vec![hash(77, 1)], &reused),
        ),
        (
            "sockhash: only where one is",
            local(vec![hash(77, 2)], &reused),
        ),
        (
            "sockhash: more than it holds",
            local(vec![hash(1, 1), hash(2, 1), hash(3, 1), hash(4, 1)], &many),
        ),
        (
            "sockmap: with a device and a mark",
            Script::new(
                vec![map(0, 0)],
                vec![
                    Open(0, V4, Tcp),
                    Set(0, Setting::Mark(7)),
                    Bind(0, at("127.0.0.1:8080")),
                    Listen(0),
                    Disconnect(0),
                    Listen(0),
                    Close(0),
                ],
            ),
        ),
    ]
}
