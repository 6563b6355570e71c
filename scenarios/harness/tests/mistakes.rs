//! What a person is told about a mistake in a scenario file.

use std::path::Path;

use twinpath::scenario::Scenario;

/// A scenario without mistakes, which each case spoils.
const GOOD: &str = r#"description = "A frame arrives"

[[device]]
name = "eth0"
addresses = ["192.0.2.1/24"]

[[step]]
send = "tcp 192.0.2.10:40000 > 192.0.2.80:80 SYN"
expect.verdict = "XDP_TX"
"#;

/// Where the file would be: relative paths in it start from its folder.
const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mistake.toml");

/// A network without mistakes.
const NETWORK: &str = r#"description = "A packet is passed on"
wires = [["a/eth0", "b/eth0"]]

[[node]]
name = "a"

[[node.device]]
name = "eth0"
addresses = ["192.168.0.1/24"]

[[node.device]]
name = "out"

[[node.route]]
to = "10.0.0.0/8"
via = "192.168.0.2"

[[node.rule]]
priority = 100
table = 254

[[node]]
name = "b"

[[node.device]]
name = "eth0"

[[node.neighbour]]
device = "eth0"
address = "192.168.0.1"
mac = "02:00:00:00:00:0a"

[[step]]
on = "out"
send = "udp 192.0.2.10:40000 > 10.0.0.1:53"
"#;

/// A topology without mistakes.
const TOPOLOGY: &str = r#"description = "A packet is passed on"

[topology]
nodes = 2
pods = 1

[[step]]
from = "a1"
send = "udp 10.0.1.1:40000 > 10.0.2.1:53"
expect.ends = "reaches b1"
"#;

/// A call without mistakes.
const CALL: &str = r#"description = "A socket listens"

[[node]]
name = "a"

[[step]]
call = ["socket web tcp", "bind web 0.0.0.0:80"]
expect.local = "0.0.0.0:80"
"#;

/// Before an entry of a map with types.
const TYPED: &str = r#"[[object]]
path = "../../suite/object/typed.bpf.o"

[[map]]
map = "rules"
"#;

/// An entry of a map with a program, without mistakes.
const ENTRY: &str = r#"description = "What is redirected meets the program of an entry"

[[object]]
path = "../../suite/node/devmap.bpf.o"

[[device]]
name = "eth0"
xdp = "by_index"

[[map]]
map = "ports"
key = 0
value = { ifindex = { device = "eth0" } }
program = "mark"

[[step]]
send = "udp 10.0.0.1:1 > 10.0.0.2:0"
expect.verdict = ["XDP_REDIRECT", "XDP_PASS"]
"#;

/// A call of a pod without mistakes.
const POD_CALL: &str = r#"description = "A pod opens a socket, and another one sends to it"

[topology]
nodes = 2
pods = 1
overlay = "none"

[[object]]
path = "../../suite/node/acts.bpf.o"

[[step]]
from = "a1"
call = "socket client udp"

[[step]]
from = "b1"
send = "udp 10.0.2.1:1 > 10.0.1.1:2"
"#;

fn mistake(from: &str, to: &str) -> String {
    mistake_in(GOOD, from, to)
}

fn mistake_in(good: &str, from: &str, to: &str) -> String {
    assert!(good.contains(from), "{from}");
    let text = good.replacen(from, to, 1);
    let scenario = Scenario::parse(Path::new(PLACE), text);
    match scenario.and_then(|scenario| scenario.case()) {
        Ok(_) => panic!("no mistake in {to}"),
        Err(error) => error.to_string().replace(env!("CARGO_MANIFEST_DIR"), ""),
    }
}

#[test]
fn mistakes_are_shown_in_their_place() {
    let step = "expect.verdict";
    let replay = "replay = \"../../../pcaps/corpus/dns.pcap\"";
    let replay = |more: &str| format!("{replay}\n{more}");
    let send = "send = \"tcp 192.0.2.10:40000 > 192.0.2.80:80 SYN\"";
    let other = "[[device]]\nname = \"eth1\"\n\n[[step]]";
    let cases = [
        ("no TOML", "[[device]]", "[[device]".to_owned()),
        ("an unknown key", "addresses =", "adresses =".to_owned()),
        ("a key that is missing", "name = \"eth0\"\n", String::new()),
        ("a value of the wrong type", "\"eth0\"", "5".to_owned()),
        ("no address", "192.0.2.1/24", "192.0.2/24".to_owned()),
        ("no MAC address", "addresses", "mac = \"02:00:00\"\naddresses".to_owned()),
        ("a device's name too long", "\"eth0\"", "\"a-device-of-mine\"".to_owned()),
        ("a device twice", "[[step]]", "[[device]]\nname = \"eth0\"\n\n[[step]]".to_owned()),
        ("an index twice", "[[step]]", "[[device]]\nname = \"eth1\"\nifindex = 10\n\n[[step]]".to_owned()),
        ("a step without a device", "[[step]]", other.to_owned()),
        ("a step that does two things", step, "send-hex = \"00\"\nexpect.verdict".to_owned()),
        ("a step that does nothing", send, String::new()),
        ("hex that is none", send, "send-hex = \"0x12\"".to_owned()),
        ("a frame's mistake in its place", "192.0.2.80:80 SYN", "192.0.2.80 SYN".to_owned()),
        ("a frame too long", "192.0.2.80:80 SYN", "192.0.2.80:80 SYN len 1461 vlan 5".to_owned()),
        ("a frame too short", send, "send-hex = \"02\"".to_owned()),
        ("a packet too long", "[[step]]\nsend = \"tcp 192.0.2.10:40000 > 192.0.2.80:80 SYN\"", "mtu = 68\n\n[[step]]\nreplay = \"../../../pcaps/corpus/dns.pcap\"".to_owned()),
        ("no time", step, "after = \"soon\"\nexpect.verdict".to_owned()),
        ("no end", step, "expect.ends = \"eth0\"\nexpect.verdict".to_owned()),
        ("an end at an unknown device", step, "expect.ends = \"leaves eth7\"\nexpect.verdict".to_owned()),
        ("no packet numbers", send, replay("packets = \"0-3\"")),
        ("packets that the capture lacks", send, replay("packets = \"1-4000\"")),
        ("an exception that fits nothing", step, "except = [{ when = { \"ip.ttl\" = 3 }, expect = {} }]\nexpect.verdict".to_owned()),
        ("a field that no header has", step, "expect.fields.\"ip.tll\" = 63\nexpect.verdict".to_owned()),
        ("a field of no header", step, "expect.fields = { \"mac.dst\" = \"02:00:00:00:00:01\" }\nexpect.verdict".to_owned()),
        ("a field of an inner header that is the outer one", step, "expect.fields.\"ip.ttl#1\" = 63\nexpect.verdict".to_owned()),
        ("a condition on no field", send, replay("except = [{ when = { \"udp.dstprt\" = 53 }, expect = {} }]")),
        ("a field that no value has", step, "expect.verdict = \"XDP_TX\"\n\n[[expect.entry]]\nmap = \"metrics\"\nkey = \"ingress\"\nvalue = { packts = 1 }\n#".to_owned()),
        ("an expectation that says too much", step, "expect.verdict = \"XDP_TX\"\n\n[[expect.map]]\nmap = \"metrics\"\nentries = 1\nabsent = true\n#".to_owned()),
        ("a key of the wrong size", step, "expect.verdict = \"XDP_TX\"\n\n[[expect.map]]\nmap = \"metrics\"\nkey = { u32 = 1 }\nabsent = true\n#".to_owned()),
        ("an unknown literal", step, "expect.verdict = \"XDP_TX\"\n\n[[expect.map]]\nmap = \"metrics\"\nkey = { u23 = 1 }\nabsent = true\n#".to_owned()),
        ("an unknown member", "[[device]]", TYPED.to_owned() + "key = { addr = \"192.0.2.80\", prt = 53 }\nvalue = {}\n\n[[device]]"),
        ("a member's value that is too large", "[[device]]", TYPED.to_owned() + "key = { port = 65536 }\nvalue = {}\n\n[[device]]"),
        ("an unknown enumerator", "[[device]]", TYPED.to_owned() + "key = {}\n\n[map.value]\nlogged = true\naction = \"ADMITT\"\n\n[[device]]"),
        ("a device in a literal", "[[step]]", "[[map]]\nmap = \"lxc_device\"\nkey = { device = \"eth9\" }\nvalue = { zeros = 52 }\n\n[[step]]".to_owned()),
        ("an object that is not there", "[[device]]", "[[object]]\npath = \"none.o\"\n\n[[device]]".to_owned()),
        ("an unknown variable", "[[device]]", "[[object]]\npath = \"../../../datapath/objects/twinpath.o\"\nglobals.HASH_SED = { u32 = 1 }\n\n[[device]]".to_owned()),
        ("a variable of another size", "[[device]]", "[[object]]\npath = \"../../../datapath/objects/twinpath.o\"\nglobals.HASH_SEED = { u64 = 1 }\n\n[[device]]".to_owned()),
        ("two objects of a name", "[[device]]", "[[object]]\npath = \"../../../datapath/objects/twinpath.o\"\n\n[[object]]\npath = \"../../../datapath/objects/twinpath.o\"\n\n[[device]]".to_owned()),
        ("a program of two objects", "[[device]]\n", "[[object]]\npath = \"../../../datapath/objects/twinpath.o\"\n\n[[object]]\nname = \"other\"\npath = \"../../../datapath/objects/twinpath.o\"\n\n[[device]]\nxdp = \"xdp_entry\"\n".to_owned()),
        ("an unknown object", "addresses", "xdp = \"mine:xdp_entry\"\naddresses".to_owned()),
        ("a cluster without the datapath", "[[device]]", "deny = [\"192.0.2.0/24\"]\n[[object]]\npath = \"objects/plain.bpf.o\"\n\n[[device]]".to_owned()),
        ("a service that contradicts itself", "[[step]]", "[[service]]\nname = \"web\"\nvip = \"192.0.2.80\"\nport = 80\nprotocol = \"tcp\"\nbackends = [{ address = \"fd00::1\", port = 80 }]\n\n[[step]]".to_owned()),
    ];
    let text: Vec<String> = cases
        .iter()
        .map(|(title, from, to): &(&str, &str, String)| format!("# {title}\n{}", mistake(from, to)))
        .collect();
    insta::assert_snapshot!(text.join("\n\n"));
}

/// Manifests without mistakes.
const MANIFEST: &str = r#"apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: main}]}
status: {podIPs: [{ip: 10.0.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop}
spec: {containers: [{name: main}]}
status: {podIPs: [{ip: 10.0.0.2}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - ports: [{port: 80}]
"#;

/// A slice of a service that is not the API.
const SLICE_OF_WEB: &str = "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, namespace: shop}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
---
";

/// The API somewhere else.
const SLICE_OUTSIDE: &str = "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1]}]
---
";

/// A scenario of them without mistakes.
const OF_MANIFEST: &str = r#"description = "Pods speak with each other"
manifests = ["cluster.yaml"]

[[step]]
send = "tcp web:40000 > db:80 SYN"
expect.ends = "reaches db"
"#;

#[test]
fn mistakes_in_manifests_and_of_names_are_shown_in_their_place() {
    let manifest = [
        (
            "no YAML",
            "{name: db, namespace: shop}",
            "{name: db, namespace: shop",
        ),
        (
            "a kind that is none of ours",
            "kind: NetworkPolicy",
            "kind: Ingress",
        ),
        ("an object without a kind", "kind: NetworkPolicy\n", ""),
        ("a field that there is not", "podSelector", "podSelecter"),
        ("no address", "10.0.0.2", "10.0.0.256"),
        ("an address twice", "10.0.0.2", "10.0.0.1"),
        ("a name twice", "{name: db,", "{name: web,"),
        (
            "a port that is none",
            "port: 80",
            "port: 80, protocol: QUIC",
        ),
        (
            "ports that end before they begin",
            "port: 80",
            "port: 80, endPort: 79",
        ),
        (
            "a range that is none",
            "- ports: [{port: 80}]",
            "- from: [{ipBlock: {cidr: 10.0.0.0/33}}]",
        ),
        (
            "an exception outside of its range",
            "- ports: [{port: 80}]",
            "- from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]",
        ),
        ("the API of another service", "---\n", SLICE_OF_WEB),
        ("the API on no node", "---\n", SLICE_OUTSIDE),
    ];
    let scenario = [
        ("an unknown sender", "web:40000", "wbe:40000"),
        ("an unknown receiver", "> db:80", "> cache:80"),
        ("an address that the pod has not", "tcp web", "tcp6 web"),
        ("a frame's mistake behind names", "SYN", "SIN"),
        ("an end at an unknown pod", "reaches db", "reaches cache"),
        ("a file that is not there", "cluster.yaml", "clusters.yaml"),
        (
            "a change that is none",
            "[[step]]",
            "[[step]]\nchange.manifests = [\"cluster.yaml\"]\n\n[[step]]",
        ),
        (
            "a change with a packet",
            "send =",
            "change.deny = [\"192.0.2.0/24\"]\nsend =",
        ),
        (
            "a collection with a packet",
            "send =",
            "collect = true\nsend =",
        ),
        (
            "a change of what there is not",
            "[[step]]",
            "[[step]]\nchange.polices = []\n\n[[step]]",
        ),
        (
            "manifests beside clusters",
            "[[step]]",
            "[[cluster]]\nname = \"west\"\nid = 1\nmanifests = []\n\n[[step]]",
        ),
        (
            "a cluster with another's number",
            "manifests = [\"cluster.yaml\"]",
            "[[cluster]]\nname = \"west\"\nid = 1\nmanifests = [\"cluster.yaml\"]\n\n[[cluster]]\nname = \"east\"\nid = 1\nmanifests = []",
        ),
        (
            "a cluster without a number",
            "manifests = [\"cluster.yaml\"]",
            "[[cluster]]\nname = \"west\"\nid = 0\nmanifests = [\"cluster.yaml\"]",
        ),
        (
            "a pod with an identity",
            "[[step]]",
            "[[endpoint]]\nname = \"web\"\ndevice = \"lxc1\"\nmac = \"02:00:00:00:0e:01\"\nidentity = 7\n\n[[step]]",
        ),
    ];
    let manifest = manifest.map(|(title, from, to)| {
        assert!(MANIFEST.contains(from), "{title}");
        (
            title,
            MANIFEST.replacen(from, to, 1),
            OF_MANIFEST.to_owned(),
        )
    });
    let scenario = scenario.map(|(title, from, to)| {
        assert!(OF_MANIFEST.contains(from), "{title}");
        (
            title,
            MANIFEST.to_owned(),
            OF_MANIFEST.replacen(from, to, 1),
        )
    });
    let all = manifest.into_iter().chain(scenario);
    let text: Vec<String> = all
        .map(|(title, manifest, scenario)| format!("# {title}\n{}", told(&manifest, scenario)))
        .collect();
    insta::assert_snapshot!(text.join("\n\n"));
}

/// What is said of a scenario beside a manifest.
fn told(manifest: &str, scenario: String) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("cluster.yaml"), manifest).expect("room for it");
    let scenario = Scenario::parse(&file("mistake.toml"), scenario);
    let error = scenario.and_then(|scenario| scenario.case()).err();
    let error = error.expect("it is a mistake").to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn mistakes_in_networks_are_shown_in_their_place() {
    let cases = [
        ("an unknown end of a wire", "b/eth0\"]", "b/eth1\"]"),
        ("a wire to itself", "b/eth0\"]", "a/eth0\"]"),
        (
            "a wire from a tunnel",
            "[\"a/eth0\", \"b/eth0\"]]\n\n[[node]]\nname = \"a\"\n",
            "[\"a/tunnel\", \"b/eth0\"]]\n\n[[node]]\nname = \"a\"\n[[node.device]]\nname = \"tunnel\"\nvxlan = {}\n",
        ),
        (
            "a name that settings have",
            "name = \"out\"",
            "name = \"all\"",
        ),
        ("two nodes of a name", "name = \"b\"", "name = \"a\""),
        (
            "a node with the name of the only one",
            "name = \"b\"",
            "name = \"node\"",
        ),
        (
            "two kinds of device",
            "name = \"out\"",
            "name = \"out\"\ndummy = true\nvxlan = { vni = 3 }",
        ),
        (
            "no room for IPv6",
            "name = \"out\"",
            "name = \"out\"\nmtu = 1000\naddresses = [\"fd00::1/64\"]",
        ),
        (
            "a gateway nowhere",
            "via = \"192.168.0.2\"",
            "via = \"192.168.7.2\"",
        ),
        (
            "a route without a device",
            "via = \"192.168.0.2\"",
            "metric = 3",
        ),
        ("a rule that does nothing", "table = 254", "mark = 3"),
        (
            "a neighbour on no device",
            "device = \"eth0\"",
            "device = \"eth7\"",
        ),
        ("a device of several nodes", "on = \"out\"", "on = \"eth0\""),
        ("a frame at a wire", "on = \"out\"", "on = \"a/eth0\""),
        (
            "a wire with one end",
            "wires = [[\"a/eth0\", \"b/eth0\"]]",
            "wires = [[\"a/eth0\"]]",
        ),
        (
            "a switch that has a device twice",
            "wires = [[\"a/eth0\", \"b/eth0\"]]",
            "wires = [[\"a/eth0\", \"b/eth0\", \"a/eth0\"]]",
        ),
        (
            "a bridge without ports",
            "name = \"out\"",
            "name = \"out\"\n\n[[node.device]]\nname = \"br0\"\nbridge = []",
        ),
        (
            "a bridge with an unknown port",
            "name = \"out\"",
            "name = \"out\"\n\n[[node.device]]\nname = \"br0\"\nbridge = [\"out\", \"eth7\"]",
        ),
        (
            "a port of two bridges",
            "name = \"out\"",
            "name = \"out\"\n\n[[node.device]]\nname = \"br0\"\nbridge = [\"out\"]\n\n[[node.device]]\nname = \"br1\"\nbridge = [\"out\"]",
        ),
        (
            "a device beside nodes",
            "[[step]]",
            "[[device]]\nname = \"eth0\"\n\n[[step]]",
        ),
        (
            "a map without a node",
            "[[step]]",
            "[[expect.map]]\nmap = \"metrics\"\nentries = 1\n\n[[step]]",
        ),
        (
            "a map of an unknown node",
            "[[step]]",
            "[[expect.map]]\nmap = \"metrics\"\nnode = \"c\"\nentries = 1\n\n[[step]]",
        ),
        (
            "a map that a node does not load",
            "[[step]]",
            "[[map]]\nmap = \"metrics\"\nnode = \"b\"\nkey = \"00\"\nvalue = \"00\"\n\n[[node]]\nname = \"c\"\n[[node.device]]\nname = \"x\"\nxdp = \"xdp_entry\"\n\n[[step]]",
        ),
    ];
    let clusters = [
        ("too many nodes", "nodes = 2", "nodes = 10"),
        ("an unknown pod", "from = \"a1\"", "from = \"a7\""),
        (
            "from and on",
            "from = \"a1\"",
            "from = \"a1\"\non = \"lxc-a1\"",
        ),
        ("an end at an unknown pod", "reaches b1", "reaches c1"),
        (
            "an unknown responder",
            "[topology]",
            "[responders]\na1 = \"ecko\"\n\n[topology]",
        ),
        (
            "a responder within the network",
            "[topology]",
            "[responders]\n\"b/eth0\" = \"echo\"\n\n[topology]",
        ),
        (
            "an unknown overlay",
            "pods = 1",
            "pods = 1\noverlay = \"geneve\"",
        ),
        (
            "a topology and nodes",
            "[[step]]",
            "[[node]]\nname = \"c\"\n\n[[step]]",
        ),
    ];
    let networks = cases.map(|case| (NETWORK, case));
    let clusters = clusters.map(|case| (TOPOLOGY, case));
    let text: Vec<String> = networks
        .into_iter()
        .chain(clusters)
        .map(|(good, (title, from, to))| format!("# {title}\n{}", mistake_in(good, from, to)))
        .collect();
    insta::assert_snapshot!(text.join("\n\n"));
}

#[test]
fn mistakes_in_calls_are_shown_in_their_place() {
    let bind = "\"bind web 0.0.0.0:80\"";
    let expect = "expect.local = \"0.0.0.0:80\"";
    let cases = [
        ("no call", bind, "\"binds web 0.0.0.0:80\""),
        ("no kind of socket", "web tcp", "web sctp"),
        ("no port", bind, "\"bind web 0.0.0.0\""),
        ("too much", bind, "\"listen web 8\""),
        ("an unknown socket", bind, "\"bind wob 0.0.0.0:80\""),
        (
            "a socket without a name for the new one",
            bind,
            "\"accept web\"",
        ),
        ("nothing to send", bind, "\"send web\""),
        (
            "a datagram to a group",
            "\"socket web tcp\", \"bind web 0.0.0.0:80\"",
            "\"socket web udp\", \"send web hello to 224.0.0.251:5353\"",
        ),
        (
            "a datagram to everybody",
            "\"socket web tcp\", \"bind web 0.0.0.0:80\"",
            "\"socket web udp\", \"set web broadcast\", \"send web hello to 255.255.255.255:67\"",
        ),
        ("an unknown setting", bind, "\"set web reuse\""),
        (
            "a call and a frame",
            "expect",
            "send = \"udp 10.0.0.1:1 > 10.0.0.2:2\"\nexpect",
        ),
        ("a packet into a call", expect, "expect.unchanged = true"),
        ("a pod of nobody", "call", "from = \"a1\"\ncall"),
        (
            "a packet that gives a result",
            "call = [\"socket web tcp\", \"bind web 0.0.0.0:80\"]",
            "send-hex = \"00\"",
        ),
        ("an unknown node", "call", "node = \"b\"\ncall"),
        (
            "sockets without a network stack",
            "[[node]]\nname = \"a\"",
            "[[device]]\nname = \"eth0\"",
        ),
        (
            "a program for devices",
            "name = \"a\"",
            "name = \"a\"\nsocket-programs = \"xdp_entry\"",
        ),
    ];
    let in_pods = [
        (
            "a call of a pod on a node",
            "from = \"a1\"\ncall",
            "from = \"a1\"\nnode = \"a\"\ncall",
        ),
        (
            "a name of sockets in two places",
            "[[step]]\nfrom = \"b1\"",
            "[[step]]\nfrom = \"b1\"\ncall = \"socket client udp\"\n\n[[step]]\nfrom = \"b1\"",
        ),
        (
            "a frame of a pod that makes calls",
            "from = \"b1\"",
            "from = \"a1\"",
        ),
    ];
    let text = cases.iter().map(|case| (CALL, case));
    let text = text.chain(in_pods.iter().map(|case| (POD_CALL, case)));
    let text: Vec<String> = text
        .map(|(good, (title, from, to))| format!("# {title}\n{}", mistake_in(good, from, to)))
        .collect();
    insta::assert_snapshot!(text.join("\n\n"));
}

#[test]
fn mistakes_in_entries_with_programs_are_shown_in_their_place() {
    assert!(
        Scenario::parse(Path::new(PLACE), ENTRY.to_owned()).is_ok_and(|good| good.case().is_ok())
    );
    let value = "value = { ifindex = { device = \"eth0\" } }";
    let cases = [
        ("a program for devices", "\"mark\"", "\"by_index\""),
        ("an unknown program", "\"mark\"", "\"marks\""),
        ("a program without a device", value, ""),
        (
            "values without room for one",
            "map = \"ports\"",
            "map = \"slim\"",
        ),
        ("a map of CPUs", "map = \"ports\"", "map = \"cpus\""),
        (
            "a map of something else",
            "map = \"ports\"",
            "map = \"sights\"",
        ),
        (
            "a program for entries at a device",
            "xdp = \"by_index\"",
            "xdp = \"mark\"",
        ),
    ];
    let text: Vec<String> = cases
        .iter()
        .map(|(title, from, to)| {
            let spoilt = match *title {
                "values without room for one" => {
                    ENTRY.replace(value, "value = { device = \"eth0\" }")
                }
                "a map of CPUs" => ENTRY
                    .replace(value, "value = { qsize = 1 }")
                    .replace("\"mark\"", "\"elsewhere\""),
                _ => ENTRY.to_owned(),
            };
            format!("# {title}\n{}", mistake_in(&spoilt, from, to))
        })
        .collect();
    insta::assert_snapshot!(text.join("\n\n"));
}
