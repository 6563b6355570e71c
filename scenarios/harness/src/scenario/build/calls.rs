//! Steps that are calls on sockets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::str::{FromStr, SplitWhitespace};
use std::sync::Arc;

use crate::plan::{NodeName, SocketName, StimulusKind};
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::expect::{OneOrMore, PacketExpect};
use crate::scenario::format::Step;
use crate::scenario::source::{Located, Source};
use crate::socket::{Family, Protocol, Shutdown, SocketCall, SocketSetting};

use super::network::Network;

/// Turns calls into stimuli.
pub(super) struct Calls<'a> {
    source: &'a Arc<Source>,
    network: &'a Network,
    /// The sockets that were opened so far, and on which nodes.
    sockets: BTreeMap<SocketName, NodeName>,
    /// Those of UDP, and whether they may send to everybody.
    datagrams: BTreeMap<SocketName, bool>,
}

/// A call, and by name what it should give; none if it should just succeed.
type Expected = (StimulusKind, Option<Vec<(&'static str, String)>>);

/// What all calls are, for who has written none of them.
const CALLS: &str = "expected `socket`, `set`, `bind`, `listen`, `connect`, `disconnect`, `accept`, `send`, `receive`, `shutdown`, `getsockname`, `getpeername`, `put` or `close`";

impl<'a> Calls<'a> {
    pub fn new(source: &'a Arc<Source>, network: &'a Network) -> Self {
        Self {
            source,
            network,
            sockets: BTreeMap::new(),
            datagrams: BTreeMap::new(),
        }
    }

    /// The calls of a step, in order. All but the last should succeed.
    pub fn of(
        &mut self,
        step: &Located<Step>,
        lines: &Located<OneOrMore>,
    ) -> Result<Vec<Expected>, ScenarioError> {
        let frames = [
            step.send.is_some(),
            step.send_hex.is_some(),
            step.segment_size.is_some(),
            step.replay.is_some(),
        ];
        let places = [step.on.is_some(), step.packets.is_some()];
        if frames.contains(&true) || places.contains(&true) || !step.exceptions.is_empty() {
            let problem = Problem::new(
                "a step does one thing",
                "expected `call` without what says of packets",
            );
            return Err(problem.at(self.source, step.span()));
        }
        if step.expect.unchanged.is_some() {
            let problem = Problem::new(
                "no packet goes into a call that could come out unchanged",
                "expected something else than `unchanged`",
            );
            return Err(problem.at(self.source, step.span()));
        }
        let last = lines.0.len().saturating_sub(1);
        let calls = lines.0.iter().enumerate().map(|(place, line)| {
            let kind = self.stimulus(step, line, lines)?;
            Ok((kind, (place == last).then(|| gives(&step.expect))))
        });
        calls.collect()
    }

    /// A step about packets must expect nothing of calls.
    pub fn are_not_meant(&self, step: &Located<Step>) -> Result<(), ScenarioError> {
        let span = match (&step.node, gives(&step.expect).is_empty()) {
            (Some(node), _) => node.span(),
            (None, false) => step.span(),
            (None, true) => return Ok(()),
        };
        let problem = Problem::new(
            "this step makes no call",
            "expected `call` beside `node`, `result`, `address`, `received`, `local` and `peer`",
        );
        Err(problem.at(self.source, span))
    }

    fn stimulus(
        &mut self,
        step: &Located<Step>,
        line: &str,
        lines: &Located<OneOrMore>,
    ) -> Result<StimulusKind, ScenarioError> {
        let at = |problem: Problem| problem.at(self.source, lines.span());
        let (name, call) = parse(line).map_err(|expected| {
            at(Problem::new(
                format!("`{line}` is no call on a socket"),
                expected,
            ))
        })?;
        let node = match &call {
            SocketCall::Open(..) => self.opener(step, lines)?,
            _ => match self.sockets.get(&name) {
                Some(node) => node.clone(),
                None => {
                    let known = self.sockets.keys().map(SocketName::as_str);
                    return Err(at(Problem::unknown("socket", name.as_str(), known)));
                }
            },
        };
        self.check_target(&name, &call).map_err(at)?;
        let new = match &call {
            SocketCall::Open(..) => Some(&name),
            SocketCall::Accept(new) => Some(new),
            _ => None,
        };
        if let Some(new) = new {
            self.name(new, &node).map_err(at)?;
        }
        Ok(StimulusKind::Call {
            node,
            socket: name,
            call,
        })
    }

    /// A datagram goes to one host, unless a program leads it elsewhere: copies of it would go several ways.
    fn check_target(&mut self, name: &SocketName, call: &SocketCall) -> Result<(), Problem> {
        match call {
            SocketCall::Open(_, Protocol::Udp) => {
                self.datagrams.insert(name.clone(), false);
            }
            SocketCall::Open(..) => {
                self.datagrams.remove(name);
            }
            SocketCall::Set(SocketSetting::Broadcast) => {
                if let Some(to_all) = self.datagrams.get_mut(name) {
                    *to_all = true;
                }
            }
            SocketCall::Send { to: Some(to), .. } if !self.network.has_socket_programs() => {
                let Some(to_all) = self.datagrams.get(name) else {
                    return Ok(());
                };
                let ip = to.ip().to_canonical();
                let is_for_all = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast() && *to_all);
                if ip.is_multicast() || is_for_all {
                    return Err(Problem::new(
                        format!("{ip} is not one host"),
                        "expected the address of one: datagrams of sockets to groups and to everybody are not supported",
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives a name to a socket. Another one of the same place may have had it.
    fn name(&mut self, name: &SocketName, node: &NodeName) -> Result<(), Problem> {
        match self.sockets.insert(name.clone(), node.clone()) {
            Some(other) if other != *node => Err(Problem::new(
                format!("`{}` is a socket of {other}", name.as_str()),
                format!("expected another name for one of {node}"),
            )),
            _ => Ok(()),
        }
    }

    /// The node whose task opens a socket, or the namespace of the pod.
    fn opener(
        &self,
        step: &Located<Step>,
        lines: &Located<OneOrMore>,
    ) -> Result<NodeName, ScenarioError> {
        if let Some(pod) = &step.from {
            if let Some(node) = &step.node {
                let problem = Problem::new(
                    "a socket is opened in one place",
                    "expected `node` or `from`, not both",
                );
                return Err(problem.at(self.source, node.span()));
            }
            let namespace = self.network.namespace(pod.as_str());
            return namespace.map(|node| node.name.clone()).ok_or_else(|| {
                let known = self.network.pods.keys().map(String::as_str);
                Problem::unknown("pod", pod, known).at(self.source, pod.span())
            });
        }
        let node = self
            .network
            .node(self.source, step.node.as_ref(), lines.span())?;
        if node.is_only() {
            let problem = Problem::new(
                "this node has no network stack",
                "expected `[[node]]` or `[topology]`, whose nodes have sockets",
            );
            return Err(problem.at(self.source, lines.span()));
        }
        Ok(node.clone())
    }
}

/// The bytes of a map's key: a number as a program on this machine has it, or the bytes themselves.
fn map_key(text: &str) -> Option<Vec<u8>> {
    let Some(digits) = text.strip_prefix("0x") else {
        return Some(text.parse::<u32>().ok()?.to_le_bytes().to_vec());
    };
    let even = !digits.is_empty() && digits.len().is_multiple_of(2) && digits.is_ascii();
    let pairs = digits.as_bytes().chunks(2).filter(|_| even);
    let bytes: Vec<u8> = pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<_>>()?;
    (!bytes.is_empty()).then_some(bytes)
}

fn gives(expect: &PacketExpect) -> Vec<(&'static str, String)> {
    let fields = [
        ("result", &expect.result),
        ("address", &expect.address),
        ("received", &expect.received),
        ("local", &expect.local),
        ("peer", &expect.peer),
    ];
    let wanted = fields.into_iter();
    wanted
        .filter_map(|(name, value)| Some((name, value.as_ref()?.value().clone())))
        .collect()
}

/// Reads a call; the error is what was expected.
fn parse(line: &str) -> Result<(SocketName, SocketCall), &'static str> {
    let mut words = line.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let name = |words: &mut SplitWhitespace<'_>| {
        let name = words.next().map(SocketName::new);
        name.ok_or("expected the name of a socket behind it")
    };
    if verb == "send" {
        return send(line);
    }
    const ADDRESS: &str = "expected `ADDRESS:PORT`, such as `10.0.0.1:80` or `[fd00::1]:80`";
    let parsed = match verb {
        "socket" => {
            const KINDS: &str = "expected `socket NAME` and `tcp`, `udp`, `tcp6` or `udp6`";
            let name = name(&mut words)?;
            let (family, protocol) = match words.next() {
                Some("tcp") => (Family::V4, Protocol::Tcp),
                Some("udp") => (Family::V4, Protocol::Udp),
                Some("tcp6") => (Family::V6, Protocol::Tcp),
                Some("udp6") => (Family::V6, Protocol::Udp),
                _ => return Err(KINDS),
            };
            (name, SocketCall::Open(family, protocol))
        }
        "set" => {
            let name = name(&mut words)?;
            (name, SocketCall::Set(setting(&mut words)?))
        }
        "bind" => (
            name(&mut words)?,
            SocketCall::Bind(word(&mut words, ADDRESS)?),
        ),
        "connect" => (
            name(&mut words)?,
            SocketCall::Connect(word(&mut words, ADDRESS)?),
        ),
        "listen" => (name(&mut words)?, SocketCall::Listen),
        "disconnect" => (name(&mut words)?, SocketCall::Disconnect),
        "receive" => (name(&mut words)?, SocketCall::Receive),
        "getsockname" => (name(&mut words)?, SocketCall::LocalName),
        "getpeername" => (name(&mut words)?, SocketCall::PeerName),
        "put" => {
            const PLACE: &str = "expected `put NAME in MAP KEY`, the key a number of 32 bits or, behind `0x`, bytes";
            let name = name(&mut words)?;
            let (Some("in"), Some(map), Some(key)) = (words.next(), words.next(), words.next())
            else {
                return Err(PLACE);
            };
            let (map, key) = (map.to_owned(), map_key(key).ok_or(PLACE)?);
            (name, SocketCall::Put { map, key })
        }
        "close" => (name(&mut words)?, SocketCall::Close),
        "accept" => {
            let listener = name(&mut words)?;
            match (words.next(), words.next()) {
                (Some("as"), Some(new)) => (listener, SocketCall::Accept(SocketName::new(new))),
                _ => return Err("expected `accept NAME as OTHER`"),
            }
        }
        "shutdown" => {
            let name = name(&mut words)?;
            let how = match words.next() {
                Some("receive") => Shutdown::Receive,
                Some("send") => Shutdown::Send,
                Some("both") => Shutdown::Both,
                _ => return Err("expected `receive`, `send` or `both`"),
            };
            (name, SocketCall::Shutdown(how))
        }
        _ => return Err(CALLS),
    };
    match words.next() {
        None => Ok(parsed),
        Some(_) => Err("expected nothing behind it"),
    }
}

fn word<T: FromStr>(
    words: &mut SplitWhitespace<'_>,
    expected: &'static str,
) -> Result<T, &'static str> {
    words
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or(expected)
}

fn setting(words: &mut SplitWhitespace<'_>) -> Result<SocketSetting, &'static str> {
    match words.next() {
        Some("reuse-address") => Ok(SocketSetting::ReuseAddress),
        Some("reuse-port") => Ok(SocketSetting::ReusePort),
        Some("v6-only") => Ok(SocketSetting::V6Only),
        Some("broadcast") => Ok(SocketSetting::Broadcast),
        Some("mark") => word(words, "expected a number of 32 bits").map(SocketSetting::Mark),
        _ => Err("expected `reuse-address`, `reuse-port`, `v6-only`, `broadcast` or `mark NUMBER`"),
    }
}

/// `send NAME TEXT`, and ` to ADDRESS:PORT` behind it; blanks belong to the text.
fn send(line: &str) -> Result<(SocketName, SocketCall), &'static str> {
    const EXPECTED: &str = "expected `send NAME TEXT` or `send NAME TEXT to ADDRESS:PORT`";
    let rest = line.strip_prefix("send ").ok_or(EXPECTED)?;
    let (name, rest) = rest.trim_start().split_once(' ').ok_or(EXPECTED)?;
    let (text, to) = match rest.rsplit_once(" to ") {
        Some((text, to)) => match to.parse::<SocketAddr>() {
            Ok(to) => (text, Some(to)),
            Err(_) => (rest, None),
        },
        None => (rest, None),
    };
    let bytes = text.as_bytes().to_vec();
    Ok((SocketName::new(name), SocketCall::Send { to, bytes }))
}
