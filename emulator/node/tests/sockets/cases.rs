//! Scripts for what each hook is for, and for what goes wrong.

use std::net::{Ipv4Addr, Ipv6Addr};

use twinpath_machine::AttachType as A;
use twinpath_node::Family::{V4, V6};
use twinpath_node::Protocol::{Tcp, Udp};

use super::recorder::{Action, Recorder};
use super::script::{Script, Setting, Step::*};
use super::sides::at;

fn watch(hooks: &[A]) -> Vec<Recorder> {
    hooks.iter().map(|hook| Recorder::new(*hook)).collect()
}

fn ip4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn ip6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// A listener at an address, in slot 9.
fn listener(family: twinpath_node::Family, address: &str) -> Vec<super::script::Step> {
    vec![Open(9, family, Tcp), Bind(9, at(address)), Listen(9)]
}

type Case = (&'static str, Script);

/// All scripts by name.
pub fn all() -> Vec<Case> {
    let parts = [
        tcp(),
        rewrites(),
        refusals(),
        binds(),
        conflicts(),
        datagrams(),
        datagram_rewrites(),
        sockets(),
        helpers(),
        ends(),
    ];
    parts.into_iter().flatten().collect()
}

const ALL4: &[A] = &[
    A::CgroupInetSockCreate,
    A::CgroupInetSockRelease,
    A::CgroupInet4Bind,
    A::CgroupInet4PostBind,
    A::CgroupInet4Connect,
    A::CgroupInet4Getpeername,
    A::CgroupInet4Getsockname,
    A::CgroupUdp4Sendmsg,
    A::CgroupUdp4Recvmsg,
];
const ALL6: &[A] = &[
    A::CgroupInetSockCreate,
    A::CgroupInetSockRelease,
    A::CgroupInet6Bind,
    A::CgroupInet6PostBind,
    A::CgroupInet6Connect,
    A::CgroupInet6Getpeername,
    A::CgroupInet6Getsockname,
    A::CgroupUdp6Sendmsg,
    A::CgroupUdp6Recvmsg,
    A::CgroupUdp4Sendmsg,
    A::CgroupInet4Connect,
];

fn tcp() -> Vec<Case> {
    let connect4 = |to: &str| {
        let mut steps = listener(V4, "0.0.0.0:8080");
        steps.extend([
            Open(0, V4, Tcp),
            LocalName(0),
            PeerName(0),
            Connect(0, at(to)),
        ]);
        steps.extend([LocalName(0), PeerName(0), Connect(0, at(to)), Accept(9, 1)]);
        steps.extend([
            LocalName(1),
            PeerName(1),
            Accept(9, 2),
            Close(0),
            Close(1),
            Close(9),
        ]);
        Script::new(watch(ALL4), steps)
    };
    let connect6 = |bind: &str, to: &str| {
        let mut steps = listener(V6, bind);
        steps.extend([
            Open(0, V6, Tcp),
            LocalName(0),
            Connect(0, at(to)),
            LocalName(0),
        ]);
        steps.extend([
            PeerName(0),
            Accept(9, 1),
            LocalName(1),
            PeerName(1),
            Close(1),
        ]);
        steps.extend([PeerName(0), Close(0)]);
        Script::new(watch(ALL6), steps)
    };
    let mut dual = listener(V6, "[::]:8080");
    dual.extend([
        Open(0, V4, Tcp),
        Connect(0, at("10.1.0.1:8080")),
        Accept(9, 1),
    ]);
    dual.extend([LocalName(1), PeerName(1), LocalName(0)]);
    let mut bound = listener(V4, "10.1.0.2:8080");
    bound.extend([
        Open(0, V4, Tcp),
        Bind(0, at("127.0.0.1:7777")),
        Bind(0, at("127.0.0.1:7778")),
    ]);
    bound.extend([Connect(0, at("10.1.0.2:8080")), LocalName(0), PeerName(0)]);
    vec![
        ("tcp over loopback", connect4("127.0.0.1:8080")),
        ("tcp to an own address", connect4("10.1.0.2:8080")),
        ("tcp to another of 127", connect4("127.3.2.1:8080")),
        ("tcp to no address", connect4("0.0.0.0:8080")),
        ("tcp refused", connect4("127.0.0.1:8081")),
        ("tcp to nowhere", connect4("10.9.0.1:8080")),
        ("tcp to a broadcast", connect4("10.1.0.255:8080")),
        ("tcp to a group", connect4("224.0.0.5:8080")),
        ("tcp6 over loopback", connect6("[::]:8080", "[::1]:8080")),
        (
            "tcp6 to an own address",
            connect6("[::]:8080", "[fd00:1::1]:8080"),
        ),
        ("tcp6 to no address", connect6("[::]:8080", "[::]:8080")),
        (
            "tcp6 to ipv4",
            connect6("[::]:8080", "[::ffff:10.1.0.1]:8080"),
        ),
        (
            "tcp6 bound to ipv4",
            connect6("[::ffff:127.0.0.1]:8080", "[::ffff:127.0.0.1]:8080"),
        ),
        ("tcp6 refused", connect6("[::1]:8080", "[fd00:1::1]:8080")),
        (
            "tcp6 to nowhere",
            connect6("[::1]:8080", "[fd00:9::1]:8080"),
        ),
        (
            "tcp6 with an ipv4 address",
            connect6("[::1]:8080", "127.0.0.1:8080"),
        ),
        (
            "a listener of both families",
            Script::new(watch(ALL6), dual),
        ),
        ("tcp from a bound socket", Script::new(watch(ALL4), bound)),
        (
            "tcp to a neighbour",
            Script::new(
                watch(ALL4),
                vec![
                    Open(0, V4, Tcp),
                    Start(0, at("10.1.0.77:80")),
                    LocalName(0),
                    PeerName(0),
                    Start(0, at("10.1.0.77:80")),
                    Listen(0),
                    Bind(0, at("10.1.0.1:5")),
                ],
            ),
        ),
        (
            "tcp without a listener, again",
            Script::new(
                watch(ALL4),
                vec![
                    Open(0, V4, Tcp),
                    Connect(0, at("127.0.0.1:81")),
                    LocalName(0),
                    Bind(0, at("127.0.0.1:7000")),
                    Connect(0, at("127.0.0.1:81")),
                    LocalName(0),
                    PeerName(0),
                    Listen(0),
                    LocalName(0),
                ],
            ),
        ),
    ]
}

fn rewrites() -> Vec<Case> {
    let connect4 = Recorder::new(A::CgroupInet4Connect);
    let connect6 = Recorder::new(A::CgroupInet6Connect);
    let to4 = connect4
        .clone()
        .does(Action::Ip4(ip4("127.0.0.1")))
        .does(Action::Port(8080));
    let to6 = connect6
        .clone()
        .does(Action::Ip6(ip6("::1")))
        .does(Action::Port(8080));
    let mapped = connect6
        .does(Action::Ip6(ip6("::ffff:127.0.0.1")))
        .does(Action::Port(8080));
    let names4 = [
        to4.clone(),
        Recorder::new(A::CgroupInet4Getpeername)
            .does(Action::Ip4(ip4("192.0.2.1")))
            .does(Action::Port(80)),
        Recorder::new(A::CgroupInet4Getsockname).does(Action::Ip4(ip4("192.0.2.9"))),
    ];
    let names6 = [
        to6.clone(),
        Recorder::new(A::CgroupInet6Getpeername)
            .does(Action::Ip6(ip6("2001:db8::1")))
            .does(Action::Port(80)),
        Recorder::new(A::CgroupInet6Getsockname).does(Action::Port(1)),
    ];
    let steps4 = |protocol| {
        let mut steps = listener(V4, "127.0.0.1:8080");
        steps.extend([Open(0, V4, protocol), Connect(0, at("192.0.2.1:80"))]);
        steps.extend([LocalName(0), PeerName(0)]);
        steps
    };
    let steps6 = |protocol| {
        let mut steps = listener(V6, "[::]:8080");
        steps.extend([Open(0, V6, protocol), Connect(0, at("[2001:db8::1]:80"))]);
        steps.extend([LocalName(0), PeerName(0)]);
        steps
    };
    let both = vec![to4.clone(), connect4.does(Action::Port(8081)), to4.clone()];
    vec![
        (
            "connect4 elsewhere, tcp",
            Script::new(vec![to4.clone()], steps4(Tcp)),
        ),
        (
            "connect4 elsewhere, udp",
            Script::new(vec![to4], steps4(Udp)),
        ),
        (
            "connect6 elsewhere, tcp",
            Script::new(vec![to6.clone()], steps6(Tcp)),
        ),
        (
            "connect6 elsewhere, udp",
            Script::new(vec![to6], steps6(Udp)),
        ),
        (
            "connect6 to ipv4, tcp",
            Script::new(vec![mapped.clone()], steps6(Tcp)),
        ),
        (
            "connect6 to ipv4, udp",
            Script::new(vec![mapped], steps6(Udp)),
        ),
        (
            "names4 in disguise",
            Script::new(names4.to_vec(), steps4(Tcp)),
        ),
        (
            "names6 in disguise",
            Script::new(names6.to_vec(), steps6(Udp)),
        ),
        ("several programs", Script::new(both, steps4(Tcp))),
    ]
}

fn refusals() -> Vec<Case> {
    let at_hook = |hook, actions: &[Action], verdict| Recorder {
        hook,
        actions: actions.to_vec(),
        verdict,
    };
    let connect = |recorders: Vec<Recorder>| {
        let mut steps = listener(V4, "127.0.0.1:8080");
        steps.extend([
            Open(0, V4, Tcp),
            Connect(0, at("127.0.0.1:8080")),
            LocalName(0),
        ]);
        steps.extend([
            Open(1, V4, Udp),
            Connect(1, at("127.0.0.1:8080")),
            LocalName(1),
        ]);
        Script::new(recorders, steps)
    };
    let c = A::CgroupInet4Connect;
    let bind = |recorders| {
        let steps = vec![
            Open(0, V4, Tcp),
            Bind(0, at("127.0.0.1:8080")),
            LocalName(0),
            Open(1, V4, Udp),
            Bind(1, at("127.0.0.1:0")),
            LocalName(1),
        ];
        Script::new(recorders, steps)
    };
    let bind6 = |recorders| {
        let steps = vec![
            Open(0, V6, Tcp),
            Bind(0, at("[fd00:1::1]:8080")),
            LocalName(0),
            Bind(0, at("[::]:8081")),
            Open(1, V4, Tcp),
            Bind(1, at("0.0.0.0:8080")),
        ];
        Script::new(recorders, steps)
    };
    vec![
        ("connect refused", connect(vec![at_hook(c, &[], 0)])),
        (
            "connect with an error",
            connect(vec![at_hook(c, &[Action::Return(-111)], 0)]),
        ),
        (
            "connect allowed with an error",
            connect(vec![at_hook(c, &[Action::Return(-13)], 1)]),
        ),
        (
            "connect with a number",
            connect(vec![at_hook(c, &[Action::Return(5)], 1)]),
        ),
        (
            "connect refused with a number",
            connect(vec![at_hook(c, &[Action::Return(5)], 0)]),
        ),
        (
            "connect with an error taken back",
            connect(vec![
                at_hook(c, &[Action::Return(-13)], 0),
                at_hook(c, &[Action::Returned, Action::Return(0)], 1),
            ]),
        ),
        (
            "connect refused and seen",
            connect(vec![at_hook(c, &[], 0), at_hook(c, &[Action::Returned], 1)]),
        ),
        (
            "bind refused",
            bind(vec![at_hook(A::CgroupInet4Bind, &[], 0)]),
        ),
        (
            "bind refused with a flag",
            bind(vec![at_hook(A::CgroupInet4Bind, &[], 2)]),
        ),
        (
            "post_bind refused",
            bind(vec![at_hook(A::CgroupInet4PostBind, &[], 0)]),
        ),
        (
            "post_bind with an error",
            bind(vec![at_hook(
                A::CgroupInet4PostBind,
                &[Action::Return(-98)],
                0,
            )]),
        ),
        (
            "bind6 refused",
            bind6(vec![at_hook(A::CgroupInet6Bind, &[], 0)]),
        ),
        (
            "post_bind6 refused",
            bind6(vec![at_hook(A::CgroupInet6PostBind, &[], 0)]),
        ),
        (
            "sock_create refused",
            connect(vec![at_hook(A::CgroupInetSockCreate, &[], 0)]),
        ),
        (
            "sock_create with an error",
            connect(vec![at_hook(
                A::CgroupInetSockCreate,
                &[Action::Return(-97)],
                0,
            )]),
        ),
        (
            "sock_release does not matter",
            Script::new(
                vec![at_hook(A::CgroupInetSockRelease, &[], 0)],
                vec![Open(0, V4, Udp), Close(0), Open(0, V6, Tcp), Close(0)],
            ),
        ),
    ]
}

fn binds() -> Vec<Case> {
    let bind = |family, protocol, address: &'static str| {
        let hooks = if family == V4 { ALL4 } else { ALL6 };
        let steps = vec![
            Open(0, family, protocol),
            Bind(0, at(address)),
            LocalName(0),
            PeerName(0),
            Listen(0),
            LocalName(0),
        ];
        Script::new(watch(hooks), steps)
    };
    let setting = |setting, address: &'static str| {
        let family = if at(address).is_ipv4() { V4 } else { V6 };
        let steps = vec![
            Open(0, family, Tcp),
            Set(0, setting),
            Bind(0, at(address)),
            LocalName(0),
            Start(0, at("10.1.0.77:9")),
            LocalName(0),
        ];
        Script::new(watch(if family == V4 { ALL4 } else { ALL6 }), steps)
    };
    let elsewhere = Recorder::new(A::CgroupInet4Bind)
        .does(Action::Ip4(ip4("10.1.0.2")))
        .does(Action::Port(4040));
    let elsewhere6 = Recorder::new(A::CgroupInet6Bind)
        .does(Action::Ip6(ip6("fd00:2::1")))
        .does(Action::Port(4040));
    let poor = |verdict| {
        let mut bind = Recorder::new(A::CgroupInet4Bind);
        bind.verdict = verdict;
        let mut bind6 = Recorder::new(A::CgroupInet6Bind);
        bind6.verdict = verdict;
        let steps = vec![
            Open(0, V4, Tcp),
            BindPoor(0, at("127.0.0.1:80")),
            LocalName(0),
            Open(1, V6, Udp),
            BindPoor(1, at("[::1]:80")),
            LocalName(1),
            Open(2, V4, Udp),
            BindPoor(2, at("192.0.2.1:80")),
            BindPoor(2, at("127.0.0.1:1024")),
        ];
        Script::new(vec![bind, bind6], steps)
    };
    vec![
        ("bind to a port", bind(V4, Tcp, "127.0.0.1:8080")),
        ("bind to any address", bind(V4, Udp, "0.0.0.0:8080")),
        ("bind to any port", bind(V4, Tcp, "10.1.0.1:0")),
        (
            "bind a datagram socket to any port",
            bind(V4, Udp, "10.1.0.1:0"),
        ),
        ("bind to a foreign address", bind(V4, Tcp, "192.0.2.1:8080")),
        ("bind to a broadcast", bind(V4, Udp, "10.1.0.255:8080")),
        ("bind to a group", bind(V4, Udp, "224.0.0.7:8080")),
        ("bind to another of 127", bind(V4, Tcp, "127.4.5.6:8080")),
        (
            "bind4 with an ipv6 address",
            bind(V6, Tcp, "127.0.0.1:8080"),
        ),
        ("bind6", bind(V6, Tcp, "[fd00:1::1]:8080")),
        ("bind6 to any address", bind(V6, Udp, "[::]:8080")),
        ("bind6 to ipv4", bind(V6, Tcp, "[::ffff:10.1.0.1]:8080")),
        ("bind6 to any ipv4", bind(V6, Udp, "[::ffff:0.0.0.0]:8080")),
        (
            "bind6 to a foreign address",
            bind(V6, Tcp, "[2001:db8::1]:8080"),
        ),
        (
            "bind6 to a foreign ipv4 address",
            bind(V6, Tcp, "[::ffff:192.0.2.1]:8080"),
        ),
        ("bind6 to a group", bind(V6, Udp, "[ff05::1]:8080")),
        ("bind6 a stream to a group", bind(V6, Tcp, "[ff05::1]:8080")),
        (
            "bind6 to a link-local address",
            bind(V6, Udp, "[fe80::1]:8080"),
        ),
        (
            "bind to a foreign address freely",
            setting(Setting::AnyAddress, "192.0.2.1:8080"),
        ),
        (
            "bind6 to a foreign address freely",
            setting(Setting::AnyAddress, "[2001:db8::1]:8080"),
        ),
        (
            "bind an address alone",
            setting(Setting::AddressWithoutPort, "127.0.0.1:0"),
        ),
        (
            "bind6 to ipv4, v6 only",
            setting(Setting::V6Only, "[::ffff:127.0.0.1]:8080"),
        ),
        (
            "bind with a mark",
            setting(Setting::Mark(7), "127.0.0.1:8080"),
        ),
        (
            "bind on a device",
            setting(Setting::Device(10), "10.1.0.1:8080"),
        ),
        (
            "bind6 on a device",
            setting(Setting::Device(11), "[fd00:2::1]:8080"),
        ),
        (
            "bind elsewhere",
            Script::new(
                vec![elsewhere],
                vec![Open(0, V4, Tcp), Bind(0, at("127.0.0.1:80")), LocalName(0)],
            ),
        ),
        (
            "bind6 elsewhere",
            Script::new(
                vec![elsewhere6],
                vec![Open(0, V6, Udp), Bind(0, at("[::1]:80")), LocalName(0)],
            ),
        ),
        ("low ports without privilege", poor(1)),
        ("low ports by leave of a program", poor(3)),
    ]
}

/// Two sockets for one port.
fn conflicts() -> Vec<Case> {
    let mut cases = Vec::new();
    let pairs: &[(&str, &str)] = &[
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("127.0.0.1:8080", "0.0.0.0:8080"),
        ("127.0.0.1:8080", "10.1.0.1:8080"),
        ("[::]:8080", "0.0.0.0:8080"),
        ("0.0.0.0:8080", "[::]:8080"),
        ("[::1]:8080", "127.0.0.1:8080"),
        ("[::1]:8080", "[::]:8080"),
        ("[::]:8080", "[fd00:1::1]:8080"),
        ("[::ffff:127.0.0.1]:8080", "127.0.0.1:8080"),
        ("[::ffff:127.0.0.1]:8080", "0.0.0.0:8080"),
        ("[::]:8080", "[::ffff:10.1.0.1]:8080"),
        ("127.0.0.1:8080", "[::]:8080"),
    ];
    let settings: &[(&str, &[Setting])] = &[
        ("plainly", &[]),
        ("reusing addresses", &[Setting::ReuseAddress]),
        ("reusing ports", &[Setting::ReusePort]),
        ("reusing both", &[Setting::ReuseAddress, Setting::ReusePort]),
        ("v6 only", &[Setting::V6Only]),
    ];
    for protocol in [Tcp, Udp] {
        for (how, settings) in settings {
            let mut steps = Vec::new();
            for (one, other) in pairs {
                for (slot, address) in [(0, *one), (1, *other)] {
                    let family = if at(address).is_ipv4() { V4 } else { V6 };
                    steps.push(Open(slot, family, protocol));
                    for setting in settings
                        .iter()
                        .filter(|setting| family == V6 || **setting != Setting::V6Only)
                    {
                        steps.push(Set(slot, *setting));
                    }
                    steps.push(Bind(slot, at(address)));
                }
                steps.extend([Listen(0), Listen(1), Close(0), Close(1)]);
            }
            let name: &'static str = Box::leak(format!("{protocol:?} conflicts, {how}").into());
            cases.push((name, Script::new(Vec::new(), steps)));
        }
    }
    let devices = vec![
        Open(0, V4, Tcp),
        Set(0, Setting::Device(10)),
        Bind(0, at("0.0.0.0:8080")),
        Open(1, V4, Tcp),
        Set(1, Setting::Device(11)),
        Bind(1, at("0.0.0.0:8080")),
        Open(2, V4, Tcp),
        Bind(2, at("0.0.0.0:8080")),
        Open(3, V4, Udp),
        Set(3, Setting::Device(10)),
        Bind(3, at("0.0.0.0:8080")),
        Open(4, V4, Udp),
        Bind(4, at("0.0.0.0:8080")),
    ];
    cases.push(("conflicts on devices", Script::new(Vec::new(), devices)));
    let mut after = listener(V4, "127.0.0.1:8080");
    after.extend([Open(0, V4, Tcp), Bind(0, at("127.0.0.1:7000"))]);
    after.extend([
        Connect(0, at("127.0.0.1:8080")),
        Accept(9, 1),
        Close(9),
        Close(0),
        Close(1),
    ]);
    after.extend([Open(2, V4, Tcp), Bind(2, at("127.0.0.1:7000"))]);
    after.extend([
        Open(3, V4, Tcp),
        Set(3, Setting::ReuseAddress),
        Bind(3, at("127.0.0.1:7000")),
    ]);
    after.extend([Open(4, V4, Tcp), Bind(4, at("127.0.0.1:8080"))]);
    cases.push((
        "conflicts with what is left",
        Script::new(Vec::new(), after),
    ));
    cases
}

fn datagrams() -> Vec<Case> {
    let exchange = |family, bind: &'static str, to: &'static str| {
        let hooks = if family == V4 { ALL4 } else { ALL6 };
        let steps = vec![
            Open(9, family, Udp),
            Bind(9, at(bind)),
            Open(0, family, Udp),
            Send(0, None),
            Send(0, Some(at(to))),
            LocalName(0),
            Receive(9),
            Receive(9),
            Connect(0, at(to)),
            LocalName(0),
            PeerName(0),
            Send(0, None),
            Send(0, Some(at(to))),
            Receive(9),
            Receive(9),
            Disconnect(0),
            LocalName(0),
            PeerName(0),
            Send(0, None),
            Close(9),
            Connect(0, at(to)),
            Send(0, None),
            Send(0, None),
            Send(0, None),
            Close(0),
        ];
        Script::new(watch(hooks), steps)
    };
    let mut strict = vec![Open(0, V6, Udp), Set(0, Setting::V6Only)];
    strict.extend([
        Send(0, Some(at("[::ffff:127.0.0.1]:80"))),
        Send(0, Some(at("127.0.0.1:80"))),
    ]);
    strict.extend([
        Connect(0, at("127.0.0.1:80")),
        Connect(0, at("[::ffff:127.0.0.1]:80")),
    ]);
    let broadcast = vec![
        Open(0, V4, Udp),
        Send(0, Some(at("10.1.0.255:80"))),
        Connect(0, at("10.1.0.255:80")),
        Set(0, Setting::Broadcast),
        Connect(0, at("10.1.0.255:80")),
        LocalName(0),
        PeerName(0),
    ];
    let connected = vec![
        Open(9, V4, Udp),
        Bind(9, at("0.0.0.0:8080")),
        Connect(9, at("127.0.0.1:9090")),
        LocalName(9),
        Open(8, V4, Udp),
        Bind(8, at("127.0.0.1:9090")),
        Send(8, Some(at("127.0.0.1:8080"))),
        Receive(9),
        Open(7, V4, Udp),
        Send(7, Some(at("127.0.0.1:8080"))),
        Receive(9),
        Disconnect(9),
        LocalName(9),
        Send(7, Some(at("127.0.0.1:8080"))),
        Receive(9),
    ];
    let mixed = vec![
        Open(9, V6, Udp),
        Bind(9, at("[::]:8080")),
        Open(0, V4, Udp),
        Send(0, Some(at("127.0.0.1:8080"))),
        Receive(9),
        Open(1, V6, Udp),
        Send(1, Some(at("127.0.0.1:8080"))),
        Receive(9),
        Send(1, Some(at("[::ffff:10.1.0.2]:8080"))),
        Receive(9),
        Connect(1, at("127.0.0.1:8080")),
        LocalName(1),
        PeerName(1),
    ];
    vec![
        (
            "udp over loopback",
            exchange(V4, "127.0.0.1:8080", "127.0.0.1:8080"),
        ),
        (
            "udp to an own address",
            exchange(V4, "0.0.0.0:8080", "10.1.0.2:8080"),
        ),
        (
            "udp to no address",
            exchange(V4, "0.0.0.0:8080", "0.0.0.0:8080"),
        ),
        (
            "udp to nowhere",
            exchange(V4, "0.0.0.0:8080", "10.9.0.2:8080"),
        ),
        ("udp to port 0", exchange(V4, "0.0.0.0:8080", "127.0.0.1:0")),
        (
            "udp6 over loopback",
            exchange(V6, "[::1]:8080", "[::1]:8080"),
        ),
        (
            "udp6 to an own address",
            exchange(V6, "[::]:8080", "[fd00:2::1]:8080"),
        ),
        ("udp6 to no address", exchange(V6, "[::]:8080", "[::]:8080")),
        (
            "udp6 to ipv4",
            exchange(V6, "[::]:8080", "[::ffff:10.1.0.1]:8080"),
        ),
        (
            "udp6 with an ipv4 address",
            exchange(V6, "[::]:8080", "127.0.0.1:8080"),
        ),
        ("udp6 to port 0", exchange(V6, "[::]:8080", "[::1]:0")),
        ("udp6, v6 only", Script::new(watch(ALL6), strict)),
        ("udp to a broadcast", Script::new(watch(ALL4), broadcast)),
        (
            "udp with a connected receiver",
            Script::new(watch(ALL4), connected),
        ),
        ("udp between families", Script::new(watch(ALL6), mixed)),
    ]
}

fn datagram_rewrites() -> Vec<Case> {
    let send4 = Recorder::new(A::CgroupUdp4Sendmsg);
    let send6 = Recorder::new(A::CgroupUdp6Sendmsg);
    let receive4 = Recorder::new(A::CgroupUdp4Recvmsg);
    let receive6 = Recorder::new(A::CgroupUdp6Recvmsg);
    let script = |family, recorders: Vec<Recorder>| {
        let (any, to) = match family {
            V4 => ("0.0.0.0:8080", "192.0.2.1:53"),
            _ => ("[::]:8080", "[2001:db8::1]:53"),
        };
        let steps = vec![
            Open(9, family, Udp),
            Bind(9, at(any)),
            Open(0, family, Udp),
            Send(0, Some(at(to))),
            LocalName(0),
            Receive(9),
        ];
        Script::new(recorders, steps)
    };
    let to4 = send4
        .clone()
        .does(Action::Ip4(ip4("10.1.0.1")))
        .does(Action::Port(8080));
    let to6 = send6
        .clone()
        .does(Action::Ip6(ip6("fd00:1::1")))
        .does(Action::Port(8080));
    let from4 = to4.clone().does(Action::Source4(ip4("10.1.0.2")));
    let from6 = to6.clone().does(Action::Source6(ip6("fd00:2::1")));
    let foreign4 = to4.clone().does(Action::Source4(ip4("192.0.2.77")));
    let to_ipv4 = send6
        .clone()
        .does(Action::Ip6(ip6("::ffff:10.1.0.1")))
        .does(Action::Port(8080));
    let back4 = receive4
        .does(Action::Ip4(ip4("192.0.2.1")))
        .does(Action::Port(53));
    let back6 = receive6
        .does(Action::Ip6(ip6("2001:db8::1")))
        .does(Action::Port(53));
    vec![
        ("sendmsg4 elsewhere", script(V4, vec![to4.clone()])),
        ("sendmsg6 elsewhere", script(V6, vec![to6.clone()])),
        ("sendmsg4 from another address", script(V4, vec![from4])),
        ("sendmsg6 from another address", script(V6, vec![from6])),
        (
            "sendmsg4 from a foreign address",
            script(V4, vec![foreign4]),
        ),
        ("sendmsg6 to ipv4", script(V6, vec![to_ipv4])),
        (
            "sendmsg4 to port 0",
            script(V4, vec![send4.clone().does(Action::Port(0))]),
        ),
        (
            "sendmsg6 to port 0",
            script(V6, vec![send6.clone().does(Action::Port(0))]),
        ),
        ("sendmsg4 refused", script(V4, vec![send4.returns(0)])),
        ("sendmsg6 refused", script(V6, vec![send6.returns(0)])),
        ("there and back, ipv4", script(V4, vec![to4, back4])),
        ("there and back, ipv6", script(V6, vec![to6, back6])),
    ]
}

/// What `cgroup/sock` programs write.
fn sockets() -> Vec<Case> {
    let marks = Recorder::new(A::CgroupInetSockCreate)
        .does(Action::Sock(16, 0x1234))
        .does(Action::Sock(20, 5))
        .does(Action::Sock(0, 10));
    let mut programs = vec![marks];
    programs.extend(watch(&ALL4[1..]));
    let steps = vec![
        Open(0, V4, Udp),
        Bind(0, at("10.1.0.1:0")),
        Connect(0, at("10.1.0.77:5")),
        LocalName(0),
        Close(0),
        Open(1, V4, Tcp),
        Start(1, at("10.1.0.78:5")),
        LocalName(1),
        Close(1),
    ];
    vec![("sock_create marks sockets", Script::new(programs, steps))]
}

/// Helpers of programs at `connect()` and `bind()`.
fn helpers() -> Vec<Case> {
    let script = |family: twinpath_node::Family, recorder: Recorder| {
        let (any, to) = match family {
            V4 => ("0.0.0.0:8080", "10.1.0.1:8080"),
            _ => ("[::]:8080", "[fd00:1::1]:8080"),
        };
        let mut steps = listener(family, any);
        steps.extend([
            Open(0, family, Tcp),
            Connect(0, at(to)),
            LocalName(0),
            PeerName(0),
        ]);
        steps.extend([Open(1, family, Udp), Connect(1, at(to)), LocalName(1)]);
        let mut programs = vec![recorder];
        programs.extend(watch(&[A::CgroupInet4PostBind, A::CgroupInet6PostBind]));
        programs.extend(watch(&[
            A::CgroupInet4Getsockname,
            A::CgroupInet6Getsockname,
        ]));
        Script::new(programs, steps)
    };
    let c4 = Recorder::new(A::CgroupInet4Connect);
    let c6 = Recorder::new(A::CgroupInet6Connect);
    let bind = |recorder: &Recorder, address: &str| {
        recorder
            .clone()
            .does(Action::Bind(at(address)))
            .does(Action::Bind(at(address)))
    };
    let options = c4
        .clone()
        .does(Action::Set(1, 36, 0xbeef))
        .does(Action::Set(1, 12, 6))
        .does(Action::Set(0, 1, 0x10))
        .does(Action::Set(1, 62, 99))
        .does(Action::Set(6, 1, 1))
        .does(Action::Set(41, 67, 1));
    vec![
        (
            "bpf_bind to an address",
            script(V4, bind(&c4, "10.1.0.2:0")),
        ),
        ("bpf_bind to a port", script(V4, bind(&c4, "10.1.0.2:4444"))),
        (
            "bpf_bind to a low port",
            script(V4, bind(&c4, "10.1.0.2:44")),
        ),
        (
            "bpf_bind to a foreign address",
            script(V4, bind(&c4, "192.0.2.1:0")),
        ),
        ("bpf_bind to ipv6", script(V6, bind(&c6, "[fd00:2::1]:0"))),
        (
            "bpf_bind to an ipv6 port",
            script(V6, bind(&c6, "[fd00:2::1]:4444")),
        ),
        ("bpf_setsockopt at connect", script(V4, options)),
    ]
}

/// How connections end.
fn ends() -> Vec<Case> {
    let mut first = listener(V4, "127.0.0.1:8080");
    first.extend([
        Open(0, V4, Tcp),
        Connect(0, at("127.0.0.1:8080")),
        Accept(9, 1),
        Close(0),
    ]);
    first.extend([LocalName(1), PeerName(1), Close(1)]);
    let mut second = listener(V4, "127.0.0.1:8080");
    second.extend([
        Open(0, V4, Tcp),
        Connect(0, at("127.0.0.1:8080")),
        Accept(9, 1),
        Close(1),
    ]);
    second.extend([
        LocalName(0),
        PeerName(0),
        Connect(0, at("127.0.0.1:8080")),
        Close(0),
    ]);
    let mut never = listener(V4, "127.0.0.1:8080");
    never.extend([Open(0, V4, Tcp), Connect(0, at("127.0.0.1:8080")), Close(9)]);
    never.extend([LocalName(0), PeerName(0), Close(0)]);
    vec![
        ("the client closes first", Script::new(watch(ALL4), first)),
        ("the server closes first", Script::new(watch(ALL4), second)),
        ("nobody accepts", Script::new(watch(ALL4), never)),
    ]
}
