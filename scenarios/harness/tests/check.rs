//! Each kind of expectation can fail, and says how.

use std::path::Path;

use twinpath::arm::Arm;
use twinpath::diff::Diff;
use twinpath::emulated::Engine;
use twinpath::report::{self, TextOptions};
use twinpath::runner::{self, Status};
use twinpath::scenario::Scenario;

/// A packet for a service and one from a denied source. Expectations go where `EXPECT` stands.
const SCENARIO: &str = r#"description = "Expectations"
deny = ["198.51.100.0/24"]

[[device]]
name = "eth0"
xdp = "xdp_entry"

[[service]]
name = "web"
vip = "192.0.2.80"
port = 80
protocol = "tcp"
backends = [{ address = "10.0.0.1", port = 8080 }]

[[step]]
send = "tcp 192.0.2.10:40000 > 192.0.2.80:80 SYN"
EXPECT

[[step]]
send = "tcp 198.51.100.1:40000 > 192.0.2.80:80 SYN"
DENIED

FINAL
"#;

/// In what the run is not as expected: `place: name expected got`.
fn told(place: &str, expectation: &str) -> Vec<String> {
    let mut text = SCENARIO.replace(place, expectation);
    for other in ["EXPECT", "DENIED", "FINAL"] {
        text = text.replace(other, "");
    }
    let scenario = Scenario::parse(Path::new("check/all.toml"), text);
    let case = scenario
        .and_then(|scenario| scenario.case())
        .unwrap_or_else(|error| panic!("{error}"));
    let outcome = runner::run(case, &[Arm::Emulator(Engine::Checked)]);
    let run = outcome.runs.into_iter().next().expect("one arm ran");
    assert!(run.result.is_ok(), "{:?}", run.result);
    lines(&run.unexpected)
}

fn lines(diff: &Diff) -> Vec<String> {
    let side = |side: &Option<String>| side.clone().unwrap_or("-".to_owned());
    let differences = diff
        .packets
        .iter()
        .flat_map(|packet| &packet.differences)
        .chain(&diff.maps);
    differences
        .flat_map(|difference| {
            let values = difference.values.iter();
            values.map(|values| {
                let (left, right) = (side(&values.left), side(&values.right));
                format!("{}: {} {left} | {right}", difference.place, values.name)
            })
        })
        .collect()
}

#[test]
fn a_packet_that_does_as_it_should_is_not_told_of() {
    for (place, expectation) in [
        ("EXPECT", r#"expect.verdict = "XDP_TX""#),
        ("EXPECT", r#"expect.verdict = ["XDP_TX"]"#),
        ("EXPECT", r#"expect.ends = "leaves eth0""#),
        (
            "EXPECT",
            r#"expect.fields = { "ip.ttl" = 63, "ip.dst" = "10.0.0.1", "tcp.checksum" = "right" }"#,
        ),
        (
            "EXPECT",
            "expect = { unchanged = false, checksums-right = true, events = 0 }",
        ),
        (
            "EXPECT",
            "expect.cost = { instructions = 10_000, helpers = 1000, maps = 1000 }",
        ),
        (
            "DENIED",
            r#"expect = { ends = "dropped", reason = "Policy denied by denylist", events = 1 }"#,
        ),
        ("FINAL", "[[expect.map]]\nmap = \"prefilter\"\nentries = 1"),
        (
            "FINAL",
            "[[expect.map]]\nmap = \"lb_backends\"\nkey = { u32 = 9 }\nabsent = true",
        ),
        (
            "FINAL",
            "[[expect.map]]\nmap = \"metrics\"\nkey = \"000103000a000000\"\nvalue = [{ u64 = 1 }, { u64 = 54 }]",
        ),
        (
            "FINAL",
            "[[expect.entry]]\nmap = \"metrics\"\nkey = \"ingress, transmit, ifindex 10\"\nvalue = { packets = 1, bytes = 54 }",
        ),
        (
            "FINAL",
            "[[expect.entry]]\nmap = \"metrics\"\nkey = \"ingress, pass, ifindex 10\"\nabsent = true",
        ),
    ] {
        assert_eq!(told(place, expectation), [""; 0], "{expectation}");
    }
}

#[test]
fn a_packet_that_does_something_else_is_told_of() {
    for (place, expectation, expected) in [
        (
            "EXPECT",
            r#"expect.verdict = "XDP_PASS""#,
            "hop 1, eth0 xdp xdp_entry: verdict XDP_PASS | XDP_TX",
        ),
        (
            "EXPECT",
            r#"expect.verdict = ["XDP_TX", "TC_ACT_OK"]"#,
            "hops: verdict XDP_TX, TC_ACT_OK | XDP_TX",
        ),
        (
            "EXPECT",
            "expect.verdict = []",
            "hop 1, eth0 xdp xdp_entry: verdict  | XDP_TX",
        ),
        (
            "EXPECT",
            r#"expect.ends = "stack""#,
            "ends: ends stack | leaves eth0",
        ),
        (
            "EXPECT",
            r#"expect.ends = ["leaves eth0", "stack"]"#,
            "ends: ends leaves eth0, stack | leaves eth0",
        ),
        (
            "EXPECT",
            r#"expect.fields."ip.ttl" = 64"#,
            "leaves eth0: ip.ttl 64 | 63",
        ),
        (
            "EXPECT",
            r#"expect.fields."ipv6.hlim" = 63"#,
            "leaves eth0: ipv6.hlim 63 | absent",
        ),
        (
            "EXPECT",
            r#"expect.fields."tcp.checksum" = "absent""#,
            "leaves eth0: tcp.checksum absent | 0x2807 right",
        ),
        (
            "EXPECT",
            "expect.checksums-right = false",
            "leaves eth0: checksums wrong | right",
        ),
        (
            "EXPECT",
            "expect.unchanged = true",
            "leaves eth0: eth.dst 02:00:00:00:00:02 | 02:00:00:00:00:01",
        ),
        ("EXPECT", "expect.events = 1", "events: count 1 | 0"),
        (
            "EXPECT",
            r#"expect.reason = "TTL exceeded""#,
            "drop event: reason TTL exceeded | -",
        ),
        (
            "DENIED",
            r#"expect.reason = "TTL exceeded""#,
            "drop event: reason TTL exceeded | Policy denied by denylist",
        ),
        ("DENIED", "expect.events = 0", "events: count 0 | 1"),
        (
            "DENIED",
            "expect.unchanged = true",
            "ends: frame a frame that leaves or reaches the stack | -",
        ),
        (
            "FINAL",
            "[[expect.map]]\nmap = \"prefilter\"\nentries = 2",
            "map twinpath/prefilter: entries 2 | 1",
        ),
        (
            "FINAL",
            "[[expect.map]]\nmap = \"prefilter\"\nkey = [{ u32 = 57 }, \"00000001c6336400\", { zeros = 12 }]\nvalue = { u32 = 7 }",
            "map twinpath/prefilter, key 198.51.100.0/25: entry rule 7 | -",
        ),
        (
            "FINAL",
            "[[expect.map]]\nmap = \"prefilter\"\nkey = [{ u32 = 56 }, \"00000001c6336400\", { zeros = 12 }]\nvalue = { u32 = 7 }",
            "map twinpath/prefilter, key 198.51.100.0/24: rule 7 | 0",
        ),
        (
            "FINAL",
            "[[expect.map]]\nmap = \"lb_backends\"\nkey = { u32 = 1 }\nabsent = true",
            "map twinpath/lb_backends, key backend 1: entry - | 10.0.0.1:8080/tcp, mac of the sender",
        ),
        (
            "FINAL",
            "[[expect.entry]]\nmap = \"metrics\"\nkey = \"ingress, transmit, ifindex 10\"\nvalue = { packets = 3 }",
            "map twinpath/metrics, key ingress, transmit, ifindex 10: packets 3 | 1",
        ),
        (
            "FINAL",
            "[[expect.entry]]\nmap = \"metrics\"\nkey = \"ingress, pass, ifindex 10\"\nvalue = { packets = 2 }",
            "map twinpath/metrics, key ingress, pass, ifindex 10: keys ingress, pass, ifindex 10 | ingress, transmit, ifindex 10; \
             ingress, drop, ifindex 10, reason 181 (Policy denied by denylist)",
        ),
        (
            "FINAL",
            "[[expect.entry]]\nmap = \"metrics\"\nkey = \"ingress, transmit, ifindex 10\"\nabsent = true",
            "map twinpath/metrics, key ingress, transmit, ifindex 10: entry - | packets 1, bytes 54",
        ),
    ] {
        let told = told(place, expectation);
        assert_eq!(
            told.first().map(String::as_str),
            Some(expected),
            "{expectation}: {told:?}"
        );
    }
}

/// How much it is, is the programs' business.
#[test]
fn a_packet_that_costs_too_much_is_told_of() {
    let told = told("EXPECT", "expect.cost = { helpers = 1000, maps = 3 }");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("cost: maps at most 3 | "), "{told:?}");
}

/// Asking nothing of the kernel, as it is too old for the scenario in any case.
#[test]
fn a_kernel_that_is_too_old_is_left_out() {
    let text = SCENARIO.replace("EXPECT", "").replace("DENIED", "");
    let text = format!("kernel = \"999.0\"\n{}", text.replace("FINAL", ""));
    let scenario = Scenario::parse(Path::new("check/old.toml"), text).expect("a scenario");
    let case = scenario.case().expect("a case");
    let emulator = Arm::Emulator(Engine::Checked);
    let outcome = runner::run(case, &[emulator, Arm::Kernel]);
    let ran: Vec<Arm> = outcome.runs.iter().map(|run| run.arm).collect();
    assert_eq!(ran, [emulator]);
    assert_eq!(outcome.status(), Status::Skipped);
    let reason = outcome.skipped[0].to_string();
    assert!(
        reason.starts_with("kernel skipped: it needs Linux 999.0, and this is "),
        "{reason}"
    );
    let options = TextOptions {
        width: 80,
        packets: false,
    };
    let told = report::plain(&outcome, &scenario.source, options);
    assert!(told.starts_with(" skip check::old"), "{told}");
    assert!(told.contains(&reason), "{told}");
}

/// Each answer is a datagram that the other one sends back.
#[test]
fn responders_that_answer_each_other_are_stopped() {
    let text = r#"
        description = "Two echoes"
        responders = { a1 = "echo", b1 = "echo" }

        [topology]
        nodes = 2
        pods = 1

        [[step]]
        from = "a1"
        send = "udp 10.0.1.1:7 > 10.0.2.1:7"
    "#;
    let scenario = Scenario::parse("echoes.toml".as_ref(), text.to_owned()).expect("a scenario");
    let case = scenario.case().expect("a case");
    let refused = Arm::Emulator(Engine::Checked)
        .run(&case.plan)
        .expect_err("there is no end");
    let expected =
        "packet 1: failed to stop responders that answer each other: 64 answers to one frame";
    assert_eq!(refused.to_string(), expected);
}
