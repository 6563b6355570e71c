//! Random networks, policies and packets, as scenarios.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;

/// The most packets of a network.
pub const PACKETS: usize = 40;

/// What packets have in their payload, before their number.
const MARK: &[u8] = b"token-";
/// Digits of the number.
const DIGITS: usize = 6;

/// A network, whose nodes are connected in one of the ways that there are.
#[derive(Debug, Clone)]
struct Network {
    way: Way,
    gateway: bool,
    /// It has a device between its stack and the pods.
    host: bool,
    redirect_peer: bool,
    audit: bool,
    trace: bool,
    /// The world sends back what it gets.
    echo: bool,
    /// What pods send there gets the node's address.
    masquerade: bool,
    rules: Vec<String>,
}

/// How a node reaches others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is alone, by its stack.
    World,
    /// It is alone, by the programs.
    WorldRouted,
    /// By the stack's routes.
    Stack,
    /// By the routes, which the programs ask for.
    Routes,
    /// By the overlay.
    Overlay,
}

/// Where a packet comes from, and what it is.
#[derive(Debug, Clone)]
struct Sent {
    from: From,
    v6: bool,
    to: To,
    kind: Kind,
    clauses: &'static str,
    spoofed: bool,
    /// What happens before.
    before: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum From {
    Pod(u8),
    /// From outside, to the node.
    World,
}

#[derive(Debug, Clone, Copy)]
enum To {
    Pod(u8),
    Gateway,
    Node(u8),
    World,
    Service,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Tcp(&'static str),
    Udp,
    Echo,
    EchoReply,
    /// An error about a packet that went the other way.
    Error(&'static str, &'static str),
    Other(u8),
    Ask,
    NotIp,
}

/// Scenarios without expectations.
pub fn scenarios() -> impl Strategy<Value = String> {
    let packets = prop::collection::vec(sent(), 1..=PACKETS);
    (network(), packets).prop_map(|(network, packets)| text(&network, &packets))
}

/// The number of a packet, if it can be found.
pub fn token(frame: &[u8]) -> Option<&[u8]> {
    let at = frame.windows(MARK.len()).position(|bytes| bytes == MARK)?;
    frame.get(at + MARK.len()..)?.get(..DIGITS)
}

fn network() -> impl Strategy<Value = Network> {
    let way = select(&[
        Way::World,
        Way::WorldRouted,
        Way::Stack,
        Way::Routes,
        Way::Overlay,
    ]);
    let rules = prop::collection::vec(rule(), 0..6);
    let flags = [
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    ];
    let audit = prop::bool::weighted(0.1);
    (way, flags, audit, rules).prop_map(
        |(way, [gateway, host, redirect_peer, trace, echo, masquerade], audit, rules)| Network {
            way,
            gateway,
            host,
            redirect_peer,
            audit,
            trace,
            echo,
            masquerade,
            rules,
        },
    )
}

/// An entry of some endpoint's policy.
fn rule() -> impl Strategy<Value = String> {
    let what = select(&[
        "",
        "protocol = \"tcp\"",
        "protocol = \"tcp\"\nport = 80",
        "protocol = \"udp\"\nport = 50\nend-port = 60",
        "protocol = \"icmp\"",
        "protocol = \"icmpv6\"\nport = 128",
        "protocol = \"tcp\"\nport = 8080\nproxy = 15001",
        "deny = true\nprotocol = \"udp\"\nport = 53",
    ]);
    let who = select(&[
        "",
        "identity = 1001",
        "identity = 1002",
        "identity = 2001",
        "identity = 9",
    ]);
    let whose = select(&["p11", "p12", "p21", "p22"]);
    let direction = select(&["ingress", "egress"]);
    (whose, direction, who, what).prop_map(|(whose, direction, who, what)| {
        format!("endpoint = \"{whose}\"\ndirection = \"{direction}\"\n{who}\n{what}\n")
    })
}

fn sent() -> impl Strategy<Value = Sent> {
    let from = prop_oneof![6 => (0..4u8).prop_map(From::Pod), 2 => Just(From::World)];
    let to = prop_oneof![
        6 => (0..4u8).prop_map(To::Pod),
        1 => Just(To::Gateway),
        1 => (1..3u8).prop_map(To::Node),
        2 => Just(To::World),
        1 => Just(To::Service),
    ];
    let error = select(&[
        ("unreachable port", "unreachable port"),
        ("needs-frag mtu 1400", "too-big mtu 1400"),
        ("time-exceeded transit", "time-exceeded transit"),
    ]);
    let kind = prop_oneof![
        4 => select(&["SYN", "SYN,ACK", "ACK", "FIN,ACK", "RST", "ACK,PSH"]).prop_map(Kind::Tcp),
        3 => Just(Kind::Udp),
        2 => Just(Kind::Echo),
        1 => Just(Kind::EchoReply),
        2 => error.prop_map(|(v4, v6)| Kind::Error(v4, v6)),
        1 => select(&[47u8, 132, 253]).prop_map(Kind::Other),
        1 => Just(Kind::Ask),
        1 => Just(Kind::NotIp),
    ];
    // Some are for one family alone, and left out of the other.
    let clauses = prop_oneof![
        8 => Just(""),
        4 => select(&[
            "ttl 1", "ttl 2", "ttl 3", "len 1300", "ipopt 94040000", "hopopt 010400000000",
            "dstopt 010400000000", "vlan 7", "frag 0..32 more", "frag 32..", "tos 0xb8", "df", "cut 40",
        ]),
    ];
    let spoofed = prop::bool::weighted(0.05);
    let before = prop_oneof![
        12 => Just(""),
        1 => Just("after = \"61s\"\n"),
        1 => Just("after = \"7h\"\n"),
        1 => Just("collect = true\n\n[[step]]\n"),
    ];
    let what = (kind, clauses, spoofed, before);
    (from, any::<bool>(), to, what).prop_map(|(from, v6, to, (kind, clauses, spoofed, before))| {
        Sent {
            from,
            v6,
            to,
            kind,
            clauses,
            spoofed,
            before,
        }
    })
}

fn text(network: &Network, packets: &[Sent]) -> String {
    let alone = matches!(network.way, Way::World | Way::WorldRouted);
    let echo = alone && network.echo;
    let world = if echo { "eth0 = \"echo\"" } else { "" };
    let mut text = format!(
        "description = \"Laws\"\ndeny = [\"198.51.100.0/24\"]\nresponders = {{ {world} }}\n[datapath]\n"
    );
    let settings = [
        (
            "host-routing",
            matches!(network.way, Way::WorldRouted | Way::Routes),
        ),
        ("redirect-peer", network.redirect_peer),
        ("audit", network.audit),
        ("masquerade", network.masquerade),
        ("trace", network.trace),
        ("policy-verdicts", network.trace),
    ];
    for (name, value) in settings {
        let _ = writeln!(text, "{name} = {value}");
    }
    if network.gateway {
        text += "gateway-ipv4 = \"10.0.0.1\"\ngateway-ipv6 = \"fd00:a::1\"\n";
    }
    let overlay = match network.way {
        Way::Overlay => {
            text += "overlay = \"vxlan0\"\n";
            "overlay = \"external-vxlan\"\n"
        }
        _ => "",
    };
    let (nodes, host) = (if alone { 1 } else { 2 }, network.host);
    let _ = write!(
        text,
        "[topology]\nnodes = {nodes}\npods = 2\nhost = {host}\n{overlay}{PROGRAMS}"
    );
    if network.way == Way::Overlay {
        text += "overlay = { tc-ingress = \"from_overlay\", tc-egress = \"to_overlay\" }\n";
    }
    if host {
        text += "host = { tc-egress = \"from_host\" }\nnet = { tc-ingress = \"to_host\" }\n";
    }
    for pod in 0..2 * nodes {
        text += &endpoint(pod);
    }
    text += SERVICE;
    let pods = |rule: &&String| !alone || !rule.contains("\"p2");
    for rule in network.rules.iter().filter(pods) {
        let _ = write!(text, "[[policy]]\n{rule}");
    }
    for (number, sent) in packets.iter().enumerate() {
        text += &step(sent, alone, echo, number);
    }
    text
}

const PROGRAMS: &str = r#"
[topology.programs]
pod = { tc-ingress = "from_container", tc-egress = "to_container" }
uplink = { xdp = "xdp_entry", tc-ingress = "from_netdev", tc-egress = "to_netdev" }
"#;

const SERVICE: &str = r#"
[[service]]
name = "web4"
vip = "192.0.2.80"
port = 80
protocol = "tcp"
backends = [{ address = "10.0.1.1", port = 8080 }, { address = "203.0.113.10", port = 80 }]
[[service]]
name = "web6"
vip = "2001:db8:1::80"
port = 53
protocol = "udp"
backends = [{ address = "fd00:a::1:1", port = 5353 }]
"#;

/// The node and the place of a pod, from 1.
fn place(pod: u8) -> (u8, u8) {
    (pod / 2 + 1, pod % 2 + 1)
}

fn endpoint(pod: u8) -> String {
    let (node, place) = place(pod);
    let letter = char::from(b'a' + node - 1);
    format!(
        "[[endpoint]]\nname = \"p{node}{place}\"\ndevice = \"lxc-{letter}{place}\"\nipv4 = \"10.0.{node}.{place}\"\n\
         ipv6 = \"fd00:a::{node}:{place}\"\nmac = \"0a:00:00:00:0{node}:0{place}\"\nidentity = {node}00{place}\n"
    )
}

fn pod(pod: u8, v6: bool) -> String {
    let (node, place) = place(pod);
    match v6 {
        false => format!("10.0.{node}.{place}"),
        true => format!("fd00:a::{node}:{place}"),
    }
}

/// Of IPv4, or of IPv6.
fn either(v6: bool, addresses: [&str; 2]) -> String {
    addresses[usize::from(v6)].to_owned()
}

fn world(v6: bool) -> String {
    either(v6, ["203.0.113.9", "2001:db8::9"])
}

fn step(sent: &Sent, alone: bool, echo: bool, number: usize) -> String {
    let v6 = sent.v6;
    let on_node = |number: u8| if alone { number % 2 } else { number };
    let (arrival, source) = match sent.from {
        From::World if alone => ("on = \"eth0\"".to_owned(), world(v6)),
        From::World => ("from = \"a1\"".to_owned(), world(v6)),
        From::Pod(number) => {
            let number = on_node(number);
            let (node, place) = place(number);
            let letter = char::from(b'a' + node - 1);
            let source = if sent.spoofed {
                world(v6)
            } else {
                pod(number, v6)
            };
            (format!("from = \"{letter}{place}\""), source)
        }
    };
    let destination = match sent.to {
        // What comes back out into the world would go round for ever.
        To::Gateway | To::Node(2..) | To::World | To::Service
            if echo && matches!(sent.from, From::World) =>
        {
            pod(0, v6)
        }
        To::Pod(number) => pod(on_node(number), v6),
        To::Gateway => either(v6, ["10.0.0.1", "fd00:a::1"]),
        To::Node(1) => either(v6, ["192.168.0.1", "fd00:c0::1"]),
        To::Node(_) => either(v6, ["192.168.0.2", "fd00:c0::2"]),
        To::World => either(v6, ["203.0.113.7", "2001:db8::7"]),
        To::Service => either(v6, ["192.0.2.80", "2001:db8:1::80"]),
    };
    let packet = packet(sent, &source, &destination, number);
    let before = sent.before;
    format!("[[step]]\n{before}{arrival}\nsend = '{packet}'\n")
}

fn packet(sent: &Sent, source: &str, destination: &str, number: usize) -> String {
    let v6 = sent.v6;
    let end = |address: &str, port: u16| match v6 {
        true => format!("[{address}]:{port}"),
        false => format!("{address}:{port}"),
    };
    // Few ports, so that packets belong to one another.
    let port = 1000 + number as u16 % 3;
    let payload = format!("payload \"token-{number:0DIGITS$} and some more of it\"");
    let clauses = match (sent.clauses.split(' ').next(), v6) {
        (Some("ipopt" | "df"), true) | (Some("hopopt" | "dstopt"), false) => "",
        (Some("frag"), _) if matches!(sent.kind, Kind::Error(..)) => "",
        _ => sent.clauses,
    };
    // One payload is enough.
    let (clauses, payload) = match clauses.starts_with("len") {
        true => (clauses, String::new()),
        false => (clauses, payload),
    };
    let (udp, tcp) = (if v6 { 53 } else { 55 }, [80, 8080][number % 2]);
    match sent.kind {
        Kind::Tcp(flags) => format!(
            "tcp {} > {} {flags} {payload} {clauses}",
            end(source, port),
            end(destination, tcp)
        ),
        Kind::Udp => format!(
            "udp {} > {} {payload} {clauses}",
            end(source, port),
            end(destination, udp)
        ),
        Kind::Echo => {
            format!("icmp {source} > {destination} echo id {port} seq 1 {payload} {clauses}")
        }
        Kind::EchoReply => {
            format!("icmp {source} > {destination} echo-reply id {port} seq 1 {payload} {clauses}")
        }
        Kind::Error(v4, of_v6) => {
            let message = if v6 { of_v6 } else { v4 };
            let about = format!(
                "udp {} > {} payload \"token-{number:0DIGITS$}\"",
                end(destination, port),
                end(source, udp)
            );
            let clauses = if clauses.starts_with("len") {
                ""
            } else {
                clauses
            };
            format!("icmp {source} > {destination} {message} quote {{ {about} }} {clauses}")
        }
        Kind::Other(protocol) => {
            format!("ip {source} > {destination} proto {protocol} {payload} {clauses}")
        }
        Kind::Ask if v6 => format!(
            "icmp {source} > ff02::1:ff00:1 neighbor-solicit {destination} at 0a:00:00:00:01:01 ttl 255"
        ),
        Kind::Ask => format!("arp who-has {destination} tell {source}"),
        Kind::NotIp => "ether 0x88cc payload 0x0207".to_owned(),
    }
}
