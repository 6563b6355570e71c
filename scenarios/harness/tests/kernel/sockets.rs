//! Random socket calls over wires, in the kernel as in the emulator: nodes, pods and what answers in pods, with or without
//! a tunnel, with or without programs of cgroups at the packets.
//!
//! `TWINPATH_CASES` says how many scripts (12), `TWINPATH_SEED` which. What the emulator refuses by name is counted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use twinpath::arm::Arm;
use twinpath::emulated::Engine;
use twinpath::recording::Recording;
use twinpath::report::{self, TextOptions};
use twinpath::runner::{self, Status};
use twinpath::scenario::Scenario;
use twinpath::socket::CallResult;

use crate::needs_kernel;

const SCRIPTS: u32 = 12;
const SHRINKING: u32 = 40;
/// Sockets that scripts open, and names for those that they accept.
const SOCKETS: usize = 4;
const ACCEPTED: usize = 3;
/// Where tasks are, and their addresses of both families.
const PLACES: &[(&str, &str, &str)] = &[
    ("from = \"a1\"", "10.0.1.1", "fd00:a::1:1"),
    ("from = \"b1\"", "10.0.2.1", "fd00:a::2:1"),
    ("node = \"a\"", "192.168.0.1", "fd00:c0::1"),
    ("node = \"b\"", "192.168.0.2", "fd00:c0::2"),
];
/// Where nobody has sockets: what answers HTTP, what says back what it hears, and what is silent.
const OTHERS: &[(&str, &str)] = &[
    ("10.0.2.2", "fd00:a::2:2"),
    ("10.0.1.2", "fd00:a::1:2"),
    ("10.0.2.3", "fd00:a::2:3"),
];
const LISTENS: u16 = 8000;
/// What the programs lose comes from the tenth behind it, and goes to 4040.
const FIRST_PORT: u16 = 5046;

#[derive(Debug, Clone)]
struct Script {
    tunnel: bool,
    filters: bool,
    calls: Vec<Call>,
}

/// A call on a socket: one that was opened, or behind those one that was accepted.
#[derive(Debug, Clone)]
enum Call {
    Open(usize, usize, &'static str),
    Bind(usize, u16),
    Connect(usize, usize, bool, u16),
    Accept(usize, usize),
    Send(usize, usize),
    /// To a place of those above, or behind them to what answers.
    SendTo(usize, usize, bool, u16),
    Receive(usize),
    Shutdown(usize, &'static str),
    Other(usize, &'static str),
}

fn call() -> impl Strategy<Value = Call> {
    let opened = 0..SOCKETS;
    let every = 0..SOCKETS + ACCEPTED;
    let targets = 0..PLACES.len() + OTHERS.len();
    let ports = select(vec![LISTENS, LISTENS, LISTENS, LISTENS, 8001, 4040]);
    let kinds = select(vec!["tcp", "tcp", "tcp6", "tcp6", "udp", "udp6"]);
    let own = select(vec![7001, 7002, 7003, 8001, 4040, 5050]);
    let others = vec!["close", "disconnect", "getsockname", "getpeername"];
    prop_oneof![
        1 => (opened.clone(), 0..PLACES.len(), kinds).prop_map(|(s, p, k)| Call::Open(s, p, k)),
        1 => (opened.clone(), own).prop_map(|(s, port)| Call::Bind(s, port)),
        4 => (opened.clone(), targets.clone(), any::<bool>(), ports.clone())
            .prop_map(|(s, to, six, port)| Call::Connect(s, to, six, port)),
        3 => (0..PLACES.len(), 0..ACCEPTED).prop_map(|(l, s)| Call::Accept(l, s)),
        5 => (every.clone(), lengths()).prop_map(|(s, len)| Call::Send(s, len)),
        1 => (opened, targets, any::<bool>(), ports)
            .prop_map(|(s, to, six, port)| Call::SendTo(s, to, six, port)),
        5 => every.clone().prop_map(Call::Receive),
        2 => (every.clone(), select(vec!["receive", "send", "both"]))
            .prop_map(|(s, how)| Call::Shutdown(s, how)),
        2 => (every, select(others)).prop_map(|(s, what)| Call::Other(s, what)),
    ]
}

fn lengths() -> impl Strategy<Value = usize> {
    select(vec![1, 5, 100, 1400, 3000, 9000])
}

/// A socket that connects to a listener, which accepts it under the socket's number.
fn connection(socket: usize) -> impl Strategy<Value = Vec<Call>> {
    let six = any::<bool>();
    (0..PLACES.len(), 0..PLACES.len(), six).prop_map(move |(place, listener, six)| {
        vec![
            Call::Open(socket, place, if six { "tcp6" } else { "tcp" }),
            Call::Connect(socket, listener, six && hears_six(listener), LISTENS),
            Call::Accept(listener, socket),
        ]
    })
}

/// One end of such a connection says something, which the other one hears.
fn exchange() -> impl Strategy<Value = Vec<Call>> {
    (0..ACCEPTED, any::<bool>(), lengths()).prop_map(|(connection, answers, length)| {
        let ends = [connection, SOCKETS + connection];
        let [from, to] = if answers { [ends[1], ends[0]] } else { ends };
        vec![Call::Send(from, length), Call::Receive(to)]
    })
}

fn script() -> impl Strategy<Value = Script> {
    let connections = std::array::from_fn::<_, ACCEPTED, _>(connection);
    let then = prop_oneof![1 => call().prop_map(|call| vec![call]), 1 => exchange()];
    let then = proptest::collection::vec(then, 8..24);
    let flags = (any::<bool>(), any::<bool>());
    (flags, connections, then).prop_map(|((tunnel, filters), connections, then)| Script {
        tunnel,
        filters,
        calls: connections.into_iter().chain(then).flatten().collect(),
    })
}

/// Whether the listener of a place is one of IPv6.
fn hears_six(place: usize) -> bool {
    place.is_multiple_of(2)
}

fn target(to: usize, six: bool, port: u16) -> String {
    let (four, long) = match PLACES.get(to) {
        Some((_, four, six)) => (*four, *six),
        None => OTHERS[to - PLACES.len()],
    };
    match six {
        true => format!("[{long}]:{port}"),
        false => format!("{four}:{port}"),
    }
}

/// What a scenario says of a script. A name is there once something was opened or accepted by it.
struct Text {
    toml: String,
    kinds: [Option<&'static str>; SOCKETS],
    /// Where a name is that of a socket: no other place may use it.
    places: [Option<usize>; SOCKETS],
    accepted: [Option<usize>; ACCEPTED],
    filters: bool,
    /// The next port that no socket has.
    next_port: u16,
}

impl Text {
    fn write(script: &Script) -> String {
        let overlay = if script.tunnel { "vxlan" } else { "none" };
        let sockets = if script.filters {
            r#"sockets = ["leaving", "coming"]"#
        } else {
            ""
        };
        let filters = if script.filters {
            "[[object]]\nname = \"filters\"\npath = \"filters.bpf.o\"\n"
        } else {
            ""
        };
        let toml = format!(
            r#"description = "random calls"
[topology]
nodes = 2
pods = 3
overlay = "{overlay}"
[topology.programs]
{sockets}
pod = {{ tc-ingress = "acts:verdict", tc-egress = "acts:verdict" }}
uplink = {{ tc-ingress = "acts:verdict", tc-egress = "acts:verdict" }}
[responders]
b2 = "http"
a2 = "echo"
b3 = "silence"
{filters}[[object]]
name = "acts"
path = "../node/acts.bpf.o"
"#
        );
        let mut text = Self {
            toml,
            kinds: [None; SOCKETS],
            places: [None; SOCKETS],
            accepted: [None; ACCEPTED],
            filters: script.filters,
            next_port: FIRST_PORT,
        };
        for (number, (place, ..)) in PLACES.iter().enumerate() {
            let (kind, any) = if hears_six(number) {
                ("tcp6", "[::]")
            } else {
                ("tcp", "0.0.0.0")
            };
            text.step(place, &format!("socket l{number} {kind}"));
            text.step("", &format!("bind l{number} {any}:{LISTENS}"));
            text.step("", &format!("listen l{number}"));
        }
        for call in &script.calls {
            text.call(call);
        }
        text.toml
    }

    fn step(&mut self, place: &str, line: &str) {
        let _ = write!(self.toml, "[[step]]\n{place}\ncall = \"{line}\"\n");
    }

    /// The name of a socket, and whether it is one of datagrams.
    fn name(&self, socket: usize) -> Option<(String, bool)> {
        match self.kinds.get(socket) {
            Some(kind) => Some((format!("s{socket}"), (*kind)?.starts_with("udp"))),
            None => {
                let number = socket - SOCKETS;
                self.accepted[number].map(|_| (format!("c{number}"), false))
            }
        }
    }

    fn is_six(&self, socket: usize) -> bool {
        self.kinds[socket].is_some_and(|kind| kind.ends_with('6'))
    }

    fn call(&mut self, call: &Call) {
        match *call {
            Call::Open(socket, place, kind) => {
                if *self.places[socket].get_or_insert(place) != place {
                    return;
                }
                self.kinds[socket] = Some(kind);
                self.step(PLACES[place].0, &format!("socket s{socket} {kind}"));
                // Programs tell of ports, and errors quote what is not whole: none may be one that the kernel chooses.
                if self.filters || kind.starts_with("udp") {
                    self.bind(socket, self.next_port);
                    self.next_port += 1;
                }
            }
            Call::Accept(listener, socket) => {
                if *self.accepted[socket].get_or_insert(listener) != listener {
                    return;
                }
                self.step("", &format!("accept l{listener} as c{socket}"));
            }
            Call::Bind(socket, port) => {
                if !self.filters && self.kinds[socket].is_some_and(|kind| kind.starts_with("tcp")) {
                    self.bind(socket, port);
                }
            }
            Call::Connect(socket, to, six, port) => {
                let to = target(to, six && self.is_six(socket), port);
                let to = mapped(&to, self.is_six(socket));
                self.on(socket, |name, _| Some(format!("connect {name} {to}")));
            }
            Call::Send(socket, len) => {
                let word = if len % 2 == 0 { "GET / " } else { "0123456789" };
                let text: String = word.chars().cycle().take(len).collect();
                let text = text.trim_end().to_owned();
                let text = if text.is_empty() {
                    "x".to_owned()
                } else {
                    text
                };
                self.on(socket, |name, _| Some(format!("send {name} {text}")));
            }
            Call::SendTo(socket, to, six, port) => {
                let to = target(to, six && self.is_six(socket), port);
                self.on(socket, |name, udp| {
                    udp.then(|| format!("send {name} hello to {}", mapped(&to, false)))
                });
            }
            Call::Receive(socket) => {
                self.on(socket, |name, _| Some(format!("receive {name}")));
            }
            Call::Shutdown(socket, how) => {
                self.on(socket, |name, _| Some(format!("shutdown {name} {how}")));
            }
            Call::Other(socket, what) => {
                self.on(socket, |name, _| Some(format!("{what} {name}")));
            }
        }
    }

    fn bind(&mut self, socket: usize, port: u16) {
        let any = if self.is_six(socket) {
            "[::]"
        } else {
            "0.0.0.0"
        };
        self.on(socket, |name, _| Some(format!("bind {name} {any}:{port}")));
    }

    fn on(&mut self, socket: usize, line: impl FnOnce(&str, bool) -> Option<String>) {
        let line = self.name(socket).and_then(|(name, udp)| line(&name, udp));
        if let Some(line) = line {
            self.step("", &line);
        }
    }
}

/// An address as it is, or one of IPv4 as an IPv6 socket can have it.
fn mapped(address: &str, wanted: bool) -> String {
    match address.split_once(':') {
        Some((four, port)) if wanted && !four.starts_with('[') => format!("[::ffff:{four}]:{port}"),
        _ => address.to_owned(),
    }
}

/// What scripts have come to, so that nobody takes an empty run for a proof.
#[derive(Debug, Default)]
struct Counts {
    equal: usize,
    /// By what the emulator does not do.
    refused: BTreeMap<String, usize>,
    calls: usize,
    hops: usize,
    received: usize,
}

/// What a call in a recording would have needed that the emulator does not do.
fn refusal(recording: &Recording) -> Option<String> {
    let mut journeys = recording.journeys.iter();
    journeys.find_map(|journey| match &journey.called.as_ref()?.result {
        CallResult::Fault(fault) => Some(fault.0.clone()),
        _ => None,
    })
}

fn run(script: &Script, counts: &mut Counts) -> Result<(), TestCaseError> {
    let text = Text::write(script);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../suite/socket/random.toml");
    let scenario = Scenario::parse(&path, text.clone());
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}\n{text}"));
    let case = scenario.case().unwrap_or_else(|error| panic!("{error}"));
    let emulator = Arm::Emulator(Engine::Checked);
    match &runner::Run::of(&case, emulator).result {
        Ok(recording) => {
            if let Some(what) = refusal(recording) {
                *counts.refused.entry(what).or_default() += 1;
                return Ok(());
            }
        }
        Err(error) => {
            let error = error.to_string();
            let what = error.split_once("does not support ");
            prop_assert!(what.is_some(), "{}\n{}", error, text);
            let what = what.map_or_else(String::new, |(_, what)| what.to_owned());
            *counts.refused.entry(what).or_default() += 1;
            return Ok(());
        }
    }
    let outcome = runner::run(case, &[emulator, Arm::Kernel]);
    let options = TextOptions {
        width: 120,
        packets: false,
    };
    let told = || report::plain(&outcome, &scenario.source, options);
    prop_assert_eq!(outcome.status(), Status::Passed, "{}\n{}", told(), text);
    counts.equal += 1;
    for journey in outcome
        .runs
        .iter()
        .take(1)
        .filter_map(|run| run.result.as_ref().ok())
        .flat_map(|recording| &recording.journeys)
    {
        counts.calls += 1;
        counts.hops += journey.hops.len();
        let received = journey
            .called
            .as_ref()
            .and_then(|called| called.received.as_ref());
        counts.received += usize::from(received.is_some_and(|bytes| !bytes.is_empty()));
    }
    Ok(())
}

#[test]
fn random_calls_over_wires_do_what_they_do_in_the_kernel() {
    needs_kernel!();
    let variable = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let seed = variable("TWINPATH_SEED").unwrap_or(1);
    let mut runner = TestRunner::new(Config {
        cases: variable("TWINPATH_CASES").unwrap_or(SCRIPTS),
        rng_seed: RngSeed::Fixed(seed.into()),
        failure_persistence: None,
        max_shrink_iters: SHRINKING,
        ..Config::default()
    });
    let counts = RefCell::new(Counts::default());
    let result = runner.run(&script(), |script| run(&script, &mut counts.borrow_mut()));
    result.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let counts = counts.into_inner();
    assert!(counts.hops > 0 && counts.received > 0, "{counts:?}");
    println!("{counts:#?} of seed {seed}");
}
