//! Steps become stimuli, and what each of them should lead to.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use twinpath_pcaps::build::Ethernet;
use twinpath_pcaps::text::{self, TextError, TextProblem};
use twinpath_pcaps::{Capture, CaptureError, Frame, MacAddr};

use crate::check::Expectation;
use crate::describe::counted;
use crate::plan::{HookKind, Joined, Mac, ObjectName, Port, Stimulus, StimulusKind};
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::expect::PacketExpect;
use crate::scenario::format::Step;
use crate::scenario::numbers::Numbers;
use crate::scenario::source::{Located, Source};

use super::calls::Calls;
use super::datapath;
use super::expectations::StepExpectations;
use super::names::{Named, Names};
use super::network::{Network, Pod};
use super::objects::beside;

/// When the first stimulus happens: late enough for programs that subtract a time-out from the time.
const START: Duration = Duration::from_secs(3600);

/// From one step to the next, unless the scenario says otherwise.
const PAUSE: Duration = Duration::from_millis(1);

/// Turns steps into stimuli.
pub(super) struct Steps<'a> {
    pub source: &'a Arc<Source>,
    pub network: &'a Network,
    pub names: Names,
    /// The object that is the datapath, if one is.
    pub datapath: Option<&'a ObjectName>,
}

/// Stimuli, each with its expectation.
pub(super) type Expected = (Vec<Stimulus>, Vec<Arc<Expectation>>);

/// Where the frames of a step arrive, and between whom they are unless they say so.
struct Arrival {
    port: Port,
    source: MacAddr,
    destination: MacAddr,
}

/// A frame before it is known when and where it arrives.
pub(super) struct Packet {
    /// In its capture, from 1.
    pub number: usize,
    /// Since the first packet of the step.
    at: Duration,
    pub bytes: Vec<u8>,
    /// How it is cut, if it holds several segments that are joined.
    joined: Option<Joined>,
}

/// What is said of frames that a device cannot take.
const TOO_LONG: &str = "expected a frame that fits, or another `mtu` of the device";
/// The same of those in a capture.
const JOINED: &str = "expected packets as they are on a wire, or TCP segments that are joined: this may have been captured where the kernel joins datagrams; `packets` leaves it out, and `mtu = 65535` lets the device take it whole";

impl Steps<'_> {
    /// All stimuli in their order, and what is expected of each.
    /// `changes` are those of the steps that change the cluster.
    pub fn stimuli(
        &self,
        steps: &[Located<Step>],
        changes: Vec<Vec<StimulusKind>>,
    ) -> Result<Expected, ScenarioError> {
        let mut changes = changes.into_iter();
        let mut now = START;
        let mut stimuli = Vec::new();
        let mut expectations = Vec::new();
        let mut calls = Calls::new(self.source, self.network);
        for (index, step) in steps.iter().enumerate() {
            let pause = if index == 0 { Duration::ZERO } else { PAUSE };
            now += step.after.map_or(pause, |delay| delay.0);
            if step.change.is_some() || step.collect {
                self.acts_alone(step)?;
                let changed = step.change.as_ref().and_then(|_| changes.next());
                let collected = step.collect.then(|| self.collects(step)).transpose()?;
                let line = self.source.line(step.span().start);
                for kind in changed.or(collected).into_iter().flatten() {
                    let expected = Expectation {
                        line,
                        ..Expectation::default()
                    };
                    expectations.push(Arc::new(expected));
                    stimuli.push(Stimulus { at: now, kind });
                }
                continue;
            }
            if let Some(lines) = &step.call {
                let line = self.source.line(step.span().start);
                for (kind, expected) in calls.of(step, lines)? {
                    let expected = match expected {
                        Some(gives) => Expectation {
                            gives,
                            ..self.expectation(&step.expect, line)?
                        },
                        None => Expectation::done(line),
                    };
                    expectations.push(Arc::new(expected));
                    stimuli.push(Stimulus { at: now, kind });
                }
                continue;
            }
            calls.are_not_meant(step)?;
            let named = match &step.send {
                Some(text) => self.named(text)?,
                None => Named::default(),
            };
            let place = self.place(step, named.sender.as_deref())?;
            let packets = self.packets(step, &named, &place)?;
            let expected = StepExpectations::new(self, step)?;
            let start = now;
            for packet in packets {
                now = now.max(start + packet.at);
                expectations.push(expected.of(&packet));
                stimuli.push(Stimulus {
                    at: start + packet.at,
                    kind: StimulusKind::Frame {
                        node: place.port.node.clone(),
                        device: place.port.device.clone(),
                        bytes: packet.bytes,
                        joined: packet.joined,
                    },
                });
            }
            expected.all_used(self)?;
        }
        Ok((stimuli, expectations))
    }

    /// The collection of what has expired, on each node.
    fn collects(&self, step: &Located<Step>) -> Result<Vec<StimulusKind>, ScenarioError> {
        let datapath = self
            .datapath
            .ok_or_else(|| datapath::no_datapath(self.source, step.span()))?;
        let nodes = self.network.nodes.iter();
        let collect = nodes.map(|node| StimulusKind::Collect {
            node: node.name.clone(),
            object: datapath.clone(),
        });
        Ok(collect.collect())
    }

    /// A step in which user space acts says nothing of packets.
    fn acts_alone(&self, step: &Located<Step>) -> Result<(), ScenarioError> {
        let others = [
            step.change.is_some() && step.collect,
            step.send.is_some(),
            step.send_hex.is_some(),
            step.segment_size.is_some(),
            step.replay.is_some(),
            step.packets.is_some(),
            step.on.is_some(),
            step.from.is_some(),
            step.node.is_some(),
            step.call.is_some(),
            step.expect != PacketExpect::default(),
            !step.exceptions.is_empty(),
        ];
        if !others.contains(&true) {
            return Ok(());
        }
        let problem = Problem::new(
            "a step does one thing",
            "expected `change` or `collect`, and nothing else",
        );
        Err(problem.at(self.source, step.span()))
    }

    /// The text of a frame with addresses for names.
    fn named(&self, text: &Located<String>) -> Result<Named, ScenarioError> {
        let named = self.names.resolve(text);
        named.map_err(|(place, problem)| problem.at(self.source, self.within(text, place)))
    }

    /// Where the packets of a step arrive: where it says, or at the device of the one whose name is in its text.
    fn place(&self, step: &Located<Step>, sender: Option<&str>) -> Result<Arrival, ScenarioError> {
        let mut edges = self.edges();
        let sender = sender.and_then(|name| self.network.pods.get(name));
        if let (None, None, Some(pod)) = (&step.on, &step.from, sender) {
            return self.sent_by(pod, step.span());
        }
        let port = match (&step.on, &step.from) {
            (Some(name), None) => {
                let port = self.network.port(self.source, name, name.span())?;
                if !self.network.is_edge(&port) {
                    return Err(Problem::new(
                        format!("no frame comes to `{port}` from outside"),
                        "expected a device without a wire to another",
                    )
                    .at(self.source, name.span()));
                }
                port
            }
            (None, Some(name)) => {
                let pod = self.pod(name, name.span())?;
                return self.sent_by(pod, name.span());
            }
            (None, None) => match (edges.next(), edges.next()) {
                (Some(only), None) => only,
                _ => {
                    return Err(Problem::new(
                        "this step does not say where its packets arrive",
                        "expected `on = \"DEVICE\"`, as there are several devices",
                    )
                    .at(self.source, step.span()));
                }
            },
            (Some(_), Some(name)) => {
                return Err(Problem::new(
                    "packets arrive at one place",
                    "expected `on` or `from`, not both",
                )
                .at(self.source, name.span()));
            }
        };
        Ok(self.arrival(port, None))
    }

    /// Where the frames of a pod arrive.
    fn sent_by(&self, pod: &Pod, span: Range<usize>) -> Result<Arrival, ScenarioError> {
        if self.network.is_edge(&pod.port) {
            return Ok(self.arrival(pod.port.clone(), Some(pod.mac)));
        }
        let problem = Problem::new(
            format!(
                "what is at the other end of `{}` is the scenario's own",
                pod.port
            ),
            "expected calls of this pod, as it opens sockets",
        );
        Err(problem.at(self.source, span))
    }

    /// Where frames arrive, and the hardware addresses of those that do not say theirs: on a node with a network stack
    /// they are for the device, or for the bridge that it is a port of.
    fn arrival(&self, port: Port, sender: Option<Mac>) -> Arrival {
        let (source, destination) = (Ethernet::DEFAULT_SOURCE, Ethernet::DEFAULT_DESTINATION);
        let device = self.network.upper(&port);
        let own = device.filter(|_| !port.node.is_only());
        Arrival {
            source: sender.map_or(source, |mac| MacAddr(mac.0)),
            destination: own.map_or(destination, |device| MacAddr(device.mac.0)),
            port,
        }
    }

    fn edges(&self) -> impl Iterator<Item = Port> {
        let ports = self.network.ports();
        ports.filter(|port| self.network.is_edge(port))
    }

    pub(super) fn pod(&self, name: &str, span: Range<usize>) -> Result<&Pod, ScenarioError> {
        let pods = &self.network.pods;
        pods.get(name).ok_or_else(|| {
            let known = pods.keys().map(String::as_str);
            Problem::unknown("pod", name, known).at(self.source, span)
        })
    }

    fn packets(
        &self,
        step: &Located<Step>,
        named: &Named,
        place: &Arrival,
    ) -> Result<Vec<Packet>, ScenarioError> {
        let one = |bytes| {
            vec![Packet {
                number: 1,
                at: Duration::ZERO,
                bytes,
                joined: None,
            }]
        };
        let mut packets = self.frames(step, named, place, one)?;
        for packet in &mut packets {
            self.join(step, place, packet);
            let (what, expected, span) = match (&step.replay, &step.send) {
                (Some(path), _) => {
                    let what = format!("packet {} of {}", packet.number, path.display());
                    (what, JOINED, path.span())
                }
                (None, Some(text)) => ("this frame".to_owned(), TOO_LONG, text.span()),
                (None, None) => ("this frame".to_owned(), TOO_LONG, step.span()),
            };
            if packet.joined.is_none() {
                self.check_length(&packet.bytes, place, &what, expected, span)?;
            } else {
                self.check_joined(place, &what, &packet.bytes, span)?;
            }
        }
        if let Some(size) = &step.segment_size
            && packets.iter().all(|packet| packet.joined.is_none())
        {
            return Err(Problem::new(
                "no packet of this step holds several segments",
                "expected TCP with more data than one segment has",
            )
            .at(self.source, size.span()));
        }
        Ok(packets)
    }

    /// Takes a packet for several segments that are joined where it has more data than one has: one is as long as the step
    /// says, or as the device takes.
    fn join(&self, step: &Located<Step>, place: &Arrival, packet: &mut Packet) {
        let Some(device) = self.network.device(&place.port) else {
            return;
        };
        let frame = &mut packet.bytes;
        let too_long = frame.len() > *device.takes(frame).end();
        packet.joined = match &step.segment_size {
            Some(size) => Joined::read(frame, *size.value()),
            None if too_long => Joined::for_mtu(frame, device.mtu),
            None => None,
        };
        if let Some(joined) = &packet.joined {
            joined.leave_checksum(frame);
        }
    }

    /// Whether segments that are joined can arrive where they are to.
    fn check_joined(
        &self,
        place: &Arrival,
        what: &str,
        frame: &[u8],
        span: Range<usize>,
    ) -> Result<(), ScenarioError> {
        let port = &place.port;
        let mut programs = self.network.programs.iter();
        let generic =
            programs.any(|wanted| wanted.port == *port && wanted.kind == HookKind::XdpGeneric);
        let problem = if generic {
            Problem::new(
                format!("{what} holds several segments, and `{port}` has a program at xdp-generic"),
                "expected segments one by one: what such a program sees of them together depends on the kernel's version",
            )
        } else if frame.len() > Joined::LONGEST {
            Problem::new(
                format!("{what} has {} bytes", frame.len()),
                format!(
                    "expected {} at most, which can be recorded",
                    Joined::LONGEST
                ),
            )
        } else {
            return Ok(());
        };
        Err(problem.at(self.source, span))
    }

    fn frames(
        &self,
        step: &Located<Step>,
        named: &Named,
        place: &Arrival,
        one: impl Fn(Vec<u8>) -> Vec<Packet>,
    ) -> Result<Vec<Packet>, ScenarioError> {
        match (&step.send, &step.send_hex, &step.replay) {
            (Some(text), None, None) => {
                let frame = text::frame_between(&named.text, place.source, place.destination);
                let frame = frame.map_err(|error| self.no_frame(text, named, &error))?;
                Ok(one(frame))
            }
            (None, Some(hex), None) => Ok(one(hex.0.clone())),
            (None, None, Some(path)) => self.capture(path, step.packets.as_ref()),
            _ => Err(Problem::new(
                "a step does one thing",
                "expected one of `send`, `send-hex`, `replay` and `call`",
            )
            .at(self.source, step.span())),
        }
    }

    /// Whether a frame can arrive where it is to.
    fn check_length(
        &self,
        frame: &[u8],
        place: &Arrival,
        what: &str,
        expected: &str,
        span: Range<usize>,
    ) -> Result<(), ScenarioError> {
        let takes = self.network.device(&place.port);
        let takes = takes.map(|device| device.takes(frame));
        match takes.filter(|takes| !takes.contains(&frame.len())) {
            None => Ok(()),
            Some(takes) => {
                let len = counted(frame.len(), "byte", "bytes");
                let port = &place.port;
                let (least, most) = (takes.start(), takes.end());
                let message = format!("{what} has {len}, and `{port}` takes {least} to {most}");
                Err(Problem::new(message, expected).at(self.source, span))
            }
        }
    }

    /// A mistake in a frame's text, at its place in the file.
    fn no_frame(&self, text: &Located<String>, named: &Named, error: &TextError) -> ScenarioError {
        let problem = match &error.problem {
            TextProblem::Expected { expected, found } => {
                Problem::new(format!("found {found}"), format!("expected {expected}"))
            }
            other => Problem::new(other.to_string(), "expected a frame that can be built"),
        };
        problem.at(
            self.source,
            self.within(text, named.place(error.span.clone())),
        )
    }

    /// A place in a text, at its place in the file.
    fn within(&self, text: &Located<String>, place: Range<usize>) -> Range<usize> {
        let Range { start, end } = text.span();
        // Between quotes and without escapes, the text stands in the file as it is.
        let verbatim = self.source.text.get(start + 1..end.saturating_sub(1)) == Some(text.value());
        match verbatim {
            true => start + 1 + place.start..(start + 1 + place.end).max(start + 2 + place.start),
            false => start..end,
        }
    }

    fn capture(
        &self,
        path: &Located<PathBuf>,
        wanted: Option<&Located<Numbers>>,
    ) -> Result<Vec<Packet>, ScenarioError> {
        let file = beside(&self.source.path, path);
        let frames = read(&file).map_err(|error| {
            Problem::new(
                error.to_string(),
                "expected a capture, relative to the scenario",
            )
            .at(self.source, path.span())
        })?;
        if let Some(wanted) = wanted
            && wanted.highest() > frames.len()
        {
            return Err(self.no_such_packet(wanted, frames.len()));
        }
        let chosen: Vec<(Frame, usize)> = frames
            .into_iter()
            .zip(1..)
            .filter(|(_, number)| wanted.is_none_or(|wanted| wanted.contains(*number)))
            .collect();
        let first = chosen
            .first()
            .map(|(frame, _)| Duration::from(frame.at))
            .unwrap_or_default();
        let packet = |(frame, number): (Frame, usize)| Packet {
            number,
            at: Duration::from(frame.at).saturating_sub(first),
            bytes: frame.bytes,
            joined: None,
        };
        Ok(chosen.into_iter().map(packet).collect())
    }

    fn no_such_packet(&self, numbers: &Located<Numbers>, count: usize) -> ScenarioError {
        Problem::new(
            format!("packet {} is not in the capture", numbers.highest()),
            format!("expected numbers up to {count}"),
        )
        .at(self.source, numbers.span())
    }
}

fn read(file: &Path) -> Result<Vec<Frame>, CaptureError> {
    Capture::open(file)?.collect()
}
