//! The records as bytes: what a program in another language would see.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use core::net::IpAddr;

use twinpath_abi::{
    Address, CtTuple, CtTupleFlags, DebugPoint, Direction, DropReason, EndpointId, EndpointKey,
    Family, FlowTuple, FromBytes as _, Identity, Ifindex, IntoBytes as _, Mac, Mark, MetricsKey,
    NotifyType, POLICY_FULL_BITS, POLICY_STATIC_BITS, PolicyData, PolicyKey, PolicyMatch, Port,
    PrefixKey, Protocol, RemoteEndpoint, ServiceKey, SourceFile, TracePoint, TraceReason, Verdict,
    VerdictFlags, jhash2, reason_text,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn keys_are_laid_out_as_documented() {
    assert_eq!(
        EndpointKey::new(ip("10.1.2.3")).as_bytes(),
        [10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    );
    let mut prefix = vec![80, 0, 0, 0, 0, 0, 0, 2];
    prefix.extend([0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    if cfg!(target_endian = "little") {
        assert_eq!(PrefixKey::new(ip("2001:db8:1::"), 48).as_bytes(), prefix);
    }
    let service = ServiceKey::new(ip("192.0.2.80"), Port::new(0x1f90), Protocol::TCP);
    assert_eq!(
        service.as_bytes(),
        [
            192, 0, 2, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x1f, 0x90, 0, 0, 6, 0, 1, 0
        ]
    );
    let metrics = MetricsKey::dropped(DropReason::PolicyDeny, Direction::Egress, Ifindex(7));
    assert_eq!(metrics.as_bytes(), [181, 2, 2, 0, 7, 0, 0, 0]);
}

#[test]
fn addresses_round_trip() {
    for text in [
        "0.0.0.0",
        "10.0.0.1",
        "255.255.255.255",
        "::",
        "fd00::10",
        "::ffff:10.0.0.1",
    ] {
        let ip = ip(text);
        let address = Address::from(ip);
        assert_eq!(address.to_ip(Family::of(ip)), Some(ip));
        assert_eq!(Address::from_words(address.words()), address);
        assert_eq!(
            Address::read_from_bytes(address.as_bytes()).unwrap(),
            address
        );
    }
    assert_eq!(Address::from(ip("10.0.0.1")).to_ip(Family::NONE), None);
}

#[test]
fn addresses_and_ports_sort_by_value() {
    assert!(Address::from(ip("10.0.0.1")) < Address::from(ip("10.0.1.0")));
    assert!(Port::new(1) < Port::new(256));
}

#[test]
fn macs_are_read_and_written() {
    let mac: Mac = "02:00:00:aB:cd:Ef".parse().unwrap();
    assert_eq!(mac, Mac([2, 0, 0, 0xab, 0xcd, 0xef]));
    assert_eq!(mac.to_string(), "02:00:00:ab:cd:ef");
    assert_eq!(Mac::from_halves(mac.halves()), mac);
    assert!(!mac.is_none() && Mac::NONE.is_none());
    for bad in [
        "",
        "02:00:00:00:00",
        "02:00:00:00:00:00:00",
        "2:0:0:0:0:0",
        "02:00:00:00:00:+1",
        "g2:00:00:00:00:00",
    ] {
        assert!(bad.parse::<Mac>().is_err(), "{bad:?}");
    }
}

#[test]
fn numbers_and_names_agree() {
    for reason in DropReason::ALL {
        assert_eq!(DropReason::from_code(reason.code()), Some(*reason));
        assert_eq!(reason_text(reason.code()), Some(reason.text()));
        assert!(reason.code() >= 130);
    }
    assert!(DropReason::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(DropReason::from_code(129), None);
    for code in 0..=u8::MAX {
        assert!(Verdict::from_code(code).is_none_or(|verdict| verdict as u8 == code));
        assert!(Direction::from_code(code).is_none_or(|direction| direction as u8 == code));
        assert!(SourceFile::from_code(code).is_none_or(|file| file as u8 == code));
        assert!(TracePoint::from_code(code).is_none_or(|point| point as u8 == code));
        assert!(TraceReason::from_code(code).is_none_or(|reason| reason as u8 == code));
        assert!(DebugPoint::from_code(code).is_none_or(|point| point as u8 == code));
        assert!(PolicyMatch::from_code(code).is_none_or(|found| found as u8 == code));
        assert!(NotifyType::from_code(code).is_none_or(|kind| kind as u8 == code));
    }
}

/// Against `jhash2` of the kernel's `include/linux/jhash.h`, compiled from there.
#[test]
fn the_hash_is_the_kernels() {
    let words = core::array::from_fn(|word| 0x0101_0101 * word as u32);
    assert_eq!(jhash2([0; 10], 0), JHASH[0]);
    assert_eq!(jhash2(words, 0), JHASH[1]);
    assert_eq!(jhash2(words, 0xcafe), JHASH[2]);
}

const JHASH: [u32; 3] = [0xc0fe_d4b2, 0x1bc8_f18e, 0x1d3c_44c1];

#[test]
fn a_flow_is_all_of_its_five_values() {
    let flow = FlowTuple {
        saddr: ip("10.0.0.1").into(),
        daddr: ip("192.0.2.80").into(),
        sport: Port::new(1234),
        dport: Port::new(80),
        proto: Protocol::TCP,
        family: Family::V4,
        reserved: 0,
    };
    let others = [
        FlowTuple {
            saddr: ip("10.0.0.2").into(),
            ..flow
        },
        FlowTuple {
            daddr: ip("192.0.2.81").into(),
            ..flow
        },
        FlowTuple {
            sport: Port::new(1235),
            ..flow
        },
        FlowTuple {
            dport: Port::new(81),
            ..flow
        },
        FlowTuple {
            proto: Protocol::UDP,
            ..flow
        },
    ];
    assert_eq!(flow.hash(7), flow.hash(7));
    assert_ne!(flow.hash(7), flow.hash(8));
    for other in others {
        assert_ne!(other.hash(7), flow.hash(7), "{other:?}");
    }
}

#[test]
fn a_policy_key_counts_the_protocol_and_then_the_port() {
    let data = PolicyData::new(
        EndpointId(7),
        Direction::Egress,
        Identity(0x0102_0304),
        Protocol::TCP,
        Port::new(0x1f90),
    );
    let key = PolicyKey::new(data, 24);
    assert_eq!(key.prefix_len, POLICY_FULL_BITS);
    let bytes = data.as_bytes();
    let (fixed, layer4) = bytes.split_at(POLICY_STATIC_BITS as usize / 8);
    assert_eq!(layer4, [6, 0x1f, 0x90]);
    if cfg!(target_endian = "little") {
        assert_eq!(fixed, [7, 0, 1, 0, 4, 3, 2, 1, 0]);
    }
}

#[test]
fn a_mark_carries_an_identity_of_24_bits() {
    for identity in [1, 256, 0xffff, 0x1_0000, 0xff_1234] {
        let identity = Identity(identity);
        for mark in [
            Mark::identity(identity),
            Mark::snat_done(identity),
            Mark::overlay(identity),
            Mark::proxy_ingress(identity),
            Mark::proxy_egress(identity),
        ] {
            assert_eq!(mark.sender(), Some(identity), "{mark:?}");
        }
    }
    assert_eq!(Mark::identity(Identity(0x12_3456)), Mark(0x3456_0f12));
    assert_eq!(Mark::to_proxy(Port::new(0x1234)).sender(), None);
    assert_eq!(Mark(0).sender(), None);
    assert_eq!(Mark::host().sender(), Some(Identity::HOST));
}

#[test]
fn identities_have_scopes() {
    let cases = [
        (Identity::UNKNOWN, false, false),
        (Identity::HOST, false, false),
        (Identity::WORLD, true, false),
        (Identity::REMOTE_NODE, false, false),
        (Identity::WORLD_IPV6, true, false),
        (Identity::HEALTH, false, true),
        (Identity(1001), false, true),
        (Identity(0xff_0100), false, true),
        (Identity(1 << 24 | 1), true, false),
    ];
    for (identity, outside, endpoint) in cases {
        assert_eq!(identity.is_outside(), outside, "{identity}");
        assert_eq!(identity.is_endpoint(), endpoint, "{identity}");
    }
}

#[test]
fn verdict_flags_are_read_as_they_are_made() {
    for direction in [Direction::Ingress, Direction::Egress] {
        for found in (0..7).filter_map(PolicyMatch::from_code) {
            for (ipv6, audited) in [(false, false), (false, true), (true, false), (true, true)] {
                let flags = VerdictFlags::new(direction, ipv6, found, audited);
                assert_eq!(flags.direction(), Some(direction));
                assert_eq!(flags.found(), Some(found));
                assert_eq!((flags.is_ipv6(), flags.is_audited()), (ipv6, audited));
            }
        }
    }
}

#[test]
fn a_connection_reversed_twice_is_itself() {
    let flow = FlowTuple {
        saddr: ip("10.0.0.1").into(),
        daddr: ip("10.0.0.2").into(),
        sport: Port::new(1234),
        dport: Port::new(80),
        proto: Protocol::TCP,
        family: Family::V4,
        reserved: 0,
    };
    let tuple = CtTuple::new(&flow, CtTupleFlags::IN);
    let reversed = tuple.reversed();
    assert_eq!((reversed.saddr, reversed.sport), (flow.daddr, flow.dport));
    assert_eq!(reversed.reversed(), tuple);
    assert_eq!(CtTuple::new(&flow.reversed(), tuple.flags), reversed);
}

#[test]
fn a_remote_endpoint_is_on_its_node() {
    for node in [None, Some(ip("192.0.2.2")), Some(ip("2001:db8::2"))] {
        assert_eq!(RemoteEndpoint::new(Identity(1001), node).node(), node);
    }
}
