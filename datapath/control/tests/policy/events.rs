//! Events of a node, with the names of the manifests.

use etherparse::{IpNumber, PacketBuilder};
use twinpath_control::abi::{
    CAPTURE_LEN, Direction, DropNotify, DropReason, DropRecord, EndpointId, Identity, Ifindex,
    IntoBytes as _, NotifyCapture, NotifyFlags, NotifyHead, NotifyType, PolicyMatch, Port,
    Protocol, VerdictFlags, VerdictNotify, VerdictRecord,
};
use twinpath_control::{Event, Names};

use crate::nodes;

const BACKEND: EndpointId = EndpointId(1);

fn names() -> Names {
    let (state, population) = nodes::node_1();
    state.names(&population)
}

fn identity(pod: &str) -> Identity {
    let (_, population) = nodes::node_1();
    population.identity(population.pod(pod).expect("a pod"))
}

fn head(kind: NotifyType, subtype: u8, source: EndpointId) -> NotifyHead {
    NotifyHead {
        r#type: kind as u8,
        subtype,
        source,
        hash: 1,
    }
}

fn capture(frame: &[u8], version: u8) -> (NotifyCapture, [u8; CAPTURE_LEN]) {
    let mut payload = [0; CAPTURE_LEN];
    payload[..frame.len()].copy_from_slice(frame);
    let capture = NotifyCapture {
        len_orig: frame.len() as u32,
        len_cap: frame.len() as u16,
        version,
        ext_version: 0,
    };
    (capture, payload)
}

fn drop(
    reason: DropReason,
    ends: (EndpointId, EndpointId),
    identities: (Identity, Identity),
    frame: &[u8],
) -> Event {
    let (capture, payload) = capture(frame, DropNotify::VERSION);
    let record = DropRecord {
        notify: DropNotify {
            head: head(NotifyType::Drop, reason.code(), ends.0),
            capture,
            src_label: identities.0,
            dst_label: identities.1,
            dst_id: ends.1.0.into(),
            line: 1,
            file: 9,
            ext_error: 0,
            ifindex: Ifindex(11),
            flags: NotifyFlags(0),
            reserved: 0,
            reserved2: 0,
            timestamp: 0,
        },
        payload,
    };
    Event::parse(record.as_bytes()).expect("an event")
}

fn verdict(code: i32, flags: VerdictFlags, remote: Identity, cookie: u32, frame: &[u8]) -> Event {
    let (capture, payload) = capture(frame, VerdictNotify::VERSION);
    let record = VerdictRecord {
        notify: VerdictNotify {
            head: head(NotifyType::PolicyVerdict, 0, BACKEND),
            capture,
            remote_label: remote,
            verdict: code,
            dst_port: Port::new(8080),
            proto: Protocol::TCP,
            flags,
            auth_type: 0,
            reserved: [0; 3],
            cookie,
            reserved2: 0,
        },
        payload,
    };
    Event::parse(record.as_bytes()).expect("an event")
}

fn tcp4(from: [u8; 4], to: [u8; 4], port: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64);
    builder
        .tcp(40000, port, 1, 1000)
        .syn()
        .write(&mut frame, &[])
        .expect("a frame");
    frame
}

fn ping6(from: &str, to: &str) -> Vec<u8> {
    let octets = |text: &str| {
        text.parse::<std::net::Ipv6Addr>()
            .expect("an address")
            .octets()
    };
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6(octets(from), octets(to), 64);
    builder
        .icmpv6_echo_request(1, 1)
        .write(&mut frame, &[])
        .expect("a frame");
    frame
}

fn sctp4(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64);
    let header = [0x9c, 0x40, 0x0b, 0x59, 0, 0, 0, 0, 0, 0, 0, 0];
    builder
        .write(&mut frame, IpNumber(132), &header)
        .expect("a frame");
    frame
}

#[test]
fn events_name_pods_and_the_policies_that_decided() {
    let (state, _) = nodes::node_1();
    let frontend = identity("frontend");
    let backend = identity("shop/backend");
    let (f, b) = ([10, 0, 2, 10], [10, 0, 1, 10]);
    let none = EndpointId(0);
    let ingress = |found, audited| VerdictFlags::new(Direction::Ingress, false, found, audited);
    let allowing = (1..).find(|cookie| {
        let origins = state.origins.of(*cookie).expect("the policy has entries");
        origins
            .iter()
            .any(|origin| origin.to_string() == "shop/backend")
    });
    let allowing = allowing.expect("a cookie");
    let events = [
        verdict(
            0,
            ingress(PolicyMatch::L3L4, false),
            frontend,
            allowing,
            &tcp4(f, b, 8080),
        ),
        verdict(
            -133,
            ingress(PolicyMatch::None, false),
            frontend,
            0,
            &tcp4(f, b, 22),
        ),
        verdict(
            -133,
            ingress(PolicyMatch::None, true),
            frontend,
            0,
            &tcp4(f, b, 22),
        ),
        drop(
            DropReason::PolicyDenied,
            (none, BACKEND),
            (frontend, backend),
            &tcp4(f, b, 22),
        ),
        drop(
            DropReason::PolicyDeny,
            (none, BACKEND),
            (nodes::guests(), backend),
            &tcp4([198, 51, 100, 9], b, 8080),
        ),
        drop(
            DropReason::PolicyDenied,
            (BACKEND, none),
            (backend, frontend),
            &tcp4(b, f, 80),
        ),
        drop(
            DropReason::PolicyDenied,
            (none, BACKEND),
            (frontend, backend),
            &ping6("fd00:2::10", "fd00:1::10"),
        ),
        drop(
            DropReason::PolicyDenied,
            (none, BACKEND),
            (frontend, backend),
            &sctp4(f, b),
        ),
        drop(
            DropReason::TtlExceeded,
            (none, BACKEND),
            (frontend, backend),
            &tcp4(f, b, 8080),
        ),
    ];
    let names = names();
    let lines: Vec<_> = events.iter().map(|event| event.observe(&names)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
