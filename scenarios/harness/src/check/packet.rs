//! One journey against what is expected of it.

use std::net::{IpAddr, SocketAddr};

use crate::decode::Decoder;
use crate::describe;
use crate::diff::{Difference, Values};
use crate::frame;
use crate::plan::Port;
use crate::recording::{Answer, Cost, End, Journey};
use crate::scenario::Budget;

use super::expectation::{Expectation, ExpectedEnd};

/// In what a journey is not as expected; `input` is the frame that set out.
pub(super) fn check(
    expected: &Expectation,
    input: &[u8],
    journey: &Journey,
    decoder: &Decoder,
) -> Vec<Difference> {
    let whole = [
        check_call(expected, journey),
        expected
            .verdicts
            .as_ref()
            .and_then(|verdicts| check_verdicts(verdicts, journey)),
        expected
            .ends
            .as_ref()
            .and_then(|ends| check_ends(ends, &journey.ends)),
        expected
            .reason
            .as_ref()
            .and_then(|reason| check_reason(reason, journey, decoder)),
        expected
            .says
            .as_ref()
            .and_then(|parts| check_lines(parts, journey, decoder)),
        expected
            .events
            .and_then(|count| check_events(count, journey, decoder)),
        journey
            .cost()
            .and_then(|cost| check_cost(expected.cost, cost)),
    ];
    let outputs = check_outputs(expected, input, &journey.ends);
    let answers = expected.answers.as_ref();
    let answers = answers.map(|expected| check_answers(expected, &journey.answers, decoder));
    let answers = answers.into_iter().flatten();
    whole
        .into_iter()
        .flatten()
        .chain(outputs)
        .chain(answers)
        .collect()
}

fn check_answers(expected: &[Expectation], got: &[Answer], decoder: &Decoder) -> Vec<Difference> {
    if expected.len() != got.len() {
        let lines = got
            .iter()
            .map(|answer| Values::only_right("answer", describe::answer(answer)));
        let count = Values::unequal("count", expected.len(), got.len());
        let difference = Difference::of("answers", count.into_iter().chain(lines));
        return difference.into_iter().collect();
    }
    let pairs = expected.iter().zip(got).zip(1..);
    let differences = pairs.flat_map(|((expected, got), number)| {
        let unequal = check(expected, &got.bytes, &got.journey, decoder).into_iter();
        unequal.map(move |difference| Difference {
            place: format!("answer {number}, {}", difference.place),
            ..difference
        })
    });
    differences.collect()
}

fn check_call(expected: &Expectation, journey: &Journey) -> Option<Difference> {
    let called = journey.called.as_ref();
    let gave = called.map(|called| called.fields(|address| address.to_string()));
    let gave = gave.unwrap_or_default();
    let unequal = expected.gives.iter().filter_map(|(name, expected)| {
        match gave.iter().find(|(other, _)| other == name) {
            Some((_, got)) if is_as_expected(expected, got) => None,
            Some((_, got)) => Values::unequal(name, expected, got),
            None => Some(Values::only_left(name, expected)),
        }
    });
    Difference::of("call", unequal)
}

/// Whether it is that text, or an address with that IP address.
fn is_as_expected(expected: &str, got: &str) -> bool {
    let ip = || got.parse().map(|address: SocketAddr| address.ip());
    expected == got
        || expected
            .parse::<IpAddr>()
            .is_ok_and(|expected| ip() == Ok(expected))
}

/// The first hop whose verdict is not as expected, or else the last one: what it made of the packet is.
pub(super) fn hop_in_question(expected: &Expectation, journey: &Journey) -> Option<usize> {
    let last = journey.hops.len().checked_sub(1)?;
    let verdicts = expected.verdicts.iter().flatten();
    let mut pairs = verdicts.zip(&journey.hops);
    let unequal = pairs.position(|(expected, hop)| *expected != hop.outcome());
    Some(unequal.unwrap_or(last))
}

fn check_verdicts(expected: &[String], journey: &Journey) -> Option<Difference> {
    let got: Vec<String> = journey.hops.iter().map(|hop| hop.outcome()).collect();
    let first = expected
        .iter()
        .zip(&got)
        .position(|(expected, got)| expected != got);
    let place = match first.or((got.len() > expected.len()).then_some(expected.len())) {
        Some(index) => {
            let hop = journey.hops.get(index)?;
            let hook = hop.node.with(&hop.hook);
            format!("hop {}, {hook} {}", index + 1, hop.program)
        }
        None => "hops".to_owned(),
    };
    Difference::of(
        place,
        Values::unequal("verdict", expected.join(", "), got.join(", ")),
    )
}

fn check_ends(expected: &[ExpectedEnd], ends: &[End]) -> Option<Difference> {
    let names = expected;
    let mut expected: Vec<String> = expected.iter().map(ExpectedEnd::to_string).collect();
    let named = |end: &End| match kind(end) {
        ExpectedEnd::Stack => {
            let there = ExpectedEnd::Namespace(end.place().0.clone());
            let is_named = names.contains(&there);
            if is_named { there } else { ExpectedEnd::Stack }
        }
        other => other,
    };
    let mut got: Vec<String> = ends.iter().map(|end| named(end).to_string()).collect();
    // The order of copies is nobody's promise.
    expected.sort();
    got.sort();
    Difference::of(
        "ends",
        Values::unequal("ends", expected.join(", "), got.join(", ")),
    )
}

fn kind(end: &End) -> ExpectedEnd {
    match end {
        End::Left { node, device, .. } => ExpectedEnd::Leaves(Port {
            node: node.clone(),
            device: device.clone(),
        }),
        End::Stack { .. } => ExpectedEnd::Stack,
        End::Dropped { .. } => ExpectedEnd::Dropped,
    }
}

fn check_reason(expected: &str, journey: &Journey, decoder: &Decoder) -> Option<Difference> {
    let got: Vec<String> = journey
        .events
        .iter()
        .filter_map(|event| decoder.drop_reason(event))
        .collect();
    let values = match got.as_slice() {
        [] => Some(Values::only_left("reason", expected)),
        [reason] => Values::unequal("reason", expected, reason),
        several => Values::unequal("reason", expected, several.join(", ")),
    };
    Difference::of("drop event", values)
}

fn check_events(expected: usize, journey: &Journey, decoder: &Decoder) -> Option<Difference> {
    if journey.events.len() == expected {
        return None;
    }
    let lines = journey
        .events
        .iter()
        .map(|event| Values::only_right("event", decoder.event_line(event)));
    Difference::of(
        "events",
        Values::unequal("count", expected, journey.events.len())
            .into_iter()
            .chain(lines),
    )
}

fn check_cost(budget: Budget, cost: Cost) -> Option<Difference> {
    let counts = [
        ("instructions", budget.instructions, cost.instructions),
        ("helpers", budget.helpers, cost.helpers),
        ("maps", budget.maps, cost.map_operations),
    ];
    let over = counts.into_iter().filter_map(|(name, most, cost)| {
        let most = most.filter(|most| cost > *most)?;
        Values::unequal(name, format!("at most {most}"), cost)
    });
    Difference::of("cost", over)
}

fn check_lines(expected: &[String], journey: &Journey, decoder: &Decoder) -> Option<Difference> {
    let lines = journey.events.iter();
    let lines: Vec<String> = lines.map(|event| decoder.event_line(event)).collect();
    let pairs = expected.iter().zip(&lines);
    let fits = lines.len() == expected.len()
        && pairs.fold(true, |all, (part, line)| all && line.contains(part));
    let (expected, got) = (expected.join("\n"), lines.join("\n"));
    let values = if fits {
        None
    } else {
        Values::unequal("says", expected, got)
    };
    Difference::of("events", values)
}

fn check_outputs(expected: &Expectation, input: &[u8], ends: &[End]) -> Vec<Difference> {
    if expected.fields.is_empty()
        && expected.unchanged.is_none()
        && expected.checksums_right.is_none()
    {
        return Vec::new();
    }
    let outputs: Vec<(String, &[u8])> = ends
        .iter()
        .filter_map(|end| Some((describe::way(end), end.bytes()?)))
        .collect();
    if outputs.is_empty() {
        let lost = Values::only_left("frame", "a frame that leaves or reaches the stack");
        return Difference::of("ends", [lost]).into_iter().collect();
    }
    outputs
        .iter()
        .filter_map(|(way, output)| {
            Difference::of(way.as_str(), check_output(expected, input, output))
        })
        .collect()
}

fn check_output(expected: &Expectation, input: &[u8], output: &[u8]) -> Vec<Values> {
    let mut values: Vec<Values> = expected
        .fields
        .iter()
        .filter_map(|(name, expected)| match frame::field(output, name) {
            Some(got) if got.is(expected) => None,
            Some(got) => Values::unequal(name, expected, got.value),
            None => Values::unequal(name, expected, frame::ABSENT),
        })
        .collect();
    let wrong = frame::wrong_checksums(output);
    match expected.checksums_right {
        Some(true) => values.extend(wrong.into_iter().map(|(name, value)| Values {
            name,
            left: Some("right".to_owned()),
            right: Some(value),
        })),
        Some(false) if wrong.is_empty() => {
            values.extend(Values::unequal("checksums", "wrong", "right"));
        }
        _ => {}
    }
    match expected.unchanged {
        Some(true) => values.extend(frame::differences(input, output)),
        Some(false) if input == output => {
            values.extend(Values::unequal("frame", "changed", "unchanged"))
        }
        _ => {}
    }
    values
}
