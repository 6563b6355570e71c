use etherparse::PacketBuilder;
use twinpath_abi::{
    Address, CAPTURE_LEN, DebugPoint, Direction, EndpointId, Ifindex, IntoBytes as _,
    NotifyCapture, NotifyFlags, NotifyHead, PolicyMatch, Port, Protocol, SourceFile, TracePoint,
    TraceReason, VerdictFlags,
};

use super::*;
use crate::describe;

fn record(frame: &[u8]) -> DropRecord {
    let cap = frame.len().min(CAPTURE_LEN);
    let mut payload = [0; CAPTURE_LEN];
    payload[..cap].copy_from_slice(&frame[..cap]);
    DropRecord {
        notify: DropNotify {
            head: NotifyHead {
                r#type: NotifyType::Drop as u8,
                subtype: DropReason::PolicyDenied.code(),
                source: EndpointId(12),
                hash: 0xfddd_76f6,
            },
            capture: NotifyCapture {
                len_orig: frame.len() as u32,
                len_cap: cap as u16,
                version: DropNotify::VERSION,
                ext_version: 0,
            },
            src_label: Identity(48447),
            dst_label: Identity::WORLD,
            dst_id: 0,
            line: 1274,
            file: SourceFile::Endpoint as u8,
            ext_error: 0,
            ifindex: Ifindex(29),
            flags: NotifyFlags(0),
            reserved: 0,
            reserved2: 0,
            timestamp: 5,
        },
        payload,
    }
}

fn frame(builder: etherparse::PacketBuilderStep<etherparse::TcpHeader>, payload: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    builder.write(&mut frame, &vec![0xaa; payload]).unwrap();
    frame
}

fn syn() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 168, 0, 149], [93, 184, 215, 14], 64)
        .tcp(45830, 80, 1, 1000)
        .syn();
    frame(builder, 0)
}

fn trace(point: TracePoint, reason: TraceReason) -> TraceRecord {
    let DropRecord { notify, payload } = record(&syn());
    TraceRecord {
        notify: TraceNotify {
            head: NotifyHead {
                r#type: NotifyType::Trace as u8,
                subtype: point as u8,
                ..notify.head
            },
            capture: NotifyCapture {
                version: TraceNotify::VERSION,
                ..notify.capture
            },
            src_label: Identity::INGRESS,
            dst_label: Identity(61131),
            dst_id: EndpointId(212),
            reason: reason as u8,
            flags: NotifyFlags(0),
            ifindex: Ifindex(7),
            orig_ip: Address::UNSPECIFIED,
            timestamp: 5,
        },
        payload,
    }
}

fn verdict(code: i32, flags: VerdictFlags) -> VerdictRecord {
    let DropRecord { notify, payload } = record(&syn());
    VerdictRecord {
        notify: VerdictNotify {
            head: NotifyHead {
                r#type: NotifyType::PolicyVerdict as u8,
                subtype: 0,
                ..notify.head
            },
            capture: NotifyCapture {
                version: VerdictNotify::VERSION,
                ..notify.capture
            },
            remote_label: Identity(41022),
            verdict: code,
            dst_port: Port::new(80),
            proto: Protocol::TCP,
            flags,
            auth_type: 0,
            reserved: [0; 3],
            cookie: 0,
            reserved2: 0,
        },
        payload,
    }
}

const PACKET: &str = "192.168.0.149:45830 -> 93.184.215.14:80 tcp SYN";

#[test]
fn events_read_as_in_cilium_monitor() {
    let flags = |direction, found, audited| VerdictFlags::new(direction, false, found, audited);
    let mut translated = trace(TracePoint::ToNetwork, TraceReason::Established);
    translated.notify.orig_ip = std::net::IpAddr::from([10, 0, 0, 192]).into();
    let mut elsewhere = trace(TracePoint::ToStack, TraceReason::Unknown);
    elsewhere.notify.head.subtype = 99;
    elsewhere.notify.reason = 4;
    let cases = [
        (
            record(&syn()).as_bytes().to_vec(),
            "xx drop (Policy denied) flow 0xfddd76f6 to endpoint 0, ifindex 29, \
             file endpoint.rs:1274, identity 48447->world: ",
        ),
        (
            trace(TracePoint::ToEndpoint, TraceReason::New)
                .as_bytes()
                .to_vec(),
            "-> endpoint 212 flow 0xfddd76f6, identity ingress->61131 state new ifindex 7: ",
        ),
        (
            trace(TracePoint::FromEndpoint, TraceReason::Unknown)
                .as_bytes()
                .to_vec(),
            "<- endpoint 12 flow 0xfddd76f6, identity ingress->61131 state unknown ifindex 7: ",
        ),
        (
            trace(TracePoint::FromNetwork, TraceReason::Unknown)
                .as_bytes()
                .to_vec(),
            "<- network flow 0xfddd76f6, identity ingress->61131 state unknown ifindex 7: ",
        ),
        (
            translated.as_bytes().to_vec(),
            "-> network flow 0xfddd76f6, identity ingress->61131 state established ifindex 7 \
             orig-ip 10.0.0.192: ",
        ),
        (
            elsewhere.as_bytes().to_vec(),
            "trace point 99 flow 0xfddd76f6, identity ingress->61131 state 4 ifindex 7: ",
        ),
        (
            verdict(-133, flags(Direction::Ingress, PolicyMatch::None, false))
                .as_bytes()
                .to_vec(),
            "Policy verdict log: flow 0xfddd76f6 local EP ID 12, remote ID 41022, proto 6, ingress, \
             action deny, auth: disabled, match none, ",
        ),
        (
            verdict(-133, flags(Direction::Egress, PolicyMatch::None, true))
                .as_bytes()
                .to_vec(),
            "Policy verdict log: flow 0xfddd76f6 local EP ID 12, remote ID 41022, proto 6, egress, \
             action audit, auth: disabled, match none, ",
        ),
        (
            verdict(15001, flags(Direction::Egress, PolicyMatch::L4Only, false))
                .as_bytes()
                .to_vec(),
            "Policy verdict log: flow 0xfddd76f6 local EP ID 12, remote ID 41022, proto 6, egress, \
             action redirect, auth: disabled, match L4-Only, ",
        ),
    ];
    for (bytes, expected) in cases {
        let event = Event::parse(&bytes).unwrap();
        assert_eq!(event.to_string(), format!("{expected}{PACKET}"));
        assert_eq!(event.packet(), syn());
    }
    let debug = DebugNotify {
        head: NotifyHead {
            r#type: NotifyType::Debug as u8,
            subtype: DebugPoint::PolicyDenied as u8,
            source: EndpointId(3),
            hash: 1,
        },
        arg1: 257,
        arg2: 256,
        arg3: 0,
    };
    assert_eq!(
        Event::parse(debug.as_bytes()).unwrap().to_string(),
        "DEBUG: endpoint 3 flow 0x1, policy denied: sender's identity, receiver's identity: \
         0x101 0x100 0x0"
    );
}

#[test]
fn fields_tell_what_the_line_tells() {
    let flags = VerdictFlags::new(Direction::Ingress, false, PolicyMatch::L3L4, false);
    let bytes = [
        record(&syn()).as_bytes().to_vec(),
        trace(TracePoint::ToEndpoint, TraceReason::Reply)
            .as_bytes()
            .to_vec(),
        verdict(-181, flags).as_bytes().to_vec(),
    ];
    let lines = bytes.map(|bytes| describe::join(&Event::parse(&bytes).unwrap().fields()));
    assert_eq!(
        lines,
        [
            format!(
                "reason 133 (Policy denied), flow 0xfddd76f6, source-endpoint 12, \
                 destination-endpoint 0, source-identity 48447, destination-identity world, \
                 ifindex 29, place endpoint.rs:1274, length 54, captured 54, packet {PACKET}, time 5ns"
            ),
            format!(
                "trace to-endpoint, flow 0xfddd76f6, source-endpoint 12, destination-endpoint 212, \
                 source-identity ingress, destination-identity 61131, ifindex 7, state reply, \
                 length 54, captured 54, packet {PACKET}, time 5ns"
            ),
            format!(
                "action deny, reason 181 (Policy denied by denylist), flow 0xfddd76f6, \
                 source-endpoint 12, direction ingress, match L3-L4, remote-identity 41022, \
                 protocol tcp, port 80, cookie 0, length 54, captured 54, packet {PACKET}"
            ),
        ]
    );
}

#[test]
fn numbers_from_elsewhere_stay_numbers() {
    let mut record = record(&[]);
    record.notify.head.subtype = 255;
    record.notify.file = 200;
    let event = Event::parse(record.as_bytes()).unwrap();
    assert_eq!(event.drop_reason().as_deref(), Some("255"));
    let line = event.to_string();
    assert!(line.contains(", file 200:1274, "), "{line}");
    assert!(line.ends_with(": frame of 0 bytes"), "{line}");
}

#[test]
fn a_length_beyond_the_record_is_cut() {
    let mut record = record(&syn());
    record.notify.capture.len_cap = u16::MAX;
    let event = Event::parse(record.as_bytes()).unwrap();
    assert_eq!(event.packet().len(), CAPTURE_LEN);
}

#[test]
fn what_is_no_event_is_refused() {
    let mut bytes = record(&[]).as_bytes().to_vec();
    let size = |expected, found| Err(EventError::Size { expected, found });
    assert_eq!(Event::parse(&bytes[..175]), size(176, 175));
    assert_eq!(Event::parse(&[]), Err(EventError::Empty));
    bytes[14] = 9;
    let version = EventError::Version {
        expected: DropNotify::VERSION,
        found: 9,
    };
    assert_eq!(Event::parse(&bytes), Err(version));
    bytes[0] = NotifyType::Trace as u8;
    assert_eq!(Event::parse(&bytes), size(184, 176));
    bytes[0] = 9;
    assert_eq!(Event::parse(&bytes), Err(EventError::Type(9)));
}

#[test]
fn packets_in_a_few_words() {
    let long = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6([0xfd; 16], [0xfe; 16], 64)
        .tcp(1, 2, 1, 1000)
        .ack(1)
        .psh();
    let udp = PacketBuilder::ethernet2([2; 6], [4; 6])
        .single_vlan(5.try_into().unwrap())
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(53, 5353);
    let mut tagged = Vec::new();
    udp.write(&mut tagged, &[]).unwrap();
    let mut arp = vec![0; 14];
    arp[12..].copy_from_slice(&[0x88, 0xb5]);
    let mut fragment = syn();
    fragment[21] = 9;
    let cases = [
        (
            &frame(long, 1000)[..CAPTURE_LEN],
            "[fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd]:1 -> \
             [fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe]:2 tcp ACK PSH",
        ),
        (&tagged, "10.0.0.1:53 -> 10.0.0.2:5353 udp"),
        (&arp, "ethertype 0x88b5"),
        (
            &fragment,
            "192.168.0.149 -> 93.184.215.14 fragment of protocol 6",
        ),
        (&syn()[..40], "192.168.0.149 -> 93.184.215.14 protocol 6"),
        (&syn()[..20], "ethertype 0x0800"),
        (&syn()[..9], "frame of 9 bytes"),
    ];
    for (frame, expected) in cases {
        assert_eq!(Summary::new(frame).to_string(), expected);
    }
}
