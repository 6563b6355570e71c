use twinpath_abi::{BackendId, EndpointFlags, EndpointId, Identity, IntoBytes, MAGLEV_SIZE, Mac};

use super::*;

fn bytes(record: &impl Record) -> Vec<u8> {
    record.as_bytes().to_vec()
}

#[test]
fn entries_read_well() {
    let vip = "192.0.2.80".parse().unwrap();
    let value = |rev_nat_index, count| ServiceValue {
        backend_id: BackendId(0),
        count,
        rev_nat_index: RevNatIndex(rev_nat_index),
        flags: 0,
        flags2: 0,
        qcount: 0,
    };
    let mut table = MaglevTable {
        backends: [BackendId(1); MAGLEV_SIZE],
    };
    table.backends[0] = BackendId(2);
    let v6: std::net::IpAddr = "fd00::10".parse().unwrap();
    let info = EndpointInfo {
        ifindex: Ifindex(7),
        lxc_id: EndpointId(3),
        reserved: 0,
        flags: EndpointFlags::default(),
        sec_id: Identity(1001),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        node_mac: Mac([2, 0, 0, 0, 0, 7]),
        reserved2: 0,
    };
    let backend = Backend {
        address: v6.into(),
        port: Port::new(8080),
        proto: Protocol::UDP,
        flags: 0,
        cluster_id: 0,
        zone: 0,
        family: Family::V6,
        mac: Mac::NONE,
        reserved: 0,
    };
    let count = MetricsValue {
        count: 3,
        bytes: 180,
    };
    let rule = PrefilterRule { rule: 4 };
    let cases = [
        (
            map::LXC,
            bytes(&EndpointKey::new(v6)),
            bytes(&info),
            "fd00::10: endpoint 3, identity 1001, ifindex 7, mac 02:00:00:00:00:01, \
             node-mac 02:00:00:00:00:07",
        ),
        (
            map::PREFILTER,
            bytes(&PrefixKey::new("198.51.100.0".parse().unwrap(), 24)),
            bytes(&rule),
            "198.51.100.0/24: rule 4",
        ),
        (
            map::LB_SERVICES,
            bytes(&ServiceKey::new(vip, Port::new(80), Protocol::TCP)),
            bytes(&value(1, 2)),
            "192.0.2.80:80/tcp: service 1, backends 2",
        ),
        (
            map::LB_SERVICES,
            bytes(&ServiceKey::wildcard(vip)),
            bytes(&value(0, 0)),
            "192.0.2.80 any: service 0, backends 0",
        ),
        (
            map::LB_BACKENDS,
            bytes(&BackendId(1)),
            bytes(&backend),
            "backend 1: [fd00::10]:8080/udp, mac of the sender",
        ),
        (
            map::LB_MAGLEV,
            bytes(&RevNatIndex(1)),
            bytes(&table),
            "service 1: backend 1 has 1020 slots, backend 2 has 1 slots",
        ),
        (
            map::METRICS,
            bytes(&MetricsKey::dropped(
                DropReason::PolicyDeny,
                Direction::Ingress,
                Ifindex(10),
            )),
            bytes(&count),
            "ingress, drop, ifindex 10, reason 181 (Policy denied by denylist): packets 3, bytes 180",
        ),
        (
            map::METRICS,
            bytes(&MetricsKey::forwarded(
                Verdict::Redirect,
                Direction::Egress,
                Ifindex(11),
            )),
            bytes(&count),
            "egress, redirect, ifindex 11: packets 3, bytes 180",
        ),
        (map::SEAMS, bytes(&0u32), bytes(&5u64), "now: 5"),
    ];
    for (map, key, value, expected) in cases {
        assert_eq!(line(map, &key, &value).as_deref(), Some(expected), "{map}");
    }
}

#[test]
fn impossible_records_are_shown_as_they_are() {
    let mut key = PrefixKey::new("10.0.0.0".parse().unwrap(), 8);
    key.prefix_len = 31;
    assert_eq!(
        join(&self::key(map::PREFILTER, key.as_bytes()).unwrap()),
        "10.0.0.0 prefix 31"
    );
    key.data.family = Family(9);
    let text = join(&self::key(map::PREFILTER, key.as_bytes()).unwrap());
    assert!(text.starts_with("family 9 [0a, 00"), "{text}");

    let key = [250, 9, 77, 0, 0, 0, 0, 0];
    let text = join(&self::key(map::METRICS, &key).unwrap());
    assert_eq!(text, "9, 77, ifindex 0, reason 250 (unknown)");
}

#[test]
fn other_maps_and_sizes_are_refused() {
    assert_eq!(line("somebody_elses", &[0; 4], &[0; 4]), None);
    assert_eq!(line(map::LXC, &[0; 19], &[0; 32]), None);
    assert_eq!(line(map::LXC, &[0; 20], &[0; 33]), None);
    assert_eq!(line(map::EVENTS, &[], &[]), None);
}
