//! What a node's network stack does, and does not do.

use std::net::IpAddr;

use ipnet::IpNet;
use twinpath::plan::HookKind::TcEgress;

use crate::needs_kernel;
use crate::support::*;

const FROM: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn ethernet(to: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &FROM, &kind.to_be_bytes(), payload].concat()
}

fn arp_request(target: [u8; 4]) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, 1];
    let arp = [&head[..], &FROM, &[10, 0, 0, 9], &[0; 6], &target].concat();
    ethernet([0xff; 6], 0x0806, &arp)
}

fn neighbour_solicitation(source: IpAddr, target: IpAddr) -> Vec<u8> {
    let (IpAddr::V6(source), IpAddr::V6(target)) = (source, target) else {
        panic!("not IPv6");
    };
    let [.., a, b, c] = target.octets();
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c];
    let mut icmp = vec![135, 0, 0, 0, 0, 0, 0, 0];
    icmp.extend(target.octets());
    icmp.extend([1, 1]);
    icmp.extend(FROM);
    let pseudo = [
        &source.octets()[..],
        &group,
        &(icmp.len() as u32).to_be_bytes(),
        &[0, 0, 0, 58],
        &icmp,
    ]
    .concat();
    let sum: u32 = pseudo
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x60, 0, 0, 0, 0, icmp.len() as u8, 58, 255];
    packet.extend(source.octets());
    packet.extend(group);
    packet.extend(icmp);
    ethernet([0x33, 0x33, 0xff, a, b, c], 0x86dd, &packet)
}

#[test]
fn without_addresses_it_answers_nothing() {
    needs_kernel!();
    let frames = [
        arp_request([10, 0, 0, 1]),
        ethernet([2, 0, 0, 0, 0, 1], 0x0800, &syn()),
        ethernet([0xff; 6], 0x0800, &syn()),
    ];
    let plan = frames
        .iter()
        .fold(plan(), |plan, frame| plan.frame("a", frame.clone()));
    for (journey, frame) in run(&plan).journeys.iter().zip(&frames) {
        assert_eq!(journey.ends, [stack("a", frame)]);
    }
}

/// An IPv4 packet with a TCP SYN to 10.0.0.1, without TCP checksum.
fn syn() -> Vec<u8> {
    let mut packet = vec![
        0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0x66, 0xc5, 10, 0, 0, 9, 10, 0, 0, 1,
    ];
    packet.extend([
        0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x10, 0, 0, 0, 0, 0,
    ]);
    packet
}

#[test]
fn with_addresses_it_answers_for_them() {
    needs_kernel!();
    let mut plan = plan().attach("to_device", "a", TcEgress);
    plan.nodes[0].devices[0].addresses = vec!["10.0.0.1/24".parse().unwrap()];
    let (ours, other) = (arp_request([10, 0, 0, 1]), arp_request([10, 0, 0, 2]));
    let recording = run(&plan.frame("a", ours.clone()).frame("a", other.clone()));
    let head = [0, 1, 8, 0, 6, 4, 0, 2];
    let reply = [
        &head[..],
        &[2, 0, 0, 0, 0, 1],
        &[10, 0, 0, 1],
        &FROM,
        &[10, 0, 0, 9],
    ]
    .concat();
    let reply = [&FROM[..], &[2, 0, 0, 0, 0, 1], &[8, 6], &reply].concat();
    assert_eq!(
        hops(&recording.journeys[0]),
        ["a tc-egress to_device TC_ACT_OK"]
    );
    assert_eq!(
        recording.journeys[0].ends,
        [left("a", &reply), stack("a", &ours)]
    );
    assert_eq!(recording.journeys[1].ends, [stack("a", &other)]);
}

#[test]
fn ipv6_addresses_make_no_noise() {
    needs_kernel!();
    let mut plan = plan().attach("to_device", "a", TcEgress);
    let ours: IpNet = "fd00::1/64".parse().unwrap();
    plan.nodes[0].devices[0].addresses = vec![ours];
    let source: IpAddr = "fd00::9".parse().unwrap();
    let other: IpAddr = "fd00::2".parse().unwrap();
    let asked = neighbour_solicitation(source, ours.addr());
    let elsewhere = neighbour_solicitation(source, other);
    let recording = run(&plan.frame("a", asked.clone()).frame("a", elsewhere.clone()));
    // The advertisement, and nothing else: no solicitation, no report.
    assert_eq!(recording.journeys[0].hops.len(), 1);
    assert_eq!(
        recording.journeys[0].ends.len(),
        2,
        "{:?}",
        recording.journeys[0].ends
    );
    let answer = recording.journeys[0].ends[0].bytes().expect("it left");
    assert_eq!(answer[54], 136);
    assert_eq!(recording.journeys[1].ends, [stack("a", &elsewhere)]);
}
