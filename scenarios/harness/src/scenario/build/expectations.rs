//! What is expected of the packets of steps.

use std::cell::Cell;
use std::sync::Arc;

use twinpath_control::abi::DropReason;

use crate::check::{Expectation, ExpectedEnd};
use crate::frame;
use crate::recording::Verdict;
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::expect::{OneOrMore, PacketExpect};
use crate::scenario::format::{Exception, Step};
use crate::scenario::source::Located;
use crate::scenario::suggest;

use super::fields;
use super::steps::{Packet, Steps};

impl Steps<'_> {
    pub(super) fn expectation(
        &self,
        expect: &PacketExpect,
        line: usize,
    ) -> Result<Expectation, ScenarioError> {
        Ok(Expectation {
            line,
            verdicts: expect
                .verdict
                .as_ref()
                .map(|names| self.verdicts(names))
                .transpose()?,
            ends: expect
                .ends
                .as_ref()
                .map(|ends| self.ends(ends))
                .transpose()?,
            fields: fields::of_frame(self.source, &expect.fields)?,
            unchanged: expect.unchanged,
            checksums_right: expect.checksums_right,
            cost: expect.cost,
            events: expect.events,
            says: expect.says.as_ref().map(|parts| parts.0.clone()),
            reason: expect
                .reason
                .as_ref()
                .map(|reason| self.reason(reason))
                .transpose()?,
            gives: Vec::new(),
            answers: expect
                .answers
                .as_ref()
                .map(|answers| {
                    let answers = answers.iter().map(|expect| self.expectation(expect, line));
                    answers.collect()
                })
                .transpose()?,
        })
    }

    fn verdicts(&self, names: &Located<OneOrMore>) -> Result<Vec<String>, ScenarioError> {
        let known = |name: &String| Verdict::names().any(|known| known == name);
        match names
            .0
            .iter()
            .find(|name| !known(name) && name.parse::<i32>().is_err())
        {
            None => Ok(names.0.clone()),
            Some(unknown) => Err(Problem::unknown("verdict", unknown, Verdict::names())
                .at(self.source, names.span())),
        }
    }

    fn reason(&self, reason: &Located<String>) -> Result<String, ScenarioError> {
        let known = || DropReason::ALL.iter().map(|reason| reason.text());
        if known().any(|known| known == reason.as_str()) {
            return Ok(reason.value().clone());
        }
        let mut problem = Problem::new(
            format!("there is no drop reason `{}`", reason.value()),
            "expected the words that a drop event prints, such as `Invalid source ip`",
        );
        if let Some(meant) = suggest::nearest(reason, known()) {
            problem = problem.help(format!("did you mean `{meant}`?"));
        }
        Err(problem.at(self.source, reason.span()))
    }

    fn ends(&self, ends: &Located<OneOrMore>) -> Result<Vec<ExpectedEnd>, ScenarioError> {
        let port = |device: &str| self.network.port(self.source, device, ends.span());
        ends.0
            .iter()
            .map(|end| match end.split_once(' ').unwrap_or((end, "")) {
                ("stack", "") => Ok(ExpectedEnd::Stack),
                ("dropped", "") => Ok(ExpectedEnd::Dropped),
                ("leaves", device) => port(device).map(ExpectedEnd::Leaves),
                ("reaches", pod) => {
                    if let Some(node) = self.network.namespace(pod) {
                        return Ok(ExpectedEnd::Namespace(node.name.clone()));
                    }
                    let pod = self.pod(pod, ends.span())?;
                    Ok(ExpectedEnd::Leaves(pod.port.clone()))
                }
                _ => Err(Problem::new(
                    format!("a packet cannot end at `{end}`"),
                    "expected `leaves DEVICE`, `reaches POD`, `stack` or `dropped`",
                )
                .at(self.source, ends.span())),
            })
            .collect()
    }
}

/// What is expected of the packets of one step.
pub(super) struct StepExpectations<'a> {
    usual: Arc<Expectation>,
    exceptions: Vec<ExceptionExpectation<'a>>,
}

struct ExceptionExpectation<'a> {
    exception: &'a Located<Exception>,
    expected: Arc<Expectation>,
    used: Cell<bool>,
}

impl<'a> StepExpectations<'a> {
    pub fn new(steps: &Steps<'_>, step: &'a Located<Step>) -> Result<Self, ScenarioError> {
        let expectation = |expect: &PacketExpect, place: usize| {
            steps
                .expectation(expect, steps.source.line(place))
                .map(Arc::new)
        };
        let exceptions = step
            .exceptions
            .iter()
            .map(|exception| {
                fields::of_frame(steps.source, &exception.when)?;
                Ok(ExceptionExpectation {
                    exception,
                    expected: expectation(&exception.expect, exception.span().start)?,
                    used: Cell::new(false),
                })
            })
            .collect::<Result<_, ScenarioError>>()?;
        Ok(Self {
            usual: expectation(&step.expect, step.span().start)?,
            exceptions,
        })
    }

    pub fn of(&self, packet: &Packet) -> Arc<Expectation> {
        let exception = self
            .exceptions
            .iter()
            .find(|candidate| candidate.fits(packet));
        Arc::clone(exception.map_or(&self.usual, |exception| {
            exception.used.set(true);
            &exception.expected
        }))
    }

    /// An exception that fits no packet is a mistake, and would hide the next one.
    pub fn all_used(&self, steps: &Steps<'_>) -> Result<(), ScenarioError> {
        match self.exceptions.iter().find(|exception| !exception.used.get()) {
            None => Ok(()),
            Some(unused) => Err(Problem::new(
                "this exception fits no packet of the step, or only packets of an exception before it",
                "expected `packets` or `when` to fit some packet",
            )
            .at(steps.source, unused.exception.span())),
        }
    }
}

impl ExceptionExpectation<'_> {
    fn fits(&self, packet: &Packet) -> bool {
        let numbers = self.exception.packets.as_ref();
        let when = &self.exception.when;
        numbers.is_none_or(|numbers| numbers.contains(packet.number))
            && when.iter().all(|(name, value)| {
                frame::field(&packet.bytes, name).is_some_and(|field| field.is(&value.0))
            })
    }
}
