//! The text form: what it makes, and what it says about what it cannot make.

use std::fmt::Write;

use proptest::prelude::*;
use twinpath_pcaps::build::Ethernet;
use twinpath_pcaps::{dissect, text};

/// Every head and every clause.
const FRAMES: &[&str] = &[
    "tcp 10.0.0.1:1234 > 10.0.0.2:80 SYN ttl 3 len 20",
    "tcp 10.0.0.1:1>10.0.0.2:2 none",
    "tcp 10.0.0.1:1 > 10.0.0.2:2 PSH,ACK seq 7 ack 0xffffffff win 1 urg 2 payload \"GET /\\r\\n\\x00\"",
    "tcp [fd00::1]:1 > [fd00::2]:2 SYN mss 1460 sackok ts 1 2 wscale 7 flow 5 tos 0xb9",
    "tcp 10.0.0.1:1 > 10.0.0.2:2 FIN,ACK csum bad",
    "tcp 10.0.0.1:1 > 10.0.0.2:2 RST doff 15",
    "tcp 10.0.0.1:1 > 10.0.0.2:2 RST doff 4",
    "udp [fd00::1]:53 > [fd00::2]:999",
    "udp 10.0.0.1:53 > 10.0.0.2:999 len 2 payload 0xdead_beef csum none ipcsum bad",
    "udp 10.0.0.1:53 > 10.0.0.2:999 csum 0x1234 ipcsum 7 udplen 100 len 20",
    "udp 10.0.0.1:53 > 10.0.0.2:999 iplen 1000 df ipid 0xabcd tos 3",
    "udp 10.0.0.1:53 > 10.0.0.2:999 ihl 6 ipopt 94040000 len 8",
    "udp 10.0.0.1:53 > 10.0.0.2:999 ihl 4",
    "udp 10.0.0.1:53 > 10.0.0.2:999 ipopt 0x94040000_01 pad 64",
    "udp 10.0.0.1:53 > 224.0.0.251:5353 cut 40",
    "udp 10.0.0.1:68 > 255.255.255.255:67 vlan 7 pcp 5 dei len 3 pad 60",
    "udp 10.0.0.1:1 > 10.0.0.2:2 qinq 100 vlan 7 eth 02:00:00:00:aa:01 > 02:00:00:00:aa:02",
    "udp 10.0.0.1:1 > 10.0.0.2:2 len 3000 frag 0..1480 ipid 7",
    "udp 10.0.0.1:1 > 10.0.0.2:2 len 3000 frag 1480..2960 ipid 7",
    "udp 10.0.0.1:1 > 10.0.0.2:2 len 3000 frag 2960.. ipid 7",
    "udp 10.0.0.1:1 > 10.0.0.2:2 len 3000 frag 2960.. more ipid 7",
    "udp 10.0.0.1:1 > 10.0.0.2:2 len 32 frag 0..16 last",
    "udp [fd00::1]:1 > [fd00::2]:2 len 3000 frag 0..1448 ipid 0x12345678",
    "udp [fd00::1]:1 > [fd00::2]:2 len 3000 frag 1448.. ipid 0x12345678",
    "udp [fd00::1]:1 > [fd00::2]:2 hopopt 05020000 routing 4 0 0x00000000 dstopt 010200 frag 0.. ah 1 2 00112233",
    "udp [fd00::1]:1 > [fd00::2]:2 routing 4 1 0x00000000 iplen 100",
    "icmp 10.0.0.1 > 10.0.0.2 echo id 1 seq 2 len 8",
    "icmp 10.0.0.1 > 10.0.0.2 echo-reply seq 2 csum bad",
    "icmp 10.0.0.9 > 10.0.0.1 unreachable port quote { udp 10.0.0.1:1 > 10.0.0.2:2 len 4 }",
    "icmp 10.0.0.9 > 10.0.0.1 unreachable 9 quote 28 {tcp 10.0.0.1:1 > 10.0.0.2:2 SYN ttl 1}",
    "icmp 10.0.0.9 > 10.0.0.1 needs-frag mtu 1400 quote { udp 10.0.0.1:1 > 10.0.0.2:2 csum bad }",
    "icmp 10.0.0.9 > 10.0.0.1 time-exceeded transit",
    "icmp 10.0.0.9 > 10.0.0.1 redirect 10.0.0.7",
    "icmp 10.0.0.9 > 10.0.0.1 type 13 code 0 rest 0x00010002 len 12",
    "icmp fd00::1 > fd00::2 echo id 1 seq 2",
    "icmp6 fd00::9 > fd00::1 unreachable port quote { udp [fd00::1]:1 > [fd00::2]:2 }",
    "icmp6 fd00::9 > fd00::1 too-big mtu 1280 quote 48 { tcp [fd00::1]:1 > [fd00::2]:2 SYN }",
    "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicit fe80::2 at 02:00:00:00:00:01 ttl 255",
    "icmp6 fe80::2 > fe80::1 neighbor-advert fe80::2 at 02:00:00:00:00:02 ttl 255",
    "ip 10.0.0.1 > 10.0.0.2 proto 132 len 12",
    "ip fd00::1 > fd00::2 proto 1 payload 0x0800",
    "vxlan 192.0.2.1 > 192.0.2.2 vni 7 { tcp 10.0.0.1:1 > 10.0.0.2:2 SYN csum bad vlan 3 }",
    "vxlan [2001:db8::1]:5 > [2001:db8::2]:8472 vni 16777215 {arp who-has 10.0.0.1 tell 10.0.0.2} csum none",
    "ipip 192.0.2.1 > 192.0.2.2 { udp 10.0.0.1:1 > 10.0.0.2:2 ttl 9 } ttl 8",
    "ipip 192.0.2.1 > 192.0.2.2 { icmp fd00::1 > fd00::2 echo }",
    "ipip fd00::1 > fd00::2 { ipip 10.0.0.1 > 10.0.0.2 { ip 1.1.1.1 > 2.2.2.2 proto 6 } }",
    "arp who-has 10.0.0.2 tell 10.0.0.1",
    "arp reply 10.0.0.2 is-at 02:00:00:00:00:0b to 10.0.0.1 at 02:00:00:00:00:0a pad 60",
    "ether 0x88cc payload 0x0207",
    "ether 40 len 40 pad 60",
    "raw 0x020000000002_020000000001_0800",
    "raw 00",
];

#[test]
fn frames() {
    let mut shown = String::new();
    for source in FRAMES {
        let frame = text::frame(source).unwrap_or_else(|error| panic!("{source}\n{error}"));
        let line = dissect::summary(&frame);
        write!(shown, "{source}\n    {} bytes: {line}\n", frame.len()).unwrap();
        if !source.starts_with("raw") {
            assert_eq!(
                source.parse::<Ethernet>().unwrap().to_bytes().unwrap(),
                frame
            );
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn errors() {
    let cases = [
        "",
        "   ",
        "sctp 10.0.0.1:1 > 10.0.0.2:2",
        "> tcp",
        "tcp",
        "tcp 10.0.0.1 > 10.0.0.2:2 SYN",
        "tcp 10.0.0.1:70000 > 10.0.0.2:2 SYN",
        "tcp 10.0.0.1:1 10.0.0.2:2 SYN",
        "tcp 10.0.0.1:1 > [fd00::2]:2 SYN",
        "tcp 10.0.0.1:1 > 10.0.0.2:2",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 SIN",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 SYN ttl",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 SYN ttl 256",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 SYN ttl -1",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 SYN tll 3",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 SYN flow 3",
        "tcp [fd00::1]:1 > [fd00::2]:2 SYN df",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 SYN udplen 3",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 SYN }",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 SYN ts 1 2 ts 3 4 ts 5 6 ts 7 8 ts 9 10",
        "udp 10.0.0.1:1 > 10.0.0.2:2 frag 1..2",
        "udp 10.0.0.1:1 > 10.0.0.2:2 frag 8..16",
        "udp 10.0.0.1:1 > 10.0.0.2:2 frag 16..8",
        "udp 10.0.0.1:1 > 10.0.0.2:2 frag 0..18446744073709551615",
        "udp [fd00::1]:1 > [fd00::2]:2 ipid 3 frag 0..8",
        "udp 10.0.0.1:1 > 10.0.0.2:2 csum good",
        "udp 10.0.0.1:1 > 10.0.0.2:2 payload hello",
        "udp 10.0.0.1:1 > 10.0.0.2:2 payload 0xabc",
        "udp 10.0.0.1:1 > 10.0.0.2:2 payload \"open",
        "udp 10.0.0.1:1 > 10.0.0.2:2 payload \"\\q\"",
        "udp 10.0.0.1:1 > 10.0.0.2:2 payload \"\\xg0\"",
        "udp 10.0.0.1:1 > 10.0.0.2:2 len 65535",
        "udp 10.0.0.1:1 > 10.0.0.2:2 len 65520",
        "udp 10.0.0.1:1 > 10.0.0.2:2 vlan 4096",
        "udp 10.0.0.1:1 > 10.0.0.2:2 vlan 1 pcp 8",
        "udp 10.0.0.1:1 > 10.0.0.2:2 eth 02:00:00:00:00 > 02:00:00:00:00:01",
        "udp 10.0.0.1:1 > 10.0.0.2:2 ipopt 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899",
        "udp [fd00::1]:1 > [fd00::2]:2 routing 0 0 0x00",
        "icmp 10.0.0.1 > 10.0.0.2 ping",
        "icmp 10.0.0.1 > 10.0.0.2",
        "icmp fd00::1 > fd00::2 needs-frag mtu 1400",
        "icmp6 10.0.0.1 > 10.0.0.2 echo",
        "icmp 10.0.0.1 > 10.0.0.2 unreachable quote",
        "icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { arp who-has 1.1.1.1 tell 2.2.2.2 }",
        "icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 1.1.1.1:1 > 2.2.2.2:2 vlan 7 }",
        "icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 1.1.1.1:1 > 2.2.2.2:2 len 65530 }",
        "vxlan 192.0.2.1 > 192.0.2.2 vni 16777216 { arp who-has 1.1.1.1 tell 2.2.2.2 }",
        "vxlan 192.0.2.1 > 192.0.2.2 vni 7 { arp who-has 1.1.1.1 tell 2.2.2.2",
        "vxlan 192.0.2.1 > 192.0.2.2 vni 7 { raw 00 }",
        "ipip 192.0.2.1 > 192.0.2.2 len 7",
        "ipip 192.0.2.1 > 192.0.2.2 { udp 10.0.0.1:1 > 10.0.0.2:2 } len 7",
        "arp 10.0.0.2",
        "arp who-has fd00::1 tell 10.0.0.1",
        "arp who-has 10.0.0.2 tell 10.0.0.1 ttl 3",
        "ether 0x10000",
        "raw 0x0",
        "raw 00 11",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 SYN\n  ttl ünï",
    ];
    let mut shown = String::new();
    for source in cases {
        let error = text::frame(source).expect_err(source);
        let (start, marked) = (error.span.start, &source[error.span.clone()]);
        let caret = source[..start].chars().count();
        let marks = "^".repeat(marked.chars().count().max(1));
        let source = source.replace('\n', "⏎");
        writeln!(shown, "{source}\n{:caret$}{marks} {error}", "").unwrap();
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn braces_are_not_nested_forever() {
    let nested = "ipip 1.1.1.1 > 2.2.2.2 { ".repeat(100_000);
    let error = text::frame(&nested).unwrap_err();
    assert!(error.to_string().contains("at most 16 braces"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_never_panics(source in "\\PC{0,60}") {
        let _ = text::frame(&source);
    }

    /// Words of valid frames in a wrong order.
    #[test]
    fn any_words_never_panic(
        base in prop::sample::select(FRAMES),
        words in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::sample::select(FRAMES)),
            0..4,
        ),
    ) {
        let mut mixed: Vec<&str> = base.split(' ').collect();
        for (from, to, other) in words {
            let other: Vec<&str> = other.split(' ').collect();
            let at = to.index(mixed.len());
            mixed.insert(at, other[from.index(other.len())]);
        }
        let _ = text::frame(&mixed.join(" "));
    }
}
