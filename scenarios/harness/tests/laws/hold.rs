//! The laws, and whether what backends recorded of random scenarios keeps them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use twinpath::arm::Arm;
use twinpath::plan::{DeviceName, NodeName, Plan, StimulusKind};
use twinpath::recording::{End, Hop, Journey, Recording};
use twinpath::report::{self, TextOptions};
use twinpath::runner::{self, Status};
use twinpath::scenario::Scenario;
use twinpath_control::Event;
use twinpath_control::abi::{DropReason, FromBytes as _, Ifindex, MetricsKey, MetricsValue, map};

use super::{checksums, traffic};

/// What a run has seen, so that nobody takes an empty one for a proof.
#[derive(Debug, Default)]
struct Counts {
    packets: usize,
    hops: usize,
    left: usize,
    dropped: usize,
    checksums: usize,
    /// Of the world, to what pods have sent it.
    answers: usize,
}

/// Drops by node, reason and device.
type Drops = BTreeMap<(NodeName, u8, Ifindex), u64>;

/// Holds random networks to the laws on each arm, and the arms to each other. `networks` is how many, unless
/// `TWINPATH_CASES` says so; `TWINPATH_SEED` says which. A network that fails is made smaller in so many steps at most.
/// Returns what was seen.
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
    let result = runner.run(&traffic::scenarios(), |text| {
        run(&text, arms, &mut counts.borrow_mut())
    });
    result.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let counts = counts.into_inner();
    assert!(counts.left > 0 && counts.dropped > 0 && counts.checksums > 0);
    assert!(counts.answers > 0);
    format!("{counts:?} of seed {seed}")
}

fn run(text: &str, arms: &[Arm], counts: &mut Counts) -> Result<(), TestCaseError> {
    let scenario = Scenario::parse(Path::new("laws.toml"), text.to_owned());
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let case = scenario.case().unwrap_or_else(|error| panic!("{error}"));
    let outcome = runner::run(case, arms);
    for run in &outcome.runs {
        let recording = run.result.as_ref();
        let recording = recording.unwrap_or_else(|error| panic!("{error}\n{text}"));
        check(&outcome.case.plan, recording, counts)
            .map_err(|error| TestCaseError::fail(format!("{}: {error}\n{text}", run.arm)))?;
    }
    let options = TextOptions {
        width: 120,
        packets: false,
    };
    let told = || report::plain(&outcome, &scenario.source, options);
    prop_assert_eq!(outcome.status(), Status::Passed, "{}\n{}", told(), text);
    Ok(())
}

/// The laws, by name: each is a function here.
pub const LAWS: [&str; 5] = [
    "each checksum is right after each rewrite",
    "each dropped packet has an event",
    "each dropped packet is counted",
    "no packet leaves twice",
    "an answer comes to who has asked, from whom was asked",
];

fn check(plan: &Plan, recording: &Recording, counts: &mut Counts) -> Result<(), TestCaseError> {
    let mut told = Drops::new();
    for (stimulus, journey) in plan.stimuli.iter().zip(&recording.journeys) {
        let StimulusKind::Frame { bytes, device, .. } = &stimulus.kind else {
            continue;
        };
        let answers = journey.answers.iter();
        let answers = answers.map(|answer| (answer.bytes.as_slice(), &answer.journey));
        for (frame, journey) in [(bytes.as_slice(), journey)].into_iter().chain(answers) {
            check_one(frame, journey, &mut told, counts).map_err(|error| {
                TestCaseError::fail(format!("{}: {error}", report::arrival(stimulus)))
            })?;
        }
        if is_pod(device) {
            an_answer_comes_to_who_has_asked(bytes, journey, counts)?;
        }
    }
    each_dropped_packet_is_counted(recording, &told)
}

/// What holds of each frame that arrives anywhere.
fn check_one(
    bytes: &[u8],
    journey: &Journey,
    told: &mut Drops,
    counts: &mut Counts,
) -> Result<(), TestCaseError> {
    counts.packets += 1;
    counts.hops += journey.hops.len();
    let dropped = each_dropped_packet_has_an_event(journey, told)?;
    counts.dropped += dropped;
    counts.left += no_packet_leaves_twice(bytes, journey, dropped)?;
    counts.checksums += each_checksum_is_right(bytes, journey)?;
    Ok(())
}

fn each_dropped_packet_has_an_event(
    journey: &Journey,
    told: &mut Drops,
) -> Result<usize, TestCaseError> {
    let dropped = tell(journey, told);
    let verdicts = journey.hops.iter().filter(|hop| drops(hop)).count();
    prop_assert_eq!(verdicts, dropped, "{}: {}", LAWS[1], tale(journey));
    Ok(dropped)
}

/// By the reason that its event tells of, on its node and device.
fn each_dropped_packet_is_counted(
    recording: &Recording,
    told: &Drops,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(&counted(recording), told, "{}", LAWS[2]);
    Ok(())
}

fn no_packet_leaves_twice(
    bytes: &[u8],
    journey: &Journey,
    dropped: usize,
) -> Result<usize, TestCaseError> {
    let left = leaves(bytes, journey);
    let most = usize::from(dropped == 0);
    prop_assert!(
        left <= most,
        "{}: {} times, with {} drops: {}",
        LAWS[3],
        left,
        dropped,
        tale(journey)
    );
    Ok(left)
}

/// Of what arrives with right ones.
fn each_checksum_is_right(bytes: &[u8], journey: &Journey) -> Result<usize, TestCaseError> {
    if !checksums::wrong(bytes).is_empty() {
        return Ok(0);
    }
    let mut count = 0;
    for frame in frames(journey) {
        count += 1;
        let wrong = checksums::wrong(frame);
        prop_assert!(
            wrong.is_empty(),
            "{}: {:?} wrong: {}",
            LAWS[0],
            wrong,
            tale(journey)
        );
    }
    Ok(count)
}

fn an_answer_comes_to_who_has_asked(
    bytes: &[u8],
    journey: &Journey,
    counts: &mut Counts,
) -> Result<(), TestCaseError> {
    let [answer] = &journey.answers[..] else {
        return Ok(());
    };
    let ends = answer.journey.ends.iter();
    let heard = ends.filter(|end| is_pod(end.place().1));
    let frames = heard.filter_map(End::bytes);
    for frame in frames.filter(|frame| !is_error(frame)) {
        counts.answers += 1;
        let (asked, heard) = (Flow::of(bytes), Flow::of(frame));
        prop_assert_eq!(
            heard,
            asked.map(Flow::reversed),
            "{}: {}",
            LAWS[4],
            tale(&answer.journey)
        );
    }
    Ok(())
}

/// Whether a device leads to a pod.
fn is_pod(device: &DeviceName) -> bool {
    device.as_str().starts_with("lxc-")
}

/// Who speaks with whom; for an echo, the identifier stands for both ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flow {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
}

impl Flow {
    fn of(frame: &[u8]) -> Option<Self> {
        let sliced = SlicedPacket::from_ethernet(frame).ok()?;
        let [from, to]: [IpAddr; 2] = match sliced.net? {
            NetSlice::Ipv4(ip) => [
                ip.header().source_addr().into(),
                ip.header().destination_addr().into(),
            ],
            NetSlice::Ipv6(ip) => [
                ip.header().source_addr().into(),
                ip.header().destination_addr().into(),
            ],
            NetSlice::Arp(_) => return None,
        };
        let identifier = |rest: [u8; 4]| u16::from_be_bytes([rest[0], rest[1]]);
        let [source, destination] = match sliced.transport? {
            TransportSlice::Tcp(tcp) => [tcp.source_port(), tcp.destination_port()],
            TransportSlice::Udp(udp) => [udp.source_port(), udp.destination_port()],
            TransportSlice::Icmpv4(icmp) => [identifier(icmp.bytes5to8()); 2],
            TransportSlice::Icmpv6(icmp) => [identifier(icmp.bytes5to8()); 2],
            TransportSlice::Igmp(_) => return None,
        };
        Some(Self {
            from: (from, source),
            to: (to, destination),
        })
    }

    fn reversed(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }
}

/// The packet as it was behind each program, and whatever came out. What a stack answers may lack its checksum until it
/// leaves, and also where an error quotes it.
fn frames(journey: &Journey) -> impl Iterator<Item = &[u8]> {
    let of_packet = |frame: &&[u8]| traffic::token(frame).is_some();
    let hops = journey.hops.iter().map(|hop| hop.bytes.as_slice());
    let ends = journey.ends.iter().filter_map(End::bytes);
    let ends = ends.filter(move |frame| of_packet(frame) || !is_error(frame));
    hops.filter(of_packet).chain(ends)
}

/// A journey in words.
fn tale(journey: &Journey) -> String {
    let hops = journey.hops.iter();
    let hops = hops.map(|hop| {
        let at = hop.node.with(&hop.hook).to_string();
        let frame = twinpath::decode::hex(&hop.bytes);
        format!("{at} {}: {}, {frame}", hop.program, hop.outcome())
    });
    let ends = journey.ends.iter();
    let ends = ends.map(|end| {
        let frame = end.bytes().map(twinpath::decode::hex).unwrap_or_default();
        format!("{} {frame}", twinpath::describe::way(end))
    });
    let lines: Vec<_> = hops.chain(ends).collect();
    lines.join("\n")
}

fn drops(hop: &Hop) -> bool {
    let verdict = hop.verdict.as_ref().map(|verdict| verdict.name());
    matches!(verdict.as_deref(), Ok("TC_ACT_SHOT" | "XDP_DROP"))
}

/// Notes the drops that a journey's events tell of; returns how many there are.
fn tell(journey: &Journey, told: &mut Drops) -> usize {
    let mut count = 0;
    for event in &journey.events {
        if let Ok(Event::Drop(record)) = Event::parse(&event.bytes) {
            let notify = record.notify;
            let key = (event.map.node.clone(), notify.head.subtype, notify.ifindex);
            *told.entry(key).or_default() += 1;
            count += 1;
        }
    }
    count
}

/// The drops that the metrics count, in both directions.
fn counted(recording: &Recording) -> Drops {
    let mut counted = Drops::new();
    let metrics = recording
        .maps
        .iter()
        .filter(|(at, _)| at.map == map::METRICS);
    for (at, contents) in metrics {
        for (key, values) in &contents.entries {
            let key = MetricsKey::read_from_bytes(key).expect("a key");
            let values = values.iter();
            let values = values.map(|value| MetricsValue::read_from_bytes(value).expect("a value"));
            let sum: u64 = values.map(|value| value.count).sum();
            if DropReason::from_code(key.reason).is_some() && sum > 0 {
                *counted
                    .entry((at.node.clone(), key.reason, key.ifindex))
                    .or_default() += sum;
            }
        }
    }
    counted
}

/// How often the packet itself left: known by its payload, and not quoted by an error about it.
fn leaves(input: &[u8], journey: &Journey) -> usize {
    let Some(token) = traffic::token(input) else {
        return 0;
    };
    let ends = journey.ends.iter();
    let left = ends.filter(|end| matches!(end, End::Left { .. }));
    let left = left.filter_map(End::bytes);
    left.filter(|frame| traffic::token(frame) == Some(token))
        .filter(|frame| is_error(input) || !is_error(frame))
        .count()
}

/// Whether it is an ICMP error, or a redirect: those of ICMPv6 quote the packet in an option.
fn is_error(frame: &[u8]) -> bool {
    const REDIRECT6: u8 = 137;
    let sliced = SlicedPacket::from_ethernet(frame);
    match sliced.ok().and_then(|sliced| sliced.transport) {
        Some(TransportSlice::Icmpv4(icmp)) => checksums::quotes4(icmp.type_u8()),
        Some(TransportSlice::Icmpv6(icmp)) => {
            checksums::quotes6(icmp.type_u8()) || icmp.type_u8() == REDIRECT6
        }
        _ => false,
    }
}
