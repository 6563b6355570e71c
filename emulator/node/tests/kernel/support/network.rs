//! The network around a test run, in the kernel and in the emulator alike.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::{Command, Stdio};

use twinpath_node::{DeviceId, DeviceOptions, Ifindex, Mac, NodeId, Route, RouteKind, World};

/// Both ends of veth pairs: names, indexes, hardware addresses' last byte, MTU, whether they are up.
const PAIRS: [([&str; 2], u32, u32, bool); 3] = [
    (["wide0", "wide1"], 10, 1500, true),
    (["down0", "down1"], 12, 1500, false),
    (["narrow0", "narrow1"], 14, 1280, true),
];

/// Indexes of devices, and some that no device has.
pub const INDEXES: [u32; 9] = [0, 1, 10, 11, 12, 14, 15, 99, u32::MAX];

/// Addresses of the own node.
const ADDRESSES: [(&str, u8, u32); 4] = [
    ("10.0.1.1", 24, 10),
    ("10.0.2.1", 24, 14),
    ("fd01::1", 64, 10),
    ("fd02::1", 64, 14),
];

/// Neighbours whose hardware addresses are known.
const NEIGHBOURS: [(&str, u32); 5] = [
    ("10.0.1.7", 10),
    ("10.0.1.9", 10),
    ("10.0.2.9", 14),
    ("fd01::7", 10),
    ("fd01::9", 10),
];

/// A route with a gateway: network, prefix length, gateway, device, table, MTU, metric.
type Gateway = (&'static str, u8, &'static str, u32, u32, Option<u32>, u32);

const GATEWAYS: [Gateway; 8] = [
    ("10.9.0.0", 16, "10.0.1.9", 10, 254, None, 0),
    ("10.9.8.0", 24, "10.0.2.9", 14, 254, Some(300), 5),
    ("10.9.9.0", 24, "10.0.1.8", 10, 254, None, 7),
    ("10.9.0.0", 16, "10.0.2.9", 14, 77, None, 0),
    ("10.10.0.0", 16, "fd01::9", 10, 254, None, 0),
    ("fd09::", 16, "fd01::9", 10, 254, None, 1024),
    ("fd09:8::", 32, "fd01::8", 10, 254, Some(1400), 5),
    ("fd09::", 16, "fd01::7", 10, 77, None, 9),
];

/// Networks that lead nowhere.
const REFUSED: [(&str, u8, RouteKind, &str); 6] = [
    ("10.66.0.0", 16, RouteKind::Blackhole, "blackhole"),
    ("10.67.0.0", 16, RouteKind::Unreachable, "unreachable"),
    ("10.68.0.0", 16, RouteKind::Prohibit, "prohibit"),
    ("fd66::", 16, RouteKind::Blackhole, "blackhole"),
    ("fd67::", 16, RouteKind::Unreachable, "unreachable"),
    ("fd68::", 16, RouteKind::Prohibit, "prohibit"),
];

/// IPv4 addresses to look for.
pub const IPV4: [[u8; 4]; 16] = [
    [10, 0, 1, 1],
    [10, 0, 1, 7],
    [10, 0, 1, 8],
    [10, 0, 1, 9],
    [10, 0, 1, 255],
    [10, 0, 2, 9],
    [10, 9, 1, 1],
    [10, 9, 8, 1],
    [10, 9, 9, 1],
    [10, 10, 3, 4],
    [10, 66, 0, 1],
    [10, 67, 0, 1],
    [10, 68, 0, 1],
    [127, 0, 0, 1],
    [192, 0, 2, 1],
    [255, 255, 255, 255],
];

/// IPv6 addresses to look for.
pub const IPV6: [&str; 13] = [
    "fd01::1",
    "fd01::7",
    "fd01::8",
    "fd01::9",
    "fd02::9",
    "fd09::1",
    "fd09:8::1",
    "fd66::1",
    "fd67::1",
    "fd68::1",
    "2001:db8::1",
    "::1",
    "ff02::1",
];

fn mac(index: u32) -> [u8; 6] {
    [2, 0, 0, 0, 0, index as u8]
}

fn name(index: u32) -> &'static str {
    let pair = PAIRS.iter().find(|(_, first, ..)| index - first < 2);
    pair.map_or("lo", |(names, first, ..)| names[(index - first) as usize])
}

fn family(address: &str) -> &'static str {
    if address.contains(':') { "-6" } else { "-4" }
}

/// Puts this thread into a namespace of its own with that network.
pub fn enter() -> io::Result<()> {
    // SAFETY: it takes no pointers.
    #[allow(unsafe_code)]
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    ip("-4", &devices())?;
    for family in ["-6", "-4"] {
        ip(family, &addresses(family))?;
    }
    for name in ["wide0", "narrow0"] {
        forward(&format!("ipv4/conf/{name}/forwarding"), true)?;
    }
    forward("ipv6/conf/all/forwarding", false)?;
    forward("ipv6/conf/wide0/forwarding", true)
}

/// Sets a switch of the namespace that this thread is in.
fn forward(what: &str, on: bool) -> io::Result<()> {
    std::fs::write(format!("/proc/sys/net/{what}"), [b'0' + u8::from(on)])
}

fn devices() -> String {
    let mut lines = "link set lo up\n".to_owned();
    for ([a, b], index, mtu, up) in PAIRS {
        lines += &format!(
            "link add {a} index {index} mtu {mtu} type veth peer name {b} index {} mtu {mtu}\n",
            index + 1
        );
        for (name, index) in [(a, index), (b, index + 1)] {
            let [.., last] = mac(index);
            lines +=
                &format!("link set {name} address 02:00:00:00:00:{last:02x} addrgenmode none\n");
            if up {
                lines += &format!("link set {name} up\n");
            }
        }
    }
    lines
}

fn addresses(wanted: &str) -> String {
    let mut lines = String::new();
    let fits = |address: &str| family(address) == wanted;
    for (address, prefix, index) in ADDRESSES {
        if fits(address) {
            let nodad = if wanted == "-6" { "nodad" } else { "" };
            lines += &format!("addr add {address}/{prefix} dev {} {nodad}\n", name(index));
        }
    }
    for (address, index) in NEIGHBOURS {
        if fits(address) {
            lines += &format!(
                "neigh add {address} lladdr {} dev {} nud permanent\n",
                Mac(neighbour(address)),
                name(index)
            );
        }
    }
    for (network, prefix, gateway, index, table, mtu, metric) in GATEWAYS {
        if fits(network) {
            let via = if fits(gateway) { "" } else { "inet6 " };
            let mtu = mtu.map_or(String::new(), |mtu| format!("mtu lock {mtu}"));
            lines += &format!(
                "route add {network}/{prefix} via {via}{gateway} dev {} table {table} metric {metric} {mtu}\n",
                name(index)
            );
        }
    }
    for (network, prefix, _, word) in REFUSED {
        if fits(network) {
            lines += &format!("route add {word} {network}/{prefix}\n");
        }
    }
    lines
}

fn ip(family: &str, lines: &str) -> io::Result<()> {
    let mut child = Command::new("ip")
        .args([family, "-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.as_bytes())?;
    drop(stdin);
    match child.wait()?.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("ip {family} fails:\n{lines}"))),
    }
}

fn neighbour(address: &str) -> [u8; 6] {
    let last = address.as_bytes().last().copied().unwrap_or(0);
    [2, 1, 1, 1, u8::from(address.contains(':')), last]
}

/// Gives the emulator's node the same network.
pub fn build(world: &mut World, node: NodeId) {
    for (names, first, mtu, up) in PAIRS {
        let [a, b] = [0, 1].map(|end| {
            let options = DeviceOptions {
                name: names[end as usize].to_owned(),
                ifindex: Ifindex::new(first + end).unwrap(),
                mac: Mac(mac(first + end)),
                mtu,
            };
            world.add_device(node, options).unwrap()
        });
        world.connect(a, b);
        for device in [a, b] {
            world.set_up(device, up);
        }
    }
    let device = |world: &World, index| world.find_device(node, index).unwrap();
    let (lo, va, ve) = (device(world, 1), device(world, 10), device(world, 14));
    for device in [va, ve] {
        world.network().forward_ipv4(device, true);
    }
    world.network().forward_ipv6(va, true);
    for (address, index) in NEIGHBOURS {
        let (device, mac) = (device(world, index), Mac(neighbour(address)));
        world.network().add_neighbour(device, parse(address), mac);
    }
    for route in routes(lo, |index| if index == 10 { va } else { ve }) {
        world.network().add_route(node, route);
    }
}

fn parse(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// The routes of the lists above, and those that the kernel adds by itself.
fn routes(lo: DeviceId, device: impl Fn(u32) -> DeviceId) -> Vec<Route> {
    let source = |index, like: &str| {
        let same =
            |(address, _, at): &&(&str, u8, u32)| *at == index && family(address) == family(like);
        ADDRESSES
            .iter()
            .find(same)
            .map(|(address, ..)| parse(address))
    };
    let mut routes = Vec::new();
    for (address, prefix, index) in ADDRESSES {
        let whole = if family(address) == "-6" { 128 } else { 32 };
        routes.push(Route {
            kind: RouteKind::Local,
            table: 255,
            ..Route::new(parse(address), whole, device(index))
        });
        let mut connected = Route::new(parse(address), prefix, device(index));
        connected.source = source(index, address);
        if family(address) == "-6" {
            connected.metric = 256;
        } else {
            let last = address.rsplit_once('.').unwrap().0.to_owned() + ".255";
            routes.push(Route {
                kind: RouteKind::Broadcast,
                table: 255,
                ..Route::new(parse(&last), 32, device(index))
            });
        }
        routes.push(connected);
    }
    for (network, prefix) in [("127.0.0.0", 8), ("::1", 128)] {
        routes.push(Route {
            kind: RouteKind::Local,
            table: 255,
            ..Route::new(parse(network), prefix, lo)
        });
    }
    for (network, prefix, gateway, index, table, mtu, metric) in GATEWAYS {
        routes.push(Route {
            gateway: Some(parse(gateway)),
            source: source(index, network),
            table,
            mtu,
            mtu_locked: mtu.is_some(),
            metric,
            ..Route::new(parse(network), prefix, device(index))
        });
    }
    for (network, prefix, kind, _) in REFUSED {
        routes.push(Route {
            kind,
            ..Route::new(parse(network), prefix, lo)
        });
    }
    routes
}
