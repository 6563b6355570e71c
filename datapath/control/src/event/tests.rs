use etherparse::PacketBuilder;
use twinpath_abi::{
    Address, CAPTURE_LEN, DebugNotify, DebugPoint, Direction, DropNotify, DropReason, DropRecord,
    EndpointId, Identity, Ifindex, IntoBytes as _, NotifyCapture, NotifyFlags, NotifyHead,
    PolicyMatch, Port, Protocol, SourceFile, TraceNotify, TracePoint, TraceReason, TraceRecord,
    VerdictFlags, VerdictNotify, VerdictRecord,
};

use super::*;

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

#[test]
fn a_drop_reads_as_in_cilium_monitor() {
    let event = DropEvent::parse(record(&syn()).as_bytes()).unwrap();
    assert_eq!(
        event.to_string(),
        "xx drop (Policy denied) flow 0xfddd76f6 to endpoint 0, ifindex 29, \
         file endpoint.rs:1274, identity 48447->world: \
         192.168.0.149:45830 -> 93.184.215.14:80 tcp SYN"
    );
    assert_eq!(event.source(), Some(EndpointId(12)));
    assert_eq!(event.packet(), syn());
}

#[test]
fn numbers_from_elsewhere_stay_numbers() {
    let mut record = record(&[]);
    record.notify.head.subtype = 255;
    record.notify.file = 200;
    record.notify.head.source = EndpointId(0);
    let event = DropEvent::parse(record.as_bytes()).unwrap();
    assert_eq!(event.reason(), None);
    assert_eq!(event.reason_text(), "255");
    assert_eq!(event.place(), "200:1274");
    assert_eq!(event.source(), None);
    assert!(event.to_string().ends_with(": frame of 0 bytes"), "{event}");
}

#[test]
fn a_length_beyond_the_record_is_cut() {
    let mut record = record(&syn());
    record.notify.capture.len_cap = u16::MAX;
    let event = DropEvent::parse(record.as_bytes()).unwrap();
    assert_eq!(event.packet().len(), CAPTURE_LEN);
}

#[test]
fn what_is_no_drop_event_is_refused() {
    let mut bytes = record(&[]).as_bytes().to_vec();
    let size = EventError::Size {
        expected: 176,
        found: 175,
    };
    assert_eq!(DropEvent::parse(&bytes[..175]), Err(size));
    bytes[14] = 9;
    assert_eq!(
        DropEvent::parse(&bytes),
        Err(EventError::Version {
            expected: DropNotify::VERSION,
            found: 9
        })
    );
    bytes[0] = 4;
    assert_eq!(
        DropEvent::parse(&bytes),
        Err(EventError::Type {
            expected: 1,
            found: 4
        })
    );
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
        assert_eq!(summary(frame), expected);
    }
}

fn head(kind: NotifyType, subtype: u8) -> NotifyHead {
    NotifyHead {
        r#type: kind as u8,
        subtype,
        source: EndpointId(2),
        hash: 0x1f3a_c2b1,
    }
}

/// The head of a packet, and how a record shows it.
fn shown(version: u8) -> (NotifyCapture, [u8; CAPTURE_LEN]) {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([10, 0, 1, 1], [10, 0, 1, 2], 64)
        .tcp(40000, 80, 0, 1024)
        .syn();
    let frame = frame(builder, 0);
    let mut payload = [0; CAPTURE_LEN];
    payload[..frame.len()].copy_from_slice(&frame);
    let capture = NotifyCapture {
        len_orig: frame.len() as u32,
        len_cap: frame.len() as u16,
        version,
        ext_version: 0,
    };
    (capture, payload)
}

fn trace(point: TracePoint) -> TraceRecord {
    let (capture, payload) = shown(TraceNotify::VERSION);
    TraceRecord {
        notify: TraceNotify {
            head: head(NotifyType::Trace, point as u8),
            capture,
            src_label: Identity(1001),
            dst_label: Identity(1002),
            dst_id: EndpointId(7),
            reason: TraceReason::Reply as u8,
            flags: NotifyFlags(0),
            ifindex: Ifindex(11),
            orig_ip: Address::UNSPECIFIED,
            timestamp: 5,
        },
        payload,
    }
}

fn verdict(verdict: i32, found: PolicyMatch, audited: bool) -> VerdictRecord {
    let (capture, payload) = shown(VerdictNotify::VERSION);
    VerdictRecord {
        notify: VerdictNotify {
            head: head(NotifyType::PolicyVerdict, 0),
            capture,
            remote_label: Identity(1001),
            verdict,
            dst_port: Port::new(80),
            proto: Protocol::TCP,
            flags: VerdictFlags::new(Direction::Ingress, false, found, audited),
            auth_type: 0,
            reserved: [0; 3],
            cookie: 0,
            reserved2: 0,
        },
        payload,
    }
}

#[test]
fn events_are_lines_as_cilium_monitor_prints_them() {
    let line = |bytes: &[u8]| Event::parse(bytes).unwrap().to_string();
    let traces = [
        (TracePoint::ToEndpoint, "-> endpoint 7"),
        (TracePoint::FromEndpoint, "<- endpoint 2"),
        (TracePoint::ToStack, "-> stack"),
        (TracePoint::FromNetwork, "<- network"),
    ];
    for (point, start) in traces {
        let expected = format!(
            "{start} flow 0x1f3ac2b1 , identity 1001->1002 state reply ifindex 11: \
             10.0.1.1:40000 -> 10.0.1.2:80 tcp SYN"
        );
        assert_eq!(line(trace(point).as_bytes()), expected);
    }
    let denied = -i32::from(DropReason::PolicyDenied.code());
    let verdicts = [
        (verdict(0, PolicyMatch::L3L4, false), "allow", "L3-L4"),
        (verdict(denied, PolicyMatch::None, false), "deny", "none"),
        (
            verdict(15001, PolicyMatch::L4Only, false),
            "redirect",
            "L4-Only",
        ),
        (verdict(0, PolicyMatch::None, true), "audit", "none"),
    ];
    for (record, action, found) in verdicts {
        let expected = format!(
            "Policy verdict log: flow 0x1f3ac2b1 local EP ID 2, remote ID 1001, proto tcp, ingress, \
             action {action}, auth: disabled, match {found}, 10.0.1.1:40000 -> 10.0.1.2:80 tcp SYN"
        );
        assert_eq!(line(record.as_bytes()), expected);
    }
    let debug = DebugNotify {
        head: head(NotifyType::Debug, DebugPoint::ToStack as u8),
        arg1: 0x0f00,
        arg2: 0,
        arg3: 0,
    };
    assert_eq!(
        line(debug.as_bytes()),
        "## debug: flow 0x1f3ac2b1 endpoint 2, to the stack: mark: 0xf00 0x0 0x0"
    );
    assert_eq!(Event::parse(&[9; 40]), Err(EventError::UnknownType(9)));
}
