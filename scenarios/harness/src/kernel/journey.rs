//! From what was observed to a journey: where did each copy of the packet end?
//!
//! Three things are observed: a program returned (a tap), a frame arrived at a far end (a tap there), a device
//! of the node took a frame in (a packet socket on the node, which sees a frame after XDP and before tc). A hop's
//! verdict says where the packet should go on to. If it is found there, that is where its journey goes on;
//! if it is found nowhere, the kernel dropped it on the program's behalf:
//!
//! | hook | verdict | goes on as |
//! |---|---|---|
//! | XDP | `PASS` | a frame that the device took in |
//! | XDP | `TX` | an arrival at the device's far end, of the same bytes |
//! | XDP | `REDIRECT` | an arrival at any far end, of the same bytes |
//! | tc | `REDIRECT` | the same, or a tc egress hook, or a frame that another device took in |
//! | tc egress | lets pass | an arrival at the device's far end |
//! | tc ingress | lets pass | the stack has it |
//! | any | anything else | dropped |
//!
//! What an XDP redirect to a device goes through is not tc; what tc redirects to a device goes through the tc
//! egress hook of that device. Several filters of one tc hook are one passage: the last one that ran decides.
//!
//! A frame that a device took in and no tc ingress program decided about is the stack's.

use std::collections::{BTreeMap, BTreeSet};

use super::sys::packet::VlanTag;
use crate::plan::{DeviceName, Hook, HookKind, NodeName};
use crate::recording::{End, Hop, Journey, Verdict};

/// Something that a tap recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A program returned.
    Returned(Returned),
    /// A frame arrived at the far end of a device.
    Arrived(Frame),
}

/// A program returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// The node.
    pub node: NodeName,
    /// Where on the node.
    pub hook: Hook,
    /// The program.
    pub program: String,
    /// Its place among the node's attachments, which is the order of the programs at one hook.
    pub filter: usize,
    /// What it returned.
    pub code: i32,
    /// The packet as the program left it.
    pub packet: Vec<u8>,
    /// The VLAN tag that the skb carried beside its data.
    pub tag: Option<VlanTag>,
}

/// A frame at a device, as it was or would be on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The node.
    pub node: NodeName,
    /// The device.
    pub device: DeviceName,
    /// From the link-layer header on.
    pub bytes: Vec<u8>,
}

/// All that was observed between a stimulus and the quiet after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observations {
    /// What the taps recorded, in order.
    pub seen: Vec<Seen>,
    /// What devices took in, in order.
    pub taken_in: Vec<Frame>,
}

/// The hooks of a node where a program runs that no tap watches.
pub type Blind = BTreeSet<(NodeName, Hook)>;

impl Observations {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.seen.len() + self.taken_in.len()
    }

    /// The journey of a frame that arrived at a device, without its events.
    pub fn into_journey(self, stimulus: &Frame, untapped: &Blind) -> Journey {
        let mut ends = Ends::new(&self, untapped);
        ends.settle_passages();
        ends.settle_taken_in();
        ends.settle_unseen(stimulus);
        let Ends {
            left, node_ends, ..
        } = ends;
        let ends = left.into_iter().chain(node_ends.into_values()).collect();
        Journey {
            hops: self.seen.into_iter().filter_map(Seen::into_hop).collect(),
            ends,
            events: Vec::new(),
        }
    }
}

impl Seen {
    fn into_hop(self) -> Option<Hop> {
        let Self::Returned(returned) = self else {
            return None;
        };
        Some(Hop {
            verdict: Ok(Verdict {
                hook: returned.hook.kind,
                code: returned.code,
            }),
            node: returned.node,
            hook: returned.hook,
            program: returned.program,
            bytes: returned.packet,
            cost: None,
        })
    }
}

/// What a verdict means for the way of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// On along the device's path.
    Pass,
    /// Back out of the device.
    Transmit,
    /// To another device.
    Redirect,
    /// Nowhere.
    Drop,
    /// The next filter decides; without one, on along the device's path.
    NextFilter,
}

/// Reads a return value as the kernel does (`net/core/dev.c`, `net/sched/cls_bpf.c`, `net/core/filter.c`).
fn meaning(kind: HookKind, code: i32) -> Meaning {
    match kind {
        HookKind::Xdp | HookKind::XdpGeneric => match code {
            2 => Meaning::Pass,
            3 => Meaning::Transmit,
            4 => Meaning::Redirect,
            _ => Meaning::Drop,
        },
        HookKind::TcIngress | HookKind::TcEgress => match code {
            0 => Meaning::Pass,
            2 | 4 | 8 => Meaning::Drop,
            7 => Meaning::Redirect,
            // cls_bpf takes any other code of a direct action for TC_ACT_UNSPEC.
            _ => Meaning::NextFilter,
        },
    }
}

/// A packet's way through one hook: the filters that ran, in order, as places in the list of what was seen.
#[derive(Debug)]
struct Passage<'a> {
    first: usize,
    last: usize,
    returned: &'a Returned,
    entered_by_redirect: bool,
}

struct Ends<'a> {
    observations: &'a Observations,
    untapped: &'a Blind,
    passages: Vec<Passage<'a>>,
    /// Which of what was seen is accounted for, as the continuation of some passage.
    arrived_claimed: BTreeSet<usize>,
    /// Which frames that devices took in came from a passage.
    taken_in_claimed: BTreeSet<usize>,
    /// Which frames that devices took in were decided about at tc ingress.
    decided: BTreeSet<usize>,
    left: Vec<End>,
    /// Other ends, by the place of what decided them.
    node_ends: BTreeMap<usize, End>,
}

impl<'a> Ends<'a> {
    fn new(observations: &'a Observations, untapped: &'a Blind) -> Self {
        let left = observations.seen.iter().filter_map(|seen| match seen {
            Seen::Arrived(frame) => Some(End::Left {
                node: frame.node.clone(),
                device: frame.device.clone(),
                bytes: frame.bytes.clone(),
            }),
            Seen::Returned(_) => None,
        });
        Self {
            observations,
            untapped,
            passages: passages(&observations.seen),
            arrived_claimed: BTreeSet::new(),
            taken_in_claimed: BTreeSet::new(),
            decided: BTreeSet::new(),
            left: left.collect(),
            node_ends: BTreeMap::new(),
        }
    }

    /// Finds where each passage goes on. Later ones are settled first: what the hook in front of a far end let
    /// pass accounts for the arrival there, and the hook before that one goes on as a passage.
    fn settle_passages(&mut self) {
        for index in (0..self.passages.len()).rev() {
            let Passage { last, returned, .. } = self.passages[index];
            let kind = returned.hook.kind;
            let wire = with_tag(&returned.packet, returned.tag);
            let goes_on = match (kind, meaning(kind, returned.code)) {
                (_, Meaning::Drop) => false,
                (_, Meaning::Transmit) => {
                    self.claim_arrival(returned, Some(&returned.hook.device), &wire)
                }
                (HookKind::Xdp | HookKind::XdpGeneric, Meaning::Redirect) => {
                    self.claim_arrival(returned, None, &wire)
                        || self.claim_taken_in(returned, None, &wire)
                }
                (_, Meaning::Redirect) => {
                    self.claim_arrival(returned, None, &wire)
                        || self.claim_egress(index)
                        || self.claim_taken_in(returned, None, &wire)
                }
                (HookKind::Xdp | HookKind::XdpGeneric, _) => {
                    self.claim_taken_in(returned, Some(&returned.hook.device), &wire)
                }
                (HookKind::TcEgress, _) => {
                    self.claim_arrival(returned, Some(&returned.hook.device), &wire)
                }
                (HookKind::TcIngress, _) => {
                    self.node_ends.insert(last, self.stack(returned, wire));
                    true
                }
            };
            if kind == HookKind::TcIngress {
                self.decide(returned);
            }
            if !goes_on {
                self.node_ends.insert(last, dropped(returned));
            }
        }
    }

    fn stack(&self, returned: &Returned, bytes: Vec<u8>) -> End {
        End::Stack {
            node: returned.node.clone(),
            device: returned.hook.device.clone(),
            bytes,
        }
    }

    /// Accounts for an arrival of these bytes.
    fn claim_arrival(
        &mut self,
        from: &Returned,
        device: Option<&DeviceName>,
        bytes: &[u8],
    ) -> bool {
        let found = self
            .observations
            .seen
            .iter()
            .enumerate()
            .find(|(place, seen)| {
                matches!(seen, Seen::Arrived(frame) if frame.matches(&from.node, device, bytes))
                    && !self.arrived_claimed.contains(place)
            });
        let place = found.map(|(place, _)| place);
        place.is_some_and(|place| self.arrived_claimed.insert(place))
    }

    /// Accounts for a frame of these bytes that a device took in.
    fn claim_taken_in(
        &mut self,
        from: &Returned,
        device: Option<&DeviceName>,
        bytes: &[u8],
    ) -> bool {
        let found = self
            .observations
            .taken_in
            .iter()
            .enumerate()
            .find(|(place, frame)| {
                frame.matches(&from.node, device, bytes) && !self.taken_in_claimed.contains(place)
            });
        let place = found.map(|(place, _)| place);
        place.is_some_and(|place| self.taken_in_claimed.insert(place))
    }

    /// Accounts for a later passage through a tc egress hook.
    fn claim_egress(&mut self, index: usize) -> bool {
        let Passage { last, returned, .. } = self.passages[index];
        let next = self.passages.iter_mut().find(|passage| {
            passage.returned.hook.kind == HookKind::TcEgress
                && passage.returned.node == returned.node
                && passage.first > last
                && !passage.entered_by_redirect
        });
        next.map(|passage| passage.entered_by_redirect = true)
            .is_some()
    }

    /// Marks the frame that a tc ingress passage was about.
    fn decide(&mut self, returned: &Returned) {
        let place = self
            .observations
            .taken_in
            .iter()
            .enumerate()
            .position(|(place, frame)| {
                frame.is_at(&returned.node, &returned.hook.device) && !self.decided.contains(&place)
            });
        self.decided.extend(place);
    }

    /// Gives the stack what no tc ingress program decided about.
    fn settle_taken_in(&mut self) {
        let after = self.observations.seen.len();
        for (place, frame) in self.observations.taken_in.iter().enumerate() {
            let hook = Hook {
                device: frame.device.clone(),
                kind: HookKind::TcIngress,
            };
            let unknown = self.untapped.contains(&(frame.node.clone(), hook));
            if !self.decided.contains(&place) && !unknown {
                let end = End::Stack {
                    node: frame.node.clone(),
                    device: frame.device.clone(),
                    bytes: frame.bytes.clone(),
                };
                self.node_ends.insert(after + place, end);
            }
        }
    }

    /// A frame that nobody saw at all fell at the one hook where nobody looked.
    fn settle_unseen(&mut self, stimulus: &Frame) {
        if self.observations.count() > 0 {
            return;
        }
        let hook = self.untapped.iter().find(|(node, hook)| {
            node == &stimulus.node
                && hook.device == stimulus.device
                && matches!(hook.kind, HookKind::Xdp | HookKind::XdpGeneric)
        });
        if let Some((node, hook)) = hook {
            let end = End::Dropped {
                node: node.clone(),
                hook: hook.clone(),
            };
            self.node_ends.insert(0, end);
        }
    }
}

fn dropped(returned: &Returned) -> End {
    End::Dropped {
        node: returned.node.clone(),
        hook: returned.hook.clone(),
    }
}

impl Frame {
    fn is_at(&self, node: &NodeName, device: &DeviceName) -> bool {
        self.node == *node && self.device == *device
    }

    fn matches(&self, node: &NodeName, device: Option<&DeviceName>, bytes: &[u8]) -> bool {
        self.node == *node
            && device.is_none_or(|device| self.device == *device)
            && self.bytes == bytes
    }
}

/// Joins what several filters of one tc hook returned for one packet.
fn passages(seen: &[Seen]) -> Vec<Passage<'_>> {
    let mut passages: Vec<Passage<'_>> = Vec::new();
    for (place, seen) in seen.iter().enumerate() {
        let Seen::Returned(returned) = seen else {
            continue;
        };
        let open = passages.iter_mut().rev().find(|passage| {
            let before = passage.returned;
            before.node == returned.node
                && before.hook == returned.hook
                && meaning(before.hook.kind, before.code) == Meaning::NextFilter
                && before.filter < returned.filter
        });
        match open {
            Some(passage) => {
                passage.last = place;
                passage.returned = returned;
            }
            None => passages.push(Passage {
                first: place,
                last: place,
                returned,
                entered_by_redirect: false,
            }),
        }
    }
    passages
}

/// The frame with its tag where the wire has it: behind the two addresses.
pub fn with_tag(frame: &[u8], tag: Option<VlanTag>) -> Vec<u8> {
    const ADDRESSES: usize = 12;
    match tag {
        Some(tag) if frame.len() >= ADDRESSES => {
            let (addresses, rest) = frame.split_at(ADDRESSES);
            let tag = [tag.protocol.to_be_bytes(), tag.control.to_be_bytes()].concat();
            [addresses, &tag, rest].concat()
        }
        _ => frame.to_vec(),
    }
}
