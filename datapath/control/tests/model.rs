//! From a user's file to map entries.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use twinpath_control::abi::{
    Backend, BackendId, DeviceEndpoint, EndpointInfo, FromBytes as _, Ifindex, MaglevTable,
    PolicyEntry, PolicyKey, RemoteEndpoint, ServiceValue, map,
};
use twinpath_control::population::Population;
use twinpath_control::{Cluster, Device, Entry, Here, MapWriter, ModelError, NodeState, describe};

const CLUSTER: &str = r#"
    deny = ["198.51.100.7/24", "2001:db8:bad::/48"]

    [[endpoint]]
    name = "web"
    device = "lxc1"
    ipv4 = "10.0.1.10"
    ipv6 = "fd00::10"
    mac = "02:00:00:00:01:0a"
    identity = 1001

    [[endpoint]]
    name = "db"
    device = "lxc2"
    ipv6 = "fd00::20"
    mac = "02:00:00:00:01:14"
    identity = 1002
    id = 77

    [[service]]
    name = "shop"
    vip = "192.0.2.80"
    port = 80
    protocol = "tcp"
    backends = [
        { address = "10.0.1.10", port = 8080, mac = "02:00:00:00:01:0a" },
        { address = "10.0.1.11", port = 8080 },
    ]

    [[service]]
    name = "shop-tls"
    vip = "192.0.2.80"
    port = 443
    protocol = "tcp"
    backends = [{ address = "10.0.1.11", port = 8080 }]

    [[service]]
    name = "empty"
    vip = "2001:db8::80"
    port = 53
    protocol = "udp"
"#;

fn devices(name: &str) -> Option<Device> {
    let number: u8 = name.strip_prefix("lxc")?.parse().ok()?;
    Some(Device {
        ifindex: Ifindex(10 + u32::from(number)),
        mac: format!("02:00:00:00:00:{number:02x}").parse().ok()?,
    })
}

fn cluster(text: &str) -> Cluster {
    toml::from_str(text).unwrap()
}

fn state(text: &str) -> Result<NodeState, ModelError> {
    let here = Here {
        node: None,
        addresses: vec!["10.0.1.1".parse().unwrap()],
        others: Vec::new(),
        devices: &devices,
    };
    NodeState::new(&cluster(text), &Population::default(), &here)
}

fn lines(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| {
            let line = describe::line(entry.map, &entry.key, &entry.value);
            format!("{} {}", entry.map, line.unwrap())
        })
        .collect()
}

#[test]
fn a_cluster_becomes_entries() {
    let state = state(CLUSTER).unwrap();
    let web =
        "endpoint 1, identity 1001, ifindex 11, mac 02:00:00:00:01:0a, node-mac 02:00:00:00:00:01";
    let db =
        "endpoint 77, identity 1002, ifindex 12, mac 02:00:00:00:01:14, node-mac 02:00:00:00:00:02";
    assert_eq!(
        lines(state.entries()),
        [
            format!("lxc 10.0.1.10: {web}"),
            format!("lxc fd00::10: {web}"),
            "lxc_device ifindex 11: endpoint 1, identity 1001, ipv4 10.0.1.10, ipv6 fd00::10"
                .into(),
            format!("lxc fd00::20: {db}"),
            "lxc_device ifindex 12: endpoint 77, identity 1002, ipv6 fd00::20".into(),
            "lxc 10.0.1.1: the node itself".into(),
            "ipcache 0.0.0.0/0: identity world-ipv4".into(),
            "ipcache 10.0.1.1/32: identity host".into(),
            "ipcache 10.0.1.10/32: identity 1001".into(),
            "ipcache ::/0: identity world-ipv6".into(),
            "ipcache fd00::10/128: identity 1001".into(),
            "ipcache fd00::20/128: identity 1002".into(),
            "policy endpoint 1, ingress, identity any, any: allow".into(),
            "policy endpoint 1, egress, identity any, any: allow".into(),
            "policy endpoint 77, ingress, identity any, any: allow".into(),
            "policy endpoint 77, egress, identity any, any: allow".into(),
            "policy endpoint host, ingress, identity any, any: allow".into(),
            "policy endpoint host, egress, identity any, any: allow".into(),
            "lb_backends backend 1: 10.0.1.10:8080/tcp, mac 02:00:00:00:01:0a".into(),
            "lb_backends backend 2: 10.0.1.11:8080/tcp, mac of the sender".into(),
            "lb_services 192.0.2.80:80/tcp: service 1, backends 2".into(),
            "lb_services 192.0.2.80:443/tcp: service 2, backends 1".into(),
            "lb_services [2001:db8::80]:53/udp: service 3, backends 0".into(),
            "lb_services 192.0.2.80 any: service 0, backends 0".into(),
            "lb_services 2001:db8::80 any: service 0, backends 0".into(),
            "lb_maglev service 1: backend 1 has 511 slots, backend 2 has 510 slots".into(),
            "lb_maglev service 2: backend 2 has 1021 slots".into(),
            "prefilter 198.51.100.0/24: rule 0".into(),
            "prefilter 2001:db8:bad::/48: rule 1".into(),
        ]
    );
}

#[test]
fn entries_have_the_sizes_of_the_maps() {
    let sizes = |name| match name {
        map::LXC => (20, size_of::<EndpointInfo>()),
        map::LXC_DEVICE => (4, size_of::<DeviceEndpoint>()),
        map::LB_SERVICES => (24, size_of::<ServiceValue>()),
        map::LB_BACKENDS => (4, size_of::<Backend>()),
        map::LB_MAGLEV => (2, size_of::<MaglevTable>()),
        map::PREFILTER => (24, 4),
        map::IPCACHE => (24, size_of::<RemoteEndpoint>()),
        map::POLICY => (size_of::<PolicyKey>(), size_of::<PolicyEntry>()),
        other => panic!("{other}"),
    };
    for entry in state(CLUSTER).unwrap().entries() {
        assert_eq!(
            (entry.key.len(), entry.value.len()),
            sizes(entry.map),
            "{}",
            entry.map
        );
    }
}

#[test]
fn every_slot_has_a_backend_of_the_service() {
    let state = state(CLUSTER).unwrap();
    let tables: Vec<_> = state
        .entries()
        .iter()
        .filter(|entry| entry.map == map::LB_MAGLEV)
        .collect();
    assert_eq!(tables.len(), 2);
    let table = MaglevTable::read_from_bytes(&tables[0].value).unwrap();
    let known = [BackendId(1), BackendId(2)];
    assert!(table.backends.iter().all(|id| known.contains(id)));
}

/// Takes so many entries, then no more.
struct Small(usize);

impl MapWriter for Small {
    type Error = &'static str;

    fn update(&mut self, _map: &str, _key: &[u8], _value: &[u8]) -> Result<(), Self::Error> {
        self.0 = self.0.checked_sub(1).ok_or("is full")?;
        Ok(())
    }
}

#[test]
fn a_writer_gets_every_entry_or_the_error_names_the_map() {
    let state = state(CLUSTER).unwrap();
    let mut maps = Small(state.entries().len());
    state.write(&mut maps).unwrap();
    assert_eq!(maps.0, 0);
    let error = state.write(&mut Small(2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "map lxc_device did not take an entry: is full"
    );
}

#[test]
fn contradictions_are_named() {
    let endpoint = |name: &str, device: &str, rest: &str| {
        format!(
            "[[endpoint]]\nname = {name:?}\ndevice = {device:?}\nmac = \"02:00:00:00:01:0a\"\n\
             identity = 1\n{rest}\n"
        )
    };
    let service = |name: &str, vip: &str, backends: &str| {
        format!(
            "[[service]]\nname = {name:?}\nvip = {vip:?}\nport = 80\nprotocol = \"tcp\"\n\
             backends = [{backends}]\n"
        )
    };
    let v4 = r#"ipv4 = "10.0.0.1""#;
    let cases = [
        (
            endpoint("a", "eth7", v4),
            "endpoint `a`: no device `eth7` on this node",
        ),
        (
            endpoint("a", "lxc1", ""),
            "endpoint `a`: expected `ipv4`, `ipv6` or both",
        ),
        (
            endpoint("a", "lxc1", v4) + &endpoint("a", "lxc2", r#"ipv4 = "10.0.0.2""#),
            "endpoint `a`: the name is taken by another one",
        ),
        (
            endpoint("a", "lxc1", v4) + &endpoint("b", "lxc2", v4),
            "endpoint `b`: address 10.0.0.1 belongs to another endpoint",
        ),
        (
            endpoint("a", "lxc1", v4) + &endpoint("b", "lxc1", r#"ipv4 = "10.0.0.2""#),
            "endpoint `b`: device `lxc1` belongs to another endpoint",
        ),
        (
            endpoint("a", "lxc1", "ipv4 = \"10.0.0.1\"\nid = 2")
                + &endpoint("b", "lxc2", r#"ipv4 = "10.0.0.2""#),
            "endpoint `b`: number 2 belongs to another endpoint",
        ),
        (
            service("s", "192.0.2.1", "") + &service("t", "192.0.2.1", ""),
            "service `t`: 192.0.2.1:80/tcp belongs to another service",
        ),
        (
            service("s", "192.0.2.1", r#"{ address = "fd00::1", port = 1 }"#),
            "service `s`, backend 1: fd00::1 is not of the same family as the virtual IP 192.0.2.1",
        ),
        (
            service(
                "s",
                "192.0.2.1",
                r#"{ address = "10.0.0.1", port = 1 }, { address = "10.0.0.1", port = 1 }"#,
            ),
            "service `s`, backend 2: 10.0.0.1:1/tcp is listed twice",
        ),
        (
            service("s", "192.0.2.1", r#"{ address = "10.0.0.1", port = 1 }"#)
                + &service(
                    "t",
                    "192.0.2.2",
                    r#"{ address = "10.0.0.1", port = 1, mac = "02:00:00:00:00:01" }"#,
                ),
            "service `t`, backend 1: 10.0.0.1:1/tcp has another `mac` in another service",
        ),
        (
            r#"deny = ["10.0.0.0/8", "10.1.2.3/8"]"#.to_owned(),
            "deny list, entry 2: 10.0.0.0/8 is listed twice",
        ),
    ];
    for (text, expected) in cases {
        let error = state(&text).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn files_with_mistakes_are_refused() {
    let cases = [
        ("denied = []", "unknown field `denied`"),
        (r#"deny = ["10.0.0.0"]"#, "invalid IP address syntax"),
        (
            "[[endpoint]]\nname = \"a\"\ndevice = \"d\"\nmac = \"02:00\"\nidentity = 1",
            "expected six bytes in hex between colons",
        ),
        (
            "[[service]]\nname = \"a\"\nvip = \"10.0.0.1\"\nport = 0\nprotocol = \"tcp\"",
            "nonzero",
        ),
        (
            "[[service]]\nname = \"a\"\nvip = \"10.0.0.1\"\nport = 1\nprotocol = \"sctp\"",
            "unknown variant `sctp`",
        ),
    ];
    for (text, expected) in cases {
        let error = toml::from_str::<Cluster>(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn rules_become_entries_of_the_policy() {
    let text = format!(
        "{CLUSTER}
        [[policy]]
        endpoint = \"web\"
        direction = \"ingress\"
        identity = 1002
        protocol = \"tcp\"
        port = 80
        end-port = 83

        [[policy]]
        endpoint = \"web\"
        direction = \"ingress\"
        protocol = \"icmp\"
        deny = true

        [[ipcache]]
        prefix = \"10.0.2.0/24\"
        identity = 2001
        tunnel = \"192.0.2.2\"
        "
    );
    let lines = lines(state(&text).unwrap().entries());
    let of_web: Vec<&str> = lines
        .iter()
        .filter(|line| line.starts_with("policy endpoint 1,"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        of_web,
        [
            "policy endpoint 1, egress, identity any, any: allow",
            "policy endpoint 1, ingress, identity 1002, 80-83/tcp: allow",
            "policy endpoint 1, ingress, identity any, icmp: deny",
        ]
    );
    let known = "ipcache 10.0.2.0/24: identity 2001, tunnel 192.0.2.2";
    assert!(lines.iter().any(|line| line == known), "{lines:#?}");
}

#[test]
fn rules_that_say_nothing_are_refused() {
    let cases = [
        (
            "endpoint = \"gone\"",
            "policy rule 1: no endpoint `gone` on this node",
        ),
        (
            "endpoint = \"web\"\nport = 80",
            "policy rule 1: expected `protocol` beside `port`, and `port` beside `end-port`",
        ),
        (
            "endpoint = \"web\"\nprotocol = \"tcp\"\nport = 80\nend-port = 79",
            "policy rule 1: the ports from 80 to 79 are none",
        ),
    ];
    for (rule, expected) in cases {
        let text = format!("{CLUSTER}\n[[policy]]\ndirection = \"egress\"\n{rule}\n");
        let error = state(&text).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
