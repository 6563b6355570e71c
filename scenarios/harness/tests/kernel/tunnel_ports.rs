//! The source port of a tunnel's datagrams is a hash of the flow with a key that is drawn at random, and is compared by no
//! report. What holds of it all the same, in the kernel and in the emulator, for the datapath's overlay.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use twinpath::arm::Arm;
use twinpath::emulated::Engine;
use twinpath::recording::Journey;
use twinpath::runner::{self, Status};
use twinpath::scenario::Scenario;

use crate::needs_kernel;

/// `net.ipv4.ip_local_port_range`, the end of which is no part of it (`udp_flow_src_port`).
const PORTS: std::ops::Range<u16> = 32768..60999;

/// Flows, of two packets each.
const FLOWS: usize = 32;

const NETWORK: &str = r#"
[topology]
nodes = 2
pods = 1
overlay = "external-vxlan"

[topology.programs]
pod = { tc-ingress = "from_container", tc-egress = "to_container" }
uplink = { tc-ingress = "from_netdev", tc-egress = "to_netdev" }
overlay = { tc-ingress = "from_overlay", tc-egress = "to_overlay" }

[[endpoint]]
name = "client"
device = "lxc-a1"
ipv4 = "10.0.1.1"
ipv6 = "fd00:a::1:1"
mac = "0a:00:00:00:01:01"
identity = 1001

[[endpoint]]
name = "server"
device = "lxc-b1"
ipv4 = "10.0.2.1"
ipv6 = "fd00:a::2:1"
mac = "0a:00:00:00:02:01"
identity = 2001
"#;

#[test]
fn a_flow_keeps_its_source_port_in_the_tunnel() {
    needs_kernel!();
    for (client, server) in [("10.0.1.1", "10.0.2.1"), ("[fd00:a::1:1]", "[fd00:a::2:1]")] {
        let flows = (0..FLOWS).flat_map(|flow| [40_000 + flow; 2]);
        let whole = flows.map(|port| format!("udp {client}:{port} > {server}:53 len 5"));
        // Parts of packets have no ports that all of them have.
        let parts = [71, 72].into_iter().flat_map(|id| {
            ["0..56 more", "56.."].map(|part| {
                format!("udp {client}:40000 > {server}:53 len 100 frag {part} ipid {id}")
            })
        });
        let ports = ports(&whole.chain(parts).collect::<Vec<_>>());
        for (arm, ports) in ports {
            assert!(
                ports.iter().all(|port| PORTS.contains(port)),
                "{arm}: {ports:?}"
            );
            let (whole, parts) = ports.split_at(2 * FLOWS);
            let same = |pair: &[u16]| pair.iter().collect::<BTreeSet<_>>().len() == 1;
            assert!(whole.chunks(2).all(same), "{arm}: {whole:?}");
            let different: BTreeSet<_> = whole.iter().collect();
            assert!(different.len() > FLOWS / 2, "{arm}: {different:?}");
            assert!(same(parts), "{arm}: {parts:?}");
        }
    }
}

/// The source port of each frame's datagram in the tunnel, by arm.
fn ports(frames: &[String]) -> Vec<(String, Vec<u16>)> {
    let mut text = NETWORK.to_owned();
    for frame in frames {
        let _ = write!(
            text,
            "[[step]]\nfrom = \"a1\"\nsend = \"{frame}\"\nexpect.ends = \"reaches b1\"\n"
        );
    }
    let scenario = Scenario::parse(Path::new("tunnel-ports.toml"), text);
    let case = scenario.and_then(|scenario| scenario.case());
    let case = case.unwrap_or_else(|error| panic!("{error}"));
    let outcome = runner::run(case, &[Arm::Emulator(Engine::Checked), Arm::Kernel]);
    assert_eq!(outcome.status(), Status::Passed);
    let runs = outcome.runs.iter().map(|run| {
        let recording = run.result.as_ref().expect("a recording");
        let ports = recording.journeys.iter().map(source_port).collect();
        (run.arm.to_string(), ports)
    });
    runs.collect()
}

/// Of the datagram that the sender's uplink sends.
fn source_port(journey: &Journey) -> u16 {
    const AT: usize = 14 + 20;
    let mut hops = journey.hops.iter();
    let sent = hops
        .find(|hop| hop.program == "to_netdev")
        .expect("it was sent");
    u16::from_be_bytes([sent.bytes[AT], sent.bytes[AT + 1]])
}
