//! Where each copy of a packet ended, from what was observed.
//!
//! A program's verdict says where the packet should go on to. If it is found there, that is where its journey goes
//! on; if it is found nowhere, the kernel dropped it on the program's behalf:
//!
//! | hook | verdict | goes on as |
//! |---|---|---|
//! | XDP | `PASS` | a frame that the device took in |
//! | XDP | `TX` | what the device sends |
//! | XDP | `REDIRECT` | what any device of the node sends |
//! | tc | `REDIRECT` | the same, or another hook, or a frame that a device took in later |
//! | tc egress | lets pass | what the device sends |
//! | tc ingress | lets pass | the stack has it |
//! | any | anything else | dropped |
//!
//! What a device sends is found as an arrival of the same bytes at its far end, or, if that is a device of the plan,
//! as a frame that that one took in or that came to its XDP hook; on a segment, that any of the others did. What a bridge
//! sends is found as what one of its ports sends. What a tunnel's device sends is found inside of
//! something else, which may have been sent in pieces.
//!
//! What tc redirects to a neighbour whose address is unknown waits, and what is seen is the question for that.
//!
//! What an XDP redirect to a device goes through is not tc; what tc redirects to a device goes through the tc
//! egress hook of that device. Several filters of one tc hook are one passage: the last one that ran decides.
//!
//! A frame that a device took in and no tc ingress program decided about is the stack's.
//!
//! What cannot be told from outside: which one arrived, when a program made a copy of a packet, left both alike and
//! redirected the packet, and one of them is found nowhere. It is taken for the packet.

mod passage;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use passage::{Meaning, Passage, meaning, passages};
use wire::Wire;

use super::journey::{Blind, Frame, Observations, Returned, Seen};
use crate::ip::{IpPacket, Piece, TcpData, asks_for_neighbour};
use crate::plan::{DeviceKind, DeviceName, Hook, HookKind, LOOPBACK, NodeName, Plan, Port};
use crate::recording::End;
use crate::stack::Intake;

/// What was seen of a packet and its copies besides program runs.
pub struct Ends {
    /// First those that left, in the order of their arrival at the far ends, then those that were dropped, in the
    /// order in which that was decided.
    pub ends: Vec<End>,
    /// What stacks took in, in order.
    pub intakes: Vec<Intake>,
}

/// Finds where all copies of a packet went.
pub fn ends(
    plan: &Plan,
    observations: &Observations,
    stimulus: Option<&Frame>,
    untapped: &Blind,
) -> Ends {
    let mut account = Account::new(plan, observations);
    let (mut dropped, mut intakes) = account.settle_passages();
    intakes.extend(account.undecided(untapped));
    dropped.extend(unseen(observations, stimulus, untapped).map(|end| (0, end)));
    let left = observations.seen.iter().filter_map(|seen| match seen {
        Seen::Arrived(frame) => Some(End::Left {
            node: frame.node.clone(),
            device: frame.device.clone(),
            bytes: frame.bytes.clone(),
        }),
        Seen::Returned(_) | Seen::TakenIn(_) => None,
    });
    Ends {
        ends: left.chain(dropped.into_values()).collect(),
        intakes: intakes.into_values().collect(),
    }
}

/// Which observation is explained by which.
struct Account<'a> {
    plan: &'a Plan,
    observations: &'a Observations,
    passages: Vec<Passage<'a>>,
    /// Arrivals that some passage led to.
    arrived: BTreeSet<usize>,
    /// Frames that devices took in because some passage led there.
    taken_in: BTreeSet<usize>,
}

impl<'a> Account<'a> {
    fn new(plan: &'a Plan, observations: &'a Observations) -> Self {
        let mut passages = passages(&observations.seen);
        let mut decided = BTreeSet::new();
        let at_ingress = |passage: &&mut Passage<'_>| passage.returned.hook.kind.is_tc_ingress();
        for passage in passages.iter_mut().filter(at_ingress) {
            let Returned { node, hook, .. } = passage.returned;
            let mut frames = observations.taken_in.iter().enumerate();
            let frame = frames.find(|(place, frame)| {
                frame.node == *node && frame.device == hook.device && !decided.contains(place)
            });
            passage.about = frame.map(|(place, _)| place);
            decided.extend(passage.about);
        }
        // What tc programs do, they do while some frame is received: one of a passage before, or the first.
        let mut latest = 0;
        for passage in &mut passages {
            if !passage.returned.hook.kind.is_xdp() {
                latest = passage.about.unwrap_or(latest);
                passage.after = Some(latest);
            }
        }
        Self {
            plan,
            observations,
            passages,
            arrived: BTreeSet::new(),
            taken_in: BTreeSet::new(),
        }
    }

    /// Finds where each passage goes on: those that do so nowhere were dropped, by their place among what was seen;
    /// others went to a stack, by the place of what was taken in. Later ones are settled first: what the hook in
    /// front of a far end let pass accounts for the arrival there, and the hook before that one goes on at that hook.
    fn settle_passages(&mut self) -> (BTreeMap<usize, End>, BTreeMap<usize, Intake>) {
        let (mut ends, mut intakes) = (BTreeMap::new(), BTreeMap::new());
        for index in (0..self.passages.len()).rev() {
            let Passage {
                last,
                returned,
                about,
                ..
            } = self.passages[index];
            let Returned { node, hook, .. } = returned;
            let wire = returned.on_wire();
            let means = meaning(hook.kind, returned.code);
            if hook.kind.is_tc_ingress() && matches!(means, Meaning::Pass | Meaning::NextFilter) {
                let place = about.unwrap_or(self.observations.taken_in.len() + last);
                intakes.insert(place, intake(node, &hook.device, wire));
            } else if !self.goes_on(index, means, Wire::exactly(&wire, &returned.packet)) {
                let waits = means == Meaning::Redirect && !hook.kind.is_xdp() && self.asks(&wire);
                if !waits {
                    ends.insert(last, dropped(node.clone(), hook.clone()));
                }
            }
        }
        (ends, intakes)
    }

    /// Whether the packet of a passage is found where its verdict sent it.
    fn goes_on(&mut self, index: usize, means: Meaning, wire: Wire<'_>) -> bool {
        let Passage {
            returned, after, ..
        } = self.passages[index];
        let Returned {
            node, hook, runs, ..
        } = returned;
        let (here, begun) = (&hook.device, runs.end);
        match means {
            Meaning::Drop => false,
            Meaning::Transmit => self.sent(node, here, wire, begun),
            Meaning::Redirect if hook.kind.is_xdp() => {
                self.passage_of_entry(node, wire, begun)
                    || self.sent_by_any(node, wire, begun)
                    || self.taken_in(node, None, wire, None)
            }
            Meaning::Redirect => {
                self.passage_of_redirect(node, wire, begun)
                    || self.sent_by_any(node, wire, begun)
                    || self.taken_in(node, None, wire, after)
                    // `bpf_redirect_neigh` puts other hardware addresses before it.
                    || self.passage_of_redirect(node, wire.under_a_new_header(), begun)
                    || self.sent_by_any(node, wire.under_a_new_header(), begun)
                    // To a device without Ethernet headers.
                    || self.taken_in(node, None, wire.under_a_new_header(), after)
            }
            Meaning::Pass | Meaning::NextFilter if hook.kind.is_xdp() => {
                self.taken_in(node, Some(here), wire, None)
            }
            Meaning::Pass | Meaning::NextFilter => {
                let filled = Wire {
                    filled: true,
                    ..wire
                };
                self.sent(node, here, wire, begun) || self.sent(node, here, filled, begun)
            }
        }
    }

    /// Accounts for a frame of these bytes that a device of a node sent.
    fn sent_by_any(&mut self, node: &NodeName, wire: Wire<'_>, begun: u32) -> bool {
        let devices = self.plan.node(node).map_or(&[][..], |node| &node.devices);
        devices
            .iter()
            .any(|device| self.sent(node, &device.name, wire, begun))
    }

    /// Accounts for a frame of these bytes that a device sent after so many program runs had begun.
    fn sent(&mut self, node: &NodeName, device: &DeviceName, wire: Wire<'_>, begun: u32) -> bool {
        if device.as_str() == LOOPBACK {
            return self.taken_in(node, Some(device), wire, None);
        }
        let plan = self.plan.node(node).and_then(|node| node.device(device));
        let whole = match plan.map(|device| &device.kind) {
            Some(DeviceKind::Dummy) => true,
            Some(DeviceKind::Vxlan(_)) => self.carried(wire, wire),
            Some(DeviceKind::Ipip(_)) => self.carried(wire, wire.without_header()),
            Some(DeviceKind::Bridge(bridge)) => bridge.ports.iter().any(|port| {
                let port = DeviceName::new(port);
                self.passage_out_of(node, &port, wire, begun) || self.sent(node, &port, wire, begun)
            }),
            Some(DeviceKind::Veth) | None => {
                let far_ends = self.far_ends(node, device);
                match far_ends.is_empty() {
                    true => self.arrival(node, Some(device), wire),
                    false => far_ends.into_iter().any(|far_end| {
                        self.taken_in(&far_end.node, Some(&far_end.device), wire, None)
                            || self.passage_behind_wire(far_end, wire, begun)
                    }),
                }
            }
        };
        whole || self.plan.has_joined() && self.in_segments(wire)
    }

    /// The plan's devices that what a device sends may come to.
    fn far_ends(&self, node: &NodeName, device: &DeviceName) -> Vec<&'a Port> {
        if let Some(peer) = self.plan.peer(node, device) {
            return vec![peer];
        }
        let segment = self.plan.segment(node, device);
        let ports = segment.map(|place| &self.plan.segments[place].ports);
        let others = ports.into_iter().flatten();
        others
            .filter(|port| port.node != *node || port.device != *device)
            .collect()
    }

    /// Whether what is carried of a frame is seen inside of another one, or of one that was sent in pieces.
    fn carried(&self, frame: Wire<'_>, carried: Wire<'_>) -> bool {
        let carries = |bytes: &[u8]| {
            let headers = bytes.len().checked_sub(carried.bytes.len());
            headers.is_some_and(|headers| carried.is(&bytes[headers..]))
        };
        let longer = |bytes: &&[u8]| bytes.len() > frame.bytes.len();
        self.frames().filter(longer).any(carries)
            || self.joined().iter().any(|payload| carries(payload))
    }

    /// Whether the first of the segments that are joined in a frame is seen.
    fn in_segments(&self, wire: Wire<'_>) -> bool {
        let (Some(whole), Some(joined)) = (IpPacket::parse(wire.bytes), TcpData::of(wire.bytes))
        else {
            return false;
        };
        let is_first = |frame: &[u8]| {
            let segment = IpPacket::parse(frame).zip(TcpData::of(frame));
            segment.is_some_and(|(packet, segment)| {
                (packet.source, packet.destination) == (whole.source, whole.destination)
                    && (segment.ports, segment.sequence) == (joined.ports, joined.sequence)
                    && segment.data.len() < joined.data.len()
                    && joined.data.starts_with(segment.data)
            })
        };
        self.frames().any(is_first)
            || self.joined().iter().any(|payload| {
                // Behind the headers of tunnels.
                joined.data.len() > payload.len()
                    && payload.len() > 4
                    && joined.data.starts_with(payload)
            })
    }

    /// Whether somebody asked for a neighbour: what is redirected to one that is unknown waits for the answer.
    fn asks(&self, waiting: &[u8]) -> bool {
        let mut others = self.frames().filter(|frame| *frame != waiting);
        others.any(asks_for_neighbour)
    }

    /// All frames wherever they were seen.
    fn frames(&self) -> impl Iterator<Item = &'a [u8]> {
        let seen = self.observations.seen.iter().flat_map(|seen| match seen {
            Seen::Returned(returned) => vec![&returned.found[..], &returned.packet],
            Seen::Arrived(frame) | Seen::TakenIn(frame) => vec![&frame.bytes[..]],
        });
        let taken_in = self.observations.taken_in.iter();
        seen.chain(taken_in.map(|frame| &frame.bytes[..]))
    }

    /// The payloads of IP packets that were seen in pieces, as far as there is no gap.
    fn joined(&self) -> Vec<Vec<u8>> {
        let mut packets: BTreeMap<_, BTreeMap<usize, &[u8]>> = BTreeMap::new();
        for packet in self.frames().filter_map(IpPacket::parse) {
            if let Some(Piece { id, offset }) = packet.piece {
                let pieces = packets.entry((packet.source, packet.destination, id));
                pieces.or_default().insert(offset, packet.payload);
            }
        }
        let join = |pieces: BTreeMap<usize, &[u8]>| {
            pieces
                .into_iter()
                .fold(Vec::new(), |joined, (offset, piece)| {
                    if offset == joined.len() {
                        [&joined[..], piece].concat()
                    } else {
                        joined
                    }
                })
        };
        packets.into_values().map(join).collect()
    }

    /// Accounts for an arrival of these bytes.
    fn arrival(&mut self, node: &NodeName, device: Option<&DeviceName>, wire: Wire<'_>) -> bool {
        let mut seen = self.observations.seen.iter().enumerate();
        let found = seen.find(|(place, seen)| {
            let known = self.arrived.contains(place);
            matches!(seen, Seen::Arrived(frame) if wire.is_at(frame, node, device)) && !known
        });
        found.is_some_and(|(place, _)| self.arrived.insert(place))
    }

    /// Accounts for a frame of these bytes that a device took in, after another one.
    fn taken_in(
        &mut self,
        node: &NodeName,
        device: Option<&DeviceName>,
        wire: Wire<'_>,
        after: Option<usize>,
    ) -> bool {
        let mut frames = self.observations.taken_in.iter().enumerate();
        let found = frames.find(|(place, frame)| {
            let known = self.taken_in.contains(place);
            let same = wire.is_at(frame, node, device) || wire.is_at(&frame.at_xdp(), node, device);
            after.is_none_or(|after| *place > after) && same && !known
        });
        found.is_some_and(|(place, _)| self.taken_in.insert(place))
    }

    /// Accounts for a later passage of this frame through a hook that a redirect leads to.
    fn passage_of_redirect(&mut self, node: &NodeName, wire: Wire<'_>, begun: u32) -> bool {
        let leads = |kind: HookKind| kind.is_tc_egress() || kind == HookKind::XdpGeneric;
        self.passage(wire, begun, |at, hook| at == node && leads(hook.kind))
    }

    /// Accounts for a later passage of this frame through the XDP hook of a device.
    fn passage_behind_wire(&mut self, peer: &Port, wire: Wire<'_>, begun: u32) -> bool {
        self.passage(wire, begun, |at, hook| {
            let receives = matches!(hook.kind, HookKind::Xdp | HookKind::XdpGeneric);
            *at == peer.node && hook.device == peer.device && receives
        })
    }

    /// Accounts for a later passage of this frame through the program of a map's entry.
    fn passage_of_entry(&mut self, node: &NodeName, wire: Wire<'_>, begun: u32) -> bool {
        self.passage(wire, begun, |at, hook| {
            at == node && hook.kind == HookKind::XdpDevmap
        })
    }

    /// Accounts for a later passage of this frame through the tc egress hook of a device.
    fn passage_out_of(
        &mut self,
        node: &NodeName,
        device: &DeviceName,
        wire: Wire<'_>,
        begun: u32,
    ) -> bool {
        self.passage(wire, begun, |at, hook| {
            at == node && hook.device == *device && hook.kind.is_tc_egress()
        })
    }

    /// Accounts for a passage of this frame that began when so many program runs had begun, or later.
    fn passage(
        &mut self,
        wire: Wire<'_>,
        begun: u32,
        is: impl Fn(&NodeName, &Hook) -> bool,
    ) -> bool {
        let next = self.passages.iter_mut().find(|passage| {
            let Returned { node, hook, .. } = passage.returned;
            is(node, hook)
                && wire.came_as(hook.kind, passage.found)
                && passage.began >= begun
                && !passage.continues
        });
        next.map(|passage| passage.continues = true).is_some()
    }

    /// What devices took in, and no tc ingress program decided about.
    fn undecided(&self, untapped: &Blind) -> BTreeMap<usize, Intake> {
        let blind = |frame: &Frame| {
            let mut hooks = untapped.iter();
            hooks.any(|(node, hook)| {
                *node == frame.node && hook.device == frame.device && hook.kind.is_tc_ingress()
            })
        };
        let decided: BTreeSet<usize> = self.passages.iter().filter_map(|p| p.about).collect();
        let frames = self.observations.taken_in.iter().enumerate();
        frames
            .filter(|(place, frame)| !decided.contains(place) && !blind(frame))
            .map(|(place, frame)| {
                (
                    place,
                    intake(&frame.node, &frame.device, frame.bytes.clone()),
                )
            })
            .collect()
    }
}

fn dropped(node: NodeName, hook: Hook) -> End {
    End::Dropped {
        node,
        hook,
        reason: None,
    }
}

fn intake(node: &NodeName, device: &DeviceName, bytes: Vec<u8>) -> Intake {
    Intake {
        node: node.clone(),
        device: device.clone(),
        bytes,
    }
}

/// A frame that nobody saw at all fell at the one hook where nobody looked.
fn unseen(observations: &Observations, stimulus: Option<&Frame>, untapped: &Blind) -> Option<End> {
    let stimulus = stimulus?;
    if observations.count() > 0 {
        return None;
    }
    let (node, hook) = untapped.iter().find(|(node, hook)| {
        *node == stimulus.node && hook.device == stimulus.device && hook.kind.is_xdp()
    })?;
    Some(dropped(node.clone(), hook.clone()))
}
