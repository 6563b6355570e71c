//! What is observed of a frame's way, and the journey that it makes.
//!
//! Three things are observed, each by a tap: a program returned, a frame arrived at a far end, a device of a node took
//! a frame in (after XDP and before tc).

use std::collections::BTreeSet;
use std::ops::Range;

use super::ends::{Ends, ends};
use super::tap::record::Record;
use crate::plan::{DeviceName, Hook, NodeName, Plan};
use crate::recording::{Hop, Journey, Metadata, SocketHop, Verdict};
use crate::stack;
use twinpath_node::Vlan;

/// Something that a tap recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A program returned.
    Returned(Returned),
    /// A frame arrived at the far end of a device.
    Arrived(Frame),
    /// A device took a frame in.
    TakenIn(Frame),
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
    /// Program runs that had begun before this one, and when it was over, this one and those inside it included.
    pub runs: Range<u32>,
    /// What it returned.
    pub code: i32,
    /// The packet as it came to the program, as it would be on the wire.
    pub found: Vec<u8>,
    /// The packet as the program left it.
    pub packet: Vec<u8>,
    /// What the kernel kept beside it then.
    pub metadata: Metadata,
}

impl Returned {
    /// The packet as it would be on the wire.
    pub fn on_wire(&self) -> Vec<u8> {
        with_tag(&self.packet, self.metadata.vlan)
    }
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
    /// Whether the first tag in it was beside the packet, where an XDP program does not see it.
    pub tagged: bool,
}

/// All that was observed between a stimulus and the quiet after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observations {
    /// What programs returned and what arrived at far ends, in order.
    pub seen: Vec<Seen>,
    /// What devices took in, in order.
    pub taken_in: Vec<Frame>,
    /// Programs at sockets that ran, in order.
    pub at_sockets: Vec<SocketHop>,
}

/// The hooks of a node where a program runs that no tap watches.
pub type Blind = BTreeSet<(NodeName, Hook)>;

impl Observations {
    /// Adds the next one.
    pub fn add(&mut self, seen: Seen) {
        match seen {
            Seen::TakenIn(frame) => self.taken_in.push(frame),
            other => self.seen.push(other),
        }
    }

    /// How many there are of packets.
    pub fn count(&self) -> usize {
        self.seen.len() + self.taken_in.len()
    }

    /// The journey of a frame that arrived at a device, or of what a call caused, without its events.
    pub fn into_journey(
        mut self,
        plan: &Plan,
        stimulus: Option<&Frame>,
        untapped: &Blind,
    ) -> Journey {
        let Ends { mut ends, intakes } = ends(plan, &self, stimulus, untapped);
        stack::add_ends(plan, intakes, &mut ends);
        Journey {
            socket_hops: std::mem::take(&mut self.at_sockets),
            hops: self.seen.into_iter().filter_map(Seen::into_hop).collect(),
            ends,
            ..Journey::default()
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
            bytes: returned.on_wire(),
            node: returned.node,
            hook: returned.hook,
            program: returned.program,
            metadata: returned.metadata,
            cost: None,
        })
    }
}

/// The frame with its tag where the wire has it: behind the two addresses.
pub fn with_tag(frame: &[u8], tag: Option<Vlan>) -> Vec<u8> {
    const ADDRESSES: usize = 12;
    match tag {
        Some(tag) if frame.len() >= ADDRESSES => {
            let (addresses, rest) = frame.split_at(ADDRESSES);
            let tag = [tag.protocol.to_wire(), tag.tci.to_be_bytes()].concat();
            [addresses, &tag, rest].concat()
        }
        _ => frame.to_vec(),
    }
}

impl Frame {
    /// What a tap recorded at a device.
    pub fn of(record: Record, node: &NodeName, device: &DeviceName) -> Self {
        Self {
            node: node.clone(),
            device: device.clone(),
            bytes: with_tag(&record.packet, record.metadata.vlan),
            tagged: record.metadata.vlan.is_some(),
        }
    }

    /// The frame as an XDP program sees it: without the tag beside it.
    pub fn at_xdp(&self) -> Self {
        const ADDRESSES: usize = 12;
        const TAG: usize = 4;
        let mut frame = self.clone();
        if std::mem::take(&mut frame.tagged) {
            frame.bytes.drain(ADDRESSES..ADDRESSES + TAG);
        }
        frame
    }
}
