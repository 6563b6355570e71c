//! The command: what it prints and writes when it has something to say.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use twinpath_pcaps::{Capture, Frame, PcapWriter, Timestamp, text};

/// `plain` drops what is longer than 60 bytes. One expectation holds and one does not.
const SCENARIO: &str = r#"description = "A short frame and a long one"

[[object]]
path = "plain.o"

[[device]]
name = "eth0"
xdp = "plain"

[[step]]
send = "udp 10.0.0.1:53 > 10.0.0.2:999 len 4"
expect = { verdict = "XDP_PASS", ends = "stack", unchanged = true }

[[step]]
after = "1s"
send = "udp 10.0.0.1:53 > 10.0.0.2:999 len 40"
expect = { verdict = "XDP_PASS", fields."ip.ttl" = 63 }
"#;

/// A folder with a scenario, its object and a capture of three frames.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects/plain.bpf.o");
    std::fs::copy(object, folder.path().join("plain.o")).unwrap();
    std::fs::write(folder.path().join("lengths.toml"), SCENARIO).unwrap();
    std::fs::write(folder.path().join("frames.pcap"), capture()).unwrap();
    folder
}

fn capture() -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new()).unwrap();
    for (second, len) in [(100, 4), (101, 400), (103, 0)] {
        let frame = text::frame(&format!("udp 10.0.0.1:53 > 10.0.0.2:999 len {len}")).unwrap();
        let at = Timestamp::from_nanos(second * 1_000_000_000);
        writer.frame(&Frame::new(at, frame)).unwrap();
    }
    writer.finish().unwrap()
}

/// Exit status and output of the command in the folder. Nothing may be said on standard error.
fn twinpath(folder: &TempDir, arguments: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_twinpath"))
        .args(arguments.split_whitespace())
        .current_dir(folder.path())
        .env_remove("CLICOLOR_FORCE")
        .env_remove("GITHUB_ACTIONS")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let status = output.status.code().unwrap_or(-1);
    format!("exit {status}\n{}", String::from_utf8_lossy(&output.stdout))
}

/// What a capture tells: time, interface, comment and line of each frame.
fn told(path: &Path) -> String {
    let mut capture = Capture::open(path).unwrap();
    let frames: Vec<Frame> = capture.by_ref().collect::<Result<_, _>>().unwrap();
    let line = |frame: &Frame| {
        let name = capture.interfaces()[frame.interface.index()].name.clone();
        let summary = twinpath::frame::line(&frame.bytes);
        let (name, comment) = (
            name.unwrap_or_default(),
            frame.comment.clone().unwrap_or_default(),
        );
        format!("{} {name}: {summary}  # {comment}\n", frame.at)
    };
    frames.iter().map(line).collect()
}

#[test]
fn run_shows_what_is_not_as_expected() {
    insta::assert_snapshot!(twinpath(&folder(), "run lengths.toml --backend emulator"));
}

/// What wrote to the fields in question: a store, a helper, nothing.
#[test]
fn run_shows_what_wrote_the_fields_that_are_not_as_expected() {
    let folder = folder();
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../suite/object");
    for object in ["checksums.bpf.o", "typed.bpf.o"] {
        std::fs::copy(suite.join(object), folder.path().join(object)).unwrap();
    }
    let helper = r#"description = "A helper writes a port"

[[object]]
path = "checksums.bpf.o"

[[device]]
name = "eth0"
tc-ingress = "rewrite"

[[step]]
send = "udp 192.0.2.10:40000 > 192.0.2.80:53 len 4"
expect.fields = { "udp.dstport" = 53, "udp.srcport" = 4000 }
"#;
    let store = r#"description = "Stores write an address, two of them the last bytes"

[[object]]
path = "typed.bpf.o"

[[device]]
name = "eth0"
xdp = "firewall"

[[map]]
map = "rules"
key = { addr = "192.0.2.80", port = 53, proto = 17 }
value = { action = "ADMIT", mark = 0xcafe0000, name = { text = "d" }, router = "02:00:00:00:00:09" }

[[step]]
send = "udp 192.0.2.10:40000 > 192.0.2.80:53 len 4"
expect.fields = { "eth.dst" = "02:00:00:00:00:08" }
"#;
    std::fs::write(folder.path().join("helper.toml"), helper).unwrap();
    std::fs::write(folder.path().join("store.toml"), store).unwrap();
    let output = twinpath(&folder, "run helper.toml store.toml --backend emulator");
    insta::assert_snapshot!(output);
}

/// Keys and values of another's object are told by the types that its BTF has for them.
#[test]
fn run_tells_of_maps_by_their_types() {
    let folder = folder();
    let object = Path::new(env!("CARGO_MANIFEST_DIR"));
    let object = object.join("../../emulator/node/tests/objects/policy.bpf.o");
    std::fs::copy(object, folder.path().join("policy.o")).unwrap();
    let scenario = r#"description = "A connection is not as it should be"

[[object]]
path = "policy.o"

[[device]]
name = "eth0"
tc-ingress = "from_container"

[[map]]
map = "connections"
key = "0a000001 0a000002 0050 a00f 06 000000"
value = "0300000000000000 15000000 02000000"

[[step]]
send = "udp 10.0.0.1:53 > 10.0.0.2:999 len 4"

[[expect.map]]
map = "connections"
key = "0a000001 0a000002 0050 a00f 06 000000"
value = "0400000000000000 05000000 02000000"
"#;
    std::fs::write(folder.path().join("maps.toml"), scenario).unwrap();
    insta::assert_snapshot!(twinpath(&folder, "run maps.toml --backend emulator"));
}

/// One expectation of a call holds, and one of another does not; the emulator says what it does not do.
#[test]
fn run_shows_which_call_is_not_as_expected() {
    let folder = folder();
    let calls = r#"description = "A socket connects to nobody"

[[object]]
path = "plain.o"

[[node]]
name = "a"

[[node.device]]
name = "eth0"
addresses = ["10.0.0.1/24"]

[[step]]
call = ["socket client tcp", "connect client 10.0.0.1:80"]
expect = { result = "done", peer = "10.0.0.1" }

[[step]]
call = ["socket dns udp", "bind dns 10.0.0.1:53", "getsockname dns"]
expect = { result = "done", address = "10.0.0.1:53", local = "10.0.0.2", events = 0 }
"#;
    let away =
        r#"call = ["socket late udp", "set late broadcast", "send late hello to 10.0.0.255:80"]"#;
    std::fs::write(folder.path().join("calls.toml"), calls).unwrap();
    std::fs::write(
        folder.path().join("leaves.toml"),
        format!("{calls}\n[[step]]\n{away}\n"),
    )
    .unwrap();
    let arguments = "run calls.toml leaves.toml --backend emulator";
    insta::assert_snapshot!(twinpath(&folder, arguments));
    let text = twinpath(&folder, "run calls.toml --backend emulator --json");
    let line = text.lines().nth(1).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let call = &line["runs"][0]["packets"][1];
    assert_eq!(call["call"], "connect client 10.0.0.1:80");
    assert_eq!(call["gave"]["result"], "ECONNREFUSED");
}

/// A wire, a tunnel, programs of each kind of hook, a route and a neighbour, and what answers at an end.
#[test]
fn show_draws_a_network() {
    let folder = folder();
    let network = r#"description = "Two nodes"
wires = [["a/eth0", "b/eth0"]]
responders = { "a/pod" = "echo" }

[[object]]
path = "plain.o"

[[object]]
path = "calls.o"

[[node]]
name = "a"
socket-programs = ["connect4", "lookup", "sock_create", "no_datagrams"]

[[node.device]]
name = "eth0"
addresses = ["192.168.0.1/24", "fd00::1/64"]
xdp = "plain"

[[node.device]]
name = "pod"

[[node.device]]
name = "tunnel"
vxlan = { vni = 7, remote = "192.168.0.2" }

[[node.device]]
name = "hole"
dummy = true

[[node.route]]
to = "10.0.0.0/8"
via = "192.168.0.2"
table = 100

[[node.neighbour]]
device = "eth0"
address = "192.168.0.2"
mac = "02:00:00:00:02:01"

[[node]]
name = "b"

[[node.device]]
name = "eth0"

[[step]]
on = "pod"
send = "udp 10.0.0.1:53 > 10.0.0.2:999"
"#;
    let calls = concat!(env!("CARGO_MANIFEST_DIR"), "/../suite/socket/calls.bpf.o");
    std::fs::copy(calls, folder.path().join("calls.o")).unwrap();
    std::fs::write(folder.path().join("network.toml"), network).unwrap();
    insta::assert_snapshot!("network_as_text", twinpath(&folder, "show network.toml"));
    twinpath(&folder, "show network.toml --svg network.svg");
    let svg = std::fs::read_to_string(folder.path().join("network.svg")).unwrap();
    insta::assert_snapshot!("network_as_svg", svg);
}

/// A switch between three nodes, and a bridge on one of them.
#[test]
fn show_draws_switches_and_bridges() {
    let folder = folder();
    let network = r#"description = "Three nodes"
wires = [["a/eth0", "b/eth0", "c/eth0"]]

[[node]]
name = "a"
device = [{ name = "eth0" }, { name = "p1" }, { name = "p2", mtu = 1400 }, { name = "br0", bridge = ["p1", "p2"] }]

[[node]]
name = "b"
device = [{ name = "eth0" }]

[[node]]
name = "c"
device = [{ name = "eth0" }]

[[step]]
on = "p1"
send = "udp 10.0.0.1:53 > 10.0.0.2:999"
"#;
    std::fs::write(folder.path().join("network.toml"), network).unwrap();
    insta::assert_snapshot!("segment_as_text", twinpath(&folder, "show network.toml"));
    twinpath(&folder, "show network.toml --svg network.svg");
    let svg = std::fs::read_to_string(folder.path().join("network.svg")).unwrap();
    insta::assert_snapshot!("segment_as_svg", svg);
}

#[test]
fn run_tells_of_each_packet_when_asked() {
    let text = twinpath(&folder(), "run lengths.toml --backend emulator --packets");
    let packets: Vec<&str> = text.lines().skip(2).take(4).collect();
    insta::assert_snapshot!(packets.join("\n"));
}

#[test]
fn run_gives_json_lines() {
    let text = twinpath(&folder(), "run lengths.toml --backend emulator --json");
    let lines: Vec<serde_json::Value> = text
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [scenario, summary] = lines.as_slice() else {
        panic!("{text}")
    };
    assert_eq!(scenario["status"], "different");
    assert_eq!(summary["summary"]["different"], 1);
    insta::assert_snapshot!(serde_json::to_string_pretty(&scenario["runs"]).unwrap());
}

#[test]
fn run_writes_captures() {
    let folder = folder();
    twinpath(
        &folder,
        "run lengths.toml --backend emulator --out captures",
    );
    let path = folder.path().join("captures/lengths.emulator.pcapng");
    insta::assert_snapshot!(told(&path));
}

#[test]
fn replay_tells_of_each_packet_and_of_all() {
    let arguments = "replay plain.o --program plain --pcap frames.pcap";
    insta::assert_snapshot!(twinpath(&folder(), arguments));
}

#[test]
fn replay_gives_json_lines_and_writes_what_came_out() {
    let folder = folder();
    let arguments =
        "replay plain.o --program plain --pcap frames.pcap --json --write out.pcapng --clock 5s";
    let text = twinpath(&folder, arguments);
    let written = told(&folder.path().join("out.pcapng"));
    insta::assert_snapshot!(format!("{text}\n{written}"));
}

/// Frames that a capture can hold and a device may not take, and one that the capture cut.
#[test]
fn odd_packets_are_replayed() {
    let folder = folder();
    let frame = text::frame("udp 10.0.0.1:53 > 10.0.0.2:999 len 60000").unwrap();
    let mut writer = PcapWriter::new(Vec::new()).unwrap();
    for len in [0, 13, 14, 60_042, 262_144] {
        let mut bytes = frame.clone();
        bytes.resize(len, 0);
        writer
            .frame(&Frame::new(Timestamp::from_nanos(0), bytes))
            .unwrap();
    }
    let mut cut = Frame::new(Timestamp::from_nanos(0), frame[..60].to_vec());
    cut.original_len = 60_042;
    writer.frame(&cut).unwrap();
    std::fs::write(folder.path().join("odd.pcap"), writer.finish().unwrap()).unwrap();
    let arguments = "replay plain.o --program plain --pcap odd.pcap";
    insta::assert_snapshot!(twinpath(&folder, arguments));
}

/// The same program as one of each type, which decides how the number that it returns is read.
#[test]
fn programs_of_all_types_that_take_packets_are_replayed() {
    let folder = folder();
    let types = "sched_cls sched_act socket_filter cgroup_skb lwt_in lwt_out lwt_xmit";
    let lines = types.split(' ').map(|kind| {
        let arguments =
            format!("replay plain.o --program strange --type {kind} --pcap frames.pcap --json");
        let text = twinpath(&folder, &arguments);
        let line = text.lines().nth(1).unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("{kind}: {} {}", line["verdict"], line["cost"])
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn inspect_shows_an_object() {
    insta::assert_snapshot!(twinpath(&folder(), "inspect plain.o"));
}

#[test]
fn inspect_gives_json() {
    let text = twinpath(&folder(), "inspect plain.o --json --program plain");
    let line: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(line["programs"][0]["name"], "plain");
    assert_eq!(line["programs"][0]["instructions"][6]["text"], "exit");
    assert_eq!(line["programs"].as_array().unwrap().len(), 1);
    let text = twinpath(&folder(), "inspect plain.o --json --no-disassembly");
    let line: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(line["programs"][0]["instructions"], serde_json::Value::Null);
}

#[test]
fn run_writes_a_junit_report() {
    let folder = folder();
    twinpath(
        &folder,
        "run lengths.toml --backend emulator --junit report.xml",
    );
    let report = std::fs::read_to_string(folder.path().join("report.xml")).unwrap();
    // How long it took is another each time.
    let report: Vec<String> = report
        .lines()
        .map(|line| {
            let (before, after) = line.split_once(" time=\"").unwrap_or((line, "\""));
            let after = after.split_once('"').map_or("", |(_, after)| after);
            format!("{before}{after}")
        })
        .collect();
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn github_is_told_which_expectation_is_not_met() {
    let folder = folder();
    let output = Command::new(env!("CARGO_BIN_EXE_twinpath"))
        .args(["run", "lengths.toml", "--backend", "emulator"])
        .current_dir(folder.path())
        .env("GITHUB_ACTIONS", "true")
        .output()
        .unwrap();
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stderr));
}

#[test]
fn both_engines_replay_alike() {
    let folder = folder();
    let lines = |engine: &str| -> Vec<serde_json::Value> {
        let arguments =
            format!("replay plain.o --program plain --pcap frames.pcap --json --engine {engine}");
        let text = twinpath(&folder, &arguments);
        let mut lines: Vec<serde_json::Value> = text
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        // rbpf does not count.
        lines
            .iter_mut()
            .for_each(|line| line["cost"] = serde_json::Value::Null);
        lines
    };
    assert_eq!(lines("checked"), lines("rbpf"));
}

/// The kernel would not take the program; the emulator shows on which packet it goes wrong.
#[test]
fn a_fault_is_told_with_its_source_line() {
    let folder = folder();
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects/wild.bpf.o");
    std::fs::copy(object, folder.path().join("wild.o")).unwrap();
    let text = twinpath(&folder, "replay wild.o --program wild --pcap frames.pcap");
    assert!(text.starts_with("exit 1\n"), "{text}");
    assert!(text.contains("fault: invalid read of 1 bytes"), "{text}");
    assert!(
        text.contains("wild.bpf.c:14 `return data[100] == 7 ? 1 : 2;`"),
        "{text}"
    );
    assert!(text.contains("3 packets: 1 XDP_PASS, 2 fault"), "{text}");
}

#[test]
fn run_warns_of_unwritten_stack() {
    let folder = folder();
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects/unwritten.bpf.o");
    std::fs::copy(object, folder.path().join("plain.o")).unwrap();
    let scenario = SCENARIO.replace("xdp = \"plain\"", "xdp = \"unwritten\"");
    let scenario = scenario.replace(", fields.\"ip.ttl\" = 63", "");
    std::fs::write(folder.path().join("lengths.toml"), scenario).unwrap();
    insta::assert_snapshot!(twinpath(&folder, "run lengths.toml --backend emulator"));
}

/// A packet that goes round is told as such, and ends the run.
#[test]
fn run_tells_of_a_storm() {
    let folder = folder();
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("../suite/node/acts.bpf.o");
    std::fs::copy(object, folder.path().join("acts.o")).unwrap();
    let scenario = r#"description = "A program has its device receive what it received"

[[object]]
path = "acts.o"
globals.TARGET = { device = "eth0" }

[[device]]
name = "eth0"
tc-ingress = "redirect_in"

[[step]]
send = "udp 10.0.0.1:53 > 10.0.0.2:999"
"#;
    std::fs::write(folder.path().join("storm.toml"), scenario).unwrap();
    insta::assert_snapshot!(twinpath(&folder, "run storm.toml --backend emulator"));
}

/// Bridges joined in a ring carry what is for all for ever, without a spanning tree: that is told, too.
#[test]
fn run_tells_of_a_ring_of_bridges() {
    let folder = folder();
    let scenario = r#"description = "Two bridges, and two wires between them"
wires = [["a/one", "b/one"], ["a/two", "b/two"]]

[[node]]
name = "a"
device = [{ name = "in" }, { name = "one" }, { name = "two" }, { name = "bridge", bridge = ["in", "one", "two"] }]

[[node]]
name = "b"
device = [{ name = "one" }, { name = "two" }, { name = "bridge", bridge = ["one", "two"] }]

[[step]]
on = "a/in"
send = "udp 10.0.0.1:53 > 10.0.0.2:999 eth 02:00:00:00:00:aa > 02:00:00:00:00:bb"
"#;
    std::fs::write(folder.path().join("ring.toml"), scenario).unwrap();
    insta::assert_snapshot!(twinpath(&folder, "run ring.toml --backend emulator"));
}
