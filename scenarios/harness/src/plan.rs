//! What a backend is asked to do: a scenario with every name resolved.
//!
//! Both backends take the same plan. Everything that could be numbered in two ways is numbered here,
//! interface indexes above all, so that keys, values and events compare byte by byte.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
pub use twinpath_node::{Ifindex, Mac};

/// One run: nodes, what stands on them, and what happens to them.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scenario's name, `topic::name`.
    pub name: String,
    /// In the order of the scenario file.
    pub nodes: Vec<NodePlan>,
    /// In the order in which they happen.
    pub stimuli: Vec<Stimulus>,
    /// Seed of everything random that a program can see.
    pub seed: u64,
}

/// One Linux: a network namespace, or an emulated node.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// Unique in the plan.
    pub name: NodeName,
    /// Devices by ascending interface index.
    pub devices: Vec<DevicePlan>,
    /// Object files to load, before anything is attached.
    pub objects: Vec<ObjectPlan>,
    /// Map contents, written in this order after loading and before attaching.
    pub maps: Vec<MapWrite>,
    /// Programs to attach, in this order.
    pub attachments: Vec<Attachment>,
    /// Where the programs read the time instead of asking the kernel for it.
    pub clock: Option<ClockCell>,
}

/// A map element that stands in for the kernel's clock. Before each stimulus a backend writes the
/// stimulus' time into it, in nanoseconds since the start of the run, as a `u64` in the machine's byte
/// order. The programs' switch to read it is set like any other global variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockCell {
    /// The object that defines the map.
    pub object: ObjectName,
    /// The map's name in the object.
    pub map: String,
    /// The key of the element.
    pub key: Vec<u8>,
}

/// A device of a node. Its far end is the harness: what enters there is a stimulus, what leaves is recorded.
#[derive(Debug, Clone)]
pub struct DevicePlan {
    /// Unique on its node; at most 15 bytes.
    pub name: DeviceName,
    /// The index that both backends give to the device.
    pub ifindex: Ifindex,
    /// Hardware address of the node's end.
    pub mac: Mac,
    /// Largest packet without the Ethernet header, in bytes.
    pub mtu: u32,
    /// Addresses of the node on this device.
    pub addresses: Vec<IpNet>,
}

/// An object file and how to load it.
#[derive(Debug, Clone)]
pub struct ObjectPlan {
    /// How the rest of the plan refers to the object.
    pub name: ObjectName,
    /// Where it was read from, for messages.
    pub path: PathBuf,
    /// The ELF file.
    pub bytes: Arc<[u8]>,
    /// Values of global variables, set before loading, by symbol.
    pub globals: BTreeMap<String, Vec<u8>>,
}

/// One write to a map.
#[derive(Debug, Clone)]
pub struct MapWrite {
    /// The object that defines the map.
    pub object: ObjectName,
    /// The map's name in the object.
    pub map: String,
    /// The key as the program sees it.
    pub key: Vec<u8>,
    /// The value as the program sees it; a per-CPU map gets it on the CPU of the run, and zeroes on the others.
    pub value: Vec<u8>,
}

/// A program at a hook.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// The object that holds the program.
    pub object: ObjectName,
    /// The program's function name.
    pub program: String,
    /// Where it is attached.
    pub hook: Hook,
}

/// A place where a packet meets a program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hook {
    /// The device.
    pub device: DeviceName,
    /// The place on the device's path.
    pub kind: HookKind,
}

/// The places on a device's path, in the order in which a received packet meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// XDP in the driver.
    Xdp,
    /// XDP in the generic receive path, on an skb.
    XdpGeneric,
    /// A clsact filter for what the device receives.
    TcIngress,
    /// A clsact filter for what the device sends.
    TcEgress,
}

/// Something that happens to the system under test.
#[derive(Debug, Clone)]
pub struct Stimulus {
    /// Since the start of the run.
    pub at: Duration,
    /// What happens.
    pub kind: StimulusKind,
}

/// The kinds of stimulus.
#[derive(Debug, Clone)]
pub enum StimulusKind {
    /// A frame arrives at a device from its far end.
    Frame {
        /// The node.
        node: NodeName,
        /// The device on it.
        device: DeviceName,
        /// From the destination MAC address on, without the frame check sequence.
        bytes: Vec<u8>,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Takes any text as the name.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// Names a node of a plan.
    NodeName
);
name!(
    /// Names a device of a node.
    DeviceName
);
name!(
    /// Names a loaded object of a node.
    ObjectName
);

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.device, self.kind)
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::TcIngress => "tc-ingress",
            Self::TcEgress => "tc-egress",
        })
    }
}
