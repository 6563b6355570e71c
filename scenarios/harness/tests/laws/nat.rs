//! NAT forward and back is the identity: what is said across a translation is, to whoever says and hears it, what it would
//! be without one.
//!
//! Pods send into the world under the node's address. What leaves is what was sent, but for the source; an answer to that,
//! and an error which quotes it, come to the pod as an answer to, and an error about, what the pod sent: byte by byte
//! behind the IP header, checksums and quoted packets included.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use etherparse::{NetSlice, SlicedPacket};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use twinpath::arm::Arm;
use twinpath::recording::{End, Journey};
use twinpath::report::{self, TextOptions};
use twinpath::runner::{self, Status};
use twinpath::scenario::Scenario;

use super::checksums;

/// The most flows of a network.
const FLOWS: usize = 12;

/// So few, that translations meet.
const PORTS: &str = "snat-ports = [40000, 40031]\n";

/// What a pod says into the world.
#[derive(Debug, Clone)]
struct Said {
    pod: u8,
    v6: bool,
    kind: Kind,
    /// The source port, or the identifier of an echo.
    from: u16,
    /// The last part of the other end's address.
    to: u8,
    payload: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Udp,
    Echo,
}

/// One end: an address, and a port or an identifier.
type Place = (IpAddr, u16);

/// What a run has seen, so that nobody takes an empty one for a proof.
#[derive(Debug, Default)]
struct Counts {
    flows: usize,
    other_port: usize,
    answers: usize,
    errors: usize,
    no_port: usize,
}

/// Holds random flows to the law on each arm, and the arms to each other. Returns what was seen.
pub fn hold(networks: u32, arms: &[Arm], shrinking: u32) -> String {
    let variable = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let seed = variable("TWINPATH_SEED").unwrap_or(1);
    let mut runner = TestRunner::new(Config {
        cases: variable("TWINPATH_CASES").unwrap_or(networks),
        rng_seed: RngSeed::Fixed(seed.into()),
        failure_persistence: None,
        max_shrink_iters: shrinking,
        ..Config::default()
    });
    let counts = RefCell::new(Counts::default());
    let flows = prop::collection::vec(said(), 1..=FLOWS);
    let result = runner.run(&(any::<bool>(), flows), |(routes, flows)| {
        check(routes, &flows, arms, &mut counts.borrow_mut())
    });
    result.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let counts = counts.into_inner();
    let Counts {
        other_port,
        answers,
        errors,
        ..
    } = counts;
    assert!(other_port > 0 && answers > 0 && errors > 0, "{counts:?}");
    format!("{counts:?} of seed {seed}")
}

fn said() -> impl Strategy<Value = Said> {
    let kind = select(&[Kind::Tcp, Kind::Udp, Kind::Echo]);
    let from = prop_oneof![3 => 40000..40004u16, 2 => 1024..1028u16];
    let ends = (1..3u8, any::<bool>(), from, 1..4u8);
    (ends, kind, "[a-z]{0,40}").prop_map(|((pod, v6, from, to), kind, payload)| Said {
        pod,
        v6,
        kind,
        from,
        to,
        payload,
    })
}

impl Said {
    fn address(&self, v4: &str, v6: &str, number: u8) -> IpAddr {
        let text = match self.v6 {
            false => format!("{v4}{number}"),
            true => format!("{v6}{number}"),
        };
        text.parse().expect("an address")
    }

    fn pod(&self) -> Place {
        (self.address("10.0.1.", "fd00:a::1:", self.pod), self.from)
    }

    fn world(&self) -> Place {
        let port = if self.kind == Kind::Echo {
            self.from
        } else {
            443
        };
        (self.address("203.0.113.", "2001:db8::", self.to), port)
    }

    fn node(&self) -> IpAddr {
        self.address("192.168.0.", "fd00:c0::", 1)
    }

    fn router(&self) -> IpAddr {
        self.address("198.51.100.", "2001:db8:9::", 1)
    }

    /// What is said from one place to another, as a frame in words.
    fn there(&self, from: Place, to: Place) -> String {
        self.packet(from, to, "SYN", "echo", &self.payload)
    }

    /// The answer to it.
    fn back(&self, from: Place, to: Place) -> String {
        let payload: String = self.payload.chars().rev().collect();
        self.packet(from, to, "SYN,ACK", "echo-reply", &payload)
    }

    fn packet(&self, from: Place, to: Place, flags: &str, echo: &str, payload: &str) -> String {
        let end = |(address, port): Place| match address {
            IpAddr::V4(ip) => format!("{ip}:{port}"),
            IpAddr::V6(ip) => format!("[{ip}]:{port}"),
        };
        // The world's end of an echo has the identifier that the pod's has.
        let identifier = if echo == "echo" { from.1 } else { to.1 };
        match self.kind {
            Kind::Tcp => format!(
                "tcp {} > {} {flags} payload \"{payload}\"",
                end(from),
                end(to)
            ),
            Kind::Udp => format!("udp {} > {} payload \"{payload}\"", end(from), end(to)),
            Kind::Echo => format!(
                "icmp {} > {} {echo} id {identifier} seq 7 payload \"{payload}\"",
                from.0, to.0
            ),
        }
    }

    /// An error of a router about what was said from a place.
    fn error(&self, from: Place) -> String {
        let message = if self.v6 {
            "too-big mtu 1400"
        } else {
            "needs-frag mtu 1400"
        };
        let about = self.there(from, self.world());
        format!(
            "icmp {} > {} {message} quote {{ {about} }}",
            self.router(),
            from.0
        )
    }
}

fn network(routes: bool) -> String {
    let mut text = format!(
        "description = \"NAT\"\n[datapath]\nmasquerade = true\nhost-routing = {routes}\n{PORTS}\
         [topology]\nnodes = 1\npods = 2\n[topology.programs]\n\
         pod = {{ tc-ingress = \"from_container\", tc-egress = \"to_container\" }}\n\
         uplink = {{ tc-ingress = \"from_netdev\", tc-egress = \"to_netdev\" }}\n"
    );
    for pod in 1..3 {
        let _ = write!(
            text,
            "[[endpoint]]\nname = \"p{pod}\"\ndevice = \"lxc-a{pod}\"\nipv4 = \"10.0.1.{pod}\"\n\
             ipv6 = \"fd00:a::1:{pod}\"\nmac = \"0a:00:00:00:01:0{pod}\"\nidentity = 100{pod}\n"
        );
    }
    text
}

fn check(
    routes: bool,
    flows: &[Said],
    arms: &[Arm],
    counts: &mut Counts,
) -> Result<(), TestCaseError> {
    let mut text = network(routes);
    for said in flows {
        let packet = said.there(said.pod(), said.world());
        let _ = write!(
            text,
            "[[step]]\nfrom = \"a{}\"\nsend = '{packet}'\n",
            said.pod
        );
    }
    // Which port each has got is seen first; what comes back is said to that.
    let journeys = run(&text, &arms[..1])?;
    let mut heard = Vec::new();
    for (said, journey) in flows.iter().zip(&journeys) {
        counts.flows += 1;
        let Some(left) = the_end(journey) else {
            counts.no_port += 1;
            continue;
        };
        let port = source_port(said, left)?;
        counts.other_port += usize::from(port != said.from);
        let node = (said.node(), port);
        let world = match said.kind {
            Kind::Echo => (said.world().0, port),
            _ => said.world(),
        };
        same(left, &said.there(node, world), "what leaves", &text)?;
        for packet in [said.back(world, node), masked_error(said, node, world)] {
            let _ = write!(
                text,
                "[[step]]\non = \"eth0\"\nsend = '{packet} eth 02:00:00:00:00:fe > 02:00:00:00:01:01'\n"
            );
        }
        heard.push(said);
    }
    let journeys = run(&text, arms)?;
    for (said, journeys) in heard.iter().zip(journeys[flows.len()..].chunks(2)) {
        let expected = [said.back(said.world(), said.pod()), said.error(said.pod())];
        for ((journey, expected), what) in journeys.iter().zip(expected).zip(["answer", "error"]) {
            let come = the_end(journey);
            let come = come.ok_or_else(|| TestCaseError::fail(format!("no {what}\n{text}")))?;
            same(come, &expected, what, &text)?;
        }
        counts.answers += 1;
        counts.errors += 1;
    }
    Ok(())
}

/// The same error about what the world has seen.
fn masked_error(said: &Said, node: Place, world: Place) -> String {
    let message = if said.v6 {
        "too-big mtu 1400"
    } else {
        "needs-frag mtu 1400"
    };
    let about = said.there(node, world);
    format!(
        "icmp {} > {} {message} quote {{ {about} }}",
        said.router(),
        node.0
    )
}

/// What became of each packet; the arms say the same of it.
fn run(text: &str, arms: &[Arm]) -> Result<Vec<Journey>, TestCaseError> {
    let scenario = Scenario::parse(Path::new("nat.toml"), text.to_owned());
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let case = scenario.case().unwrap_or_else(|error| panic!("{error}"));
    let outcome = runner::run(case, arms);
    let options = TextOptions {
        width: 120,
        packets: false,
    };
    let told = || report::plain(&outcome, &scenario.source, options);
    prop_assert_eq!(outcome.status(), Status::Passed, "{}\n{}", told(), text);
    let first = outcome.runs.first().expect("an arm");
    let recording = first.result.as_ref();
    let recording = recording.unwrap_or_else(|error| panic!("{error}\n{text}"));
    Ok(recording.journeys.clone())
}

/// The frame that came out, if one did.
fn the_end(journey: &Journey) -> Option<&[u8]> {
    let mut left = journey
        .ends
        .iter()
        .filter(|end| matches!(end, End::Left { .. }))
        .filter_map(End::bytes);
    left.next().filter(|_| left.next().is_none())
}

/// The port, or the identifier, of who has sent a frame.
fn source_port(said: &Said, frame: &[u8]) -> Result<u16, TestCaseError> {
    let (_, _, payload) = parts(frame)?;
    let at = if said.kind == Kind::Echo { 4 } else { 0 };
    let bytes = payload.get(at..at + 2);
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(u16::from_be_bytes)
        .ok_or_else(|| TestCaseError::fail("a short packet"))
}

/// The addresses of a packet, and what is behind its IP header.
fn parts(frame: &[u8]) -> Result<(IpAddr, IpAddr, Vec<u8>), TestCaseError> {
    let fail = |why: String| TestCaseError::fail(why);
    let sliced = SlicedPacket::from_ethernet(frame).map_err(|error| fail(error.to_string()))?;
    match sliced.net {
        Some(NetSlice::Ipv4(ip)) => Ok((
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
            ip.payload().payload.to_vec(),
        )),
        Some(NetSlice::Ipv6(ip)) => Ok((
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
            ip.payload().payload.to_vec(),
        )),
        _ => Err(fail("no IP".to_owned())),
    }
}

/// A frame has the addresses, and behind the IP header the bytes, of what stands in words, and its checksums are right.
fn same(frame: &[u8], expected: &str, what: &str, text: &str) -> Result<(), TestCaseError> {
    let wanted = twinpath_pcaps::text::frame(expected).expect("a frame");
    prop_assert_eq!(
        parts(frame)?,
        parts(&wanted)?,
        "{} is not {}\n{}",
        what,
        expected,
        text
    );
    let wrong = checksums::wrong(frame);
    prop_assert!(wrong.is_empty(), "{}: {:?} wrong\n{}", what, wrong, text);
    Ok(())
}
