//! Two journeys of the same packet, hop by hop.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;
use std::net::SocketAddr;

use twinpath_control::abi::NotifyHead;

use crate::decode::Decoder;
use crate::describe;
use crate::frame;
use crate::recording::{Answer, End, Event, Hop, Journey, SocketHop};
use crate::socket::without_chosen_port;

use super::chosen::Chosen;
use super::difference::{Difference, Values};
use super::record;
use super::rule::{Leeway, Rule};

/// What two journeys have in common at the beginning, and in what they differ.
#[derive(Default)]
pub(super) struct JourneyDiff {
    pub before: Vec<String>,
    pub differences: Vec<Difference>,
    /// The hop that the first difference is about.
    pub hop: Option<usize>,
}

/// Compares what a call gave, then programs at sockets, then hops, then ends, then events.
pub(super) fn compare(
    left: &Journey,
    right: &Journey,
    decoder: &Decoder,
    leeway: &Leeway,
    rules: &mut BTreeSet<Rule>,
) -> JourneyDiff {
    let (left_ends, right_ends) = ordered((&left.ends, &right.ends), leeway, rules);
    let mut walk = Walk::default();
    walk.step(called(left, right, leeway, rules), || {
        left.called.as_ref().map(ToString::to_string)
    });
    for (index, pair) in pairs(&left.socket_hops, &right.socket_hops).enumerate() {
        walk.step(socket_hop(index + 1, pair), || {
            left.socket_hops.get(index).map(describe::socket_hop)
        });
    }
    let mut frames = |left: &[u8], right: &[u8]| frames((left, right), leeway, rules);
    for (index, pair) in pairs(&left.hops, &right.hops).enumerate() {
        let none_before = walk.result.differences.is_empty();
        walk.step(hop(index + 1, pair, &mut frames), || {
            left.hops.get(index).map(describe::hop)
        });
        if none_before && !walk.result.differences.is_empty() {
            walk.result.hop = Some(index);
        }
    }
    for (index, pair) in pairs(&left_ends, &right_ends).enumerate() {
        walk.step(end(index + 1, pair, &mut frames), || {
            left_ends.get(index).map(|end| describe::end(end))
        });
    }
    for (index, pair) in pairs(&left.events, &right.events).enumerate() {
        walk.step(event(index + 1, pair, decoder, leeway, rules), || {
            left.events
                .get(index)
                .map(|event| decoder.event_line(event))
        });
    }
    let mut result = walk.result;
    for (index, pair) in pairs(&left.answers, &right.answers).enumerate() {
        let number = index + 1;
        let only = |values| one("sent".to_owned(), values).into_iter().collect();
        let differences: Vec<Difference> = match pair {
            Pair::Left(answer) => only(Values::only_left("answer", describe::answer(answer))),
            Pair::Right(answer) => only(Values::only_right("answer", describe::answer(answer))),
            Pair::Both(left, right) => answer((left, right), decoder, leeway, rules),
        };
        let there = differences.into_iter().map(|difference| Difference {
            place: format!("answer {number}, {}", difference.place),
            ..difference
        });
        result.differences.extend(there);
    }
    result
}

/// In what two frames differ when they are compared by the rules.
fn frames(
    (left, right): (&[u8], &[u8]),
    leeway: &Leeway,
    rules: &mut BTreeSet<Rule>,
) -> Vec<Values> {
    if left == right {
        return Vec::new();
    }
    let pair = (left.to_vec(), right.to_vec());
    let (left, right) = leeway.apply(pair, |[of_left, of_right], left, right| {
        let left = of_left.blank(&left, rules);
        (left, of_right.blank(&right, rules))
    });
    frame::differences(&left, &right)
}

/// In what two answers and what came of them differ.
fn answer(
    (left, right): (&Answer, &Answer),
    decoder: &Decoder,
    leeway: &Leeway,
    rules: &mut BTreeSet<Rule>,
) -> Vec<Difference> {
    let port = Values::unequal("at", &left.port, &right.port);
    let bytes = frames((&left.bytes, &right.bytes), leeway, rules);
    let sent = Difference::of("sent", port.into_iter().chain(bytes));
    let came = compare(&left.journey, &right.journey, decoder, leeway, rules);
    sent.into_iter().chain(came.differences).collect()
}

#[derive(Default)]
struct Walk {
    result: JourneyDiff,
}

impl Walk {
    fn step(&mut self, difference: Option<Difference>, line: impl FnOnce() -> Option<String>) {
        match difference {
            Some(difference) => self.result.differences.push(difference),
            None if self.result.differences.is_empty() => self.result.before.extend(line()),
            None => {}
        }
    }
}

/// In what two calls differ.
fn called(
    left: &Journey,
    right: &Journey,
    leeway: &Leeway,
    rules: &mut BTreeSet<Rule>,
) -> Option<Difference> {
    let fields = |journey: &Journey, show: fn(SocketAddr) -> String| {
        let called = journey.called.iter();
        let fields = called.flat_map(|called| called.fields(show));
        fields.collect::<BTreeMap<_, _>>()
    };
    let show = |address: SocketAddr| address.to_string();
    let (left, right) = leeway.apply((fields(left, show), fields(right, show)), |_, _, _| {
        let show = without_chosen_port;
        let (left, right) = (fields(left, show), fields(right, show));
        if left == right {
            rules.insert(Rule::SocketPort);
        }
        (left, right)
    });
    let names: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let values = names.into_iter().map(|name| Values {
        name: (*name).to_owned(),
        left: left.get(name).cloned(),
        right: right.get(name).cloned(),
    });
    let unequal = values.filter(|values| values.left != values.right);
    Difference::of("call", unequal)
}

/// Both sides at the same position, as long as one of them goes on.
enum Pair<'a, T> {
    Both(&'a T, &'a T),
    Left(&'a T),
    Right(&'a T),
}

fn pairs<'a, T>(left: &'a [T], right: &'a [T]) -> impl Iterator<Item = Pair<'a, T>> {
    (0..left.len().max(right.len())).filter_map(|index| match (left.get(index), right.get(index)) {
        (Some(left), Some(right)) => Some(Pair::Both(left, right)),
        (Some(left), None) => Some(Pair::Left(left)),
        (None, Some(right)) => Some(Pair::Right(right)),
        (None, None) => None,
    })
}

/// In what two frames differ.
type Frames<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Vec<Values>;

fn hop(number: usize, pair: Pair<'_, Hop>, frames: Frames<'_>) -> Option<Difference> {
    match pair {
        Pair::Left(hop) => one(
            format!("hop {number}"),
            Values::only_left("hop", describe::hop(hop)),
        ),
        Pair::Right(hop) => one(
            format!("hop {number}"),
            Values::only_right("hop", describe::hop(hop)),
        ),
        Pair::Both(left, right) => {
            let hook = left.node.with(&left.hook);
            let place = format!("hop {number}, {hook} {}", left.program);
            let named = [
                Values::unequal("node", &left.node, &right.node),
                Values::unequal("hook", &left.hook, &right.hook),
                Values::unequal("program", &left.program, &right.program),
                Values::unequal("verdict", left.outcome(), right.outcome()),
                left.cost.zip(right.cost).and_then(|(left, right)| {
                    Values::unequal("cost", describe::cost(left), describe::cost(right))
                }),
            ];
            let bytes = frames(&left.bytes, &right.bytes);
            let beside = record::fields(
                &describe::metadata(&left.metadata),
                &describe::metadata(&right.metadata),
            );
            let values = named.into_iter().flatten().chain(beside).chain(bytes);
            Difference::of(place, values)
        }
    }
}

fn socket_hop(number: usize, pair: Pair<'_, SocketHop>) -> Option<Difference> {
    let place = format!("program {number} at sockets");
    match pair {
        Pair::Left(hop) => one(place, Values::only_left("run", describe::socket_hop(hop))),
        Pair::Right(hop) => one(place, Values::only_right("run", describe::socket_hop(hop))),
        Pair::Both(left, right) => {
            let run = Values::unequal(
                "run",
                describe::socket_hop(left),
                describe::socket_hop(right),
            );
            let cost = left.cost.zip(right.cost).and_then(|(left, right)| {
                Values::unequal("cost", describe::cost(left), describe::cost(right))
            });
            Difference::of(place, run.into_iter().chain(cost))
        }
    }
}

fn end(number: usize, pair: Pair<'_, &End>, frames: Frames<'_>) -> Option<Difference> {
    let place = format!("end {number}");
    match pair {
        Pair::Left(end) => one(place, Values::only_left("end", describe::end(end))),
        Pair::Right(end) => one(place, Values::only_right("end", describe::end(end))),
        Pair::Both(left, right) => {
            let way = Values::unequal("end", describe::way(left), describe::way(right));
            let bytes = match (left.bytes(), right.bytes()) {
                (Some(left), Some(right)) => frames(left, right),
                _ => Vec::new(),
            };
            Difference::of(
                format!("{place}, {}", describe::way(left)),
                way.into_iter().chain(bytes),
            )
        }
    }
}

/// In what the records for user space differ.
pub(crate) fn events(left: &[Event], right: &[Event], decoder: &Decoder) -> Vec<Difference> {
    let (leeway, mut rules) = (Leeway::default(), BTreeSet::new());
    let pairs = pairs(left, right).enumerate();
    pairs
        .filter_map(|(index, pair)| event(index + 1, pair, decoder, &leeway, &mut rules))
        .collect()
}

fn event(
    number: usize,
    pair: Pair<'_, Event>,
    decoder: &Decoder,
    leeway: &Leeway,
    rules: &mut BTreeSet<Rule>,
) -> Option<Difference> {
    let place = format!("event {number}");
    match pair {
        Pair::Left(event) => one(place, Values::only_left("event", decoder.event_line(event))),
        Pair::Right(event) => one(
            place,
            Values::only_right("event", decoder.event_line(event)),
        ),
        Pair::Both(left, right) if left == right => None,
        Pair::Both(left, right) => {
            let pair = (left.clone(), right.clone());
            let (left, right) = leeway.apply(pair, |[of_left, of_right], left, right| {
                let left = blanked(left, of_left, decoder, rules);
                (left, blanked(right, of_right, decoder, rules))
            });
            if left == right {
                return None;
            }
            let map = Values::unequal("map", &left.map, &right.map);
            let fields = record::compare(
                (&decoder.event(&left), &left.bytes),
                (&decoder.event(&right), &right.bytes),
            );
            Difference::of(
                format!("{place}, {}", left.map),
                map.into_iter().chain(fields),
            )
        }
    }
}

/// A record with blanks where a stack chose a number of the packet in it, and the flow's hash blank that takes such a
/// number in.
fn blanked(
    mut event: Event,
    chosen: &Chosen,
    decoder: &Decoder,
    rules: &mut BTreeSet<Rule>,
) -> Event {
    const HASH: usize = offset_of!(NotifyHead, hash);
    let Some(packet) = decoder.packet_at(&event) else {
        return event;
    };
    let mut used = BTreeSet::new();
    let frame = chosen.blank(&event.bytes[packet.clone()], &mut used);
    event.bytes[packet].copy_from_slice(&frame);
    if used.contains(&Rule::TunnelPort) || used.contains(&Rule::SocketPort) {
        event.bytes[HASH..HASH + size_of::<u32>()].fill(0);
    }
    rules.extend(used);
    event
}

fn one(place: String, values: Values) -> Option<Difference> {
    Difference::of(place, [values])
}

/// Ends device by device, on each those that left first, then those that went up, then those that were dropped; the
/// order among these stays.
fn ordered<'a>(
    (left, right): (&'a [End], &'a [End]),
    leeway: &Leeway,
    rules: &mut BTreeSet<Rule>,
) -> (Vec<&'a End>, Vec<&'a End>) {
    let pair = (left.iter().collect(), right.iter().collect());
    leeway.apply(pair, |_, left: Vec<&End>, right| {
        let sorted = (sorted(left.clone()), sorted(right.clone()));
        if sorted != (left, right) {
            rules.insert(Rule::OrderOfEnds);
        }
        sorted
    })
}

fn sorted(mut ends: Vec<&End>) -> Vec<&End> {
    ends.sort_by_key(|end| (end.place(), kind(end)));
    ends
}

const fn kind(end: &End) -> u8 {
    match end {
        End::Left { .. } => 0,
        End::Stack { .. } => 1,
        End::Dropped { .. } => 2,
    }
}
