//! What a backend saw: the same shape for the kernel and for the emulator.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::plan::{DeviceName, Hook, HookKind, NodeName, ObjectName, Plan, Port};
use crate::socket::Called;
use twinpath_machine::AttachType;

pub use twinpath_node::{DropReason, Metadata};

/// All that one run of a plan left behind.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// One for each stimulus of the plan, in its order.
    pub journeys: Vec<Journey>,
    /// The maps at the end of the run.
    pub maps: BTreeMap<MapRef, MapContents>,
    /// The programs as they were loaded, node by node, in order; none by the emulator. Two honest runs differ in these.
    pub loads: Vec<ProgramLoad>,
    /// What the backend could not record, a sentence each: a reader must know that it is not there.
    pub notices: Vec<String>,
    /// What programs did that the kernel allows and nobody means; only the emulator finds that.
    pub warnings: BTreeSet<Warning>,
}

/// What a program did that the kernel allows and nobody means: a read of stack that was never written. What
/// it finds there in the kernel differs from run to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning(pub String);

/// A program that the kernel took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramLoad {
    /// The node.
    pub node: NodeName,
    /// The program's object.
    pub object: ObjectName,
    /// The program.
    pub program: String,
    /// How long the kernel took to verify and to compile it, on the wall's clock.
    pub time: Duration,
    /// Instructions that the verifier went through, each as often as it did; none where the kernel does not say.
    pub verified: Option<u32>,
    /// Bytes of machine code; none where the kernel interprets programs.
    pub machine_code: Option<u32>,
}

/// All that one stimulus caused.
#[derive(Debug, Clone, Default)]
pub struct Journey {
    /// The hooks that the packet and its copies met, in order.
    pub hops: Vec<Hop>,
    /// Where the packet and its copies ended, in order.
    pub ends: Vec<End>,
    /// Records that programs wrote to ring buffers and perf event arrays, in order.
    pub events: Vec<Event>,
    /// The programs at hooks of sockets that ran, in order.
    pub socket_hops: Vec<SocketHop>,
    /// What the call gave, if the stimulus was one on a socket.
    pub called: Option<Called>,
    /// What responders sent when it reached them, or an answer of another one did, in order.
    pub answers: Vec<Answer>,
}

/// A frame that a responder sent.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The device at whose far end it is, where the frame arrived.
    pub port: Port,
    /// The frame.
    pub bytes: Vec<u8>,
    /// What came of it; answers to it are beside it.
    pub journey: Journey,
}

/// One program run.
#[derive(Debug, Clone)]
pub struct Hop {
    /// The node.
    pub node: NodeName,
    /// Where on the node.
    pub hook: Hook,
    /// The attached program.
    pub program: String,
    /// What it returned, or why it did not get that far.
    pub verdict: Result<Verdict, ProgramFault>,
    /// The frame after the program ran, from the link-layer header on, as it would be on the wire: a VLAN
    /// tag that the kernel keeps beside the packet stands in its place.
    pub bytes: Vec<u8>,
    /// What the kernel keeps beside the frame, after the program ran; nothing for XDP. Words of `cb` count only where the
    /// program changed them ([`left_by_program`]).
    pub metadata: Metadata,
    /// What it cost; only an engine that counts knows.
    pub cost: Option<Cost>,
}

/// One run of a program at a hook of a node's sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketHop {
    /// The node.
    pub node: NodeName,
    /// The hook.
    pub hook: AttachType,
    /// The attached program.
    pub program: String,
    /// What it returned, or why it did not get that far.
    pub returned: Result<i32, ProgramFault>,
    /// What it cost; only an engine that counts knows.
    pub cost: Option<Cost>,
}

/// A program's return value, read as its hook reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The kind of hook, which decides what the code means.
    pub hook: HookKind,
    /// The return value.
    pub code: i32,
}

/// Why a program's run ended early: what it did that no verified program does. Its packet is dropped.
/// Only the emulator finds that; the kernel does not take such programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramFault(pub String);

/// Exact counts of what a program run cost, equal on each machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// eBPF instructions executed, helpers not included.
    pub instructions: u64,
    /// Helper calls.
    pub helpers: u64,
    /// Those of the helper calls that read or changed a map.
    pub map_operations: u64,
}

/// Where a packet, or a copy of one, ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It left by a device towards its far end.
    Left {
        /// The node.
        node: NodeName,
        /// The device that sent it.
        device: DeviceName,
        /// As the far end received it.
        bytes: Vec<u8>,
    },
    /// The node's network stack took it, and it did not come out of that again ([`crate::stack`]).
    Stack {
        /// The node.
        node: NodeName,
        /// The device that received it.
        device: DeviceName,
        /// As the stack received it.
        bytes: Vec<u8>,
    },
    /// A program's verdict, or the kernel on its behalf, dropped it.
    Dropped {
        /// The node.
        node: NodeName,
        /// The hook that it met last.
        hook: Hook,
        /// Why, where the backend knows: the kernel does not say.
        reason: Option<DropReason>,
    },
}

/// A record that a program wrote for user space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The ring buffer or perf event array.
    pub map: MapRef,
    /// The record's bytes.
    pub bytes: Vec<u8>,
    /// How often the cluster had changed before ([`Recording::date`]).
    pub phase: usize,
}

/// A map of an object on a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapRef {
    /// The node.
    pub node: NodeName,
    /// The object that defines the map.
    pub object: ObjectName,
    /// The map's name in the object.
    pub map: String,
}

/// What stands in a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapContents {
    /// By key; one value, or one for each CPU in a per-CPU map. An array's all-zero elements are left out.
    pub entries: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Whether the values are per CPU.
    pub per_cpu: bool,
}

impl MapContents {
    /// Keys and values of a map that has one value for all CPUs.
    pub fn plain(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries
            .iter()
            .filter_map(|(key, values)| match values.as_slice() {
                [value] => Some((key.as_slice(), value.as_slice())),
                _ => None,
            })
    }
}

/// `enum xdp_action` of `linux/bpf.h`.
const XDP_NAMES: &[(i32, &str)] = &[
    (0, "XDP_ABORTED"),
    (1, "XDP_DROP"),
    (2, "XDP_PASS"),
    (3, "XDP_TX"),
    (4, "XDP_REDIRECT"),
];

/// `TC_ACT_*` of `linux/pkt_cls.h`.
const TC_NAMES: &[(i32, &str)] = &[
    (-1, "TC_ACT_UNSPEC"),
    (0, "TC_ACT_OK"),
    (1, "TC_ACT_RECLASSIFY"),
    (2, "TC_ACT_SHOT"),
    (3, "TC_ACT_PIPE"),
    (4, "TC_ACT_STOLEN"),
    (5, "TC_ACT_QUEUED"),
    (6, "TC_ACT_REPEAT"),
    (7, "TC_ACT_REDIRECT"),
    (8, "TC_ACT_TRAP"),
];

impl Recording {
    /// Notes in events how often the cluster had changed before: what they say by number depends on that.
    pub fn date(&mut self, plan: &Plan) {
        for (journey, phase) in self.journeys.iter_mut().zip(plan.phases()) {
            let answers = journey.answers.iter_mut();
            let of_answers = answers.flat_map(|answer| &mut answer.journey.events);
            for event in journey.events.iter_mut().chain(of_answers) {
                event.phase = phase;
            }
        }
    }
}

impl Verdict {
    /// All names that a verdict can have at any hook.
    pub fn names() -> impl Iterator<Item = &'static str> {
        XDP_NAMES.iter().chain(TC_NAMES).map(|(_, name)| *name)
    }

    /// The name in the kernel's headers (`linux/bpf.h`, `linux/pkt_cls.h`), or the number where it has none.
    pub fn name(self) -> String {
        let names = match self.hook {
            kind if kind.is_xdp() => XDP_NAMES,
            _ => TC_NAMES,
        };
        names
            .iter()
            .find(|(code, _)| *code == self.code)
            .map_or_else(|| self.code.to_string(), |(_, name)| (*name).to_owned())
    }
}

impl Hop {
    /// The verdict's name, or what the fault is.
    pub fn outcome(&self) -> String {
        match &self.verdict {
            Ok(verdict) => verdict.name(),
            Err(ProgramFault(fault)) => format!("fault: {fault}"),
        }
    }
}

/// What a program left beside a frame. Words of `cb` that it did not change are zero here: the kernel's layers have what
/// they need in the same place, and leave it there (`struct inet_skb_parm`, `struct napi_gro_cb`).
pub fn left_by_program(found: &Metadata, left: Metadata) -> Metadata {
    let mut metadata = left;
    let (words, _) = metadata.cb.as_chunks_mut::<4>();
    for (word, found) in words.iter_mut().zip(found.cb.as_chunks::<4>().0) {
        if word == found {
            *word = [0; 4];
        }
    }
    metadata
}

impl Journey {
    /// What all its hops cost together, those at sockets and those of answers too, if all of them were counted.
    pub fn cost(&self) -> Option<Cost> {
        let hops = self.hops.iter().map(|hop| hop.cost);
        let at_sockets = self.socket_hops.iter().map(|hop| hop.cost);
        let answers = self.answers.iter().map(|answer| answer.journey.cost());
        let mut costs = hops.chain(at_sockets).chain(answers);
        costs.try_fold(Cost::default(), |mut sum, cost| {
            sum += cost?;
            Some(sum)
        })
    }
}

impl End {
    /// The frame, unless it was dropped.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Left { bytes, .. } | Self::Stack { bytes, .. } => Some(bytes),
            Self::Dropped { .. } => None,
        }
    }

    /// The node and the device where it ended.
    pub fn place(&self) -> (&NodeName, &DeviceName) {
        match self {
            Self::Left { node, device, .. } | Self::Stack { node, device, .. } => (node, device),
            Self::Dropped { node, hook, .. } => (node, &hook.device),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl fmt::Display for MapRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.node.with(format_args!("{}/{}", self.object, self.map)))
    }
}

impl From<twinpath_machine::Cost> for Cost {
    fn from(cost: twinpath_machine::Cost) -> Self {
        Self {
            instructions: cost.instructions,
            helpers: cost.helpers,
            map_operations: cost.map_operations,
        }
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.instructions += other.instructions;
        self.helpers += other.helpers;
        self.map_operations += other.map_operations;
    }
}
