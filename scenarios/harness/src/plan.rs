//! What a backend is asked to do: a scenario with every name resolved.
//!
//! Both backends take the same plan. Everything that could be numbered in two ways is numbered here,
//! interface indexes above all, so that keys, values and events compare byte by byte.

mod name;
mod registration;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::recording::MapRef;
use ipnet::IpNet;
use twinpath_machine::AttachType;
pub use twinpath_node::{
    BridgeConfig, DeviceKind, DeviceSettings, Ifindex, IpipConfig, Joined, Mac, NeighbourConfig,
    NodeSettings, RouteConfig, RuleConfig, VxlanConfig,
};

pub use name::{DeviceName, NodeName, ObjectName, SocketName};
pub use registration::{DevicePlace, Registered};

use crate::responder::Responder;
use crate::socket::SocketCall;

/// One run: nodes, what stands on them, and what happens to them.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scenario's name, `topic::name`.
    pub name: String,
    /// In the order of the scenario file.
    pub nodes: Vec<NodePlan>,
    /// Which veth devices are the two ends of one pair. The far end of any other is the harness.
    pub wires: Vec<[Port; 2]>,
    /// Which veth devices a switch joins.
    pub segments: Vec<Segment>,
    /// What answers at the far ends of devices without a wire, if anything does.
    pub responders: BTreeMap<Port, Responder>,
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
    /// What holds for the node as a whole.
    pub settings: NodeSettings,
    /// Devices by ascending interface index, without the loopback device, which each node has.
    pub devices: Vec<DevicePlan>,
    /// Routes besides those that addresses bring with them.
    pub routes: Vec<RouteConfig>,
    /// Rules besides the kernel's own.
    pub rules: Vec<RuleConfig>,
    /// Neighbours whose hardware addresses need not be asked for.
    pub neighbours: Vec<NeighbourConfig>,
    /// Object files to load, before anything is attached.
    pub objects: Vec<ObjectPlan>,
    /// Map contents, written in this order after loading and before attaching.
    pub maps: Vec<MapWrite>,
    /// Programs to attach, in this order.
    pub attachments: Vec<Attachment>,
    /// The node whose pod it is, if it is the namespace of one: its tasks are in that node's cgroup, and meet that node's
    /// programs.
    pub host: Option<NodeName>,
    /// Programs that the calls of the node's tasks meet, attached in this order after the others.
    pub socket_programs: Vec<SocketProgram>,
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

/// A device of a node, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The node.
    pub node: NodeName,
    /// The device on it.
    pub device: DeviceName,
}

/// Devices that a switch joins, three or more: it learns by which port a hardware address is reached, and sends what is
/// for all, for groups and for those that it does not know to each of the others. In the beginning it knows none.
#[derive(Debug, Clone)]
pub struct Segment {
    /// In the order in which they become ports of the switch.
    pub ports: Vec<Port>,
}

/// A device of a node. The far end of a veth that nothing joins to others is the harness: what enters there is a
/// stimulus, what leaves is recorded.
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
    /// What it does with what it sends.
    pub kind: DeviceKind,
    /// How IP behaves on it.
    pub settings: DeviceSettings,
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
    /// The value.
    pub value: MapValue,
}

/// What is written into a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapValue {
    /// The value as the program sees it; a per-CPU map gets it on the CPU of the run, and zeroes on the others.
    Bytes(Vec<u8>),
    /// In an array of programs: the program, by name, of the object that defines the map.
    Program(String),
    /// In a map of devices that packets are redirected to: the value, and the program in it, which is attached at
    /// [`HookKind::XdpDevmap`] of the device as well.
    Target {
        /// The device's index, and four bytes for the program (`struct bpf_devmap_val`).
        value: [u8; 8],
        /// The program, by name, of the object that defines the map.
        program: String,
    },
}

/// A program at a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The object that holds the program.
    pub object: ObjectName,
    /// The program's function name.
    pub program: String,
    /// Where it is attached.
    pub hook: Hook,
}

/// A program at a hook of sockets: of the cgroup that the node's tasks are in, or, `sk_lookup`, of the node.
#[derive(Debug, Clone)]
pub struct SocketProgram {
    /// The object that holds the program.
    pub object: ObjectName,
    /// The program's function name.
    pub program: String,
    /// Where it is attached.
    pub hook: AttachType,
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
    /// TCX for what the device receives, before clsact.
    TcxIngress,
    /// A clsact filter for what the device receives.
    TcIngress,
    /// TCX for what the device sends, before clsact.
    TcxEgress,
    /// A clsact filter for what the device sends.
    TcEgress,
    /// The program of a map's entry, for what XDP redirects to the device by it.
    XdpDevmap,
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
        /// How it is cut, if it holds several segments that are joined.
        joined: Option<Joined>,
    },
    /// A task of a node makes a call on a socket.
    Call {
        /// The node.
        node: NodeName,
        /// The socket.
        socket: SocketName,
        /// The call.
        call: SocketCall,
    },
    /// User space changes maps of a node.
    Change {
        /// The node.
        node: NodeName,
        /// In this order.
        changes: Vec<MapChange>,
    },
    /// User space takes away what has expired of the datapath's connections and translations on a node.
    Collect {
        /// The node.
        node: NodeName,
        /// The datapath.
        object: ObjectName,
    },
}

/// A change of a map by user space while a plan runs.
#[derive(Debug, Clone)]
pub enum MapChange {
    /// An element is written, whether there was one or not.
    Write {
        /// The map.
        map: MapRef,
        /// The key as the program sees it.
        key: Vec<u8>,
        /// The value as the program sees it; each CPU of a per-CPU map gets it.
        value: Vec<u8>,
    },
    /// An element is taken away that is there.
    Delete {
        /// The map.
        map: MapRef,
        /// The key as the program sees it.
        key: Vec<u8>,
    },
}

impl Plan {
    /// How often the cluster has changed before each stimulus. What changes on several nodes at one time is one change.
    pub fn phases(&self) -> impl Iterator<Item = usize> {
        let (mut phase, mut last) = (0, None);
        self.stimuli.iter().map(move |stimulus| {
            let changes = matches!(stimulus.kind, StimulusKind::Change { .. });
            if changes && last.replace(stimulus.at) != Some(stimulus.at) {
                phase += 1;
            }
            phase
        })
    }

    /// The device at the other end of a device's wire, if that is one of the plan's.
    pub fn peer(&self, node: &NodeName, device: &DeviceName) -> Option<&Port> {
        let is = |port: &Port| port.node == *node && port.device == *device;
        self.wires.iter().find_map(|[a, b]| {
            if is(a) {
                Some(b)
            } else if is(b) {
                Some(a)
            } else {
                None
            }
        })
    }

    /// The segment that a device is on, by its place in the plan, if it is on one.
    pub fn segment(&self, node: &NodeName, device: &DeviceName) -> Option<usize> {
        let is = |port: &Port| port.node == *node && port.device == *device;
        let mut segments = self.segments.iter();
        segments.position(|segment| segment.ports.iter().any(is))
    }

    /// Whether the far end of a device is the harness.
    pub fn is_edge(&self, node: &NodeName, device: &DevicePlan) -> bool {
        device.kind == DeviceKind::Veth
            && self.peer(node, &device.name).is_none()
            && self.segment(node, &device.name).is_none()
    }

    /// Whether segments that are joined arrive anywhere.
    pub fn has_joined(&self) -> bool {
        let mut stimuli = self.stimuli.iter();
        stimuli.any(|stimulus| {
            matches!(
                stimulus.kind,
                StimulusKind::Frame {
                    joined: Some(_),
                    ..
                }
            )
        })
    }

    /// Whether segments that are joined arrive at a device.
    pub fn joins_segments(&self, name: &NodeName, to: &DeviceName) -> bool {
        let mut stimuli = self.stimuli.iter();
        stimuli.any(
            |stimulus| matches!(&stimulus.kind, StimulusKind::Frame { node, device, joined: Some(_), .. } if node == name && device == to),
        )
    }

    /// Whether tasks of a node make calls on sockets.
    pub fn makes_calls(&self, name: &NodeName) -> bool {
        let mut stimuli = self.stimuli.iter();
        stimuli.any(
            |stimulus| matches!(&stimulus.kind, StimulusKind::Call { node, .. } if node == name),
        )
    }

    /// Whether packets on the loopback device of a node show nowhere: its own sockets exchange them, and no program there
    /// sees them.
    pub fn hides_loopback(&self, name: &NodeName) -> bool {
        let node = self.node(name);
        let mut attachments = node.into_iter().flat_map(|node| &node.attachments);
        self.makes_calls(name)
            && attachments.all(|attachment| attachment.hook.device.as_str() != LOOPBACK)
    }

    /// Whether a node has tasks in its cgroup that make calls: its own, or those of its pods.
    pub fn has_callers(&self, name: &NodeName) -> bool {
        let mut stimuli = self.stimuli.iter();
        stimuli.any(
            |stimulus| matches!(&stimulus.kind, StimulusKind::Call { node, .. } if self.host_of(node) == name),
        )
    }

    /// The node in whose cgroup the tasks of a node are: of a pod the one that it is on.
    pub fn host_of<'a>(&'a self, name: &'a NodeName) -> &'a NodeName {
        let host = self.node(name).and_then(|node| node.host.as_ref());
        host.unwrap_or(name)
    }

    /// A node by name.
    pub fn node(&self, name: &NodeName) -> Option<&NodePlan> {
        self.nodes.iter().find(|node| node.name == *name)
    }
}

impl Stimulus {
    /// Whether it is a call on a socket.
    pub const fn is_call(&self) -> bool {
        matches!(self.kind, StimulusKind::Call { .. })
    }
}

impl NodePlan {
    /// A node without devices that does nothing of its own accord.
    pub fn bare(name: NodeName) -> Self {
        Self {
            name,
            settings: NodeSettings {
                loopback: false,
                ..NodeSettings::default()
            },
            devices: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            neighbours: Vec::new(),
            objects: Vec::new(),
            maps: Vec::new(),
            attachments: Vec::new(),
            host: None,
            socket_programs: Vec::new(),
            clock: None,
        }
    }

    /// A device by name, the loopback device not among them.
    pub fn device(&self, name: &DeviceName) -> Option<&DevicePlan> {
        self.devices.iter().find(|device| device.name == *name)
    }

    /// The bridge that a device is a port of.
    pub fn bridge_of(&self, port: &DeviceName) -> Option<&DevicePlan> {
        self.devices.iter().find(|device| match &device.kind {
            DeviceKind::Bridge(bridge) => bridge.ports.iter().any(|name| name == port.as_str()),
            _ => false,
        })
    }

    /// The name of the device that has an index, `lo` among them.
    pub fn device_at(&self, ifindex: u32) -> Option<DeviceName> {
        if ifindex == Ifindex::LOOPBACK.get() {
            return Some(DeviceName::new(LOOPBACK));
        }
        let mut devices = self.devices.iter();
        let device = devices.find(|device| device.ifindex.get() == ifindex);
        device.map(|device| device.name.clone())
    }

    /// The index of a device, `lo` among them.
    pub fn ifindex(&self, name: &DeviceName) -> Option<Ifindex> {
        if name.as_str() == LOOPBACK {
            return Some(Ifindex::LOOPBACK);
        }
        self.device(name).map(|device| device.ifindex)
    }

    /// The programs in entries of maps at the hooks where they run, each once.
    pub fn attachments_of_entries(&self) -> Vec<Attachment> {
        let mut attachments: Vec<Attachment> = Vec::new();
        for write in &self.maps {
            let (MapValue::Target { program, .. }, Some(device)) =
                (&write.value, write.value.target())
            else {
                continue;
            };
            let Some(device) = self.device_at(device) else {
                continue;
            };
            let attachment = Attachment {
                object: write.object.clone(),
                program: program.clone(),
                hook: Hook {
                    device,
                    kind: HookKind::XdpDevmap,
                },
            };
            if !attachments.contains(&attachment) {
                attachments.push(attachment);
            }
        }
        attachments
    }

    /// The programs of an object that are to be loaded: those at hooks and those in arrays of programs.
    pub fn programs_of(&self, object: &ObjectName) -> BTreeSet<String> {
        let attached = self.attachments.iter();
        let attached = attached
            .filter(|attachment| attachment.object == *object)
            .map(|attachment| &attachment.program);
        let socket = self.socket_programs.iter();
        let socket = socket
            .filter(|attached| attached.object == *object)
            .map(|attached| &attached.program);
        let held = self.maps.iter().filter(|write| write.object == *object);
        let held = held.filter_map(|write| match &write.value {
            MapValue::Program(program) | MapValue::Target { program, .. } => Some(program),
            MapValue::Bytes(_) => None,
        });
        attached.chain(socket).chain(held).cloned().collect()
    }
}

impl DevicePlan {
    /// A veth device with an MTU of 1500, without addresses.
    pub fn veth(name: DeviceName, ifindex: Ifindex, mac: Mac) -> Self {
        Self {
            name,
            ifindex,
            mac,
            mtu: 1500,
            addresses: Vec::new(),
            kind: DeviceKind::Veth,
            settings: DeviceSettings::default(),
        }
    }
}

impl DevicePlan {
    /// How many bytes a frame may have that arrives at the device: it has an Ethernet header and, without that and a VLAN
    /// tag, fits the MTU (`packet_snd` of `net/packet/af_packet.c`).
    pub fn takes(&self, frame: &[u8]) -> RangeInclusive<usize> {
        const ETHERNET_HEADER: usize = 14;
        const VLAN_HEADER: usize = 4;
        let tag = match frame.get(12..ETHERNET_HEADER) {
            Some([0x81, 0]) => VLAN_HEADER,
            _ => 0,
        };
        ETHERNET_HEADER..=self.mtu as usize + ETHERNET_HEADER + tag
    }
}

impl HookKind {
    /// Whether a program of XDP runs there.
    pub const fn is_xdp(self) -> bool {
        matches!(self, Self::Xdp | Self::XdpGeneric | Self::XdpDevmap)
    }

    /// Whether what a device receives meets it, behind XDP.
    pub const fn is_tc_ingress(self) -> bool {
        matches!(self, Self::TcIngress | Self::TcxIngress)
    }

    /// Whether what a device sends meets it.
    pub const fn is_tc_egress(self) -> bool {
        matches!(self, Self::TcEgress | Self::TcxEgress)
    }
}

/// The name of each node's loopback device.
pub const LOOPBACK: &str = "lo";

impl MapValue {
    /// The index of the device that an entry with a program leads to.
    pub fn target(&self) -> Option<u32> {
        match self {
            Self::Target { value, .. } => value.first_chunk().copied().map(u32::from_le_bytes),
            Self::Bytes(_) | Self::Program(_) => None,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.node.with(&self.device))
    }
}

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
            Self::TcxIngress => "tcx-ingress",
            Self::TcIngress => "tc-ingress",
            Self::TcxEgress => "tcx-egress",
            Self::TcEgress => "tc-egress",
            Self::XdpDevmap => "xdp-devmap",
        })
    }
}
