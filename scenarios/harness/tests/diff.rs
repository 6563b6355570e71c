//! How two recordings are compared and what is told about it.

use std::collections::BTreeMap;

use twinpath::decode::Decoder;
use twinpath::diff::{self, Diff, Leeway, Rule};
use twinpath::plan::{DeviceName, Hook, HookKind, NodeName, ObjectName};
use twinpath::recording::{
    Cost, End, Event, Hop, Journey, MapContents, MapRef, Metadata, Recording, Verdict,
};
use twinpath::socket::{CallResult, Called};
use twinpath_machine::Errno;

fn node() -> NodeName {
    NodeName::new("node")
}

fn hook(device: &str) -> Hook {
    Hook {
        device: DeviceName::new(device),
        kind: HookKind::Xdp,
    }
}

fn hop(device: &str, code: i32, bytes: &[u8]) -> Hop {
    Hop {
        node: node(),
        hook: hook(device),
        program: "entry".to_owned(),
        verdict: Ok(Verdict {
            hook: HookKind::Xdp,
            code,
        }),
        bytes: bytes.to_vec(),
        metadata: Metadata::default(),
        cost: None,
    }
}

fn left(device: &str, bytes: &[u8]) -> End {
    End::Left {
        node: node(),
        device: DeviceName::new(device),
        bytes: bytes.to_vec(),
    }
}

fn map(name: &str) -> MapRef {
    MapRef {
        node: node(),
        object: ObjectName::new("foreign"),
        map: name.to_owned(),
    }
}

fn recording(journey: Journey) -> Recording {
    Recording {
        loads: Vec::new(),
        journeys: vec![journey],
        notices: Vec::new(),
        warnings: Default::default(),
        maps: BTreeMap::new(),
    }
}

fn journey(hops: Vec<Hop>, ends: Vec<End>) -> Journey {
    Journey {
        hops,
        ends,
        ..Journey::default()
    }
}

fn compare(left: Journey, right: Journey) -> Diff {
    compare_by(left, right, &Leeway::default())
}

fn compare_by(left: Journey, right: Journey, leeway: &Leeway) -> Diff {
    let (left, right) = (recording(left), recording(right));
    diff::compare(&left, &right, &Decoder::default(), leeway)
}

fn told(diff: &Diff) -> Vec<String> {
    let differences = diff
        .packets
        .iter()
        .flat_map(|packet| &packet.differences)
        .chain(&diff.maps);
    differences
        .flat_map(|difference| {
            difference.values.iter().map(move |values| {
                let side = |side: &Option<String>| side.clone().unwrap_or("-".to_owned());
                let (left, right) = (side(&values.left), side(&values.right));
                format!("{}: {} {left} {right}", difference.place, values.name)
            })
        })
        .collect()
}

const FRAME: &[u8] = &[0xff; 14];

#[test]
fn equal_journeys_do_not_differ() {
    let one = || journey(vec![hop("eth0", 3, FRAME)], vec![left("eth0", FRAME)]);
    assert_eq!(compare(one(), one()), Diff::default());
}

#[test]
fn the_first_difference_stands_first_with_what_came_before() {
    let diff = compare(
        journey(
            vec![hop("eth0", 2, FRAME), hop("eth0", 2, FRAME)],
            vec![left("eth0", FRAME)],
        ),
        journey(vec![hop("eth0", 2, FRAME), hop("eth0", 1, FRAME)], vec![]),
    );
    let [packet] = diff.packets.as_slice() else {
        panic!("{diff:?}")
    };
    let [before] = packet.before.as_slice() else {
        panic!("{packet:?}")
    };
    assert!(before.starts_with("eth0 xdp entry -> XDP_PASS"), "{before}");
    let told = told(&diff);
    assert_eq!(told[0], "hop 2, eth0 xdp entry: verdict XDP_PASS XDP_DROP");
    assert!(told[1].starts_with("end 1: end leaves eth0"), "{told:?}");
}

#[test]
fn a_hop_that_one_side_lacks_is_a_difference() {
    let diff = compare(
        journey(vec![], vec![]),
        journey(vec![hop("eth0", 2, FRAME)], vec![]),
    );
    assert!(
        told(&diff)[0].starts_with("hop 1: hop - eth0 xdp entry -> XDP_PASS"),
        "{diff:?}"
    );
}

#[test]
fn costs_are_compared_where_both_sides_count() {
    let counted = |instructions| Hop {
        cost: Some(Cost {
            instructions,
            ..Cost::default()
        }),
        ..hop("eth0", 2, FRAME)
    };
    let uncounted = hop("eth0", 2, FRAME);
    let differ = |left: &Hop, right: &Hop| {
        !compare(
            journey(vec![left.clone()], vec![]),
            journey(vec![right.clone()], vec![]),
        )
        .is_empty()
    };
    assert!(!differ(&counted(7), &uncounted));
    assert!(!differ(&counted(7), &counted(7)));
    assert!(differ(&counted(7), &counted(8)));
}

#[test]
fn what_is_kept_beside_a_packet_is_compared() {
    use twinpath_node::{EtherType, Metadata, TunnelKey, Vlan};
    let beside = |metadata| {
        journey(
            vec![Hop {
                metadata,
                ..hop("eth0", 2, FRAME)
            }],
            vec![],
        )
    };
    let mut cb = [0; 20];
    cb[8] = 5;
    let full = Metadata {
        mark: 0xab,
        priority: 3,
        tc_index: 2,
        cb,
        vlan: Some(Vlan {
            protocol: EtherType::VLAN,
            tci: 100,
        }),
        tunnel: Some(TunnelKey {
            id: 7,
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 0, 2].into(),
            tos: 0,
            ttl: 64,
            label: 0,
        }),
    };
    assert!(compare(beside(full), beside(full)).is_empty());
    let diff = compare(beside(full), beside(Metadata::default()));
    assert_eq!(diff.packets[0].hop, Some(0));
    let told = told(&diff).into_iter();
    let values: Vec<String> = told
        .map(|line| line.replace("hop 1, eth0 xdp entry: ", ""))
        .collect();
    assert_eq!(
        values,
        [
            "mark 0xab -",
            "priority 3 -",
            "tc_index 0x2 -",
            "cb[2] 0x5 -",
            "vlan beside 0x8100 0x64 -",
            "tunnel.id 7 -",
            "tunnel.src 10.0.0.1 -",
            "tunnel.dst 10.0.0.2 -",
            "tunnel.tos 0x00 -",
            "tunnel.ttl 64 -",
            "tunnel.label 0x00000 -",
        ]
    );
}

/// The words of `cb` that a program left as they were are not its own.
#[test]
fn words_of_cb_count_where_a_program_changed_them() {
    use twinpath::recording::left_by_program;
    use twinpath_node::Metadata;
    let with = |cb: [u8; 20]| Metadata {
        cb,
        ..Metadata::default()
    };
    let (mut found, mut left, mut counts) = ([0; 20], [0; 20], [0; 20]);
    (found[0], left[0]) = (1, 1);
    (found[4], left[4], counts[4]) = (1, 2, 2);
    (found[8], left[8]) = (1, 0);
    (left[12], counts[12]) = (3, 3);
    assert_eq!(left_by_program(&with(found), with(left)), with(counts));
}

#[test]
fn copies_by_different_devices_have_no_common_order() {
    let diff = compare(
        journey(vec![], vec![left("a", FRAME), left("b", FRAME)]),
        journey(vec![], vec![left("b", FRAME), left("a", FRAME)]),
    );
    assert!(diff.is_empty());
    assert!(diff.rules.contains(&Rule::OrderOfEnds));
    let ends = || [left("a", FRAME), left("b", FRAME)];
    let (one, other) = (
        journey(vec![], ends().into()),
        journey(vec![], ends().into_iter().rev().collect()),
    );
    let same = compare(other.clone(), other.clone());
    assert!(
        same.is_empty() && same.rules.is_empty(),
        "both in that order"
    );
    let strict = compare_by(one, other, &Leeway::none());
    assert_eq!(strict.packets[0].differences.len(), 2);
    assert!(strict.rules.is_empty());
}

#[test]
fn events_are_compared_in_order() {
    let with = |bytes: &[u8]| Journey {
        events: vec![Event {
            map: map("events"),
            bytes: bytes.to_vec(),
            phase: 0,
        }],
        ..Journey::default()
    };
    assert!(compare(with(&[1]), with(&[1])).is_empty());
    assert_eq!(
        told(&compare(with(&[1]), with(&[2]))),
        ["event 1, foreign/events: value 01 02"]
    );
    assert_eq!(
        told(&compare(with(&[1]), Journey::default())),
        ["event 1: event foreign/events: 01 -"]
    );
}

#[test]
fn calls_are_compared_but_for_chosen_ports() {
    let call = |result, local: &str| Journey {
        called: Some(Called {
            local: local.parse().ok(),
            ..Called::just(result)
        }),
        ..Journey::default()
    };
    let failed = CallResult::Failed;
    let cases = [
        (
            call(CallResult::Done, "10.0.0.1:80"),
            call(CallResult::Done, "10.0.0.1:80"),
            vec![],
            vec![],
        ),
        (
            call(CallResult::Done, "10.0.0.1:40000"),
            call(CallResult::Done, "10.0.0.1:50000"),
            vec![],
            vec![Rule::SocketPort],
        ),
        (
            call(CallResult::Done, "10.0.0.1:40000"),
            call(CallResult::Done, "10.0.0.1:80"),
            vec!["call: local 10.0.0.1:<chosen> 10.0.0.1:80"],
            vec![],
        ),
        (
            call(failed(Errno::EPERM), ""),
            call(failed(Errno::EISCONN), "[::1]:7"),
            vec!["call: local - [::1]:7", "call: result EPERM EISCONN"],
            vec![],
        ),
        (
            Journey::default(),
            call(CallResult::Done, ""),
            vec!["call: result - done"],
            vec![],
        ),
    ];
    for (left, right, differences, rules) in cases {
        let strict = compare_by(left.clone(), right.clone(), &Leeway::none());
        assert_eq!(
            strict.is_empty(),
            differences.is_empty() && rules.is_empty()
        );
        let diff = compare(left, right);
        assert_eq!(told(&diff), differences);
        assert_eq!(diff.rules.into_iter().collect::<Vec<_>>(), rules);
    }
}

#[test]
fn which_cpu_counted_is_not_compared() {
    let counted = |slots: &[&[u8]]| Recording {
        notices: Vec::new(),
        warnings: Default::default(),
        maps: BTreeMap::from([(
            map("metrics"),
            MapContents {
                entries: BTreeMap::from([(
                    vec![1],
                    slots.iter().map(|slot| slot.to_vec()).collect(),
                )]),
                per_cpu: true,
            },
        )]),
        ..Recording::default()
    };
    let compare_by = |left: &[&[u8]], right: &[&[u8]], leeway: &Leeway| {
        let (left, right) = (counted(left), counted(right));
        diff::compare(&left, &right, &Decoder::default(), leeway)
    };
    let compare = |left: &[&[u8]], right: &[&[u8]]| compare_by(left, right, &Leeway::default());
    let strict = compare_by(&[&[5]], &[&[0], &[5]], &Leeway::none());
    assert_eq!(
        told(&strict),
        ["map foreign/metrics, key 01: value 05 0005"]
    );
    let same = compare(&[&[5]], &[&[0], &[5]]);
    assert!(same.is_empty());
    assert!(same.rules.contains(&Rule::PerCpuSlot));
    let different = compare(&[&[5]], &[&[0], &[6]]);
    assert_eq!(
        told(&different),
        ["map foreign/metrics, key 01: value 05 06"]
    );
}

#[test]
fn map_entries_are_compared_by_key() {
    let with = |entries: &[(u8, u8)]| Recording {
        notices: Vec::new(),
        warnings: Default::default(),
        maps: BTreeMap::from([(
            map("table"),
            MapContents {
                entries: entries
                    .iter()
                    .map(|(key, value)| (vec![*key], vec![vec![*value]]))
                    .collect(),
                per_cpu: false,
            },
        )]),
        ..Recording::default()
    };
    let diff = diff::compare(
        &with(&[(1, 1), (2, 2)]),
        &with(&[(2, 3), (4, 4)]),
        &Decoder::default(),
        &Leeway::default(),
    );
    assert_eq!(
        told(&diff),
        [
            "map foreign/table, key 01: entry 01 -",
            "map foreign/table, key 02: value 02 03",
            "map foreign/table, key 04: entry - 04",
        ]
    );
}
